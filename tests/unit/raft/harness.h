/* A cluster in one process: real replicas, a network that is a list of
 * messages, disks that forget what was not made durable.
 *
 * Nothing happens by itself: the test delivers messages, lets disks finish,
 * moves the clock. After each step of any replica the cluster looks at what
 * Raft promises (figure 3.2), and at what is promised on top:
 *
 *   - raft_check, all invariants of the replica;
 *   - election safety: one leader a term;
 *   - log matching: an index and a term name one entry, with one before it;
 *   - leader completeness: a new leader's log holds all that was committed;
 *   - state machine safety: no two replicas apply different entries;
 *   - what leaves a replica is on its disk: terms, votes, acknowledged entries;
 *   - reads are linearizable: an index that a read is given is at least what
 *     any replica could have answered for when the read was queued.
 *
 * A failure prints the seed, and ends the process. */
#ifndef HARNESS_H_
#define HARNESS_H_

#include "base/rand.h"
#include "raft/core.h"
#include "raft/raft.h"
#include "tests/unit/raft/disk.h"

#define NODES_MAX 5u
#define TERMS_MAX 4096u
#define CONFIGS_MAX 1024u

struct parcel {
    struct raft_msg msg; /* its entries are the parcel's own */
    uint64_t seq;        /* not to leave before this write is durable */
};

struct parcels {
    struct parcel *list;
    size_t count;
    size_t capacity;
};

/* A read that waits for an index of at least @floor. */
struct waiting_read {
    uint64_t id;
    raft_index floor;
};

/* A snapshot on its way. Each stage but the first is a step of the receiver. */
enum transfer_stage {
    TRANSFER_NONE,
    TRANSFER_ASKED,     /* for, by the leader's replica */
    TRANSFER_RECEIVING, /* once it is told, and that is durable */
    TRANSFER_RECEIVED,  /* the snapshot is durable there */
    TRANSFER_INSTALLED, /* it is the state, once the log is reset */
};

struct transfer {
    enum transfer_stage stage;
    raft_id from;
    raft_id to;
    raft_term term;
    struct raft_pos pos;
    uint64_t seq; /* the write at the receiver that the next stage waits for */
};

struct node {
    raft_id id;
    struct raft *raft; /* NULL: down */
    bool is_paused;    /* its process is stopped: what is sent to it is lost */
    struct disk disk;
    struct parcels held;
    struct raft_fetch fetches[RAFT_MEMBERS_MAX];
    size_t fetch_count;
    bool is_lost[NODES_MAX]; /* an APPEND to it was; not yet reported */
    raft_index applied;
    raft_index commit;          /* as of the last step */
    struct transfer *receiving; /* the snapshot that comes in; NULL: none */
    px_ns deadline;             /* on its own clock */
    px_ns clock_base;
    int64_t clock_ppm; /* how much its clock is fast */
    struct waiting_read reads[64];
    size_t read_count;
    uint64_t read_id;
};

/* How often things happened: a random test that never does them proves
 * nothing. */
struct cluster_counts {
    uint64_t leaders;
    uint64_t commits;
    uint64_t cuts;
    uint64_t fetches;
    uint64_t lease_reads;
    uint64_t reads_leader;
    uint64_t reads_follower;
    uint64_t crashes;
    uint64_t lost_writes;
    uint64_t compactions;
    uint64_t asked;     /* for a snapshot */
    uint64_t resets;    /* installed, in place of the log */
    uint64_t kept;      /* installed, and the log kept what lay behind */
    uint64_t ignored;   /* installed, being no news */
    uint64_t broken;    /* transfers that came to nothing */
    uint64_t damaged;   /* logs that lost entries */
    uint64_t again;     /* ... before they had them back */
    uint64_t turned;    /* ... and had older ones instead */
    uint64_t lost;      /* messages that say so */
    uint64_t recovered; /* replicas that hold all again */
    uint64_t phantoms;  /* commits that counted on a copy which was lost */
    uint64_t unswapped; /* restarts with a snapshot that the log lacked */
    uint64_t transfers; /* of leadership, begun */
    uint64_t added;     /* changes of members, begun */
    uint64_t promoted;
    uint64_t removed;
    uint64_t configs_moved; /* by a snapshot */
};

struct cluster {
    unsigned count;
    struct raft_config_at configs[CONFIGS_MAX]; /* committed, the initial one
                                                   first */
    size_t config_count;
    uint64_t seed;
    struct px_rand rand;
    px_ns now;                    /* true time, which no replica knows */
    struct node nodes[NODES_MAX]; /* id is place + 1 */
    struct parcels network;
    struct transfer transfers[NODES_MAX][NODES_MAX]; /* [from][to] */
    bool is_cut[NODES_MAX][NODES_MAX];               /* [from][to] */
    raft_id leaders[TERMS_MAX];
    struct raft_entry committed[INDEX_MAX]; /* [index] */
    raft_term committed_in[INDEX_MAX];      /* by the leader of this term */
    raft_index commit;                      /* the highest of any */
    struct entry_name *names; /* (index, term) -> entry: log matching */
    size_t name_count;
    struct cluster_counts counts;
};

#define CLUSTER_E (UINT64_C(1000) * PX_NS_PER_MS)
#define CLUSTER_H (UINT64_C(100) * PX_NS_PER_MS)

/* @count voters on new disks, all up. */
struct cluster *cluster_new(unsigned count, uint64_t seed);
/* ... of whom the first @voters are members, and the others may become some. */
struct cluster *cluster_new_of(unsigned count, unsigned voters, uint64_t seed);
/* The newest that is committed, among the first @index entries. */
const struct raft_config *cluster_config_at(const struct cluster *c,
                                            raft_index index);
void cluster_free(struct cluster *c);

/* One input to one replica, and everything that is checked. */
int cluster_step(struct cluster *c, struct node *n, struct raft_in in);
px_ns cluster_clock(const struct cluster *c, const struct node *n);

/* The network: a message of the list, delivered, doubled or dropped. An APPEND
 * that a cut, a crash or a pause loses is reported to its sender as
 * RAFT_IN_UNREACHABLE when the cluster settles next; one that is dropped is
 * reported to nobody. */
void cluster_deliver(struct cluster *c, size_t i);
void cluster_double(struct cluster *c, size_t i);
void cluster_drop(struct cluster *c, size_t i);
void cluster_cut(struct cluster *c, unsigned a, unsigned b, bool is_cut);
void cluster_heal(struct cluster *c);

/* A replica that is down finds that its disk has lost what lies behind @last; or
 * all that came since the past that the disk remembers. */
void cluster_damage(struct cluster *c, struct node *n, raft_index last);
void cluster_turn_back(struct cluster *c, struct node *n);
/* How many have lost entries, as far as their disks note. */
unsigned cluster_faulty(const struct cluster *c);

/* The disk: the next @count writes become durable. */
void cluster_sync(struct cluster *c, struct node *n, size_t count);
/* Answers the first fetch. */
void cluster_answer_fetch(struct cluster *c, struct node *n, bool is_readable);

/* Saves a snapshot of what @n has applied; its log's head goes up to @index,
 * which lies within that. */
void cluster_compact(struct cluster *c, struct node *n, raft_index index);
/* Takes the transfer one stage further; false: it has to wait. */
bool transfer_advance(struct cluster *c, struct transfer *t);
/* The connection that carries it breaks; one that is received goes on. */
void transfer_break(struct cluster *c, struct transfer *t);
/* The leader's replica asks for it; one that is under way goes on. */
void transfer_ask(struct cluster *c, const struct node *n,
                  const struct raft_snapshot *want);
/* Those that @n sends or receives break. */
void transfer_crash(struct cluster *c, const struct node *n);

/* Power is lost: of the writes under way the first @kept are on disk. The
 * state machine falls back to @applied. */
void cluster_crash(struct cluster *c, struct node *n, size_t kept,
                   raft_index applied);
void cluster_restart(struct cluster *c, struct node *n);

/* Proposes one entry of @value, by @n, for @origin; the step's rc. */
int cluster_propose(struct cluster *c, struct node *n, uint64_t value,
                    raft_id origin);
void cluster_read(struct cluster *c, struct node *n);
/* Asks for a read under a lease, and checks what it is given. */
void cluster_lease_read(struct cluster *c, struct node *n);

/* Everything that is due, in order, until nothing is: messages, disks,
 * fetches; no time passes. */
void cluster_settle(struct cluster *c);
/* As time passes: replicas wake at their deadlines, and all settles. */
void cluster_run(struct cluster *c, px_ns duration);
/* The one that leads, as far as it knows itself; NULL: none. */
struct node *cluster_leader(struct cluster *c);
/* Runs until some replica leads and has committed in its term. */
struct node *cluster_run_to_leader(struct cluster *c);

#endif
