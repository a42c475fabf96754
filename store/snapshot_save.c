/* From the state to a snapshot: one walk over one view, in blocks.
 *
 *   view ─▶ records of a block ─▶ compress ─▶ write        for each block
 *   foot ─▶ end the view ─▶ sync ─▶ rename ─▶ sync_dir ─▶ remove older ones
 *
 * Between blocks, and only there, the save looks up: is it cancelled (as it may
 * be before it begins), has the database grown too much because of it, does the
 * applier wait for it? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mutant.h"
#include "raft/config.h"
#include "store/hash.h"
#include "store/snapshot.h"
#include "store/snapshot_folder.h"
#include "store/snapshot_format.h"
#include "store/state_core.h"

/* Fast: a snapshot is made often, and read seldom. */
#define ZSTD_LEVEL 1
/* Flushed so often, so that the last flush has little left to do: a long one
 * would make those of the log wait, on the same disk. */
#define SYNC_BYTES (UINT64_C(8) * PX_MIB)
/* See store_snapshot_save. */
#define GROWTH_BYTES_MIN (UINT64_C(64) * PX_MIB)
#define RESTARTS_MAX 2

#define NAME_NEW "snapshot" STORE_SNAPSHOT_UNFINISHED

/* Why a walk ends before its end, to begin anew. */
enum restart {
    RESTART_NO,
    RESTART_GROWN,  /* the database, because of it */
    RESTART_IN_WAY, /* of the applier, whose map has to grow */
};

struct saving {
    const struct store_snapshot_save_options *options;
    struct store_state *state;
    struct store_view *view;
    ZSTD_CCtx *zstd;
    uint8_t *records; /* of the block that is filled */
    uint8_t *packed;  /* the block as it is written */

    int file;
    bool may_restart; /* for RESTART_GROWN */
    bool leaves_reserve;
    enum restart restart;
    uint64_t database_bytes; /* when the walk began */
    uint64_t synced;         /* offset up to which the file was flushed */
    uint64_t hashes;         /* the sum of the records' */
    struct snapshot_head head;
    struct snapshot_block
        block;                 /* being filled; its offset is the file's end */
    struct snapshot_foot foot; /* what has been written so far */
};

/* ---- Writing ---- */

static int write_at(struct saving *s, void *data, size_t size, uint64_t offset)
{
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct store_disk *d = s->options->disk;

    return d->write(d, s->file, &iov, 1, offset);
}

/* Who the members are, as of the view. A node that was added, and has not come
 * to the entry that says so, does not know, and nobody could begin with what it
 * would write. */
static int find_config(struct saving *s, struct raft_config *config_out)
{
    struct raft_config_at at = {.config = s->options->config};
    struct raft_config_at applied;

    if (store_config_load(&s->view->kv, &applied) &&
        !px_mutant(CONFIG_OF_SNAPSHOT_GIVEN))
        at = applied;
    if (s->view->kv.rc < 0)
        return s->view->kv.rc;
    *config_out = at.config;
    return raft_config_voters(&at.config) > 0 ? 0 : -EAGAIN;
}

static int write_head(struct saving *s)
{
    uint8_t bytes[SNAPSHOT_HEAD_BYTES];
    struct raft_config config;
    int rc = find_config(s, &config);

    if (rc < 0)
        return rc;
    s->head = (struct snapshot_head){
        .state_format = s->view->meta.format,
        .stamp = s->options->stamp,
        .pos = {.term = s->view->meta.applied_term,
                .index = s->view->meta.applied_index},
        .config = config,
    };
    snapshot_head_encode(&s->head, bytes);
    s->block = (struct snapshot_block){.chain = s->head.checksum,
                                       .offset = sizeof bytes};
    return write_at(s, bytes, sizeof bytes, 0);
}

static int write_foot(struct saving *s)
{
    uint8_t bytes[SNAPSHOT_FOOT_BYTES];

    s->foot.chain = s->block.chain;
    s->foot.bytes = s->block.offset + sizeof bytes;
    s->foot.blocks = s->block.number;
    snapshot_foot_encode(&s->foot, s->head.stamp, bytes);
    return write_at(s, bytes, sizeof bytes, s->block.offset);
}

static int sync_now_and_then(struct saving *s)
{
    struct store_disk *d = s->options->disk;

    if (s->block.offset - s->synced < SYNC_BYTES)
        return 0;
    s->synced = s->block.offset;
    return d->sync(d, s->file);
}

/* Writes the block that was filled, and begins the next. */
static int write_block(struct saving *s)
{
    struct snapshot_block *b = &s->block;
    size_t size = ZSTD_compressCCtx(
        s->zstd, s->packed + SNAPSHOT_BLOCK_HEAD_BYTES,
        SNAPSHOT_PACKED_BYTES_MAX, s->records, b->records_bytes, ZSTD_LEVEL);
    int rc;

    if (ZSTD_isError(size))
        return -ENOMEM; /* there is room for any result */
    b->packed_bytes = (uint32_t)size;
    snapshot_block_encode(b, s->head.stamp, s->packed);
    rc = write_at(s, s->packed, SNAPSHOT_BLOCK_HEAD_BYTES + size, b->offset);
    if (rc < 0)
        return rc;
    s->foot.records += b->records;
    s->foot.records_bytes += b->records_bytes;
    store_progress_tell(&s->options->progress, s->foot.records,
                        store_view_records(s->view));
    *b = (struct snapshot_block){.chain = b->checksum,
                                 .offset = b->offset +
                                           SNAPSHOT_BLOCK_HEAD_BYTES + size,
                                 .number = b->number + 1};
    return sync_now_and_then(s);
}

/* ---- The walk ---- */

static uint64_t database_bytes(struct saving *s)
{
    struct store_usage usage;

    store_view_usage(s->view, &usage);
    return usage.file_bytes;
}

static uint64_t room_beyond_reserve(const struct saving *s)
{
    return store_disk_room_beyond(s->options->disk, s->options->reserve_bytes);
}

/* Before anything is written. What the last one took is only a guess; one of a
 * state that has shrunk takes no more than is used. */
static int check_room(struct saving *s)
{
    uint64_t likely = s->options->likely_bytes;
    uint64_t room = room_beyond_reserve(s);
    struct store_usage usage;

    store_view_usage(s->view, &usage);
    if (likely > usage.used)
        likely = usage.used;
    s->leaves_reserve = room > 0;
    return s->leaves_reserve && room < likely ? -ENOSPC : 0;
}

static bool is_cancelled(const struct saving *s)
{
    const struct store_snapshot_save_options *o = s->options;

    return o->is_cancelled != NULL && o->is_cancelled(o->ctx);
}

/* -EAGAIN with s->restart: begin anew. */
static int look_up(struct saving *s)
{
    uint64_t most = s->database_bytes / 4;

    if (is_cancelled(s))
        return -ECANCELED;
    if (s->leaves_reserve && room_beyond_reserve(s) == 0)
        return -ENOSPC;
    if (most < GROWTH_BYTES_MIN)
        most = GROWTH_BYTES_MIN;
    if (s->may_restart && database_bytes(s) > s->database_bytes + most)
        s->restart = RESTART_GROWN;
    if (store_env_is_growing(&s->state->env))
        s->restart = RESTART_IN_WAY;
    return s->restart == RESTART_NO ? 0 : -EAGAIN;
}

/* The state is known to be damaged from now on: nobody else may ever look there.
 */
static int damaged(struct saving *s)
{
    store_kv_fail(&s->view->kv, -PX_ECORRUPT);
    return s->view->kv.rc;
}

static int add_record(struct saving *s, const MDB_val *key,
                      const MDB_val *value)
{
    struct snapshot_block *b = &s->block;
    size_t size;
    int rc;

    if (!snapshot_record_is_sound(key, value) ||
        (store_key_tag(key) == STORE_TAG_CHUNK &&
         !store_chunk_is_sound(key, value)))
        return damaged(s);
    size = snapshot_record_pack(s->records, b->records_bytes, key, value);
    if (size == 0) {
        rc = write_block(s);
        if (rc == 0)
            rc = look_up(s);
        if (rc < 0)
            return rc;
        size = snapshot_record_pack(s->records, 0, key, value);
        px_assert(size > 0); /* a block holds any record */
    }
    b->records_bytes += (uint32_t)size;
    b->records++;
    s->hashes += store_record_hash(key, value);
    return 0;
}

/* Of a mutant alone: goes on behind the same key, in what is the state now. */
static void look_anew(struct saving *s, MDB_val *key, MDB_val *value)
{
    struct store_key at = {.size = key->mv_size};

    memcpy(at.bytes, key->mv_data, at.size);
    store_view_end(s->view);
    if (store_view_begin(s->view) == 0)
        (void)store_kv_first(&s->view->kv, &at, 0, key, value);
}

static int walk(struct saving *s)
{
    struct store_kv *kv = &s->view->kv;
    struct store_key from;
    MDB_val key, value;
    int rc = 0;

    store_key_start(&from, STORE_TAG_META);
    for (bool more = store_kv_first(kv, &from, 0, &key, &value);
         more && rc == 0; more = store_kv_next(kv, &from, 0, &key, &value)) {
        rc = add_record(s, &key, &value);
        if (px_mutant(SNAPSHOT_OF_TWO_VIEWS) && s->block.records == 1)
            look_anew(s, &key, &value);
    }
    if (rc == 0)
        rc = kv->rc;
    if (rc == 0)
        rc = write_block(s); /* META is there, so it is not empty */
    if (rc == 0 && s->hashes != s->view->meta.hashes)
        rc = damaged(s);
    return rc;
}

/* ---- One attempt ---- */

/* Everything that needs the view. */
static int write_all(struct saving *s)
{
    raft_index ignored;
    int rc;

    s->synced = 0;
    s->hashes = 0;
    s->foot = (struct snapshot_foot){0};
    s->database_bytes = database_bytes(s);
    if (s->view->meta.applied_index == 0)
        return -EINVAL;
    store_view_state_hash(s->view, &ignored, &s->foot.state_hash);
    rc = s->options->reserve_bytes > 0 ? check_room(s) : 0;
    if (rc == 0)
        rc = write_head(s);
    if (rc == 0)
        rc = walk(s);
    return rc < 0 ? rc : write_foot(s);
}

static int attempt(struct saving *s)
{
    struct store_disk *d = s->options->disk;
    int rc;

    rc = d->open(d, NAME_NEW, STORE_DISK_WRITE | STORE_DISK_CREATE);
    if (rc < 0)
        return rc;
    s->file = rc;
    rc = store_view_begin(s->view);
    if (rc == 0) {
        rc = write_all(s);
        store_view_end(s->view);
    }
    if (rc == 0 && !px_mutant(SNAPSHOT_NOT_SYNCED))
        rc = d->sync(d, s->file);
    d->close(d, s->file);
    return rc;
}

static int attempts(struct saving *s)
{
    int restarts = 0;
    int rc;

    do {
        s->may_restart = restarts < RESTARTS_MAX;
        s->restart = RESTART_NO;
        rc = is_cancelled(s) ? -ECANCELED : attempt(s);
        restarts += s->restart == RESTART_GROWN ? 1 : 0;
    } while (s->restart != RESTART_NO);
    return rc;
}

/* ---- The whole ---- */

static int make_final(struct saving *s)
{
    struct store_disk *d = s->options->disk;
    char name[STORE_SNAPSHOT_NAME_BYTES];
    int rc;

    store_snapshot_name(s->head.pos.index, name);
    rc = d->rename(d, NAME_NEW, name);
    if (rc == 0 && !px_mutant(RENAME_NOT_SYNCED))
        rc = d->sync_dir(d);
    if (rc == 0)
        rc = store_snapshot_remove_below(d, s->head.pos.index);
    return rc;
}

static int saving_init(struct saving *s)
{
    s->zstd = ZSTD_createCCtx();
    s->records = malloc(SNAPSHOT_RECORDS_BYTES_MAX);
    s->packed = malloc(SNAPSHOT_BLOCK_BYTES_MAX);
    if (s->zstd == NULL || s->records == NULL || s->packed == NULL)
        return -ENOMEM;
    return store_view_new(s->state, &s->view);
}

static void saving_fini(struct saving *s)
{
    store_view_free(s->view);
    free(s->packed);
    free(s->records);
    (void)ZSTD_freeCCtx(s->zstd); /* never fails; NULL is accepted */
}

int store_snapshot_save(struct store_state *state,
                        const struct store_snapshot_save_options *options,
                        struct store_snapshot_info *info_out)
{
    struct saving s = {.options = options, .state = state};
    struct store_disk *d = options->disk;
    int rc = saving_init(&s);

    if (rc == 0) {
        rc = attempts(&s);
        if (rc == 0)
            rc = make_final(&s);
        else
            (void)d->remove(d, NAME_NEW); /* find does it else */
    }
    saving_fini(&s);
    if (rc < 0)
        return rc;
    *info_out = (struct store_snapshot_info){
        .pos = s.head.pos,
        .config = s.head.config,
        .bytes = s.foot.bytes,
        .state_hash = s.foot.state_hash,
    };
    return 0;
}
