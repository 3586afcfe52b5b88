"""HAProxy, the one server that multiplexes."""

import csv
import io

import client
from checks import demand, many
from rig import program
from setups import R, set_up

STATS = """
frontend stats
    bind {web}
    http-request use-service prometheus-exporter if FALSE
    stats enable
    stats uri /stats
"""


def few_connections(site):
    """Of all that went before, through no more connections than are kept and were being opened."""
    answer = client.ask(site.port, "GET", client.request("GET", "/stats;csv"))
    rows = csv.DictReader(io.StringIO(answer.body.decode().removeprefix("# ")))
    opened = sum(int(row["connect"] or 0) for row in rows if row["pxname"] == "cgigate" and row["svname"] == "cgigate")
    demand(0 < opened, f"{opened} connections")


@set_up("haproxy", "fastcgi", {
    "raw bytes": R(17, 400),
    "a line break": R(18, 500),
    "chunks seen one by one": R(21),
    "250 fields, 7 KiB": R(10, 502),
    "64 KiB in chunks": R(21, 400),
    "1 MiB in chunks": R(21, 400),
    "an absolute target": R(31, 400),
}, more={"10,000 requests, 64 at a time": many(10_000, 64)})  # fmt: skip
def fastcgi(rig):
    main = rig.write("haproxy.cfg", rig.config("haproxy", listen=rig.gateway()))
    return rig.serve("haproxy", [program("haproxy"), "-db", "-f", main])
