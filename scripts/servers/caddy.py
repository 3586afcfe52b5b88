"""Caddy, by its transport for FastCGI."""

from checks import either, gathered_up, looks_whole, variables
from rig import program
from setups import R, set_up
from table import FAULT

# Its administration has a port of its own, the same for all.
MAIN = """{{
    admin off
    auto_https off
}}
import {folder}/cgigate.caddy
"""


@set_up(
    "caddy",
    "fastcgi",
    {
        # One of both, by chance.
        "X_User spoofs X-User": R(
            26, either(variables(HTTP_X_USER="evil"), variables(HTTP_X_USER="good"))
        ),
        "Cookie twice": R(25, variables(HTTP_COOKIE="a=1, b=2; c=3")),
        "a fault cuts the answer": R(12, looks_whole(FAULT)),
        "chunks seen one by one": R(21, gathered_up),
    },
)
def fastcgi(rig):
    rig.write("cgigate.caddy", rig.gateway("caddy"))
    main = rig.write("Caddyfile", MAIN.format(folder=rig.folder))
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", main]
    return rig.serve("caddy", command)
