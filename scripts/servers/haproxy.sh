# HAProxy in front of the gateway's FastCGI socket: the one server that multiplexes.
# Sourced by scripts/test-servers, whose functions it uses.

# connections BACKEND: how many it has opened to the gateway so far
connections() {
    get "http://127.0.0.1:$port/stats;csv" | awk -F, -v backend="$1" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "connect") column = i }
        $1 == backend && $2 == "gateway" { print $column }'
}

if installed haproxy; then
    gateway fastcgi --threads 4
    serve "$root/scripts/serve-haproxy" "$scratch/haproxy" PORT "unix:$socket"

    # HAProxy before 3.0 answers 500 by itself (its issue 2568, state IH in its log) where the requests
    # that it puts on a connection at once are over the 16 KiB of a buffer: 32 of these are not.
    base=http://127.0.0.1:$port/mux
    check "haproxy /mux: 10,000 requests, 64 at a time" all_at_once 64 10000 "$base/hello?[1-10000]"
    opened=$(connections mux)
    check "haproxy /mux: through 2 connections, and not $opened" [ "$opened" -le 2 ]

    for mount in plain now mux; do
        base=http://127.0.0.1:$port/$mount name="haproxy /$mount"
        check "$name: hello" body_is 'Hello World' "$base/hello"
        check "$name: demo is wsgiref's own text" is_demo "$base/demo"
        check "$name: the path behind the application" has_line 'PATH_INFO=/a b/c' "$base/environ/a%20b/c"
        check "$name: the path before it" has_line "SCRIPT_NAME=/$mount/environ" "$base/environ/x"
        check "$name: echo of 1 MiB" echoes "$base/echo" 1048576
        check "$name: a body of 1 MiB, counted" takes_body 1048576 "$base/count"
        check "$name: a body of 16 MiB" has_size 16777216 "$base/bytes?n=16777216"
        check "$name: two cookies stay two" cookies "$base/headers?n=3"
        check "$name: 404" status_is 404 "$base/status?code=404"
        check "$name: 204" status_is 204 "$base/status?code=204"
        check "$name: HEAD" head_is_right "$base/hello"
        check "$name: a panic gives a 500" status_is 500 "$base/fault?how=panic"
        check "$name: a stream" body_is xxxxxxxxxxxxxxx "$base/stream?chunks=3&size=5&delay_ms=20"
    done
    finish
fi
