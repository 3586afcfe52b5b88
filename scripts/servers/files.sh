# `files` behind web servers that send the files themselves (--accel): nginx, lighttpd, and Apache
# where it has mod_xsendfile; and behind nginx without.
# Sourced by scripts/test-servers, whose functions it uses.

# serves_files ACCEL: what holds whoever sends the files, at $base; ACCEL may be empty
serves_files() {
    check "$name: a file, whole" same_as "$files/large" "$base/large"
    check "$name: its type" has_field 'Content-Type: text/html' "$base/page.html"
    check "$name: a name that has to be encoded" same_as "$files/a b%41é.txt" "$base/a%20b%2541%C3%A9.txt"
    check "$name: the index of a directory" same_as "$files/sub/index.html" "$base/sub/"
    check "$name: a range" is_range "$base/large" 1000-70999
    check "$name: two ranges" has_parts "$base/large" 0-9,100-109
    check "$name: a range that is not there" status_is_for 416 "$base/large" -H 'Range: bytes=99999999-'
    check "$name: 304 for the ETag that it gave" is_cached "$base/large"
    check "$name: HEAD" head_is_right "$base/large"
    check "$name: a directory without an index" status_is 404 "$base/empty/"
    check "$name: a way out" status_is_for 404 "$base/out" --path-as-is
    check "$name: nothing of how it is sent is seen" no_field_begins 'x-' "$base/page.html"
}

same_as() { get "$2" | cmp -s - "$1"; }
status_is_for() {
    wanted=$1 url=$2
    shift 2
    [ "$(get -o /dev/null -w '%{http_code}' "$@" "$url")" = "$wanted" ]
}
is_range() {
    get -D "$scratch/head" -r "$2" "$1" >"$scratch/part"
    tail -c +$((${2%-*} + 1)) "$files/large" | head -c $((${2#*-} - ${2%-*} + 1)) | cmp -s - "$scratch/part" &&
        grep -q '^HTTP/1.1 206' "$scratch/head"
}
has_parts() {
    get -D "$scratch/head" -r "$2" "$1" >"$scratch/part"
    grep -qi '^content-type: multipart/byteranges; boundary=' "$scratch/head" &&
        [ "$(grep -aci '^content-range: bytes ' "$scratch/part")" = 2 ]
}
is_cached() {
    tag=$(get -D - -o /dev/null "$1" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
    [ -n "$tag" ] && status_is_for 304 "$1" -H "If-None-Match: $tag"
}
no_field_begins() { ! get -D - -o /dev/null "$2" | grep -qi "^$1"; }

files=$scratch/files
mkdir -p "$files/sub" "$files/empty"
head -c 3000000 /dev/urandom >"$files/large"
echo '<p>a page' >"$files/page.html"
echo '<p>an index' >"$files/sub/index.html"
echo 'an odd name' >"$files/a b%41é.txt"
echo no >"$scratch/secret"
ln -sf ../secret "$files/out"
chmod 755 "$scratch"

for server in nginx lighttpd apache; do
    case $server in
    apache)
        installed apache2 httpd || continue
        if [ ! -f /usr/lib/apache2/modules/mod_xsendfile.so ]; then
            echo 'SKIPPED Apache with mod_xsendfile: not installed'
            continue
        fi
        ;;
    *) installed $server || continue ;;
    esac
    for accel in '' $server; do
        # Without, it is the same work for the gateway behind all of them.
        [ -n "$accel" ] || [ $server = nginx ] || continue
        environment="CGIGATE_FILES_ROOT=$files"
        gateway fastcgi --app files --socket-mode 0666 ${accel:+--accel "$accel"}
        environment=
        serve "$root/scripts/serve-files" $server "$scratch/files-$server" PORT "${socket#unix:}" "$files"
        base=http://127.0.0.1:$port/app name="files behind $server${accel:+, which sends them}"
        serves_files
        [ $server != nginx ] || check "$name: not by its own location" status_is 404 "http://127.0.0.1:$port/cgigate-files/large"
        finish
    done
done
