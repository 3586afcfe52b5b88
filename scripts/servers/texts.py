"""What no server is started from here: the units of systemd, and web.config of IIS."""

import re
import subprocess
import xml.etree.ElementTree as tree

from checks import demand
from rig import PROGRAMS, Site, program
from setups import set_up


def units(site):
    """The files of both units, by their names."""
    folder = site.rig.folder_for("units")
    said = site.rig.config("systemd", listen="unix:/run/cgigate.sock", app="hello")
    for unit in re.split(r"(?=^# /etc/systemd/system/)", said, flags=re.MULTILINE)[1:]:
        name = unit.split(":", 1)[0].rsplit("/", 1)[1]
        folder.joinpath(name).write_text(unit)
    paths = sorted(folder.iterdir())
    demand([path.name for path in paths] == ["cgigate.service", "cgigate.socket"], f"{paths}")
    return paths


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True,
                          check=False, env={"PATH": PROGRAMS})  # fmt: skip


def verified(site):
    """systemd itself reads the units, and finds nothing to say."""
    done = analyze("verify", "--man=no", *units(site))
    # What it says of the machine's own units is not about these.
    about = [line for line in done.stderr.splitlines() if "cgigate" in line]
    demand(done.returncode == 0 and not about, done.stderr)


def hardened(site):
    """1.7 is said in the unit; 2.0 is for other systemds."""
    service, _ = units(site)
    done = analyze("security", "--no-pager", "--offline=true", "--threshold=20", service)
    demand(done.returncode == 0, done.stdout[-200:] + done.stderr)


def web_config(way):
    """Well-formed, and the handler is the executable."""

    def behaviour(site):
        root = tree.fromstring(site.rig.config("iis", way, app="hello"))
        handler = root.find("system.webServer/handlers/add")
        demand(root.tag == "configuration" and handler is not None, root.tag)
        demand(handler.get("scriptProcessor", "").endswith("cgigate.exe"), f"{handler.attrib}")

    return behaviour


UNITS = {"systemd-analyze verify": verified, "systemd-analyze security": hardened}
WEB_CONFIG = {f"web.config for {way}": web_config(way) for way in ("fastcgi", "cgi")}


@set_up("texts", "systemd", starts=((UNITS, {}),))
def systemd(rig):
    # Not installed is SKIPPED.
    program("systemd-analyze")
    return Site(rig, None, "")


@set_up("texts", "iis", starts=((WEB_CONFIG, {}),))
def iis(rig):
    return Site(rig, None, "")
