"""What a server's file says of its set-ups."""

import dataclasses

from checks import Asked


@dataclasses.dataclass
class Rule:
    """A cell that the web server itself makes impossible: docs/servers.md has the rule.

    `instead` is what happens there, and nothing else may: the status of a refusal; what is to be
    checked of the answer to the row's request; or, where a row is no single request, a behaviour.
    """

    name: str
    instead: object

    def confirm(self, behaviour, site, wrong):
        """Raises `Wrong` where it is neither as the row wants it nor as the rule says."""
        if isinstance(self.instead, int):
            if wrong.status != self.instead:
                raise wrong
        elif isinstance(behaviour, Asked):
            behaviour.but(self.instead)(site)
        else:
            self.instead(site)


def R(number, instead):
    return Rule(f"R{number}", instead)


def S(number, instead):
    """A section of docs/servers.md."""
    return Rule(f"S{number}", instead)


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
