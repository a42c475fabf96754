/* Folders of states: state/1/, state/2/, ... and state/new/, which is built.
 * See storage.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/note.h"
#include "node/evidence.h"
#include "node/progress.h"
#include "node/storage_core.h"

#define STATE_PATH_BYTES (PATH_MAX + 16)
#define BUILDING "new" /* a state, until it is whole */

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

static int open_at(const struct storage *s, const char *path,
                   enum storage_trust trust, struct store_state **state_out,
                   enum store_state_origin *origin_out, char *why,
                   size_t why_size)
{
    struct progress progress;
    const struct store_state_options options = {
        .dir = path,
        .boot_id = s->options.boot_id,
        .verify = trust == STORAGE_VERIFY,
        .progress = progress_begin(&progress, "checks the state"),
        .distrust = trust == STORAGE_DISTRUST};

    return store_state_open(&options, state_out, origin_out, why, why_size);
}

int storage_open_newest(struct storage *s, enum storage_trust trust,
                        enum store_state_origin *origin_out, char *why,
                        size_t why_size)
{
    char path[STATE_PATH_BYTES];
    int rc = each_folder(s, take_if_higher);

    if (rc < 0)
        return storage_say(why, why_size, s->options.state_dir, rc);
    if (s->generation == 0)
        s->generation = 1;
    number_path(s, s->generation, path);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return storage_say(why, why_size, path, -errno);
    return open_at(s, path, trust, &s->state, origin_out, why, why_size);
}

int storage_open_empty(struct storage *s, char *why, size_t why_size)
{
    char path[STATE_PATH_BYTES];
    enum store_state_origin origin;

    store_state_abandon(s->state);
    s->state = NULL;
    number_path(s, s->generation, path);
    return open_at(s, path, STORAGE_DISTRUST, &s->state, &origin, why,
                   why_size);
}

struct building {
    const struct storage *s;
    const _Atomic bool *is_cancelled; /* that of the job; NULL: there is none */
    struct progress progress;
};

static bool on_progress(void *ctx, uint64_t done, uint64_t bytes)
{
    struct building *b = ctx;

    if (atomic_load(&b->s->is_cancelled) ||
        (b->is_cancelled != NULL && atomic_load(b->is_cancelled)))
        return false;
    progress_tell(&b->progress, done, bytes);
    return true;
}

int storage_remove_old(struct storage *s)
{
    atomic_store(&s->is_loaded, false);
    store_state_abandon(s->loaded); /* one that was no news */
    s->loaded = NULL;
    return each_folder(s, remove_if_old);
}

int storage_clean(struct storage *s, raft_index newest)
{
    int rc = storage_remove_old(s);

    if (rc == 0)
        rc = store_snapshot_remove_below(s->options.snapshot_disk, newest);
    if (rc < 0)
        px_note(PX_NOTE_WARN, "store: what was replaced is not removed: %s",
                px_strerror(rc));
    return rc;
}

bool storage_make_room(struct storage *s)
{
    int rc = evidence_drop(s->options.state_dir);

    if (rc > 0)
        px_note(PX_NOTE_WARN, "store: a wrong state that was kept is removed: "
                              "there is no room");
    return rc > 0;
}

/* Of the kernel's calls and LMDB's, which don't go through a disk of ours. */
static int full_err(const struct storage *s, int rc)
{
    return store_disk_full_err(s->options.snapshot_disk, rc);
}

static int try_build(struct storage *s, struct raft_pos pos,
                     const _Atomic bool *is_cancelled, char *why,
                     size_t why_size)
{
    struct building building = {s, is_cancelled, {0}};
    char name[STORE_SNAPSHOT_NAME_BYTES];
    char path[STATE_PATH_BYTES];
    enum store_state_origin origin;
    int rc;

    progress_begin(&building.progress, "builds the state from a snapshot");
    rc = storage_remove_old(s);
    if (rc < 0)
        return storage_say(why, why_size, s->options.state_dir, rc);
    store_snapshot_name(pos.index, name);
    state_path(s, BUILDING, path);
    if (mkdir(path, 0700) < 0)
        return storage_say(why, why_size, path, full_err(s, -errno));
    rc = store_snapshot_load(s->options.snapshot_disk, name, s->options.cluster,
                             path, s->options.boot_id, on_progress, &building,
                             why, why_size);
    if (rc == 0)
        rc =
            open_at(s, path, STORAGE_TRUST, &s->loaded, &origin, why, why_size);
    if (rc < 0)
        return full_err(s, rc);
    px_assert(store_state_applied(s->loaded).index == pos.index);
    atomic_store(&s->is_loaded, true);
    return 0;
}

int storage_build(struct storage *s, struct raft_pos pos,
                  const _Atomic bool *is_cancelled, char *why, size_t why_size)
{
    int rc = try_build(s, pos, is_cancelled, why, why_size);

    if (rc == -ENOSPC && storage_make_room(s))
        rc = try_build(s, pos, is_cancelled, why, why_size);
    return rc;
}

/* Nothing is synced: a machine that goes down now trusts neither folder. */
int storage_take_place(struct storage *s)
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
    atomic_store(&s->is_loaded, false);
    s->generation++;
    return 0;
}

int storage_drop_state(struct storage *s)
{
    char path[STATE_PATH_BYTES];

    store_state_abandon(s->state);
    s->state = NULL;
    number_path(s, s->generation, path);
    return remove_files(path);
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

int storage_adopt(struct storage *s)
{
    int rc = put_aside(s);

    return rc < 0 ? rc : storage_take_place(s);
}
