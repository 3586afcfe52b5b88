"""`probe` behind nginx and Apache: what it finds wrong is what is known of them, and what its own
command for curl asks for."""

import re
import subprocess

import apache
import client
import nginx
from checks import asked, comes, demand
from rig import PROGRAMS, program
from setups import set_up


def finds_wrong(count, *texts):
    """Asked by the command that its page prints."""

    def behaviour(site):
        data = client.request("GET", site.base + "/probe", host=f"127.0.0.1:{site.port}")
        page = client.ask(site.port, "GET", data)
        command = re.search(r"^  curl .*?(?=^$)", page.body.decode(), re.MULTILINE | re.DOTALL)
        demand(command, f"no command in {page.body[:300]!r}", page)
        done = subprocess.run(["sh", "-c", command[0]], capture_output=True, text=True,
                              check=False, env={"PATH": PROGRAMS})  # fmt: skip
        said = done.stdout + done.stderr
        demand(re.search(rf"^{count} wrong, 0 not asked for$", done.stdout, re.MULTILINE), said)
        for text in texts:
            demand(text in done.stdout, f"no {text!r} in {said}")

    return behaviour


def found(count, *texts, long_field):
    rows = {
        "what is wrong": finds_wrong(count, *texts),
        "a field of 6,000 bytes": asked("GET", "/probe/long-field", long_field),
    }
    return ((rows, {}),)


THROUGH = comes(body="A field of 6000 bytes has come through.\n")


def without(printed, *words):
    """The text less the lines with one of these words in them."""
    return "".join(
        line for line in printed.splitlines(keepends=True) if not any(w in line for w in words)
    )


@set_up("probe", "nginx", starts=found(0, long_field=THROUGH))
def of_nginx(rig):
    program("curl")
    return nginx.nginx(rig, rig.gateway("nginx"))


@set_up("probe", "nginx, less", starts=found(
    2, 'fastcgi_param HTTP_PROXY "";', "GATEWAY_INTERFACE", long_field=comes(502)))  # fmt: skip
def of_nginx_less(rig):
    """nginx's own buffer holds 4 KiB of an answer's fields."""
    lines = ("HTTP_PROXY", "GATEWAY_INTERFACE", "fastcgi_buffer")
    return nginx.nginx(rig, without(rig.gateway("nginx"), *lines))


@set_up("probe", "apache", starts=found(1, long_field=THROUGH))
def of_apache(rig):
    """Words of a query as arguments: the one thing that no configuration cures."""
    return probed(rig, rig.config("apache", "cgi"))


@set_up("probe", "apache, less", starts=found(2, "CGIPassAuth On", long_field=THROUGH))
def of_apache_less(rig):
    return probed(rig, without(rig.config("apache", "cgi"), "CGIPassAuth"))


def probed(rig, printed):
    also = f"ScriptSock {rig.folder}/apache/cgid.sock"
    return apache.apache(rig, printed, "event", ["cgid"], also)
