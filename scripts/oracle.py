#!/usr/bin/env python3
"""What CPython's own wsgiref answers to the cases of fixtures/cgi.

    scripts/oracle.py CASE            the bytes that CPython answers to one case
    scripts/oracle.py --write CASE... store them as the case's stdout
    scripts/oracle.py --check [CASE...] compare, by default all; `differs` must be there exactly
                                      where the bytes or the exit status differ
    scripts/oracle.py --against EXECUTABLE [CASE...]
                                      run `demo` and `environ` of an executable in the environment
                                      of each case, and demand CPython's bytes and exit status

But for the last, the executable under test has no part in this: the applications here are Python twins of ours, run
by wsgiref.handlers.CGIHandler or IISCGIHandler in a process that has the case's environment and no
other. Three things are ours, and stand for every case: values are bytes in Latin-1 whatever their
name (rule D35 of the differences), `CGIGATE_*` and `HTTP_PROXY` are taken away (D20), and the three
objects in the environ that Python prints with an address have a name of their own.
"""

import os
import re
import subprocess
import sys
import time
from urllib.parse import parse_qs
from wsgiref.handlers import CGIHandler, IISCGIHandler
from wsgiref.util import shift_path_info

UTF8 = [("Content-Type", "text/plain; charset=utf-8")]
TEXT = [("Content-Type", "text/plain")]
REASONS = {"200": "OK", "201": "Created", "204": "No Content", "301": "Moved Permanently",
           "302": "Found", "304": "Not Modified", "403": "Forbidden", "404": "Not Found",
           "418": "I'm a teapot", "500": "Internal Server Error", "503": "Service Unavailable"}
WSGI = {"wsgi." + key for key in "errors file_wrapper input multiprocess multithread run_once "
        "url_scheme version".split()}
OBJECTS = {"wsgi.errors": "<cgigate.ErrorStream>", "wsgi.input": "<cgigate.InputStream>",
           "wsgi.file_wrapper": "<class 'cgigate.FileWrapper'>"}


def query(environ, name, default):
    return parse_qs(environ.get("QUERY_STRING", "")).get(name, [default])[0]


def body_of(environ, size=65536):
    """The request's body in pieces, as a careful application reads it: to CONTENT_LENGTH."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left:
        piece = environ["wsgi.input"].read(min(left, size))
        if not piece:
            return
        left -= len(piece)
        yield piece


def hello(environ, start_response):
    start_response("200 OK", list(UTF8))
    return [b"Hello World\n"]


def demo(environ, start_response):
    """wsgiref.simple_server.demo_app, with names where Python prints addresses."""
    start_response("200 OK", list(UTF8))
    lines = ["Hello world!", ""]
    for name, value in sorted(environ.items()):
        lines.append("%s = %s" % (name, OBJECTS.get(name) or repr(value)))
    return [("\n".join(lines) + "\n").encode("utf-8")]


def environ_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Content-Type-Options", "nosniff")])
    pairs = sorted((k, v) for k, v in environ.items() if k not in WSGI)
    return ["".join("%s=%s\n" % pair for pair in pairs).encode("latin-1")]


def echo(environ, start_response):
    kind = environ.get("CONTENT_TYPE") or "application/octet-stream"
    start_response("200 OK", [("Content-Type", kind), ("X-Content-Type-Options", "nosniff")])
    return body_of(environ)


def count(environ, start_response):
    length = sum(map(len, body_of(environ)))
    start_response("200 OK", list(TEXT))
    return [b"%d\n" % length]


def noread(environ, start_response):
    start_response("200 OK", list(TEXT))
    return [b"ignored\n"]


def sleep(environ, start_response):
    ms = query(environ, "ms", "0")
    time.sleep(int(ms) / 1000)
    start_response("200 OK", list(TEXT))
    return [b"slept %s\n" % ms.encode()]


def stderr(environ, start_response):
    environ["wsgi.errors"].write("a line for the log\n")
    start_response("200 OK", list(TEXT))
    return [b"logged\n"]


def status(environ, start_response):
    code = query(environ, "code", "200")
    line = "%s %s" % (code, REASONS.get(code, "Status"))
    if code in ("204", "304"):
        start_response(line, [("X-Status", code)])
        return []
    start_response(line, list(TEXT))
    return [line.encode() + b"\n"]


def stream(environ, start_response):
    start_response("200 OK", list(TEXT))
    size = int(query(environ, "size", "1024"))
    return (b"x" * size for _ in range(int(query(environ, "chunks", "10"))))


def bytes_app(environ, start_response):
    n = int(query(environ, "n", "0"))
    start_response("200 OK", TEXT + [("Content-Length", str(n))])
    return (b"x" * min(65536, n - at) for at in range(0, n, 65536))


def headers(environ, start_response):
    n = int(query(environ, "n", "0"))
    some = [("X-%d" % i, str(i)) for i in range(1, n + 1)]
    start_response("200 OK", TEXT + some + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"%d\n" % n]


def fault(environ, start_response):
    if query(environ, "how", "error") == "abort":
        os.abort()
    if query(environ, "when", "before") == "before":
        raise RuntimeError("asked to fail")
    start_response("200 OK", list(TEXT))

    def pieces():
        yield b"partial\n"
        raise RuntimeError("asked to fail")
    return pieces()


APPS = {"hello": hello, "demo": demo, "environ": environ_app, "echo": echo, "count": count,
        "noread": noread, "sleep": sleep, "stderr": stderr, "status": status, "stream": stream,
        "bytes": bytes_app, "headers": headers, "fault": fault, "validated": demo}


def dispatch(name):
    """Section 4 of the contract: by CGIGATE_APP, else by the first segment of PATH_INFO."""
    def app(environ, start_response):
        chosen = APPS.get(name) if name else None
        if not name and environ.get("PATH_INFO", "") in ("", "/"):
            chosen = demo
        elif not name:
            chosen = APPS.get(shift_path_info(environ))
        return (chosen or not_found)(environ, start_response)
    return app


def not_found(environ, start_response):
    start_response("404 Not Found", list(TEXT))
    return [b"404 Not Found\n"]


def answer():
    """In the child: one request from this process's environment and stdin."""
    # Python may have added LC_CTYPE to os.environ; the kernel still has what was given.
    with open("/proc/self/environ", encoding="latin-1", newline="") as given:
        environ = dict(pair.split("=", 1) for pair in given.read().split("\0") if pair)
    ours = {k: environ.pop(k) for k in list(environ) if k.startswith("CGIGATE_")}
    environ.pop("HTTP_PROXY", None)
    iis = environ.get("SERVER_SOFTWARE", "").startswith("Microsoft-IIS/")
    wanted = ours.get("CGIGATE_HANDLER")
    if wanted:
        iis = wanted == "iis"
    os.environb.clear()
    os.environb.update({k.encode("latin-1"): v.encode("latin-1") for k, v in environ.items()})
    handler = IISCGIHandler() if iis else CGIHandler()
    cut = handler.base_env.get("PATH_INFO")
    handler.base_env = dict(environ)
    if iis and cut is not None:
        handler.base_env["PATH_INFO"] = cut
    handler.run(dispatch(ours.get("CGIGATE_APP")))


def environ_of(case):
    """The pairs of an `environ` file; a line that begins with TAB goes on with the value."""
    pairs = []
    with open(os.path.join(case, "environ"), "rb") as file:
        for line in file.read().split(b"\n")[:-1]:
            if line.startswith(b"\t"):
                pairs[-1][1] += b"\n" + line[1:]
            else:
                pairs.append(list(line.split(b"=", 1)))
    return {name: value for name, value in pairs}


def ask(case, environ=None, child=None):
    """CPython's answer to a case, or that of another child, maybe in another environment."""
    stdin = os.path.join(case, "stdin")
    with open(stdin if os.path.exists(stdin) else os.devnull, "rb") as body:
        child = child or [sys.executable, "-I", "-B", os.path.abspath(__file__), "--answer"]
        environ = environ or environ_of(case)
        done = subprocess.run(child, env=environ, stdin=body, capture_output=True)
    # A process that died of a signal has the exit status that a shell gives it.
    return done.stdout, done.returncode if done.returncode >= 0 else 128 - done.returncode


def read(case, name):
    path = os.path.join(case, name)
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def check(case):
    same = ask(case) == (read(case, "stdout"), int(read(case, "exit") or 0))
    says = os.path.exists(os.path.join(case, "differs"))
    if same and says:
        print("%s: says that it differs, and does not" % case)
    elif not same and not says:
        print("%s: differs from CPython and does not say why" % case)
    return same != says


MOST = 2 ** 64 - 1
UNITS = {b"": 1, b"k": 2 ** 10, b"m": 2 ** 20, b"g": 2 ** 30}


def refusal(environ):
    """What is answered before any application: D2 and D3, and values that cannot be read."""
    length = environ.get(b"CONTENT_LENGTH", b"")
    limit = re.fullmatch(rb"([0-9]+)([kKmMgG]?)", environ.get(b"CGIGATE_MAX_BODY", b"%d" % MOST))
    if environ.get(b"CGIGATE_HANDLER", b"") not in (b"", b"cgi", b"iis"):
        return b"500 Internal Server Error"
    if not limit:
        return b"500 Internal Server Error"
    if length in (b"", b"-1"):
        return None
    if not all(digit in b"0123456789" for digit in length):
        return b"400 Bad Request"
    most = int(limit[1]) * UNITS[limit[2].lower()]
    return b"413 Content Too Large" if int(length) > min(most, MOST) else None


def ruled(environ, python):
    """CPython's answer as the rules of the differences change it, and the rule if one does."""
    stdout, code = python
    status = refusal(environ)
    if status:
        text = status + b"\n"
        if status.startswith(b"500"):
            text = b"A server error occurred.  Please contact the administrator."
        stdout = b"Status: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
            status, len(text), text)
    if environ.get(b"REQUEST_METHOD") == b"HEAD":  # D5: the length stays, the body goes.
        stdout = stdout.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return (stdout, code), (stdout, code) != python


def against(executable, cases):
    """The differential run; one line for each case that differs without a rule."""
    failed = differ = 0
    for case in cases:
        for app in (b"demo", b"environ"):
            environ = environ_of(case)
            environ[b"CGIGATE_APP"] = app
            expected, by_rule = ruled(environ, ask(case, environ))
            got = ask(case, environ, [executable])
            differ += by_rule
            if got != expected:
                failed += 1
                print("%s, %s:\n   got %r\n  want %r" % (case, app.decode(), got, expected))
    print("%d of them differ as the rules say" % differ)
    print("%d passed, %d failed" % (2 * len(cases) - failed, failed))
    return bool(failed)


def all_cases():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "cgi")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def main(words):
    if words == ["--answer"]:
        answer()
    elif words[:1] == ["--check"]:
        cases = words[1:] or all_cases()
        failed = [case for case in cases if not check(case)]
        print("%d passed, %d failed" % (len(cases) - len(failed), len(failed)))
        return bool(failed)
    elif words[:1] == ["--against"] and words[1:]:
        return against(os.path.abspath(words[1]), words[2:] or all_cases())
    elif words[:1] == ["--write"]:
        for case in words[1:]:
            with open(os.path.join(case, "stdout"), "wb") as file:
                file.write(ask(case)[0])
    elif len(words) == 1 and os.path.isdir(words[0]):
        sys.stdout.buffer.write(ask(words[0])[0])
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
