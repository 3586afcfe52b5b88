"""The requests that go through every web server, and what must come back through it.

Three tables, since the server is started three times: with the applications below /app, on a Unix
socket; with one application at the root, on TCP; and with a gateway that has room for two requests.
"""

import os

from checks import (
    asked, comes, contains, either, full_house, goes_away, goes_away_early, is_cut, is_demo, kept,
    nothing_follows, refused, streamed, streamed_up, two_cookies, variables,
)  # fmt: skip

MIB = os.urandom(1 << 20)
FORM = "Content-Type: application/x-www-form-urlencoded"
BINARY = "Content-Type: application/octet-stream"
FAULT = "/fault?when=after&how=error"
SORRY = "A server error occurred.  Please contact the administrator."


def path(target, seen):
    """A path below `environ`, and the PATH_INFO that must be seen."""
    return asked("GET", "/environ" + target, contains(f"PATH_INFO={seen}\n"))


def method(name, **options):
    return asked(name, "/environ/x", variables(REQUEST_METHOD=name, PATH_INFO="/x"), **options)


def query(text):
    return asked("GET", f"/environ?{text}", variables(QUERY_STRING=text, SCRIPT_NAME="/environ"))


def field(check, *fields, **options):
    return asked("GET", "/environ", check, *fields, **options)


BELOW_A_PATH = {
    # Methods.
    "GET": asked(
        "GET", "/hello", comes(body="Hello World\n", Content_Type="text/plain; charset=utf-8")
    ),
    "HEAD": nothing_follows("HEAD", "/bytes?n=1000", 200, "1000"),
    "POST a form": asked(
        "POST", "/echo", comes(body="a=1&b=2", Content_Type=FORM[14:]), FORM, body=b"a=1&b=2"
    ),
    "POST of nothing": asked("POST", "/echo", comes(body="")),
    "POST without a length": asked("POST", "/count", comes(body="0\n"), length=False),
    "PUT": method("PUT", body=b"x"),
    "DELETE": method("DELETE"),
    "OPTIONS": method("OPTIONS"),
    "PATCH": method("PATCH", body=b"x"),
    "FROB": method("FROB"),
    "GET with a body": asked("GET", "/count", comes(body="5\n"), body=b"12345"),
    # Paths.
    "the mount alone": asked("GET", "", is_demo),
    "the mount and /": asked("GET", "/", is_demo),
    "an unknown application": asked("GET", "/nobody", comes(404)),
    "path and query": asked(
        "GET",
        "/environ/a/b?c=1&d=%20",
        variables(SCRIPT_NAME="/environ", PATH_INFO="/a/b", QUERY_STRING="c=1&d=%20"),
    ),
    "/caf%C3%A9": path("/caf%C3%A9", "/caf\xc3\xa9"),
    "/caf%E9, no UTF-8": path("/caf%E9", "/caf\xe9"),
    "raw bytes": path("/caf\xc3\xa9-\xe9", "/caf\xc3\xa9-\xe9"),
    "%20 and +": path("/a%20b+c", "/a b+c"),
    "%25": path("/a%2541%25", "/a%41%"),
    "%2F": path("/a%2Fb", "/a/b"),
    "/%2F..%2F": path("/a%2F..%2Fb", "/b"),
    "%3F and %23": path("/a%3Fb%23", "/a?b#"),
    ";": path("/a;b=c/..;/d", "/a;b=c/..;/d"),
    "%252F": path("/a%252Fb", "/a%2Fb"),
    "a line break": path("/a%0Ab", "/a\nb"),
    "//": path("//a//b/", "/a/b/"),
    "/../": path("/a/../b/./c", "/b/c"),
    "/%2E%2E/": path("/a/%2E%2E/b", "/b"),
    "/../ out of the application": asked("GET", "/environ/../hello", comes(body="Hello World\n")),
    "%00": asked("GET", "/environ/a%00b", refused),
    # Queries.
    "?": query(""),
    "?--help": query("--help"),
    "?-d+x": query("-d+allow_url_include%3D1"),
    "?--listen+:9": query("--listen+0.0.0.0:9"),
    "a query as it came": query("%2f+;a&&b=%C3%A9"),
    # Header fields.
    "a field twice": field(variables(HTTP_X_DUP="one, two"), "X-Dup: one", "X-Dup: two"),
    "a field 50 times": field(
        variables(HTTP_X_DUP=", ".join(map(str, range(50)))), *[f"X-Dup: {n}" for n in range(50)]
    ),
    "Cookie twice": field(
        variables(HTTP_COOKIE="a=1; b=2; c=3"), "Cookie: a=1", "Cookie: b=2; c=3"
    ),
    "an empty field": field(contains("\nHTTP_X_EMPTY=\n"), "X-Empty:"),
    "a field in Latin-1": field(variables(HTTP_X_LATIN1="caf\xe9"), "X-Latin1: caf\xe9"),
    "X_User spoofs X-User": field(variables(HTTP_X_USER="good"), "X_User: evil", "X-User: good"),
    "Proxy:": field(variables(HTTP_PROXY=None), "Proxy: http://evil.example.test/"),
    "Authorization:": field(
        variables(HTTP_AUTHORIZATION="Bearer abc"), "Authorization: Bearer abc"
    ),
    "a field of 6 KiB": field(variables(HTTP_X_LONG="x" * 6000), "X-Long: " + "x" * 6000),
    "50 fields": field(
        variables(**{f"HTTP_X_{n}": str(n) for n in range(50)}), *[f"X-{n}: {n}" for n in range(50)]
    ),
    "Host: with a port": field(
        variables(HTTP_HOST="www.example.test:81"), host="www.example.test:81"
    ),
    "an absolute target": asked(
        "GET",
        "http://www.example.test/environ/x",
        variables(PATH_INFO="/x", SCRIPT_NAME="/environ"),
    ),
    "an HTTP/1.0 client": asked("GET", "/hello", comes(body="Hello World\n"), version="1.0"),
    "and no Host:": asked("GET", "/environ", variables(HTTP_HOST=""), version="1.0", host=None),
    # Bodies.
    "two lengths": asked("POST", "/echo", refused, "Content-Length: 3", body=b"abcd"),
    "a length, and chunks": asked(
        "POST", "/echo", either(refused, comes(body="hello")), "Content-Length: 3", chunks=[b"hello"]
    ),
    "1 MiB up": asked("POST", "/count", comes(body="1048576\n"), BINARY, body=MIB),
    "1 MiB up and down": asked(
        "POST", "/echo", comes(body=MIB, Content_Type=BINARY[14:]), BINARY, body=MIB
    ),
    "1 MiB down": asked("GET", "/bytes?n=1048576", comes(body="x" * len(MIB))),
    "16 MiB up and down": asked("POST", "/echo", comes(body=MIB * 16), BINARY, body=MIB * 16),
    "12 bytes in chunks": asked(
        "POST", "/echo", comes(body="hello, world"), chunks=[b"hello, ", b"world"]
    ),
    "64 KiB in chunks": asked("POST", "/count", comes(body="65536\n"), chunks=[MIB[:8192]] * 8),
    "1 MiB in chunks": asked(
        "POST",
        "/echo",
        comes(body=MIB),
        chunks=[MIB[at : at + 9999] for at in range(0, len(MIB), 9999)],
    ),
    "chunks seen one by one": streamed_up,
    "Expect: 100-continue": asked(
        "POST", "/echo", comes(body="12345"), "Expect: 100-continue", body=b"12345"
    ),
    "1 MiB that nobody reads": asked("POST", "/noread", comes(body="ignored\n"), body=MIB),
    # Answers.
    "204": nothing_follows("GET", "/status?code=204", 204, "0"),
    "304": nothing_follows("GET", "/status?code=304", 304, "0"),
    "HEAD of a 404": nothing_follows("HEAD", "/status?code=404", 404, "14"),
    "302": asked(
        "GET", "/status?code=302&location=/x", comes(302, Location="/x", body="302 Found\n")
    ),
    "201 and Location": asked(
        "GET", "/status?code=201&location=http://h/x", comes(201, Location="http://h/x")
    ),
    "404": asked("GET", "/status?code=404", comes(404, body="404 Not Found\n")),
    "503": asked("GET", "/status?code=503", comes(503, body="503 Service Unavailable\n")),
    "418 and its words": asked("GET", "/status?code=418", comes(418, reason="I'm a teapot")),
    "a 100 is no answer": asked("GET", "/status?code=100", comes(500, body=SORRY)),
    "two Set-Cookie": asked("GET", "/headers?n=20", two_cookies),
    "250 fields, 7 KiB": asked("GET", "/headers?n=250", comes(body="250\n", X_250="250")),
    "a block at a time": asked("GET", "/stream?chunks=3&size=5&delay_ms=5", comes(body="x" * 15)),
    "blocks seen one by one": streamed,
    "an error is a 500": asked("GET", "/fault?how=error", comes(500, body=SORRY)),
    "a panic is a 500": asked("GET", "/fault?how=panic", comes(500, body=SORRY)),
    "a fault cuts the answer": is_cut(FAULT),
    "and one with a length": is_cut(FAULT + "&length=100"),
    "a line for the log": asked("GET", "/stderr", comes(body="logged\n")),
    # Connections.
    "two requests, one connection": kept,
    "a client goes away": goes_away,
    "a client goes away early": goes_away_early,
}

AT_THE_ROOT = {
    "at the root: /": asked("GET", "/", variables(PATH_INFO="/", SCRIPT_NAME="")),
    "at the root: /x/y": asked(
        "GET", "/x/y?a=1", variables(PATH_INFO="/x/y", SCRIPT_NAME="", QUERY_STRING="a=1")
    ),
    "at the root: %20, %C3%A9": asked("GET", "/a%20b/%C3%A9", variables(PATH_INFO="/a b/\xc3\xa9")),
    "at the root: /../": asked("GET", "/x/../y", variables(PATH_INFO="/y")),
    "at the root: POST": asked(
        "POST", "/x", variables(REQUEST_METHOD="POST", CONTENT_LENGTH="3"), FORM, body=b"a=1"
    ),
}

FULL_HOUSE = {"503 on a full house": full_house}
