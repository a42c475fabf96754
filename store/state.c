/* Opening and closing the state: may what is on disk be believed?
 *
 *   note (boot.h)   database   ─▶ origin
 *   none            none          NEW
 *   clean           any           KEPT
 *   dirty, ours     any           KEPT: the process died, the cache did not
 *   dirty, another  any           DISTRUSTED: the machine went down
 *   looking         any           as dirty
 *   closing         there         DISTRUSTED: its sync failed, or was cut short
 *   damaged         there         DISTRUSTED: records had changed on the disk,
 *                                 or could not be written
 *   none, damaged   there         DISTRUSTED
 *   an older format there         DISTRUSTED
 *   a newer format  of a known    DISTRUSTED: the note is damaged
 *   a newer format  any other     refused, and nothing is touched
 *
 * Distrusted files are removed before anything else happens; the log brings
 * everything back. So does a database that LMDB itself refuses to open, or whose
 * records, looked at one by one where that is asked for, are not what was
 * written. While they are looked at the note says looking, or damaged where it
 * said looking before: should LMDB crash on what it finds twice, nobody looks
 * again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/boot.h"
#include "store/hash.h"
#include "store/state_core.h"

#define ROOT_MODE (S_IFDIR | 0755u)

/* ---- What the note says ---- */

/* 1: there is a database; 0: there is none. */
static int database_exists(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int rc = 1;

    if (fd < 0)
        return -errno;
    if (fstatat(fd, "data.mdb", &st, 0) < 0)
        rc = errno == ENOENT ? 0 : -errno;
    (void)close(fd); /* was only looked at */
    return rc;
}

/* Why the files are not to be believed; NULL if they are. */
static const char *doubt(const struct store_state_options *options, int note_rc,
                         const struct store_boot *note)
{
    if (options->distrust && !px_mutant(DISTRUST_IGNORED))
        return "told to distrust the state";
    if (note_rc == -ENOENT)
        return px_mutant(STATE_KEPT_BEHIND)
                   ? NULL
                   : "the database has no note of its boot";
    if (note_rc < 0 && note->format > 0)
        return "it is in the format of an older program";
    if (note_rc < 0)
        return "the note of the last boot can't be read";
    if (note->is_damaged)
        return "damaged records were found in it, or it could not be written";
    if (note->is_closing)
        return "its close did not get all of it to the disk";
    if (!note->is_clean && strcmp(note->id, options->boot_id) != 0 &&
        !px_mutant(BOOT_ID_IGNORED))
        return "the machine went down without a clean close";
    return NULL;
}

static int refuse_format(uint32_t format, char *why, size_t why_size)
{
    (void)snprintf(why, why_size,
                   "the state has format %u, this program knows %u", format,
                   STORE_STATE_FORMAT); /* may be cut */
    return -PX_EFORMAT;
}

/* Does the database say, under its checksum, that it is in no newer format? */
static bool has_known_format(const char *dir)
{
    struct store_env env;
    struct store_kv kv = {0};
    struct meta_record meta = {0};
    bool is_known = false;

    if (store_env_look(&env, dir) < 0)
        return false;
    kv.dbi = env.dbi;
    if (mdb_txn_begin(env.lmdb, NULL, MDB_RDONLY, &kv.txn) == 0) {
        is_known =
            store_meta_load(&kv, &meta) && meta.format <= STORE_STATE_FORMAT;
        mdb_txn_abort(kv.txn);
    }
    store_env_close(&env);
    return is_known;
}

/* A newer program's note is there before its database is, and no database of
 * ours is by then: one that is shows that the note is damaged. It has no
 * checksum of its own, which each later format would have to keep. (Nothing is
 * noted of this look: should LMDB crash on what it finds, it does at each start.)
 */
static int read_note(struct store_state *s, bool exists,
                     struct store_boot *note_out)
{
    int rc = store_boot_read(s->disk, note_out);

    if (rc != -PX_EFORMAT || !exists || !has_known_format(s->dir))
        return rc;
    *note_out = (struct store_boot){0};
    return -PX_ECORRUPT;
}

static int judge(struct store_state *s,
                 const struct store_state_options *options,
                 struct store_boot *note, enum store_state_origin *origin_out,
                 char *why, size_t why_size)
{
    const char *reason;
    int exists = database_exists(options->dir);
    int note_rc;

    if (exists < 0)
        return exists;
    note_rc = read_note(s, exists > 0, note);
    if (note_rc == -PX_EFORMAT)
        return refuse_format(note->format, why, why_size);
    *origin_out = STORE_STATE_NEW;
    if (exists == 0)
        return 0;
    *origin_out = STORE_STATE_KEPT;
    reason = doubt(options, note_rc, note);
    if (reason == NULL)
        return 0;
    *origin_out = STORE_STATE_DISTRUSTED;
    (void)snprintf(why, why_size, "%s", reason); /* may be cut */
    return store_env_remove(options->dir);
}

/* ---- The database ---- */

/* An empty state: no time, no sessions, and a root that root owns. */
static int format_database(struct store_state *s)
{
    struct inode root = {
        .number = STORE_ROOT_INODE,
        .rec = {.mode = ROOT_MODE,
                .links = 2,
                .dir = {.parent = STORE_ROOT_INODE,
                        .next_cookie = STORE_COOKIE_MIN}},
    };
    int rc = store_apply_begin(s);

    if (rc < 0)
        return rc;
    s->apply.meta = (struct meta_record){.format = STORE_STATE_FORMAT,
                                         .next_session = 1,
                                         .next_data = STORE_INODE_MIN,
                                         .inodes = 1};
    s->apply.sessions.count = 0;
    store_inode_save(&s->apply.kv, &root);
    return store_apply_commit(s);
}

static bool is_empty(struct store_kv *kv)
{
    struct store_key key;
    MDB_val ignored;

    store_key_start(&key, STORE_TAG_META);
    return !store_kv_get(kv, &key, &ignored) && kv->rc == 0;
}

/* Meta and sessions, or that there are none yet. */
static int load_database(struct store_state *s, bool *is_empty_out)
{
    struct apply *a = &s->apply;
    struct store_kv kv = {.dbi = s->env.dbi};
    int rc = mdb_txn_begin(s->env.lmdb, NULL, MDB_RDONLY, &kv.txn);

    if (rc != 0)
        return store_err(rc);
    *is_empty_out = is_empty(&kv);
    if (!*is_empty_out && store_meta_load(&kv, &a->meta))
        store_sessions_load(&kv, &a->sessions);
    if (kv.cursor != NULL)
        mdb_cursor_close(kv.cursor);
    mdb_txn_abort(kv.txn);
    return kv.rc;
}

static int check_format(const struct store_state *s, char *why, size_t why_size)
{
    if (s->apply.meta.format == STORE_STATE_FORMAT)
        return 0;
    return refuse_format(s->apply.meta.format, why, why_size);
}

static int open_database(struct store_state *s, uint64_t map_bytes, char *why,
                         size_t why_size)
{
    bool empty;
    int rc = store_env_open(&s->env, s->dir, map_bytes);

    if (rc == 0)
        rc = load_database(s, &empty);
    if (rc == 0 && empty)
        rc = format_database(s);
    if (rc == 0)
        rc = check_format(s, why, why_size);
    if (rc < 0) {
        store_env_close(&s->env);
        return rc;
    }
    s->applied = (struct raft_pos){.term = s->apply.meta.applied_term,
                                   .index = s->apply.meta.applied_index};
    s->hash = store_meta_hash(&s->apply.meta);
    return 0;
}

/* -PX_ECORRUPT: what it holds is not what was written. */
static int verify(struct store_state *s, const struct store_progress *progress)
{
    struct store_view *view = NULL;
    uint64_t hash = 0;
    int rc = store_view_new(s, &view);

    if (rc == 0)
        rc = store_view_begin(view);
    if (rc == 0) {
        rc = store_view_walk(view, progress, &hash);
        store_view_end(view);
    }
    store_view_free(view);
    return rc == 0 && hash != s->hash ? -PX_ECORRUPT : rc;
}

static int open_and_verify(struct store_state *s,
                           const struct store_state_options *options,
                           enum store_state_origin origin, char *why,
                           size_t why_size)
{
    int rc = open_database(s, options->map_bytes, why, why_size);

    if (rc < 0 || !options->verify || origin != STORE_STATE_KEPT)
        return rc;
    rc = verify(s, &options->progress);
    if (rc < 0)
        store_env_close(&s->env);
    return rc;
}

static int open_or_rebuild(struct store_state *s,
                           const struct store_state_options *options,
                           enum store_state_origin *origin, char *why,
                           size_t why_size)
{
    int rc = open_and_verify(s, options, *origin, why, why_size);

    /* Memory: as much as the file says that it needs, if it is damaged. */
    if (rc != -PX_ECORRUPT &&
        (rc != -ENOMEM || !options->verify || *origin != STORE_STATE_KEPT))
        return rc;
    atomic_store(&s->is_damaged, false); /* the next one is another */
    (void)snprintf(why, why_size, "the database can't be read: %s",
                   px_strerror(rc)); /* may be cut */
    *origin = STORE_STATE_DISTRUSTED;
    rc = store_env_remove(s->dir);
    if (rc < 0)
        return rc;
    return open_database(s, options->map_bytes, why, why_size);
}

/* ---- Open and close ---- */

static void state_free(struct store_state *s)
{
    if (s == NULL)
        return;
    store_env_close(&s->env);
    store_disk_close(s->disk);
    command_scratch_free(s->scratch);
    (void)pthread_mutex_destroy(&s->lock); /* nobody holds it any more */
    free(s->boot_id);
    free(s->dir);
    free(s);
}

static struct store_state *state_new(const struct store_state_options *options)
{
    struct store_state *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return NULL;
    }
    s->dir = strdup(options->dir);
    s->boot_id = strdup(options->boot_id);
    s->scratch = command_scratch_new();
    if (s->dir == NULL || s->boot_id == NULL || s->scratch == NULL) {
        state_free(s);
        return NULL;
    }
    return s;
}

/* With the boot's id, instead of whatever @note has. */
static int note_boot(const struct store_state *s, struct store_boot note)
{
    if (strlen(s->boot_id) > STORE_BOOT_ID_BYTES_MAX)
        return -EINVAL;
    memcpy(note.id, s->boot_id, strlen(s->boot_id) + 1);
    return store_boot_write(s->disk, &note);
}

/* LMDB may crash on a damaged file: the next start but one then knows why. The
 * next tries again, for this one may just have been told to end. */
static int note_look(const struct store_state *s, bool looks, bool has_looked)
{
    return note_boot(s, (struct store_boot){.is_looking = looks && !has_looked,
                                            .is_damaged = looks && has_looked});
}

int store_state_open(const struct store_state_options *options,
                     struct store_state **state_out,
                     enum store_state_origin *origin_out, char *why,
                     size_t why_size)
{
    struct store_state *s = state_new(options);
    enum store_state_origin origin = STORE_STATE_NEW;
    struct store_boot before = {0};
    int rc;

    if (why_size > 0)
        why[0] = '\0';
    if (s == NULL)
        return -ENOMEM;
    rc = store_disk_open(options->dir, &s->disk);
    if (rc == 0)
        rc = judge(s, options, &before, &origin, why, why_size);
    if (rc == 0)
        rc = note_look(s, options->verify, before.is_looking);
    if (rc == 0)
        rc = open_or_rebuild(s, options, &origin, why, why_size);
    if (rc == 0 && options->verify)
        rc = note_boot(s, (struct store_boot){.is_clean = false});
    /* A newer program's database was only looked at: its note stays. */
    if (rc == -PX_EFORMAT && before.id[0] != '\0')
        (void)store_boot_write(s->disk, &before); /* rc says enough */
    if (rc < 0)
        goto fail;
    *state_out = s;
    *origin_out = origin;
    return 0;
fail:
    if (why_size > 0 && why[0] == '\0')
        (void)snprintf(why, why_size, "the state in %s: %s", options->dir,
                       px_strerror(rc)); /* may be cut */
    state_free(s);
    return rc;
}

bool store_state_is_damaged(const struct store_state *s)
{
    return s != NULL && atomic_load(&s->is_damaged);
}

/* After a failed sync nothing in the page cache can be believed, so the note
 * that says so comes before it. */
static int close_clean(struct store_state *s)
{
    int rc = note_boot(s, (struct store_boot){.is_closing = true});

    if (rc == 0)
        rc = store_env_sync(&s->env);
    store_env_close(&s->env);
    return rc < 0 ? rc : note_boot(s, (struct store_boot){.is_clean = true});
}

int store_state_close(struct store_state *s)
{
    int rc;

    if (s == NULL)
        return 0;
    rc = store_state_is_damaged(s) ? -PX_ECORRUPT : s->failed;
    if (rc == 0)
        rc = close_clean(s);
    else if (rc != -ENOMEM) /* which says nothing of what is stored */
        (void)note_boot(s, (struct store_boot){.is_damaged = true});
    state_free(s); /* rc says what there is to say */
    return rc;
}

void store_state_abandon(struct store_state *s)
{
    state_free(s); /* LMDB writes nothing when it is closed */
}

struct raft_pos store_state_hash(const struct store_state *s,
                                 uint64_t *hash_out)
{
    /* Only the lock changes, and it must be possible to look at a const one.*/
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock;
    struct raft_pos applied;

    (void)pthread_mutex_lock(lock); /* a plain mutex, ours: can't fail */
    applied = s->applied;
    *hash_out = s->hash;
    (void)pthread_mutex_unlock(lock);
    return applied;
}

struct raft_pos store_state_applied(const struct store_state *s)
{
    uint64_t ignored;

    return store_state_hash(s, &ignored);
}
