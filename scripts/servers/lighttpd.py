"""lighttpd, that starts the gateway by CGI or FastCGI, or asks it on its socket."""

from checks import comes, cut_or_whole, gathered_up, variables
from rig import AS_ROOT, program, web_group
from setups import EACH_A_PROCESS, R, S, set_up
from table import FAULT

MAIN = """
server.port = {port}
server.bind = "127.0.0.1"
server.document-root = "{folder}/htdocs"
server.errorlog = "{folder}/lighttpd/error.log"
server.pid-file = "{folder}/lighttpd/pid"
server.upload-dirs = ( "{folder}/lighttpd" )
{user}
mimetype.assign = ( "" => "text/plain" )
include "{folder}/cgigate.conf"
"""

ITS_WAYS = {
    "a line break": R(17, 400),
    "a query as it came": R(17, variables(QUERY_STRING="%2F+;a&&b=%C3%A9")),
    "an empty field": S(8, variables(HTTP_X_EMPTY=None)),
    # Some are cut, by chance.
    "a fault cuts the answer": R(12, cut_or_whole(FAULT)),
    "GET with a body": S(8, 400),
    "POST without a length": S(8, 411),
    "FROB": R(32, 501),
    "418 and its words": R(5, comes(418, reason="")),
    "X_User spoofs X-User": R(26, variables(HTTP_X_USER="evil, good")),
    "chunks seen one by one": R(21, gathered_up),
}


def command(rig, printed):
    """What starts lighttpd with what `config lighttpd` printed among its files."""
    rig.folder_for("lighttpd")
    rig.folder_for("htdocs").joinpath("page").write_text("a page\n")
    rig.write("cgigate.conf", printed)
    user = f'server.username = "www-data"\nserver.groupname = "{web_group()}"' if AS_ROOT else ""
    main = rig.write("lighttpd.conf", MAIN.format(port=rig.port, folder=rig.folder, user=user))
    return [program("lighttpd"), "-D", "-f", main]


def lighttpd(rig, printed, base=None):
    return rig.serve("lighttpd", command(rig, printed), base, env=rig.environment)


@set_up("lighttpd", "cgi", ITS_WAYS, EACH_A_PROCESS)
def cgi(rig):
    return lighttpd(rig, rig.config("lighttpd", "cgi"))


@set_up("lighttpd", "fastcgi", ITS_WAYS)
def fastcgi(rig):
    return lighttpd(rig, rig.gateway("lighttpd", "fastcgi"))


@set_up("lighttpd", "spawn", ITS_WAYS)
def spawn(rig):
    socket = rig.folder_for("lighttpd") / "cgigate.sock"
    return lighttpd(rig, rig.config("lighttpd", "spawn", listen=f"unix:{socket}"))


@set_up("lighttpd", "scgi", ITS_WAYS)
def scgi(rig):
    return lighttpd(rig, rig.gateway("lighttpd", "scgi"))


@set_up("lighttpd", "uwsgi", ITS_WAYS)
def uwsgi(rig):
    return lighttpd(rig, rig.gateway("lighttpd", "uwsgi"))
