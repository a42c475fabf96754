#!/bin/bash
# Breaks one rule after another, and says which test notices.
#
#   tests/mutants.sh [--build DIR] [--sim N] [NAME...]
#
# One build, with -Dmutants=true; the rule to break is chosen by PX_MUTANT in
# the environment (base/mutant.h). For each mutant: the unit tests of raft,
# store and node, up to the first that fails; and the simulator, up to the first
# seed that fails. Printed is the table of docs/testing.md. The status is 0 if
# every mutant that has a site was caught by one of them, and nothing fails
# without a mutant.
#
#   --build DIR   built there, and kept; otherwise build/mutants
#   --sim N       seeds of the simulator, for each mutant (1000); 0: none
#   NAME          these alone
set -uo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$repo/build/mutants
seeds=1000

usage() {
    sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:-} && shift ;;
    --sim) seeds=${2:-} && shift ;;
    --*) usage ;;
    *) break ;;
    esac
    shift
done
[[ $build && $seeds =~ ^(0|[1-9][0-9]*)$ ]] || usage

# In memory where there is such a place: thousands of small databases are made.
tmp=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || tmp=/dev/shm
work=$(mktemp -d "$tmp/phalanx-mutants-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
export TMPDIR=$work
ulimit -c 0 # a failed assertion is what is hoped for

# --- what there is to run ----------------------------------------------------

tests=() # the quick ones first; what is not named here comes last
targets() {
    local name
    for name in log progress elect commit disk lease read follow lead fault \
        passive member transfer install snapshot step new text cluster; do
        tests+=("tests/unit/raft/test_raft_$name")
    done
    for name in session apply apply_write apply_rename orphan room check view \
        state_open apply_fail apply_model segment log log_model log_disk recover \
        log_repair log_repair_crash log_crash log_head log_config damage disk \
        identity_file identity \
        state_verify members change \
        snapshot snapshot_damage; do
        tests+=("tests/unit/store/test_$name")
    done
    for name in begin port log_writer disk writes quota snapshots transfer_in \
        transfer_out storage_arrive storage hashes quarantine changes replica \
        founding; do
        tests+=("tests/unit/node/test_node_$name")
    done
    tests+=(tests/unit/raft/test_raft_random)
}

build() {
    if [ ! -f "$build/build.ninja" ]; then
        meson setup "$build" "$repo" -Dmutants=true || return 1
    fi
    local known wanted=() others
    known=$(ninja -C "$build" -t targets all | sed -n 's/: .*//p')
    targets
    mapfile -t others < <(grep -E '^tests/unit/(raft|store|node)/test_\w+$' \
        <<<"$known" | grep -vxF -f <(printf '%s\n' "${tests[@]}"))
    tests+=("${others[@]}")
    for name in "${tests[@]}" tests/sim/sim; do
        if grep -qxF "$name" <<<"$known"; then wanted+=("$name"); fi
    done
    tests=()
    for name in "${wanted[@]}"; do
        [ "$name" = tests/sim/sim ] || tests+=("$name")
    done
    ninja -C "$build" "${wanted[@]}"
}

# --- one mutant --------------------------------------------------------------

# The test that failed in the output $1 of program $2: the one that cmocka
# names, or else the last that was begun.
failed_test() {
    local name
    name=$(sed -nE 's/^\[  (FAILED |ERROR  ) \] ([a-z_0-9]+)$/\2/p' "$1" |
        head -n 1)
    [ -n "$name" ] || name=$(sed -n 's/^\[ RUN      \] //p' "$1" | tail -n 1)
    echo "${2##*/}: ${name:-(its end)}"
}

# The first unit test that fails.
hunt_units() {
    local out=$work/out name
    for name in "${tests[@]}"; do
        timeout 300 "$build/$name" >"$out" 2>&1 && continue
        failed_test "$out" "$name"
        return 0
    done
    return 1
}

# The first seed that fails. Those below it have all passed.
hunt_seeds() {
    local out=$work/out
    [ "$seeds" -gt 0 ] || return 1
    timeout 7200 "$build/tests/sim/sim" --seeds "$seeds" --until-failure \
        >"$out" 2>&1 && return 1
    sed -nE 's/^seed ([0-9]+):.*/\1/p' "$out" | sort -n | head -n 1 |
        grep . || echo '(its end)'
}

has_site() {
    grep -rqE "px_mutant\($1\)" --include='*.c' "$repo"/{base,raft,store,net,fs,node}
}

# --- all of them -------------------------------------------------------------

build >"$work/build.log" 2>&1 || {
    tail -n 20 "$work/build.log" >&2
    exit 1
}
unset PX_MUTANT
if who=$(hunt_units) || who=$(hunt_seeds); then
    echo "without a mutant there fails $who" >&2
    exit 1
fi

mapfile -t table < <(sed -n 's/^    X(\([A-Z_0-9]*\), "\(.*\)").*/\1 \2/p' \
    "$repo/base/mutant.h")
caught=0 missed=0 unplanted=0
echo "| mutant | what is broken | unit test | seed |"
echo "| --- | --- | --- | --- |"
for row in "${table[@]}"; do
    name=${row%% *}
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    if ! has_site "$name"; then
        unplanted=$((unplanted + 1))
        echo "| $name | ${row#* } | no site yet | |"
        continue
    fi
    export PX_MUTANT=$name
    unit=$(hunt_units) || unit=-
    seed=$(hunt_seeds) || seed=-
    if [ "$unit$seed" != -- ]; then
        caught=$((caught + 1))
    else
        unit='**nothing**' missed=$((missed + 1))
    fi
    echo "| $name | ${row#* } | $unit | $seed |"
done
echo
echo "$caught caught, $missed not caught, $unplanted without a site;" \
    "seeds up to $seeds"
[ "$missed" -eq 0 ]
