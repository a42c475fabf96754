/* A state that was found to be wrong: marked, so that no start takes it, or what
 * is made from this node's own snapshots, for a good one; and kept when another
 * has taken its place, so that somebody can find out why.
 *
 *   state/3/            the state in use
 *   state/diverged      the mark: it is wrong, and so may our snapshots be
 *   state/diverged-N/   the newest that was replaced, wrong at index N, with
 *                       its mark
 *
 * What is kept is there for a look, and goes when its room is needed.
 *
 * Thread: any; what another one has removed meanwhile does no harm. */
#ifndef NODE_EVIDENCE_H
#define NODE_EVIDENCE_H

#include "node/replica.h"

/* Marks the state in use, and drops what was kept of an earlier one. @heir: the
 * index of the snapshot that is to take its place, which has come whole; 0:
 * none yet. The mark is durable on return. -errno. */
int evidence_mark(const char *state_dir, const struct replica_divergence *d,
                  raft_index heir);
/* What the mark says; index 0: there is none. One that can't be understood is a
 * mark still: index 1. One that is damaged may name any other: the caller knows
 * which can be. -errno. */
int evidence_read(const char *state_dir, struct replica_divergence *d_out,
                  raft_index *heir_out);
/* Its heir is in its place, and nothing of it is kept. Durable. -errno. */
int evidence_forget(const char *state_dir);
/* Drops what is kept: of an earlier mark, or left by a crash in evidence_keep.
 * 1 if there was something, 0, -errno. */
int evidence_drop(const char *state_dir);
/* The state in @folder is kept, and its mark goes with it: what comes in its
 * place is good. Nothing is removed, so it may be done on the loop: what was
 * kept before has been dropped (-ENOTEMPTY). -errno. */
int evidence_keep(const char *state_dir, const char *folder, raft_index index);

#endif
