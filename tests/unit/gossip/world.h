/* Many members in one process over a played network, clock and disk, all from
 * one seed: the real core, and its real packets.
 *
 *   packets   lost, doubled and delayed, each on its own; so they overtake each
 *             other. TCP is never lost, only late: a lost segment comes again
 *   nodes     killed, restarted (elsewhere, too), paused as by SIGSTOP: what
 *             comes meanwhile lies in the socket
 *   disks     a reserved incarnation is durable a while later
 *
 * After every step swim_check looks at the core, and the world at what leaves
 * it: no packet is too long, and none speaks in an incarnation that is not
 * durable. */
#ifndef TEST_GOSSIP_WORLD_H
#define TEST_GOSSIP_WORLD_H

#include "base/rand.h"
#include "gossip/swim.h"

#define WORLD_LABEL "test"
#define MS PX_NS_PER_MS
#define SECOND PX_NS_PER_S

struct world_options {
    size_t nodes;
    uint64_t seed;
    struct swim_settings settings;
    px_ns delay_min; /* one way */
    px_ns delay_max;
    uint32_t loss_ppm;
    uint32_t double_ppm;
    px_ns disk;     /* until a reserved incarnation is durable */
    bool unchecked; /* swim_check is left out: it looks at each member */
};

/* What all nodes saw, in all. */
struct world_counts {
    uint64_t deaths; /* events */
    uint64_t suspicions;
    uint64_t packets; /* sent */
    uint64_t bytes;
    uint64_t dials;
    uint64_t sum; /* over all packets, in their order */
};

struct world_node {
    struct swim *swim; /* NULL: down */
    char id[32];
    struct swim_addr addr;
    swim_incarnation durable; /* what its disk holds */
    px_ns paused_until;
    int side;    /* who are on different sides hear nothing of each other */
    size_t seed; /* the node whose name it was given as seed */
    bool is_left;
    uint64_t died; /* how often another took it for dead */
    px_ns armed;
    uint64_t life; /* raised by each start and stop */
    struct swim_about about;
};

struct world {
    struct world_options options;
    px_ns now;
    struct px_rand rand;
    struct world_node *nodes;
    struct world_counts counts;
    struct world_event **heap;
    size_t event_count;
    size_t event_room;
    uint64_t event_next;
    /* Sees each packet that leaves a node; NULL: nobody looks. */
    void (*tap)(struct world *w, const struct swim_packet_out *packet);
};

/* A quiet LAN: no loss, 0.1 to 1 ms, ticks of 20 ms. */
struct world_options world_lan(size_t nodes, uint64_t seed);
/* 5 % loss, round trips of 280 to 320 ms, ticks of 200 ms. */
struct world_options world_wan(size_t nodes, uint64_t seed);

/* All nodes are down. */
void world_open(struct world *w, const struct world_options *options);
void world_close(struct world *w);

/* @seed: the node whose name it is told, which is resolved to the address of
 * the time, again when it asks; its own: none. */
void world_start(struct world *w, size_t node, size_t seed);
/* All of them at once, with node 0 as seed. */
void world_start_all(struct world *w);
/* The same, each having been told of all by one state: for large worlds. */
void world_start_known(struct world *w);
void world_kill(struct world *w, size_t node);
void world_pause(struct world *w, size_t node, px_ns duration);
void world_leave(struct world *w, size_t node);
/* The next start of the node is at another address. */
void world_move(struct world *w, size_t node);
/* The node says something else of itself from now on. */
void world_say(struct world *w, size_t node, const struct swim_about *about);
/* Feeds what is in @data, as if it came from @from. */
void world_inject(struct world *w, size_t node, const uint8_t *data,
                  size_t size, struct swim_addr from, bool is_stream);

void world_run(struct world *w, px_ns duration);
/* Until it holds, at most that long; the time it took, or PX_NS_NEVER. */
px_ns world_run_until(struct world *w, px_ns duration,
                      bool (*is_done)(struct world *w, void *ctx), void *ctx);

/* ---- Questions ---- */

struct swim_status world_status(const struct world *w, size_t node);
/* 0: @node does not know @other. */
enum swim_state world_state(const struct world *w, size_t node, size_t other);
/* Do all nodes that are up hold all nodes that are up for alive, and at their
 * addresses? */
bool world_is_whole(struct world *w, void *unused);
/* Do all that are up, but @ctx, a size_t, hold that one for dead? */
bool world_is_dead(struct world *w, void *ctx);
bool world_is_left(struct world *w, void *ctx);
/* How often anybody took any node for dead, but @except. */
uint64_t world_deaths_but(const struct world *w, size_t except);
/* Starts all, runs until it is whole, and counts from then on. */
void world_open_whole(struct world *w, const struct world_options *options);

#endif
