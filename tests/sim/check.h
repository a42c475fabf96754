/* What must be true of the cluster, whatever happens to it. Each look compares
 * what has changed only; a violation ends the run.
 *
 *   Raft, figure 3.2   election safety, leader append-only, log matching,
 *                      leader completeness, state machine safety
 *   raft_check         each replica's own invariants
 *   durability         committed entries are durable on a majority; what left
 *                      as acknowledged or voted is durable here; what was
 *                      durable is there at the next start
 *   determinism        the same entry has the same result everywhere */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/server.h"

struct check;

struct check *check_new(struct world *w);
void check_free(struct check *c);

void check_on_start(struct server *s);
/* What a start finds on the disk. */
void check_on_log_open(struct server *s, const struct store_log_info *info);
void check_on_send(struct server *s, const struct raft_msg *msg);
/* @write goes to the log now; all that went there is durable now. */
void check_on_write(struct server *s, const struct replica_write *write);
void check_on_sync(struct server *s);
void check_on_apply(struct server *s, const struct replica_apply *job);
/* After each turn. */
void check_server(struct server *s);
/* At the end, when nothing goes on any more: all states are equal, and sound
 * in themselves. */
void check_states(struct world *w);

#endif
