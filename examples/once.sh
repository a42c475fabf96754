#!/bin/sh
# Runs a command on one node of the cluster only, although cron starts it on
# all of them.
#
#   */5 * * * *  once.sh /mnt/phalanx/cron/report "$(date +\%Y\%m\%dT\%H\%M)" report
#
# The first node to make the folder NAME/SLOT runs the command; its output and
# exit status are kept there for all to read. The others exit 0 at once.
set -u
if [ $# -lt 3 ]; then
    echo "usage: once.sh NAME SLOT COMMAND [ARGUMENT ...]" >&2
    exit 64
fi
slot=$1/$2
mkdir -p "$1" || exit 1
shift 2
if ! why=$(LC_ALL=C mkdir "$slot" 2>&1); then
    case $why in
    *"File exists"*) exit 0 ;;
    esac
    echo "once.sh: $why" >&2
    exit 1
fi
uname -n >"$slot/node"
"$@" >"$slot/output" 2>&1
status=$?
echo "$status" >"$slot/status"
exit "$status"
