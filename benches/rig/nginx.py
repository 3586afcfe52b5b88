"""Behind nginx, with one worker: each responder by fastcgi_pass, and hyper by proxy_pass, which is
what somebody would take instead. `nginx alone` answers by itself."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import peers
from processes import Responder, cpu_clocks, cpu_spent, pin, prepare_child
from tables import failures, median, number, ratios, table

ALONE, CONNECTIONS = "nginx alone", 32

CONF = """daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log {scratch}/nginx.err error;
{user}events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {scratch}/b; fastcgi_temp_path {scratch}/f; proxy_temp_path {scratch}/p;
  uwsgi_temp_path {scratch}/u; scgi_temp_path {scratch}/s;
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /alone {{ default_type "text/plain; charset=utf-8"; return 200 "Hello World\\n"; }}
{locations}
  }}
}}
"""

# What Debian's fastcgi.conf passes, and the header fields, which nginx adds by itself.
PARAMS = """SCRIPT_FILENAME {script}; QUERY_STRING $query_string; REQUEST_METHOD $request_method;
CONTENT_TYPE $content_type; CONTENT_LENGTH $content_length; SCRIPT_NAME /hello;
REQUEST_URI /hello; DOCUMENT_URI $document_uri; DOCUMENT_ROOT $document_root;
SERVER_PROTOCOL $server_protocol; REQUEST_SCHEME $scheme; GATEWAY_INTERFACE CGI/1.1;
SERVER_SOFTWARE nginx/$nginx_version; REMOTE_ADDR $remote_addr; REMOTE_PORT $remote_port;
REMOTE_USER $remote_user; SERVER_ADDR $server_addr; SERVER_PORT $server_port;
SERVER_NAME $server_name; REDIRECT_STATUS 200"""

REPORT = """done = function(s, l, r)
  io.write(string.format('JSON{"requests":%d,"rps":%.1f,"errors":%d,"p50":%.1f,"p99":%.1f}\\n',
    s.requests, s.requests / s.duration * 1e6,
    s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout,
    l:percentile(50), l:percentile(99)))
end
"""


def run(rig):
    for program in ("nginx", "wrk"):
        if not peers.found(program):
            return peers.missing("through nginx", f"{program} is not installed", program)
    http = {} if rig.quick else {name: peers.HTTP[name] for name in peers.build_peers(peers.HTTP)}
    rig.peers = {**rig.peers, **http}
    try:
        for keep in ("on", "off"):
            leg(rig, http, keep)
    finally:
        for name in http:
            del rig.peers[name]


def leg(rig, http, keep):
    rig.progress(f"nginx: connections kept {keep}")
    # A thread or process per connection: as many as nginx may keep, or some wait for ever.
    started = {name: Responder(rig, name, cpu=rig.cpu(0), command=re.sub(r"\b16$", "64", command))
               for name, command in rig.peers.items()}
    server = None
    try:
        port = free_port()
        server = serve(rig, started, http, keep, port)
        data = rig.interleave([ALONE, *started],
                              lambda name, at: one(rig, server, started, name, at, port))
    finally:
        if server:
            server.send_signal(signal.SIGTERM)
            server.wait()
        for responder in started.values():
            responder.stop()
    rig.raw.setdefault("nginx", {})[keep] = data
    print(f"#### Through nginx, connections to the responder kept: {keep}\n")
    table(["responder", "requests/s", "÷ canned", "its CPU µs/request", "÷ canned", "÷ libfcgi",
           "nginx's CPU µs/request"],
          [[name, number(median(data[name], "rps")), ratios(data, name, "rps", "canned"),
            number(median(data[name], "cpu_us"), "{:.2f}"),
            ratios(data, name, "cpu_us", "canned"), ratios(data, name, "cpu_us", "libfcgi"),
            number(median(data[name], "nginx_us"), "{:.2f}")] for name in data])
    failures(data)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(rig, started, http, keep, port):
    script = os.environ["BENCH_SCRIPT"]
    params = " ".join(f"fastcgi_param {each.strip()};"
                      for each in PARAMS.format(script=script).split(";"))
    upstreams = locations = ""
    for at, (name, responder) in enumerate(started.items()):
        kept = "keepalive 32; keepalive_requests 1000000000;" if keep == "on" else ""
        upstreams += f"  upstream u{at} {{ server unix:{responder.socket}; {kept} }}\n"
        if name in http:
            header = "" if keep == "on" else "close"
            passed = (f'proxy_pass http://u{at}/hello; proxy_http_version 1.1; '
                      f'proxy_set_header Connection "{header}"; proxy_set_header Host $host; '
                      f'proxy_set_header X-Forwarded-For $remote_addr; '
                      f'proxy_set_header X-Forwarded-Proto $scheme;')
        else:
            passed = f"{params} fastcgi_pass u{at}; fastcgi_keep_conn {keep};"
        locations += f"    location = /{at} {{ {passed} }}\n"
    user = "user root;\n" if os.getuid() == 0 else ""
    with open(rig.scratch + "/nginx.conf", "w") as conf:
        conf.write(CONF.format(scratch=rig.scratch, user=user, port=port, upstreams=upstreams,
                               locations=locations))
    with open(rig.scratch + "/report.lua", "w") as report:
        report.write(REPORT)
    server = subprocess.Popen([peers.found("nginx"), "-c", rig.scratch + "/nginx.conf", "-p", rig.scratch],
                              start_new_session=True, stderr=subprocess.PIPE, text=True,
                              preexec_fn=prepare_child(rig.others_cpu(0)))
    end = time.monotonic() + 10
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("nginx does not start: " + (server.stderr.read() if server.poll() else "?"))


def one(rig, server, started, name, at, port):
    cpu, responder = rig.others_cpu(at), started.get(name)
    path = "alone" if name == ALONE else list(started).index(name)
    pin(server.pid, cpu)
    clocks, nginx_clocks = {}, cpu_clocks(server.pid)
    if responder:
        pin(responder.pid, rig.cpu(at))
        clocks = cpu_clocks(responder.pid)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(rig.seconds))}s",
         "-s", rig.scratch + "/report.lua", f"http://127.0.0.1:{port}/{path}"],
        capture_output=True, text=True, check=False, preexec_fn=prepare_child(cpu))
    found = re.search(r"JSON(\{.*\})", done.stdout)
    result = json.loads(found.group(1)) if found else {"requests": 0, "errors": 1}
    if result["requests"]:
        result["nginx_us"] = cpu_spent(server.pid, nginx_clocks) / result["requests"]
        if responder:
            result["cpu_us"] = cpu_spent(responder.pid, clocks) / result["requests"]
    return result
