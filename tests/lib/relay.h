/* A wide network between the hosts of netns_new_apart: a process that reads the
 * packets of all, holds each back for as long as its way takes, loses some
 * datagrams, and hands them on. Addresses stay as they are, and TCP, UDP and
 * everything else go through it, so that programs notice nothing but time.
 *
 *   netns_new_apart ─▶ relay_start ... ─▶ relay_stop ─▶ netns_free
 *
 * It ends with the test, however that ends. */
#ifndef TESTS_LIB_RELAY_H
#define TESTS_LIB_RELAY_H

#include <stdint.h>

#include "tests/lib/netns.h"
#include "tests/lib/wire.h"

struct relay;

struct relay_counters {
    uint64_t carried;
    uint64_t datagrams; /* of UDP, those lost included */
    uint64_t lost;      /* as it was to be */
    uint64_t dropped;   /* without room, oversized, or to no host of ours */
    px_ns late_max;     /* handed on so long after it was due, at worst */
};

/* Fails the test if it can't. */
struct relay *relay_start(const struct netns *hosts,
                          const struct wire_options *options);
void relay_get_counters(const struct relay *r, struct relay_counters *out);
void relay_stop(struct relay *r);

#endif
