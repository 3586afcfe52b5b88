"""Runs the tables through one set-up, and tells what came of each row."""

import dataclasses
import traceback

import client
from checks import Wrong
from rig import Missing, NotReady, Rig
from table import AT_THE_ROOT, BELOW_A_PATH, FULL_HOUSE

# Each is a start of the server of its own.
STARTS = (
    (BELOW_A_PATH, {}),
    (AT_THE_ROOT, {"mount": "/", "app": "environ", "tcp": True}),
    (FULL_HOUSE, {"environment": {"CGIGATE_THREADS": "1", "CGIGATE_MAX_QUEUE": "1"}}),
)


@dataclasses.dataclass
class Outcome:
    # "ok", "FAILED", "-", or the rule.
    mark: str
    why: str = ""


def set_up(made, executable):
    """Every row's outcome in one set-up; or what is not installed."""
    starts = made.starts or STARTS
    known = {row for table, _ in starts for row in table}
    strange = {*made.impossible, *made.beside} - known
    assert not strange, f"{made.server} {made.way}: no rows of these names: {strange}"
    outcomes = {}
    try:
        for table, options in starts:
            rows = {**table, **(made.more if table is BELOW_A_PATH else {})}
            beside = {row for row in rows if row in made.beside}
            outcomes.update({row: Outcome("-") for row in beside})
            if beside != set(rows):
                outcomes.update(start(made, executable, rows, options))
    except Missing as missing:
        return str(missing)
    return outcomes


def start(made, executable, rows, options):
    rows = {row: behaviour for row, behaviour in rows.items() if row not in made.beside}
    for last in (False, False, True):
        try:
            with Rig(executable, **options) as rig:
                site = made.start(rig)
                return {row: outcome(made, site, row, rows[row]) for row in rows}
        except NotReady as why:
            # Perhaps somebody else took the port; not three times.
            if last:
                return {row: Outcome("FAILED", str(why)) for row in rows}


def outcome(made, site, row, behaviour):
    rule = made.impossible.get(row)
    try:
        try:
            behaviour(site)
        except Wrong as wrong:
            if not rule:
                raise
            rule.confirm(behaviour, site, wrong)
            return Outcome(rule.name)
    except Wrong as wrong:
        return Outcome("FAILED", str(wrong))
    except (client.Cut, OSError) as broken:
        return Outcome("FAILED", f"{type(broken).__name__}: {broken}")
    except Exception:
        return Outcome("FAILED", traceback.format_exc())
    return Outcome("ok")
