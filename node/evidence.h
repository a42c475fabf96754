/* A state that was found to be wrong: marked, so that no start takes it, or what
 * is made from this node's own snapshots, for a good one; and kept when another
 * has taken its place, so that somebody can find out why.
 *
 *   state/3/            the state in use
 *   state/diverged      the mark: it is wrong, and so may our snapshots be
 *   state/diverged-N/   the newest that was replaced, wrong at index N, with
 *                       its mark
 *
 * Thread: any, one at a time. */
#ifndef NODE_EVIDENCE_H
#define NODE_EVIDENCE_H

#include "node/replica.h"

/* Marks the state in use, and drops what was kept of an earlier one. The mark
 * is durable on return. -errno. */
int evidence_mark(const char *state_dir, const struct replica_divergence *d);
/* What the mark says; index 0: there is none. One that can't be understood is a
 * mark still: index 1. -errno. */
int evidence_read(const char *state_dir, struct replica_divergence *d_out);
/* The state in @folder is kept, and its mark goes with it: what comes in its
 * place is good. What was kept before goes: of an earlier mark, or left by a
 * crash in here, or where the mark was made by hand. -errno. */
int evidence_keep(const char *state_dir, const char *folder, raft_index index);

#endif
