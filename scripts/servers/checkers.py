"""Each server's own checker reads what `config` prints, for values of all kinds; those that could
mean something else to it are refused, in one line."""

import itertools
import subprocess

import apache
import lighttpd
import nginx
from checks import demand
from rig import PROGRAMS, Site, program
from setups import set_up

# Of each option: what is printed, and what is wrong usage.
VALUES = {
    "--mount": (
        ("/", "/app", "/x/y/", "/a.b+c~d-e_f"),
        ("", "app", "//", "/a b", '/a"b', "/a;b", "/$a", "/a\\b", "/%61", "/a*", "/(a", "/a{2}", "/\u00fc"),
    ),
    "--listen": (
        ("unix:/run/a-b_c.d", "127.0.0.1:9001", ":9001", "[::1]:9001"),
        ("unix:/run/x y", 'unix:/run/x"y', "unix:/run/x'y", "unix:/run/x;y", "unix:/run/$x", "unix:/run/%n",
         "unix:/run/a,b", "unix:s", "unix:", "unix:@a b", "fd:3", "systemd", "127.0.0.1:0", "localhost"),
    ),
    "--app": (("hello",), ("", "a b", 'a"b', "a;b", "$a", "h%n", "--help")),
    "--port": (("81", "127.0.0.1:8081", "[::1]:8081", "[::]:81"), ("0", "70000", "a", "127.0.0.1")),
}  # fmt: skip
NODES = ("10.0.0.1:9000", "[2001:db8::1]:9000"), ("10.0.0.1", "a b:1", "a;b:1", ":9000")


def asked(rig, server, way, *options):
    command = [rig.executable, "config", server, way, *options]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False)


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          env={"PATH": PROGRAMS}, stdin=subprocess.DEVNULL)  # fmt: skip
    return None if done.returncode == 0 else done.stdout + done.stderr


def is_read(server, way, checker, option, values):
    def behaviour(site):
        for value in values:
            # mod_authnz_fcgi connects to ports alone.
            if way == "authorizer" and server == "apache" and value.startswith("unix:"):
                continue
            done = asked(site.rig, server, way, f"{option}={value}")
            demand(done.returncode == 0, f"{option} {value}: {done.stderr}")
            why = run(checker(site.rig, done.stdout))
            demand(why is None, f"{option} {value}: {why}")

    return behaviour


def is_refused(server, way, option, values):
    def behaviour(site):
        for value in values:
            done = asked(site.rig, server, way, f"{option}={value}")
            said = f"{option} {value!r}: {done.returncode}, {done.stderr!r}"
            demand(done.returncode == 2 and done.stdout == "", said)
            demand(done.stderr.startswith("cgigate: ") and done.stderr.count("\n") == 1, said)

    return behaviour


def rows(server, ways, checker):
    values = VALUES | ({"--node": NODES} if server in ("nginx", "haproxy") else {})
    for way, (option, (good, bad)) in itertools.product(ways, values.items()):
        # Machines are asked by FastCGI; and who starts the executable asks no socket.
        if option == "--node" and way != "fastcgi":
            continue
        yield f"{way} {option}", is_read(server, way, checker, option, good)
        if not (option == "--listen" and way in ("cgi", "fcgid", "access-checker", "spawn")):
            yield f"{way} {option}, awkward", is_refused(server, way, option, bad)


def checked(server, ways, checker):
    def start(rig):
        # Not installed is SKIPPED.
        program(*(("apache2", "httpd") if server == "apache" else (server,)))
        return Site(rig, None, "")

    return set_up("checkers", server, starts=((dict(rows(server, ways, checker)), {}),))(start)


def apache_reads(rig, printed):
    load = ("authn_file", "proxy", "proxy_fcgi", "proxy_scgi", "proxy_uwsgi", "cgid", "fcgid", "authnz_fcgi")
    return [*apache.command(rig, printed, "event", load), "-t"]


NGINX = checked(
    "nginx",
    ("fastcgi", "fastcgi-close", "scgi", "uwsgi"),
    lambda rig, printed: [*nginx.command(rig, printed), "-t"],
)
APACHE = checked(
    "apache",
    ("proxy_fcgi", "proxy_scgi", "proxy_uwsgi", "cgi", "fcgid", "authorizer", "access-checker"),
    apache_reads,
)
LIGHTTPD = checked(
    "lighttpd",
    ("fastcgi", "scgi", "uwsgi", "spawn", "cgi", "authorizer"),
    lambda rig, printed: [*lighttpd.command(rig, printed), "-tt"],
)
HAPROXY = checked(
    "haproxy",
    ("fastcgi",),
    lambda rig, printed: [program("haproxy"), "-c", "-f", rig.write("haproxy.cfg", printed)],
)
CADDY = checked(
    "caddy",
    ("fastcgi",),
    lambda rig, printed: [
        program("caddy"), "validate", "--adapter", "caddyfile", "--config", rig.write("Caddyfile", printed)
    ],  # fmt: skip
)
