# `probe` behind nginx and Apache: what it finds wrong is what is known of them, and what its own
# command for curl asks for.
# Sourced by scripts/test-servers, whose functions it uses.

# finds_wrong COUNT TEXT URL: asked by the command that its page prints
finds_wrong() {
    get "$3" | sed -n '/^  curl /,/^$/p' >"$scratch/command"
    [ -s "$scratch/command" ] || return 1
    sh "$scratch/command" >"$scratch/page" 2>"$scratch/said" || return 1
    grep -qx "$1 wrong, 0 not asked for" "$scratch/page" && grep -qF -e "$2" "$scratch/page" ||
        { cat "$scratch/page" >&2 && false; }
}

if installed nginx; then
    gateway fastcgi --threads 4
    serve "$root/scripts/serve-nginx" "$scratch/nginx" PORT "unix:$socket"
    base=http://127.0.0.1:$port
    check 'probe behind nginx: httpoxy alone' finds_wrong 1 'fastcgi_param HTTP_PROXY "";' "$base/plain/probe"
    # nginx's own buffer holds 4 KiB of an answer's fields.
    check 'probe behind nginx: the long field is refused' status_is 502 "$base/plain/probe/long-field"
    finish

    gateway fastcgi --threads 4 --app probe
    serve "$root/scripts/serve-nginx" "$scratch/nginx" PORT "unix:$socket"
    # What stock parameters lack besides is found too.
    check 'probe behind nginx, mounted by the gateway' finds_wrong 2 GATEWAY_INTERFACE "http://127.0.0.1:$port/stock"
    finish
fi

if installed apache2 httpd; then
    mkdir -p "$scratch/probe-bin"
    chmod 755 "$scratch" "$scratch/probe-bin"
    cp "$CGIGATE" "$scratch/probe-bin/gate.cgi"
    serve "$root/scripts/serve-apache" cgid "$scratch/cgid" PORT "$scratch/probe-bin"
    check 'probe behind mod_cgid: credentials withheld, words as arguments' finds_wrong 2 \
        'CGIPassAuth On' "http://127.0.0.1:$port/cgi-bin/gate.cgi/probe"
    check 'probe behind mod_cgid: the long field comes through' body_is 'A field of 6000 bytes has come through.' "http://127.0.0.1:$port/cgi-bin/gate.cgi/probe/long-field"
    finish
fi
