"""The matrix of one server: a row a request, a column a way to be behind it."""


def show(server, columns):
    """`columns`: a name and the outcome of each row, or why there is none."""
    for way, outcomes in columns.items():
        if isinstance(outcomes, str):
            print(f"SKIPPED {server} {way}: {outcomes} is not installed")
    columns = {way: outcomes for way, outcomes in columns.items() if not isinstance(outcomes, str)}
    if not columns:
        return
    rows = list(dict.fromkeys(row for outcomes in columns.values() for row in outcomes))
    widths = [max(len(way), len("FAILED")) for way in columns]
    name = max(map(len, rows))
    line(server, name, columns, widths)
    for row in rows:
        line(row, name, [cell(outcomes, row) for outcomes in columns.values()], widths)
    for way, outcomes in columns.items():
        for why, rows in failures(outcomes).items():
            print(f"FAILED {server} {way}: {', '.join(rows)}: {why}")
    print(flush=True)


def failures(outcomes):
    """The rows that failed, by the reason: a server that did not start has one for all."""
    reasons = {}
    for row, outcome in outcomes.items():
        if outcome.mark == "FAILED":
            reasons.setdefault(outcome.why[:1000].strip(), []).append(row)
    return reasons


def cell(outcomes, row):
    return outcomes[row].mark if row in outcomes else ""


def line(row, width, cells, widths):
    cells = [f"{text:<{width}}" for text, width in zip(cells, widths, strict=True)]
    print("  ".join([f"{row:<{width}}", *cells]).rstrip())


def count(columns):
    """How many cells passed, and how many failed. What a server makes impossible passed: it was
    seen to be as the rule says."""
    marks = [
        outcome.mark
        for outcomes in columns.values()
        if not isinstance(outcomes, str)
        for outcome in outcomes.values()
    ]
    failed = marks.count("FAILED") + sum(isinstance(outcomes, str) for outcomes in columns.values())
    return sum(mark not in ("FAILED", "-") for mark in marks), failed
