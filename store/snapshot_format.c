/* To bytes and back, as drawn in snapshot_format.h. */
#include "store/snapshot_format.h"

#include <xxhash.h>
#include <zstd.h>

#include "base/err.h"
#include "raft/config.h"
#include "store/hash.h"

#define HEAD_MAGIC UINT64_C(0x485350414e535850) /* "PXSNAPSH", as on disk */
#define FOOT_MAGIC UINT64_C(0x444550414e535850) /* "PXSNAPED" */

static_assert(ZSTD_COMPRESSBOUND(SNAPSHOT_RECORDS_BYTES_MAX) <=
                  SNAPSHOT_PACKED_BYTES_MAX,
              "room for what can't be compressed");

/* As they lie on disk: no gaps, every field little-endian, as this machine's
 * are (key_format.h asserts it). */
struct member_bytes {
    uint64_t id;
    uint32_t role;
    uint32_t zeros;
};

struct head_bytes {
    uint64_t checksum;
    uint64_t magic;
    uint32_t version;
    uint32_t state_format;
    uint64_t stamp;
    uint64_t term;
    uint64_t index;
    uint32_t members_count;
    uint8_t zeros[12];
    struct member_bytes members[RAFT_MEMBERS_MAX];
    uint8_t more_zeros[SNAPSHOT_HEAD_BYTES - 64 - 16 * RAFT_MEMBERS_MAX];
};
static_assert(sizeof(struct head_bytes) == SNAPSHOT_HEAD_BYTES, "as drawn");

struct block_bytes {
    uint64_t checksum;
    uint64_t chain;
    uint64_t offset;
    uint32_t number;
    uint32_t records;
    uint32_t records_bytes;
    uint32_t packed_bytes;
};
static_assert(sizeof(struct block_bytes) == SNAPSHOT_BLOCK_HEAD_BYTES,
              "as drawn");

struct foot_bytes {
    uint64_t checksum;
    uint64_t magic;
    uint64_t chain;
    uint64_t bytes;
    uint64_t records;
    uint64_t records_bytes;
    uint32_t blocks;
    uint32_t zeros;
    uint64_t state_hash;
};
static_assert(sizeof(struct foot_bytes) == SNAPSHOT_FOOT_BYTES, "as drawn");

/* Of everything behind the checksum itself. */
static uint64_t checksum_of(const void *bytes, size_t size, uint64_t stamp)
{
    const size_t own = sizeof(uint64_t);

    return XXH3_64bits_withSeed((const uint8_t *)bytes + own, size - own,
                                stamp);
}

/* ---- The head ---- */

void snapshot_head_encode(struct snapshot_head *h, uint8_t *out)
{
    struct head_bytes b = {
        .magic = HEAD_MAGIC,
        .version = SNAPSHOT_FORMAT_VERSION,
        .state_format = h->state_format,
        .stamp = h->stamp,
        .term = h->pos.term,
        .index = h->pos.index,
        .members_count = (uint32_t)h->config.count,
    };

    px_assert(h->config.count <= RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < h->config.count; i++) {
        b.members[i].id = h->config.members[i].id;
        b.members[i].role = h->config.members[i].role;
    }
    h->checksum = checksum_of(&b, sizeof b, h->stamp);
    b.checksum = h->checksum;
    memcpy(out, &b, sizeof b);
}

static int config_decode(const struct head_bytes *b, struct raft_config *c)
{
    *c = (struct raft_config){.count = b->members_count};
    if (b->members_count > RAFT_MEMBERS_MAX)
        return -PX_ECORRUPT;
    for (size_t i = 0; i < c->count; i++) {
        const struct member_bytes *m = &b->members[i];

        if (m->role != RAFT_VOTER && m->role != RAFT_LEARNER)
            return -PX_ECORRUPT;
        c->members[i] = (struct raft_member){
            .id = m->id,
            .role = m->role == RAFT_VOTER ? RAFT_VOTER : RAFT_LEARNER};
    }
    return raft_config_is_sound(c) && raft_config_voters(c) > 0 ? 0
                                                                : -PX_ECORRUPT;
}

int snapshot_head_decode(const uint8_t *in, struct snapshot_head *h)
{
    struct raft_config config;
    struct head_bytes b;
    int rc;

    memcpy(&b, in, sizeof b);
    if (b.magic != HEAD_MAGIC ||
        b.checksum != checksum_of(&b, sizeof b, b.stamp))
        return -PX_ECORRUPT;
    if (b.version != SNAPSHOT_FORMAT_VERSION)
        return -PX_EFORMAT;
    rc = config_decode(&b, &config);
    if (rc < 0)
        return rc;
    *h = (struct snapshot_head){
        .state_format = b.state_format,
        .stamp = b.stamp,
        .pos = {.term = b.term, .index = b.index},
        .config = config,
        .checksum = b.checksum,
    };
    return 0;
}

/* ---- A block ---- */

void snapshot_block_encode(struct snapshot_block *b, uint64_t stamp,
                           uint8_t *block)
{
    struct block_bytes bytes = {
        .chain = b->chain,
        .offset = b->offset,
        .number = b->number,
        .records = b->records,
        .records_bytes = b->records_bytes,
        .packed_bytes = b->packed_bytes,
    };

    memcpy(block, &bytes, sizeof bytes);
    b->checksum =
        checksum_of(block, SNAPSHOT_BLOCK_HEAD_BYTES + b->packed_bytes, stamp);
    memcpy(block, &b->checksum, sizeof b->checksum);
}

int snapshot_block_decode(const uint8_t *in, struct snapshot_block *b)
{
    struct block_bytes bytes;

    memcpy(&bytes, in, sizeof bytes);
    if (bytes.records == 0 || bytes.records_bytes == 0 ||
        bytes.records_bytes > SNAPSHOT_RECORDS_BYTES_MAX ||
        bytes.packed_bytes == 0 ||
        bytes.packed_bytes > SNAPSHOT_PACKED_BYTES_MAX)
        return -PX_ECORRUPT;
    *b = (struct snapshot_block){
        .chain = bytes.chain,
        .offset = bytes.offset,
        .number = bytes.number,
        .records = bytes.records,
        .records_bytes = bytes.records_bytes,
        .packed_bytes = bytes.packed_bytes,
        .checksum = bytes.checksum,
    };
    return 0;
}

bool snapshot_block_is_sound(const struct snapshot_block *b, uint64_t stamp,
                             const uint8_t *block)
{
    return b->checksum ==
           checksum_of(block, SNAPSHOT_BLOCK_HEAD_BYTES + b->packed_bytes,
                       stamp);
}

/* ---- The foot ---- */

void snapshot_foot_encode(const struct snapshot_foot *f, uint64_t stamp,
                          uint8_t *out)
{
    struct foot_bytes b = {
        .magic = FOOT_MAGIC,
        .chain = f->chain,
        .bytes = f->bytes,
        .records = f->records,
        .records_bytes = f->records_bytes,
        .blocks = f->blocks,
        .state_hash = f->state_hash,
    };

    b.checksum = checksum_of(&b, sizeof b, stamp);
    memcpy(out, &b, sizeof b);
}

int snapshot_foot_decode(const uint8_t *in, uint64_t stamp,
                         struct snapshot_foot *f)
{
    struct foot_bytes b;

    memcpy(&b, in, sizeof b);
    if (b.magic != FOOT_MAGIC || b.zeros != 0 ||
        b.checksum != checksum_of(&b, sizeof b, stamp))
        return -PX_ECORRUPT;
    *f = (struct snapshot_foot){
        .chain = b.chain,
        .bytes = b.bytes,
        .records = b.records,
        .records_bytes = b.records_bytes,
        .blocks = b.blocks,
        .state_hash = b.state_hash,
    };
    return 0;
}

/* ---- Records ---- */

struct record_head {
    uint16_t key_size;
    uint16_t value_size;
};
static_assert(sizeof(struct record_head) == SNAPSHOT_RECORD_HEAD_BYTES,
              "as drawn");

size_t snapshot_record_pack(uint8_t *records, size_t used, const MDB_val *key,
                            const MDB_val *value)
{
    struct record_head head = {.key_size = (uint16_t)key->mv_size,
                               .value_size = (uint16_t)value->mv_size};
    size_t size = sizeof head + key->mv_size + value->mv_size;

    px_assert(snapshot_record_is_sound(key, value));
    if (size > SNAPSHOT_RECORDS_BYTES_MAX - used)
        return 0;
    records += used;
    memcpy(records, &head, sizeof head);
    memcpy(records + sizeof head, key->mv_data, key->mv_size);
    if (value->mv_size > 0)
        memcpy(records + sizeof head + key->mv_size, value->mv_data,
               value->mv_size);
    return size;
}

size_t snapshot_record_unpack(const uint8_t *records, size_t size, size_t at,
                              MDB_val *key, MDB_val *value)
{
    struct record_head head;

    if (size - at < sizeof head)
        return 0;
    memcpy(&head, records + at, sizeof head);
    at += sizeof head;
    if (size - at < (size_t)head.key_size + head.value_size)
        return 0;
    /* LMDB's interface lacks const; nothing is written through these. */
    *key = (MDB_val){.mv_size = head.key_size,
                     .mv_data = (void *)(uintptr_t)(records + at)};
    *value =
        (MDB_val){.mv_size = head.value_size,
                  .mv_data = (void *)(uintptr_t)(records + at + head.key_size)};
    return sizeof head + key->mv_size + value->mv_size;
}

/* The sizes of a family's keys and values, both ends included. */
struct shape {
    size_t key_min, key_max, value_min, value_max;
};

#define NUMBER STORE_KEY_NUMBER_BYTES
#define SAME(key, value)       \
    {                          \
        key, key, value, value \
    }

static const struct shape shapes[] = {
    [STORE_TAG_META] = SAME(1, sizeof(struct meta_record)),
    [STORE_TAG_SESSION] = {NUMBER, NUMBER, sizeof(struct session_record) + 1,
                           sizeof(struct session_record) +
                               PX_NODE_ID_BYTES_MAX},
    [STORE_TAG_RESULT] = SAME(NUMBER + 2, sizeof(struct result_record)),
    [STORE_TAG_INODE] = SAME(NUMBER, sizeof(struct inode_record)),
    [STORE_TAG_NAME] = {NUMBER + 1, NUMBER + PX_NAME_BYTES_MAX,
                        sizeof(struct name_record), sizeof(struct name_record)},
    [STORE_TAG_ENTRY] = {NUMBER + 8, NUMBER + 8,
                         sizeof(struct entry_record) + 1,
                         sizeof(struct entry_record) + PX_NAME_BYTES_MAX},
    [STORE_TAG_EXTENT] = SAME(NUMBER + 4, sizeof(struct extent_record)),
    [STORE_TAG_CHUNK] = {NUMBER + 4, NUMBER + 4, STORE_CHUNK_HASH_BYTES + 1,
                         STORE_CHUNK_HASH_BYTES + STORE_CHUNK_BYTES},
    [STORE_TAG_ORPHAN] = {NUMBER, NUMBER, 0,
                          PX_SESSIONS_MAX * sizeof(uint64_t)},
    [STORE_TAG_GARBAGE] = SAME(NUMBER, sizeof(struct garbage_record)),
    [STORE_TAG_CONFIG] = {1, 1, sizeof(struct config_record) + 1,
                          sizeof(struct config_record) + RAFT_CONFIG_BYTES_MAX},
    [STORE_TAG_MEMBER] = {NUMBER, NUMBER, sizeof(struct member_record) + 1,
                          sizeof(struct member_record) + PX_NODE_ID_BYTES_MAX +
                              PX_ADDRESS_BYTES_MAX},
    [STORE_TAG_REMOVED] = {NUMBER, NUMBER, sizeof(struct removed_record),
                           sizeof(struct removed_record) +
                               PX_NODE_ID_BYTES_MAX},
    [STORE_TAG_REMOVED_NAME] = {2, 1 + PX_NODE_ID_BYTES_MAX, sizeof(raft_id),
                                sizeof(raft_id)},
};

bool snapshot_record_is_sound(const MDB_val *key, const MDB_val *value)
{
    size_t tag = store_key_tag(key);
    const struct shape *s;

    if (tag == 0 || tag >= sizeof shapes / sizeof shapes[0])
        return false;
    s = &shapes[tag];
    return key->mv_size >= s->key_min && key->mv_size <= s->key_max &&
           value->mv_size >= s->value_min && value->mv_size <= s->value_max;
}
