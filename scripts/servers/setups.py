"""What a server's file says of its set-ups."""

import dataclasses


@dataclasses.dataclass
class Rule:
    """A cell that the web server itself makes impossible: docs/servers.md has the rule.

    With a status it is impossible only as the server says it is: with that refusal.
    """

    name: str
    status: int | None = None

    def explains(self, wrong):
        return self.status in (None, wrong.status)


def R(number, status=None):
    return Rule(f"R{number}", status)


def S(number, status=None):
    """A section of docs/servers.md."""
    return Rule(f"S{number}", status)


@dataclasses.dataclass
class SetUp:
    # The server, and the column under it.
    server: str
    way: str
    # Starts it in a rig; gives the site.
    start: object
    # The rows that the server makes impossible.
    impossible: dict
    # The rows that mean nothing here.
    beside: tuple = ()
    # What else holds here: sentence and behaviour.
    more: dict = dataclasses.field(default_factory=dict)
    # Its own starts, where the tables that all servers get are not for it.
    starts: tuple = ()


def set_up(server, way, impossible=None, beside=(), more=None, starts=()):
    """Makes a set-up of the function that starts it."""

    def register(start):
        return SetUp(server, way, start, impossible or {}, beside, more or {}, starts)

    return register


# A process for each request has no queue.
EACH_A_PROCESS = ("503 on a full house",)
