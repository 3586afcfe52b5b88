"""How the cost of a request grows: with connections, parameters, the body, threads and workers."""

import statistics

import peers
from tables import number, table

NAMES = ("canned", "cgigate")


def run(rig):
    quick = rig.quick
    keep = ["--keep", "--seconds", rig.seconds, "--timeout", 5]
    curve(rig, "connections", "CPU µs a request", [1, 16] if quick else
          [1, 4, 16, 64, 256, 1000, 3000, 10000],
          lambda n: ("hello", [*keep, "--connections", n, "--warmup", 0.1 + n / 10_000]))
    curve(rig, "parameters", "CPU µs a request", [5, 50] if quick else
          [5, 10, 20, 50, 100, 200, 300, 400, 500],
          lambda n: ("hello", [*keep, "--connections", 16, "--params", n]))
    sizes = [0, 1 << 20] if quick else [0, *(1 << bits for bits in (10, 14, 17, 20, 23, 26, 28, 30))]
    echo = lambda n: ["--keep", "--path", "/echo", "--body", n, "--timeout", 60,
                      "--requests", max(3, min(2000, (64 << 20) // (n + 1)))]
    curve(rig, "bytes of the request's body, echoed to nginx", "CPU µs a request", sizes,
          lambda n: ("echo", echo(n)))
    curve(rig, "streamed bytes: the body, echoed to another web server", "CPU µs a request", sizes,
          lambda n: ("echo", [*echo(n), "--software", "Apache/2.4"]))
    curve(rig, "threads", "CPU µs a request", [1, 2] if quick else [1, 2, 4, 8, 16, 32, 64],
          lambda n: ("hello", [*keep, "--connections", 64]), option="--threads")
    curve(rig, "workers", "CPU µs a request", [1] if quick else [1, 2, 4, 8],
          lambda n: ("hello", [*keep, "--connections", 64]), option="--workers")


def curve(rig, over, unit, values, load, option=None):
    """One line for each responder: the median over the rounds at each value."""
    rig.progress(f"growth: {over}")
    names = [name for name in NAMES if not option or name == "cgigate"]
    lines = {name: [] for name in names}
    usual = rig.peers["cgigate"]
    try:
        for value in values:
            if option == "--threads":
                rig.peers["cgigate"] = usual.replace("--threads 4", f"--threads {value}")
            elif option:
                rig.peers["cgigate"] = f"{usual} {option} {value}"
            mode, arguments = load(value)
            try:
                data = rig.side_by_side(names, arguments, mode, rounds=max(1, rig.rounds // 2))
            except RuntimeError as error:
                peers.missing(f"{over}: {value}", str(error))
                continue
            for name in names:
                found = [each["cpu_us"] for each in data[name]
                         if each.get("cpu_us") and not each["errors"]]
                if found:
                    lines[name].append([value, statistics.median(found)])
                else:
                    peers.missing(f"{name}, {over}: {value}", data[name][0]["first_error"])
    finally:
        rig.peers["cgigate"] = usual
    rig.raw.setdefault("growth", {})[over] = {"unit": unit, "lines": lines}
    print(f"#### CPU of a request against {over}\n")
    found = {name: dict(line) for name, line in lines.items()}
    table([over, *(f"{name}, µs" for name in names)],
          [[f"{value:,}", *(number(found[name].get(value), "{:,.2f}") for name in names)]
           for value in values])
