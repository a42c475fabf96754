/* The hash of a chunk: XXH3 of the bytes of the file that it holds, seeded with
 * the XXH3 of its key, so that the same bytes under another key are another
 * chunk. The chunk's value begins with it; whoever reads the bytes compares. */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include <lmdb.h>
#include <stdbool.h>

#include "store/key_format.h"

/* Of @size bytes of a file, in the chunk under @key. */
uint64_t store_chunk_hash(const void *key, size_t key_size, const void *data,
                          size_t size);

/* Bytes of the file in a chunk's value; 0: no chunk has this size. */
static inline size_t store_chunk_size(const MDB_val *value)
{
    if (value->mv_size <= STORE_CHUNK_HASH_BYTES ||
        value->mv_size > STORE_CHUNK_HASH_BYTES + STORE_CHUNK_BYTES)
        return 0;
    return value->mv_size - STORE_CHUNK_HASH_BYTES;
}

static inline const uint8_t *store_chunk_data(const MDB_val *value)
{
    return (const uint8_t *)value->mv_data + STORE_CHUNK_HASH_BYTES;
}

/* Has it a chunk's size, and the bytes that were written under this key? */
bool store_chunk_is_sound(const MDB_val *key, const MDB_val *value);

#endif
