/* Entries to effects: state and command in, state and result out. No clock, no
 * chance, no local errno: the same entries give the same state and the same
 * results on every replica, however they are cut into batches.
 *
 *   begin ─▶ entry: decode ─▶ admit (session.c) ─▶ operate ─▶ keep result
 *     ▲        └─ next ◀──────────────────────────────┘
 *     │                                    commit: effects, applied index
 *     └── more entries than one transaction should carry ──┘
 *
 * A batch is one transaction, unless its entries delete so much that the
 * transaction would grow beyond WORK_MAX: then it is several, each whole. */
#include <errno.h>
#include <limits.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/hash.h"
#include "store/state_core.h"

/* Work (apply.h) after which a transaction is committed before the next entry.
 * One entry adds less than twice as much. */
#define WORK_MAX 65536u

/* The most is a cut of the largest file to its first bytes. */
#define EXTENTS_MAX \
    (PX_FILE_BYTES_MAX / STORE_CHUNK_BYTES / STORE_EXTENT_CHUNKS + 1)
static_assert(EXTENTS_MAX + STORE_EXTENT_CHUNKS +
                      PX_FUSE_WRITE_BYTES_MAX / STORE_CHUNK_BYTES + 2 <
                  2 * WORK_MAX,
              "a cut, and a write behind it");
static_assert((RAFT_MEMBERS_MAX + 1) * STORE_RESULT_SLOTS < 2 * WORK_MAX,
              "the end of the sessions of all members, at a change of them");
static_assert(2 * PX_REAP_CHUNKS_MAX + PX_RELEASE_INODES_MAX < 2 * WORK_MAX &&
                  STORE_RESULT_SLOTS < 2 * WORK_MAX,
              "a release, a reap, the end of a session");

/* ---- One transaction ---- */

bool store_meta_load(struct store_kv *kv, struct meta_record *meta_out)
{
    struct store_key key;

    store_key_start(&key, STORE_TAG_META);
    if (store_kv_get_record(kv, &key, meta_out, sizeof *meta_out) &&
        (meta_out->hash == store_meta_hash(meta_out) ||
         px_mutant(META_UNCHECKED)))
        return true;
    store_kv_fail(kv, -PX_ECORRUPT);
    return false;
}

void store_meta_save(struct store_kv *kv, const struct meta_record *meta)
{
    struct meta_record sealed = *meta;
    struct store_key key;

    sealed.hash = store_meta_hash(meta);
    store_key_start(&key, STORE_TAG_META);
    store_kv_put(kv, &key, &sealed, sizeof sealed);
}

int store_apply_begin(struct store_state *s)
{
    struct apply *a = &s->apply;
    int rc;

    a->kv = (struct store_kv){.dbi = s->env.dbi, .is_damaged = &s->is_damaged};
    a->work = 0;
    rc = mdb_txn_begin(s->env.lmdb, NULL, 0, &a->kv.txn);
    return store_err(rc);
}

/* Meta and sessions in memory follow the transaction; when it goes, they are
 * read back. If that fails too, what failed first is what is reported. */
void store_apply_abort(struct store_state *s)
{
    struct apply *a = &s->apply;
    struct store_kv kv = {.dbi = s->env.dbi};

    if (a->kv.txn != NULL)
        mdb_txn_abort(a->kv.txn);
    a->kv.txn = NULL;
    if (mdb_txn_begin(s->env.lmdb, NULL, MDB_RDONLY, &kv.txn) != 0)
        return;
    (void)store_meta_load(&kv, &a->meta);
    store_sessions_load(&kv, &a->sessions);
    if (kv.cursor != NULL)
        mdb_cursor_close(kv.cursor);
    mdb_txn_abort(kv.txn);
}

int store_apply_commit(struct store_state *s)
{
    struct apply *a = &s->apply;
    int rc;

    a->meta.hashes += a->kv.hashes;
    a->meta.used += a->kv.used;
    if (a->kv.rc == 0 &&
        !(px_mutant(APPLIED_APART) && a->meta.applied_index % 2 == 1))
        store_meta_save(&a->kv, &a->meta);
    if (a->kv.rc < 0) {
        store_apply_abort(s);
        return store_disk_full_err(s->disk, a->kv.rc);
    }
    rc = mdb_txn_commit(a->kv.txn);
    a->kv.txn = NULL;
    if (rc == 0)
        return 0;
    a->kv.is_map_full = rc == MDB_MAP_FULL;
    store_apply_abort(s);
    return store_disk_full_err(s->disk, store_err(rc));
}

/* ---- One entry ---- */

static int operate(struct apply *a, const struct command *c,
                   struct store_result *r)
{
    switch (c->op) {
    case COMMAND_SESSION_OPEN:
        return store_session_open(a, c, r);
    case COMMAND_CREATE:
        return store_apply_create(a, c, r);
    case COMMAND_MKDIR:
        return store_apply_mkdir(a, c, r);
    case COMMAND_SYMLINK:
        return store_apply_symlink(a, c, r);
    case COMMAND_LINK:
        return store_apply_link(a, c, r);
    case COMMAND_UNLINK:
        return store_apply_unlink(a, c, r);
    case COMMAND_RMDIR:
        return store_apply_rmdir(a, c, r);
    case COMMAND_RENAME:
        return store_apply_rename(a, c, r);
    case COMMAND_WRITE:
        return store_apply_write(a, c, r);
    case COMMAND_SETATTR:
        return store_apply_setattr(a, c, r);
    case COMMAND_RELEASE:
        return store_apply_release(a, c);
    case COMMAND_REAP:
        return store_apply_reap(a, c);
    case COMMAND_SET_QUOTA:
        return store_apply_set_quota(a, c, r);
    case COMMAND_HASH:
        r->claim = (struct store_claim){
            .index = c->hashed_index, .hash = c->state_hash, .voter = c->voter};
        return 0;
    }
    return -PX_EFORMAT; /* decode lets no other through */
}

static void apply_command(struct apply *a, const struct command *c,
                          struct store_result *r)
{
    bool has_session = c->op != COMMAND_SESSION_OPEN;

    r->session = c->session;
    r->sequence = c->sequence;
    if (has_session && !store_session_admit(a, c, r) &&
        !(px_mutant(SESSION_REVIVED) && r->rc == -PX_ESESSION))
        return;
    if (c->time > a->meta.time || px_mutant(TIME_BACKWARDS))
        a->meta.time = c->time;
    a->now = a->meta.time;
    r->rc = -ENOSPC;
    if (px_mutant(QUOTA_UNCHECKED) || !store_apply_lacks_room(a, c))
        r->rc = operate(a, c, r);
    if (has_session)
        store_session_keep(a, c, r);
}

static void apply_entry(struct store_state *s, const struct raft_entry *e,
                        struct store_result *r)
{
    struct apply *a = &s->apply;
    struct command c;

    px_assert(e->pos.index == a->meta.applied_index + 1);
    px_assert(e->pos.term >= a->meta.applied_term);
    a->meta.applied_index = e->pos.index;
    a->meta.applied_term = e->pos.term;
    a->index = e->pos.index;
    *r = (struct store_result){.index = e->pos.index};
    if (e->kind == RAFT_ENTRY_CONFIG)
        r->rc = store_apply_config(a, s->scratch, e->data);
    if (e->kind != RAFT_ENTRY_COMMAND)
        return;
    r->rc = command_decode(e->data, s->scratch, &c);
    if (r->rc == 0)
        apply_command(a, &c, r);
}

/* ---- A batch ---- */

/* Applies entries within one transaction, which is not committed; how many. */
static size_t apply_within(struct store_state *s,
                           const struct raft_entry *entries, size_t count,
                           uint64_t work_max, struct store_result *results)
{
    struct apply *a = &s->apply;
    size_t done = 0;

    while (done < count && a->work < work_max && a->kv.rc == 0) {
        apply_entry(s, &entries[done], &results[done]);
        done++;
    }
    return done;
}

static void publish(struct store_state *s)
{
    (void)pthread_mutex_lock(&s->lock); /* a plain mutex, ours: can't fail */
    s->applied = (struct raft_pos){.term = s->apply.meta.applied_term,
                                   .index = s->apply.meta.applied_index};
    s->hash = store_meta_hash(&s->apply.meta);
    (void)pthread_mutex_unlock(&s->lock);
}

/* Remembered until the close, which says what the next open may believe; but for
 * a full disk, of which nothing remains. */
static int fail(struct store_state *s, int rc)
{
    if (s->failed == 0 && rc != -ENOSPC)
        s->failed = rc;
    if (rc == -PX_ECORRUPT)
        atomic_store(&s->is_damaged, true);
    return rc;
}

int store_apply_some(struct store_state *s, const struct raft_entry *entries,
                     size_t count, uint64_t work_max,
                     struct store_result *results,
                     struct store_orphans *orphans)
{
    size_t orphans_before = orphans->count;

    px_assert(count > 0 && count <= INT_MAX);
    s->apply.orphans = orphans;
    for (;;) {
        size_t done;
        int rc = store_apply_begin(s);

        if (rc < 0)
            return fail(s, rc);
        done = apply_within(s, entries, count,
                            work_max < WORK_MAX ? work_max : WORK_MAX, results);
        rc = store_apply_commit(s);
        if (rc == 0) {
            publish(s);
            return (int)done;
        }
        orphans->count = orphans_before;
        if (s->apply.kv.is_map_full)
            rc = store_env_grow(&s->env);
        if (rc < 0)
            return fail(s, rc);
    }
}

int store_apply(struct store_state *s, const struct raft_entry *entries,
                size_t count, struct store_result *results,
                struct store_orphans *orphans)
{
    size_t done = 0;

    while (done < count) {
        int n = store_apply_some(s, entries + done, count - done, WORK_MAX,
                                 results + done, orphans);

        if (n < 0)
            return n;
        done += (size_t)n;
    }
    return 0;
}
