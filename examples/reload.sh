#!/bin/sh
# Runs a command each time the content of a file changes, on whichever node it
# was changed; the new content is its standard input.
#
#   reload.sh /mnt/phalanx/app/config 2 sh -c 'cat >/etc/app.conf; kill -HUP 1'
#
# `cat` is a verified read: it shows the newest value or fails, and a value
# replaced by `echo new > config` is never seen half-written.
set -u
if [ $# -lt 3 ]; then
    echo "usage: reload.sh FILE SECONDS COMMAND [ARGUMENT ...]" >&2
    exit 64
fi
file=$1
pause=$2
shift 2
seen=
while :; do
    if now=$(cat "$file" 2>/dev/null) && [ "$now" != "$seen" ]; then
        printf '%s\n' "$now" | "$@"
        seen=$now
    fi
    sleep "$pause"
done
