#!/bin/sh
# The same seed makes the same run: what sim $1 traces of some seeds, twice, is
# the same byte for byte.
set -u

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for seed in 1 2 3 4 5; do
    "$1" --seed $seed --seconds 5 --trace >"$work/one" || exit 1
    "$1" --seed $seed --seconds 5 --trace >"$work/two" || exit 1
    [ "$(wc -l <"$work/one")" -gt 100 ] || exit 1
    cmp "$work/one" "$work/two" || exit 1
done
