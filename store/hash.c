/* A hash of the whole state: every key and value in order, each with its size,
 * so that no two different states look the same by where they are cut. There
 * is nothing local in the database, so there is nothing to leave out. */
#define XXH_INLINE_ALL
#include <errno.h>
#include <xxhash.h>

#include "base/assert.h"
#include "store/hash.h"
#include "store/state_core.h"

uint64_t store_chunk_hash(const void *key, size_t key_size, const void *data,
                          size_t size)
{
    return XXH3_64bits_withSeed(data, size, XXH3_64bits(key, key_size));
}

bool store_chunk_is_sound(const MDB_val *key, const MDB_val *value)
{
    size_t size = store_chunk_size(value);
    uint64_t hash;

    if (size == 0)
        return false;
    memcpy(&hash, value->mv_data, sizeof hash);
    return hash == store_chunk_hash(key->mv_data, key->mv_size,
                                    store_chunk_data(value), size);
}

static int add(XXH3_state_t *hash, const MDB_val *part)
{
    uint64_t size = part->mv_size;

    if (XXH3_64bits_update(hash, &size, sizeof size) != XXH_OK ||
        XXH3_64bits_update(hash, part->mv_data, part->mv_size) != XXH_OK)
        return -EIO;
    return 0;
}

int store_view_hash(struct store_view *v, uint64_t *hash_out)
{
    struct store_kv *kv = &v->kv;
    struct store_key from;
    XXH3_state_t hash;
    MDB_val key, value;
    int rc = 0;

    px_assert(v->is_begun);
    kv->rc = 0;
    if (XXH3_64bits_reset(&hash) != XXH_OK)
        return -EIO;
    store_key_start(&from, STORE_TAG_META);
    for (bool more = store_kv_first(kv, &from, 0, &key, &value);
         more && rc == 0; more = store_kv_next(kv, &from, 0, &key, &value)) {
        rc = add(&hash, &key);
        if (rc == 0)
            rc = add(&hash, &value);
    }
    if (rc == 0)
        rc = kv->rc;
    if (rc == 0)
        *hash_out = XXH3_64bits_digest(&hash);
    return rc;
}
