"""nginx, by each protocol that it speaks; and in front of gateways that others start."""

from checks import gathered, gathered_up, logged, looks_whole, many
from rig import AS_ROOT, listener, program, web_group
from setups import R, S, set_up
from table import FAULT

# What Debian's nginx.conf says where another's would not do here.
MAIN = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/tmp/body;
    proxy_temp_path {folder}/tmp/proxy;
    fastcgi_temp_path {folder}/tmp/fastcgi;
    scgi_temp_path {folder}/tmp/scgi;
    uwsgi_temp_path {folder}/tmp/uwsgi;
    keepalive_requests 100000;
    {also}
    include {folder}/cgigate.conf;
}}
"""

# A connection that is not kept is at its end when it is closed, whatever came before.
UNSEEN = {"a fault cuts the answer": R(12, looks_whole(FAULT))}
GATHERED = {
    "blocks seen one by one": S(4, gathered),
    "chunks seen one by one": S(4, gathered_up),
}


def command(rig, printed, also=""):
    """What starts nginx with what `config nginx` printed among its files."""
    rig.folder_for("tmp")
    rig.write("cgigate.conf", printed)
    user = f"user www-data {web_group()};" if AS_ROOT else ""
    main = rig.write("nginx.conf", MAIN.format(user=user, folder=rig.folder, also=also))
    return [program("nginx"), "-p", rig.folder, "-c", main, "-e", rig.path("nginx.log")]


def nginx(rig, printed, also="", base=None):
    return rig.serve("nginx", command(rig, printed, also), base)


def unbuffered(printed):
    """The lines about buffers that are comments, as no comments."""
    return printed.replace("# fastcgi_buffering", "fastcgi_buffering").replace(
        "# fastcgi_request_buffering", "fastcgi_request_buffering")  # fmt: skip


@set_up("nginx", "fastcgi", GATHERED, more={
    "1,000 requests over kept connections": many(1000, 4),
    "1,000 panics over kept connections": many(1000, 4, "/fault?how=panic", 500),
    "512 requests, 64 at a time, on 4 threads": many(512, 64, "/sleep?ms=5"),
    "what a panic says is in nginx's log": logged("a panic, as asked for", "nginx"),
})  # fmt: skip
def fastcgi(rig):
    return nginx(rig, rig.gateway("nginx"))


@set_up(
    "nginx",
    "as it comes",
    UNSEEN,
    more={"and that line is in nginx's log": logged("a line for the log", "nginx")},
)
def as_it_comes(rig):
    return nginx(rig, unbuffered(rig.gateway("nginx", "fastcgi")))


@set_up("nginx", "fastcgi-close", {**GATHERED, **UNSEEN})
def fastcgi_close(rig):
    return nginx(rig, rig.gateway("nginx", "fastcgi-close"))


@set_up("nginx", "scgi", {**GATHERED, **UNSEEN}, more={
    "1,000 requests": many(1000, 4),
    "512 requests, 64 at a time, on 4 threads": many(512, 64, "/sleep?ms=5"),
    "a panic is in the gateway's log": logged("a panic, as asked for", "gateway"),
})  # fmt: skip
def scgi(rig):
    return nginx(rig, rig.gateway("nginx", "scgi"))


@set_up("nginx", "uwsgi", {**GATHERED, **UNSEEN}, more={
    "1,000 requests": many(1000, 4),
    "512 requests, 64 at a time, on 4 threads": many(512, 64, "/sleep?ms=5"),
    "a panic is in the gateway's log": logged("a panic, as asked for", "gateway"),
})  # fmt: skip
def uwsgi(rig):
    return nginx(rig, rig.gateway("nginx", "uwsgi"))


@set_up("nginx", "spawn-fcgi", GATHERED)
def spawn_fcgi(rig):
    """spawn-fcgi listens, and hands the socket over as descriptor 0."""
    socket = rig.path("gateway.sock")
    owner = ["-M", "0660", "-G", web_group()] if AS_ROOT else []
    command = [program("spawn-fcgi"), "-n", "-s", socket, *owner, "--", rig.executable]
    rig.start("gateway", command, socket.exists, env=rig.environment)
    return nginx(rig, rig.config("nginx", listen=f"unix:{socket}"))


@set_up("nginx", "systemd", GATHERED)
def systemd(rig):
    """systemd listens, and hands the socket over by LISTEN_FDS; here a shell does what it does."""
    socket = rig.path("gateway.sock")
    units = rig.config("systemd", listen=f"unix:{socket}").splitlines()
    value = dict(line.split("=", 1) for line in units if "=" in line and not line.startswith("#"))
    mode, group = int(value["SocketMode"], 8), value["SocketGroup"]
    with listener(value["ListenStream"], mode, group) as listening:
        number = listening.fileno()
        command = f"exec 3<&{number}; export LISTEN_PID=$$ LISTEN_FDS=1; exec {value['ExecStart']}"
        rig.start_gateway(["sh", "-c", command], pass_fds=[number])
    return nginx(rig, rig.config("nginx", listen=f"unix:{socket}"))
