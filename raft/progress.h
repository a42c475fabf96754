/* One follower as its leader sees it.
 *
 *            accepted                           nothing is known of its log:
 *   PROBE ───────────────▶ STREAM               PROBE sends one message and
 *   ▲ │ ▲                   │ │ ▲               waits. Then what is sent is
 *   │ │ └───────────────────┘ │ │               taken to arrive, and next runs
 *   │ │  refused, lost, broken│ │               ahead of match.
 *   │ │                       │ │
 *   │ └─────▶ SNAPSHOT ◀──────┘ │               It refuses the leader's base:
 *   │          │  │ refused at  │               what it needs first is gone. It
 *   └──────────┘  │ the base    │               is sent a snapshot and no
 *    sent, failed,└─────────────┘               entries; see snapshot.c.
 *    broken        accepted at the base
 *
 * What is in flight is bounded in messages and in bytes (10.2.1). */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/types.h"

enum raft_progress_state {
    RAFT_PROBE,
    RAFT_STREAM,
    RAFT_SNAPSHOT,
};

struct raft_inflight {
    raft_index last;
    uint64_t bytes;
};

struct raft_peer {
    raft_id id;
    enum raft_member_role role;

    enum raft_progress_state state;
    raft_index match; /* the peer holds the leader's log up to here */
    raft_index next;  /* the first to be sent; SNAPSHOT: behind the base */
    bool is_waiting;  /* PROBE: a message is out */
    px_ns sent_at;    /* PROBE: when; 0: it is known to be lost. SNAPSHOT: when
                         it was last asked whether it holds the base */
    raft_index shown; /* the highest end of its log, since the last PROBE */
    px_ns moved_at;   /* STREAM: when match or shown last grew, or the peer was
                         asked, or nothing was owed */

    struct raft_inflight inflight[RAFT_INFLIGHT_MSGS_MAX]; /* a ring */
    unsigned inflight_first;
    unsigned inflight_count;
    uint64_t inflight_bytes;

    /* Old entries asked for from disk: the first of them; 0: none. One is
     * outstanding at most, whoever leads meanwhile. */
    raft_index fetching;

    raft_index told; /* the commit index that messages sent so far move it to */
    raft_index owed; /* it is to learn at once of commits up to here */

    px_ns heard;  /* the last time, in this term; 0: never */
    bool is_lost; /* nothing was heard since messages to it were lost */
    bool is_fit;  /* it would take over; as it said last, in this term */
    px_ns stamp;  /* the newest of ours that it echoed in this term; 0: none */
    uint64_t round; /* likewise */
    bool is_faulty; /* it has said so with that */

    uint64_t read_waiting; /* its newest READ, not in a round yet; 0: none */
    uint64_t read_asked;   /* its READ that the round under way is for */
};

/* A new leader's view: nothing is known. */
void raft_progress_reset(struct raft_peer *p, raft_index next);
/* Back to PROBE, from @next on; what was in flight is forgotten. */
void raft_progress_probe(struct raft_peer *p, raft_index next);
/* A snapshot is to take the peer to where @next is the first to be sent. */
void raft_progress_snapshot(struct raft_peer *p, raft_index next, px_ns now);
/* Entries of @bytes in all, up to @last, are on their way. */
void raft_progress_sent(struct raft_peer *p, raft_index last, uint64_t bytes,
                        px_ns now);
/* The peer holds everything up to @match. True if that is news. */
bool raft_progress_accepted(struct raft_peer *p, raft_index match, px_ns now);
/* The peer's log ends at @last, durable there or not: growth is movement. */
void raft_progress_shown(struct raft_peer *p, raft_index last, px_ns now);
/* May one more message be sent, and with how many bytes of entries? */
bool raft_progress_has_room(const struct raft_peer *p, uint64_t *bytes_out);
/* Has the peer not moved since @since, though it was sent entries? */
bool raft_progress_is_stuck(const struct raft_peer *p, px_ns since);
const char *raft_progress_text(enum raft_progress_state state);

void raft_progress_check(const struct raft_peer *p);

#endif
