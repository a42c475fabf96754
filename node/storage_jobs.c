/* What takes long, while the loop goes on: saving and loading, pieces of
 * snapshots. See storage.h. */
#include <errno.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/evidence.h"
#include "node/storage_core.h"

/* A snapshot, until it is whole. */
#define ARRIVING "arriving" STORE_SNAPSHOT_UNFINISHED
/* What arrives is flushed so often: one flush of all of it, at its end, would
 * make those of the log wait, on the same disk. */
#define SYNC_BYTES ((uint64_t)8 * PX_MIB)

void storage_cancel(struct storage *s)
{
    atomic_store(&s->is_cancelled, true);
}

struct saving {
    struct storage *s;
    struct replica_snapshot_job *job;
};

static bool is_cancelled(void *ctx)
{
    const struct saving *saving = ctx;

    return atomic_load(&saving->s->is_cancelled) ||
           atomic_load(&saving->job->is_cancelled);
}

/* The log stops for want of a segment's room at the latest: with as much, and
 * a little for the state, nothing here waits for any. */
static uint64_t reserve_bytes(const struct storage *s)
{
    uint64_t segment = s->options.segment_bytes > 0 ? s->options.segment_bytes
                                                    : STORE_LOG_SEGMENT_BYTES;

    return segment + STORE_DISK_FULL_BYTES;
}

uint64_t storage_snapshot_room(const struct storage *s)
{
    return store_disk_room_beyond(s->options.snapshot_disk, reserve_bytes(s));
}

static int save(struct storage *s, struct replica_snapshot_job *job)
{
    struct saving saving = {s, job};
    const struct store_snapshot_save_options options = {
        .disk = s->options.snapshot_disk,
        .stamp = s->options.cluster,
        .config = job->info.config,
        .reserve_bytes = reserve_bytes(s),
        .likely_bytes = job->info.bytes,
        .is_cancelled = is_cancelled,
        .ctx = &saving,
    };
    int rc = storage_remove_old(s); /* where CLEAN has failed */

    if (rc == 0)
        rc = store_snapshot_save(s->state, &options, &job->info);
    if (rc == -ENOSPC && storage_make_room(s))
        rc = store_snapshot_save(s->state, &options, &job->info);
    if (rc < 0 && rc != -ECANCELED) /* nobody waits for it any more */
        px_note(PX_NOTE_WARN, "snapshot: not made: %s", px_strerror(rc));
    if (rc == 0)
        px_note(PX_NOTE_INFO, "snapshot: made: index=%llu bytes=%llu",
                (unsigned long long)job->info.pos.index,
                (unsigned long long)job->info.bytes);
    return rc;
}

static int read_piece(struct storage *s, struct replica_snapshot_job *job)
{
    struct store_disk *d = s->options.snapshot_disk;
    struct px_buf *buf = px_buf_new(job->size);
    char name[STORE_SNAPSHOT_NAME_BYTES];
    ssize_t n;
    int file;

    if (buf == NULL)
        return -ENOMEM;
    job->data = px_slice_of(buf, 0, job->size);
    store_snapshot_name(job->info.pos.index, name);
    file = d->open(d, name, STORE_DISK_READ);
    if (file < 0)
        return file; /* replaced by a newer one */
    n = d->read(d, file, buf->data, job->size, job->offset);
    d->close(d, file);
    if (n < 0)
        return (int)n;
    return (size_t)n == job->size ? 0 : -PX_ECORRUPT;
}

/* Does a piece that ends here make the file longer by another step? */
static bool is_sync_due(const struct replica_snapshot_job *job)
{
    uint64_t end = job->offset + job->data.size;

    return job->offset / SYNC_BYTES != end / SYNC_BYTES ||
           end == job->info.bytes;
}

/* At its beginning, of all of it: what can't fit is not sent again and again. */
static uint64_t room_needed(const struct replica_snapshot_job *job)
{
    return job->offset == 0 ? job->info.bytes : job->data.size;
}

/* The file stays open for its flush. */
static int put_piece(const struct storage *s,
                     const struct replica_snapshot_job *job, int *file_out)
{
    struct iovec iov = {(void *)(uintptr_t)job->data.data, job->data.size};
    struct store_disk *d = s->options.snapshot_disk;
    unsigned how = STORE_DISK_WRITE;
    int rc = -ENOSPC;
    int file;

    if (job->offset == 0)
        how |= STORE_DISK_CREATE;
    file = d->open(d, ARRIVING, how);
    if (file < 0)
        return file; /* -ENOENT: it was dropped */
    if (storage_snapshot_room(s) >= room_needed(job))
        rc = d->write(d, file, &iov, 1, job->offset);
    if (rc < 0)
        d->close(d, file);
    else
        *file_out = file;
    return rc;
}

/* A flush that fails, be it for want of room, may have lost pieces before this
 * one, and the next would not say so: it is not tried again, but all of it comes
 * again, and finds the room. */
static int write_piece(struct storage *s,
                       const struct replica_snapshot_job *job)
{
    struct store_disk *d = s->options.snapshot_disk;
    int file;
    int rc = put_piece(s, job, &file);

    if (rc == -ENOSPC && storage_make_room(s))
        rc = put_piece(s, job, &file);
    if (rc < 0)
        return rc;
    if (is_sync_due(job) && !px_mutant(SNAPSHOT_REPLY_EARLY))
        rc = d->sync(d, file);
    d->close(d, file);
    if (rc == -ENOSPC && storage_make_room(s) && px_mutant(PIECE_FLUSHED_AGAIN))
        return write_piece(s, job);
    return rc;
}

/* Whole: checked as a whole, and named. */
static int finish_piece(struct store_disk *d, uint64_t cluster,
                        struct replica_snapshot_job *job, char *why,
                        size_t why_size)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct store_snapshot_info info;
    int rc =
        store_snapshot_verify(d, ARRIVING, cluster, NULL, &info, why, why_size);

    if (rc == 0 &&
        (info.pos.index != job->info.pos.index ||
         info.pos.term != job->info.pos.term || info.bytes != job->info.bytes))
        rc = storage_say(why, why_size, "not the one that was offered",
                         -PX_ECORRUPT);
    if (px_mutant(SNAPSHOT_UNCHECKED)) {
        info = job->info;
        rc = 0;
    }
    if (rc < 0)
        return rc;
    job->info = info;
    store_snapshot_name(info.pos.index, name);
    rc = d->rename(d, ARRIVING, name);
    if (rc == 0 && !px_mutant(RENAME_NOT_SYNCED))
        rc = d->sync_dir(d);
    return rc < 0 ? storage_say(why, why_size, name, rc) : 0;
}

int storage_drop_arriving(struct storage *s)
{
    struct store_disk *d = s->options.snapshot_disk;
    int rc = d->remove(d, ARRIVING);

    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? rc : 1;
}

/* What is refused comes again from its beginning: the file would only take
 * others' room. */
static int store_piece(struct storage *s, struct replica_snapshot_job *job)
{
    bool is_last = job->offset + job->data.size == job->info.bytes;
    char why[256] = "";
    int rc = write_piece(s, job);

    if (rc < 0)
        (void)storage_say(why, sizeof why, ARRIVING, rc);
    else if (is_last)
        rc = finish_piece(s->options.snapshot_disk, s->options.cluster, job,
                          why, sizeof why);
    if (rc == 0)
        return 0;
    px_note(PX_NOTE_WARN, "snapshot: %s: %s",
            rc == -PX_ECORRUPT ? "arrived damaged" : "can't be kept", why);
    (void)storage_drop_arriving(s); /* or the next start does */
    return rc;
}

static int load(struct storage *s, struct replica_snapshot_job *job)
{
    char why[256] = "";
    int rc = 0;

    /* Here, for the loop is to remove nothing when it adopts. And should there be
     * no room for two states, the start builds this one without the old one. */
    if (job->divergence.index > 0)
        rc = evidence_mark(s->options.state_dir, &job->divergence,
                           job->info.pos.index);
    if (rc < 0)
        return storage_say(why, sizeof why, s->options.state_dir, rc);
    rc = storage_build(s, job->info.pos, &job->is_cancelled, why, sizeof why);
    if (rc < 0 && rc != -ECANCELED)
        px_note(PX_NOTE_ERROR, "snapshot: can't be loaded: %s", why);
    return rc;
}

static int mark(struct storage *s, const struct replica_snapshot_job *job)
{
    int rc = evidence_mark(s->options.state_dir, &job->divergence, 0);

    s->divergence = job->divergence;
    if (rc < 0)
        px_note(PX_NOTE_WARN, "store: a wrong state can't be marked: %s",
                px_strerror(rc));
    return rc;
}

int storage_read(struct storage *s, raft_index first, raft_index last,
                 struct raft_entry entries[PX_BATCH_ENTRIES_MAX])
{
    raft_index left = last - first + 1;
    size_t max =
        left < PX_BATCH_ENTRIES_MAX ? (size_t)left : PX_BATCH_ENTRIES_MAX;

    return store_log_read(s->log, first, max, PX_BATCH_BYTES_MAX, entries);
}

int storage_do(struct storage *s, struct replica_snapshot_job *job)
{
    switch (job->what) {
    case REPLICA_SAVE:
        return save(s, job);
    case REPLICA_READ:
        return read_piece(s, job);
    case REPLICA_STORE:
        return store_piece(s, job);
    case REPLICA_LOAD:
        return load(s, job);
    case REPLICA_MARK:
        return mark(s, job);
    case REPLICA_CLEAN:
        return storage_clean(s, job->info.pos.index);
    }
    return -EINVAL; /* there are no others */
}
