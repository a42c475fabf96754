/* What a state is made of, for the files that open, apply and view it. */
#ifndef STORE_STATE_CORE_H
#define STORE_STATE_CORE_H

#include "store/apply.h"
#include "store/disk.h"
#include "store/env.h"

struct store_state {
    struct store_env env;
    char *dir;
    struct store_disk *disk; /* the same folder, for the note of the boot */
    char *boot_id;
    struct command_scratch *scratch;
    struct apply apply;     /* of the one thread that applies */
    int failed;             /* its first failure, likewise; 0: none */
    atomic_bool is_damaged; /* somebody has met -PX_ECORRUPT */

    pthread_mutex_t lock;
    struct raft_pos applied; /* guarded by lock */
    uint64_t hash;           /* guarded by lock: of the state at @applied */
};

struct store_view {
    struct store_state *s;
    struct store_kv kv; /* its txn is made once, and renewed by each begin */
    bool is_begun;
    struct meta_record meta;
    uint64_t reap_from; /* where the next scan of orphans goes on */
};

/* Each call of a view starts without the failure of the last one. */
static inline struct store_kv *store_view_look(struct store_view *v)
{
    px_assert(v->is_begun);
    v->kv.rc = 0;
    return &v->kv;
}

/* How many there are, of all kinds. 0 if LMDB does not say: then a walk does not
 * get far. */
uint64_t store_view_records(const struct store_view *v);
/* store_view_hash, which tells how far it is, in records. */
int store_view_walk(struct store_view *v, const struct store_progress *progress,
                    uint64_t *hash_out);

/* Reads the META record; false with -PX_ECORRUPT noted if there is none. */
bool store_meta_load(struct store_kv *kv, struct meta_record *meta_out);
void store_meta_save(struct store_kv *kv, const struct meta_record *meta);

/* Begins a transaction that changes, with meta and sessions as committed. */
int store_apply_begin(struct store_state *s);
/* Ends it. An error: nothing of it remains; -ENOSPC after is_map_full means
 * that it may be tried again with a larger map. */
int store_apply_commit(struct store_state *s);
void store_apply_abort(struct store_state *s);

#endif
