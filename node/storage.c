#include "node/storage.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/evidence.h"

#define LOG_STAMP_MIX UINT64_C(0x9e3779b97f4a7c15)
#define STATE_PATH_BYTES (PATH_MAX + 16)
#define BUILDING "new" /* a state, until it is whole */
#define BAD_SNAPSHOT "damaged.bad"
/* A snapshot, until it is whole. */
#define ARRIVING "arriving" STORE_SNAPSHOT_UNFINISHED
/* What arrives is flushed so often: one flush of all of it, at its end, would
 * make those of the log wait, on the same disk. */
#define SYNC_BYTES ((uint64_t)8 * PX_MIB)

static int say(char *why, size_t why_size, const char *what, int rc)
{
    (void)snprintf(why, why_size, "%s: %s", what, px_strerror(rc));
    return rc;
}

/* ---- Folders of states ---- */

static void state_path(const struct storage *s, const char *name,
                       char path[STATE_PATH_BYTES])
{
    (void)snprintf(path, STATE_PATH_BYTES, "%s/%s", s->options.state_dir,
                   name); /* its length was checked at open */
}

static void number_path(const struct storage *s, unsigned generation,
                        char path[STATE_PATH_BYTES])
{
    char name[16];

    (void)snprintf(name, sizeof name, "%u", generation); /* always fits */
    state_path(s, name, path);
}

/* 0: not the name of one. */
static unsigned generation_of(const char *name)
{
    char again[16];
    unsigned long number = strtoul(name, NULL, 10);

    if (number == 0 || number >= UINT_MAX)
        return 0;
    (void)snprintf(again, sizeof again, "%lu", number); /* always fits */
    return strcmp(name, again) == 0 ? (unsigned)number : 0;
}

/* NULL: the end, or errno says why. */
static const struct dirent *next_name(DIR *dir)
{
    errno = 0; /* whatever was called meanwhile */
    return readdir(dir);
}

/* Calls @each for every name that is or was a state's; its first error ends it
 * and is returned. */
static int each_folder(struct storage *s,
                       int (*each)(struct storage *s, const char *name))
{
    DIR *dir = opendir(s->options.state_dir);
    const struct dirent *e;
    int rc = 0;

    if (dir == NULL)
        return -errno;
    while (rc == 0 && (e = next_name(dir)) != NULL) {
        if (generation_of(e->d_name) != 0 || strcmp(e->d_name, BUILDING) == 0)
            rc = each(s, e->d_name);
    }
    if (rc == 0)
        rc = -errno;
    (void)closedir(dir); /* only read */
    return rc;
}

static int take_if_higher(struct storage *s, const char *name)
{
    unsigned generation = generation_of(name);

    if (generation > s->generation)
        s->generation = generation;
    return 0;
}

static int remove_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int rc = 0;

    if (dir == NULL)
        return -errno;
    while (rc == 0 && (e = next_name(dir)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), e->d_name, 0) < 0)
            rc = -errno;
    }
    if (rc == 0)
        rc = -errno;
    (void)closedir(dir); /* only read */
    return rc;
}

/* All but the one in use. */
static int remove_if_old(struct storage *s, const char *name)
{
    char path[STATE_PATH_BYTES];
    int rc;

    if (generation_of(name) >= s->generation)
        return 0;
    state_path(s, name, path);
    rc = remove_files(path);
    if (rc == 0 && rmdir(path) < 0)
        rc = -errno;
    return rc;
}

/* ---- States ---- */

enum trust {
    TRUST,    /* it was made a moment ago */
    VERIFY,   /* look through all of it first */
    DISTRUST, /* empty it */
};

static int open_at(const struct storage *s, const char *path, enum trust trust,
                   struct store_state **state_out,
                   enum store_state_origin *origin_out, char *why,
                   size_t why_size)
{
    const struct store_state_options options = {.dir = path,
                                                .boot_id = s->options.boot_id,
                                                .verify = trust == VERIFY,
                                                .distrust = trust == DISTRUST};

    return store_state_open(&options, state_out, origin_out, why, why_size);
}

static void note_progress(void *ctx, uint64_t done, uint64_t bytes)
{
    time_t *noted = ctx;
    time_t now = time(NULL);

    if (now == *noted)
        return;
    *noted = now;
    px_note(PX_NOTE_INFO, "store: builds the state from a snapshot: %llu%%",
            (unsigned long long)(bytes > 0 ? 100 * done / bytes : 100));
}

/* Builds the state of snapshot @pos in a folder beside, and opens it there. */
static int build(struct storage *s, struct raft_pos pos, char *why,
                 size_t why_size)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    char path[STATE_PATH_BYTES];
    enum store_state_origin origin;
    time_t noted = time(NULL);
    int rc;

    store_state_abandon(s->loaded); /* one that was no news */
    s->loaded = NULL;
    rc = each_folder(s, remove_if_old);
    if (rc < 0)
        return say(why, why_size, s->options.state_dir, rc);
    store_snapshot_name(pos.index, name);
    state_path(s, BUILDING, path);
    if (mkdir(path, 0700) < 0)
        return say(why, why_size, path, -errno);
    rc = store_snapshot_load(s->options.snapshot_disk, name, s->options.cluster,
                             path, s->options.boot_id, note_progress, &noted,
                             why, why_size);
    if (rc == 0)
        rc = open_at(s, path, TRUST, &s->loaded, &origin, why, why_size);
    if (rc == 0)
        px_assert(store_state_applied(s->loaded).index == pos.index);
    return rc;
}

/* Nothing is synced: a machine that goes down now trusts neither folder. */
static int take_place(struct storage *s)
{
    char from[STATE_PATH_BYTES];
    char to[STATE_PATH_BYTES];

    px_assert(s->loaded != NULL);
    state_path(s, BUILDING, from);
    number_path(s, s->generation + 1, to);
    if (rename(from, to) < 0)
        return -errno;
    store_state_abandon(s->state);
    s->state = s->loaded;
    s->loaded = NULL;
    s->generation++;
    return 0;
}

/* After a crash right behind it there is no state, and one is built from the
 * newest snapshot: the one that the new state is of. */
static int put_aside(struct storage *s)
{
    char path[STATE_PATH_BYTES];
    raft_index index = s->divergence.index;

    if (index == 0)
        return 0;
    number_path(s, s->generation, path);
    s->divergence = (struct replica_divergence){0};
    return evidence_keep(s->options.state_dir, path, index);
}

/* The snapshots of a state that was wrong may be as wrong as it was. */
int storage_adopt(struct storage *s)
{
    bool was_wrong = s->divergence.index > 0;
    int rc = put_aside(s);

    if (rc == 0)
        rc = take_place(s);
    if (rc == 0 && was_wrong)
        rc = store_snapshot_remove_below(s->options.snapshot_disk,
                                         store_state_applied(s->state).index);
    return rc;
}

/* ---- Opening ---- */

static bool has_snapshot(const struct storage *s)
{
    return s->snapshot.pos.index > 0;
}

static int find_snapshot(struct storage *s, char *why, size_t why_size)
{
    int rc = store_snapshot_find(s->options.snapshot_disk, s->options.cluster,
                                 &s->snapshot, why, why_size);

    if (why[0] != '\0' && (rc == 0 || rc == -ENOENT))
        px_note(PX_NOTE_WARN, "snapshot: passed over: %s", why);
    if (rc == -ENOENT)
        s->snapshot = (struct store_snapshot_info){0};
    return rc == -ENOENT ? 0 : rc;
}

/* The old one has no worth any more, and the new one may need its room. */
static int drop_state(struct storage *s)
{
    char path[STATE_PATH_BYTES];

    store_state_abandon(s->state);
    s->state = NULL;
    number_path(s, s->generation, path);
    return remove_files(path);
}

static int rebuild(struct storage *s, char *why, size_t why_size)
{
    int rc = drop_state(s);

    if (rc < 0)
        return say(why, why_size, s->options.state_dir, rc);
    rc = build(s, s->snapshot.pos, why, why_size);
    s->is_snapshot_bad = rc == -PX_ECORRUPT;
    if (rc < 0)
        return rc;
    rc = take_place(s);
    return rc < 0 ? say(why, why_size, s->options.state_dir, rc) : 0;
}

static int open_state(struct storage *s, char *why, size_t why_size)
{
    char path[STATE_PATH_BYTES];
    enum store_state_origin origin;
    int rc = each_folder(s, take_if_higher);

    if (rc == 0)
        rc = evidence_read(s->options.state_dir, &s->divergence);
    if (rc < 0)
        return say(why, why_size, s->options.state_dir, rc);
    if (s->generation == 0)
        s->generation = 1;
    number_path(s, s->generation, path);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return say(why, why_size, path, -errno);
    rc = open_at(s, path, s->options.distrust_state ? DISTRUST : VERIFY,
                 &s->state, &origin, why, why_size);
    if (rc < 0)
        return rc;
    s->is_rebuilt = origin == STORE_STATE_DISTRUSTED;
    if (s->is_rebuilt)
        px_note(PX_NOTE_WARN, "store: state is rebuilt: %s", why);
    return origin != STORE_STATE_KEPT && has_snapshot(s)
               ? rebuild(s, why, why_size)
               : 0;
}

/* A state whose position a damaged log does not hold may have applied what is
 * lost, or what others have cut: nothing in the log goes on from there. */
static int doubt_state(struct storage *s, char *why, size_t why_size)
{
    struct raft_pos applied = store_state_applied(s->state);
    char path[STATE_PATH_BYTES];
    enum store_state_origin origin;

    if (s->found.fault == NULL || store_log_info_holds(&s->found, applied) ||
        applied.index < s->found.base.index)
        return 0;
    px_note(PX_NOTE_WARN,
            "store: state is rebuilt: the log has lost what it rests on: "
            "applied=%llu/%llu",
            (unsigned long long)applied.term,
            (unsigned long long)applied.index);
    s->is_rebuilt = true;
    if (has_snapshot(s))
        return rebuild(s, why, why_size);
    store_state_abandon(s->state);
    s->state = NULL;
    number_path(s, s->generation, path);
    return open_at(s, path, DISTRUST, &s->state, &origin, why, why_size);
}

/* The log begins behind what the state has: a snapshot was received and was
 * durable, but its state was not adopted. */
static int catch_up_with_log(struct storage *s, char *why, size_t why_size)
{
    if (store_state_applied(s->state).index >= s->found.base.index)
        return 0;
    px_note(PX_NOTE_INFO, "store: the log begins at a snapshot: index=%llu",
            (unsigned long long)s->found.base.index);
    return rebuild(s, why, why_size);
}

/* Only what is durable is applied, and only a snapshot may stand in for the
 * log: any other state proves that the log has lost entries, perhaps a vote. */
static int check_applied(const struct storage *s, char *why, size_t why_size)
{
    struct raft_pos applied = store_state_applied(s->state);

    if (store_log_info_holds(&s->found, applied))
        return 0;
    (void)snprintf(
        why, why_size,
        "the log in %s, of entries %llu to %llu, does not follow on "
        "entry %llu of term %llu, which the state has applied: it is "
        "damaged",
        s->options.log_dir, (unsigned long long)s->found.first,
        (unsigned long long)s->found.last, (unsigned long long)applied.index,
        (unsigned long long)applied.term);
    return -PX_ECORRUPT;
}

static int open_log(struct storage *s, char *why, size_t why_size)
{
    const struct store_log_options options = {
        .disk = s->options.log_disk,
        .term_disk = s->options.term_disk,
        .is_begun = s->options.is_begun,
        .is_repaired = true,
        .dir = s->options.log_dir,
        .stamp = s->options.cluster ^ s->options.id * LOG_STAMP_MIX,
        .base = s->snapshot.pos,
        .segment_bytes = s->options.segment_bytes,
        .applied = store_state_applied(s->state).index,
    };
    int rc = store_log_open(&options, &s->log, why, why_size);

    if (rc < 0)
        return rc;
    store_log_info(s->log, &s->found);
    if (s->found.fault != NULL)
        px_note(PX_NOTE_WARN,
                "log: faulty: %s: entries up to %llu are left, the others are "
                "asked for the rest",
                s->found.fault, (unsigned long long)s->found.last);
    if (s->found.torn_bytes > 0)
        px_note(PX_NOTE_WARN, "log: torn tail cut: bytes=%llu last=%llu",
                (unsigned long long)s->found.torn_bytes,
                (unsigned long long)s->found.last);
    return 0;
}

static int copy_options(struct storage *s, const struct storage_options *from)
{
    *s = (struct storage){.options = *from};
    s->options.log_dir = strdup(from->log_dir);
    s->options.state_dir = strdup(from->state_dir);
    s->options.boot_id = strdup(from->boot_id);
    if (s->options.log_dir == NULL || s->options.state_dir == NULL ||
        s->options.boot_id == NULL)
        return -ENOMEM;
    return strlen(from->state_dir) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_parts(struct storage *s, char *why, size_t why_size)
{
    int rc = find_snapshot(s, why, why_size);

    if (rc == 0)
        rc = open_state(s, why, why_size);
    if (rc == 0)
        rc = open_log(s, why, why_size);
    if (rc == 0)
        rc = doubt_state(s, why, why_size);
    if (rc == 0)
        rc = catch_up_with_log(s, why, why_size);
    return rc < 0 ? rc : check_applied(s, why, why_size);
}

static void close_parts(struct storage *s)
{
    int rc;

    store_state_abandon(s->loaded);
    s->loaded = NULL;
    if (s->state != NULL) {
        rc = store_state_close(s->state);
        if (rc < 0)
            px_note(PX_NOTE_WARN, "store: close: %s", px_strerror(rc));
    }
    s->state = NULL;
    store_log_close(s->log);
    s->log = NULL;
    s->found = (struct store_log_info){0};
}

/* The snapshot that a state was to be built from is damaged: an older one has to
 * do, or none. Where the log rests on this one, it has lost its beginning then,
 * and gets it from the peers. The newest of such files is kept. */
static int give_up_snapshot(struct storage *s, char *why, size_t why_size)
{
    struct store_disk *d = s->options.snapshot_disk;
    char name[STORE_SNAPSHOT_NAME_BYTES];
    int rc;

    px_note(PX_NOTE_WARN, "snapshot: given up: %s", why);
    s->is_snapshot_bad = false;
    store_snapshot_name(s->snapshot.pos.index, name);
    rc = d->rename(d, name, BAD_SNAPSHOT);
    if (rc == 0)
        rc = d->sync_dir(d);
    return rc < 0 ? say(why, why_size, name, rc) : 0;
}

int storage_open(struct storage *s, const struct storage_options *options,
                 char *why, size_t why_size)
{
    int rc = copy_options(s, options);

    why[0] = '\0';
    if (rc < 0) {
        (void)say(why, why_size, options->state_dir, rc);
        goto fail;
    }
    rc = open_parts(s, why, why_size);
    while (rc == -PX_ECORRUPT && s->is_snapshot_bad) { /* each time one less */
        close_parts(s);
        rc = give_up_snapshot(s, why, why_size);
        if (rc == 0)
            rc = open_parts(s, why, why_size);
    }
    if (rc < 0)
        goto fail;
    return 0;
fail:
    storage_close(s);
    return rc;
}

void storage_close(struct storage *s)
{
    close_parts(s);
    free((void *)(uintptr_t)s->options.log_dir); /* copies of ours */
    free((void *)(uintptr_t)s->options.state_dir);
    free((void *)(uintptr_t)s->options.boot_id);
    *s = (struct storage){0};
}

void storage_to_raft(const struct storage *s, struct raft_options *raft)
{
    raft->hard = s->found.hard;
    raft->base = s->found.base;
    raft->runs = s->found.runs;
    raft->run_count = s->found.run_count;
    raft->last = s->found.last;
    raft->is_faulty = s->found.fault != NULL;
    raft->applied = store_state_applied(s->state).index;
}

int storage_recovered(struct storage *s)
{
    int rc = store_log_recovered(s->log);

    if (rc == 0)
        px_note(PX_NOTE_INFO, "log: whole again");
    return rc;
}

/* ---- Jobs ---- */

void storage_cancel(struct storage *s)
{
    atomic_store(&s->is_cancelled, true);
}

static bool is_cancelled(void *ctx)
{
    struct storage *s = ctx;

    return atomic_load(&s->is_cancelled);
}

static int save(struct storage *s, struct replica_snapshot_job *job)
{
    const struct store_snapshot_save_options options = {
        .disk = s->options.snapshot_disk,
        .stamp = s->options.cluster,
        .config = job->info.config,
        .is_cancelled = is_cancelled,
        .ctx = s,
    };
    int rc;

    store_state_abandon(s->loaded); /* one that was no news */
    s->loaded = NULL;
    rc = each_folder(s, remove_if_old); /* what adopting left */
    if (rc == 0)
        rc = store_snapshot_save(s->state, &options, &job->info);
    if (rc < 0)
        px_note(PX_NOTE_WARN, "snapshot: not made: %s", px_strerror(rc));
    else
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

static int write_piece(struct store_disk *d,
                       const struct replica_snapshot_job *job)
{
    struct iovec iov = {(void *)(uintptr_t)job->data.data, job->data.size};
    unsigned how = STORE_DISK_WRITE;
    int file;
    int rc;

    if (job->offset == 0)
        how |= STORE_DISK_CREATE;
    file = d->open(d, ARRIVING, how);
    if (file < 0)
        return file;
    rc = d->write(d, file, &iov, 1, job->offset);
    if (rc == 0 && is_sync_due(job) && !px_mutant(SNAPSHOT_REPLY_EARLY))
        rc = d->sync(d, file);
    d->close(d, file);
    return rc;
}

/* Whole: checked as a whole, and named. */
static int finish_piece(struct store_disk *d, uint64_t cluster,
                        struct replica_snapshot_job *job)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct store_snapshot_info info;
    char why[256];
    int rc =
        store_snapshot_verify(d, ARRIVING, cluster, &info, why, sizeof why);

    if (rc == 0 &&
        (info.pos.index != job->info.pos.index ||
         info.pos.term != job->info.pos.term || info.bytes != job->info.bytes))
        rc = say(why, sizeof why, "not the one that was offered", -PX_ECORRUPT);
    if (px_mutant(SNAPSHOT_UNCHECKED)) {
        info = job->info;
        rc = 0;
    }
    if (rc < 0) {
        px_note(PX_NOTE_WARN, "snapshot: arrived damaged: %s", why);
        return rc;
    }
    job->info = info;
    store_snapshot_name(info.pos.index, name);
    rc = d->rename(d, ARRIVING, name);
    return rc < 0 || px_mutant(RENAME_NOT_SYNCED) ? rc : d->sync_dir(d);
}

static int store_piece(struct storage *s, struct replica_snapshot_job *job)
{
    struct store_disk *d = s->options.snapshot_disk;
    bool is_last = job->offset + job->data.size == job->info.bytes;
    int rc = write_piece(d, job);

    if (rc < 0) {
        px_note(PX_NOTE_WARN, "snapshot: can't be kept: %s", px_strerror(rc));
        return rc;
    }
    return is_last ? finish_piece(d, s->options.cluster, job) : 0;
}

static int load(struct storage *s, struct replica_snapshot_job *job)
{
    char why[256] = "";
    int rc;

    rc = build(s, job->info.pos, why, sizeof why);
    if (rc < 0 && rc != -ENOSPC) /* then it is waited for */
        px_note(PX_NOTE_ERROR, "snapshot: can't be loaded: %s", why);
    return rc;
}

static int mark(struct storage *s, const struct replica_snapshot_job *job)
{
    int rc = evidence_mark(s->options.state_dir, &job->divergence);

    s->divergence = job->divergence;
    if (rc < 0)
        px_note(PX_NOTE_WARN, "store: a wrong state can't be marked: %s",
                px_strerror(rc));
    return rc;
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
    }
    return -EINVAL; /* there are no others */
}
