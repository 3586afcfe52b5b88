#!/bin/sh
# busybox httpd starts cgigate anew for each request, by CGI. It has no configuration for that: the
# programs in /cgi-bin of its folder are run, and nothing else.
#
#   1. sh this-file [FOLDER [PORT]]
#   2. curl http://@WEB@@MOUNT@
#
# FOLDER (/srv/www) is served on PORT (@BIND@), in the foreground.
set -eu
folder=${1:-/srv/www} port=${2:-@BIND@}

mkdir -p "$folder/cgi-bin"
ln -sfn "@EXECUTABLE@" "$folder@MOUNT@"
# The application that answers; without this line the path's next segment names it.
export CGIGATE_APP=@APP@

exec busybox httpd -f -p "$port" -h "$folder"
