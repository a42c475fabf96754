/* The hashes of records, and of the whole state.
 *
 *   record   XXH3 of its value, seeded with the XXH3 of its key: the same bytes
 *            under another key are another record. A chunk is hashed as the
 *            bytes of the file that it holds, and the value begins with that
 *            hash: it is the chunk's checksum.
 *   records  the sum of the records' hashes modulo 2^64. A sum, because it
 *            does not depend on the order, and what goes can be taken away
 *            again: each put and del (kv.h) keeps it right.
 *   state    XXH3 of the META record, which holds that sum, and is the one
 *            record that is not in it. It ends with that hash: its checksum.
 *
 * 64 bits tell replicas that differ by a fault; they are no defence against
 * bytes that were chosen to collide. */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include <lmdb.h>
#include <stdbool.h>

#include "store/key_format.h"

/* Of @size bytes of a file, in the chunk under @key. */
uint64_t store_chunk_hash(const void *key, size_t key_size, const void *data,
                          size_t size);
/* Of any record; 0 for META. The hash of a chunk is taken from the value, not
 * made anew: whether it is right, store_chunk_is_sound says. */
uint64_t store_record_hash(const MDB_val *key, const MDB_val *value);

/* Of the whole state: its META record says it all. Made anew; is it the one that
 * @meta ends with, @meta is sound. */
uint64_t store_meta_hash(const struct meta_record *meta);

/* 0: an empty key, which no record has. */
static inline uint8_t store_key_tag(const MDB_val *key)
{
    return key->mv_size > 0 ? ((const uint8_t *)key->mv_data)[0] : 0;
}

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
