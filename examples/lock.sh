#!/bin/sh
# Runs a command while holding a lock that all nodes share.
#
#   lock.sh /mnt/phalanx/locks/backup 30 rsync -a /srv backup:
#
# mkdir has one winner in the whole cluster, and the winner knows it. Waits up
# to the given number of seconds for the lock, else exits 75 (try again later).
# The holder's name is in the folder, for a person who finds the lock of a
# machine that died: look at it, then `rm -r` it.
set -u
if [ $# -lt 3 ]; then
    echo "usage: lock.sh LOCK SECONDS COMMAND [ARGUMENT ...]" >&2
    exit 64
fi
lock=$1
left=$2
shift 2
mkdir -p "$(dirname "$lock")" || exit 1
until mkdir "$lock" 2>/dev/null; do
    if [ "$left" -le 0 ]; then
        echo "lock.sh: $lock is held by $(cat "$lock/holder" 2>/dev/null)" >&2
        exit 75
    fi
    sleep 1
    left=$((left - 1))
done
trap 'rm -f "$lock/holder"; rmdir "$lock"' EXIT
trap 'exit 130' INT TERM
echo "$(uname -n) pid $$" >"$lock/holder"
"$@"
