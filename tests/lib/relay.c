/*   tun of a host ──read──▶ wire_put        wire_take ──write──▶ tun of another
 *                              └── until it is due ──┘
 *
 * One loop in one process: it sleeps until a host sends, or the next packet is
 * due. A host whose device takes no more loses the packet, as by any full
 * queue on the way. */
#include "tests/lib/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define PACKETS_PER_TURN 64 /* of one host, so that others are heard too */
#define STOP_MS_MAX 5000
#define LOOK_NS (100 * PX_NS_PER_MS) /* at whether to end */
#define NICE (-10) /* to be late would be to make the ways longer */

struct relay { /* in memory that the test and its process share */
    const struct netns *hosts;
    struct wire *wire;
    pid_t pid;
    _Atomic bool stop;
    _Atomic uint64_t carried;
    _Atomic uint64_t datagrams;
    _Atomic uint64_t lost;
    _Atomic uint64_t dropped;
    _Atomic uint64_t late_max;
};

static px_ns now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail on Linux */
    return (px_ns)now.tv_sec * PX_NS_PER_S + (px_ns)now.tv_nsec;
}

static void on_packet(struct relay *r, int from, const uint8_t *packet,
                      size_t size)
{
    struct iphdr head;
    bool is_udp;
    int to = -1;

    if (size >= sizeof head) {
        memcpy(&head, packet, sizeof head);
        if (head.version == 4)
            to = netns_host_of(head.daddr);
    }
    if (to < 0 || to >= netns_hosts(r->hosts)) {
        r->dropped++;
        return;
    }
    is_udp = head.protocol == IPPROTO_UDP;
    r->datagrams += is_udp;
    switch (wire_put(r->wire, now_ns(), from, to, is_udp, packet, size)) {
    case WIRE_CARRIED:
        break;
    case WIRE_LOST:
        r->lost++;
        break;
    case WIRE_FULL:
    case WIRE_OVERSIZED:
        r->dropped++;
        break;
    }
}

static void receive(struct relay *r, int from)
{
    uint8_t packet[WIRE_PACKET_BYTES_MAX];

    for (int i = 0; i < PACKETS_PER_TURN; i++) {
        ssize_t n = read(netns_tun(r->hosts, from), packet, sizeof packet);

        if (n <= 0)
            return;
        on_packet(r, from, packet, (size_t)n);
    }
}

static void deliver(struct relay *r, px_ns now)
{
    const struct wire_packet *p;

    while ((p = wire_take(r->wire, now)) != NULL) {
        ssize_t n = write(netns_tun(r->hosts, p->to), p->bytes, p->size);

        if (n == (ssize_t)p->size)
            r->carried++;
        else
            r->dropped++;
        if (now - p->due > r->late_max)
            r->late_max = now - p->due;
    }
}

static void wait_for_some(struct relay *r, struct pollfd *sends)
{
    px_ns now = now_ns();
    px_ns next = wire_next(r->wire);
    px_ns sleep = LOOK_NS;
    struct timespec timeout = {.tv_sec = 0};

    if (next < now + sleep)
        sleep = next > now ? next - now : 0;
    timeout.tv_nsec = (long)sleep;
    /* Ended early by a signal: just as good. */
    (void)ppoll(sends, (nfds_t)netns_hosts(r->hosts), &timeout, NULL);
}

static void run(void *arg, int number)
{
    struct pollfd sends[NETNS_HOSTS_MAX];
    struct relay *r = arg;

    (void)number; /* of one only */
    /* Not ours to ask for: then it is late where the machine is busy, and
     * says so. */
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    for (int i = 0; i < netns_hosts(r->hosts); i++)
        sends[i] =
            (struct pollfd){.fd = netns_tun(r->hosts, i), .events = POLLIN};
    while (!r->stop) {
        wait_for_some(r, sends);
        for (int i = 0; i < netns_hosts(r->hosts); i++) {
            if (sends[i].revents != 0)
                receive(r, i);
        }
        deliver(r, now_ns());
    }
}

struct relay *relay_start(const struct netns *hosts,
                          const struct wire_options *options)
{
    struct relay *r = shared_new(sizeof *r);

    r->hosts = hosts;
    r->wire = wire_new(options);
    r->pid = worker_start(run, r, 0);
    return r;
}

void relay_get_counters(const struct relay *r, struct relay_counters *out)
{
    *out = (struct relay_counters){
        .carried = r->carried,
        .datagrams = r->datagrams,
        .lost = r->lost,
        .dropped = r->dropped,
        .late_max = r->late_max,
    };
}

void relay_stop(struct relay *r)
{
    r->stop = true;
    workers_wait(&r->pid, 1, STOP_MS_MAX);
    wire_free(r->wire);
    (void)munmap(r, sizeof *r);
}
