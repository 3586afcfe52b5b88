"""One process a request: start, answer, end. The executable of scripts/build-static beside a hello
in C and others; its system calls; and its CPUID instructions, each of which is dear in a VM."""

import os
import re
import shutil
import subprocess

import peers
from tables import table

ENVIRON = {
    "PATH": os.defpath, "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "Apache/2.4.62 (Debian)", "REQUEST_METHOD": "GET", "REQUEST_URI": "/hello",
    "SCRIPT_NAME": "/hello", "PATH_INFO": "", "QUERY_STRING": "", "SERVER_NAME": "app.example.org",
    "SERVER_PORT": "443", "HTTP_HOST": "app.example.org", "CONTENT_LENGTH": "0",
}


def run(rig):
    rig.progress("cgi")
    candidates = build(rig)
    rounds = 5 if rig.quick else max(100, rig.rounds * 30)
    command = [peers.BUILT + "/starts", "--rounds", str(rounds), "--cpu", "0",
               *(f"{name}={path}" for name, path in candidates.items())]
    print("#### CGI: a process per request (30 variables)\n")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, flush=True)
    rows = [[name, system_calls(rig, path), cpuids(path)] for name, path in candidates.items()]
    table(["candidate", "system calls", "CPUID instructions"], rows)
    rig.raw["cgi"] = {"starts": done.stdout, "counts": rows}


def build(rig):
    """Name -> command; the first is what others are divided by."""
    here, found = peers.HERE, {}
    if not peers.c("starts", here + "/starts.c"):
        raise SystemExit("bench: the CGI leg needs a C compiler")
    if peers.c("hello-musl", here + "/hello.c", "-static", compiler="musl-gcc"):
        found["C, musl, static"] = peers.BUILT + "/hello-musl"
    if peers.c("hello-glibc", here + "/hello.c"):
        found["C, glibc"] = peers.BUILT + "/hello-glibc"
    rig.progress("cgi: builds the static executable")
    if peers.attempt("cgigate, static", [peers.ROOT + "/scripts/build-static"], env=with_musl()):
        static = peers.STATIC
        if not os.path.exists(static):
            static = static.replace("-musl/", "-gnu/")
            peers.missing("cgigate with musl", "scripts/build-static had to take glibc "
                          "(rustup target add x86_64-unknown-linux-musl)")
        found["cgigate, static"] = named_hello(rig, "static", static)
    found["cgigate, dynamic"] = named_hello(rig, "dynamic", peers.TARGET + "/release/cgigate")
    scripts = {"perl": "print \"Status: 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\nHello World\\n\";",
               "python3": "from wsgiref.handlers import CGIHandler\n"
                          "def app(environ, start_response):\n"
                          "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
                          "    return [b'Hello World\\n']\nCGIHandler().run(app)\n"}
    for name, script in scripts.items():
        program = shutil.which(name, path="/usr/bin:/bin") or shutil.which(name)
        if not program or rig.quick:
            if not program:
                peers.missing(name, "it is not installed")
            continue
        with open(f"{rig.scratch}/hello.{name}", "w") as file:
            file.write(script)
        found["perl" if name == "perl" else "Python, wsgiref"] = f"{program} {file.name}"
    peers.c("cpuidcount", here + "/cpuidcount.c")
    return found


def with_musl():
    """An environment in which scripts/build-static finds musl: where rustup has no target for it, by
    Debian's Rust, from which the library can be built."""
    musl = os.uname().machine + "-unknown-linux-musl"
    asked = subprocess.run(["rustc", "--print", "target-libdir", "--target", musl],
                           capture_output=True, text=True, check=False)
    if os.environ.get("RUSTC") or os.path.isdir(asked.stdout.strip()):
        return None
    unpacked = subprocess.run([peers.ROOT + "/scripts/unpack-rust"], capture_output=True, text=True,
                              check=False)
    rust = unpacked.stdout.strip()
    if unpacked.returncode or not rust:
        return None
    return {**os.environ, "RUSTC": rust + "/usr/bin/rustc",
            "LD_LIBRARY_PATH": f"{rust}/usr/lib/{os.uname().machine}-linux-gnu"}


def named_hello(rig, folder, executable):
    """A copy of the application's name: that is how an executable is told which of them is meant."""
    os.makedirs(f"{rig.scratch}/{folder}", exist_ok=True)
    return shutil.copy(executable, f"{rig.scratch}/{folder}/hello")


def system_calls(rig, command):
    if not shutil.which("strace"):
        return "–"
    report = rig.scratch + "/strace"
    subprocess.run([shutil.which("strace"), "-f", "-c", "-qq", "-U", "name,calls", "-o", report,
                    *command.split()],
                   env=ENVIRON, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    with open(report) as lines:
        found = (re.match(r"\s*(\w+)\s+(\d+)\s*$", line) for line in lines)
        return sum(int(m.group(2)) for m in found if m and m.group(1) != "total")


def cpuids(command):
    # One instruction at a time: an interpreter would take minutes, and what libc does comes first.
    limited = {**ENVIRON, "MAX": "400000"}
    done = subprocess.run([peers.BUILT + "/cpuidcount", *command.split()], env=limited,
                          capture_output=True, text=True, check=False)
    found = re.search(r"(\(stopped there\))?, (\d+) CPUID", done.stdout)
    return "–" if not found else found.group(2) + (" or more" if found.group(1) else "")
