#!/usr/bin/env python3
"""Vectors that chance makes, with what CPython's wsgiref answers: more of fixtures/vectors.

    scripts/chance.py FOLDER [SEED [COUNT]]   COUNT cases of each kind, by default 1000, of seed 1

    CGIGATE_VECTORS=FOLDER cargo test --test vectors

runs them through this crate, under the rules of docs/differences.md. Another seed is another
thousand; what comes out wrong is a fault of the crate, or a difference that nobody wrote down, or one
that the rules of the test do not foresee. Here are `headers`, `util`, `handlers` (in process) and
`validate`; what each key of a case means is in `about` of the files in fixtures/vectors.

Of what Python has changed since this Python, one thing counts: control characters are refused.
"""

import builtins
import copy
import io
import json
import os
import random
import re
import sys
import time
import warnings
from wsgiref import handlers, headers, util, validate

CONTROL = re.compile("[\x00-\x1f\x7f]")
CONTROL_BUT_TAB = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


class Headers(headers.Headers):
    """As Python 3.15 has it."""

    def _check(self, text, pattern):
        if pattern.search(text):
            raise ValueError("Control characters not allowed in headers")

    def __init__(self, fields=None):
        for name, value in fields or []:
            self._check(name, CONTROL)
            self._check(value, CONTROL_BUT_TAB)
        super().__init__(fields)

    def get(self, name, default=None):
        self._check(name, CONTROL)
        return super().get(name, default)

    def get_all(self, name):
        self._check(name, CONTROL)
        return super().get_all(name)

    def __delitem__(self, name):
        self._check(name, CONTROL)
        super().__delitem__(name)

    def __setitem__(self, name, value):
        del self[name]
        self._check(value, CONTROL_BUT_TAB)
        super().__setitem__(name, value)

    def setdefault(self, name, value):
        if name not in self:
            self._check(value, CONTROL_BUT_TAB)
        return super().setdefault(name, value)

    def add_header(self, name, value, **params):
        self._check(value or "", CONTROL_BUT_TAB)
        for key, text in params.items():
            self._check(key, CONTROL)
            self._check(text or "", CONTROL_BUT_TAB)
        self._check(name, CONTROL)
        super().add_header(name, value, **params)


class New:
    """start_response of Python 3.15, for handlers."""

    headers_class = Headers

    def start_response(self, status, fields, exc_info=None):
        # What Headers finds comes first, and both come behind what wsgiref asks first of all.
        if CONTROL.search(status) and (exc_info or self.headers is None) and not self.headers_sent:
            self.status, self.headers = status, self.headers_class(fields)
            raise ValueError("Control characters are not allowed in status")
        return super().start_response(status, fields, exc_info)


class SimpleHandler(New, handlers.SimpleHandler):
    pass


class BaseCGIHandler(New, handlers.BaseCGIHandler):
    pass


def outcome(call):
    try:
        return {"result": call()}
    except Exception as exc:
        return {"raise": type(exc).__name__, "message": str(exc)}


def pairs(fields):
    return [tuple(field) for field in fields]


class Described:
    """The application that a case describes."""

    def __init__(self, app):
        self.app, self.called, self.closed, self.seen, self.input = app, 0, 0, None, None

    def fail_if(self, when):
        if self.app["raise"] == when:
            kind = getattr(builtins, self.app.get("raise_type", "RuntimeError"))
            raise kind(self.app.get("raise_message", when))

    def start(self, start_response):
        app, mode = self.app, self.app["start_response"]
        if mode != "never":
            write = start_response(app["status"], pairs(app["headers"]))
            for data in app["write_calls"]:
                write(data.encode("latin-1"))
            status, fields = app.get("second", ["202 Accepted", [["X-Second", "2"]]])
            if mode == "twice":
                start_response(status, pairs(fields))
            elif mode == "twice_with_exc_info":
                try:
                    raise RuntimeError("recovered")
                except RuntimeError:
                    start_response(status, pairs(fields), sys.exc_info())
        self.fail_if("after")

    def __call__(self, environ, start_response):
        self.called += 1
        self.seen = {key: shown(key, environ[key]) for key in SEEN if key in environ}
        if "read" in self.app:
            self.input = environ["wsgi.input"].read(self.app["read"]).decode("latin-1")
        self.fail_if("before")
        late = self.app.get("start_when") == "iteration"
        if not late:
            self.start(start_response)
        if self.app["file_wrapper"]:
            file = io.BytesIO(self.app["file_wrapper"]["data"].encode("latin-1"))
            size = self.app["file_wrapper"]["blksize"]
            return util.FileWrapper(file, size) if size else util.FileWrapper(file)
        return self.body(start_response if late else None)

    def body(self, start_response):
        outer, app = self, self.app

        class Body:
            def __iter__(self):
                if start_response:
                    outer.start(start_response)
                for at, chunk in enumerate(app["chunks"] + [None]):
                    if at == app.get("raise_at", 0):
                        outer.fail_if("during")
                    if chunk is not None:
                        yield chunk.encode("latin-1")

        def close(_):
            outer.closed += 1
            outer.fail_if("close")

        if app.get("sized", True):
            Body.__len__ = lambda _: len(app["chunks"])
        if app["close"]:
            Body.close = close
        return Body()


SEEN = ["wsgi.version", "wsgi.url_scheme", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once",
        "wsgi.file_wrapper", "wsgi.input", "wsgi.errors", "SERVER_SOFTWARE", "SCRIPT_NAME",
        "PATH_INFO", "QUERY_STRING", "HTTP_X"]


def shown(key, value):
    if key in ("wsgi.file_wrapper", "wsgi.input", "wsgi.errors"):
        return True
    return list(value) if isinstance(value, tuple) else value


def run_headers(case):
    try:
        fields = Headers(None if case["init"] is None else pairs(case["init"]))
    except ValueError as exc:
        return {"init": {"raise": "ValueError", "message": str(exc)}}
    does = {
        "get": lambda op: fields.get(op["name"]),
        "get_default": lambda op: fields.get(op["name"], op["default"]),
        "getitem": lambda op: fields[op["name"]],
        "set": lambda op: fields.__setitem__(op["name"], op["value"]),
        "del": lambda op: fields.__delitem__(op["name"]),
        "setdefault": lambda op: fields.setdefault(op["name"], op["value"]),
        "get_all": lambda op: fields.get_all(op["name"]),
        "contains": lambda op: op["name"] in fields,
        "len": lambda _: len(fields),
        "keys": lambda _: fields.keys(),
        "values": lambda _: fields.values(),
        "items": lambda _: [list(field) for field in fields.items()],
        "add_header": lambda op: fields.add_header(op["name"], op["value"], **dict(op["params"])),
        "str": lambda _: str(fields),
    }
    results = [outcome(lambda: does[op["op"]](op)) for op in case["ops"]]
    items = [list(field) for field in fields.items()]
    return {"results": results, "items": items, "bytes": bytes(fields).decode("latin-1")}


def run_util(case):
    if case["fn"] == "is_hop_by_hop":
        return outcome(lambda: util.is_hop_by_hop(case["name"]))
    environ, function = dict(case["environ"]), getattr(util, case["fn"])
    if case["fn"] != "shift_path_info":
        return outcome(lambda: function(environ))
    steps = []
    for _ in range(case["calls"]):
        step = outcome(lambda: function(environ))
        if "result" in step:
            step = {"name": step["result"], "SCRIPT_NAME": environ.get("SCRIPT_NAME"),
                    "PATH_INFO": environ.get("PATH_INFO")}
        steps.append(step)
    return {"steps": steps}


def run_handlers(case):
    told, app = case["handler"], Described(case["app"])
    stdin, stdout = io.BytesIO(case["stdin"].encode("latin-1")), io.BytesIO()
    kind = {"SimpleHandler": SimpleHandler, "BaseCGIHandler": BaseCGIHandler}[told["kind"]]
    handler = kind(stdin, stdout, io.StringIO(), dict(case["environ"]))
    handler.os_environ = {}
    for key in ("http_version", "server_software", "error_status"):
        if key in told:
            setattr(handler, key, told[key])
    run = outcome(lambda: handler.run(app))
    year = str(time.gmtime().tm_year)
    date = r"(?<=\r\nDate: )\w{3}, \d\d \w{3} " + year + r" [\d:]{8} GMT"
    said = handler.get_stderr().getvalue().rstrip("\n").split("\n")[-1]
    return {"stdout": re.sub(date, "{DATE}", stdout.getvalue().decode("latin-1"), count=1),
            "closed": app.closed if case["app"]["close"] else None, "error": said or None,
            "run": run if "raise" in run else None, "called": app.called, "seen": app.seen,
            "input": app.input}


def run_validate(case):
    streams = {"<input>": io.BytesIO, "<errors>": io.StringIO}
    environ = {key: tuple(value) if isinstance(value, list) else value
               for key, value in case["environ"].items()}
    environ.update({key: streams[value]() for key, value in environ.items() if value in streams})
    told, body, server = {"status": None, "headers": None}, [], case["server"]
    failed = {"raise": None, "message": None, "stage": None}

    def start_response(status, fields, exc_info=None):
        told.update(status=status, headers=[list(field) for field in fields])
        return lambda data: body.append(data.decode("latin-1"))

    def step(stage, call):
        came = outcome(call)
        if "raise" in came and not failed["raise"]:
            failed.update(came, stage=stage)
        return came.get("result")

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        app = validate.validator(Described(case["app"]))
        iterator = step("call", lambda: app(environ, start_response))
        if iterator is not None:
            step("iterate", lambda: body.extend(block.decode("latin-1") for block in iterator))
            step("close", iterator.close)
    said = [str(one.message) for one in heard if one.category is validate.WSGIWarning]
    return {**failed, **told, "warnings": said, "body": body, "stderr": "", "dropped": None}


class Chance(random.Random):
    """What is in a case, by grammar: mostly what could be, with a little of what should not."""

    def maybe(self, chance):
        return self.random() < chance

    def text(self, letters, most):
        return "".join(self.choice(letters) for _ in range(self.randint(0, most)))

    def some(self, most, make):
        return [make() for _ in range(self.randint(0, most))]

    def name(self):
        if self.maybe(0.1):
            return self.text("aZ0 -_.:\"'\t\r\n\x00\x7f\u00e9\u0085\u00ff/;=", 4)
        return self.choice(
            "Content-Type content-type Content-Length X-A x-a x_foo Set-Cookie Date Server Location "
            "Status A ETag X Vary Connection TE te Upgrade Trailers 1X _X X- a!b".split())

    def value(self):
        if self.maybe(0.1):
            return self.text("a0 ;=,\"'\\\t\r\n\x00\x7f\u00e9\u0085\u00ff", 6)
        return self.choice(["", "text/plain", "a", "1", " x ", 'a; b="c"', "caf\u00e9", "a\tb"])

    def field(self):
        return [self.name(), self.value()]

    def headers(self):
        names = ("get get_default getitem set set del setdefault get_all contains len keys values "
                 "items add_header add_header str").split()
        params = "filename charset a_b a-b _ q".split()
        ops = [{"op": self.choice(names)} for _ in range(self.randint(1, 9))]
        for op in ops:
            if op["op"] not in ("len", "keys", "values", "items", "str"):
                op["name"] = self.name()
            if op["op"] in ("set", "setdefault", "add_header"):
                op["value"] = self.value()
            if op["op"] == "get_default":
                op["default"] = self.choice([None, "", "d"])
            if op["op"] == "add_header":
                op["value"] = self.choice([None, op["value"]])
                op["params"] = [[name, self.choice([None, "", self.value()])]
                                for name in self.sample(params, self.randint(0, 3))]
        return {"init": self.choice([None, self.some(4, self.field)]), "ops": ops}

    def path(self):
        segments = ["", "", ".", "..", "a", "bc", "...", ".a", " ", "%2F", "\u00e9", ";v=1", "a,b", "?"]
        return "".join("/" + self.choice(segments) for _ in range(self.randint(0, 6)))

    def util(self):
        function = self.choice(["guess_scheme", "application_uri", "request_uri", "is_hop_by_hop",
                                "shift_path_info", "shift_path_info"])
        if function == "is_hop_by_hop":
            return {"fn": function, "name": self.name()}
        environ = {
            "wsgi.url_scheme": self.choice(["http", "https"]),
            "HTTPS": self.choice(["yes", "on", "1", "ON", "0", "off", "", " on"]),
            "HTTP_HOST": self.choice(["h", "h:80", "h:443", "", "[::1]:80", "\u00e9"]),
            "SERVER_NAME": self.choice(["s", "127.0.0.1", ""]),
            "SERVER_PORT": self.choice(["80", "443", "8080", "", "080"]),
            "SCRIPT_NAME": self.choice(["", "/", "//a", "a", self.path()]),
            "PATH_INFO": self.choice(["", "/", "p", self.path(), self.path()]),
            "QUERY_STRING": self.choice(["", "a=b", "?", "q=\u00e9"]),
        }
        environ = {key: value for key, value in environ.items() if self.maybe(0.9)}
        calls = {"calls": self.randint(1, 5)} if function == "shift_path_info" else {}
        return {"fn": function, "environ": environ, **calls}

    def status(self):
        if self.maybe(0.8):
            return self.choice(["200 OK", "404 Not Found", "204 No Content", "304 Not Modified", "500 x"])
        return self.choice(["200", "200 ", "20 OK", "2000 OK", "999 x", "100 Continue", "199 x", "abc def",
                            "", "200\tOK", "200  OK", " 200 OK", "099 x", "+20 x", "2\u00b20 x",
                            "200 O\u00e9", "200 O\nK", "200-OK", "600 ", "1 0 x"])

    def response(self):
        fields = [["Content-Type", "text/plain"]]
        if self.maybe(0.3):
            length = self.choice("0 1 2 5 6 99 05 +5 5,5 abc".split())
            fields.append([self.choice(["Content-Length", "content-length"]), length])
        return [self.status(), fields + self.some(1, self.field)]

    def app(self):
        blocks = ["", "a", "hello", "x\r\n", "\u00ff\x00"]
        status, fields = self.response()
        app = {"status": status, "headers": fields, "chunks": self.choices(blocks, k=self.randint(0, 3)),
               "write_calls": self.choices(blocks, k=self.choice([0, 0, 0, 1, 2])), "exc_info": False,
               "start_response": self.choice(["once"] * 8 + ["never", "twice", "twice_with_exc_info"]),
               "raise": self.choice(["none"] * 6 + ["before", "after", "during"]),
               "file_wrapper": None, "close": self.maybe(0.5), "sized": self.maybe(0.8)}
        if app["start_response"].startswith("twice") and self.maybe(0.6):
            app["second"] = self.response()
        if app["raise"] == "during":
            app["raise_at"] = self.randint(0, 3)
        if self.maybe(0.15):
            app["start_when"] = "iteration"
        return app

    def handlers(self):
        handler = {"kind": self.choice(["SimpleHandler", "BaseCGIHandler"])}
        for key, values in (("http_version", ["1.0", "1.1"]), ("server_software", ["Test/1.0", ""]),
                            ("error_status", ["503 Busy"])):
            if self.maybe(0.3):
                handler[key] = self.choice(values)
        environ = {"REQUEST_METHOD": self.choice(["GET", "POST", "head", ""]), "SERVER_NAME": "localhost",
                   "SERVER_PORT": "80", "SCRIPT_NAME": self.path(), "PATH_INFO": self.path(),
                   "SERVER_PROTOCOL": self.choice(["HTTP/1.0", "HTTP/1.1", "INCLUDED", "HTTP/0.90", ""])}
        extra = {"HTTPS": self.choice(["on", "ON", "1"]), "HTTP_X": "\u00e9", "SERVER_SOFTWARE": "x/1"}
        environ.update({key: value for key, value in extra.items() if self.maybe(0.2)})
        app, stdin = self.app(), self.text("ab\n\u00e9", 9)
        if self.maybe(0.2):
            app["read"] = self.choice([-1, 0, 3, 100])
        elif self.maybe(0.1):
            data = {"data": self.text("ab\n\u00e9", 20), "blksize": self.choice([None, 1, 5])}
            app.update(file_wrapper=data, close=False, **{"raise": "none"})
            app.pop("start_when", None)
        return {"handler": handler, "environ": environ, "stdin": stdin, "app": app}

    def validate(self):
        environ = {
            "REQUEST_METHOD": self.choice(["GET"] * 6 + ["HEAD", "POST", "CONNECT", "get", ""]),
            "SCRIPT_NAME": self.choice(["", "", "/s", "/", "s", "//"]),
            "PATH_INFO": self.choice(["/", "/x", "", "x", "*", "//"]), "QUERY_STRING": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.0",
        }
        environ = {key: value for key, value in environ.items() if self.maybe(0.97)}
        if self.maybe(0.1):
            environ["CONTENT_LENGTH"] = self.choice(["0", "5", "", "abc", "-1", "+5", " 5", "1_0", "00"])
        if self.maybe(0.03):
            environ["HTTP_CONTENT_TYPE"] = ""
        environ.update({"wsgi.version": [1, 0], "wsgi.url_scheme": "http", "wsgi.input": "<input>",
                        "wsgi.errors": "<errors>", "wsgi.multithread": False,
                        "wsgi.multiprocess": self.maybe(0.5), "wsgi.run_once": False})
        server = {"consume": -1, "close": True, "read_after_close": False}
        return {"environ": environ, "app": self.app(), "server": server}


RUN = {"headers": run_headers, "util": run_util, "handlers": run_handlers, "validate": run_validate}


def main(words):
    if not 1 <= len(words) <= 3 or words[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folder, seed, count = words[0], *(map(int, words[1:] + ["1", "1000"][len(words) - 1:]))
    os.makedirs(folder, exist_ok=True)
    for kind, run in RUN.items():
        chance, cases = Chance(seed), []
        for at in range(count):
            case = getattr(chance, kind)()
            expect = run(copy.deepcopy(case))
            cases.append({"name": "%d of seed %d" % (at, seed), "input": case, "expect": expect})
        with open(os.path.join(folder, kind + ".json"), "w") as file:
            json.dump({"cases": cases}, file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
