#!/bin/sh
# php-fpm in the foreground, with its opcache: fpm.sh SOCKET CHILDREN
set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
fpm=$(for folder in $(echo "$PATH" | tr : ' '); do ls "$folder"/php-fpm* 2>/dev/null || :; done | head -1)
cat >"$1.conf" <<END
[global]
error_log = $1.log
daemonize = no
log_level = error
[www]
listen = $1
listen.backlog = 4096
user = $(id -un)
group = $(id -gn)
pm = static
pm.max_children = $2
pm.max_requests = 0
env[BENCH_FILE] = $BENCH_FILE
php_admin_value[memory_limit] = 512M
php_admin_value[post_max_size] = 256M
php_admin_value[enable_post_data_reading] = 0
php_admin_value[output_buffering] = 0
END
exec "$fpm" -R -F -y "$1.conf" -d opcache.enable=1 -d opcache.validate_timestamps=0 -d opcache.jit=off
