/* The hashes of chunks, records and the state, see hash.h; and the walk over
 * all of it, for who doubts that the kept sum is right. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/hash.h"
#include "store/state_core.h"

uint64_t store_chunk_hash(const void *key, size_t key_size, const void *data,
                          size_t size)
{
    return XXH3_64bits_withSeed(data, size, XXH3_64bits(key, key_size));
}

/* What a chunk's value says that its hash is. */
static uint64_t kept_hash(const MDB_val *value)
{
    uint64_t hash;

    memcpy(&hash, value->mv_data, sizeof hash);
    return hash;
}

bool store_chunk_is_sound(const MDB_val *key, const MDB_val *value)
{
    size_t size = store_chunk_size(value);

    return size > 0 &&
           kept_hash(value) == store_chunk_hash(key->mv_data, key->mv_size,
                                                store_chunk_data(value), size);
}

uint64_t store_record_hash(const MDB_val *key, const MDB_val *value)
{
    if (store_key_tag(key) == STORE_TAG_META)
        return 0;
    if (store_key_tag(key) == STORE_TAG_CHUNK && store_chunk_size(value) > 0)
        return kept_hash(value);
    return XXH3_64bits_withSeed(value->mv_data, value->mv_size,
                                XXH3_64bits(key->mv_data, key->mv_size));
}

uint64_t store_meta_hash(const struct meta_record *meta)
{
    return XXH3_64bits(meta, offsetof(struct meta_record, hash));
}

uint64_t store_view_records(const struct store_view *v)
{
    MDB_stat stat;

    return mdb_stat(v->kv.txn, v->kv.dbi, &stat) == 0 ? stat.ms_entries : 0;
}

int store_view_walk(struct store_view *v, const struct store_progress *progress,
                    uint64_t *hash_out)
{
    struct store_kv *kv = &v->kv;
    struct meta_record meta = v->meta;
    struct store_key from;
    MDB_val key, value;
    uint64_t done = 0;
    uint64_t all;

    px_assert(v->is_begun);
    kv->rc = 0;
    all = store_view_records(v);
    meta.hashes = 0;
    store_key_start(&from, STORE_TAG_META);
    for (bool more = store_kv_first(kv, &from, 0, &key, &value); more;
         more = store_kv_next(kv, &from, 0, &key, &value)) {
        if (store_key_tag(&key) == STORE_TAG_CHUNK &&
            !store_chunk_is_sound(&key, &value))
            store_kv_fail(kv, -PX_ECORRUPT);
        meta.hashes += store_record_hash(&key, &value);
        store_progress_tell(progress, ++done, all);
    }
    if (kv->rc == 0)
        *hash_out = store_meta_hash(&meta);
    return kv->rc;
}

int store_view_hash(struct store_view *v, uint64_t *hash_out)
{
    return store_view_walk(v, &(struct store_progress){.tell = NULL}, hash_out);
}
