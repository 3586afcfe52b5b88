"""Web servers that ask an authorizer of the gateway who may pass, before what they start by CGI."""

from apache import apache
from checks import asked, comes, demand, variables
from lighttpd import lighttpd
from setups import set_up
from table import BINARY, MIB

BASIC = "Authorization: Basic dGVzdGVyOnNlY3JldA=="


def turned_away(answer, _):
    demand(
        answer.status in (401, 403),
        f"{answer.status} {answer.reason}: {answer.body[:80]!r}",
        answer,
    )


ROWS = {
    "who is let in": asked("GET", "/environ/x?user=tester", variables(WHO="tester", PATH_INFO="/x"), BASIC),
    "who is turned away": asked("GET", "/environ/x?user=nobody", turned_away, BASIC),
    "without a query": asked("GET", "/environ", turned_away, BASIC),
    "HEAD, turned away": asked("HEAD", "/environ", turned_away, BASIC),
    "1 MiB, let in": asked("POST", "/count?user=tester", comes(body="1048576\n"), BASIC, BINARY, body=MIB),
    "1 MiB, turned away": asked("POST", "/count", turned_away, BASIC, BINARY, body=MIB),
    "%20, turned away": asked("GET", "/environ/a%20b", turned_away, BASIC),
    "/caf%E9, turned away": asked("GET", "/environ/caf%E9", turned_away, BASIC),
    "/caf%E9, let in": asked("GET", "/environ/caf%E9?user=tester", variables(WHO="tester", PATH_INFO="/caf\xe9"), BASIC),
    "//, turned away": asked("GET", "//environ", turned_away, BASIC),
    "WHO is not the client's to say": asked("GET", "/environ?user=tester", variables(WHO="tester", HTTP_WHO="evil"),
                                            BASIC, "Who: evil"),
}  # fmt: skip
STARTS = ((ROWS, {}),)
# mod_authnz_fcgi knows no other.
BY_TCP = ((ROWS, {"tcp": True}),)


@set_up("authorizers", "lighttpd", starts=STARTS)
def of_lighttpd(rig):
    asks = rig.gateway("lighttpd", "authorizer")
    return lighttpd(rig, asks + rig.config("lighttpd", "cgi"))


@set_up("authorizers", "apache authorizer", starts=BY_TCP)
def of_apache(rig):
    asks = rig.gateway("apache", "authorizer")
    also = f"ScriptSock {rig.folder}/apache/cgid.sock"
    return apache(rig, asks + rig.config("apache", "cgi"), "event", ["authnz_fcgi", "cgid"], also)


@set_up("authorizers", "apache access-checker", starts=STARTS)
def of_fcgid(rig):
    asks = rig.config("apache", "access-checker")
    rig.folder_for("apache")
    rig.folder_for("apache/fcgid")
    also = f"ScriptSock {rig.folder}/apache/cgid.sock\nFcgidIPCDir {rig.folder}/apache/fcgid"
    also += f"\nFcgidProcessTableFile {rig.folder}/apache/fcgid_shm"
    return apache(rig, asks + rig.config("apache", "cgi"), "event", ["fcgid", "cgid"], also)
