"""`files` behind web servers that send the files themselves (--accel), and behind nginx without."""

import pathlib

import client
from checks import asked, comes, demand
from rig import Missing, program
from setups import set_up

SERVE = pathlib.Path(__file__).resolve().parent.parent / "serve-files"
LARGE = pathlib.Path(__file__).read_bytes() * 500


def make(root):
    """What is served."""
    for name, content in {
        "large": LARGE,
        "page.html": b"<p>a page\n",
        "sub/index.html": b"<p>an index\n",
        "a b%41é.txt": b"an odd name\n",
        "../secret": b"no\n",
    }.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    root.joinpath("empty").mkdir()
    root.joinpath("out").symlink_to("../secret")
    return root


def two_parts(answer, _):
    kind = answer.value("Content-Type") or ""
    demand(
        answer.status == 206 and kind.startswith("multipart/byteranges; boundary="), kind, answer
    )
    parts = answer.body.lower().count(b"content-range: bytes ")
    demand(parts == 2, f"{parts} parts", answer)


def cached(site):
    """304 for the ETag that was given."""

    def get(*fields):
        return client.ask(site.port, "GET", client.request("GET", site.base + "/large", *fields))

    tag = get().value("ETag")
    demand(tag, "no ETag")
    again = get(f"If-None-Match: {tag}")
    demand((again.status, again.body) == (304, b""), f"{again.status} {again.body[:80]!r}", again)


def no_internals(answer, site):
    comes()(answer, site)
    names = [name for name, _ in answer.fields if name.lower().startswith("x-")]
    demand(not names, f"{names}", answer)


def nothing(answer, _):
    demand(
        (answer.status, answer.body) == (200, b""), f"{answer.status} {answer.body[:80]!r}", answer
    )


ROWS = {
    "a file, whole": asked("GET", "/large", comes(body=LARGE)),
    "its type": asked("GET", "/page.html", comes(Content_Type="text/html")),
    "a name that has to be encoded": asked("GET", "/a%20b%2541%C3%A9.txt", comes(body="an odd name\n")),
    "the index of a directory": asked("GET", "/sub/", comes(body="<p>an index\n")),
    "a range": asked("GET", "/large", comes(206, body=LARGE[1000:71000]), "Range: bytes=1000-70999"),
    "two ranges": asked("GET", "/large", two_parts, "Range: bytes=0-9,100-109"),
    "a range that is not there": asked("GET", "/large", comes(416), "Range: bytes=99999999-"),
    "304 for its ETag": cached,
    "HEAD": asked("HEAD", "/large", nothing),
    "a directory without an index": asked("GET", "/empty/", comes(404)),
    "a way out": asked("GET", "/out", comes(404)),
    "nothing of how it is sent is seen": asked("GET", "/page.html", no_internals),
}  # fmt: skip


def not_by_its_location(site):
    """What nginx sends by itself cannot be asked for."""
    data = client.request("GET", "/cgigate-files/large")
    comes(404)(client.ask(site.port, "GET", data), site)


def serve(rig, server, accel):
    root = make(rig.folder_for("files"))
    socket = rig.path("gateway.sock")
    command = [rig.executable, "fastcgi", "--app", "files", "--socket-mode", "0666"]
    command += ["--listen", f"unix:{socket}", *(["--accel", server] if accel else [])]
    rig.start_gateway(command, {"CGIGATE_FILES_ROOT": str(root)})
    folder = rig.folder_for("server")
    return rig.serve(server, [SERVE, server, folder, rig.port, socket, root])


@set_up("files", "nginx", starts=((ROWS, {}),))
def alone(rig):
    return serve(rig, "nginx", accel=False)


@set_up(
    "files", "nginx sends", starts=(({**ROWS, "nor by its own location": not_by_its_location}, {}),)
)
def nginx_sends(rig):
    return serve(rig, "nginx", accel=True)


@set_up("files", "lighttpd sends", starts=((ROWS, {}),))
def lighttpd_sends(rig):
    program("lighttpd")
    return serve(rig, "lighttpd", accel=True)


@set_up("files", "apache sends", starts=((ROWS, {}),))
def apache_sends(rig):
    if not pathlib.Path("/usr/lib/apache2/modules/mod_xsendfile.so").exists():
        raise Missing("mod_xsendfile")
    return serve(rig, "apache", accel=True)
