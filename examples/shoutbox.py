"""A shoutbox: what people say, kept in a file, a line each. Its twin in Rust is shoutbox.rs."""

import html
import os
from urllib.parse import parse_qs

SHOUTS = os.environ.get("SHOUTS", "shouts.txt")

HEAD = "<!DOCTYPE html>\n<form method=post><input name=text><button>Shout</button></form>\n<ul>\n"


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    if path not in ("", "/"):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is only one page.\n"]
    if environ["REQUEST_METHOD"] == "POST":
        return shout(environ, start_response)
    return page(environ, start_response)


def shout(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    form = environ["wsgi.input"].read(min(length, 10_000))
    fields = parse_qs(form.decode("utf-8", "replace"))
    text = " ".join(fields.get("text", [""])[-1].split())
    if not text:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"Say something.\n"]
    with open(SHOUTS, "a", encoding="utf-8") as shouts:
        shouts.write(text + "\n")
    print("shouted", len(text), file=environ["wsgi.errors"])
    start_response("303 See Other", [("Location", environ["SCRIPT_NAME"] + "/")])
    return []


def page(environ, start_response):
    try:
        shouts = open(SHOUTS, encoding="utf-8")
    except FileNotFoundError:
        shouts = []
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    yield HEAD.encode()
    for line in shouts:
        text = html.escape(line.strip(), quote=False)
        yield f"<li>{text}</li>\n".encode()
    yield b"</ul>\n"


if __name__ == "__main__":
    from wsgiref.handlers import CGIHandler

    CGIHandler().run(application)
