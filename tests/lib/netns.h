/* Hosts for a test: network namespaces, each with an address of its own, on one
 * bridge, and a network between them that can be cut.
 *
 *      host 0          host 1          host 2      each with loopback, and nft
 *   10.77.0.1       10.77.0.2       10.77.0.3      dropping what it is told to
 *       │ eth0          │ eth0          │ eth0
 *   ────┴───────────────┴───────────────┴──────    br0, in one more namespace
 *
 *   netns_new ─▶ process_start with netns_fd ... netns_cut ... ─▶ netns_free
 *
 * Without a bridge, each host's eth0 is a TUN device, and what it sends waits
 * for us to carry it: relay.h does, and takes as long as a wide network.
 *
 * Only the network is another one: a process in a host sees our files, and we
 * see its mounts. The namespaces have no names: they live as long as somebody
 * holds them, this process or one that was started in them. So none is left,
 * however a test ends. By hand: nsenter --net --target PID.
 *
 * What is cut is dropped where it arrives, without an answer: a sender sees
 * silence, not an error. */
#ifndef TESTS_LIB_NETNS_H
#define TESTS_LIB_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETNS_HOSTS_MAX 9
#define NETNS_ADDRESS_BYTES 16

struct netns;

/* For main(): where they can't be had it says why, and ends the test as
 * skipped. */
struct netns *netns_new(int hosts);
/* The same without a bridge. Needs /dev/net/tun, too. */
struct netns *netns_new_apart(int hosts);
/* NULL is accepted. */
void netns_free(struct netns *n);

int netns_hosts(const struct netns *n);
/* For setns(2), and struct process_options. */
int netns_fd(const struct netns *n, int host);
void netns_address(int host, char text[NETNS_ADDRESS_BYTES]);
/* Where the kernel has IPv6, each has such an address, too: fd77::1 ... */
void netns_address6(int host, char text[NETNS_ADDRESS_BYTES]);
bool netns_has_ipv6(const struct netns *n);
/* The host that has this IPv4 address, in network order; -1: none of ours. */
int netns_host_of(uint32_t address);
/* Of a host without a bridge: IP packets that it sends are read from here, one
 * at a time, never waiting, and those it gets are written to it. */
int netns_tun(const struct netns *n, int host);
/* A socket(2) of ours that is in the host's network; fails the test without. */
int netns_socket(const struct netns *n, int host, int type);

/* Who doesn't hear whom. All false: whole. */
struct netns_cuts {
    bool drops[NETNS_HOSTS_MAX][NETNS_HOSTS_MAX]; /* [from][to] */
};

/* The network is cut so, and no longer as before. Host after host, in some
 * milliseconds. Fails the test if it can't. */
void netns_cut(struct netns *n, const struct netns_cuts *cuts);

/* Shapes, each added to what is cut already. Sets of hosts are bits. */
/* Those of @set hear the others no more, nor are they heard. */
void cuts_part(struct netns_cuts *c, int hosts, uint32_t set);
/* @from isn't heard by those of @to. */
void cuts_deafen(struct netns_cuts *c, int hosts, int from, uint32_t to);
/* Two halves that only @bridge belongs to both of; the hosts behind it, in a
 * circle, are divided evenly. */
void cuts_bridge(struct netns_cuts *c, int hosts, int bridge);
/* Each hears its two neighbours in a circle alone: of five, each reaches a
 * majority, and no two the same. @order: the circle. */
void cuts_ring(struct netns_cuts *c, int hosts, const int *order);

#endif
