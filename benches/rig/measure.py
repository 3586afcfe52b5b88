"""One measurement: the load generator against a responder; and rounds of them, interleaved.

Generator and responder share one CPU, another one each round. A wake-up across CPUs may cost many
times what the request costs, and varies with what the neighbours do; on one CPU the sum of the work
is what is timed. The generator's own time is then in all rates, which draws their ratios towards 1:
CPU per request, the responder's alone, is the figure to steer by.

On one CPU a responder also pays for being interrupted: each answer wakes the generator, which may
take the CPU at once (a forced switch), and the longer a request takes, the more often it does.
`--pin apart` gives each a CPU of its own, where nobody interrupts the responder.
"""

import json
import os
import subprocess
import sys
import time

from peers import BUILT
from processes import Responder, cpu_clocks, cpu_spent, pin, prepare_child, switches

GENERATOR = BUILT + "/load"


class Rig:
    """What every leg needs to know."""

    def __init__(self, options, scratch, peers):
        self.rounds, self.seconds, self.quick = options.rounds, options.seconds, options.quick
        self.pin, self.scratch, self.peers = options.pin, scratch, peers
        self.file_size = (1 if options.quick else 64) << 20
        self.places = {"scratch": scratch, "file": scratch + "/file", "size": self.file_size}
        self.raw, self.began = {}, time.monotonic()

    def progress(self, what):
        """Whoever waits wants to know for what; tables are all that stdout gets."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        print(f"bench: {minutes}:{seconds:02} {what}", file=sys.stderr, flush=True)

    def cpu(self, at):
        """The responder's."""
        return at % os.cpu_count() if self.pin != "none" else None

    def others_cpu(self, at):
        """That of whoever asks it."""
        return self.cpu(at + 1) if self.pin == "apart" else self.cpu(at)

    def file_path(self, name):
        return "/files/file" if name.startswith("cgigate") else "/file"

    def load(self, responder, *arguments, cpu=None, timeout=120, watch=None):
        """The generator's line, with `cpu_us`, `switches` and `forced` ones of the responder per
        request."""
        before, switched = cpu_clocks(responder.pid), switches(responder.pid)
        generator = subprocess.Popen(
            [GENERATOR, "--connect", "unix:" + responder.socket, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=prepare_child(cpu))
        if watch:
            watch(generator)
        if "--warmup" in arguments:  # What it costs to open the connections shall not count.
            for line in generator.stderr:
                if line.startswith("measuring"):
                    before, switched = cpu_clocks(responder.pid), switches(responder.pid)
                    break
        try:
            out, err = generator.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            generator.kill()
            out, err = "", "the generator ran out of time"
            generator.communicate()
        result = {"requests": 0, "errors": 1, "first_error": err.strip()[-100:]}
        if out.strip():
            result = json.loads(out)
        if result["requests"]:
            result["cpu_us"] = cpu_spent(responder.pid, before) / result["requests"]
            for key, now, then in zip(("switches", "forced"), switches(responder.pid), switched):
                result[key] = (now - then) / result["requests"]
        return result

    def interleave(self, names, leg, rounds=None):
        """data[name] = what leg(name, round) gave: A B C, C B A. The first round is thrown away."""
        data = {name: [] for name in names}
        for at in range((rounds or self.rounds) + 1):
            for name in names if at % 2 == 0 else names[::-1]:
                result = leg(name, at)
                if at:
                    data[name].append(result)
        return data

    def side_by_side(self, names, arguments, mode="hello", rounds=None):
        """The same load on each of the peers, all started before, interleaved."""
        # One that counts the CPUs for its threads is to find those that it will have.
        started = {name: Responder(self, name, mode, cpu=self.cpu(0)) for name in names}
        try:
            def leg(name, at):
                responder = started[name]
                pin(responder.pid, self.cpu(at))
                given = [self.file_path(name) if a == "/file" else a for a in arguments]
                return self.load(responder, *given, cpu=self.others_cpu(at))

            return self.interleave(names, leg, rounds)
        finally:
            for responder in started.values():
                responder.stop()
