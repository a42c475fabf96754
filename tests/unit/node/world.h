/* A whole cluster of replicas in one process: real raft, real commands, real
 * state machines in temporary folders; time, network and log are played.
 *
 * Nothing happens by itself: world_run delivers messages, completes writes and
 * moves the clock to the next deadline, always in the same order for the same
 * seed. */
#ifndef TESTS_UNIT_NODE_WORLD_H
#define TESTS_UNIT_NODE_WORLD_H

#include "base/rand.h"
#include "node/replica.h"
#include "node/storage.h"

#define WORLD_NODES_MAX 5
#define WORLD_LOG_MAX 65536

struct world;

struct world_saved {
    char dir[104];
    uint64_t incarnation;
    size_t count;
    struct raft_hard_state hard;
};

struct world_node {
    struct world *world;
    size_t number; /* raft id is number + 1 */
    char dir[96];
    struct storage storage; /* of state and snapshots; the log is below */
    struct store_view *view;
    struct replica *replica; /* NULL: killed */
    uint64_t incarnation;
    bool has_booted;
    struct world_saved saved;

    /* The disk: entries by index - 1, of which `count` are durable; behind
     * base, once the log was reset. */
    struct raft_entry *log;
    struct raft_pos base;
    size_t count;
    struct raft_hard_state hard;
    struct px_list writes; /* not yet durable: lost by a kill */
    struct px_list jobs;   /* for storage_do, likewise */
    struct replica_fetch *fetches[WORLD_NODES_MAX]; /* under way */
    size_t fetch_count;
    int fetch_rc; /* what they end in; 0: they are read */
    int apply_rc; /* what an apply ends in; 0: it is done */
    bool is_disk_stuck;
    bool is_unreachable;   /* forwards don't leave: its connections are down */
    uint64_t open_inode;   /* through its mount; 0: none */
    uint64_t shown_inode;  /* to its kernel; 0: none */
    const char *failed;    /* why io.fail was called */
    bool is_faulty;        /* its disk notes that entries were lost */
    bool has_lost;         /* and is to be told that this is noted */
    bool is_recovered;     /* and is to be told that this is durable */
    unsigned configs_told; /* by io.on_config */
};

struct world_msg {
    struct px_list link;
    size_t from;
    size_t to;
    enum { WORLD_RAFT, WORLD_FORWARD, WORLD_REFUSED, WORLD_TRANSFER } type;
    struct raft_msg raft;
    struct raft_entry *entries;
    struct net_forward forward;
    struct net_forward_refused refused;
    struct net_snapshot transfer;
};

struct world {
    size_t node_count;
    size_t voter_count; /* the first of them; the others are told by a leader */
    struct world_node nodes[WORLD_NODES_MAX];
    struct px_list wire; /* of world_msg */
    px_ns now;
    px_ns request_timeout; /* what requests are given from now on */
    uint64_t quota_bytes;  /* of nodes that are started from now on */
    raft_index hash_every; /* 0: states are not compared */
    struct px_rand rand;
    bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    unsigned lose_percent;
    unsigned shuffle_percent;
    /* The wire loses what this returns true for. */
    bool (*loses)(const struct world_msg *m);
    bool refuses; /* every forward, whoever gets it */
};

/* One request, as the mount would make it. */
struct world_request {
    struct fs_wait wait; /* first */
    bool is_done;
    int rc;
    struct store_result result;
};

struct world *world_open(size_t node_count, uint64_t seed);
/* Only the first @voter_count are members. */
struct world *world_open_voters(size_t node_count, size_t voter_count,
                                uint64_t seed);
/* Its nodes compare their states at the indexes that @every divides. */
struct world *world_open_comparing(size_t node_count, uint64_t seed,
                                   raft_index every);
void world_close(struct world *w);
void world_kill(struct world *w, size_t node);
void world_start(struct world *w, size_t node);
/* What its data folder holds, and back to that: it must not run. */
void world_save(struct world *w, size_t node);
void world_restore(struct world *w, size_t node);
/* Its log is all that is left of it: likewise. */
void world_lose_state(struct world *w, size_t node);
void world_cut(struct world *w, size_t node, bool is_cut);

/* Runs until @until says so or @limit has passed; false at the limit. */
bool world_run(struct world *w, px_ns limit,
               bool (*until)(struct world *w, void *ctx), void *ctx);
/* Until some node leads and all living nodes are ready. */
bool world_ready(struct world *w);
/* The leader's number, or node_count. */
size_t world_leader(const struct world *w);
bool world_wait(struct world *w, struct world_request *q);
bool world_settle(struct world *w, px_ns duration);

void world_propose(struct world *w, size_t node, struct command *c,
                   struct world_request *q);
void world_mkdir(struct world *w, size_t node, const char *name,
                 struct world_request *q);
void world_read(struct world *w, size_t node, struct world_request *q);
bool world_has_name(struct world *w, size_t node, const char *name);
uint64_t world_hash(struct world *w, size_t node);
/* Changes a record of its state alone, so that no check of its own finds it. */
void world_diverge(struct world *w, size_t node);

#endif
