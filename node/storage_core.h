/* The inside of a storage, for its own files:
 *
 *   storage.c          opening: how snapshot, state and log vouch for each other
 *   storage_states.c   the folders of states: built, put in place, removed
 *   storage_jobs.c     what the replica asks for meanwhile */
#ifndef NODE_STORAGE_CORE_H
#define NODE_STORAGE_CORE_H

#include "node/storage.h"

/* "WHAT: the error", into @why; returns @rc. */
int storage_say(char *why, size_t why_size, const char *what, int rc);

/* ---- storage_states.c ---- */

enum storage_trust {
    STORAGE_TRUST,    /* it was made a moment ago */
    STORAGE_VERIFY,   /* look through all of it first */
    STORAGE_DISTRUST, /* empty it */
};

/* Finds the newest state, makes its folder if there is none, and opens it. */
int storage_open_newest(struct storage *s, enum storage_trust trust,
                        enum store_state_origin *origin_out, char *why,
                        size_t why_size);
/* Opens the state in use again, as nothing is left of it. */
int storage_open_empty(struct storage *s, char *why, size_t why_size);
/* Builds the state of the snapshot at @pos in a folder beside, and opens it as
 * s->loaded. @is_cancelled: that of the job, NULL without one. */
int storage_build(struct storage *s, struct raft_pos pos,
                  const _Atomic bool *is_cancelled, char *why, size_t why_size);
/* s->loaded becomes s->state. */
int storage_take_place(struct storage *s);
/* The state in use has no worth any more, and the next may need its room. */
int storage_drop_state(struct storage *s);
/* One that was loaded in vain is closed; all folders but that of the state in
 * use go. */
int storage_remove_old(struct storage *s);
/* Likewise, and the snapshots before @newest, which is durable: a crash at any
 * point leaves less of what is not needed. */
int storage_clean(struct storage *s, raft_index newest);

#endif
