# php-fpm, a responder that is not ours, asked by `get`.
# Sourced by scripts/test-servers, whose functions it uses.

# ask OPTION... PATH: of the page that scripts/serve-php-fpm makes
ask() {
    CGIGATE_CONNECT=unix:$php/s CGIGATE_TIMEOUT=20s CGIGATE_PARAM=SCRIPT_FILENAME=$php/page.php \
        CGIGATE_HEADER='Content-Type: application/octet-stream' "$CGIGATE" get "$@"
}

answer_is() {
    wanted=$1
    shift
    [ "$(ask "$@")" = "$wanted" ]
}

answer_has() {
    wanted=$1
    shift
    ask "$@" | tr -d '\r' | grep -qxF -e "$wanted"
}

# exits CODE OPTION... PATH: with that status
exits() {
    wanted=$1 code=0
    shift
    ask "$@" >"$scratch/page" || code=$?
    [ $code = "$wanted" ]
}

# says LINE CODE OPTION... PATH: exits so, and the line is on stderr
says() {
    line=$1
    shift
    exits "$@" 2>"$scratch/stderr" && grep -qxF -e "$line" "$scratch/stderr"
}

# sends_back BYTES OPTION...: a file of so many bytes comes back
sends_back() {
    head -c "$1" /dev/urandom >"$scratch/body"
    ask -d "@$scratch/body" '/?do=echo' >"$scratch/echo" && cmp -s "$scratch/body" "$scratch/echo"
}

counts_pipe() {
    [ "$(head -c 1048576 /dev/zero | ask -d @- '/?do=count')" = 1048576 ]
}

if "$root/scripts/serve-php-fpm" --find >/dev/null; then
    php=$scratch/php-fpm
    "$root/scripts/serve-php-fpm" "$php" "$php/s" >"$scratch/server.log" 2>&1 &
    last=$!
    pids="$pids $last"
    until_true ask --ping >/dev/null || give_up 'php-fpm: did not answer' "$scratch/server.log"

    check 'php-fpm: a page' answer_is 'Hello World' /
    check 'php-fpm: GET_VALUES' answer_is 'FCGI_MPXS_CONNS=0' --ping
    check 'php-fpm: its own ping page' answer_is pong --param SCRIPT_NAME=/ping --param SCRIPT_FILENAME=/ping /
    check 'php-fpm: the path' answer_has 'PATH_INFO=/a b/c' '/a%20b/c?do=vars'
    check 'php-fpm: the query' answer_has 'QUERY_STRING=do=vars&x=%20' '/?do=vars&x=%20'
    check 'php-fpm: a header field' answer_has 'HTTP_X_ONE=a b' -H 'X-One: a b' '/?do=vars'
    check 'php-fpm: another host' answer_has 'HTTP_HOST=example.test' -H 'Host: example.test' '/?do=vars'
    check 'php-fpm: a method' answer_has 'REQUEST_METHOD=PATCH' -X PATCH '/?do=vars'
    check 'php-fpm: a parameter' answer_has 'SERVER_NAME=other' --param SERVER_NAME=other \
        --param "SCRIPT_FILENAME=$php/page.php" '/?do=vars'
    check 'php-fpm: a form' answer_is '{"a":"1","b":" z"}' \
        -H 'Content-Type: application/x-www-form-urlencoded' -d 'a=1&b=%20z' '/?do=form'
    check 'php-fpm: a body of nothing' sends_back 0
    check 'php-fpm: a body of 1 MiB' sends_back 1048576
    check 'php-fpm: a body of 16 MiB' sends_back 16777216
    check 'php-fpm: a body from a pipe' counts_pipe
    check 'php-fpm: a body that nobody reads' answer_is ignored -d "@$scratch/body" '/?do=noread'
    check 'php-fpm: its header block' answer_has 'Status: 201 Created' -i '/?do=status&code=201'
    check 'php-fpm: HEAD' answer_is '' -X HEAD /
    check 'php-fpm: 201 is well' exits 0 '/?do=status&code=201'
    check 'php-fpm: 302 is well' exits 0 '/?do=status&code=302'
    for code in 404 500; do
        check "php-fpm: $code is not" exits 1 "/?do=status&code=$code"
    done
    check 'php-fpm: what it logs' says 'PHP message: a line for the log' 0 '/?do=log'
    check 'php-fpm: no such script' says 'Primary script unknown' 1 --param SCRIPT_FILENAME=/nonexistent /
    check 'php-fpm: too slow' says "cgigate: get /?do=sleep&seconds=2 from unix:$php/s: no progress for 200ms (--timeout)" \
        1 --timeout 200ms '/?do=sleep&seconds=2'
    # Its only child sleeps on, and takes the next request when it has done.
    check 'php-fpm: and the next request is served' answer_is 'Hello World' /
    finish
    check 'php-fpm: nobody there any more' exits 1 /
else
    echo 'SKIPPED php-fpm: not installed'
fi
