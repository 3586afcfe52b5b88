"""Apache, by its modules for CGI, by mod_fcgid that starts the gateway, and by mod_proxy's."""

import glob
import os

from checks import gathered_up, looks_whole, many, page_behind, variables
from rig import AS_ROOT, Missing, program, web_group
from setups import EACH_A_PROCESS, R, set_up
from table import FAULT

PLACES = ("/usr/lib/apache2", "/usr/lib64/httpd", "/usr/lib/httpd", "/usr/libexec/apache2")

MAIN = """
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}/apache"
PidFile "{folder}/apache/pid"
ScoreBoardFile "{folder}/apache/scoreboard"
Mutex file:{folder}/apache default
Listen {web}
ServerName localhost
{user}
ErrorLog "{folder}/apache.log"
{modules}
{also}
StartServers 2
DocumentRoot "{folder}/htdocs"
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory "{folder}/htdocs">
    Require all granted
</Directory>
Include {folder}/cgigate.conf
"""

# The path with %2F in it, and what CGI and mod_proxy make of it.
NO_SLASH = {"%2F": R(17, 404), "/%2F..%2F": R(17, 404)}
JOINED = {"Cookie twice": R(25, variables(HTTP_COOKIE="a=1, b=2; c=3"))}
# Answers are read when the body has been sent.
ONE_WAY = {"chunks seen one by one": R(21, gathered_up)}
# It drops the length, and frames what came as a whole.
UNSEEN = {"a fault cuts the answer": R(12, looks_whole(FAULT))}
COUNTED = {"and one with a length": R(8, looks_whole(FAULT + "&length=100"))}
ITS_WAYS = {**NO_SLASH, **JOINED, **ONE_WAY}
NO_CHUNKS = {name: R(21, 411) for name in (
    "12 bytes in chunks", "64 KiB in chunks", "1 MiB in chunks", "chunks seen one by one")}  # fmt: skip


def modules():
    for place in PLACES:
        for found in glob.glob(f"{place}*/modules/mod_authz_core.so") + glob.glob(
            f"{place}/mod_authz_core.so"
        ):
            return os.path.dirname(found)
    raise Missing("Apache's modules")


def command(rig, printed, mpm, load, also=""):
    """What starts Apache with what `config apache` printed among its files."""
    place = modules()
    rig.folder_for("apache")
    rig.folder_for("htdocs").joinpath("page").write_text("a page\n")
    rig.write("cgigate.conf", printed)
    load = [
        f"mpm_{mpm}",
        "authz_core",
        "authn_core",
        "authz_user",
        "auth_basic",
        "alias",
        "env",
        *load,
    ]
    lines = [f'LoadModule {name}_module "{place}/mod_{name}.so"' for name in load]
    user = f"User www-data\nGroup {web_group()}" if AS_ROOT else ""
    text = MAIN.format(
        folder=rig.folder, web=rig.web, user=user, modules="\n".join(lines), also=also
    )
    main = rig.write("apache.conf", text)
    return [program("apache2", "httpd"), "-DFOREGROUND", "-f", main]


def apache(rig, printed, mpm, load, also="", base=None):
    return rig.serve("apache", command(rig, printed, mpm, load, also), base)


@set_up("apache", "cgi (mod_cgi)", {**ITS_WAYS, **UNSEEN, **COUNTED}, EACH_A_PROCESS)
def mod_cgi(rig):
    return apache(rig, rig.config("apache", "cgi"), "prefork", ["cgi"])


@set_up("apache", "cgi (mod_cgid)", {**ITS_WAYS, **UNSEEN, **COUNTED}, EACH_A_PROCESS)
def mod_cgid(rig):
    also = f"ScriptSock {rig.folder}/apache/cgid.sock"
    return apache(rig, rig.config("apache", "cgi"), "event", ["cgid"], also)


# It writes a page of its own behind what came.
PAGE_BEHIND = {"a fault cuts the answer": R(12, page_behind(FAULT))}


@set_up("apache", "fcgid", {**ITS_WAYS, **PAGE_BEHIND}, EACH_A_PROCESS)
def fcgid(rig):
    also = f"FcgidIPCDir {rig.folder}/apache/fcgid\nFcgidProcessTableFile {rig.folder}/apache/fcgid_shm"
    rig.folder_for("apache")
    rig.folder_for("apache/fcgid")
    return apache(rig, rig.config("apache", "fcgid"), "event", ["fcgid"], also)


@set_up("apache", "proxy_fcgi", {**ITS_WAYS, **COUNTED})
def proxy_fcgi(rig):
    printed = rig.gateway("apache", "proxy_fcgi")
    return apache(rig, printed, "event", ["proxy", "proxy_fcgi"])


@set_up("apache", "proxy_scgi", {**ITS_WAYS, **UNSEEN, **COUNTED, **NO_CHUNKS},
        more={"512 requests, 64 at a time, on 4 threads": many(512, 64, "/sleep?ms=5")})  # fmt: skip
def proxy_scgi(rig):
    printed = rig.gateway("apache", "proxy_scgi")
    return apache(rig, printed, "event", ["proxy", "proxy_scgi"])


@set_up("apache", "proxy_uwsgi", {**ITS_WAYS, **UNSEEN, **NO_CHUNKS},
        more={"512 requests, 64 at a time, on 4 threads": many(512, 64, "/sleep?ms=5")})  # fmt: skip
def proxy_uwsgi(rig):
    printed = rig.gateway("apache", "proxy_uwsgi")
    return apache(rig, printed, "event", ["proxy", "proxy_uwsgi"])
