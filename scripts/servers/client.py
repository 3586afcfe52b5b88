"""An HTTP/1.1 client that says exactly what it is told, and tells exactly what came."""

import dataclasses
import socket
import threading
import time

TIMEOUT = 60


@dataclasses.dataclass
class Answer:
    status: int
    reason: str
    fields: list
    body: bytes
    # (seconds since the request, bytes): each piece of the body when it was read.
    pieces: list
    # Whether it ended where its own framing says.
    whole: bool

    def values(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def value(self, name):
        values = self.values(name)
        return values[0] if values else None


class Cut(Exception):
    """The connection ended before there was an answer."""


def request(method, target, *fields, body=b"", length=True, chunks=None, version="1.1",
            host="www.example.test", close=True):  # fmt: skip
    """The bytes of a request. `chunks`: the body in pieces, with `Transfer-Encoding: chunked`."""
    lines = [method.encode() + b" " + encoded(target) + b" HTTP/" + version.encode()]
    if host:
        lines.append(b"Host: " + host.encode())
    lines += [encoded(field) for field in fields]
    if chunks is not None:
        lines.append(b"Transfer-Encoding: chunked")
        pieces = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk]
        body = b"".join([*pieces, b"0\r\n\r\n"])
    elif body or (length and method in ("POST", "PUT", "DELETE", "FROB")):
        lines.append(b"Content-Length: %d" % len(body))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, b"", b""]) + body


def encoded(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


class Connection:
    """A connection to a web server on loopback."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.begun = b"", time.monotonic()
        self.sender = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        if self.sender:
            self.sender.join()

    def send(self, data):
        """Sends while the answer is read: a server may answer before it has read it all."""
        self.begun = time.monotonic()
        if len(data) < 16384:
            self.socket.sendall(data)
        else:
            self.sender = threading.Thread(target=self.send_all, args=(data,), daemon=True)
            self.sender.start()

    def send_all(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # The answer says what is thought of that.

    def more(self):
        """Reads on; false at the end."""
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.buffer += piece
        return piece != b""

    def line(self):
        while b"\n" not in self.buffer:
            if not self.more():
                raise Cut(self.buffer[:200])
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def head(self):
        """Status line and fields of the final answer; 100 Continue is passed over."""
        while True:
            words = self.line().decode("latin-1").split(" ", 2)
            if not words[0].startswith("HTTP/1."):
                raise Cut(f"no status line: {words}")
            fields = []
            while line := self.line():
                name, _, value = line.decode("latin-1").partition(":")
                fields.append((name, value.strip(" ")))
            if words[1] != "100":
                return int(words[1]), " ".join(words[2:]), fields

    def answer(self, method="GET"):
        status, reason, fields = self.head()
        answer = Answer(status, reason, fields, b"", [], True)
        length = answer.value("Content-Length")
        if method == "HEAD" or status in (204, 304):
            pass
        elif "chunked" in (answer.value("Transfer-Encoding") or "").lower():
            answer.whole = self.chunks(answer)
        elif length is not None:
            answer.whole = self.bytes(answer, int(length))
        else:
            while self.take(answer, len(self.buffer)) or self.more():
                pass
        return answer

    def take(self, answer, count):
        """Moves what has come, up to so many bytes, into the body."""
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        if piece:
            answer.body += piece
            answer.pieces.append((time.monotonic() - self.begun, piece))
        return len(piece)

    def bytes(self, answer, count):
        while count := count - self.take(answer, count):
            if not self.buffer and not self.more():
                return False
        return True

    def chunks(self, answer):
        try:
            while size := int(self.line().split(b";")[0], 16):
                if not self.bytes(answer, size):
                    return False
                self.line()
            while self.line():
                pass
        except (Cut, ValueError):
            return False
        return True

    def rest(self):
        """What comes until the server closes."""
        while self.more():
            pass
        return self.buffer


def ask(port, method, data):
    with Connection(port) as connection:
        connection.send(data)
        return connection.answer(method)
