#!/bin/sh
# Prints, in one run on one machine, what an operation costs on Phalanx beside
# its physical floor and, where it is installed, beside etcd. Needs root (it
# mounts) and about ten minutes on a machine with nothing else to do; options
# are bench's own (--help). How to read the table: docs/performance.md.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/bench
scratch=

clean_up() {
    [ -n "$scratch" ] || return 0
    # bench has unmounted and stopped all it started, unless it was killed.
    awk -v below="$scratch/" 'index($2, below) == 1 { print $2 }' /proc/mounts |
        while read -r mount; do umount -l "$mount" || true; done
    rm -rf --one-file-system "$scratch"
}

if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/fuse ]; then
    echo "bench: needs root and /dev/fuse: it mounts file systems" >&2
    exit 1
fi
"$root/deploy/install-packages.sh" run build test bench
# Reconfigured, because what was missing before may be installed now.
again=
[ ! -f "$build/build.ninja" ] || again=--reconfigure
# shellcheck disable=SC2086 # one option or none
said=$(meson setup $again "$build" "$root" --buildtype=release) || {
    echo "$said" >&2
    exit 1
}
ninja -C "$build" node/phalanx-server tests/bench/bench tests/bench/null_fuse \
    tests/bench/floor

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
scratch=$(mktemp -d /var/tmp/phalanx-bench.XXXXXX)
"$build/tests/bench/bench" --server "$build/node/phalanx-server" \
    --dir "$scratch" "$@"
