/* See snapshot_read.h. Every size is compared with its limit, and with what is
 * left of the file, before it is used; memory is that of one block. */
#include "store/snapshot_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "raft/config.h"
#include "store/apply.h"
#include "store/hash.h"
#include "store/say.h"
#include "store/snapshot_folder.h"

/* ---- What is wrong ---- */

static int say_corrupt(const struct snapshot_reader *r, uint64_t offset,
                       const char *what)
{
    return store_say(r->why, -PX_ECORRUPT,
                     "snapshot %s is damaged at offset %" PRIu64 ": %s",
                     r->name, offset, what);
}

static int say_failed(const struct snapshot_reader *r, int rc)
{
    return store_say(r->why, rc, "snapshot %s: %s", r->name, px_strerror(rc));
}

/* Reads all of @size bytes: the file's length says that they are there. */
static int read_all(const struct snapshot_reader *r, void *data, size_t size,
                    uint64_t offset)
{
    ssize_t got = r->disk->read(r->disk, r->file, data, size, offset);

    if (got < 0)
        return say_failed(r, (int)got);
    if ((size_t)got < size)
        return say_corrupt(r, offset, "the file ends here");
    return 0;
}

/* ---- Head and foot ---- */

static int read_head(struct snapshot_reader *r, uint64_t stamp)
{
    uint8_t bytes[SNAPSHOT_HEAD_BYTES];
    raft_index index;
    int rc = read_all(r, bytes, sizeof bytes, 0);

    if (rc < 0)
        return rc;
    rc = snapshot_head_decode(bytes, &r->head);
    if (rc == -PX_EFORMAT)
        return store_say(r->why, rc,
                         "snapshot %s is in a format that this program does "
                         "not know",
                         r->name);
    if (rc < 0)
        return say_corrupt(r, 0, "it does not begin with a snapshot's head");
    if (r->head.stamp != stamp)
        return store_say(r->why, -PX_ECLUSTER,
                         "snapshot %s belongs to another cluster", r->name);
    if (r->head.state_format != STORE_STATE_FORMAT)
        return store_say(r->why, -PX_EFORMAT,
                         "snapshot %s holds a state of format %" PRIu32
                         ", this program knows %u",
                         r->name, r->head.state_format, STORE_STATE_FORMAT);
    if (snapshot_name_parse(r->name, &index) && index != r->head.pos.index)
        return say_corrupt(r, 0, "it is the snapshot of another index");
    r->chain = r->head.checksum;
    r->offset = SNAPSHOT_HEAD_BYTES;
    return 0;
}

static int read_foot(struct snapshot_reader *r, uint64_t file_bytes)
{
    uint8_t bytes[SNAPSHOT_FOOT_BYTES];
    uint64_t offset = file_bytes - sizeof bytes;
    int rc = read_all(r, bytes, sizeof bytes, offset);

    if (rc < 0)
        return rc;
    if (snapshot_foot_decode(bytes, r->head.stamp, &r->foot) < 0)
        return say_corrupt(r, offset, "it does not end with a foot");
    if (r->foot.bytes != file_bytes)
        return say_corrupt(r, offset, "the foot is of another length of file");
    return 0;
}

static int read_ends(struct snapshot_reader *r, uint64_t stamp)
{
    uint64_t bytes;
    int rc = r->disk->size(r->disk, r->file, &bytes);

    if (rc < 0)
        return say_failed(r, rc);
    if (bytes < SNAPSHOT_HEAD_BYTES + SNAPSHOT_FOOT_BYTES)
        return say_corrupt(r, bytes, "the file is too short");
    rc = read_head(r, stamp);
    return rc < 0 ? rc : read_foot(r, bytes);
}

int snapshot_reader_open(struct snapshot_reader *r, struct store_disk *disk,
                         const char *name, uint64_t stamp, bool only_ends,
                         struct px_text *why)
{
    int rc;

    *r = (struct snapshot_reader){
        .disk = disk, .name = name, .why = why, .file = -1};
    rc = disk->open(disk, name, STORE_DISK_READ);
    if (rc < 0)
        return say_failed(r, rc);
    r->file = rc;
    rc = read_ends(r, stamp);
    if (rc == 0 && !only_ends) {
        r->zstd = ZSTD_createDCtx();
        r->block = malloc(SNAPSHOT_BLOCK_BYTES_MAX);
        r->records = malloc(SNAPSHOT_RECORDS_BYTES_MAX);
        if (r->zstd == NULL || r->block == NULL || r->records == NULL)
            rc = say_failed(r, -ENOMEM);
    }
    if (rc < 0)
        snapshot_reader_close(r);
    return rc;
}

void snapshot_reader_close(struct snapshot_reader *r)
{
    if (r->file >= 0)
        r->disk->close(r->disk, r->file);
    r->file = -1;
    (void)ZSTD_freeDCtx(r->zstd); /* never fails; NULL is accepted */
    free(r->block);
    free(r->records);
    r->zstd = NULL;
    r->block = r->records = NULL;
}

void snapshot_reader_info(const struct snapshot_reader *r,
                          struct store_snapshot_info *info_out)
{
    *info_out = (struct store_snapshot_info){
        .pos = r->head.pos,
        .config = r->head.config,
        .bytes = r->foot.bytes,
        .state_hash = r->foot.state_hash,
    };
}

/* ---- A block ---- */

static int read_block(struct snapshot_reader *r, struct snapshot_block *b)
{
    uint64_t left = r->foot.bytes - SNAPSHOT_FOOT_BYTES - r->offset;
    int rc;

    if (left < SNAPSHOT_BLOCK_HEAD_BYTES)
        return say_corrupt(r, r->offset, "there is no room for a block");
    rc = read_all(r, r->block, SNAPSHOT_BLOCK_HEAD_BYTES, r->offset);
    if (rc < 0)
        return rc;
    if (snapshot_block_decode(r->block, b) < 0 ||
        b->packed_bytes > left - SNAPSHOT_BLOCK_HEAD_BYTES)
        return say_corrupt(r, r->offset, "no block has such sizes");
    rc = read_all(r, r->block + SNAPSHOT_BLOCK_HEAD_BYTES, b->packed_bytes,
                  r->offset + SNAPSHOT_BLOCK_HEAD_BYTES);
    if (rc < 0)
        return rc;
    if (!snapshot_block_is_sound(b, r->head.stamp, r->block))
        return say_corrupt(r, r->offset, "the block's checksum is wrong");
    if (b->chain != r->chain || b->offset != r->offset ||
        b->number != r->blocks)
        return say_corrupt(r, r->offset, "the block is another one");
    return 0;
}

static int unpack_block(struct snapshot_reader *r,
                        const struct snapshot_block *b)
{
    size_t size = ZSTD_decompressDCtx(
        r->zstd, r->records, SNAPSHOT_RECORDS_BYTES_MAX,
        r->block + SNAPSHOT_BLOCK_HEAD_BYTES, b->packed_bytes);

    if (ZSTD_isError(size) || size != b->records_bytes)
        return say_corrupt(r, r->offset, "the block can't be decompressed");
    r->records_bytes = size;
    return 0;
}

/* ---- Records ---- */

/* A key that lies behind the one before. */
static bool is_in_order(const struct store_key *last, const MDB_val *key)
{
    size_t common = last->size < key->mv_size ? last->size : key->mv_size;
    int order = memcmp(last->bytes, key->mv_data, common);

    return order < 0 || (order == 0 && last->size < key->mv_size);
}

static const char *take_record(struct snapshot_reader *r, const MDB_val *key,
                               const MDB_val *value)
{
    if (!snapshot_record_is_sound(key, value))
        return "no record has such sizes";
    if (!is_in_order(&r->last_key, key))
        return "a record is out of order";
    if (store_key_tag(key) == STORE_TAG_CHUNK &&
        !store_chunk_is_sound(key, value))
        return "a chunk's hash is wrong";
    if (store_key_tag(key) == STORE_TAG_META)
        memcpy(&r->meta, value->mv_data, sizeof r->meta);
    if (store_key_tag(key) == STORE_TAG_CONFIG &&
        !store_config_parse(value, &r->config))
        return "a configuration is none";
    r->hashes += store_record_hash(key, value);
    memcpy(r->last_key.bytes, key->mv_data, key->mv_size);
    r->last_key.size = key->mv_size;
    return NULL;
}

static int take_records(struct snapshot_reader *r,
                        const struct snapshot_block *b)
{
    size_t at = 0;
    uint32_t count = 0;
    MDB_val key, value;

    while (at < r->records_bytes) {
        size_t size = snapshot_record_unpack(r->records, r->records_bytes, at,
                                             &key, &value);
        const char *wrong = size == 0 ? "a record goes beyond its block"
                                      : take_record(r, &key, &value);

        if (wrong != NULL)
            return say_corrupt(r, r->offset, wrong);
        at += size;
        count++;
    }
    if (count != b->records)
        return say_corrupt(r, r->offset, "the block's count is wrong");
    return 0;
}

/* ---- All of it ---- */

/* Two that say the same, in the same order, are the same bytes. */
static bool is_same(const struct raft_config *a, const struct raft_config *b)
{
    uint8_t bytes_a[RAFT_CONFIG_BYTES_MAX];
    uint8_t bytes_b[RAFT_CONFIG_BYTES_MAX];
    size_t size = raft_config_encode(a, bytes_a);

    return raft_config_encode(b, bytes_b) == size &&
           memcmp(bytes_a, bytes_b, size) == 0;
}

/* Who was not told of a member by an entry was told by the head alone. */
static bool is_config_right(const struct snapshot_reader *r)
{
    return r->config.index == 0 ||
           (r->config.index <= r->head.pos.index &&
            is_same(&r->config.config, &r->head.config));
}

static int check_sums(const struct snapshot_reader *r)
{
    const struct snapshot_foot *f = &r->foot;
    const struct meta_record *m = &r->meta;
    const char *wrong = NULL;

    if (f->chain != r->chain || f->blocks != r->blocks ||
        f->records != r->records_seen ||
        f->records_bytes != r->records_bytes_seen)
        wrong = "the foot is that of other blocks";
    else if (m->format != STORE_STATE_FORMAT ||
             m->applied_index != r->head.pos.index ||
             m->applied_term != r->head.pos.term)
        wrong = "the state is not at the position that the head says";
    else if (m->hashes != r->hashes || store_meta_hash(m) != f->state_hash ||
             m->hash != f->state_hash)
        wrong = "the state's hash is wrong";
    else if (!is_config_right(r))
        wrong = "the head's members are not the state's";
    return wrong == NULL ? 0 : say_corrupt(r, r->offset, wrong);
}

int snapshot_reader_next(struct snapshot_reader *r)
{
    struct snapshot_block b;
    int rc;

    px_assert(r->records != NULL);
    if (r->offset == r->foot.bytes - SNAPSHOT_FOOT_BYTES)
        return check_sums(r);
    rc = read_block(r, &b);
    if (rc == 0)
        rc = unpack_block(r, &b);
    if (rc == 0)
        rc = take_records(r, &b);
    if (rc < 0)
        return rc;
    r->offset += SNAPSHOT_BLOCK_HEAD_BYTES + b.packed_bytes;
    r->chain = b.checksum;
    r->blocks++;
    r->records_seen += b.records;
    r->records_bytes_seen += b.records_bytes;
    return 1;
}
