# examples/authorizer.rs by the very recipes in its head: behind nginx's auth_request and Apache's
# mod_authnz_fcgi.
# Sourced by scripts/test-servers, whose functions it uses.

# recipe NAME: the configuration of that server in the example's head, with this gateway's address
recipe() {
    sed -n "/^\/\/! \`\`\`$1\$/,/^\/\/! \`\`\`\$/s|^//! \{0,1\}||p" "$root/examples/authorizer.rs" |
        sed -e '/^```/d' -e "s/127\.0\.0\.1:9000/$address/"
}

# guarded: what holds behind either, at $base
guarded() {
    check "$name: what is open" status_is 200 "$base/up"
    check "$name: nobody is asked who it is" asks_who "$base/members/page"
    check "$name: who is known passes" answers 200 ann:secret "$base/members/page"
    check "$name: and gets the page" [ "$(get -u ann:secret "$base/members/page")" = 'for members' ]
    check "$name: a wrong password" answers 401 ann:wrong "$base/members/page"
    check "$name: somebody else" answers 401 bob:secret "$base/members/page"
}
asks_who() {
    get -D "$scratch/head" -o /dev/null "$1"
    grep -q '^HTTP/1.1 401' "$scratch/head" && grep -qi '^www-authenticate: Basic realm="people"' "$scratch/head"
}
answers() { [ "$(get -o /dev/null -w '%{http_code}' -u "$2" "$3")" = "$1" ]; }
knows_who() { get -u ann:secret -D - -o /dev/null "$1" | tr -d '\r' | grep -qix 'x-who: ann'; }

guard=$scratch/authorizer
mkdir -p "$guard/htdocs/members" "$guard/tmp"
chmod 755 "$scratch"
echo 'ann:secret' >"$guard/people"
echo open >"$guard/htdocs/up"
echo 'for members' >"$guard/htdocs/members/page"
env -i PATH="$PATH" PEOPLE="$guard/people" "$examples/authorizer" fastcgi --listen 127.0.0.1:0 2>"$guard/log" &
last=$!
pids="$pids $last"
until_true grep -q ' threads$' "$guard/log" || give_up 'authorizer: did not get ready' "$guard/log"
address=$(sed -n 's/^cgigate: fastcgi on \(127[^,]*\),.*/\1/p' "$guard/log")

# serve_recipe SERVER PORT: in the foreground
cat >"$guard/serve" <<'END'
#!/bin/sh
set -eu
sed "s/PORT/$2/" "$1" >"$1.now"
case $1 in
*nginx*) exec nginx -p "$3" -c "$1.now" -e "$3/error.log" ;;
*) exec "$(command -v apache2 || command -v httpd)" -DFOREGROUND -f "$1.now" ;;
esac
END
chmod +x "$guard/serve"

if installed nginx; then
    {
        [ "$(id -u)" != 0 ] || echo "user $(id -un) $(id -gn);"
        cat <<END
daemon off; pid $guard/nginx.pid; events { }
http {
  access_log off;
  client_body_temp_path $guard/tmp/body; proxy_temp_path $guard/tmp/proxy; fastcgi_temp_path $guard/tmp/fastcgi;
  scgi_temp_path $guard/tmp/scgi; uwsgi_temp_path $guard/tmp/uwsgi;
  server {
    listen 127.0.0.1:PORT;
    root $guard/htdocs;
    add_header X-Who \$who;
$(recipe nginx)
  }
}
END
    } >"$guard/nginx.conf"
    # What every nginx has beside its configuration.
    cat >"$guard/fastcgi_params" <<'END'
fastcgi_param QUERY_STRING $query_string;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param SERVER_PORT $server_port;
fastcgi_param SERVER_NAME $server_name;
END
    serve "$guard/serve" "$guard/nginx.conf" PORT "$guard"
    base=http://127.0.0.1:$port name='authorizer behind nginx'
    guarded
    check "$name: and is known to what is behind it" knows_who "$base/members/page"
fi

if installed apache2 httpd; then
    modules=
    for place in /usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/lib/httpd/modules /usr/libexec/apache2; do
        [ ! -f "$place/mod_authnz_fcgi.so" ] || modules=$place
    done
    if [ -n "$modules" ]; then
        {
            for module in mpm_event authn_core authz_core authz_user auth_basic authnz_fcgi; do
                echo "LoadModule ${module}_module \"$modules/mod_$module.so\""
            done
            if [ "$(id -u)" = 0 ]; then echo "User nobody
Group $(id -gn nobody)"; fi
            cat <<END
ServerRoot "$guard"
DefaultRuntimeDir "$guard"
PidFile "$guard/apache.pid"
ScoreBoardFile "$guard/scoreboard"
Mutex file:$guard default
Listen 127.0.0.1:PORT
ServerName localhost
ErrorLog "$guard/apache.log"
DocumentRoot "$guard/htdocs"
$(recipe apache)
END
        } >"$guard/apache.conf"
        serve "$guard/serve" "$guard/apache.conf" PORT "$guard"
        base=http://127.0.0.1:$port name='authorizer behind Apache'
        guarded
    else
        echo 'SKIPPED authorizer behind Apache: no mod_authnz_fcgi'
    fi
fi
finish
