# The guestbook, examples/axum.rs, as it is: a CGI program under Apache and a FastCGI server behind
# nginx, both at once on one file; and in a real browser, where there is one.
# Sourced by scripts/test-servers, whose functions it uses.

# sign URL NAME TEXT OPTION...: what comes back
sign() {
    url=$1 name_field=$2 text_field=$3
    shift 3
    get --data-urlencode "name=$name_field" --data-urlencode "text=$text_field" "$@" "$url"
}

entries() { get "$1" | sed -n 's/One entry/1 entry/; s/^<p class="count">\([0-9]*\) entr.*/\1/p'; }
has_entries() { [ "$(entries "$2")" = "$1" ]; }
leads_back() {
    [ "$(sign "$1" Ann 'hello & goodbye <i>' -o /dev/null -w '%{http_code} %{redirect_url}')" = "303 $2" ]
}
shows() { get "$1" | grep -qF -e "$2"; }
refuses() { [ "$(sign "$1" "$2" "$3" -o /dev/null -w '%{http_code}')" = 422 ]; }

# all_sign URL COUNT: at once, 8 at a time
all_sign() {
    [ "$(sign "$1?[1-$2]" Bob 'all together' --parallel --parallel-immediate --parallel-max 8 -o /dev/null \
        -w '%{http_code}\n' 2>/dev/null | grep -cx 303)" = "$2" ]
}

# both_sign: as CGI, a process each, while a FastCGI server writes to the same file
both_sign() {
    all_sign "$cgi" 40 &
    other=$!
    all_sign "$fastcgi" 40 && wait $other
}

if installed nginx && installed apache2 httpd; then
    book=$scratch/guestbook
    mkdir -p "$book/cgi-bin"
    # Apache's children are nobody where this is run by root.
    chmod 755 "$scratch"
    chmod 777 "$book"
    printf '#!/bin/sh\numask 0; GUESTBOOK=%s exec %s\n' "$book/entries" "$examples/axum" >"$book/cgi-bin/guestbook"
    chmod 755 "$book/cgi-bin/guestbook"
    serve "$root/scripts/serve-apache" cgi "$scratch/guestbook-apache" PORT "$book/cgi-bin"
    cgi=http://127.0.0.1:$port/cgi-bin/guestbook

    check 'guestbook, CGI under Apache: the page' shows "$cgi" 'Nobody has signed yet'
    check 'guestbook, CGI under Apache: who signs is led back' leads_back "$cgi" "$cgi/"
    check 'guestbook, CGI under Apache: and finds the entry' shows "$cgi/" 'hello &amp; goodbye &lt;i&gt;'

    environment="GUESTBOOK=$book/entries"
    CGIGATE=$examples/axum gateway fastcgi --threads 4
    environment=
    serve "$root/scripts/serve-nginx" "$scratch/guestbook-nginx" PORT "unix:$socket"
    for mount in plain keep now; do
        fastcgi=http://127.0.0.1:$port/$mount
        before=$(entries "$cgi")
        name="guestbook, FastCGI behind nginx /$mount"
        check "$name: the page" has_entries "$before" "$fastcgi"
        check "$name: who signs is led back" leads_back "$fastcgi" "$fastcgi/"
        check "$name: and finds the entry" has_entries $((before + 1)) "$fastcgi/"
        check "$name: as does whoever asks the CGI program" has_entries $((before + 1)) "$cgi"
        check "$name: no name" refuses "$fastcgi" ' ' text
        check "$name: HEAD" head_is_right "$fastcgi/"
        check "$name: 404" status_is 404 "$fastcgi/elsewhere"
    done
    before=$(entries "$cgi")
    check 'guestbook: 80 entries at once by two servers' both_sign
    check 'guestbook: and all of them are there' has_entries $((before + 80)) "$cgi"
    if installed chromium chromium-browser google-chrome && installed python3; then
        for url in "$fastcgi/" "$cgi/"; do
            check "guestbook in a browser: $url" python3 "$root/scripts/servers/guestbook.py" "$url" "$scratch"
        done
    fi
    finish
fi
