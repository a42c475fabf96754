/* One replica, whose peers, log, disk and clock are played by the test: what it
 * says and asks for is kept, and nothing is answered unless the test does.
 *
 * It is node 1 of three. Its state machine is real, and is replaced by a real
 * one when a snapshot is adopted. */
#ifndef TESTS_UNIT_NODE_SOLO_H
#define TESTS_UNIT_NODE_SOLO_H

#include "node/replica_core.h"

#define SOLO_ELECTION (240 * PX_NS_PER_MS)
#define SOLO_HEARTBEAT (60 * PX_NS_PER_MS)
#define SOLO_SAID_MAX 512

struct solo_options {
    raft_index snapshot; /* the log begins behind it, the state is there; of
                            term 1, 1 MiB long. 0: none */
    bool is_faulty;
};

struct solo {
    struct replica *r;
    px_ns now;
    char dir[2][64]; /* of the state, and of one to be adopted */
    struct store_state *states[2];
    struct store_view *view;

    struct px_list writes;       /* not yet durable */
    bool is_reset;               /* a write has emptied the log */
    bool is_recovered;           /* it has said so, ... */
    bool is_reset_by_then;       /* and had a write empty the log before */
    struct replica_apply *apply; /* under way, while holds_apply */
    bool holds_apply;

    /* Snapshots. */
    struct px_list jobs; /* of replica_snapshot_job, in order */
    size_t job_count;
    struct net_snapshot said[SOLO_SAID_MAX]; /* without their bytes */
    raft_id said_to[SOLO_SAID_MAX];
    size_t said_count;
    bool is_deaf; /* transfers find no connection */
    uint64_t log_bytes;
    uint64_t snapshot_room; /* plenty, at first */
    unsigned room_looks;
    raft_index cut;
    unsigned adopted;
    const char *failed;

    /* The last of each type that it sent to each peer. */
    struct raft_msg sent[RAFT_MSG_LOST_REPLY + 1][4];
};

void solo_open(struct solo *s, const struct solo_options *options);
void solo_close(struct solo *s);

void solo_turn(struct solo *s);
/* Lets time pass, with a turn at each deadline. Nothing arrives meanwhile but, if
 * it leads, node 3's answers to its heartbeats. */
void solo_wait(struct solo *s, px_ns duration);
/* All writes are durable, and a turn. */
void solo_sync(struct solo *s);
/* The apply that is held is done, and a turn. */
void solo_apply(struct solo *s);

/* A heartbeat of @leader in @term. */
void solo_follow(struct solo *s, raft_id leader, raft_term term);
/* @count no-ops of @term behind @prev, from @leader. */
void solo_append(struct solo *s, raft_id leader, raft_term term,
                 struct raft_pos prev, size_t count, raft_index commit);
/* It is elected, with node 3's vote. */
void solo_lead(struct solo *s);
/* Node @peer refuses what it was asked for: it lacks the base. */
void solo_lack_base(struct solo *s, raft_id peer);

/* What a peer says of a snapshot. @size: of a piece. And a turn. */
void solo_hear(struct solo *s, raft_id from, enum net_snapshot_what what,
               struct raft_pos pos, uint64_t bytes, uint64_t offset,
               size_t size);
/* The last thing that it said of snapshots; NULL: nothing since the last look. */
const struct net_snapshot *solo_said(const struct solo *s);
/* How often it said @what. */
size_t solo_said_count(const struct solo *s, enum net_snapshot_what what);

/* The job that was given first and is not done; NULL: none. */
struct replica_snapshot_job *solo_job(struct solo *s);
/* It has ended with @rc, having done what it was for; and a turn. */
void solo_job_done(struct solo *s, int rc);

#endif
