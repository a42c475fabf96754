#!/bin/bash
# deploy/quickstart.sh as its users run it, on a copy in a folder of its own;
# and the commands for it that README.md and docs/deployment.md show.
#
# PHALANX_SERVER names the server.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
server=$PHALANX_SERVER
work=$(mktemp -d "${TMPDIR:-/tmp}/phalanx-quickstart-XXXXXX")
quickstart=$work/a/deploy/quickstart.sh
run=$work/a/run
second=$work/b/deploy/quickstart.sh

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
    local script
    for script in "$quickstart" "$second"; do
        [ ! -d "${script%/deploy/*}/run" ] || "$script" down >/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    echo "ERROR: ${FUNCNAME[1]}: $*" >&2
    exit 1
}

has() { [[ $1 == *"$2"* ]] || fail "no \"$2\" in: $1"; }

# $1 of the quickstart fails, and says $2.
refuses() {
    local said
    # shellcheck disable=SC2086 # words of a command
    said=$("$quickstart" $1 2>&1) && fail "\"$1\" succeeded"
    has "$said" "$2"
}

# Ten ports where nobody listens, outside the range for outgoing connections.
free_base() {
    local base i is_free
    while :; do
        base=$((10000 + RANDOM % 22000))
        is_free=1
        for i in {0..4} {50..54}; do
            ! (: <>"/dev/tcp/127.0.0.1/$((base + i))") 2>/dev/null || is_free=
        done
        [ -z "$is_free" ] || break
    done
    echo "$base"
}

row() { "$quickstart" status | grep "^node-$1 "; }

# Every row begins each column where the heading does: what is in front of the
# last is as long.
check_columns() {
    "$quickstart" status | awk -v run="$run/" '
        NR == 1 { at = index($0, "mount") }
        NR > 1 && index($0, run) != at { bad = 1 }
        END { exit bad || NR != 6 }' || fail "$("$quickstart" status)"
}

# A command that is true within 30 s: a node is ready, or leads, but for the moments
# in which it is not.
await() {
    local i
    for ((i = 0; i < 300; i++)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "not within 30 s: $*: $("$quickstart" status)"
}

serves() { [[ $(row "$1") == *" yes "* ]]; }
one_leads() { [ "$("$quickstart" status | grep -c ' leader  *yes ')" = 1 ]; }
nobody_runs_it() { [ -z "$(pgrep -f -- "$quickstart")" ]; }

mounted() { awk -v at="$1/" 'index($2, at) == 1' /proc/self/mounts; }

# ---- tests ----

help_is_printed_and_nothing_made() {
    local word
    for word in help -h --help; do
        has "$("$quickstart" "$word")" "quickstart.sh restart N"
    done
    [ ! -e "$run" ] || fail "it made $run"
}

words_that_are_not_understood_are_refused() {
    refuses frobnicate "help' lists them"
    refuses "start now" "takes no argument"
    refuses "kill" "write a number from 0 to 4"
    refuses "kill 5" "write a number from 0 to 4"
    refuses "restart node-x" "write a number from 0 to 4"
    refuses "kill 1 2" "takes one node"
    refuses status "nothing was started yet"
    [ ! -e "$run" ] || fail "it made $run"
}

start_leaves_five_nodes_running_without_the_show() {
    local said
    said=$("$quickstart" start)
    has "$said" "five nodes are running"
    [ -z "$(ls -A "$run/node-0/mnt")" ] || fail "it wrote a file"
    await one_leads
    check_columns
    echo here >"$run/node-0/mnt/file"
    [ "$(cat "$run/node-4/mnt/file")" = here ] || fail "not on node-4"
}

a_node_is_named_by_its_number_or_its_name() {
    "$quickstart" kill 1
    "$quickstart" kill node-2
    has "$(row 1)" " down "
    has "$(row 2)" " down "
    check_columns
    echo two >"$run/node-3/mnt/file"
    refuses "kill node-1" "is down already"
    "$quickstart" restart node-1
    "$quickstart" restart 2
    await serves 1
    await serves 2
    [ "$(cat "$run/node-2/mnt/file")" = two ] || fail "not on node-2"
}

# One that runs under the server's name, on a node's data, and was there first;
# while the servers run under another name than theirs.
a_program_that_looks_like_a_node_is_left_alone() {
    local pid status=0
    cp "$(command -v sleep)" "$work/phalanx-server"
    DATA_DIR=$run/node-1/data NODE_ID=node-1 "$work/phalanx-server" 600 &
    pid=$!
    "$quickstart" restart 1 >/dev/null
    "$quickstart" kill 1 >/dev/null
    has "$(row 1)" " down "
    "$quickstart" restart 1 >/dev/null
    await serves 1
    kill "$pid" || fail "it was killed"
    wait "$pid" || status=$?
    [ "$status" -eq 143 ] || fail "it ended with $status, not by our signal"
}

looks_are_well() {
    bash -eu "$work/looks" >"$work/said" && grep -qx ok "$work/said"
}

# The page "Is it well?", with the ports and the mount of the first node.
the_documented_looks_at_a_node_work_and_are_all() {
    local word
    sed -n '/^## Is it well/,/^## /s/^    //p' "$repo/docs/deployment.md" |
        sed "s|127.0.0.1:8080|127.0.0.1:$((base + 50))|
            s|curl -s|curl -sf|
            s|/mnt/phalanx|$run/node-0/mnt|" >"$work/looks"
    [ "$(grep -c '^curl\|^cat' "$work/looks")" -ge 4 ] || fail "none found"
    await looks_are_well
    for word in "$run"/node-0/mnt/.phalanx/*; do
        grep -q "/.phalanx/${word##*/}\b" "$work/looks" || fail "${word##*/}"
    done
}

a_failed_start_shows_the_notes_of_that_start_alone() {
    local said
    mkdir -p "$work/b/run/node-0"
    echo "a note of old" >"$work/b/run/node-0/log"
    said=$("$second" start 2>&1) && fail "two clusters on the same ports"
    has "$said" "already in use"
    has "$said" "PORT_BASE="
    [[ $said != *"a note of old"* ]] || fail "$said"
    [ -z "$(mounted "$work/b")" ] || fail "still mounted"
    await serves 0 # the first cluster is undisturbed
}

# Its writer would run for ever: nothing tells it to end.
a_show_that_is_interrupted_leaves_no_writer() {
    local show
    "$quickstart" >"$work/shown" 2>&1 &
    show=$!
    until grep -q "^while a writer runs" "$work/shown"; do
        kill -0 "$show" 2>/dev/null || fail "$(cat "$work/shown")"
        sleep 0.05
    done
    kill -TERM "$show"
    wait "$show" && fail "it went on"
    await nobody_runs_it
}

down_unmounts_and_says_how_to_remove_the_data() {
    local said
    said=$(cd / && "$quickstart" down)
    [ -z "$(mounted "$work/a")" ] || fail "still mounted"
    [ -d "$run/node-0/data" ] || fail "the data is gone"
    (cd / && bash -c "$(grep 'rm -rf' <<<"$said")")
    [ ! -e "$run" ] || fail "$run is still there"
}

# $1, a page; $2, where its commands begin. In the order of the page, in the
# folder where its reader is.
the_commands_of() {
    local word
    sed -n "$2,/^## /s/^    //p" "$repo/$1" |
        grep '^\./deploy/quickstart\|^echo\|^cat' >"$work/commands"
    for word in 'quickstart.sh$' start status kill restart down; do
        grep -q "$word" "$work/commands" || fail "$1 has no $word"
    done
    (cd "$work/a" && bash -eux "$work/commands") >"$work/said" 2>&1 ||
        fail "$1: $(cat "$work/said")"
}

the_commands_of_the_readme_work() { the_commands_of README.md 1; }

the_commands_of_the_deployment_page_work() {
    the_commands_of docs/deployment.md '/^## On this machine/'
}

mkdir "$work/a" "$work/b"
cp -R "$repo/deploy" "$work/a/"
cp -R "$repo/deploy" "$work/b/"
cp "$server" "$work/another-name"
base=$(free_base)
export PORT_BASE=$base PHALANX_SERVER=$work/another-name

for t in help_is_printed_and_nothing_made \
    words_that_are_not_understood_are_refused \
    start_leaves_five_nodes_running_without_the_show \
    a_node_is_named_by_its_number_or_its_name \
    a_program_that_looks_like_a_node_is_left_alone \
    the_documented_looks_at_a_node_work_and_are_all \
    a_failed_start_shows_the_notes_of_that_start_alone \
    a_show_that_is_interrupted_leaves_no_writer \
    down_unmounts_and_says_how_to_remove_the_data \
    the_commands_of_the_readme_work \
    the_commands_of_the_deployment_page_work; do
    echo "[ RUN      ] $t"
    "$t"
    echo "[       OK ] $t"
done
