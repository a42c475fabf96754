/* See kv.h: LMDB calls, and the one place that notes their failures. */
#include "store/kv.h"

#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/env.h"
#include "store/hash.h"
#include "store/room.h"

void store_kv_fail(struct store_kv *kv, int rc)
{
    px_assert(rc < 0);
    if (kv->rc < 0)
        return; /* what it met since may only look like damage */
    kv->rc = rc;
    if (rc == -PX_ECORRUPT && kv->is_damaged != NULL)
        atomic_store(kv->is_damaged, true);
}

/* True for 0; MDB_NOTFOUND is an answer, anything else a failure. */
static bool went_well(struct store_kv *kv, int lmdb_rc)
{
    if (lmdb_rc == 0)
        return true;
    if (lmdb_rc == MDB_NOTFOUND)
        return false;
    if (kv->rc == 0)
        kv->is_map_full = lmdb_rc == MDB_MAP_FULL;
    store_kv_fail(kv, store_err(lmdb_rc));
    return false;
}

/* LMDB's interface lacks const; it only reads what it is given here. */
static MDB_val val_of(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *)(uintptr_t)data};
}

bool store_kv_get(struct store_kv *kv, const struct store_key *key,
                  MDB_val *value)
{
    MDB_val k = val_of(key->bytes, key->size);

    if (kv->rc < 0)
        return false;
    return went_well(kv, mdb_get(kv->txn, kv->dbi, &k, value));
}

bool store_kv_get_record(struct store_kv *kv, const struct store_key *key,
                         void *record, size_t size)
{
    MDB_val value;

    if (!store_kv_get(kv, key, &value))
        return false;
    if (value.mv_size != size) {
        store_kv_fail(kv, -PX_ECORRUPT);
        return false;
    }
    memcpy(record, value.mv_data, size);
    return true;
}

/* Goes where @key is, or belongs. True: it is there, with @old. The put or del
 * that follows finds its place without another search. */
static bool find_place(struct store_kv *kv, MDB_val *key, MDB_val *old)
{
    if (kv->place == NULL &&
        !went_well(kv, mdb_cursor_open(kv->txn, kv->dbi, &kv->place)))
        return false;
    return went_well(kv, mdb_cursor_get(kv->place, key, old, MDB_SET));
}

/* @old goes, or is replaced. */
static void discount(struct store_kv *kv, const MDB_val *key,
                     const MDB_val *old)
{
    kv->hashes -= store_record_hash(key, old);
    kv->used -= store_record_cost(key, old);
}

/* Puts @size bytes, to be filled before the next call, instead of what @key had;
 * NULL on failure. The caller adds the new hash. */
static void *replace(struct store_kv *kv, const struct store_key *key,
                     size_t size)
{
    MDB_val k = val_of(key->bytes, key->size);
    MDB_val value = {.mv_size = size};
    MDB_val old;

    if (kv->rc < 0)
        return NULL;
    if (find_place(kv, &k, &old))
        discount(kv, &k, &old);
    if (kv->rc < 0)
        return NULL;
    if (!went_well(kv, mdb_cursor_put(kv->place, &k, &value, MDB_RESERVE)))
        return NULL;
    kv->used += store_record_cost(&k, &value);
    return value.mv_data;
}

void store_kv_put(struct store_kv *kv, const struct store_key *key,
                  const void *data, size_t size)
{
    MDB_val k = val_of(key->bytes, key->size);
    MDB_val value = val_of(data, size);
    void *room = replace(kv, key, size);

    if (room == NULL)
        return;
    memcpy(room, data, size);
    kv->hashes += store_record_hash(&k, &value);
}

void store_kv_put_chunk(struct store_kv *kv, const struct store_key *key,
                        const void *data, size_t size)
{
    uint64_t hash = store_chunk_hash(key->bytes, key->size, data, size);
    uint8_t *room;

    px_assert(size > 0 && size <= STORE_CHUNK_BYTES);
    room = replace(kv, key, sizeof hash + size);
    if (room == NULL)
        return;
    memcpy(room, &hash, sizeof hash);
    memcpy(room + sizeof hash, data, size);
    kv->hashes += hash;
}

/* What @cursor stands on. */
static void delete_at(struct store_kv *kv, MDB_cursor *cursor,
                      const MDB_val *key, const MDB_val *value)
{
    discount(kv, key, value);
    if (!went_well(kv, mdb_cursor_del(cursor, 0)))
        store_kv_fail(kv, -PX_ECORRUPT);
}

void store_kv_del(struct store_kv *kv, const struct store_key *key)
{
    MDB_val k = val_of(key->bytes, key->size);
    MDB_val old;

    if (kv->rc < 0)
        return;
    if (find_place(kv, &k, &old))
        delete_at(kv, kv->place, &k, &old);
    else
        store_kv_fail(kv, -PX_ECORRUPT);
}

static bool step(struct store_kv *kv, const struct store_key *from,
                 size_t prefix, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    if (!went_well(kv, mdb_cursor_get(kv->cursor, key, value, op)))
        return false;
    return key->mv_size >= prefix &&
           memcmp(key->mv_data, from->bytes, prefix) == 0;
}

bool store_kv_first(struct store_kv *kv, const struct store_key *from,
                    size_t prefix, MDB_val *key, MDB_val *value)
{
    px_assert(prefix <= from->size);
    if (kv->rc < 0)
        return false;
    if (kv->cursor == NULL &&
        !went_well(kv, mdb_cursor_open(kv->txn, kv->dbi, &kv->cursor)))
        return false;
    *key = val_of(from->bytes, from->size);
    return step(kv, from, prefix, key, value, MDB_SET_RANGE);
}

bool store_kv_next(struct store_kv *kv, const struct store_key *from,
                   size_t prefix, MDB_val *key, MDB_val *value)
{
    px_assert(kv->cursor != NULL);
    if (kv->rc < 0)
        return false;
    return step(kv, from, prefix, key, value, MDB_NEXT);
}

void store_kv_del_current(struct store_kv *kv)
{
    MDB_val key, old;

    if (kv->rc < 0)
        return;
    if (went_well(kv, mdb_cursor_get(kv->cursor, &key, &old, MDB_GET_CURRENT)))
        delete_at(kv, kv->cursor, &key, &old);
    else
        store_kv_fail(kv, -PX_ECORRUPT);
}
