"""Servers that have a cgi-bin and no more: busybox httpd, Python's, and fcgiwrap for nginx."""

import sys

from nginx import GATHERED, UNSEEN, nginx
from rig import program
from setups import EACH_A_PROCESS, R, S, set_up
from table import AT_THE_ROOT

GATE = "/cgi-bin/cgigate"


def cgi_bin(rig):
    """A folder with the executable in it."""
    folder = rig.folder_for("htdocs", 0o755)
    rig.folder_for("htdocs/cgi-bin", 0o755).joinpath("cgigate").symlink_to(rig.executable)
    return folder


@set_up("others", "busybox", {
    "a field twice": R(25),
    "Cookie twice": R(25),
    "Authorization:": R(28),
    "Host: with a port": R(30),
    "GET with a body": S(8),
    **{row: R(21) for row in ("64 KiB in chunks", "1 MiB in chunks", "chunks seen one by one")},
    "the mount and /": S(6, 404),
    "at the root: /": S(6, 404),
    "%2F": R(17, 404),
    "//": R(17, 404),
    "an absolute target": R(31, 400),
    "a fault cuts the answer": R(12),
}, EACH_A_PROCESS)  # fmt: skip
def busybox(rig):
    main = rig.write("busybox.sh", rig.config("busybox", mount=GATE))
    command = ["sh", main, rig.folder_for("htdocs"), rig.web]
    program("busybox")
    return rig.serve("busybox", command, GATE)


# It hands over four fields of its own choice, and says 200 whatever comes.
PYTHON = {
    **{row: R(32, 501) for row in ("PUT", "DELETE", "OPTIONS", "FROB")},
    **{row: R(17) for row in ("/caf%E9, no UTF-8", "raw bytes", "%25", "%252F", "%00")},
    **{row: R(21) for row in (
        "12 bytes in chunks", "64 KiB in chunks", "1 MiB in chunks", "chunks seen one by one")},
    **{row: R(11, 200) for row in (
        "an unknown application", "204", "304", "HEAD of a 404", "302", "201 and Location", "404", "503",
        "418 and its words", "a 100 is no answer", "an error is a 500", "a panic is a 500")},
    **{row: S(8) for row in (
        "a field twice", "an empty field", "a field in Latin-1", "X_User spoofs X-User",
        "a field of 6 KiB", "50 fields")},
    "Cookie twice": R(25),
    "Authorization:": R(28),
    "Host: with a port": R(30),
    "an absolute target": R(31, 404),
    "a fault cuts the answer": R(12),
}  # fmt: skip


@set_up("others", "python", PYTHON, (*EACH_A_PROCESS, *AT_THE_ROOT))
def python(rig):
    folder = cgi_bin(rig)
    command = [sys.executable, "-u", "-W", "ignore", "-m", "http.server", "--cgi",
               "--bind", "127.0.0.1", "--directory", folder, rig.port]  # fmt: skip
    return rig.serve("python", command, GATE, cwd=folder)


@set_up(
    "others",
    "fcgiwrap",
    {**GATHERED, **UNSEEN, "a line break": R(18, 403)},
    (*EACH_A_PROCESS, *AT_THE_ROOT),
)
def fcgiwrap(rig):
    folder, socket = cgi_bin(rig), rig.path("fcgiwrap.sock")
    command = [program("fcgiwrap"), "-c", "4", "-s", f"unix:{socket}"]
    rig.start("gateway", command, socket.exists)
    socket.chmod(0o666)
    return nginx(rig, FCGIWRAP.format(web=rig.web, folder=folder, socket=socket), base=GATE)


# What everybody writes.
FCGIWRAP = """
server {{
    listen {web};
    root {folder};
    client_max_body_size 64m;
    location /cgi-bin/ {{
        fastcgi_pass unix:{socket};
        fastcgi_split_path_info ^(/cgi-bin/[^/]+)(.*)$;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param SCRIPT_NAME $fastcgi_script_name;
        fastcgi_param PATH_INFO $fastcgi_path_info;
        fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
        fastcgi_param SERVER_NAME $server_name;
        fastcgi_param SERVER_PORT $server_port;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param REMOTE_ADDR $remote_addr;
    }}
}}
"""
