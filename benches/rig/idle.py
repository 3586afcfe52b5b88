"""Idle kept connections beside 16 busy ones: what is left of the rate, and what an idle one costs."""

import time

from processes import Responder, private_kib
from tables import median, number, ratios, spread, table

BUSY = ["--keep", "--connections", 16]


def run(rig):
    for idle in [100 if rig.quick else 10_000]:
        rig.progress(f"idle: {idle:,}")
        names, why = list(rig.peers), {}
        data = {name: [] for name in names}
        for at in range(rig.rounds):
            for name in names:
                if name not in why:
                    result = one(rig, name, at, idle)
                    data[name].append(result)
                    if "failed" in result:
                        why[name] = result["failed"]
        rig.raw.setdefault("idle", {})[str(idle)] = data
        print(f"#### {idle:,} idle kept connections beside 16 busy ones\n")
        head = ["responder", "requests/s", "÷ canned", "with idle ones ÷ without",
                "private bytes per idle connection"]
        table(head, [
            [name, "fails: " + why[name], "–", "–", "–"] if name in why else
            [name, number(median(data[name], "rps")), ratios(data, name, "rps", "canned"),
             spread([each["kept"] for each in data[name]]),
             spread([each["bytes"] for each in data[name]], "{:,.0f}")] for name in names])


def one(rig, name, at, idle):
    cpu, seconds = rig.others_cpu(at), ["--seconds", rig.seconds]
    with Responder(rig, name, cpu=rig.cpu(at)) as responder:
        alone = rig.load(responder, *BUSY, *seconds, "--timeout", 1.5, cpu=cpu)
        before, seen = private_kib(responder.pid), {}

        def watch(generator):
            for line in generator.stderr:
                if line.startswith("idle-ready"):
                    seen["served"] = int(line.split()[1])
                    time.sleep(0.15)  # What is being freed shall not count.
                    seen["private"] = private_kib(responder.pid)
                    return

        result = rig.load(responder, *BUSY, *seconds, "--idle", idle, "--idle-pause", 0.6,
                          "--timeout", 2, cpu=cpu, watch=watch)
    served = seen.get("served", 0)
    if served < idle or not result["requests"] or not alone["requests"]:
        return {"failed": f"{served} of {idle} idle connections served, "
                          f"then {result['requests']} requests"}
    result["kept"] = result["rps"] / alone["rps"]
    result["bytes"] = (seen["private"] - before) * 1024 / idle
    return result
