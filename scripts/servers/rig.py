"""A set-up: one web server in front of one gateway, in a folder of its own on loopback.

A set-up is a function of a `Rig`. It starts what it needs from what `config SERVER` prints, and
returns the `Site` where the applications are. When the rig is closed, what it started is ended,
and nothing else.
"""

import contextlib
import grp
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# How long a program may take to get ready: a bound for what has gone wrong, waited for by nobody.
PATIENCE = 30
AS_ROOT = os.geteuid() == 0
PROGRAMS = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin:/sbin"


class NotReady(Exception):
    """A program ended, or did not answer; with what it said."""


class Missing(Exception):
    """A program is not installed."""


class Site:
    """Where the applications are: a port of loopback, and the path before their names."""

    def __init__(self, rig, port, base):
        self.rig, self.port, self.base = rig, port, base


def program(*names):
    """The path of the first of these programs that is installed."""
    for name in names:
        found = shutil.which(name, path=PROGRAMS)
        if found:
            return found
    raise Missing(names[0])


def web_group():
    """The group of the web servers' own user, where they start as root and give that up."""
    with contextlib.suppress(KeyError):
        grp.getgrnam("www-data")
        return "www-data"
    return "nogroup"


class Rig:
    def __init__(self, executable, mount="/app", app=None, environment=None, tcp=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cgigate-servers-"))
        # Servers that give up root must reach what lies in it.
        self.folder.chmod(0o755)
        self.executable = self.folder / "bin" / "cgigate"
        self.executable.parent.mkdir()
        try:
            os.link(executable, self.executable)
        except OSError:
            shutil.copy2(executable, self.executable)
        self.executable.chmod(0o755)
        self.mount, self.app = mount, app
        # The gateway's options, as variables: whoever starts it hands them on.
        self.environment = environment or {}
        # Whether the gateway listens on a port, and not on a Unix socket.
        self.tcp = tcp
        self.port = free_port()
        self.web = f"127.0.0.1:{self.port}"
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_all(self):
        while self.processes:
            end(self.processes.pop())

    def path(self, name):
        return self.folder / name

    def write(self, name, text):
        path = self.path(name)
        path.write_text(text)
        return path

    def folder_for(self, name, mode=0o777):
        """A folder that the web server, whoever it is, may write to."""
        path = self.path(name)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        return path

    def config(self, server, way=None, listen=None, mount=None, app=None):
        """What the executable prints for a web server."""
        app = app or self.app
        command = [self.executable, "config", server, *([way] if way else [])]
        command += ["--mount", mount or self.mount, "--port", self.web]
        command += ["--listen", listen] if listen else []
        command += ["--app", app] if app else []
        done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotReady(f"{command}: {done.stderr}")
        return done.stdout

    def start(self, name, command, ready, env=None, cwd=None, **options):
        """Starts a program, and waits until `ready()` says so. Its output is in NAME.log."""
        env = {"PATH": PROGRAMS, "LANG": "C", "HOME": str(self.folder), **(env or {})}
        with open(self.path(f"{name}.log"), "ab") as log:
            # A session of its own: Apache ends its whole process group with itself.
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=cwd or self.folder, start_new_session=True, **options)  # fmt: skip
        self.processes.append(process)
        self.wait(name, process, ready)
        return process

    def wait(self, name, process, ready):
        give_up = time.monotonic() + PATIENCE
        while not ready():
            ended = process.poll() is not None
            if ended or time.monotonic() > give_up:
                why = "ended" if ended else "did not get ready"
                raise NotReady(f"{name} {why}:\n{self.said(name)}")
            time.sleep(0.02)

    def said(self, name):
        path = self.path(f"{name}.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def gateway(self, server, way=None):
        """What is printed for a web server that asks the gateway on its socket; and the gateway,
        started by the command that stands there."""
        listen = f"127.0.0.1:{free_port()}" if self.tcp else f"unix:{self.path('gateway.sock')}"
        printed = self.config(server, way, listen=listen)
        command = shlex.split(re.search(r"^#   1\. (.*?)(?:     |$)", printed, re.MULTILINE)[1])
        if not AS_ROOT and "--socket-owner" in command:
            # Who is not root does not give to others; the web server is whoever this is, then.
            del command[command.index("--socket-owner") :]
        self.start_gateway(command)
        return printed

    def start_gateway(self, command, environment=(), **options):
        """Starts what will say where it listens."""
        ready = lambda: self.said("gateway").endswith(" threads\n")  # noqa: E731
        env = {**self.environment, **dict(environment)}
        self.start("gateway", command, ready, env=env, **options)

    def serve(self, name, command, base=None, ready=None, **options):
        """The web server itself, ready when it answers on its port."""
        self.start(name, command, ready or self.answers, **options)
        base = self.mount if base is None else base
        return Site(self, self.port, base.rstrip("/"))

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False


def listener(path, mode, group):
    """A listening unix socket, as systemd makes one."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    os.chmod(path, mode)
    if AS_ROOT:
        shutil.chown(path, group=group)
    listening.listen(4096)
    return listening


def free_port():
    """One below those that the system gives away by itself."""
    while True:
        port = random.randrange(10000, 32000)
        with contextlib.suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            return port


def end(process):
    """Ends a program and what it left in its session; waits until it is gone."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
