/* What a wide network does to packets, without a clock or a socket: it delays
 * them, each way between two hosts by its own, the one packet more and the
 * other less, and loses some datagrams.
 *
 *   wire_new ─▶ wire_put when one is sent, wire_take when wire_next has come
 *            ─▶ wire_free
 *
 * TCP and the rest keep their order on each way, as they do where packets of a
 * connection take the same route: only UDP overtakes, and only UDP is lost.
 * The kernel's TCP thus shows the delay, and not its own answer to losses. */
#ifndef TESTS_LIB_WIRE_H
#define TESTS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

#define WIRE_HOSTS_MAX 9
#define WIRE_PACKET_BYTES_MAX 1500u
/* Under way at once: 12 MiB, 300 ms of 300 Mbit/s. */
#define WIRE_PACKETS_MAX 8192u

struct wire;

struct wire_options {
    px_ns delays[WIRE_HOSTS_MAX][WIRE_HOSTS_MAX]; /* [from][to] */
    unsigned jitter_percent;    /* a packet takes up to so much longer */
    unsigned udp_loss_permille; /* datagrams that don't arrive */
    uint64_t seed;
};

struct wire_packet {
    px_ns due;
    uint64_t serial; /* as they were put */
    int to;
    size_t size;
    uint8_t bytes[WIRE_PACKET_BYTES_MAX];
};

enum wire_fate {
    WIRE_CARRIED,
    WIRE_LOST, /* as it was to be */
    WIRE_FULL, /* WIRE_PACKETS_MAX are under way */
    WIRE_OVERSIZED,
};

/* Fails the test without memory. */
struct wire *wire_new(const struct wire_options *options);
/* NULL is accepted. */
void wire_free(struct wire *w);

/* @packet leaves @from at @now. Time does not go back. */
enum wire_fate wire_put(struct wire *w, px_ns now, int from, int to,
                        bool is_udp, const void *packet, size_t size);
/* When the next one arrives; PX_NS_NEVER: none is under way. */
px_ns wire_next(const struct wire *w);
/* The next one that has arrived by @now, good until the next wire_put; NULL:
 * none. */
const struct wire_packet *wire_take(struct wire *w, px_ns now);

#endif
