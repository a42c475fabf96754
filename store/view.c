/* One consistent look at the state: an LMDB read transaction that is renewed,
 * not made, for each use. It takes no lock that a writer holds.
 *
 * The applied index is read from the same snapshot, so what a view shows is
 * exactly what that index says. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/hash.h"
#include "store/room.h"
#include "store/state_core.h"

/* Orphans looked at by one call of store_view_reapable. */
#define REAP_SCAN_MAX 512u

/* ---- Begin and end ---- */

/* At rest, until it is renewed. It reads what is mapped. */
static int make_txn(struct store_view *v)
{
    struct store_env *env = &v->s->env;
    int rc = pthread_rwlock_rdlock(&env->guard);

    if (rc != 0)
        return -rc;
    rc = mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, &v->kv.txn);
    if (rc == 0)
        mdb_txn_reset(v->kv.txn);
    (void)pthread_rwlock_unlock(&env->guard); /* held */
    return store_err(rc);
}

int store_view_new(struct store_state *s, struct store_view **view_out)
{
    struct store_view *v = calloc(1, sizeof *v);
    int rc;

    if (v == NULL)
        return -ENOMEM;
    v->s = s;
    v->kv.dbi = s->env.dbi;
    v->kv.is_damaged = &s->is_damaged;
    rc = make_txn(v);
    if (rc < 0) {
        free(v);
        return rc;
    }
    *view_out = v;
    return 0;
}

void store_view_free(struct store_view *v)
{
    if (v == NULL)
        return;
    if (v->is_begun)
        store_view_end(v);
    mdb_txn_abort(v->kv.txn);
    free(v);
}

static int not_found(const struct store_kv *kv)
{
    return kv->rc < 0 ? kv->rc : -ENOENT;
}

int store_view_begin(struct store_view *v)
{
    int rc;

    px_assert(!v->is_begun);
    rc = pthread_rwlock_rdlock(&v->s->env.guard);
    if (rc != 0)
        return -rc;
    rc = mdb_txn_renew(v->kv.txn);
    if (rc != 0) {
        (void)pthread_rwlock_unlock(&v->s->env.guard); /* held */
        return store_err(rc);
    }
    v->is_begun = true;
    if (store_meta_load(store_view_look(v), &v->meta))
        return 0;
    store_view_end(v);
    return v->kv.rc;
}

void store_view_end(struct store_view *v)
{
    px_assert(v->is_begun);
    if (v->kv.cursor != NULL)
        mdb_cursor_close(v->kv.cursor);
    v->kv.cursor = NULL;
    mdb_txn_reset(v->kv.txn);
    v->is_begun = false;
    (void)pthread_rwlock_unlock(&v->s->env.guard); /* held since begin */
}

raft_index store_view_index(const struct store_view *v)
{
    px_assert(v->is_begun);
    return v->meta.applied_index;
}

void store_view_state_hash(const struct store_view *v, raft_index *index_out,
                           uint64_t *hash_out)
{
    px_assert(v->is_begun);
    *index_out = v->meta.applied_index;
    *hash_out = store_meta_hash(&v->meta);
}

/* ---- Inodes and names ---- */

static void show(const struct inode *i, struct store_inode *out)
{
    bool is_dir = inode_is_dir(i);

    *out = (struct store_inode){
        .inode = i->number,
        .mode = i->rec.mode,
        .links = i->rec.links,
        .uid = i->rec.uid,
        .gid = i->rec.gid,
        .size = i->rec.size,
        .blocks = is_dir ? 0 : (i->rec.file.bytes + 511) / 512,
        .atime = i->rec.atime,
        .mtime = i->rec.mtime,
        .ctime = i->rec.ctime,
        .created = i->rec.created,
        .changed = i->rec.changed,
        .parent = is_dir ? i->rec.dir.parent : 0,
    };
}

int store_view_inode(struct store_view *v, uint64_t inode,
                     struct store_inode *out)
{
    struct store_kv *kv = store_view_look(v);
    struct inode i;

    if (!store_inode_load(kv, inode, &i))
        return not_found(kv);
    show(&i, out);
    return 0;
}

int store_view_lookup(struct store_view *v, uint64_t parent,
                      struct command_name name, struct store_inode *out)
{
    struct store_kv *kv = store_view_look(v);
    struct name_record rec;
    struct inode i;

    if (name.size == 0 || name.size > PX_NAME_BYTES_MAX)
        return -ENOENT; /* no such name can exist */
    if (!store_name_load(kv, parent, name, &rec))
        return not_found(kv);
    if (!store_inode_load(kv, rec.inode, &i)) {
        store_kv_fail(kv, -PX_ECORRUPT); /* a name of nothing */
        return kv->rc;
    }
    show(&i, out);
    return 0;
}

/* ---- Data ---- */

ssize_t store_view_read(struct store_view *v, uint64_t inode, uint64_t offset,
                        void *data, size_t size)
{
    struct store_kv *kv = store_view_look(v);
    struct inode f;
    size_t done;

    if (!store_inode_load(kv, inode, &f))
        return not_found(kv);
    if (!S_ISREG(f.rec.mode))
        return inode_is_dir(&f) ? -EISDIR : -EINVAL;
    done = store_data_read(kv, &f, offset, data, size);
    return kv->rc < 0 ? kv->rc : (ssize_t)done;
}

ssize_t store_view_readlink(struct store_view *v, uint64_t inode, char *data,
                            size_t size)
{
    struct store_kv *kv = store_view_look(v);
    struct inode f;
    size_t done;

    if (!store_inode_load(kv, inode, &f))
        return not_found(kv);
    if (!S_ISLNK(f.rec.mode))
        return -EINVAL;
    done = store_data_read(kv, &f, 0, (uint8_t *)data, size);
    return kv->rc < 0 ? kv->rc : (ssize_t)done;
}

void store_view_usage(struct store_view *v, struct store_usage *out)
{
    MDB_envinfo info = {0};
    MDB_stat stat = {0};

    px_assert(v->is_begun);
    /* Both only copy fields; they fail for a NULL argument alone. */
    (void)mdb_env_info(v->s->env.lmdb, &info);
    (void)mdb_env_stat(v->s->env.lmdb, &stat);
    *out = (struct store_usage){
        .inodes = v->meta.inodes,
        .data_bytes = v->meta.data_bytes,
        .quota = v->meta.quota,
        .used = v->meta.used,
        .bytes_per_file = STORE_INODE_COST + STORE_NAME_COST,
        .orphans = v->meta.orphans + v->meta.garbage,
        .file_bytes = (info.me_last_pgno + 1) * stat.ms_psize,
    };
}

bool store_view_lacks_room(struct store_view *v, const struct command *c)
{
    struct store_room room = {.quota = v->meta.quota, .used = v->meta.used};

    return store_room_is_lacking(store_view_look(v), room, c);
}

/* ---- Lists ---- */

int store_view_list(struct store_view *v, uint64_t inode, uint64_t cookie,
                    bool (*each)(void *ctx, const struct store_name *name),
                    void *ctx)
{
    struct store_kv *kv = store_view_look(v);
    struct store_key from;
    struct store_name name;
    MDB_val key, value;
    struct inode dir;

    if (!store_inode_load(kv, inode, &dir))
        return not_found(kv);
    if (!inode_is_dir(&dir))
        return -ENOTDIR;
    if (cookie == UINT64_MAX)
        return 0;
    store_key_entry(&from, inode, cookie + 1);
    for (bool more =
             store_kv_first(kv, &from, STORE_KEY_NUMBER_BYTES, &key, &value);
         more;
         more = store_kv_next(kv, &from, STORE_KEY_NUMBER_BYTES, &key, &value))
        if (!store_entry_parse(kv, &key, &value, &name) || !each(ctx, &name))
            break;
    return kv->rc;
}

/* One family of (tag, number) keys, number by number. */
static bool walk_numbers(struct store_kv *kv, bool is_first,
                         const struct store_key *from, uint64_t *number_out,
                         MDB_val *value)
{
    MDB_val key;
    bool more = is_first ? store_kv_first(kv, from, 1, &key, value)
                         : store_kv_next(kv, from, 1, &key, value);

    if (!more)
        return false;
    if (key.mv_size != STORE_KEY_NUMBER_BYTES) {
        store_kv_fail(kv, -PX_ECORRUPT);
        return false;
    }
    *number_out = store_key_first(key.mv_data);
    return true;
}

static size_t list_garbage(struct store_kv *kv, uint64_t *inodes, size_t max)
{
    struct store_key from;
    size_t count = 0;
    MDB_val value;

    store_key_number(&from, STORE_TAG_GARBAGE, 0);
    while (count < max &&
           walk_numbers(kv, count == 0, &from, &inodes[count], &value))
        count++;
    return count;
}

int store_view_reapable(struct store_view *v, uint64_t *inodes, size_t max)
{
    struct store_kv *kv = store_view_look(v);
    size_t count = list_garbage(kv, inodes, max);
    struct store_key from;
    uint64_t number;
    MDB_val value;

    store_key_number(&from, STORE_TAG_ORPHAN, v->reap_from);
    v->reap_from = 0;
    for (size_t n = 0;
         count < max && walk_numbers(kv, n == 0, &from, &number, &value); n++) {
        if (n == REAP_SCAN_MAX) {
            v->reap_from = number;
            break;
        }
        if (!store_orphan_is_held(kv, &value))
            inodes[count++] = number;
    }
    return kv->rc < 0 ? kv->rc : (int)count;
}

int store_view_held(struct store_view *v, uint64_t session, uint64_t from,
                    uint64_t *inodes, size_t max)
{
    struct store_kv *kv = store_view_look(v);
    struct store_key start;
    uint64_t number;
    size_t count = 0;
    MDB_val value;

    store_key_number(&start, STORE_TAG_ORPHAN, from);
    for (bool is_first = true;
         count < max && walk_numbers(kv, is_first, &start, &number, &value);
         is_first = false)
        if (store_orphan_has_holder(&value, session))
            inodes[count++] = number;
    return kv->rc < 0 ? kv->rc : (int)count;
}
