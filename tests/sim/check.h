/* What must be true of the cluster, whatever happens to it. Each look compares
 * what has changed only; a violation ends the run.
 *
 *   Raft, figure 3.2   election safety, leader append-only, log matching,
 *                      leader completeness, state machine safety
 *   raft_check         each replica's own invariants
 *   durability         committed entries are durable on a majority of the
 *                      voters of the leader's configuration; what left as
 *                      acknowledged or voted is durable here; what was durable
 *                      is there at the next start
 *   elections          a candidate has a majority's pre-votes, and is voted for
 *                      by who lacks nothing that it has not; while a leader
 *                      holds a lease no other one arises
 *   reads              whatever a read shows is no older than what was committed
 *                      when it was asked for
 *   members            what each goes by is what its log says; a change is of
 *                      one, and begins when the one before is committed, and
 *                      something of the leader's own term; states and snapshots
 *                      hold the members that were settled there
 *   determinism        the same entry has the same result everywhere, and the
 *                      state after it the same hash; so no node ever finds
 *                      that its own differs, but those to whose state something
 *                      was done: state.h
 *
 *   check_disk.c   what is on the disks      check_lead.c   who may lead
 *   check_loss.c   what a flush that lied has lost
 *   check_members.c  who the members are
 *   check.c        what is committed, applied and read */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/server.h"

struct check;

struct check *check_new(struct world *w);
void check_free(struct check *c);

/* What a start finds on the disk, in s->storage. */
void check_on_open(struct server *s);
void check_on_send(struct server *s, const struct raft_msg *msg);
/* A flush that lied has cost it what was durable: check_loss.c. */
void check_on_lost_flush(struct server *s);
/* False: a vote of one that does not know of its loss, and that nobody can have
 * told. */
bool check_may_send(struct server *s, const struct raft_msg *msg);
bool check_has_unseen_loss(const struct server *s);
/* Is the entry at @pos durable on it? */
bool check_holds(const struct server *s, struct raft_pos pos);
/* The log has been emptied, and begins behind @pos. */
void check_on_reset(struct server *s, struct raft_pos pos);
/* @write is tried: from now on some of it may be there. It was written; all that
 * was written is durable now. */
void check_on_try(struct server *s, const struct replica_write *write);
void check_on_write(struct server *s, const struct replica_write *write);
void check_on_sync(struct server *s);
void check_on_apply(struct server *s, const struct replica_apply *job);
void check_on_saved(struct server *s, const struct store_snapshot_info *info);
/* The state is that of a snapshot. */
void check_on_adopt(struct server *s);
/* Its state, as s->view shows it, is sound in itself: walks all of it. */
void check_state(struct server *s);
/* After each turn. */
void check_server(struct server *s);
/* A read that is asked for now must show this index at least. */
raft_index check_commit(const struct world *w);
/* The members as last committed; is it one of them? */
const struct raft_config *check_settled(const struct world *w);
bool check_is_member(const struct world *w, size_t number);
/* Does the state of @s say that it was one, and is no more? */
bool check_was_removed(struct server *s, size_t number);
/* @of, by server: are they a majority of the voters of @config; of each
 * configuration that is settled or may be yet? */
bool check_has_majority(const struct raft_config *config, const bool of[]);
bool check_have_majorities(const struct world *w, const bool of[]);
/* The server has been asked to change the members. */
void check_on_change(struct server *s);
/* It is about to end. */
void check_on_end(struct server *s);
/* At the end, when nothing goes on any more: all states are equal, and sound
 * in themselves. */
void check_states(struct world *w);

#endif
