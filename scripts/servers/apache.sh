# Apache's cgi-bin, by mod_cgid and by mod_cgi, with the executable dropped into it.
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
fi
