"""What must come back.

A check is a function of an `Answer` and a `Site`, a behaviour one of a `Site` alone; both raise
`Wrong`.
"""

import concurrent.futures
import contextlib
import dataclasses
import re
import socket
import struct

import client


# In the place of a status: the server closed without a word.
NO_ANSWER = 0


class Wrong(Exception):
    """What came, and what should have; with the status, by which a refusal is known."""

    def __init__(self, why, status=None):
        super().__init__(why)
        self.status = status


def demand(holds, why, answer=None):
    if not holds:
        raise Wrong(why, answer and answer.status)


def comes(status=200, body=None, reason=None, **fields):
    """This status, this body whole, these fields (`Content_Type=...`)."""
    body = client.encoded(body) if body is not None else None

    def check(answer, _):
        said = f"{answer.status} {answer.reason}"
        demand(answer.status == status, f"{said}: {answer.body[:120]!r}", answer)
        demand(answer.whole, f"{said}: the answer was cut", answer)
        demand(reason in (None, answer.reason), f"{said}, and not {reason}", answer)
        if body is not None:
            begin = f"{len(answer.body)} bytes, {answer.body[:120]!r}"
            demand(answer.body == body, f"body: {begin}", answer)
        for name, value in fields.items():
            name = name.replace("_", "-")
            values = answer.values(name)
            demand(values == [value], f"{name}: {values}, and not {value!r}", answer)

    return check


def variables(status=200, **wanted):
    """The application `environ` saw these variables; None: it saw none of that name."""

    def check(answer, site):
        comes(status)(answer, site)
        seen = {}
        for line in answer.body.split(b"\n"):
            name, equals, value = line.partition(b"=")
            if equals:
                seen.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        # The path goes before what an application was asked for.
        for name, value in wanted.items():
            value = site.base + value if name == "SCRIPT_NAME" else value
            # An empty query may be none: HAProxy sends none (rule 20).
            same = seen.get(name) == value or (value == "" and name not in seen)
            demand(same, f"{name}: {seen.get(name)!r}, and not {value!r}", answer)

    return check


def contains(text, status=200):
    """For values with line breaks in them, which `environ` writes as they are."""

    def check(answer, site):
        comes(status)(answer, site)
        demand(client.encoded(text) in answer.body, f"no {text!r} in {answer.body[:400]!r}", answer)

    return check


def says(status):
    """In a header field, below the server's own 200."""

    def check(answer, site):
        comes(200)(answer, site)
        demand(answer.value("Status") == status, f"Status: {answer.value('Status')}", answer)

    return check


def a_part(body):
    """The beginning of this body, and nothing else."""

    def check(answer, _):
        begins = body.startswith(answer.body) and len(answer.body) < len(body)
        demand(begins, f"{len(answer.body)} bytes, {answer.body[:80]!r}", answer)

    return check


def refused(answer, _):
    """The web server's own refusal, whatever it says."""
    demand(400 <= answer.status < 600, f"{answer.status} {answer.reason}", answer)


def is_demo(answer, site):
    """wsgiref's demo_app: a greeting, an empty line, the environ sorted."""
    comes(200)(answer, site)
    lines = answer.body.decode("latin-1").splitlines()
    demand(lines[:2] == ["Hello world!", ""], f"not demo_app: {lines[:3]}", answer)
    names = [line.split(" = ")[0] for line in lines[2:] if " = " in line]
    demand(names == sorted(names) and "REQUEST_METHOD" in names, f"its names: {names}", answer)


def two_cookies(answer, site):
    comes(200, body="20\n", X_1="1", X_20="20")(answer, site)
    cookies = answer.values("Set-Cookie")
    demand(cookies == ["a=1", "b=2"], f"Set-Cookie: {cookies}", answer)


def has_no_body(*lengths):
    """No byte follows the head; a length that is told is the one that GET would have."""

    def check(answer, _):
        told = answer.value("Content-Length")
        demand(told in (None, *lengths), f"Content-Length: {told}", answer)
        demand(answer.body == b"", f"a body: {answer.body[:80]!r}", answer)

    return check


def either(one, other):
    def check(answer, site):
        try:
            one(answer, site)
        except Wrong:
            other(answer, site)

    return check


# --- behaviours: functions of a `Site` alone ---


@dataclasses.dataclass
class Asked:
    """One request, and what must come back."""

    method: str
    target: str
    check: object
    fields: tuple
    options: dict

    def __call__(self, site):
        data = client.request(self.method, at(site, self.target), *self.fields, **self.options)
        try:
            answer = client.ask(site.port, self.method, data)
        except client.Cut as cut:
            raise Wrong(f"no answer: {cut}", NO_ANSWER) from cut
        self.check(answer, site)

    def but(self, check):
        return dataclasses.replace(self, check=check)


def asked(method, target, check, *fields, **options):
    return Asked(method, target, check, fields, options)


def at(site, target):
    base = client.encoded(site.base)
    target = client.encoded(target)
    scheme = b"http://www.example.test"
    if target.startswith(scheme):
        return scheme + base + target[len(scheme):]  # fmt: skip
    return base + target


def nothing_follows(method, target, status, *lengths):
    """An answer without a body: on a connection that is kept, the next one comes right behind."""

    def behaviour(site):
        with client.Connection(site.port) as connection:
            connection.send(client.request(method, at(site, target), close=False))
            answer = connection.answer(method)
            demand(answer.status == status, f"{answer.status} {answer.reason}", answer)
            has_no_body(*lengths)(answer, site)
            next_is_hello(connection, answer, site)

    return behaviour


def next_is_hello(connection, answer, site):
    """The next answer, unless the server closes: then nothing but the end may come."""
    if "close" in (answer.value("Connection") or "").lower() or (
        "keep-alive" not in (answer.value("Connection") or "keep-alive").lower()
    ):
        rest = connection.rest()
        demand(rest == b"", f"after the answer: {rest[:80]!r}", answer)
        return
    try:
        connection.send(client.request("GET", at(site, "/hello")))
        hello = connection.answer()
    except (client.Cut, OSError) as cut:
        # HTTP/1.0 servers and busybox close without a word.
        demand(cut.args == (b"",) or isinstance(cut, OSError), f"after the answer: {cut}", answer)
        return
    comes(200, body="Hello World\n")(hello, site)


def kept(site):
    with client.Connection(site.port) as connection:
        connection.send(client.request("POST", at(site, "/count"), body=b"12345", close=False))
        answer = connection.answer()
        comes(200, body="5\n")(answer, site)
        next_is_hello(connection, answer, site)


def is_cut(target):
    """A fault after the first block: no client may take that for a whole answer."""

    def behaviour(site):
        try:
            answer = client.ask(site.port, "GET", client.request("GET", at(site, target)))
        except client.Cut:
            return
        # A server that gathers the answer has not begun its own, and can say so.
        said = f"{answer.status}, {answer.body!r}, framed as whole"
        demand(not answer.whole or answer.status >= 500, said, answer)

    return behaviour


def cut_or_whole(target):
    """Where chance has it: one answer, of which nothing is known but that it adds nothing."""

    def check(answer, _):
        begins = answer.status >= 500 or b"partial\n".startswith(answer.body)
        demand(begins, f"{answer.status}, {answer.body[:200]!r}", answer)

    def behaviour(site):
        try:
            asked("GET", target, check)(site)
        except Wrong as wrong:
            if wrong.status != NO_ANSWER:
                raise

    return behaviour


def page_behind(target):
    """The server's own words follow."""

    def check(answer, site):
        comes(200)(answer, site)
        words = answer.body.removeprefix(b"partial\n<!DOCTYPE ")
        demand(words != answer.body and b"500" in words, f"{answer.body[:200]!r}", answer)

    return asked("GET", target, check)


def looks_whole(target):
    """What such a fault looks like where the server cannot tell (rule 12)."""
    return asked("GET", target, comes(200, body="partial\n"))


def blocks(site):
    """How far apart in time two blocks came."""
    target = at(site, "/stream?chunks=2&size=5&delay_ms=1500")
    answer = client.ask(site.port, "GET", client.request("GET", target))
    comes(200, body="x" * 10)(answer, site)
    return answer.pieces[-1][0] - answer.pieces[0][0]


def streamed(site):
    """The first block is read while the application still waits to make the second."""
    demand(blocks(site) > 0.5, "both blocks came at once")


def gathered(site):
    demand(blocks(site) < 0.5, "the blocks came one by one")


def send_first(connection, site):
    """The first of two chunks."""
    head = client.request("POST", at(site, "/echo"), "Transfer-Encoding: chunked", length=False)
    connection.send(head + b"5\r\nfirst\r\n")


def streamed_up(site):
    """What was sent comes back while the body goes on."""
    with client.Connection(site.port) as connection:
        send_first(connection, site)
        # Behind nginx the gateway waits a second for a body that stands still (rule 16).
        connection.socket.settimeout(4)
        try:
            status, _, _ = connection.head()
            while b"first" not in connection.buffer and connection.more():
                pass
        except TimeoutError:
            raise Wrong("nothing came back before the end of the body") from None
        if b"first" not in connection.buffer:
            raise Wrong(f"{status}: {connection.buffer[:80]!r}", status)
        connection.socket.settimeout(client.TIMEOUT)
        connection.send(b"4\r\nlast\r\n0\r\n\r\n")
        demand(b"last" in connection.rest(), "the rest did not come back")


def gathered_up(site):
    """The answer is whole, and begins when the whole body was sent."""
    with client.Connection(site.port) as connection:
        send_first(connection, site)
        connection.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            connection.more()
        demand(connection.buffer == b"", f"before the end: {connection.buffer[:80]!r}")
        connection.socket.settimeout(client.TIMEOUT)
        connection.send(b"4\r\nlast\r\n0\r\n\r\n")
        comes(200, body="firstlast")(connection.answer(), site)


def the_first_chunk(site):
    """What came first is all that comes back."""
    with client.Connection(site.port) as connection:
        send_first(connection, site)
        comes(200, body="first")(connection.answer(), site)


def goes_away(site):
    """A client that hangs up in the middle of an answer: nobody else notices, nothing is logged."""
    before = len(site.rig.said("gateway"))
    with client.Connection(site.port) as connection:
        connection.send(client.request("GET", at(site, "/stream?chunks=200&size=16384&delay_ms=2")))
        connection.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            connection.more()
        hang_up(connection)
    hello(site)
    said = site.rig.said("gateway")[before:]
    demand(not said, f"logged: {said}")


def goes_away_early(site):
    """A client that hangs up in the middle of its body."""
    head = client.request("POST", at(site, "/count"), "Content-Length: 1000", length=False)
    with client.Connection(site.port) as connection:
        connection.send(head + b"12345")
        hang_up(connection)
    hello(site)


def hang_up(connection):
    """By a reset, as from a client that was killed."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


hello = asked("GET", "/hello", comes(200, body="Hello World\n"))


def full_house(site):
    """More at once than threads and queue have room for: a real 503, and the others are served."""

    def sleeper(_):
        data = client.request("GET", at(site, "/sleep?ms=300"))
        return client.ask(site.port, "GET", data)

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(sleeper, range(8)))
    served = [answer for answer in answers if answer.status == 200]
    turned_away = [answer for answer in answers if answer.status == 503]
    statuses = [answer.status for answer in answers]
    demand(served and turned_away, f"{statuses}")
    demand(len(served) + len(turned_away) == 8, f"{statuses}")
    demand(all(answer.value("Retry-After") for answer in turned_away), "no Retry-After")
    hello(site)


def many(count, at_a_time, target="/hello", status=200):
    """So many requests over so many connections that are kept."""

    def one(site, share):
        seen, connection, used = 0, client.Connection(site.port), False
        while share:
            try:
                connection.send(client.request("GET", at(site, target), close=False))
                answer = connection.answer()
            except (client.Cut, OSError):
                # Apache closes kept connections without a word when it is busy; new ones it may not.
                if not used:
                    raise
                answer = None
            else:
                seen, share, used = seen + (answer.status == status), share - 1, True
            if answer is None or "close" in (answer.value("Connection") or ""):
                connection.socket.close()
                connection, used = client.Connection(site.port), False
        connection.socket.close()
        return seen

    def behaviour(site):
        share = count // at_a_time
        with concurrent.futures.ThreadPoolExecutor(at_a_time) as clients:
            seen = sum(clients.map(lambda _: one(site, share), range(at_a_time)))
        demand(seen == share * at_a_time, f"{seen} of {share * at_a_time} answered {status}")

    return behaviour


def logged(pattern, *names):
    """A line like this is in one of these logs of the set-up."""

    def behaviour(site):
        text = "".join(site.rig.said(name) for name in names)
        demand(re.search(pattern, text), f"not in {', '.join(names)}: {text[-500:]}")

    return behaviour
