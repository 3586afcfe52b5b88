"""Applications that take time: a hello beside those that sleep, and those that compute."""

import json
import os
import random
import socket
import struct
import subprocess
import threading
import time

import peers
from measure import GENERATOR
from processes import Responder, prepare_child
from tables import number, spread, table

CONNECTIONS = 8


def run(rig):
    rig.progress("apps")
    sleeping(rig)
    computing(rig)


# --- all threads but one asleep ---

def sleeping(rig):
    rounds = []
    for _ in range(rig.rounds):
        with Responder(rig, "cgigate") as responder:
            rounds.append(beside_sleepers(responder.socket, max(1.0, rig.seconds)))
    rig.raw["sleeping"] = rounds
    print("#### A hello now and then, while 3 of 4 threads sleep 100 ms in applications\n")
    table(["", "p50 ms", "p99 ms", "longest ms"],
          [[name, *(spread([each[name][at] for each in rounds]) for at in range(3))]
           for name in ("at the first block", "then")])


def beside_sleepers(path, seconds):
    """Asked at random moments on kept connections: a generator that waits for each answer before
    it asks again would hide a long one behind many short ones."""
    kept = [connect(path) for _ in range(CONNECTIONS)]
    for each in kept:
        hello(each)
    stop = threading.Event()
    sleepers = [threading.Thread(target=sleep_on, args=(path, stop)) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    first = probe(kept, 0.2)
    then = probe(kept, seconds)
    stop.set()
    for sleeper in sleepers:
        sleeper.join()
    for each in kept:
        each.close()
    return {"at the first block": first, "then": then}


def probe(kept, seconds):
    """p50, p99 and the longest, in milliseconds."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        hello(random.choice(kept))
        took.append((time.perf_counter() - began) * 1e3)
        time.sleep(random.random() * 0.002)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100], took[-1]


def sleep_on(path, stop):
    with connect(path) as own:
        while not stop.is_set():
            ask(own, b"/sleep", b"ms=100")


def connect(path):
    own = socket.socket(socket.AF_UNIX)
    own.connect(path)
    own.settimeout(10)
    return own


def hello(own):
    ask(own, b"/hello", b"")


def ask(own, path, query):
    """One request on a kept connection (FastCGI 1.0, section 3), to the end of its answer."""
    params = b"".join(bytes([len(name), len(value)]) + name + value for name, value in (
        (b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", path), (b"QUERY_STRING", query),
        (b"SCRIPT_NAME", b""), (b"PATH_INFO", path), (b"SERVER_PROTOCOL", b"HTTP/1.1"),
        (b"SERVER_NAME", b"localhost"), (b"SERVER_PORT", b"80")))
    own.sendall(record(1, b"\0\1\1" + bytes(5)) + record(4, params) + record(4) + record(5))
    kind = None
    while kind != 3:
        kind, length, padding = struct.unpack("!xBxxHBx", exactly(own, 8))
        exactly(own, length + padding)


def record(kind, content=b""):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def exactly(own, length):
    got = b""
    while len(got) < length:
        piece = own.recv(length - len(got))
        if not piece:
            raise RuntimeError("the responder closed the connection")
        got += piece
    return got


# --- all CPUs ---

def computing(rig):
    """Unpinned: what is asked is whether all CPUs are used."""
    cpus = os.cpu_count()
    usual = peers.FASTCGI["cgigate"]
    shapes = {
        "one process, 4 threads": usual,
        f"{cpus} processes, a thread each":
            usual.replace("--threads 4", f"--threads 1 --workers {cpus}"),
    }
    data = {name: [] for name in shapes}
    for at in range(rig.rounds + 1):
        for name in list(shapes) if at % 2 else list(shapes)[::-1]:
            rig.peers["cgigate, shaped"] = shapes[name]
            with Responder(rig, "cgigate, shaped") as responder:
                rate = spin(responder, rig.seconds)
            if at:
                data[name].append(rate)
    del rig.peers["cgigate, shaped"]
    rig.raw["computing"] = data
    print(f"#### Applications that compute 300 µs, {cpus} CPUs, 16 connections\n")
    one, many = data.values()
    for name, rates in data.items():
        ratios = [a / b for a, b in zip(rates, many)]
        print(f"- {name}: {number(sorted(rates)[len(rates) // 2])} requests/s, "
              f"{spread(ratios)} of the processes'")
    print(flush=True)


def spin(responder, seconds):
    done = subprocess.run(
        [GENERATOR, "--connect", "unix:" + responder.socket, "--keep", "--connections", "16",
         "--path", "/spin?us=300", "--expect", "-1", "--seconds", str(max(seconds, 0.5))],
        capture_output=True, text=True, check=True, preexec_fn=prepare_child(None))
    return json.loads(done.stdout)["rps"]
