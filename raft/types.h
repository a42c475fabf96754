/* The values that Raft speaks in: anyone may build and copy them.
 *
 * Entries carry their bytes as slices: whoever keeps an entry beyond the call
 * that showed it takes a reference (px_slice_ref), and drops it when done. */
#ifndef RAFT_TYPES_H
#define RAFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/time.h"

typedef uint64_t raft_id;    /* a member; 0 is nobody */
typedef uint64_t raft_term;  /* 0 before the first election */
typedef uint64_t raft_index; /* 0 before the first entry */

/* A place in the log. {0, 0} lies before the first entry, and always matches.*/
struct raft_pos {
    raft_term term;
    raft_index index;
};

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

/* Numbers are on disk and on the wire: never renumber. */
enum raft_entry_kind {
    RAFT_ENTRY_NOOP = 1,    /* a new leader's first entry; no data */
    RAFT_ENTRY_COMMAND = 2, /* data is a command for the state machine */
    RAFT_ENTRY_CONFIG = 3,  /* data is a configuration (membership change) */
};

struct raft_entry {
    struct raft_pos pos;
    enum raft_entry_kind kind;
    struct px_slice data;
};

/* What must survive a crash besides the entries. */
struct raft_hard_state {
    raft_term term;
    raft_id voted_for; /* in @term; 0: nobody yet */
};

enum raft_member_role {
    RAFT_VOTER = 1,
    RAFT_LEARNER = 2,
};

struct raft_member {
    raft_id id;
    enum raft_member_role role;
};

struct raft_config {
    size_t count;
    struct raft_member members[RAFT_MEMBERS_MAX];
};

/* From which entry on: of the entry that holds it, or of one that a snapshot
 * covers. */
struct raft_config_at {
    raft_index index;
    struct raft_config config;
};

/* Numbers are on the wire: never renumber. */
enum raft_msg_type {
    RAFT_MSG_PRE_VOTE = 1,
    RAFT_MSG_PRE_VOTE_REPLY = 2,
    RAFT_MSG_VOTE = 3,
    RAFT_MSG_VOTE_REPLY = 4,
    RAFT_MSG_APPEND = 5,
    RAFT_MSG_APPEND_REPLY = 6,
    RAFT_MSG_HEARTBEAT = 7,
    RAFT_MSG_HEARTBEAT_REPLY = 8,
    RAFT_MSG_READ = 9,
    RAFT_MSG_READ_REPLY = 10,
    RAFT_MSG_TIMEOUT_NOW = 11, /* leadership transfer */
    RAFT_MSG_LOST = 12,
    RAFT_MSG_LOST_REPLY = 13,
};

/* PRE_VOTE, VOTE. A pre-vote's message term is the term it would campaign in;
 * it changes nobody's term. */
struct raft_msg_vote {
    struct raft_pos last; /* of the candidate's log */
    bool is_transfer;     /* asked for by the leader: stickiness is waived */
};

/* PRE_VOTE_REPLY, VOTE_REPLY. A granted pre-vote echoes the message term of
 * the request; a refusal carries the voter's own. */
struct raft_msg_vote_reply {
    bool is_granted;
};

/* APPEND. Entries follow @prev without a gap; none is a probe. */
struct raft_msg_append {
    struct raft_pos prev;
    raft_index commit; /* the leader's */
    size_t count;
    const struct raft_entry *entries;
};

/* APPEND_REPLY. */
struct raft_msg_append_reply {
    bool is_accepted;
    raft_index match; /* accepted: the last index verified by the request, and
                         durable here. Refused: the request's prev.index. */
    struct raft_pos conflict; /* refused: the term at prev.index here and the
                                 first index of that term; term 0: the log
                                 ends before prev, and index is its last + 1 */
};

/* HEARTBEAT. Small, never behind bulk data. It moves the receiver's commit to
 * at most @match.index, and only if the receiver holds @match. */
struct raft_msg_heartbeat {
    struct raft_pos match; /* what the leader knows this follower to hold */
    raft_index commit;     /* the leader's */
    px_ns stamp;           /* the leader's clock just before the round */
    uint64_t round;        /* rounds of this leader, from 1; for reads. 0: a
                              notice of commits, to which there is no reply */
};

struct raft_msg_heartbeat_reply {
    px_ns stamp; /* echoed */
    uint64_t round;
    raft_index last; /* of the follower's log: shows the leader that appends
                        arrive, though not acknowledged yet */
    bool is_faulty;  /* it has no vote, or a restart would take it: fault.c */
    bool is_unfit;   /* told to take leadership over, it would not: passive,
                        faulty, installing, its disk stuck */
};

/* READ, READ_REPLY: a follower's batch of reads asks for an index. */
struct raft_msg_read {
    uint64_t id; /* fresh for each attempt */
};

struct raft_msg_read_reply {
    uint64_t id;
    raft_index index;
};

/* LOST: a faulty replica to its leader; see fault.c. */
struct raft_msg_lost {
    uint64_t id;      /* fresh for each term and each start */
    raft_index match; /* it holds the leader's log up to here, and what it said
                         it held behind that may be lost */
    raft_index last;  /* where its log ends */
};

/* LOST_REPLY. */
struct raft_msg_lost_reply {
    uint64_t id;
    raft_index index; /* where the leader's log ends: all that the faulty one
                         may have acknowledged lies before */
};

struct raft_msg {
    enum raft_msg_type type;
    raft_id from;
    raft_id to;
    raft_term term;
    union {
        struct raft_msg_vote vote;
        struct raft_msg_vote_reply vote_reply;
        struct raft_msg_append append;
        struct raft_msg_append_reply append_reply;
        struct raft_msg_heartbeat heartbeat;
        struct raft_msg_heartbeat_reply heartbeat_reply;
        struct raft_msg_read read;
        struct raft_msg_read_reply read_reply;
        struct raft_msg_lost lost;
        struct raft_msg_lost_reply lost_reply;
    };
};

#endif
