#!/bin/bash
# Installs the Debian packages that Phalanx needs, and only those that are
# missing: quiet and quick when none is.
#
#   deploy/install-packages.sh [GROUP]...        default: run build
#
# This is the one place that names packages. Debian 12.
set -euo pipefail

# To run a server that was built elsewhere.
run=(fuse3 libfuse3-3 libuv1 liblmdb0 libprotobuf-c1 libxxhash0 libjansson4
    libmicrohttpd12 libzstd1)
# To build it, with -Dtests=false.
build=(gcc libc6-dev meson ninja-build pkg-config libfuse3-dev libuv1-dev
    liblmdb-dev libprotobuf-c-dev protobuf-c-compiler libxxhash-dev
    libjansson-dev libmicrohttpd-dev libzstd-dev)
# To build the tests and to run them: the shells and tools that they prove to
# work on the mount; hosts and a network of their own, names for them, and a slow
# disk.
test=(libcmocka-dev bash dash busybox procps coreutils diffutils findutils tar
    curl python3 iproute2 nftables dnsmasq-base util-linux strace e2fsprogs
    mount)
# To measure beside a peer. Starts an etcd of its own where systemd runs.
bench=(etcd-server)
# To check the style, and what the tests reach.
lint=(clang clang-format shellcheck gcovr)

fail() {
    echo "install-packages: $*" >&2
    exit 1
}

# Those of $@ that dpkg does not hold as installed.
missing_of() {
    comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u)
}

install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"
}

# Into $output. A machine that has just been started often fetches them itself, and
# apt-get waits for dpkg's lock, but not for that of the lists.
fetch_lists() {
    local i
    for ((i = 0; i < 60; i++)); do
        if apt-get update -q >"$output" 2>&1; then
            if grep -q '^\(Err\|W: Failed to fetch\)' "$output"; then return 1; fi
            return 0
        fi
        grep -q 'Could not get lock' "$output" || return 1
        sleep 2
    done
    return 1
}

type dpkg-query apt-get >/dev/null 2>&1 ||
    fail "this needs Debian or a relative of it; install by hand: ${build[*]}"

wanted=()
for group in "${@:-run build}"; do
    case $group in
    "run build") wanted+=("${run[@]}" "${build[@]}") ;;
    run) wanted+=("${run[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    lint) wanted+=("${lint[@]}") ;;
    *) fail "\"$group\" is not a group: write run, build, test, bench or lint" ;;
    esac
done

mapfile -t missing < <(missing_of "${wanted[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] ||
    fail "not root: run 'sudo apt-get install ${missing[*]}'"

echo "installing ${missing[*]}"
output=$(mktemp)
trap 'rm -f "$output"' EXIT
# The lists on disk often do; fetch them only if they don't.
install_packages "${missing[@]}" >"$output" 2>&1 && exit 0
if ! fetch_lists; then
    tail -n 5 "$output" >&2
    fail "the package lists can't be fetched: is there a network, and a" \
        "Debian mirror under /etc/apt?"
fi
install_packages "${missing[@]}" >"$output" 2>&1 && exit 0
tail -n 20 "$output" >&2
fail "apt-get could not install ${missing[*]}: its last words are above"
