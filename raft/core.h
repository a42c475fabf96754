/* The replica: its state, its roles, its invariants.
 *
 *               election timeout            a majority would vote
 *   FOLLOWER ───────────────────▶ PRE_CANDIDATE ─────────────▶ CANDIDATE
 *    ▲ ▲ ▲       elect.c           │  ▲                         │  │
 *    │ │ └─────────────────────────┘  └─────────────────────────┘  │
 *    │ │   a leader, a higher term         election timeout        │
 *    │ └───────────────────────────────────────────────────────────┤
 *    │                                                             │ a majority
 *    │   a higher term, or no majority heard of for E  lease.c     ▼ voted
 *    └────────────────────────────────────────────────────────── LEADER
 *
 * A sole voter goes the same way, by majorities of one.
 *
 * Invariants, asserted where the state changes and by raft_check:
 *
 *   R1  The term only grows; within a term the vote is given once.
 *   R2  The commit index only grows, within the log.
 *   R3  applied <= min(commit, durable): the state never runs ahead of the log.
 *   R4  A leader commits by counting only entries of its own term (3.6.2).
 *   R5  Candidates and leaders voted for themselves, and are voters.
 *   R6  A leader's term and vote are durable, so it may send at once.
 *   R7  A leader's log ends in its own term, begun by its no-op.
 *   R8  Who is not leader knows nothing of peers' progress that counts: no
 *       lease, no read round.
 *   R9  Writes: hard_seq, cut_seq, durable_seq <= write_seq.
 *   R10 Reads are answered in order: done <= wanted.
 *   R11 Entries shown in a message or a write stay as they are until the next
 *       step: the log is not changed once a step has shown any.
 *   R12 Who installs a snapshot is a follower, of no older term than it.
 *   R13 The log's base only grows, within what is applied.
 *   R14 Who is faulty is a follower.
 *   R15 What is known of the repair is of this term: it is asked for anew in
 *       the next.
 *   R16 Only a leader hands over; once it has told the other, it has no lease.
 *   R17 The newest configuration in the log is in force; none behind the log.
 *   R18 Of a leader that has committed in its term, one at most is uncommitted.
 *   R19 Who is passive is a follower.
 *   R20 Who is faulty asks its leader once that is noted durably.
 *   R21 A leader sends a learner what is committed, and nothing else.
 *
 *   Log:       L1 terms ascend   L2 durable, applied <= last
 *              L3 what is not durable is in memory   L4 sums are right
 *              L5 runs, tail and applied begin behind the base, or at it
 *   Progress:  P1 match < next   P2 sums are right   P3 match <= last
 *              P4 told <= commit P5 echoes are of what was sent
 *              P6 base < next: what is gone is never sent
 *              P7 SNAPSHOT: match < base, next = base + 1 */
#ifndef RAFT_CORE_H
#define RAFT_CORE_H

#include "base/assert.h"
#include "base/rand.h"
#include "raft/config.h"
#include "raft/log.h"
#include "raft/progress.h"
#include "raft/raft.h"

/* What one step can send: to each peer a full window, and a few small ones. */
#define RAFT_NOW_MAX (RAFT_MEMBERS_MAX * (RAFT_INFLIGHT_MSGS_MAX + 8))
#define RAFT_AFTER_MAX (RAFT_MEMBERS_MAX + 8)

/* Local reads that wait for an index; see read.c. */
struct raft_reads {
    uint64_t wanted; /* the newest asked for */
    uint64_t done;   /* the newest answered */

    /* Follower: one batch is outstanding at the leader. */
    uint64_t attempt; /* its id; 0: none */
    uint64_t attempt_last;
    px_ns attempt_at;
    uint64_t attempt_next; /* ids are fresh, across restarts too */

    /* Leader: one round is under way. */
    uint64_t round; /* 0: none */
    uint64_t round_last;
    raft_index round_index;
};

/* The log has lost entries; see fault.c. All 0 once it has not. */
struct raft_fault {
    bool is_faulty;
    bool is_noted;       /* a restart would find it faulty, too */
    uint64_t id;         /* of the question to this term's leader */
    raft_index verified; /* our log is that leader's up to here, by its word */
    raft_index barrier;  /* its answer: where we are whole; 0: none yet */
};

/* Ascending; the last is in force. The first stands for what is applied. See
 * member.c. */
struct raft_configs {
    struct raft_config_at *list;
    size_t count;
    size_t capacity;
};

/* A leader hands over: see transfer.c. */
struct raft_transfer {
    raft_id to;     /* 0: it doesn't */
    px_ns until;    /* then it goes on leading; PX_NS_NEVER without one */
    px_ns next_at;  /* another one is tried then; PX_NS_NEVER: none is */
    uint32_t tried; /* a bit for each member */
    bool is_sent;   /* TIMEOUT_NOW, to this one */
};
/* That of one who does not hand over. */
#define RAFT_TRANSFER_NONE \
    ((struct raft_transfer){.until = PX_NS_NEVER, .next_at = PX_NS_NEVER})

/* What the step under way has to say; raft_step makes a raft_out of it. */
struct raft_draft {
    struct raft_msg now[RAFT_NOW_MAX];
    size_t now_count;
    struct raft_msg after[RAFT_AFTER_MAX];
    size_t after_count;
    struct raft_fetch fetches[RAFT_MEMBERS_MAX];
    struct raft_snapshot snapshots[RAFT_MEMBERS_MAX];
    size_t fetch_count;
    size_t snapshot_count;
    bool is_hard_changed;
    bool is_reset;
    bool is_installed;
    bool is_recovered;
    raft_index lost;
    raft_index append_first; /* 0: nothing was appended */
    struct raft_read_ready reads;
    struct raft_pos proposed;
    bool is_log_shown; /* R11 */
    /* Entries read from disk, referenced until the next step. */
    struct raft_entry fetched[PX_BATCH_ENTRIES_MAX];
    size_t fetched_count;
};

struct raft {
    /* Fixed at raft_new. */
    raft_id id;
    px_ns election;
    px_ns heartbeat;
    px_ns lease;       /* how long one lasts: E (1 - rho) / (1 + rho) */
    px_ns quiet_until; /* restarted: no vote and no campaign before it. 0 once
                          it is known that nothing was promised (fault.c) */

    /* Who the members are: as the newest configuration of the log says. */
    struct raft_configs configs;
    struct raft_config config;
    uint64_t config_changes;
    bool is_voter;
    size_t voter_count;

    /* Durable, or on its way to the disk. */
    struct raft_hard_state hard;
    struct raft_log log;
    uint64_t write_seq;   /* the newest handed out */
    uint64_t durable_seq; /* the newest done */
    uint64_t hard_seq;    /* the one that holds @hard */
    px_ns disk_moved_at;  /* a write came back, or was handed out when none was
                             out: see disk.c */
    px_ns applied_moved_at; /* something was applied, or nothing could be */

    /* Everyone. */
    px_ns now; /* of this step */
    enum raft_role role;
    raft_id leader;
    raft_index commit;
    struct px_rand rand;
    px_ns timeout; /* drawn from [E, 2E) */
    px_ns election_at;
    px_ns sticky_until;   /* a leader was heard within E: no vote for others */
    uint32_t granted;     /* candidates: a bit for each member's grant */
    bool is_transfer;     /* candidate: on the word of the leader */
    raft_term installing; /* a snapshot comes in, sent in this term; 0: none */
    bool is_passive;      /* it is not to lead, whatever its log holds */
    struct raft_reads reads;
    struct raft_fault fault;
    uint64_t fault_next; /* id of the next question: never used twice */
    bool is_recovering;  /* whole, but a restart would find it faulty again */
    uint64_t refused;    /* messages that no sound member sends to us */

    /* Leader. */
    raft_index noop; /* its own first entry */
    px_ns elected_at;
    px_ns heartbeat_at;
    px_ns quorum_at;   /* look by then whether a majority was heard of */
    uint64_t round;    /* of heartbeats, the newest sent */
    px_ns round_stamp; /* its stamp */
    px_ns lease_stamp; /* the newest that a majority echoed; 0: none */
    bool
        is_lease_over; /* TIMEOUT_NOW was sent: none for the rest of the term */
    struct raft_transfer transfer;
    bool has_made_way; /* being stuck, it has told another to take over */
    struct raft_peer peers[RAFT_MEMBERS_MAX]; /* as config.members */
    /* Which member waits for an entry, by index modulo the bound: its number
     * in config, plus one. Uncommitted entries of our own fit. */
    uint8_t origins[RAFT_UNAPPLIED_ENTRIES_MAX];

    struct raft_draft draft;

    /* raft_check's last look. */
    struct raft_hard_state seen_hard;
    raft_index seen_commit;
    raft_index seen_base;
    struct raft_fault seen_fault;
};

/* Elections don't get there; a term beyond is damage, and would end all. */
#define RAFT_TERM_MAX (UINT64_C(1) << 62)

/* ---- step.c: what a step has to say ---- */

/* A message to fill in. Now: it depends on nothing that isn't durable. */
struct raft_msg *raft_msg_now(struct raft *r, raft_id to,
                              enum raft_msg_type type);
/* Held until all that was written is durable. */
struct raft_msg *raft_msg_after(struct raft *r, raft_id to,
                                enum raft_msg_type type);
/* It depends on our term and vote alone: now if they are durable. */
struct raft_msg *raft_msg_settled(struct raft *r, raft_id to,
                                  enum raft_msg_type type);
bool raft_is_hard_durable(const struct raft *r);
void raft_set_hard(struct raft *r, raft_term term, raft_id voted_for);
/* Room for @count entries. Errors: -ENOMEM, no effect. */
int raft_reserve(struct raft *r, size_t count);
/* Appends one entry, room having been reserved, and has it written. */
void raft_append_entry(struct raft *r, raft_term term,
                       enum raft_entry_kind kind, struct px_slice data);
/* The member's place in config and peers; -1 for a stranger. */
int raft_member_find(const struct raft *r, raft_id id);
bool raft_is_peer_voter(const struct raft *r, size_t i);
/* Where the log and @p's are known to meet, as heartbeats say it; {0, 0} where
 * that lies below our base, its term being gone. */
struct raft_pos raft_peer_match(const struct raft *r,
                                const struct raft_peer *p);

/* ---- disk.c ---- */

/* No write has come back for E/2, although one is out; or nothing was applied
 * for E, although something could be. */
bool raft_is_stuck(const struct raft *r);
/* Leader, and stuck: it sends nothing that keeps others from electing. */
bool raft_is_silent(const struct raft *r);
/* The number of a write that is handed out now. */
uint64_t raft_disk_next(struct raft *r);
/* All writes up to @seq are durable. */
void raft_disk_done(struct raft *r, uint64_t seq);
/* The state machine has applied up to @index. */
void raft_disk_applied(struct raft *r, raft_index index);
/* Before each step: is there anything to apply? */
void raft_disk_look(struct raft *r);

/* ---- elect.c ---- */

void raft_become_follower(struct raft *r, raft_term term);
/* The timer runs anew; restart also draws another timeout. */
void raft_election_defer(struct raft *r);
void raft_election_restart(struct raft *r);
void raft_on_election_timeout(struct raft *r);
void raft_on_pre_vote(struct raft *r, const struct raft_msg *m);
void raft_on_vote(struct raft *r, const struct raft_msg *m);
void raft_on_vote_reply(struct raft *r, const struct raft_msg *m);
void raft_on_timeout_now(struct raft *r, const struct raft_msg *m);
void raft_on_passive(struct raft *r, bool is_passive);
/* A candidate's own vote counts once it is durable. */
void raft_on_own_vote_durable(struct raft *r);
/* Would it stand for election, its timeout having passed, or being told to? */
bool raft_may_campaign(const struct raft *r);
/* Does stickiness forbid to vote for somebody else now (6.4, 4.2.3)? */
bool raft_is_sticky(const struct raft *r);

/* ---- follow.c ---- */

/* Errors: -ENOMEM; the log is as it was. */
int raft_on_append(struct raft *r, const struct raft_msg *m);
void raft_on_heartbeat(struct raft *r, const struct raft_msg *m);
/* A leader of an older term hears of ours, and steps down. */
void raft_refuse_stale_leader(struct raft *r, const struct raft_msg *m);

/* ---- lead.c ---- */

void raft_become_leader(struct raft *r);
int raft_on_propose(struct raft *r, const struct raft_proposal *list,
                    size_t count);
void raft_on_append_reply(struct raft *r, struct raft_peer *p,
                          const struct raft_msg *m);
void raft_on_fetched(struct raft *r, raft_id peer, raft_index first,
                     const struct raft_entry *entries, size_t count);
void raft_on_unreachable(struct raft *r, raft_id peer);
/* Sends what is due and has room. */
void raft_send_entries(struct raft *r, struct raft_peer *p);
void raft_send_to_all(struct raft *r);
/* The leader was silent, and no longer is. */
void raft_speak_again(struct raft *r);
/* The peer answers a heartbeat, its log ending at @last: if what was sent to it
 * should have been acknowledged by now, ask what became of it. */
void raft_resend_if_stuck(struct raft *r, struct raft_peer *p, raft_index last);

/* ---- snapshot.c ---- */

void raft_on_compacted(struct raft *r, raft_index index);
/* The peer may be asked again, once it answers a heartbeat: from the first
 * entry on that it may lack and that we can send. */
void raft_probe_later(struct raft *r, struct raft_peer *p);
/* The peer does not hold our base. */
void raft_send_snapshot(struct raft *r, struct raft_peer *p);
void raft_on_snapshot_sent(struct raft *r, raft_id peer, bool is_ok,
                           raft_index index);

/* ---- install.c ---- */

/* Errors: as raft_step. */
int raft_on_installing(struct raft *r, raft_term term);
int raft_on_installed(struct raft *r, struct raft_pos pos,
                      const struct raft_config *config);

/* ---- fault.c ---- */

/* Entries that may have been acknowledged are lost. */
void raft_fault_begin(struct raft *r, bool is_noted);
/* The leader counts on our holding @match. */
void raft_fault_notice(struct raft *r, struct raft_pos match);
/* If we are faulty, a restart would find that, too. */
void raft_fault_noted(struct raft *r);
/* The term is another. */
void raft_fault_term(struct raft *r);
/* A message of this term's leader has shown that our log is its up to @index.*/
void raft_fault_verified(struct raft *r, raft_index index);
/* A heartbeat came; the leader believes that we hold its log up to @believed. */
void raft_fault_ask(struct raft *r, raft_index believed);
void raft_on_lost(struct raft *r, struct raft_peer *p,
                  const struct raft_msg *m);
void raft_on_lost_reply(struct raft *r, const struct raft_msg *m);
/* At the end of a step: are we whole again? */
void raft_on_sound(struct raft *r);
void raft_fault_settle(struct raft *r);

/* ---- commit.c ---- */

/* The largest value that a majority of voters has reached; ours is @own. */
uint64_t raft_majority(const struct raft *r,
                       uint64_t (*value)(const struct raft_peer *p),
                       uint64_t own);
void raft_commit_to(struct raft *r, raft_index index);
/* Leader: commit what a majority holds. True if that is more than before:
 * raft_commit_tell_all is due, once what can be sent has been. */
bool raft_commit_advance(struct raft *r);
/* Leader: tell @p, or whoever it may be, at once of commits that it is owed. */
void raft_commit_tell(struct raft *r, struct raft_peer *p);
void raft_commit_tell_all(struct raft *r);
/* What may be applied: committed, and durable here (R3). */
raft_index raft_ready_index(const struct raft *r);
/* Leader: has it committed in its own term (6.4, step 1)? */
bool raft_can_serve(const struct raft *r);

/* ---- lease.c ---- */

void raft_heartbeat_round(struct raft *r);
void raft_on_heartbeat_reply(struct raft *r, struct raft_peer *p,
                             const struct raft_msg *m);
/* Steps down if no majority was heard of within E. */
void raft_check_quorum(struct raft *r);
/* The majority that it rests on is another one. */
void raft_lease_recount(struct raft *r);
/* When the lease ends; 0: none. */
px_ns raft_lease_end(const struct raft *r);

/* ---- member.c ---- */

int raft_configs_init(struct raft *r, const struct raft_options *o);
void raft_configs_fini(struct raft *r);
/* Room for so many more. Errors: -ENOMEM, no effect. */
int raft_configs_reserve(struct raft *r, size_t more);
/* An entry that holds one was appended, room having been reserved. */
void raft_configs_append(struct raft *r, const struct raft_entry *e);
/* The log was cut: none from @first on is in force any more. */
void raft_configs_cut(struct raft *r, raft_index first);
/* What is applied is never cut: those before it won't come back. */
void raft_configs_forget(struct raft *r, raft_index applied);
/* A snapshot at @index stands for the log up to there. */
void raft_configs_install(struct raft *r, raft_index index,
                          const struct raft_config *config);
/* As a learner it may be promoted. */
bool raft_has_caught_up(const struct raft *r, const struct raft_peer *p);
/* Errors: as raft_step. */
int raft_on_change(struct raft *r, const struct raft_change *change);

/* ---- transfer.c ---- */

/* Errors: as raft_step. */
int raft_on_transfer(struct raft *r, raft_id to);
/* Leader: @p has acknowledged; if it waits for that, it takes over now. */
void raft_transfer_advance(struct raft *r, struct raft_peer *p);
/* Leader: tries another, or gives up, when it is time to. */
void raft_transfer_expire(struct raft *r);
/* Leader, before each look at the time: hands over if its disk is stuck, and
 * somebody can go on at once. */
void raft_transfer_make_way(struct raft *r);

/* ---- read.c ---- */

void raft_on_read(struct raft *r, uint64_t id);
void raft_on_read_request(struct raft *r, struct raft_peer *p,
                          const struct raft_msg *m);
void raft_on_read_reply(struct raft *r, const struct raft_msg *m);
/* Answers what may be answered, and starts what has to be started. */
void raft_reads_advance(struct raft *r);
/* The leader is another, or unknown: what was under way is void. */
void raft_reads_forget(struct raft *r);
/* When to ask the leader anew; PX_NS_NEVER: not waiting. */
px_ns raft_reads_retry_at(const struct raft *r);
void raft_reads_retry(struct raft *r);

#endif
