"""What is built, and how each peer is started. What can't be built is skipped, and said."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR") or ROOT + "/target")
BUILT = TARGET + "/bench"
STATIC = f"{TARGET}/{os.uname().machine}-unknown-linux-musl/release/cgigate"

# The order is that of the tables. {socket}, {mode}, {file}, {scratch}: see Responder.
FASTCGI = {
    "canned": BUILT + "/canned --socket {socket} --mode {mode} --file {file} --n {size}",
    "cgigate": "env CGIGATE_FILES_ROOT={scratch} " + TARGET + "/release/examples/testbed fastcgi "
               "--listen unix:{socket} --mount / --max-connections 20000 --threads 4",
    "cgigate, default threads": "env CGIGATE_FILES_ROOT={scratch} " + TARGET
               + "/release/examples/testbed fastcgi --listen unix:{socket} --mount / "
               "--max-connections 20000",
    "libfcgi": BUILT + "/libfcgi --socket {socket} --threads 16",
    "go": BUILT + "/go --socket {socket}",
    "tokio-fastcgi": BUILT + "/peers/release/tokio_fastcgi_hello --socket {socket}",
    "php-fpm": "sh " + ROOT + "/benches/peers/fpm.sh {socket} 16",
}
HTTP = {"hyper": BUILT + "/peers/release/hyper_hello --socket {socket}"}


# What Debian calls that which has to be there.
PACKAGES = {"cc": "gcc", "musl-gcc": "musl-tools", "libfcgi": "libfcgi-dev", "go": "golang",
            "php-fpm": "php-fpm", "nginx": "nginx", "wrk": "wrk", "strace": "strace",
            "valgrind": "valgrind", "perl": "perl", "python3": "python3"}
absent = []


def missing(name, why, needs=None):
    """Says it now, and once more when all is done."""
    package = PACKAGES.get(needs or name)
    hint = f" (apt-get install {package})" if package else ""
    absent.append(f"{name}: {why}{hint}")
    print(f"NOT MEASURED: {absent[-1]}", file=sys.stderr, flush=True)


def found(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def attempt(name, command, needs=None, **options):
    """Runs a build; whether it came to anything."""
    if needs and not shutil.which(needs):
        missing(name, f"{needs} is not installed", needs)
        return False
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it does not build"]
        missing(name, next((line for line in said if "error" in line), said[-1]))
    return done.returncode == 0


def c(name, source, *options, compiler="cc"):
    return attempt(name, [compiler, "-O2", "-Wall", source, "-o", f"{BUILT}/{name}", *options],
                   needs=compiler)


def build_rig():
    """The generator and the limit: without them nothing can be measured."""
    os.makedirs(BUILT, exist_ok=True)
    if not (c("load", HERE + "/load.c") and c("canned", HERE + "/canned.c")):
        sys.exit("bench: the load generator needs a C compiler")


def build_cgigate():
    command = ["cargo", "build", "--release", "--quiet", "--bin", "cgigate", "--example", "testbed"]
    subprocess.run(command, cwd=ROOT, check=True)


def build_peers(wanted):
    """Those of the names that can be had here."""
    sources, there = ROOT + "/benches/peers", []
    for name in wanted:
        if name == "libfcgi":
            there += [name] * c("libfcgi", sources + "/libfcgi.c", "-lfcgi", "-lpthread")
        elif name == "go":
            there += [name] * attempt(name, ["go", "build", "-o", BUILT + "/go", "."], needs="go",
                                      cwd=sources + "/go", env={**os.environ, "CGO_ENABLED": "0"})
        elif name in ("tokio-fastcgi", "hyper"):
            there += [name] * attempt(name, ["cargo", "build", "--release", "--quiet",
                                             "--target-dir", BUILT + "/peers"], cwd=sources)
        elif name == "php-fpm":
            if fpm():
                there.append(name)
            else:
                missing(name, "no php-fpm is installed")
        else:
            there.append(name)
    return there


def fpm():
    """php-fpm, which Debian names by its version."""
    folders = os.environ["PATH"].split(":") + ["/usr/sbin", "/usr/local/sbin"]
    names = (f"{folder}/{name}" for folder in folders if os.path.isdir(folder)
             for name in sorted(os.listdir(folder)) if name.startswith("php-fpm"))
    return next(names, None)
