/* One replica on a bench: member 1 of n, fed by hand. Every step is followed
 * by raft_check, and its writes wait until rig_sync says that they are durable.
 *
 * Times are absolute, from 0; E is RIG_E, a heartbeat RIG_H. */
#ifndef RIG_H_
#define RIG_H_

#include "raft/core.h"
#include "raft/raft.h"

#define RIG_E (UINT64_C(1000) * PX_NS_PER_MS)
#define RIG_H (UINT64_C(100) * PX_NS_PER_MS)
#define RIG_START (UINT64_C(5000) * PX_NS_PER_MS)
#define RIG_DRIFT_PPM 10000u /* 1 % */

struct rig {
    struct raft_options options;
    struct raft_term_run runs[16];
    struct raft *raft;
    struct raft_out out; /* of the last step */
    int rc;              /* likewise */
    px_ns now;
    struct raft_write write; /* the newest handed out */
};

/* Options of member 1 of @voters, on an empty disk; change them, then open. */
void rig_init(struct rig *g, size_t voters);
/* The log of a replica that has been here before: entries 1 .. n of the terms
 * given, 0 ends them. Hard state: the last term, no vote. */
void rig_log(struct rig *g, const raft_term *terms);
/* Before it: the log begins behind @base, and the state there. */
void rig_base(struct rig *g, struct raft_pos base);
void rig_open(struct rig *g);
/* Both in one. */
void rig_start(struct rig *g, size_t voters);
/* ... and it leads in term 1, its no-op committed and applied; nobody has
 * echoed a heartbeat yet, so it has no lease. */
void rig_start_leading(struct rig *g, size_t voters);
void rig_close(struct rig *g);

/* A test whose rig is begun by @begin, is what its state points to, and is
 * closed at its end, however it ends. */
#define rig_unit(test, begin)                                               \
    cmocka_unit_test_prestate_setup_teardown(test, rig_setup, rig_teardown, \
                                             &(struct rig_begin){begin})
struct rig_begin {
    void (*begin)(struct rig *g);
};
int rig_setup(void **state);
int rig_teardown(void **state);
/* Beginnings: of three, without a leader; of three, leading. */
void rig_three(struct rig *g);
void rig_three_leading(struct rig *g);

/* Steps; the result is in g->out and g->rc. */
void rig_pass(struct rig *g, px_ns duration); /* a tick after it */
void rig_msg(struct rig *g, struct raft_msg m);
void rig_sync(struct rig *g); /* all writes so far are durable */
void rig_write_done(struct rig *g, struct raft_write write);
void rig_propose(struct rig *g, const char *text, raft_id origin);
void rig_read(struct rig *g, uint64_t id);
void rig_applied(struct rig *g, raft_index index);
void rig_unreachable(struct rig *g, raft_id peer);
void rig_fetched(struct rig *g, raft_id peer, raft_index first,
                 const struct raft_entry *entries, size_t count);

void rig_compacted(struct rig *g, raft_index index);
void rig_snapshot_sent(struct rig *g, raft_id peer, bool is_ok,
                       raft_index index);
void rig_installing(struct rig *g, raft_term term); /* 0: done */
/* A snapshot at @pos, of our own members. */
void rig_installed(struct rig *g, struct raft_pos pos);
void rig_installed_as(struct rig *g, struct raft_pos pos,
                      const struct raft_config *config);
void rig_passive(struct rig *g, bool is_passive);
void rig_sound(struct rig *g);
void rig_noted(struct rig *g);
void rig_recovered(struct rig *g);

void rig_transfer(struct rig *g, raft_id to);
void rig_change(struct rig *g, const struct raft_change *change);

/* Becomes leader in the next term, its no-op not yet durable. */
void rig_lead(struct rig *g);
/* ... and with the no-op durable here and at every peer, and committed. */
void rig_lead_and_commit(struct rig *g);
/* Every peer accepts what has been sent to it, up to the log's end. */
void rig_accept(struct rig *g, raft_id peer, raft_index match);
/* A peer answers the newest heartbeat, its log ending at @last. */
void rig_beat(struct rig *g, raft_id peer, raft_index last);
/* ... saying that it would not take over. */
void rig_beat_unfit(struct rig *g, raft_id peer);
/* Follows @leader in @term: a heartbeat has come. */
void rig_follow(struct rig *g, raft_id leader, raft_term term);

/* Messages from @from to member 1. */
struct raft_msg rig_vote(raft_id from, raft_term term, struct raft_pos last);
struct raft_msg rig_pre_vote(raft_id from, raft_term term,
                             struct raft_pos last);
struct raft_msg rig_vote_reply(raft_id from, raft_term term, bool is_granted);
struct raft_msg rig_pre_vote_reply(raft_id from, raft_term term,
                                   bool is_granted);
struct raft_msg rig_append(raft_id from, raft_term term, struct raft_pos prev,
                           raft_index commit, const struct raft_entry *entries,
                           size_t count);
struct raft_msg rig_append_reply(raft_id from, raft_term term,
                                 raft_index match);
struct raft_msg rig_refusal(raft_id from, raft_term term, raft_index prev,
                            struct raft_pos conflict);
struct raft_msg rig_heartbeat(raft_id from, raft_term term,
                              struct raft_pos match, raft_index commit,
                              uint64_t round);
struct raft_msg rig_heartbeat_reply(raft_id from, raft_term term, px_ns stamp,
                                    uint64_t round, raft_index last);

/* A command that stands at @pos, of static bytes. */
struct raft_entry rig_entry(raft_term term, raft_index index);

/* The first such message of the last step; NULL: none. */
const struct raft_msg *rig_now(const struct rig *g, raft_id to,
                               enum raft_msg_type type);
const struct raft_msg *rig_after(const struct rig *g, raft_id to,
                                 enum raft_msg_type type);
/* In either. */
const struct raft_msg *rig_any(const struct rig *g, raft_id to,
                               enum raft_msg_type type);

struct raft_status rig_status(const struct rig *g);
struct raft_peer_status rig_peer(const struct rig *g, raft_id id);

#define POS(t, i) ((struct raft_pos){.term = (t), .index = (i)})

#endif
