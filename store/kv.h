/* Keys and values within one LMDB transaction, with a sticky error.
 *
 * The first local failure (LMDB, memory, bytes that don't parse) is kept in
 * `rc`; from then on gets find nothing, puts do nothing and walks end. So code
 * that applies a command reads as if nothing could fail: what it returns is
 * the command's own result, and whoever began the transaction looks at `rc`
 * once, at the end, and throws everything away if it is set. A local failure
 * can't slip into a replicated result.
 *
 * Whatever a put or del changes, it adds to `hashes` and `used`: the new
 * record's hash and cost, less the old one's. */
#ifndef STORE_KV_H
#define STORE_KV_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/key_format.h"

struct store_kv {
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor; /* for walks: one at a time; NULL until the first */
    MDB_cursor *place;  /* of what is put or deleted; NULL until the first */
    uint64_t hashes;    /* what the sum of the records' hashes grew by */
    uint64_t used;      /* and that of their costs (room.h), modulo 2^64 */
    int rc;             /* 0, or the first failure as a negative errno */
    bool is_map_full;   /* and it was this: grow, and try again */
    atomic_bool *is_damaged; /* set by -PX_ECORRUPT; may be NULL */
};

/* Notes @rc (< 0) unless something failed before. */
void store_kv_fail(struct store_kv *kv, int rc);

/* False when there is none. The value is good until the next change. */
bool store_kv_get(struct store_kv *kv, const struct store_key *key,
                  MDB_val *value);
/* A value of exactly @size bytes; another size is -PX_ECORRUPT. */
bool store_kv_get_record(struct store_kv *kv, const struct store_key *key,
                         void *record, size_t size);
void store_kv_put(struct store_kv *kv, const struct store_key *key,
                  const void *data, size_t size);
/* A chunk: @size bytes of a file, behind their hash. */
void store_kv_put_chunk(struct store_kv *kv, const struct store_key *key,
                        const void *data, size_t size);
/* The key is there; else -PX_ECORRUPT. */
void store_kv_del(struct store_kv *kv, const struct store_key *key);

/* A walk: the first pair at or behind @from whose key begins as @from's first
 * @prefix bytes do, then the ones behind it. False at the end. Deleting the
 * current pair keeps the walk going; other changes end it. */
bool store_kv_first(struct store_kv *kv, const struct store_key *from,
                    size_t prefix, MDB_val *key, MDB_val *value);
bool store_kv_next(struct store_kv *kv, const struct store_key *from,
                   size_t prefix, MDB_val *key, MDB_val *value);
void store_kv_del_current(struct store_kv *kv);

#endif
