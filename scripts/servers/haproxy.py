"""HAProxy, the one server that multiplexes."""

import csv
import io

import client
from checks import demand, gathered_up, many
from rig import free_port, program
from setups import R, set_up

# A file of its own, beside what is printed.
STATS = """
frontend stats
    mode http
    timeout client 60s
    bind 127.0.0.1:{port}
    stats enable
    stats uri /stats
"""


def opened(site):
    """How many connections to the gateway there have been."""
    answer = client.ask(site.stats, "GET", client.request("GET", "/stats;csv"))
    rows = csv.DictReader(io.StringIO(answer.body.decode().removeprefix("# ")))
    (connect,) = (row["connect"] for row in rows if row["svname"] == row["pxname"] == "cgigate")
    return int(connect)


def multiplexed(site):
    """Less connections than there are requests at a time."""
    before = opened(site)
    many(10_000, 64)(site)
    more = opened(site) - before
    demand(more < 64, f"{more} connections")


@set_up("haproxy", "fastcgi", {
    "raw bytes": R(17, 400),
    "chunks seen one by one": R(21, gathered_up),
    "64 KiB in chunks": R(21, 400),
    "1 MiB in chunks": R(21, 400),
    "250 fields, 7 KiB": R(10, 502),
}, more={"10,000 requests, 64 at a time, on few connections": multiplexed})  # fmt: skip
def fastcgi(rig):
    port = free_port()
    main = rig.write("haproxy.cfg", rig.gateway("haproxy"))
    stats = rig.write("stats.cfg", STATS.format(port=port))
    site = rig.serve("haproxy", [program("haproxy"), "-db", "-f", main, "-f", stats])
    site.stats = port
    return site
