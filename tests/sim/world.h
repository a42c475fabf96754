/* A whole cluster in one process and one thread, from one seed: real raft, log,
 * state machines, sessions, forwarding and reads, over simulated time, disks
 * and network.
 *
 *   world_open ─▶ world_run ... ─▶ world_close
 *
 *   event.h    what happens next         server.h   one node, from disk to turn
 *   disk.h     a disk                    wire.h     the network
 *   clients.h  what is asked of nodes    faults.h   what goes wrong
 *   members.h  who is made a member, and who no longer is
 *   check.h    what must be true after every step
 *   gossip.h   who finds whom, and where
 *   story.h    the phases of one run
 *
 * Nothing reads a clock or draws a number but from here: the same seed makes
 * the same run, byte for byte. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>

#include "base/rand.h"
#include "raft/types.h"
#include "tests/sim/count.h"
#include "tests/sim/event.h"

#define VOTERS_MAX 7   /* at first */
#define SERVERS_MAX 12 /* in all: an id is never used again */
#define CLUSTER UINT64_C(0x5117)
#define WORLD_DRIFT_PPM 10000 /* no clock is further off */

struct world_options {
    uint64_t seed;
    size_t server_count; /* at first; 0: drawn */
    bool has_members;    /* the members change; else that is drawn */
    bool has_gossip;     /* they find each other by it; else that is drawn */
    px_ns storm;         /* how long things go wrong */
    bool is_traced;
    const char *dir; /* exists; for the states' databases */
};

struct wire;
struct clients;
struct check;
struct faults;
struct members;
struct gossip;

struct world {
    struct world_options options;
    struct px_rand rand;
    px_ns now;
    uint64_t step; /* grows with all that happens: the clients' clock */
    struct events events;
    size_t voter_count;  /* the first servers are the first voters */
    size_t server_count; /* grows: those that are gone stay in the list */
    struct server *servers[SERVERS_MAX];
    struct wire *wire;
    struct clients *clients;
    struct check *check;
    struct faults *faults;
    struct members *members; /* NULL: they stay who they are */
    struct gossip *gossip;   /* NULL: all know where all are */
    px_ns election;
    px_ns heartbeat;
    px_ns request_timeout;
    uint64_t segment_bytes;
    uint64_t snapshot_bytes;    /* the log's growth after which one is made */
    uint64_t quota_bytes;       /* 0: none */
    bool is_flaky[SERVERS_MAX]; /* bits flip on its disks: a minority */
    bool is_bulky; /* many large values, so snapshots of many pieces */
    uint64_t counts[COUNT_COUNT];
};

struct world *world_open(const struct world_options *options);
void world_close(struct world *w);
/* One more, with empty disks, that no voter was told of; it is down. NULL:
 * there have been as many as there may be. */
struct server *world_grow(struct world *w);
/* Everything up to @until happens. */
void world_run(struct world *w, px_ns until);

/* In [from, to). */
uint64_t world_draw(struct world *w, uint64_t from, uint64_t to);
bool world_chance(struct world *w, unsigned percent);
/* Plans @e at @at: for @s, or with NULL for the world. */
void world_plan(struct world *w, struct event *e, struct server *s, px_ns at);

/* One line: the time, who, what. */
#define world_trace(w, s, ...)                   \
    do {                                         \
        if ((w)->options.is_traced)              \
            world_trace_line(w, s, __VA_ARGS__); \
    } while (0)
void world_trace_line(const struct world *w, const struct server *s,
                      const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Something that must be true is not: one line with the seed, and the end of
 * the process. */
_Noreturn void world_fail(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
