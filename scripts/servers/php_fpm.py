"""php-fpm, a responder that is not ours, asked by `get`."""

import os
import pathlib
import subprocess

from checks import demand
from rig import Missing
from setups import set_up

SERVE = pathlib.Path(__file__).resolve().parent.parent / "serve-php-fpm"
BYTES = os.urandom(1 << 20)


def ask(rig, *words, body=b"", page=True):
    """Asks the page that scripts/serve-php-fpm makes; gives exit status, stdout and stderr."""
    words += ("--param", f"SCRIPT_FILENAME={rig.path('page.php')}") if page else ()
    env = {"CGIGATE_CONNECT": f"unix:{rig.path('s')}", "CGIGATE_TIMEOUT": "20s"}
    command = [rig.executable, "get", *words]
    done = subprocess.run(command, input=body, capture_output=True, env=env, check=False)
    return done.returncode, done.stdout, done.stderr


def answers(wanted, *words, code=0, **options):
    """This comes, whole."""

    def behaviour(site):
        exited, stdout, stderr = ask(site.rig, *words, **options)
        demand(exited == code, f"exit {exited}: {stderr!r}")
        demand(stdout == wanted, f"{len(stdout)} bytes: {stdout[:200]!r}")

    return behaviour


def has(line, *words):
    """This line is in what comes."""

    def behaviour(site):
        _, stdout, stderr = ask(site.rig, *words)
        lines = stdout.replace(b"\r", b"").decode().splitlines()
        demand(line in lines, f"{lines} {stderr!r}")

    return behaviour


def says(line, code, *words, page=True):
    """This line is on stderr."""

    def behaviour(site):
        exited, _, stderr = ask(site.rig, *words, page=page)
        lines = stderr.decode().splitlines()
        demand(exited == code and line(site) in lines, f"exit {exited}: {lines}")

    return behaviour


def exits(code, *words):
    def behaviour(site):
        exited, _, stderr = ask(site.rig, *words)
        demand(exited == code, f"exit {exited}: {stderr!r}")

    return behaviour


def nobody_there(site):
    site.rig.end_all()
    exited, _, stderr = ask(site.rig, "/")
    demand(exited == 1 and stderr.count(b"\n") == 1, f"exit {exited}: {stderr!r}")


OCTETS = ("-H", "Content-Type: application/octet-stream")
HELLO = answers(b"Hello World\n", "/")

ROWS = {
    "a page": HELLO,
    "GET_VALUES": answers(b"FCGI_MPXS_CONNS=0\n", "--ping"),
    "its own ping page": answers(b"pong", "--param", "SCRIPT_NAME=/ping", "--param", "SCRIPT_FILENAME=/ping", "/", page=False),
    "the path": has("PATH_INFO=/a b/c", "/a%20b/c?do=vars"),
    "the query": has("QUERY_STRING=do=vars&x=%20", "/?do=vars&x=%20"),
    "a header field": has("HTTP_X_ONE=a b", "-H", "X-One: a b", "/?do=vars"),
    "another host": has("HTTP_HOST=example.test", "-H", "Host: example.test", "/?do=vars"),
    "a method": has("REQUEST_METHOD=PATCH", "-X", "PATCH", "/?do=vars"),
    "a parameter": has("SERVER_NAME=other", "--param", "SERVER_NAME=other", "/?do=vars"),
    "a form": answers(b'{"a":"1","b":" z"}\n', "-H", "Content-Type: application/x-www-form-urlencoded",
                      "-d", "a=1&b=%20z", "/?do=form"),
    "a body of nothing": answers(b"", *OCTETS, "-d", "", "/?do=echo"),
    "a body of 1 MiB": answers(BYTES, *OCTETS, "-d", "@-", "/?do=echo", body=BYTES),
    "a body of 16 MiB": answers(BYTES * 16, *OCTETS, "-d", "@-", "/?do=echo", body=BYTES * 16),
    "a body that nobody reads": answers(b"ignored\n", *OCTETS, "-d", "@-", "/?do=noread", body=BYTES * 16),
    "its header block": has("Status: 201 Created", "-i", "/?do=status&code=201"),
    "HEAD": answers(b"", "-X", "HEAD", "/"),
    "201 is well": exits(0, "/?do=status&code=201"),
    "302 is well": exits(0, "/?do=status&code=302"),
    "404 is not": exits(1, "/?do=status&code=404"),
    "500 is not": exits(1, "/?do=status&code=500"),
    "what it logs": says(lambda _: "PHP message: a line for the log", 0, "/?do=log"),
    "no such script": says(lambda _: "Primary script unknown", 1, "--param", "SCRIPT_FILENAME=/nonexistent", "/", page=False),
    "too slow": says(lambda site: f"cgigate: get /?do=sleep&seconds=2 from unix:{site.rig.path('s')}: "
                     "no progress for 200ms (--timeout)", 1, "--timeout", "200ms", "/?do=sleep&seconds=2"),
    # Its only child sleeps on, and takes the next request when it has done.
    "and the next request is served": HELLO,
    "nobody there any more": nobody_there,
}  # fmt: skip


@set_up("php-fpm", "get", starts=((ROWS, {}),))
def php_fpm(rig):
    if subprocess.run([SERVE, "--find"], capture_output=True, check=False).returncode:
        raise Missing("php-fpm")
    ready = lambda: ask(rig, "--ping")[0] == 0  # noqa: E731
    return rig.serve("php-fpm", [SERVE, rig.folder, rig.path("s")], ready=ready)
