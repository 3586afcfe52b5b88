"""Markdown tables: ratios formed within a round, then minimum, **median** and maximum of them."""

import os
import platform
import statistics
import subprocess
import time


def machine():
    """One line: the date, the machine, how busy it is."""
    with open("/proc/cpuinfo") as info:
        model = next((l.split(":")[1].strip() for l in info if l.startswith("model name")), "?")
    with open("/proc/loadavg") as load:
        load = " ".join(load.read().split()[:3])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            cwd=os.path.dirname(__file__), check=False).stdout.strip()
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (f"_{date}; {os.cpu_count()} CPUs {model}; {platform.system()} {platform.release()}; "
            f"load {load}; commit {commit or '?'}_")


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def spread(values, form="{:.2f}"):
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{form.format(low)} / **{form.format(mid)}** / {form.format(high)}"


def median(rounds, key):
    values = [each[key] for each in rounds if each.get(key) is not None]
    return statistics.median(values) if values else None


def number(value, form="{:,.0f}"):
    return "–" if value is None else form.format(value)


def ratios(data, name, key, to):
    """data[name][round][key], divided by the same of the peer `to`."""
    if to not in data:
        return "–"
    pairs = ((a.get(key), b.get(key)) for a, b in zip(data[name], data[to]))
    return spread([a / b for a, b in pairs if a and b])


def failures(data):
    """Prints a line about everything that was answered wrongly, or never."""
    said = []
    for name, rounds in data.items():
        errors = sum(each.get("errors", 0) for each in rounds)
        starved = max((each.get("starved", 0) for each in rounds), default=0)
        why = next((each["first_error"] for each in rounds if each.get("first_error")), "")
        if errors or starved:
            said.append(f"{name}: {errors} errors{f' ({why})' if why else ''}, "
                        f"{starved} connections never served")
    if said:
        print("Failures: " + "; ".join(said) + ".\n", flush=True)
