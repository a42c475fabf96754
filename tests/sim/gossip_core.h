/* The inside of gossip, for gossip*.c alone. */
#ifndef TESTS_SIM_GOSSIP_CORE_H
#define TESTS_SIM_GOSSIP_CORE_H

#include "gossip/swim.h"
#include "node/peers.h"
#include "tests/sim/gossip.h"

#define PLACES 24 /* addresses: 10.0.0.1 and on; 0 is none */

struct gossip_node {
    struct swim *swim; /* NULL: it is down */
    size_t place;      /* where it is, or was */
    struct swim_about about;
    px_ns now_seen; /* by its clock */
    px_ns timer_at;
    swim_incarnation durable;    /* what its disk holds, at least */
    swim_incarnation used;       /* the highest that it has ever spoken in */
    size_t dialled[SERVERS_MAX]; /* at which place it last reached others */
};

struct gossip {
    struct swim_settings settings;
    unsigned move_percent; /* of the starts */
    bool is_calm;          /* nothing goes wrong: nobody is to be buried */
    px_ns changed_at;      /* when a server last began or ended */
    struct gossip_node nodes[SERVERS_MAX];
    struct peers peers; /* of the one who asks */
};

/* A connection that somebody has made to say something. */
struct gossip_question {
    size_t from;
    uint64_t life;
    px_ns at;
};

static inline struct gossip_node *gossip_node(const struct server *s)
{
    return &s->world->gossip->nodes[s->number];
}

/* ---- gossip.c ---- */

/* By its clock, never back. */
px_ns gossip_now(struct server *s);
/* Bytes have come; @question: on such a connection. */
void gossip_hear(struct server *s, const uint8_t *data, size_t size,
                 struct swim_addr from, const struct gossip_question *question);

/* ---- gossip_net.c ---- */

/* Somewhere, at a start. */
void gossip_settle(struct server *s);
struct swim_addr gossip_at(size_t place);
void gossip_send(struct server *s, const struct swim_packet_out *packet,
                 const struct gossip_question *question);

/* ---- gossip_policy.c ---- */

/* A second has passed. */
void gossip_policy(struct server *s);

/* ---- gossip_judge.c ---- */

/* After each step. */
void gossip_judge(struct server *s, const struct swim_out *out);
void gossip_count(struct server *s);

#endif
