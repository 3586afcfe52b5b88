"""What is measured: responders as processes, their CPU time, their memory."""

import os
import resource
import shlex
import signal
import socket
import subprocess
import time


def tree(pid):
    """The process and all that descend from it."""
    pids, todo = [], [pid]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as children:
                    todo += map(int, children.read().split())
        except OSError:
            pass  # It has just ended.
    return pids


def cpu_clocks(pid):
    """Nanoseconds of CPU of each process of the tree, its dead threads included."""
    clocks = {}
    for each in tree(pid):
        try:
            clocks[each] = time.clock_gettime_ns((~each << 3) | 2)  # clock_getcpuclockid(3)
        except OSError:
            pass
    return clocks


def cpu_spent(pid, before):
    """Microseconds since `cpu_clocks` said `before`."""
    return sum(ns - before.get(each, 0) for each, ns in cpu_clocks(pid).items()) / 1e3


def status(pid, key, file="status"):
    """A line of /proc/PID/status or smaps_rollup, summed over the tree, in KiB."""
    total = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/{file}") as lines:
                total += sum(int(l.split()[1]) for l in lines if l.startswith(key + ":"))
        except OSError:
            pass
    return total


def private_kib(pid):
    """Memory of the tree's own: no shared library, no page cache."""
    return status(pid, "Pss_Anon", "smaps_rollup")


def switches(pid):
    """Context switches of the tree's living threads: those that they asked for by waiting, and those
    that they were forced to."""
    own = forced = 0
    for each in tree(pid):
        try:
            for thread in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{thread}/status") as lines:
                    counts = dict(line.split(":", 1) for line in lines)
                own += int(counts["voluntary_ctxt_switches"])
                forced += int(counts["nonvoluntary_ctxt_switches"])
        except OSError:
            pass
    return own, forced


def pin(pid, cpu):
    """Puts every thread of the tree on one CPU; on all of them for None."""
    cpus = set(range(os.cpu_count())) if cpu is None else {cpu}
    for _ in range(2):  # Twice: a thread may have been born meanwhile.
        for each in tree(pid):
            try:
                for thread in os.listdir(f"/proc/{each}/task"):
                    os.sched_setaffinity(int(thread), cpus)
            except OSError:
                pass


def prepare_child(cpu):
    """What a child does before it becomes the program: its CPU, and descriptors enough."""

    def prepare():
        raise_limits()
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return prepare


def raise_limits():
    for most in (65536, 20000):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return
        except (ValueError, OSError):
            pass  # A smaller one, then; what can't be opened shows in the failures.


class Responder:
    """A started responder; `with` ends what it started, and nothing else."""

    serial = 0

    def __init__(self, rig, name, mode="hello", cpu=None, wrap="", command=None):
        Responder.serial += 1
        self.name = name
        self.socket = f"{rig.scratch}/{Responder.serial}.sock"
        command = (wrap + " " + (command or rig.peers[name])).strip()
        self.command = command.format(socket=self.socket, mode=mode, **rig.places)
        self.process = subprocess.Popen(
            shlex.split(self.command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=prepare_child(cpu))
        self.pid = self.process.pid
        end = time.monotonic() + 60
        while not self.listens():
            if self.process.poll() is not None:
                raise RuntimeError(f"{name} ended at its start: {self.command}")
            if time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{name} does not listen: {self.command}")
            time.sleep(0.02)

    def listens(self):
        probe = socket.socket(socket.AF_UNIX)
        try:
            probe.connect(self.socket)
            return True
        except OSError:
            return False
        finally:
            probe.close()

    def stop(self):
        pids = tree(self.pid)
        for pid in reversed(pids):
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in tree(self.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
