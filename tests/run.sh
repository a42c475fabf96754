#!/bin/bash
# Installs what is missing, builds, and runs every test.
#
#   tests/run.sh [--quick] [--only SUITE] [--seconds N] [--seeds N] [--keep]
#
#   gcc     -Dwerror=true: unit, sim, mount, cluster
#   asan    AddressSanitizer and UndefinedBehaviorSanitizer: unit, mount, and a
#           shortened sim and cluster
#   tsan    ThreadSanitizer: those of unit that start threads
#   fuzz    where clang is installed, its build, with -Dwerror=true, and each
#           target of tests/fuzz over a few thousand inputs
#
#   --quick        unit and mount tests under gcc only: before a commit
#   --only SUITE   that suite only, under gcc: unit, sim, mount or cluster
#   --seconds N    the kill storm lasts N s, not 60, and the nemesis N s, not
#                  25; the other cluster tests take their longer forms from
#                  N = 300 on
#   --seeds N      the simulator runs seeds 1 to N, not 1 to 1000
#   --keep         leave the tests' folders, and say where
#
# The last line is always `N passed, N failed`; the status is 0 if none failed.
set -uo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
builds=$repo/build

quick='' only='' seconds=60 nemesis_seconds=25 seeds=1000 keep=''

usage() {
    sed -n '4s/^# *//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --only) only=${2:-} && shift ;;
    --seconds) seconds=${2:-} nemesis_seconds=${2:-} && shift ;;
    --seeds) seeds=${2:-} && shift ;;
    --keep) keep=1 ;;
    *) usage ;;
    esac
    shift
done
case $only in '' | unit | sim | mount | cluster) ;; *) usage ;; esac
[[ $seconds =~ ^[1-9][0-9]*$ && $seeds =~ ^[1-9][0-9]*$ ]] || usage

# --- nothing is left behind --------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/phalanx-run-XXXXXX") || exit 1
export TMPDIR=$work
run_name=${work##*/}
# For the simulator, which tests no disk: on one it takes several times as long.
memory=/dev/shm/$run_name
mkdir -m 700 "$memory" 2>/dev/null || memory=$work

# Every process that was started on a folder of ours, by its environment or its
# arguments. Those of the same name that others run are not touched.
# shellcheck disable=SC2317 # the trap calls it
our_processes() {
    local pid
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        if [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ]; then continue; fi
        if tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" |
            grep -qF "/$run_name" ||
            tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" |
            grep -qF "/$run_name/"; then
            echo "$pid"
        fi
    done
}

# shellcheck disable=SC2317,SC2046 # one word a process
clean_up() {
    trap '' INT TERM HUP
    local mount mounts
    {
        kill -KILL $(our_processes)
        wait
    } 2>/dev/null
    mapfile -t mounts < <(awk -v at="$work/" 'index($2, at) == 1 { print $2 }' \
        /proc/self/mounts)
    for mount in "${mounts[@]}"; do umount -l "$mount"; done
    [ -n "$keep" ] || rm -rf --one-file-system "$work" "$memory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A child that is waited for with `wait`, so that a signal to us is heard.
run() {
    "$@" &
    wait $!
}

# --- build and test ----------------------------------------------------------

passed=0
failed=0

say() { printf '%s\n' "$*"; }

# Test $1, begun at $2; and test $1, which failed: what it said comes next.
pass() {
    say "passed  $1 ($((SECONDS - $2)) s)"
    passed=$((passed + 1))
}
fail() {
    say "FAILED  $1"
    failed=$((failed + 1))
}

# Setting up and building tree $1 with the meson options that follow.
build() {
    local tree=$1 dir=$builds/test-$1 output=$work/build.log begin=$SECONDS
    shift
    if [ -f "$dir/build.ninja" ]; then
        run ninja -C "$dir" >"$output" 2>&1
    else
        run meson setup "$dir" "$repo" "$@" >"$output" 2>&1 &&
            run ninja -C "$dir" >"$output" 2>&1
    fi
    local status=$?
    if [ $status -ne 0 ]; then
        fail "build $tree: the end of what it said:"
        grep -E -A4 'error|undefined|ERROR|FAILED' "$output" | head -n 40
        tail -n 5 "$output"
    else
        say "built   $tree ($((SECONDS - begin)) s)"
    fi
    return $status
}

# One line a test, as they end; what failed is told by the summary.
# shellcheck disable=SC2317 # run calls it
meson_test() {
    meson test -C "$1" --no-rebuild --suite "$2" --num-processes "$(nproc)" \
        ${3:+--no-suite "$3"} 2>"$work/meson.err" |
        grep --line-buffered -E '^ *[0-9]+/[0-9]+ '
}

# Suite $2 of tree $1, without those that are in suite $3, too.
suite() {
    local dir=$builds/test-$1 result p f
    say "testing $2, $1"
    rm -f "$dir"/meson-logs/testlog.json
    run meson_test "$dir" "$2" "${3:-}"
    result=$(python3 "$repo/tests/summary.py" "$dir/meson-logs/testlog.json" "$1") || {
        fail "no result of $2, $1"
        cat "$work/meson.err"
        return
    }
    sed '$d' <<<"$result"
    read -r p f <<<"$(tail -n 1 <<<"$result")"
    passed=$((passed + p)) failed=$((failed + f))
}

# Seeds 1 to $2 of the simulator, and that a seed repeats its run, in tree $1.
# How often everything happened is shown; where 1,000 seeds or more never reached
# something, the simulator fails.
simulate() {
    local sim=$builds/test-$1/tests/sim/sim begin=$SECONDS
    say "simulating $2 seeds, $1"
    if run env TMPDIR="$memory" "$sim" --seeds "$2" \
        >"$work/sim.out" 2>"$work/sim.err" &&
        run env TMPDIR="$memory" sh "$repo/tests/sim/same_trace.sh" "$sim"; then
        pass "sim, $1: $2 seeds" "$begin"
    else
        fail "sim, $1: what repeats a seed shows more with --trace"
        head -n 60 "$work/sim.err"
    fi
    cat "$work/sim.out"
}

# Each target, as its first comment says that it is run, over the same inputs
# each time: enough to see that it still builds, runs, and holds.
fuzz() {
    local source name args begin
    say "fuzzing"
    for source in "$repo"/tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c) begin=$SECONDS
        read -ra args < <(sed -nE \
            "s/^ \*   $name (.*) CORPUS_DIR \*\/$/\1/p" "$source")
        if run env -C "$repo" timeout 300 \
            "$builds/test-fuzz/tests/fuzz/$name" "${args[@]}" -seed=1 \
            -runs=3000 -len_control=0 -max_total_time=60 \
            -artifact_prefix="$work/" \
            >"$work/fuzz.out" 2>&1; then
            pass "$name, fuzz" "$begin"
        else
            fail "$name, fuzz: the end of what it said:"
            tail -n 60 "$work/fuzz.out"
        fi
    done
}

finish() {
    [ -z "$keep" ] || say "kept: $work"
    say "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit $?
}

full_size() {
    export CLUSTER_SECONDS=$seconds NEMESIS_SECONDS=$nemesis_seconds
    if [ "$seconds" -ge 300 ]; then
        export READS=1000000 ROUNDS=1000 BULK_MIB=1024 BULK_FILES=10000
        export CLUSTER_ROUNDS=20
        export BOOTSTRAP_ROUNDS=100 BOOTSTRAP_ELECTIONS=10 DETECTION_ROUNDS=10
        export REGIONS_SECONDS=$seconds REGIONS_PERCENT=125
    fi
}

# Sanitizers cost a factor of two to five.
small_size() {
    export CLUSTER_SECONDS=20 READS=4000 ROUNDS=100 BULK_MIB=32 BULK_FILES=300
    export CLUSTER_ROUNDS=2 CLUSTER_SLACK_MS=3000 NEMESIS_SECONDS=15
    export BOOTSTRAP_ROUNDS=1 DETECTION_ROUNDS=1 REGIONS_SECONDS=15
}

"$repo/deploy/install-packages.sh" run build test || {
    failed=1
    finish
}

if build gcc -Dwerror=true; then
    full_size
    for s in ${only:-unit sim mount cluster}; do
        case $quick$s in 1sim | 1cluster) continue ;; esac
        if [ "$s" = sim ]; then simulate gcc "$seeds"; else suite gcc "$s"; fi
    done
fi
[ -z "$quick$only" ] || finish

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export LSAN_OPTIONS=suppressions=$repo/tests/lib/lsan.supp:print_suppressions=0

if build asan -Db_sanitize=address,undefined; then
    small_size
    for s in unit mount cluster; do suite asan "$s" show; done
    simulate asan 50
fi
if build tsan -Db_sanitize=thread; then
    suite tsan unit single
fi
if command -v clang >/dev/null &&
    CC=clang build fuzz -Dwerror=true -Dfuzz=true; then
    fuzz
fi
finish
