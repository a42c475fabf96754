/* From a snapshot to a database: every block is one transaction, appended to
 * the table's end, because records come in the order of their keys. Nothing is
 * synced until all of it is there and checked; then the database, its name, and
 * last the note that says so (boot.h). What an interrupted load leaves has no
 * note, and is not believed.
 *
 * Verify is the same walk without the database. */
#include <dirent.h>
#include <errno.h>

#include "base/err.h"
#include "store/boot.h"
#include "store/env.h"
#include "store/say.h"
#include "store/snapshot_read.h"

/* ---- A block to a transaction ---- */

static int append_records(const struct snapshot_reader *r, MDB_cursor *cursor)
{
    MDB_val key, value;
    size_t at = 0;
    int rc = 0;

    while (at < r->records_bytes && rc == 0) {
        size_t size = snapshot_record_unpack(r->records, r->records_bytes, at,
                                             &key, &value);

        px_assert(size > 0); /* snapshot_reader_next has been here */
        rc = mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
        at += size;
    }
    return rc;
}

/* Returns what LMDB says. */
static int try_append(const struct snapshot_reader *r, struct store_env *env)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->lmdb, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, env->dbi, &cursor);
    if (rc == 0)
        rc = append_records(r, cursor);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn); /* and the cursor with it */
    return rc;
}

static int append_block(const struct snapshot_reader *r, struct store_env *env)
{
    int rc = try_append(r, env);

    while (rc == MDB_MAP_FULL) {
        rc = store_env_grow(env);
        if (rc < 0)
            return rc;
        rc = try_append(r, env);
    }
    return store_err(rc);
}

/* ---- Durable ---- */

/* The names of the database's files first: a note vouches for them. */
static int note_clean(const char *dir, const char *boot_id)
{
    struct store_boot note = {.is_clean = true};
    struct store_disk *disk;
    int rc;

    if (strlen(boot_id) > STORE_BOOT_ID_BYTES_MAX)
        return -EINVAL;
    memcpy(note.id, boot_id, strlen(boot_id));
    rc = store_disk_open(dir, &disk);
    if (rc < 0)
        return rc;
    rc = disk->sync_dir(disk);
    if (rc == 0)
        rc = store_boot_write(disk, &note);
    store_disk_close(disk);
    return rc;
}

/* ---- Load ---- */

struct loading {
    struct snapshot_reader reader;
    struct store_env env;
    bool (*progress)(void *ctx, uint64_t done, uint64_t bytes);
    void *ctx;
};

/* Reads and appends everything, and has it on the disk. A failure that the
 * reader has no word for is returned with an empty sentence. */
static int fill(struct loading *l)
{
    struct snapshot_reader *r = &l->reader;
    int rc;

    for (;;) {
        rc = snapshot_reader_next(r);
        if (rc == 0)
            return store_disk_full_err(r->disk, store_env_sync(&l->env));
        if (rc > 0)
            rc = store_disk_full_err(r->disk, append_block(r, &l->env));
        if (rc < 0)
            return rc;
        if (l->progress != NULL &&
            !l->progress(l->ctx, r->offset, r->foot.bytes))
            return -ECANCELED;
    }
}

static int build(struct loading *l, const char *dir, const char *boot_id)
{
    int rc = store_env_open(&l->env, dir, 0);

    if (rc < 0)
        return rc;
    rc = fill(l);
    store_env_close(&l->env);
    if (rc == 0)
        rc = note_clean(dir, boot_id);
    if (rc < 0)
        (void)store_env_remove(dir); /* without a note it is nothing anyway */
    return rc;
}

/* A database that is there must not be appended to, nor removed on an error;
 * and a note of another one would vouch for what an interrupted load leaves. */
static int check_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int rc = 0;

    if (d == NULL)
        return -errno;
    errno = 0;
    while (rc == 0 && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = -ENOTEMPTY;
    if (rc == 0)
        rc = -errno;
    (void)closedir(d); /* was only looked at */
    return rc;
}

int store_snapshot_load(struct store_disk *disk, const char *name,
                        uint64_t stamp, const char *dir, const char *boot_id,
                        bool (*progress)(void *ctx, uint64_t done,
                                         uint64_t bytes),
                        void *ctx, char *why, size_t why_size)
{
    struct loading l = {.progress = progress, .ctx = ctx};
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    rc = check_empty(dir);
    if (rc == 0)
        rc = snapshot_reader_open(&l.reader, disk, name, stamp, false, &text);
    if (rc == 0) {
        rc = build(&l, dir, boot_id);
        snapshot_reader_close(&l.reader);
    }
    if (rc < 0 && text.used == 0)
        return store_say(&text, rc, "loading snapshot %s into %s: %s", name,
                         dir, px_strerror(rc));
    return rc;
}

/* ---- Verify ---- */

int store_snapshot_verify(struct store_disk *disk, const char *name,
                          uint64_t stamp, const struct store_progress *progress,
                          struct store_snapshot_info *info_out, char *why,
                          size_t why_size)
{
    struct snapshot_reader r;
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    rc = snapshot_reader_open(&r, disk, name, stamp, false, &text);
    if (rc < 0)
        return rc;
    do {
        rc = snapshot_reader_next(&r);
        if (rc > 0 && progress != NULL)
            store_progress_tell(progress, r.offset, r.foot.bytes);
    } while (rc > 0);
    if (rc == 0)
        snapshot_reader_info(&r, info_out);
    snapshot_reader_close(&r);
    return rc;
}
