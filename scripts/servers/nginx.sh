# nginx in front of the gateway's FastCGI socket, with kept connections and without, and in front
# of its SCGI and uwsgi sockets.
# Sourced by scripts/test-servers, whose functions it uses.

if installed nginx; then
    gateway fastcgi --threads 4
    serve "$root/scripts/serve-nginx" "$scratch/nginx" PORT "unix:$socket"

    for mount in plain keep now stock; do
        base=http://127.0.0.1:$port/$mount name="nginx /$mount"
        answers_as_it_should
        check "$name: a body of 64 MiB comes back" echoes "$base/echo" 67108864
    done
    base=http://127.0.0.1:$port/now
    check "nginx /now: a stream is seen while it goes on" is_streamed "$base"
    base=http://127.0.0.1:$port/keep
    # Where a connection is not kept, nginx takes its close for the end of the answer.
    check "nginx /keep: a fault after the headers cuts the answer" is_cut "$base/fault?when=after"
    check "nginx /keep: and the next request is served" body_is 'Hello World' "$base/hello"
    check "nginx /keep: a panic is in its error log" grep -q 'a panic, as asked for' "$scratch/nginx/error.log"
    check "nginx /keep: 1,000 requests over kept connections" all_are 200 1000 "$base/hello?[1-1000]"
    check "nginx /keep: 1,000 panics over kept connections" all_are 500 1000 "$base/fault?how=panic&n=[1-1000]"
    check "nginx /keep: 64 connections and 4 threads, all served" all_at_once 64 512 "$base/sleep?ms=5&n=[1-512]"
    finish

    for protocol in scgi uwsgi; do
        gateway $protocol --threads 4
        serve "$root/scripts/serve-nginx" "$scratch/nginx-$protocol" PORT "unix:$socket" $protocol
        for mount in plain now stock; do
            base=http://127.0.0.1:$port/$mount name="nginx ${protocol}_pass /$mount"
            answers_as_it_should
        done
        name="nginx ${protocol}_pass" base=http://127.0.0.1:$port
        check "$name /now: a stream is seen while it goes on" is_streamed "$base/now"
        check "$name: a panic is in the gateway's log" grep -q 'a panic, as asked for' "$scratch/$protocol.log"
        check "$name: 1,000 requests" all_are 200 1000 "$base/plain/hello?[1-1000]"
        check "$name: 64 connections and 4 threads, all served" all_at_once 64 512 "$base/plain/sleep?ms=5&n=[1-512]"
        finish
    done
fi
