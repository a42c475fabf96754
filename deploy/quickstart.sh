#!/bin/bash
# Five nodes with five mounts on this machine; `quickstart.sh help` says how it
# is used. Works from any folder, again and again, and after an unclean end.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=$(printf '%q' "$repo/deploy/quickstart.sh") # for commands that we print
run=$repo/run
build=$repo/build
server=$build/node/phalanx-server
nodes=(0 1 2 3 4)
log_began=() # for each node, where the notes of this start begin
writer=      # the show's, in the background

grpc_base=9100
debug_base=8100
gossip_base=7946

say() { echo "$*"; }
fail() {
    echo "quickstart: $*" >&2
    exit 1
}

usage() {
    cat <<END
Five nodes with five mounts on this machine. As root, on Debian 12:

    quickstart.sh              install, build, start, show, leave running
    quickstart.sh start        the same without the show
    quickstart.sh status       who is up, who leads
    quickstart.sh kill N       kill -9 node N: 0 to 4, or node-0 to node-4
    quickstart.sh restart N    start it again
    quickstart.sh down         stop all, unmount all; the data stays
    quickstart.sh help         this text

Everything it makes is in $run and $build.
PORT_BASE=N uses ports N to N+4 for peers, N+50 to N+54 for status and N+100 to
N+115 for gossip, not 9100, 8100 and 7946; PHALANX_SERVER=FILE runs that server
instead of building one.
END
}

# --- what it needs ----------------------------------------------------------

check_fuse() {
    [ -e /dev/fuse ] || modprobe fuse 2>/dev/null || true
    [ -e /dev/fuse ] ||
        fail "/dev/fuse is missing: load the kernel's fuse module (modprobe fuse); in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN"
    (: <>/dev/fuse) 2>/dev/null ||
        fail "/dev/fuse may not be opened: in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN"
    local capabilities
    capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
    ((16#$capabilities >> 21 & 1)) ||
        fail "no right to mount (CAP_SYS_ADMIN): in a container, start it with --cap-add SYS_ADMIN"
}

build_server() {
    "$repo/deploy/install-packages.sh" run build
    say "building"
    local output=$run/build.log
    if [ ! -f "$build/build.ninja" ]; then
        meson setup --buildtype=release -Dtests=false "$build" "$repo" \
            >"$output" 2>&1 ||
            { tail -n 20 "$output" >&2; fail "meson failed: $output"; }
    fi
    ninja -C "$build" node/phalanx-server cli/phalanx >"$output" 2>&1 ||
        { tail -n 20 "$output" >&2; fail "the build failed: $output"; }
}

# Built, or the one that was asked for.
prepare_server() {
    if [ -z "${PHALANX_SERVER:-}" ]; then
        build_server
        return
    fi
    server=$(realpath "$PHALANX_SERVER")
    [ -x "$server" ] ||
        fail "PHALANX_SERVER is \"$PHALANX_SERVER\": write the path of a server"
}

# --- one node ---------------------------------------------------------------

mount_of() { echo "$run/node-$1/mnt"; }

# The node's process, empty if there is none. A number in a file may be another
# program's by now, and programs share names: what counts is a word in its
# environment that nothing else has.
pid_of() {
    local environ
    environ=$(grep -lszxF "QUICKSTART_NODE=$run/node-$1" \
        /proc/[0-9]*/environ) || true # others end while it looks
    environ=${environ%%$'\n'*} environ=${environ#/proc/}
    echo "${environ%/environ}"
}

# Whether process $1 is there. One that has ended, but that nobody waits for, as
# where a container's first process is none that does, can be signalled for ever;
# with its last thread it has let go of its files.
lives() {
    local state
    state=$(sed -n 's/^\(State\|Threads\):[[:space:]]*\([^ ]*\).*/\2/p' \
        "/proc/$1/status" 2>/dev/null) || true
    [ -n "$state" ] && [ "$state" != $'Z\n1' ]
}

peers() {
    local i list=
    for i in "${nodes[@]}"; do
        list+=,node-$i=127.0.0.1:$((grpc_base + i))
    done
    echo "${list#,}"
}

# Takes off what a crash left mounted, and keeps aside what someone wrote into
# the bare folder meanwhile.
clear_mount_point() {
    local mnt
    mnt=$(mount_of "$1")
    while umount -l "$mnt" 2>/dev/null; do :; done
    mkdir -p "$mnt" "$run/node-$1/data"
    if [ -n "$(ls -A "$mnt")" ]; then
        local aside
        aside=$mnt-$(date +%Y%m%dT%H%M%S)
        mv "$mnt" "$aside"
        mkdir "$mnt"
        say "node-$1: files were written while it was down: they are in $aside"
    fi
}

start_node() {
    local dir=$run/node-$1
    clear_mount_point "$1"
    touch "$dir/log"
    log_began[$1]=$(stat -c %s "$dir/log")
    env -i PATH="$PATH" QUICKSTART_NODE="$dir" NODE_ID="node-$1" \
        PEERS="$(peers)" \
        CLUSTER="quickstart-$grpc_base" BIND_PORT="$gossip_base" \
        DATA_DIR="$dir/data" MOUNT="$dir/mnt" \
        GRPC_ADDR="127.0.0.1:$((grpc_base + $1))" \
        DEBUG_ADDR="127.0.0.1:$((debug_base + $1))" \
        TICK_MS=20 ELECTION=12 HEARTBEAT=3 \
        setsid "$server" </dev/null >>"$dir/log" 2>&1 9>&- &
    disown # it outlives us, and its end is no news of this shell
}

# SIGTERM, and SIGKILL for one that does not end.
stop_node() {
    local pid i
    pid=$(pid_of "$1")
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        for ((i = 0; i < 150; i++)); do
            lives "$pid" || break
            sleep 0.1
        done
        if [ "$(pid_of "$1")" = "$pid" ] && kill -KILL "$pid"; then
            say "node-$1 did not end within 15 s: killed"
        fi
    fi
}

kill_node() {
    local pid
    pid=$(pid_of "$1")
    [ -n "$pid" ] || fail "node-$1 is down already"
    kill -KILL "$pid"
    while lives "$pid"; do sleep 0.02; done
}

# File $2 under .phalanx of node $1; nothing if it doesn't answer. Not over
# HTTP: on a port that is taken, another's node answers.
about() { timeout 2 cat "$(mount_of "$1")/.phalanx/$2" 2>/dev/null || true; }

is_ready() { [ "$(about "$1" health)" = ok ]; }

# A field of a node's status: state, term, applied_index, ...
field() {
    local values
    values=$(about "$1" status | tr ',{}' '\n' |
        sed -n 's/^ *"'"$2"'": *"\{0,1\}\([^"]*\)"\{0,1\} *$/\1/p')
    echo "${values%%$'\n'*}" # its peers, further down, have some too
}

# Why a node can't be used: the last notes since it was started, and what to do.
last_words() {
    local notes
    notes=$(tail -c "+$((log_began[$1] + 1))" "$run/node-$1/log" | tail -n 5)
    echo "$notes" >&2
    if [[ $notes == *'already in use'* ]]; then
        echo "quickstart: a port is taken: 'PORT_BASE=9300 $self' uses others" >&2
    fi
}

# 1, with its last words, if it ended or takes more than 30 s.
wait_ready() {
    local i
    for ((i = 0; i < 300; i++)); do
        if is_ready "$1"; then return; fi
        if [ -z "$(pid_of "$1")" ]; then
            last_words "$1"
            echo "quickstart: node-$1 ended; its notes are above" >&2
            return 1
        fi
        sleep 0.1
    done
    last_words "$1"
    echo "quickstart: node-$1 is not ready after 30 s" >&2
    return 1
}

leader() {
    local i try
    for ((try = 0; try < 100; try++)); do
        for i in "${nodes[@]}"; do
            [ "$(field "$i" state)" != leader ] || { echo "$i"; return; }
        done
        sleep 0.1
    done
    fail "no node leads; see $run/node-*/log"
}

# --- commands ---------------------------------------------------------------

stop_all() {
    local i
    for i in "${nodes[@]}"; do
        kill "$(pid_of "$i")" 2>/dev/null || true # all at once, then wait
    done
    for i in "${nodes[@]}"; do
        stop_node "$i"
        while umount -l "$(mount_of "$i")" 2>/dev/null; do :; done
    done
}

start_all() {
    local i
    for i in "${nodes[@]}"; do start_node "$i"; done
    for i in "${nodes[@]}"; do
        wait_ready "$i" || { stop_all; fail "nothing was left running"; }
    done
}

running() {
    local i count=0
    for i in "${nodes[@]}"; do
        [ -z "$(pid_of "$i")" ] || count=$((count + 1))
    done
    echo "$count"
}

status_row() { printf '%-7s %8s  %-13s  %-6s %6s %9s  %s\n' "$@"; }

status() {
    local i pid state serves
    status_row node pid state serves term applied mount
    for i in "${nodes[@]}"; do
        pid=$(pid_of "$i")
        if [ -z "$pid" ]; then
            status_row "node-$i" - down no - - "$(mount_of "$i")"
            continue
        fi
        state=$(field "$i" state)
        if is_ready "$i"; then serves=yes; else serves=no; fi
        status_row "node-$i" "$pid" "${state:-?}" "$serves" \
            "$(field "$i" term)" "$(field "$i" applied_index)" \
            "$(mount_of "$i")"
    done
}

# Writes 1, 2, 3 ... into files of their own until $2 exists, or this script has
# ended, and notes each that was acknowledged.
demo_writer() {
    local n
    for ((n = 1; ; n++)); do
        if [ -e "$2" ] || ! kill -0 $$ 2>/dev/null; then return 0; fi
        if { echo "$n" >"$1/.quickstart-demo/$n"; } 2>/dev/null; then echo "$n"; fi
    done
}

# Is every number of the file $1 readable on node $2?
demo_check() {
    local n value
    while read -r n; do
        read -r value <"$(mount_of "$2")/.quickstart-demo/$n" || value=nothing
        [ "$value" = "$n" ] ||
            fail "write $n was acknowledged, but node-$2 shows $value"
    done <"$1"
}

demo() {
    local i first second survivors=() acked=$run/acknowledged end=$run/demo-end
    say
    say "a value written on node-0 ..."
    say "    echo 'hello from node-0' > run/node-0/mnt/.quickstart-hello"
    echo 'hello from node-0' >"$(mount_of 0)/.quickstart-hello"
    say "... is there on all others:"
    for i in 1 2 3 4; do
        say "    cat run/node-$i/mnt/.quickstart-hello    $(cat "$(mount_of "$i")/.quickstart-hello")"
    done

    first=$(leader)
    second=$(((first + 2) % 5))
    for i in "${nodes[@]}"; do
        [ "$i" = "$first" ] || [ "$i" = "$second" ] || survivors+=("$i")
    done
    rm -rf "$end" "$(mount_of 0)/.quickstart-demo"
    mkdir "$(mount_of 0)/.quickstart-demo"
    say
    say "while a writer runs on node-${survivors[0]}, kill -9 the leader, node-$first, and node-$second"
    demo_writer "$(mount_of "${survivors[0]}")" "$end" >"$acked" 9>&- &
    writer=$!
    sleep 1
    kill_node "$first"
    kill_node "$second"
    local before
    before=$(wc -l <"$acked")
    sleep 2
    touch "$end"
    wait "$writer"
    local all
    all=$(wc -l <"$acked")
    say "    $before writes acknowledged before, $((all - before)) after; node-$(leader) leads now"
    ((all > before)) || fail "no write succeeded after the two were killed"
    for i in "${survivors[@]}"; do
        demo_check "$acked" "$i"
        say "    node-$i: all $all readable"
    done

    say "restart the two"
    start_node "$first"
    start_node "$second"
    for i in "$first" "$second"; do
        wait_ready "$i"
        demo_check "$acked" "$i"
        say "    node-$i: all $all readable"
    done
    rm -rf "$(mount_of 0)/.quickstart-demo" "$end" "$acked"
}

# For what not every machine has: the command line where we built it, and curl.
optional_hints() {
    local cli=$build/cli/phalanx
    [ ! -x "$cli" ] ||
        say "    $(printf '%q' "$cli") member list --address 127.0.0.1:$grpc_base"
    ! type curl >/dev/null 2>&1 ||
        say "    curl -s http://127.0.0.1:$debug_base/debug/status"
}

hints() {
    local first
    first=$(leader)
    cat <<END

five nodes are running, with their mounts in $run/node-{0,1,2,3,4}/mnt. Try:

    echo hello > $run/node-0/mnt/greeting; cat $run/node-4/mnt/greeting
    cat $run/node-2/mnt/.phalanx/status
END
    optional_hints
    cat <<END
    $self status
    $self kill $first          # the leader; the others go on
    $self restart $first
    $self down
END
}

start() {
    check_fuse
    prepare_server
    say "starting five nodes"
    stop_all
    echo "$grpc_base $debug_base $gossip_base $server" >"$run/settings"
    start_all
}

kill_one() {
    kill_node "$1"
    say "node-$1 is dead; '$self restart $1' brings it back"
}

restart_one() {
    stop_node "$1"
    start_node "$1"
    if (($(running) < 3)); then
        say "node-$1 is started, and waits for a majority: restart another"
    else
        wait_ready "$1"
        say "node-$1 is back"
    fi
}

down() {
    stop_all
    say "all stopped and unmounted; the data stays. To remove it:"
    say
    say "    rm -rf --one-file-system $(printf '%q' "$run")"
}

# --- what was asked for -----------------------------------------------------

# 2 for "2" or "node-2".
node_number() {
    case ${1#node-} in
    [0-4]) echo "${1#node-}" ;;
    *) fail "which node? write a number from 0 to 4, as: $self $2 3" ;;
    esac
}

choose_ports() {
    [ -n "${PORT_BASE:-}" ] || return 0
    [[ $PORT_BASE =~ ^[1-9][0-9]{3,4}$ && $PORT_BASE -le 65400 ]] ||
        fail "PORT_BASE is \"$PORT_BASE\": write a number from 1000 to 65400"
    grpc_base=$PORT_BASE debug_base=$((PORT_BASE + 50)) \
        gossip_base=$((PORT_BASE + 100))
}

# What the start was told, so that kill and restart need not be.
load_settings() {
    [ -d "$run" ] || fail "nothing was started yet: run $self"
    [ ! -f "$run/settings" ] ||
        read -r grpc_base debug_base gossip_base server <"$run/settings"
}

main() {
    local command=${1:-show} node=
    case $command in
    help | -h | --help)
        usage
        return
        ;;
    show | start | status | down)
        [ $# -le 1 ] || fail "$command takes no argument"
        ;;
    kill | restart)
        [ $# -le 2 ] || fail "$command takes one node"
        node=$(node_number "${2:-}" "$command")
        ;;
    *) fail "\"$command\" is not a command: '$self help' lists them" ;;
    esac
    [ "$(id -u)" = 0 ] || fail "not root: it mounts for all users; try sudo $self"
    case $command in
    show | start) choose_ports && mkdir -p "$run" ;;
    *) load_settings ;;
    esac
    exec 9>"$run/lock"
    [ "$command" = status ] || flock -w 60 9 ||
        fail "another quickstart.sh is at work on $run"

    case $command in
    show)
        start
        demo
        hints
        ;;
    start)
        start
        hints
        ;;
    status) status ;;
    kill) kill_one "$node" ;;
    restart) restart_one "$node" ;;
    down) down ;;
    esac
}

main "$@"
