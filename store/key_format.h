/* The database, byte by byte: one LMDB table, one family of keys a tag.
 *
 *   key                            value
 *   -----------------------------  ------------------------------------------
 *   01                             meta_record
 *   02 session:8                   session_record, then the node's name
 *   03 session:8 slot:2            result_record
 *   04 inode:8                     inode_record
 *   05 parent:8 name:1..255        name_record
 *   06 parent:8 cookie:8           entry_record, then the name
 *   07 inode:8 extent:4            extent_record       (from extent 1 on)
 *   08 data:8 chunk:4              hash:8 of what follows (hash.h), then
 *                                  1 .. STORE_CHUNK_BYTES bytes of a file
 *   09 inode:8                     numbers of the sessions that may hold it
 *   0a data:8                      garbage_record
 *   0b                             config_record, then the configuration, as
 *                                  its entry has it (raft/config.h)
 *   0c member:8                    member_record, then its name and address
 *   0d member:8                    removed_record, then its name
 *   0e name:1..63                  number of the removed member: 8
 *
 * Numbers in keys are big-endian, so that a range scans in order; in values,
 * little-endian and without padding, so that a record is copied as it lies.
 *
 * A file is a row of extents of STORE_EXTENT_CHUNKS chunks. Extent 0, all there
 * is of most files, keeps its chunks under the inode's own number. A further
 * extent takes a data number of its own when it is first written. To cut a
 * file of any size is then a bounded act: chunks of the one extent that the
 * new end lies in are deleted, and each extent behind it becomes garbage under
 * its number, to be reaped by commands of their own. Should the file grow
 * again, its new extents have new numbers, and nothing old shines through.
 *
 * A chunk holds no byte at or beyond the file's size; one that is shorter than
 * it could be, or missing, reads as zeros. A symbolic link is a file whose
 * data is its target.
 *
 * Results lie in a ring: a session's sequences that can be answered span
 * STORE_RESULT_SLOTS at most, so a slot is overwritten only once its result is
 * below the floor, and none is ever deleted one by one. */
#ifndef STORE_KEY_FORMAT_H
#define STORE_KEY_FORMAT_H

#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "store/command.h"
#include "store/state.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "records are copied as they lie; elsewhere they need swaps");

#define STORE_STATE_FORMAT 4u

/* docs/decisions/0003-chunk-size.md */
#define STORE_CHUNK_HASH_BYTES 8u
#define STORE_CHUNK_BYTES 4072u
#define STORE_EXTENT_CHUNKS 4096u
static_assert(STORE_CHUNK_HASH_BYTES + STORE_CHUNK_BYTES == 4096 - 16,
              "a full chunk is one page, with LMDB's head of it");
static_assert(STORE_EXTENT_CHUNKS <= PX_REAP_CHUNKS_MAX,
              "one command can delete a whole extent");
static_assert(PX_FILE_BYTES_MAX / STORE_CHUNK_BYTES / STORE_EXTENT_CHUNKS <
                  UINT32_MAX,
              "extents of the largest file fit in their key");
static_assert(PX_SYMLINK_BYTES_MAX < STORE_CHUNK_BYTES * STORE_EXTENT_CHUNKS,
              "a link's target never needs a second extent");

#define STORE_RESULT_SLOTS (PX_SESSION_INFLIGHT_MAX + 1)
static_assert(STORE_RESULT_SLOTS <= UINT16_MAX, "a slot fits in its key");

/* Session numbers below this; so that session << shift | counter fits. */
#define STORE_SESSIONS_EVER (UINT64_C(1) << (64 - STORE_INODE_SESSION_SHIFT))
/* Inode numbers below are reserved, and so are data numbers. */
#define STORE_INODE_MIN 256u
/* Data numbers of extents end here: session 1's inodes begin. */
#define STORE_DATA_END (UINT64_C(1) << STORE_INODE_SESSION_SHIFT)
/* Directory cookies begin here: 1 and 2 are "." and "..", for the mount. */
#define STORE_COOKIE_MIN 3u

enum store_tag {
    STORE_TAG_META = 1,
    STORE_TAG_SESSION = 2,
    STORE_TAG_RESULT = 3,
    STORE_TAG_INODE = 4,
    STORE_TAG_NAME = 5,
    STORE_TAG_ENTRY = 6,
    STORE_TAG_EXTENT = 7,
    STORE_TAG_CHUNK = 8,
    STORE_TAG_ORPHAN = 9,
    STORE_TAG_GARBAGE = 10,
    STORE_TAG_CONFIG = 11,
    STORE_TAG_MEMBER = 12,
    STORE_TAG_REMOVED = 13,
    STORE_TAG_REMOVED_NAME = 14,
};

struct meta_record {
    uint32_t format; /* STORE_STATE_FORMAT */
    uint32_t sessions;
    uint64_t applied_index;
    uint64_t applied_term;
    int64_t time; /* of the log: never runs backwards */
    uint64_t next_session;
    uint64_t next_data;
    uint64_t inodes;
    uint64_t data_bytes; /* in chunks, garbage included */
    uint64_t orphans;
    uint64_t garbage; /* records */
    uint64_t quota;   /* 0: none has been set yet */
    uint64_t used;    /* of it, by all records (room.h) */
    uint64_t hashes;  /* the sum of all other records' (hash.h) */
    uint64_t hash;    /* of all before: the state's, and this one's checksum */
};
static_assert(sizeof(struct meta_record) == 112, "no padding");

struct session_record {
    uint64_t incarnation;
    uint64_t nonce; /* the sequence of the SESSION_OPEN that made it */
    uint64_t floor; /* sequences below it are no longer answered */
};
static_assert(sizeof(struct session_record) == 24, "no padding");

struct result_record {
    uint64_t sequence;
    uint64_t index;
    uint64_t inode;
    uint64_t value;
    int32_t rc;
    uint32_t zero;
};
static_assert(sizeof(struct result_record) == 40, "no padding");

struct inode_record {
    uint32_t mode; /* type and permissions */
    uint32_t links;
    uint32_t uid;
    uint32_t gid;
    uint64_t size; /* bytes; of a directory, names in it */
    int64_t atime;
    int64_t mtime;
    int64_t ctime;
    uint64_t created; /* log index */
    uint64_t changed; /* log index */
    union {
        struct {
            uint64_t parent;
            uint64_t next_cookie;
            uint64_t zero;
        } dir;
        struct {
            uint64_t bytes;   /* stored, in all extents */
            uint64_t chunks;  /* stored, in extent 0 */
            uint64_t extents; /* extent_records */
        } file;
    };
};
static_assert(sizeof(struct inode_record) == 88, "no padding");

struct name_record {
    uint64_t inode;
    uint64_t cookie;
    uint32_t type; /* S_IFMT bits of the inode's mode: they never change */
    uint32_t zero;
};
static_assert(sizeof(struct name_record) == 24, "no padding");

struct entry_record {
    uint64_t inode;
    uint32_t type;
    uint32_t zero;
};
static_assert(sizeof(struct entry_record) == 16, "no padding");

struct extent_record {
    uint64_t data; /* the number its chunks lie under */
    uint64_t chunks;
    uint64_t bytes;
};
static_assert(sizeof(struct extent_record) == 24, "no padding");

struct garbage_record {
    uint64_t chunks;
};
static_assert(sizeof(struct garbage_record) == 8, "no padding");

struct config_record {
    uint64_t index; /* of the entry */
};
static_assert(sizeof(struct config_record) == 8, "no padding");

struct member_record {
    uint16_t name_size;
    uint16_t address_size;
};
static_assert(sizeof(struct member_record) == 4, "no padding");

struct removed_record {
    uint64_t index; /* of the entry that removed it */
};
static_assert(sizeof(struct removed_record) == 8, "no padding");

/* ---- Keys ---- */

#define STORE_KEY_BYTES_MAX (1 + 8 + PX_NAME_BYTES_MAX)
static_assert(STORE_KEY_BYTES_MAX <= 511, "LMDB's own limit");

struct store_key {
    size_t size;
    uint8_t bytes[STORE_KEY_BYTES_MAX];
};

static inline void store_key_start(struct store_key *k, enum store_tag tag)
{
    k->bytes[0] = (uint8_t)tag;
    k->size = 1;
}

static inline void store_key_add16(struct store_key *k, uint16_t number)
{
    uint16_t be = htobe16(number);

    memcpy(k->bytes + k->size, &be, sizeof be);
    k->size += sizeof be;
}

static inline void store_key_add32(struct store_key *k, uint32_t number)
{
    uint32_t be = htobe32(number);

    memcpy(k->bytes + k->size, &be, sizeof be);
    k->size += sizeof be;
}

static inline void store_key_add64(struct store_key *k, uint64_t number)
{
    uint64_t be = htobe64(number);

    memcpy(k->bytes + k->size, &be, sizeof be);
    k->size += sizeof be;
}

/* A tag and one number: SESSION, INODE, ORPHAN, GARBAGE, MEMBER, REMOVED; and the
 * prefix of all families that begin so. */
static inline void store_key_number(struct store_key *k, enum store_tag tag,
                                    uint64_t number)
{
    store_key_start(k, tag);
    store_key_add64(k, number);
}
#define STORE_KEY_NUMBER_BYTES 9u

static inline void store_key_result(struct store_key *k, uint64_t session,
                                    uint64_t sequence)
{
    store_key_number(k, STORE_TAG_RESULT, session);
    store_key_add16(k, (uint16_t)(sequence % STORE_RESULT_SLOTS));
}

static inline void store_key_name(struct store_key *k, uint64_t parent,
                                  struct command_name name)
{
    px_assert(name.size <= PX_NAME_BYTES_MAX);
    store_key_number(k, STORE_TAG_NAME, parent);
    memcpy(k->bytes + k->size, name.data, name.size);
    k->size += name.size;
}

static inline void store_key_entry(struct store_key *k, uint64_t parent,
                                   uint64_t cookie)
{
    store_key_number(k, STORE_TAG_ENTRY, parent);
    store_key_add64(k, cookie);
}

static inline void store_key_extent(struct store_key *k, uint64_t inode,
                                    uint32_t extent)
{
    store_key_number(k, STORE_TAG_EXTENT, inode);
    store_key_add32(k, extent);
}

static inline void store_key_chunk(struct store_key *k, uint64_t data,
                                   uint32_t chunk)
{
    store_key_number(k, STORE_TAG_CHUNK, data);
    store_key_add32(k, chunk);
}

/* The number behind the tag of a key that has one. */
static inline uint64_t store_key_first(const uint8_t *key)
{
    uint64_t be;

    memcpy(&be, key + 1, sizeof be);
    return be64toh(be);
}

/* The second number of an ENTRY's key. */
static inline uint64_t store_key_second(const uint8_t *key)
{
    uint64_t be;

    memcpy(&be, key + STORE_KEY_NUMBER_BYTES, sizeof be);
    return be64toh(be);
}

/* The second number of an EXTENT's or CHUNK's key. */
static inline uint32_t store_key_second32(const uint8_t *key)
{
    uint32_t be;

    memcpy(&be, key + STORE_KEY_NUMBER_BYTES, sizeof be);
    return be32toh(be);
}

#endif
