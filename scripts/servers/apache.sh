# Apache's cgi-bin, by mod_cgid and by mod_cgi, with the executable dropped into it; and mod_proxy_scgi
# and mod_proxy_uwsgi in front of its sockets.
# Sourced by scripts/test-servers, whose functions it uses.

if installed apache2 httpd; then
    for module in cgid cgi; do
        mkdir -p "$scratch/$module-bin"
        chmod 755 "$scratch" "$scratch/$module-bin"
        cp "$CGIGATE" "$scratch/$module-bin/gate.cgi"
        ln -s gate.cgi "$scratch/$module-bin/hello.cgi"
        ln -s gate.cgi "$scratch/$module-bin/nph-environ.cgi"
        serve "$root/scripts/serve-apache" "$module" "$scratch/$module" PORT "$scratch/$module-bin"

        base=http://127.0.0.1:$port/cgi-bin/gate.cgi name="apache mod_$module"
        answers_as_it_should
        check "$name: a stream is seen while it goes on" is_streamed "$base"
        base=http://127.0.0.1:$port/cgi-bin
        check "$name: the name of the file picks the application" body_is 'Hello World' "$base/hello.cgi/any/path"
        check "$name: nph-" has_line 'REQUEST_METHOD=GET' "$base/nph-environ.cgi"
        finish
    done

    for protocol in scgi uwsgi; do
        # Of mod_proxy_scgi the whole path comes in SCRIPT_NAME.
        gateway $protocol --threads 4 --mount /app --socket-mode 0666
        chmod 755 "$scratch"
        serve "$root/scripts/serve-apache" $protocol "$scratch/apache-$protocol" PORT "unix:$socket"
        base=http://127.0.0.1:$port/app name="apache mod_proxy_$protocol" takes_chunks=no
        answers_as_it_should
        takes_chunks=yes
        check "$name: chunks are its own to refuse" status_is_for_chunks 411 "$base/count"
        check "$name: 64 connections and 4 threads, all served" all_at_once 64 512 "$base/sleep?ms=5&n=[1-512]"
        finish
    done
fi
