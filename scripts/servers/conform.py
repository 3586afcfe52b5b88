"""`conform` asked about this gateway, and about responders that are not ours: what it finds is what
is known of them."""

import re
import subprocess

import php_fpm
from checks import demand
from rig import Missing, Site, program
from setups import set_up

HELLO = """#include <fcgi_stdio.h>
int main(void)
{
    while (FCGI_Accept() >= 0)
        printf("Content-Type: text/plain\\r\\n\\r\\nhello\\n");
    return 0;
}
"""


def finds(*known, options=lambda site: ()):
    """The rules that are broken are these."""

    def behaviour(site):
        command = [site.rig.executable, "conform", "--timeout", "5s", site.base, *options(site)]
        done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
        found = re.findall(r"^FAILED  ([a-z-]*) ", done.stdout + done.stderr, re.MULTILINE)
        demand(found == list(known), f"{found}, and not {list(known)}\n{done.stdout[-800:]}")
        demand((done.returncode == 0) == (not known), f"exit {done.returncode}")

    return behaviour


def asked_about(*known, **options):
    return (({"the rules of FastCGI": finds(*known, **options)}, {}),)


@set_up("conform", "this gateway", starts=asked_about())
def this_gateway(rig):
    socket = rig.path("gateway.sock")
    rig.start_gateway([rig.executable, "fastcgi", "--threads", "4", "--listen", f"unix:{socket}"])
    return Site(rig, None, f"unix:{socket}")


@set_up("conform", "php-fpm", starts=asked_about(
    "stdout-end", "inactive-id", "version", "unknown-type", "unknown-type-then", "unknown-role",
    "interleaved", "params-in-pieces", "params-long",
    options=lambda site: ("--param", f"SCRIPT_FILENAME={site.rig.path('page.php')}"),
))  # fmt: skip
def of_php_fpm(rig):
    php_fpm.php_fpm.start(rig)
    return Site(rig, None, f"unix:{rig.path('s')}")


@set_up("conform", "libfcgi", starts=asked_about("get-values", "unknown-role"))
def libfcgi(rig):
    source, built, socket = rig.write("hello.c", HELLO), rig.path("hello"), rig.path("gateway.sock")
    command = [program("cc"), "-o", built, source, "-lfcgi"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Missing("libfcgi-dev")
    rig.start("gateway", [program("spawn-fcgi"), "-n", "-s", socket, "--", built], socket.exists)
    return Site(rig, None, f"unix:{socket}")
