# `conform` asked about responders that are not ours: what it finds is what is known of them.
# Sourced by scripts/test-servers, whose functions it uses.

# finds NAMES COMMAND...: the checks that fail are these
finds() {
    wanted=$1
    shift
    "$@" >"$scratch/found" 2>&1 || :
    found=$(sed -n 's/^FAILED  \([a-z-]*\) .*/\1/p' "$scratch/found" | tr '\n' ' ')
    [ "$found" = "$wanted " ] || { cat "$scratch/found" >&2 && false; }
}

# conforms ADDRESS OPTION...
conforms() { "$CGIGATE" conform --timeout 5s "$@"; }

keeps_all() { conforms "$@" >"$scratch/found" || { cat "$scratch/found" >&2 && false; }; }

gateway fastcgi --threads 4
check 'conform: this gateway keeps every rule' keeps_all "unix:$socket"
finish

if "$root/scripts/serve-php-fpm" --find >/dev/null; then
    php=$scratch/conform-fpm
    "$root/scripts/serve-php-fpm" "$php" "$php/s" >"$scratch/server.log" 2>&1 &
    last=$!
    pids="$pids $last"
    until_true "$CGIGATE" get --connect "unix:$php/s" --ping >/dev/null || give_up 'php-fpm: did not answer' "$scratch/server.log"
    check 'conform: php-fpm' finds \
        'stdout-end inactive-id version unknown-type unknown-type-then unknown-role interleaved params-in-pieces params-long' \
        conforms "unix:$php/s" --param "SCRIPT_FILENAME=$php/page.php"
    finish
fi

if installed cc && installed spawn-fcgi && [ -f /usr/include/fcgi_stdio.h ]; then
    cat >"$scratch/hello.c" <<'END'
#include <fcgi_stdio.h>
int main(void)
{
    while (FCGI_Accept() >= 0)
        printf("Content-Type: text/plain\r\n\r\nhello\n");
    return 0;
}
END
    cc -o "$scratch/hello-libfcgi" "$scratch/hello.c" -lfcgi
    spawn-fcgi -n -s "$scratch/libfcgi.sock" -- "$scratch/hello-libfcgi" 2>"$scratch/server.log" &
    last=$!
    pids="$pids $last"
    until_true "$CGIGATE" get --connect "unix:$scratch/libfcgi.sock" / >/dev/null || give_up 'libfcgi: did not answer' "$scratch/server.log"
    check 'conform: libfcgi' finds 'get-values unknown-role' conforms "unix:$scratch/libfcgi.sock"
    finish
fi
