"""The gateway alone, a load generator on its socket."""

from tables import failures, median, number, ratios, table

LEGS = {
    "kept, 1 connection": ["--keep", "--connections", 1],
    "kept, 16 connections": ["--keep", "--connections", 16],
    "kept, 64 connections": ["--keep", "--connections", 64],
    "kept, 256 connections": ["--keep", "--connections", 256],
    "a connection per request, 16 at a time": ["--connections", 16],
    "kept, 16 connections with 4 requests each (multiplexed)":
        ["--keep", "--connections", 16, "--mux", 4],
}


def run(rig):
    legs = dict(list(LEGS.items())[1:2]) if rig.quick else LEGS
    names = list(rig.peers)
    for title, arguments in legs.items():
        rig.progress(f"fastcgi: {title}")
        data = rig.side_by_side(names, [*arguments, "--seconds", rig.seconds, "--timeout", 1.5])
        rig.raw.setdefault("fastcgi", {})[title] = data
        print(f"#### FastCGI, {title}\n")
        table(
            ["responder", "requests/s", "÷ canned", "CPU µs/request", "÷ canned", "÷ libfcgi",
             "switches/request, own / forced", "p50 / p99 µs"],
            [[name, number(median(data[name], "rps")), ratios(data, name, "rps", "canned"),
              number(median(data[name], "cpu_us"), "{:.2f}"),
              ratios(data, name, "cpu_us", "canned"), ratios(data, name, "cpu_us", "libfcgi"),
              " / ".join(number(median(data[name], key), "{:.2f}") for key in ("switches", "forced")),
              f"{number(median(data[name], 'p50'))} / {number(median(data[name], 'p99'))}"]
             for name in names])
        failures(data)
