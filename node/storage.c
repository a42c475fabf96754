#include "node/storage.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/evidence.h"
#include "node/progress.h"
#include "node/storage_core.h"

#define LOG_STAMP_MIX UINT64_C(0x9e3779b97f4a7c15)
#define BAD_SNAPSHOT "damaged.bad"
#define STANDING "standing" /* the index of a snapshot that stands in */
#define STANDING_NEW "standing.new"
#define STANDING_BYTES 32

int storage_say(char *why, size_t why_size, const char *what, int rc)
{
    (void)snprintf(why, why_size, "%s: %s", what, px_strerror(rc));
    return rc;
}

static bool has_snapshot(const struct storage *s)
{
    return s->snapshot.pos.index > 0;
}

/* ---- A snapshot that stands in ---- */

/* Of an ordinary snapshot that the log does not hold, the start believes that it
 * was installed, and the log begins anew behind it. Of this one it must not, in
 * whatever start: so it is noted before the snapshot is made, until the log is
 * known to be sound, or noted as faulty. */
static int note_standing(struct storage *s)
{
    char text[STANDING_BYTES];
    int size =
        snprintf(text, sizeof text, "%llu\n",
                 (unsigned long long)store_state_applied(s->state).index);

    return store_disk_replace(s->options.snapshot_disk, STANDING, STANDING_NEW,
                              text, (size_t)size);
}

static int load_standing(struct storage *s)
{
    char text[STANDING_BYTES] = "";
    ssize_t size = store_disk_load(s->options.snapshot_disk, STANDING, text,
                                   sizeof text - 1);

    s->is_base_applied = size > 0 && s->snapshot.pos.index > 0 &&
                         strtoull(text, NULL, 10) == s->snapshot.pos.index;
    return size >= 0 || size == -ENOENT ? 0 : (int)size;
}

static int forget_standing(struct storage *s)
{
    struct store_disk *d = s->options.snapshot_disk;
    int rc = d->remove(d, STANDING);

    if (rc == 0)
        rc = d->sync_dir(d);
    return rc == -ENOENT ? 0 : rc;
}

/* ---- At the start ---- */

static int find_snapshot(struct storage *s, char *why, size_t why_size)
{
    int rc = store_snapshot_find(s->options.snapshot_disk, s->options.cluster,
                                 &s->snapshot, why, why_size);

    if (why[0] != '\0' && (rc == 0 || rc == -ENOENT)) {
        px_note(PX_NOTE_WARN, "snapshot: passed over: %s", why);
        s->is_snapshot_lost = true;
    }
    if (rc == -ENOENT)
        s->snapshot = (struct store_snapshot_info){0};
    if (rc < 0 && rc != -ENOENT)
        return rc;
    rc = load_standing(s);
    return rc < 0 ? storage_say(why, why_size, STANDING, rc) : 0;
}

static int rebuild(struct storage *s, char *why, size_t why_size)
{
    int rc = storage_drop_state(s);

    if (rc < 0)
        return storage_say(why, why_size, s->options.state_dir, rc);
    rc = storage_build(s, s->snapshot.pos, NULL, why, why_size);
    s->is_snapshot_bad = rc == -PX_ECORRUPT;
    if (rc < 0)
        return rc;
    rc = storage_take_place(s);
    return rc < 0 ? storage_say(why, why_size, s->options.state_dir, rc) : 0;
}

static int open_state(struct storage *s, char *why, size_t why_size)
{
    enum store_state_origin origin;
    int rc = evidence_read(s->options.state_dir, &s->divergence, &s->heir);

    if (rc < 0)
        return storage_say(why, why_size, s->options.state_dir, rc);
    rc = storage_open_newest(
        s, s->options.distrust_state ? STORAGE_DISTRUST : STORAGE_VERIFY,
        &origin, why, why_size);
    if (rc < 0)
        return rc;
    s->is_rebuilt = origin == STORE_STATE_DISTRUSTED;
    s->is_state_whole = origin == STORE_STATE_KEPT && s->divergence.index == 0;
    if (s->is_rebuilt)
        px_note(PX_NOTE_WARN, "store: state is rebuilt: %s", why);
    return origin != STORE_STATE_KEPT && has_snapshot(s)
               ? rebuild(s, why, why_size)
               : 0;
}

/* Makes a snapshot of the state, for what is lost beside it. -EAGAIN: who the
 * members are is not known. */
static int stand_in(struct storage *s, char *why, size_t why_size)
{
    struct progress progress;
    const struct store_snapshot_save_options options = {
        .disk = s->options.snapshot_disk,
        .stamp = s->options.cluster,
        .config = has_snapshot(s) ? s->snapshot.config : s->options.initial,
        .progress = progress_begin(&progress, "makes a snapshot of the state"),
    };
    int rc = store_snapshot_save(s->state, &options, &s->snapshot);

    if (rc == -ENOSPC && storage_make_room(s))
        rc = store_snapshot_save(s->state, &options, &s->snapshot);
    if (rc < 0)
        return storage_say(why, why_size, "a snapshot can't be made", rc);
    s->is_snapshot_lost = false;
    px_note(PX_NOTE_WARN,
            "store: the state stands in for what is damaged: applied=%llu/%llu",
            (unsigned long long)s->snapshot.pos.term,
            (unsigned long long)s->snapshot.pos.index);
    return 0;
}

static int replace_snapshot(struct storage *s, char *why, size_t why_size)
{
    int rc = note_standing(s);

    if (rc < 0)
        return storage_say(why, why_size, STANDING, rc);
    rc = stand_in(s, why, why_size);
    s->is_base_applied = rc == 0;
    return rc == -EAGAIN ? 0 : rc;
}

/* The log may begin behind a snapshot that is lost, but at or before what the
 * state has applied. */
static int mend_snapshot(struct storage *s, char *why, size_t why_size)
{
    if (!s->is_snapshot_lost || !s->is_state_whole ||
        store_state_applied(s->state).index <= s->snapshot.pos.index)
        return 0;
    return replace_snapshot(s, why, why_size);
}

/* The state is marked as wrong, and the snapshot that is to take its place has
 * come: the process ended before it did, perhaps without room for both. Only the
 * one that the mark names is known to be the leader's, and not made of the wrong
 * state. */
static bool has_heir(const struct storage *s)
{
    return s->heir > 0 && s->heir == s->snapshot.pos.index;
}

/* Log and state are about to make way for the snapshot: is all of it there? Where
 * the state is marked as wrong, the log is not. */
static int check_snapshot(struct storage *s, char *why, size_t why_size)
{
    char name[STORE_SNAPSHOT_NAME_BYTES];
    struct store_snapshot_info ignored;
    struct progress progress;
    struct store_progress tell;
    int rc;

    if (store_state_applied(s->state).index >= s->snapshot.pos.index &&
        !has_heir(s))
        return 0;
    store_snapshot_name(s->snapshot.pos.index, name);
    tell = progress_begin(&progress, "checks the snapshot");
    rc = store_snapshot_verify(s->options.snapshot_disk, name,
                               s->options.cluster, &tell, &ignored, why,
                               why_size);
    s->is_snapshot_bad = rc == -PX_ECORRUPT;
    return rc;
}

/* The mark stays until the new state is in place. */
static int take_heir(struct storage *s, char *why, size_t why_size)
{
    int rc;

    if (!has_heir(s))
        return 0;
    px_note(PX_NOTE_WARN,
            "store: the state is wrong, and made anew of the leader's: "
            "index=%llu",
            (unsigned long long)s->snapshot.pos.index);
    rc = rebuild(s, why, why_size);
    if (rc < 0)
        return rc;
    rc = evidence_forget(s->options.state_dir);
    if (rc < 0)
        return storage_say(why, why_size, s->options.state_dir, rc);
    s->divergence = (struct replica_divergence){0};
    s->heir = 0;
    s->is_rebuilt = true;
    return 0;
}

/* @is_state_whole: see log.h. */
static int try_log(struct storage *s, bool is_state_whole, char *why,
                   size_t why_size)
{
    struct progress progress;
    const struct store_log_options options = {
        .disk = s->options.log_disk,
        .term_disk = s->options.term_disk,
        .is_begun = s->options.is_begun,
        .is_repaired = true,
        .dir = s->options.log_dir,
        .stamp = s->options.cluster ^ s->options.id * LOG_STAMP_MIX,
        .base = s->snapshot.pos,
        .is_base_applied = s->is_base_applied,
        .is_state_whole = is_state_whole,
        .segment_bytes = s->options.segment_bytes,
        .applied = store_state_applied(s->state).index,
        .progress = progress_begin(&progress, "reads the log"),
    };

    return store_log_open(&options, &s->log, why, why_size);
}

/* Nothing says that there was a snapshot but the log, which begins behind it. */
static int open_log(struct storage *s, char *why, size_t why_size)
{
    int rc = try_log(s, s->is_state_whole, why, why_size);

    if (rc == -ENODATA && s->is_state_whole) {
        px_note(PX_NOTE_WARN, "snapshot: missing: %s", why);
        rc = replace_snapshot(s, why, why_size);
        if (rc == 0)
            rc = try_log(s, false, why, why_size);
    }
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

/* The state can't be used, although the log needs it. */
static int give_up_state(struct storage *s, char *why, size_t why_size)
{
    struct raft_pos applied = store_state_applied(s->state);

    px_note(PX_NOTE_WARN,
            "store: state is rebuilt: the log has lost what it rests on: "
            "applied=%llu/%llu",
            (unsigned long long)applied.term,
            (unsigned long long)applied.index);
    s->is_rebuilt = true;
    if (has_snapshot(s))
        return rebuild(s, why, why_size);
    return storage_open_empty(s, why, why_size);
}

/* What a damaged log does not hold any more, or what it holds otherwise, the
 * state has applied, so it is committed: the log begins anew behind that. It is
 * noted as faulty by now. */
static int mend_log(struct storage *s, char *why, size_t why_size)
{
    struct raft_pos applied = store_state_applied(s->state);
    int rc;

    if (s->found.fault == NULL || store_log_info_holds(&s->found, applied) ||
        applied.index < s->found.base.index)
        return 0;
    rc = s->is_state_whole ? stand_in(s, why, why_size) : -EAGAIN;
    if (rc == -EAGAIN)
        return give_up_state(s, why, why_size);
    if (rc < 0)
        return rc;
    store_log_close(s->log);
    s->log = NULL;
    return open_log(s, why, why_size);
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

/* What was found to be wrong was applied, and had been in the log. A mark that
 * names anything else, where the log is as it was, is damaged: nobody has a state
 * of that index to give, and it is as good as one that can't be understood. */
static void check_mark(struct storage *s)
{
    raft_index index = s->divergence.index;

    if (s->found.fault == NULL && index > s->found.last &&
        index > store_state_applied(s->state).index)
        s->divergence = (struct replica_divergence){.index = 1};
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
        rc = mend_snapshot(s, why, why_size);
    if (rc == 0)
        rc = check_snapshot(s, why, why_size);
    if (rc == 0)
        rc = take_heir(s, why, why_size);
    if (rc == 0)
        rc = open_log(s, why, why_size);
    if (rc == 0)
        rc = mend_log(s, why, why_size);
    if (rc == 0)
        rc = catch_up_with_log(s, why, why_size);
    if (rc == 0)
        rc = check_applied(s, why, why_size);
    if (rc == 0)
        check_mark(s);
    return rc;
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
    s->is_snapshot_lost = true;
    store_snapshot_name(s->snapshot.pos.index, name);
    rc = d->rename(d, name, BAD_SNAPSHOT);
    if (rc == 0)
        rc = d->sync_dir(d);
    return rc < 0 ? storage_say(why, why_size, name, rc) : 0;
}

int storage_open(struct storage *s, const struct storage_options *options,
                 char *why, size_t why_size)
{
    int rc = copy_options(s, options);

    why[0] = '\0';
    if (rc < 0) {
        (void)storage_say(why, why_size, options->state_dir, rc);
        goto fail;
    }
    rc = open_parts(s, why, why_size);
    while (rc == -PX_ECORRUPT && s->is_snapshot_bad) { /* each time one less */
        close_parts(s);
        rc = give_up_snapshot(s, why, why_size);
        if (rc == 0)
            rc = open_parts(s, why, why_size);
    }
    if (rc == 0 && (rc = forget_standing(s)) < 0)
        (void)storage_say(why, why_size, STANDING, rc);
    if (rc < 0)
        goto fail;
    (void)storage_clean(s, s->snapshot.pos.index); /* has noted why, if not */
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

/* The configuration at the log's base is that of the newest snapshot, which is
 * at the base or behind it: one that came into force between the two is still
 * in the log, and comes with the others; a cut never brings back the one before,
 * because what a snapshot covers is committed. */
void storage_to_raft(const struct storage *s, struct raft_options *raft)
{
    if (has_snapshot(s))
        raft->config = s->snapshot.config;
    raft->configs = s->found.configs;
    raft->config_count = s->found.config_count;
    raft->hard = s->found.hard;
    raft->base = s->found.base;
    raft->runs = s->found.runs;
    raft->run_count = s->found.run_count;
    raft->last = s->found.last;
    raft->is_faulty = s->found.fault != NULL;
    raft->applied = store_state_applied(s->state).index;
    if (px_mutant(REPLAY_LATE) && raft->applied < raft->last)
        raft->applied++;
}

int storage_note_loss(struct storage *s, raft_index index)
{
    return store_log_note_loss(s->log, index);
}

int storage_recovered(struct storage *s)
{
    int rc = store_log_recovered(s->log);

    if (rc > 0)
        px_note(PX_NOTE_INFO, "log: whole again");
    return rc < 0 ? rc : 0;
}
