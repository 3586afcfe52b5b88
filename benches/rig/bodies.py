"""Bodies of 64 MiB: out of memory, out of a file, there and back. nginx sends no more of a body once
an answer has begun: for it cgigate waits with the answer until it has all of the body."""

import subprocess
import threading

import peers
from processes import Responder, pin, status
from tables import failures, median, number, ratios, spread, table

MIB = 1 << 20


def legs(size):
    return {
        "down, from memory": ("bytes", ["--path", f"/bytes?n={size}"]),
        "down, from a file": ("file", ["--path", "/file", "--expect", size]),
        "up and down again, nginx in front":
            ("echo", ["--path", "/echo", "--body", size, "--verify"]),
        "up and down again, another web server in front":
            ("echo", ["--path", "/echo", "--body", size, "--verify", "--software", "Apache/2.4"]),
    }


def run(rig):
    size = rig.file_size
    for title, (mode, arguments) in legs(size).items():
        rig.progress(f"bodies: {title}")
        names = list(rig.peers)
        if mode == "file":
            rig.peers["canned, sendfile"] = rig.peers["canned"].replace("{mode}", "sendfile")
            names.append("canned, sendfile")
        started = {name: Responder(rig, name, mode, cpu=rig.cpu(0)) for name in names}
        try:
            data = rig.interleave(names, lambda name, at: one(rig, started[name], arguments, at),
                                  rig.rounds)
        finally:
            for responder in started.values():
                responder.stop()
            rig.peers.pop("canned, sendfile", None)
        rig.raw.setdefault("bodies", {})[title] = data
        print(f"#### {size / MIB:.0f} MiB {title}\n")
        table(["responder", "MB/s", "÷ canned", "CPU ms/request", "÷ canned",
               "peak private MiB above idle"],
              [[name, number(median(data[name], "mb_s")), ratios(data, name, "mb_s", "canned"),
                number(median(data[name], "cpu_ms"), "{:.1f}"),
                ratios(data, name, "cpu_ms", "canned"),
                spread([each["peak"] for each in data[name]])] for name in names])
        failures(data)
    if peers.c("store", peers.HERE + "/store.c"):
        print("#### What it costs to keep a body of 64 MiB, in C\n")
        done = subprocess.run([peers.BUILT + "/store", "--rounds", str(rig.rounds)],
                              capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr, flush=True)


def one(rig, responder, arguments, at):
    pin(responder.pid, rig.cpu(at))
    given = [rig.file_path(responder.name) if a == "/file" else a for a in arguments]
    idle = status(responder.pid, "RssAnon")
    top, stop = [idle], threading.Event()

    def sample():
        while not stop.wait(0.01):
            top[0] = max(top[0], status(responder.pid, "RssAnon"))

    sampler = threading.Thread(target=sample)
    sampler.start()
    result = rig.load(responder, "--keep", *given, "--requests", 1 if rig.quick else 4,
                      "--timeout", 20, cpu=rig.others_cpu(at))
    stop.set()
    sampler.join()
    result["peak"] = (top[0] - idle) / 1024
    if result.get("cpu_us"):
        result["cpu_ms"] = result["cpu_us"] / 1000
    return result
