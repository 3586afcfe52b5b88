"""Caddy, by its transport for FastCGI."""

from rig import program
from setups import R, set_up

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
        "418 and its words": R(5),
        "Cookie twice": R(25),
        "a fault cuts the answer": R(12),
        "chunks seen one by one": R(21),
    },
)
def fastcgi(rig):
    rig.write("cgigate.caddy", rig.gateway("caddy"))
    main = rig.write("Caddyfile", MAIN.format(folder=rig.folder))
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", main]
    return rig.serve("caddy", command)
