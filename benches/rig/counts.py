"""What a request counts, whatever the neighbours do: system calls, instructions, allocations.

Each responder runs twice, with more requests the second time: the difference is the steady state,
and what its start cost cancels out.
"""

import glob
import os
import re
import shutil
import signal

import peers
from processes import Responder, tree
from tables import number, table

# One thread or process that does the work, so that the counts are of it alone.
ALONE = {"libfcgi": (" 16", " 1"), "php-fpm": (" 16", " 1")}
# Neither goes under valgrind: it forks; it brings its own scheduler and allocator.
NO_VALGRIND = ("php-fpm", "go")


def run(rig):
    for program in ("strace", "valgrind"):
        if not shutil.which(program):
            peers.missing("counts", f"{program} is not installed", program)
            return
    calls = (20, 60) if rig.quick else (1000, 3000)
    # The same each time, and slow to count.
    instructions_of = (20, 60) if rig.quick else (300, 900)
    rows = []
    for name in rig.peers:
        rig.progress(f"counts: {name}")
        def per_request(count, *arguments):
            few, many = instructions_of if count in (callgrind, memcheck) else calls
            once, twice = count(rig, name, few, *arguments), count(rig, name, many, *arguments)
            if once is None or twice is None:
                return None
            return {key: (twice.get(key, 0) - once.get(key, 0)) / (many - few)
                    for key in {*once, *twice}}

        kept = per_request(system_calls, "--keep")
        kept16 = per_request(system_calls, "--keep", "--connections", 16)
        fresh = per_request(system_calls)
        instructions = allocations = None
        if name not in NO_VALGRIND:
            instructions = per_request(callgrind)
            allocations = per_request(memcheck)
        total = lambda counts, form="{:.2f}": number(counts and sum(counts.values()), form)
        which = ", ".join(f"{call} {n:.2f}" for call, n in
                          sorted((kept or {}).items(), key=lambda each: -each[1])[:6] if n >= 0.02)
        rows.append([name, total(kept), which, total(kept16), total(fresh),
                     total(instructions, "{:,.0f}"), total(allocations)])
        rig.raw.setdefault("counts", {})[name] = {
            "kept": kept, "kept16": kept16, "fresh": fresh,
            "instructions": instructions, "allocations": allocations}
    print("#### Counts of a request (hello, nginx's parameters)\n")
    table(["responder", "system calls, kept, 1 connection", "which", "kept, 16 connections",
           "a connection per request", "user instructions", "heap allocations"], rows)
    contention(rig, 200 if rig.quick else 20_000)


def contention(rig, requests):
    """Locks that are waited for: a futex is called only where somebody waits, or is woken. Threads
    run on whichever CPU, or they would not meet."""
    rig.progress("counts: futex calls")
    rows, usual = [], rig.peers["cgigate"]
    for threads in (1, 4, 16):
        rig.peers["cgigate"] = usual.replace("--threads 4", f"--threads {threads}")
        once, twice = (system_calls(rig, "cgigate", n, "--keep", "--connections", 64)
                       for n in (requests, 2 * requests))
        calls = lambda counts: counts.get("futex", 0) if counts else None
        rows.append([threads, number(calls(once)), number(calls(twice))])
    rig.peers["cgigate"] = usual
    rig.raw["contention"] = rows
    print(f"#### Locks: futex calls of cgigate, start and end included, {os.cpu_count()} CPUs, "
          "64 connections\n")
    table(["threads", f"{requests:,} requests", f"{2 * requests:,} requests"], rows)


def command(rig, name):
    return rig.peers[name].replace(*ALONE.get(name, ("", "")))


def served(rig, name, wrap, count, *arguments):
    """Runs the responder under `wrap` for so many requests; whether all were answered."""
    responder = Responder(rig, name, wrap=wrap, command=command(rig, name))
    result = rig.load(responder, "--requests", count, "--timeout", 30, *arguments)
    processes = tree(responder.pid)
    if wrap.startswith("strace"):
        del processes[0]  # It ends with what it traces.
    for pid in processes:  # Supervisors first, or they replace whom they lose.
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            pass
    try:
        responder.process.wait(20)
    finally:
        responder.stop()
    return result["requests"] == count and not result["errors"]


def system_calls(rig, name, count, *arguments):
    report = rig.scratch + "/strace"
    wrap = f"strace -f -c -qq -U name,calls -o {report}"
    if not served(rig, name, wrap, count, *arguments):
        return None
    with open(report) as lines:
        found = (re.match(r"\s*(\w+)\s+(\d+)\s*$", line) for line in lines)
        return {m.group(1): int(m.group(2)) for m in found if m and m.group(1) != "total"}


def valgrind(rig, name, count, tool, pattern, report, *options):
    for old in glob.glob(rig.scratch + "/valgrind*"):
        os.unlink(old)
    wrap = (f"valgrind --trace-children=yes --log-file={rig.scratch}/valgrind.log.%p "
            f"--tool={tool} " + " ".join(options))
    if not served(rig, name, wrap, count, "--keep"):
        return None
    total = 0
    for file in glob.glob(f"{rig.scratch}/valgrind.{report}.*"):
        with open(file, errors="replace") as text:
            found = re.findall(pattern, text.read(), re.M)
            total += int(found[-1].replace(",", "")) if found else 0
    return {tool: total} if total else None


def callgrind(rig, name, count):
    return valgrind(rig, name, count, "callgrind", r"^(?:totals|summary): (\d+)", "cg",
                    f"--callgrind-out-file={rig.scratch}/valgrind.cg.%p")


def memcheck(rig, name, count):
    return valgrind(rig, name, count, "memcheck", r"total heap usage: ([\d,]+) allocs", "log",
                    "--leak-check=no", "--undef-value-errors=no")
