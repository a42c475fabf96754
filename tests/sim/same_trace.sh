#!/bin/sh
# The same seed makes the same run: what sim $1 traces of some seeds, twice, is
# the same byte for byte; and there is something to be seen in it.
set -u

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

lines=0
for with in --seconds=5 "--seconds=5 --members --gossip"; do
    for seed in 1 2 3 4 5; do
        # shellcheck disable=SC2086  # they are several
        "$1" --seed $seed $with --trace >"$work/one" || exit 1
        # shellcheck disable=SC2086
        "$1" --seed $seed $with --trace >"$work/two" || exit 1
        cmp "$work/one" "$work/two" || exit 1
        lines=$((lines + $(wc -l <"$work/one")))
    done
done
[ "$lines" -gt 1000 ]
