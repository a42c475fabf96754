/*                   unshare, one after another
 *   our own network ───────────────────────────▶ switch, host 0, host 1, ...
 *         ▲                                            │ kept as descriptors
 *         └────────────────────────────────────────────┘ setns, back
 *
 * ip(8) and nft(8) do the rest, in children that enter a host first. A TUN
 * device belongs to the namespace in which it is opened, and goes when it is
 * closed. */
#include "tests/lib/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/process.h"

#define TOOL_MS_MAX 10000
#define COMMAND_BYTES 512
#define SKIPPED 77 /* the status that says so */
#define TUN_PATH "/dev/net/tun"
#define NETWORK UINT32_C(0x0a4d0000) /* 10.77.0.0 */

/* The rules of a host; the set is what changes. */
#define RULES                                                                  \
    "table ip cut { set from { type ipv4_addr; }; "                            \
    "chain input { type filter hook input priority 0; ip saddr @from drop; };" \
    "}"

struct netns {
    int count;
    int ours;
    int bridge;
    int hosts[NETNS_HOSTS_MAX];
    int tuns[NETNS_HOSTS_MAX]; /* -1: on the bridge */
    struct netns_cuts cuts;    /* as they are now */
};

int netns_hosts(const struct netns *n)
{
    return n->count;
}

int netns_fd(const struct netns *n, int host)
{
    return n->hosts[host];
}

void netns_address(int host, char text[NETNS_ADDRESS_BYTES])
{
    (void)snprintf(text, NETNS_ADDRESS_BYTES, "10.77.0.%u",
                   (unsigned)host % NETNS_HOSTS_MAX + 1);
}

void netns_address6(int host, char text[NETNS_ADDRESS_BYTES])
{
    (void)snprintf(text, NETNS_ADDRESS_BYTES, "fd77::%u",
                   (unsigned)host % NETNS_HOSTS_MAX + 1);
}

int netns_host_of(uint32_t address)
{
    uint32_t number = ntohl(address) - NETWORK;

    return number >= 1 && number <= NETNS_HOSTS_MAX ? (int)number - 1 : -1;
}

int netns_tun(const struct netns *n, int host)
{
    return n->tuns[host];
}

/* ---- Making them ---- */

static int open_current(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* A new namespace, with us back in our own; -errno. */
static int make_one(const struct netns *n)
{
    int fd;

    if (unshare(CLONE_NEWNET) < 0)
        return -errno;
    fd = open_current();
    if (setns(n->ours, CLONE_NEWNET) < 0)
        abort(); /* a test that is in the wrong network does harm */
    return fd;
}

static int make_all(struct netns *n)
{
    n->ours = open_current();
    if (n->ours < 0)
        return n->ours;
    n->bridge = make_one(n);
    if (n->bridge < 0)
        return n->bridge;
    for (int i = 0; i < n->count; i++) {
        n->hosts[i] = make_one(n);
        if (n->hosts[i] < 0)
            return n->hosts[i];
    }
    return 0;
}

/* Runs "sh -c @command" in a network; false: it failed, @why says how. */
static bool run_in(int net_fd, const char *command, char *why, size_t why_size)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    struct process_options o = {.argv = argv, .net_fd = net_fd};
    struct process_result r;

    process_run(&o, TOOL_MS_MAX, &r);
    if (r.status != 0)
        (void)snprintf(why, why_size, "\"%.120s\" ended with %d: %.160s",
                       command, r.status, r.err);
    return r.status == 0;
}

bool netns_has_ipv6(const struct netns *n)
{
    char address[NETNS_ADDRESS_BYTES];
    char command[COMMAND_BYTES];
    char why[512];

    netns_address6(0, address);
    (void)snprintf(command, sizeof command,
                   "ip -6 addr show dev eth0 | grep -q %s/64", address);
    return run_in(n->hosts[0], command, why, sizeof why);
}

/* Our end of the cable is in the bridge, the other one in the host. */
static bool plug_into_bridge(const struct netns *n, int host, char *why,
                             size_t why_size)
{
    char command[COMMAND_BYTES];

    (void)snprintf(command, sizeof command,
                   "ip link add port%d type veth peer name eth0 "
                   "netns /proc/%d/fd/%d && "
                   "ip link set port%d master br0 up",
                   host, (int)getpid(), n->hosts[host], host);
    return run_in(n->bridge, command, why, why_size);
}

/* A new TUN device in the host, or -errno. */
static int open_tun(const struct netns *n, int host)
{
    struct ifreq request = {.ifr_name = "eth0",
                            .ifr_flags = IFF_TUN | IFF_NO_PI};
    int rc = 0;
    int fd;

    if (setns(n->hosts[host], CLONE_NEWNET) < 0)
        return -errno;
    fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        rc = -errno;
    if (setns(n->ours, CLONE_NEWNET) < 0)
        abort(); /* a test that is in the wrong network does harm */
    if (rc == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static bool plug_into_tun(struct netns *n, int host, char *why, size_t why_size)
{
    n->tuns[host] = open_tun(n, host);
    if (n->tuns[host] < 0)
        (void)snprintf(why, why_size, "no TUN device by " TUN_PATH ": %s",
                       strerror(-n->tuns[host]));
    return n->tuns[host] >= 0;
}

static bool set_up_host(const struct netns *n, int host, char *why,
                        size_t why_size)
{
    char address[NETNS_ADDRESS_BYTES];
    char address6[NETNS_ADDRESS_BYTES];
    char command[COMMAND_BYTES];

    netns_address(host, address);
    netns_address6(host, address6);
    (void)snprintf(command, sizeof command,
                   "ip link set lo up && ip addr add %s/24 dev eth0 && "
                   "ip link set eth0 up && nft '" RULES "' && "
                   "{ ip addr add %s/64 dev eth0 nodad || true; }",
                   address, address6);
    return run_in(n->hosts[host], command, why, why_size);
}

/* Hosts without a cable. */
static struct netns *new_unplugged(int hosts, char *why, size_t why_size)
{
    struct netns *n = calloc(1, sizeof *n);
    int rc;

    assert_non_null(n);
    assert_in_range(hosts, 1, NETNS_HOSTS_MAX);
    n->count = hosts;
    n->ours = n->bridge = -1;
    for (int i = 0; i < hosts; i++)
        n->hosts[i] = n->tuns[i] = -1;
    rc = make_all(n);
    if (rc == 0)
        return n;
    (void)snprintf(why, why_size, "no network namespaces: %s", strerror(-rc));
    netns_free(n);
    return NULL;
}

static bool plug(struct netns *n, bool has_bridge, char *why, size_t why_size)
{
    if (has_bridge &&
        !run_in(n->bridge, "ip link add br0 type bridge && ip link set br0 up",
                why, why_size))
        return false;
    for (int i = 0; i < n->count; i++) {
        bool is_plugged = has_bridge ? plug_into_bridge(n, i, why, why_size)
                                     : plug_into_tun(n, i, why, why_size);

        if (!is_plugged || !set_up_host(n, i, why, why_size))
            return false;
    }
    return true;
}

static struct netns *new_or_skip(int hosts, bool has_bridge)
{
    char why[512];
    struct netns *n = new_unplugged(hosts, why, sizeof why);

    if (n == NULL || !plug(n, has_bridge, why, sizeof why)) {
        netns_free(n);
        (void)printf("skipped: %s\n", why);
        exit(SKIPPED);
    }
    return n;
}

struct netns *netns_new(int hosts)
{
    return new_or_skip(hosts, true);
}

struct netns *netns_new_apart(int hosts)
{
    return new_or_skip(hosts, false);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void netns_free(struct netns *n)
{
    if (n == NULL)
        return;
    for (int i = 0; i < n->count; i++)
        close_if_open(n->tuns[i]);
    for (int i = 0; i < n->count; i++)
        close_if_open(n->hosts[i]);
    close_if_open(n->bridge);
    close_if_open(n->ours);
    free(n);
}

int netns_socket(const struct netns *n, int host, int type)
{
    int fd;

    assert_return_code(setns(n->hosts[host], CLONE_NEWNET), errno);
    fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (setns(n->ours, CLONE_NEWNET) < 0)
        abort();
    assert_return_code(fd, errno);
    return fd;
}

/* ---- Cutting ---- */

static void set_cuts_of(const struct netns *n, int to,
                        const struct netns_cuts *cuts)
{
    char command[COMMAND_BYTES] = "nft 'flush set ip cut from;";
    char address[NETNS_ADDRESS_BYTES];
    size_t used = strlen(command);
    char why[512];

    for (int from = 0; from < n->count; from++) {
        if (!cuts->drops[from][to])
            continue;
        netns_address(from, address);
        used += (size_t)snprintf(command + used, sizeof command - used,
                                 "add element ip cut from {%s};", address);
        assert_true(used < sizeof command - 1);
    }
    command[used] = '\'';
    command[used + 1] = '\0';
    if (!run_in(n->hosts[to], command, why, sizeof why))
        fail_msg("%s", why);
}

static bool is_changed(const struct netns *n, int to,
                       const struct netns_cuts *cuts)
{
    for (int from = 0; from < n->count; from++) {
        if (cuts->drops[from][to] != n->cuts.drops[from][to])
            return true;
    }
    return false;
}

void netns_cut(struct netns *n, const struct netns_cuts *cuts)
{
    for (int to = 0; to < n->count; to++) {
        if (is_changed(n, to, cuts))
            set_cuts_of(n, to, cuts);
    }
    n->cuts = *cuts;
}

/* ---- Shapes ---- */

static bool is_in(uint32_t set, int host)
{
    return (set >> host & 1) != 0;
}

void cuts_part(struct netns_cuts *c, int hosts, uint32_t set)
{
    for (int i = 0; i < hosts; i++)
        for (int j = 0; j < hosts; j++)
            c->drops[i][j] |= is_in(set, i) != is_in(set, j);
}

void cuts_deafen(struct netns_cuts *c, int hosts, int from, uint32_t to)
{
    for (int j = 0; j < hosts; j++)
        c->drops[from][j] |= j != from && is_in(to, j);
}

void cuts_bridge(struct netns_cuts *c, int hosts, int bridge)
{
    for (int i = 1; i < hosts; i++) {
        for (int j = 1; j < hosts; j++) {
            bool apart = (i <= hosts / 2) != (j <= hosts / 2);

            c->drops[(bridge + i) % hosts][(bridge + j) % hosts] |= apart;
        }
    }
}

void cuts_ring(struct netns_cuts *c, int hosts, const int *order)
{
    for (int i = 0; i < hosts; i++) {
        for (int j = 0; j < hosts; j++) {
            int steps = (j - i + hosts) % hosts;

            c->drops[order[i]][order[j]] |= steps > 1 && steps < hosts - 1;
        }
    }
}
