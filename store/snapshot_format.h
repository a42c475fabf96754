/* A snapshot's bytes. Numbers are little-endian; checksums are XXH3, 64 bits,
 * seeded with the cluster's stamp.
 *
 *   0      512                                          size - 64     size
 *   ├──────┼─────────┬─────────┬─────┬──────────────────┼─────────────┤
 *   │ head │ block 0 │ block 1 │ ... │ block n - 1      │ foot        │
 *   └──────┴─────────┴─────────┴─────┴──────────────────┴─────────────┘
 *
 * The head:
 *
 *    0  u64  checksum of bytes 8 .. 511
 *    8  u64  magic, "PXSNAPSH"
 *   16  u32  format version of the file
 *   20  u32  format version of the records (STORE_STATE_FORMAT)
 *   24  u64  stamp: whose state it is
 *   32  u64  term of the last entry in the state
 *   40  u64  its index
 *   48  u32  members in the configuration
 *   52       zeros
 *   64       members, 16 bytes each: u64 id, u32 role, u32 zeros; one of them
 *            a voter
 *            zeros
 *
 * Every version of the file keeps the first 24 bytes as they are here, and the
 * checksum over 512: so that a newer one is told from a damaged one.
 *
 * A block: a head, then records, compressed with zstd as one frame.
 *
 *    0  u64  checksum of bytes 8 .. the block's end
 *    8  u64  chain: checksum of the block before; of the head, before the first
 *   16  u64  offset of this block in the file
 *   24  u32  number of this block, from 0
 *   28  u32  records
 *   32  u32  bytes of the records
 *   36  u32  bytes of the records, compressed
 *   40       the compressed bytes
 *
 * The records are those of key_format.h, in the order of their keys, one
 * behind the other. A block has as many whole ones as fit, so that where
 * blocks begin depends on the records alone.
 *
 *    0  u16  bytes of the key
 *    2  u16  bytes of the value
 *    4       key, value
 *
 * The foot:
 *
 *    0  u64  checksum of bytes 8 .. 63
 *    8  u64  magic, "PXSNAPED"
 *   16  u64  chain: checksum of the last block
 *   24  u64  bytes of this file
 *   32  u64  records
 *   40  u64  bytes of all records
 *   48  u32  blocks
 *   52  u32  zeros
 *   56  u64  hash of the state (hash.h)
 *
 * Each checksum covers the chain, so the foot's says that every block is there,
 * in its place and of this snapshot. The same records, compressed by the same
 * version of zstd, are the same file. */
#ifndef STORE_SNAPSHOT_FORMAT_H
#define STORE_SNAPSHOT_FORMAT_H

#include <lmdb.h>
#include <stdbool.h>

#include "store/key_format.h"

#define SNAPSHOT_FORMAT_VERSION 1u
#define SNAPSHOT_HEAD_BYTES 512u
#define SNAPSHOT_BLOCK_HEAD_BYTES 40u
#define SNAPSHOT_FOOT_BYTES 64u
#define SNAPSHOT_RECORD_HEAD_BYTES 4u

/* Of a block's records; and compressed, when they can't be: what zstd may make
 * of them (its ZSTD_COMPRESSBOUND, asserted in snapshot_format.c). */
#define SNAPSHOT_RECORDS_BYTES_MAX PX_MIB
#define SNAPSHOT_PACKED_BYTES_MAX \
    (SNAPSHOT_RECORDS_BYTES_MAX + SNAPSHOT_RECORDS_BYTES_MAX / 256u)
#define SNAPSHOT_BLOCK_BYTES_MAX \
    (SNAPSHOT_BLOCK_HEAD_BYTES + SNAPSHOT_PACKED_BYTES_MAX)

/* A chunk's is the longest value. */
#define SNAPSHOT_VALUE_BYTES_MAX (STORE_CHUNK_HASH_BYTES + STORE_CHUNK_BYTES)
static_assert(PX_SESSIONS_MAX * sizeof(uint64_t) <= SNAPSHOT_VALUE_BYTES_MAX,
              "an orphan's holders");

struct snapshot_head {
    uint32_t state_format;
    uint64_t stamp;
    struct raft_pos pos;
    struct raft_config config;
    uint64_t checksum; /* filled by encode and decode */
};

struct snapshot_block {
    uint64_t chain;
    uint64_t offset;
    uint32_t number;
    uint32_t records;
    uint32_t records_bytes;
    uint32_t packed_bytes;
    uint64_t checksum; /* filled by encode and decode */
};

struct snapshot_foot {
    uint64_t chain;
    uint64_t bytes;
    uint64_t records;
    uint64_t records_bytes;
    uint32_t blocks;
    uint64_t state_hash;
};

/* All decoders: -PX_ECORRUPT, and nothing is written to the result. */

/* @out, @in: SNAPSHOT_HEAD_BYTES. Decode: -PX_EFORMAT for a version of the file
 * that is not known here. Stamp and the records' format are for the caller to
 * check. */
void snapshot_head_encode(struct snapshot_head *h, uint8_t *out);
int snapshot_head_decode(const uint8_t *in, struct snapshot_head *h);

/* Writes the head in front of the packed bytes, which lie at
 * @block + SNAPSHOT_BLOCK_HEAD_BYTES. */
void snapshot_block_encode(struct snapshot_block *b, uint64_t stamp,
                           uint8_t *block);
/* Looks at the head alone, SNAPSHOT_BLOCK_HEAD_BYTES: sizes are within the
 * limits then, and the rest can be read. */
int snapshot_block_decode(const uint8_t *in, struct snapshot_block *b);
/* @block: head and packed bytes. Is it what was written? */
bool snapshot_block_is_sound(const struct snapshot_block *b, uint64_t stamp,
                             const uint8_t *block);

/* @out, @in: SNAPSHOT_FOOT_BYTES. */
void snapshot_foot_encode(const struct snapshot_foot *f, uint64_t stamp,
                          uint8_t *out);
int snapshot_foot_decode(const uint8_t *in, uint64_t stamp,
                         struct snapshot_foot *f);

/* ---- Records ---- */

/* Adds a record behind @used bytes of @records. Returns the bytes it took; 0 if
 * they would be more than SNAPSHOT_RECORDS_BYTES_MAX. */
size_t snapshot_record_pack(uint8_t *records, size_t used, const MDB_val *key,
                            const MDB_val *value);
/* The record at @at of @size bytes; *key, *value point into @records. Returns
 * the bytes it takes; 0 if it does not lie within. */
size_t snapshot_record_unpack(const uint8_t *records, size_t size, size_t at,
                              MDB_val *key, MDB_val *value);
/* Has it a size that records of its family have? A state is made of no others,
 * so that what is loaded can be read without a look at each key's size. */
bool snapshot_record_is_sound(const MDB_val *key, const MDB_val *value);

#endif
