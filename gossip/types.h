/* The values that gossip speaks in: anyone may build and copy them. */
#ifndef GOSSIP_TYPES_H
#define GOSSIP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/time.h"

/* Which of two stories about a member is the newer: a member raises its own,
 * nobody else does (SWIM 4.2). 0 is none. */
typedef uint64_t swim_incarnation;

/* Nobody gets there by restarts and refutations; one beyond is damage, and
 * could never be refuted. */
#define SWIM_INCARNATION_MAX (UINT64_C(1) << 62)

/* Of one incarnation, the later in this list is the stronger: where two nodes
 * differ, both end with the stronger, in whatever order they hear. Numbers are
 * on the wire: never renumber. */
enum swim_state {
    SWIM_ALIVE = 1,
    SWIM_SUSPECT = 2, /* does not answer; may yet say that it is alive */
    SWIM_DEAD = 3,    /* did not say so in time */
    SWIM_LEFT = 4,    /* said goodbye itself */
};

/* What it is to raft, as far as it knows. On the wire: never renumber. */
enum swim_role {
    SWIM_ROLE_NONE = 0, /* in no configuration yet */
    SWIM_ROLE_VOTER = 1,
    SWIM_ROLE_LEARNER = 2,
};

/* An IP address and port; IPv4 as ::ffff:a.b.c.d. Link-local addresses need a
 * scope, which means nothing on another machine, so they can't be gossiped. */
struct swim_addr {
    uint8_t ip[16];
    uint16_t port;
};

/* What a member says of itself. It changes with a new incarnation only. */
struct swim_about {
    struct swim_addr gossip;             /* where its UDP and TCP port is */
    char peer[PX_ADDRESS_BYTES_MAX + 1]; /* where peers and clients dial it */
    char zone[PX_NODE_ID_BYTES_MAX + 1]; /* a region, or empty */
    enum swim_role role;
    uint16_t protocol; /* of the peers' connections, NET_PROTOCOL_VERSION */
    uint8_t expect;    /* its BOOTSTRAP_EXPECT; 0: none */
    uint64_t cluster;  /* the raft cluster it is of; 0: of none yet */
    uint64_t view; /* with whom it would found one (bootstrap.h); 0: too few */
};

/* A member as others see it. */
struct swim_member_info {
    const char *id;
    enum swim_state state;
    swim_incarnation incarnation;
    struct swim_addr gossip;
    const char *peer;
    const char *zone;
    enum swim_role role;
    uint16_t protocol;
    uint8_t expect;
    uint64_t cluster;
    uint64_t view;
    px_ns since; /* that it is in this state, by our clock */
    bool is_self;
};

#endif
