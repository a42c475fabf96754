/* Inodes that lost their last name, and who may still have them open.
 *
 *   unlink, rmdir,     RELEASE by each       no living holder
 *   rename over   ──▶  orphan of sessions ──────────────────▶ gone, at once
 *                      │    ▲ a session that ended holds nothing     │
 *                      │    └─────────────────────────────           │
 *                      └─ REAP, once nobody holds it (or FORCE) ─────┤
 *                                                                    ▼
 *                         data beyond one command's budget: garbage, REAPed
 *
 * Of a file with more extents than the budget, only some become garbage; the
 * rest stays with the inode, an orphan that nobody holds, for REAP to go on
 * with.
 *
 * An orphan is read and written by its number like any other inode. All living
 * sessions are noted as holders, because only each node knows what it has
 * open; the one that removed the name says so by a RELEASE too. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/apply.h"

/* A holders' list, copied out of the database. */
struct holders {
    size_t count;
    uint64_t list[PX_SESSIONS_MAX];
};

static bool holders_load(struct store_kv *kv, uint64_t inode, struct holders *h)
{
    struct store_key key;
    MDB_val value;

    store_key_number(&key, STORE_TAG_ORPHAN, inode);
    if (!store_kv_get(kv, &key, &value))
        return false;
    if (value.mv_size % sizeof h->list[0] != 0 ||
        value.mv_size > sizeof h->list) {
        store_kv_fail(kv, -PX_ECORRUPT);
        return false;
    }
    h->count = value.mv_size / sizeof h->list[0];
    memcpy(h->list, value.mv_data, value.mv_size);
    return true;
}

static void holders_save(struct store_kv *kv, uint64_t inode,
                         const struct holders *h)
{
    struct store_key key;

    store_key_number(&key, STORE_TAG_ORPHAN, inode);
    store_kv_put(kv, &key, h->list, h->count * sizeof h->list[0]);
}

/* Without @leaver, and without the sessions that have ended. */
static void holders_prune(struct apply *a, struct holders *h, uint64_t leaver)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->count; i++)
        if (h->list[i] != leaver &&
            store_session_find(&a->sessions, h->list[i]) != NULL)
            h->list[kept++] = h->list[i];
    h->count = kept;
}

/* ---- Becoming one ---- */

static int orphans_push(struct store_orphans *o, uint64_t inode)
{
    size_t capacity;
    uint64_t *grown;

    if (o->count == o->capacity) {
        capacity = o->capacity == 0 ? 16 : 2 * o->capacity;
        grown = realloc(o->inodes, capacity * sizeof grown[0]);
        if (grown == NULL)
            return -ENOMEM;
        o->inodes = grown;
        o->capacity = capacity;
    }
    o->inodes[o->count++] = inode;
    return 0;
}

void store_orphan_add(struct apply *a, const struct inode *i)
{
    struct holders h = {.count = a->sessions.count};
    int rc;

    px_assert(i->rec.links == 0);
    for (size_t n = 0; n < h.count; n++)
        h.list[n] = a->sessions.list[n].number;
    holders_save(&a->kv, i->number, &h);
    a->meta.orphans++;
    rc = orphans_push(a->orphans, i->number);
    if (rc < 0)
        store_kv_fail(&a->kv, rc);
}

/* ---- Going ---- */

/* Data that is over the budget keeps it: as an orphan without holders. */
static void orphan_destroy(struct apply *a, uint64_t number, uint64_t *budget)
{
    const struct holders nobody = {.count = 0};
    struct store_key key;
    struct inode i;

    if (!store_inode_load(&a->kv, number, &i)) {
        store_kv_fail(&a->kv, -PX_ECORRUPT);
        return;
    }
    if (!inode_is_dir(&i) && !store_data_drop(a, &i, budget)) {
        store_inode_save(&a->kv, &i);
        holders_save(&a->kv, number, &nobody);
        return;
    }
    store_key_number(&key, STORE_TAG_INODE, number);
    store_kv_del(&a->kv, &key);
    a->meta.inodes--;
    store_key_number(&key, STORE_TAG_ORPHAN, number);
    store_kv_del(&a->kv, &key);
    a->meta.orphans--;
}

int store_apply_release(struct apply *a, const struct command *c)
{
    uint64_t budget = PX_REAP_CHUNKS_MAX;
    struct holders h;

    for (size_t n = 0; n < c->inode_count; n++) {
        if (!holders_load(&a->kv, c->inodes[n], &h))
            continue; /* gone already, or never one: nothing to release */
        a->work++;
        holders_prune(a, &h, c->session);
        if (h.count == 0)
            orphan_destroy(a, c->inodes[n], &budget);
        else
            holders_save(&a->kv, c->inodes[n], &h);
    }
    return 0;
}

int store_apply_reap(struct apply *a, const struct command *c)
{
    uint64_t budget = PX_REAP_CHUNKS_MAX;
    struct holders h;

    for (size_t n = 0; n < c->inode_count; n++) {
        if (holders_load(&a->kv, c->inodes[n], &h)) {
            a->work++;
            holders_prune(a, &h, 0);
            if (h.count == 0 || (c->flags & COMMAND_FORCE) != 0)
                orphan_destroy(a, c->inodes[n], &budget);
        }
        store_data_reap(a, c->inodes[n], &budget);
    }
    return 0;
}

/* ---- For views ---- */

static uint64_t holder_at(const MDB_val *holders, size_t place)
{
    uint64_t session;

    memcpy(&session, (const uint8_t *)holders->mv_data + place, sizeof session);
    return session;
}

bool store_orphan_is_held(struct store_kv *kv, const MDB_val *holders)
{
    struct store_key key;
    MDB_val ignored;
    size_t size = sizeof(uint64_t);

    for (size_t at = 0; at + size <= holders->mv_size; at += size) {
        store_key_number(&key, STORE_TAG_SESSION, holder_at(holders, at));
        if (store_kv_get(kv, &key, &ignored))
            return true;
    }
    return false;
}

bool store_orphan_has_holder(const MDB_val *holders, uint64_t session)
{
    size_t size = sizeof session;

    for (size_t at = 0; at + size <= holders->mv_size; at += size)
        if (holder_at(holders, at) == session)
            return true;
    return false;
}
