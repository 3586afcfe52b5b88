"""Servers that have a cgi-bin and no more: busybox httpd, Python's, and fcgiwrap for nginx."""

import sys

from checks import (
    NO_ANSWER, a_part, comes, contains, looks_whole, says, the_first_chunk, variables,
)  # fmt: skip
from nginx import GATHERED, UNSEEN, nginx
from rig import program
from setups import EACH_A_PROCESS, R, S, set_up
from table import AT_THE_ROOT, FAULT, MIB

GATE = "/cgi-bin/cgigate"


def cgi_bin(rig):
    """A folder with the executable in it."""
    folder = rig.folder_for("htdocs", 0o755)
    rig.folder_for("htdocs/cgi-bin", 0o755).joinpath("cgigate").symlink_to(rig.executable)
    return folder


@set_up("others", "busybox", {
    "a field twice": R(25, variables(HTTP_X_DUP="two")),
    "a field 50 times": R(25, variables(HTTP_X_DUP="49")),
    "Cookie twice": R(25, variables(HTTP_COOKIE="b=2; c=3")),
    "GET with a body": S(8, comes(body="0\n")),
    # The later of two lengths holds, and any before chunks.
    "two lengths": R(21, comes(body="abcd")),
    "a length, and chunks": R(21, comes(body="5\r\n")),
    # Of a body without a length it hands over what came with the head.
    "64 KiB in chunks": R(21, 400),
    "1 MiB in chunks": R(21, a_part(MIB)),
    "chunks seen one by one": R(21, the_first_chunk),
    "the mount and /": S(6, 404),
    "at the root: /": S(6, 404),
    "%2F": R(17, 404),
    "/%2F..%2F": R(17, 404),
    "//": R(17, 404),
    "an absolute target": R(31, 400),
    "a fault cuts the answer": R(12, looks_whole(FAULT)),
}, EACH_A_PROCESS)  # fmt: skip
def busybox(rig):
    main = rig.write("busybox.sh", rig.config("busybox", mount=GATE))
    command = ["sh", main, rig.folder_for("htdocs"), rig.web]
    program("busybox")
    return rig.serve("busybox", command, GATE)


ERROR = "500 Internal Server Error"
# It hands over four fields of its own choice, and says 200 whatever comes.
PYTHON = {
    **{row: R(32, 501) for row in ("PUT", "DELETE", "OPTIONS", "PATCH", "FROB")},
    "/caf%E9, no UTF-8": R(17, contains("PATH_INFO=/caf\xef\xbf\xbd\n")),
    "raw bytes": R(17, contains("PATH_INFO=/caf\xc3\x83\xc2\xa9-\xc3\xa9\n")),
    "%25": R(17, contains("PATH_INFO=/aA%\n")),
    "%252F": R(17, contains("PATH_INFO=/a/b\n")),
    "%3F and %23": R(17, contains("PATH_INFO=/a\n")),
    "%00": R(17, NO_ANSWER),
    "two lengths": R(21, comes(body="abc")),
    "a length, and chunks": R(21, comes(body="5\r\n")),
    "12 bytes in chunks": R(21, comes(body="")),
    "64 KiB in chunks": R(21, comes(body="0\n")),
    "1 MiB in chunks": R(21, comes(body="")),
    "chunks seen one by one": R(21, 200),
    **{row: R(11, 200) for row in ("204", "304", "HEAD of a 404")},
    **{row: R(11, says(status)) for row, status in {
        "an unknown application": "404 Not Found", "302": "302 Found",
        "201 and Location": "201 Created", "404": "404 Not Found",
        "503": "503 Service Unavailable", "418 and its words": "418 I'm a teapot",
        "a 100 is no answer": ERROR, "an error is a 500": ERROR, "a panic is a 500": ERROR,
    }.items()},
    "a field twice": S(8, variables(HTTP_X_DUP=None)),
    "a field 50 times": S(8, variables(HTTP_X_DUP=None)),
    "an empty field": S(8, variables(HTTP_X_EMPTY=None)),
    "a field in Latin-1": S(8, variables(HTTP_X_LATIN1=None)),
    "X_User spoofs X-User": S(8, variables(HTTP_X_USER=None)),
    "a field of 6 KiB": S(8, variables(HTTP_X_LONG=None)),
    "50 fields": S(8, variables(HTTP_X_1=None)),
    "Cookie twice": R(25, variables(HTTP_COOKIE="a=1, b=2; c=3")),
    "Authorization:": R(28, variables(HTTP_AUTHORIZATION=None)),
    "Host: with a port": R(30, variables(HTTP_HOST=None)),
    "an absolute target": R(31, 404),
    "a fault cuts the answer": R(12, looks_whole(FAULT)),
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
