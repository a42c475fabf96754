/* What a node keeps, through crashes: node/storage.c. It holds entries 1 to 10,
 * and gets a snapshot that ends at entry 100, in three pieces. The disks of the
 * log and of the snapshots are in memory and lose what was not made durable;
 * LMDB's files are real. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "node/storage.h"
#include "raft/config.h"
#include "tests/lib/memdisk.h"

#define CLUSTER UINT64_C(0x77)
#define TERM 5
#define HELD 10
#define PIECES 3
#define FILE_BYTES_MAX 65536
#define SEGMENT_BYTES (64 * PX_KIB)
/* What a snapshot leaves: a segment, and something for the state. */
#define RESERVE_BYTES (SEGMENT_BYTES + STORE_DISK_FULL_BYTES)

static const struct raft_pos pos = {TERM, 100};
static const struct raft_config config = {.count = 1,
                                          .members = {{1, RAFT_VOTER}}};

/* A data folder. */
struct folder {
    struct memdisk *log;
    struct memdisk *snapshots; /* or the same: then `term` is there, too */
    struct store_disk *real;   /* for the snapshots, instead; or NULL */
    char state[64];
};

/* The snapshot at @pos, as bytes. */
static uint8_t file[FILE_BYTES_MAX];
static size_t file_bytes;

static char why[512];

static void remove_folder(const char *path)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static void copy_folder(const char *from, const char *to)
{
    char command[192];

    (void)snprintf(command, sizeof command, "cp -a '%s'/. '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void new_state_folder(char path[64])
{
    (void)snprintf(path, 64, "%s/phalanx-storage-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(path));
}

static struct folder folder_new(void)
{
    struct folder f = {.log = memdisk_new(), .snapshots = memdisk_new()};

    new_state_folder(f.state);
    return f;
}

static struct folder folder_copy(const struct folder *from)
{
    struct folder f = {.log = memdisk_clone(from->log),
                       .snapshots = memdisk_clone(from->snapshots)};

    new_state_folder(f.state);
    copy_folder(from->state, f.state);
    return f;
}

static void folder_free(struct folder *f)
{
    if (f->log != f->snapshots)
        memdisk_free(f->log);
    memdisk_free(f->snapshots);
    remove_folder(f->state);
}

static int try_open(struct folder *f, struct storage *s, const char *boot_id,
                    bool distrust)
{
    bool is_one = f->log == f->snapshots;
    struct storage_options options = {
        .term_disk = is_one ? memdisk_disk(f->log) : NULL,
        .log_disk = memdisk_disk(f->log),
        .snapshot_disk = f->real != NULL ? f->real : memdisk_disk(f->snapshots),
        .log_dir = "log",
        .state_dir = f->state,
        .boot_id = boot_id,
        .cluster = CLUSTER,
        .id = 1,
        .segment_bytes = SEGMENT_BYTES,
        .distrust_state = distrust,
    };

    return storage_open(s, &options, why, sizeof why);
}

static void open_it(struct folder *f, struct storage *s, const char *boot_id)
{
    int rc = try_open(f, s, boot_id, false);

    if (rc < 0)
        fail_msg("%s", why);
}

/* The process is gone; the disks are what its calls have made of them. */
static void drop(struct storage *s)
{
    store_state_abandon(s->state);
    s->state = NULL;
    storage_close(s);
}

/* ---- What is done ---- */

static void apply_noops(struct store_state *state, raft_index last)
{
    raft_index from = store_state_applied(state).index;
    struct store_orphans orphans = {.count = 0};
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP};
    struct store_result result;

    for (raft_index i = from + 1; i <= last; i++) {
        e.pos = (struct raft_pos){TERM, i};
        assert_int_equal(store_apply(state, &e, 1, &result, &orphans), 0);
    }
    free(orphans.inodes);
}

/* Entries 1 to HELD: in the log, of @term, and applied. */
static void write_and_apply(struct storage *s, raft_term term)
{
    const struct raft_hard_state hard = {.term = TERM};
    struct raft_entry entries[HELD];

    for (raft_index i = 0; i < HELD; i++)
        entries[i] =
            (struct raft_entry){.kind = RAFT_ENTRY_NOOP, .pos = {term, i + 1}};
    assert_int_equal(store_log_write(s->log, &hard, entries, HELD), 0);
    assert_int_equal(store_log_sync(s->log), 0);
    apply_noops(s->state, HELD);
}

static int do_job(struct storage *s, enum replica_snapshot_what what,
                  size_t piece)
{
    size_t size = file_bytes / PIECES;
    struct replica_snapshot_job job = {
        .what = what, .info = {.pos = pos, .bytes = file_bytes}};

    if (what == REPLICA_SAVE)
        job.info.config = config;
    if (what == REPLICA_STORE) {
        job.offset = piece * size;
        job.data.data = file + job.offset;
        job.data.size = piece == PIECES - 1 ? file_bytes - job.offset : size;
    }
    return storage_do(s, &job);
}

/* Stops where something fails. @is_kept_out: the last piece was stored. */
static int install(struct storage *s, bool *is_kept_out)
{
    const struct raft_hard_state hard = {.term = TERM, .voted_for = 1};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < PIECES; i++)
        rc = do_job(s, REPLICA_STORE, i);
    *is_kept_out = rc == 0;
    if (rc == 0)
        rc = do_job(s, REPLICA_LOAD, 0);
    if (rc == 0)
        rc = storage_adopt(s);
    if (rc == 0)
        rc = store_log_reset(s->log, pos);
    if (rc == 0)
        rc = store_log_write(s->log, &hard, NULL, 0);
    return rc < 0 ? rc : store_log_sync(s->log);
}

static void make_file(void)
{
    struct folder f = folder_new();
    struct storage s;
    struct store_disk *d = memdisk_disk(f.snapshots);
    char name[STORE_SNAPSHOT_NAME_BYTES];
    ssize_t n;
    int fd;

    open_it(&f, &s, "source");
    apply_noops(s.state, pos.index);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    store_snapshot_name(pos.index, name);
    fd = d->open(d, name, STORE_DISK_READ);
    assert_true(fd >= 0);
    n = d->read(d, fd, file, sizeof file, 0);
    assert_in_range(n, PIECES, sizeof file - 1);
    file_bytes = (size_t)n;
    d->close(d, fd);
    drop(&s);
    folder_free(&f);
}

static bool has_folder(const struct folder *f, const char *name)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", f->state, name);
    return stat(path, &st) == 0;
}

static struct folder *begin(struct folder f)
{
    static struct folder begun;
    struct storage s;

    begun = f;
    open_it(&begun, &s, "one");
    write_and_apply(&s, TERM);
    drop(&s);
    return &begun;
}

static int setup(void **state)
{
    if (file_bytes == 0)
        make_file();
    *state = begin(folder_new());
    return 0;
}

/* As it is on a machine: all is on one disk. */
static int setup_one_disk(void **state)
{
    struct folder f = folder_new();

    if (file_bytes == 0)
        make_file();
    memdisk_free(f.log);
    f.log = f.snapshots;
    *state = begin(f);
    return 0;
}

static int teardown(void **state)
{
    folder_free(*state);
    return 0;
}

/* ---- Crashes ---- */

/* All that a start must find, whatever has happened: nothing that was durable
 * is missing, and what is there fits together. */
static void check_start(struct folder *f, const char *boot_id, bool is_kept)
{
    struct store_log_info info;
    struct raft_pos applied;
    struct storage s;

    open_it(f, &s, boot_id);
    store_log_info(s.log, &info);
    applied = store_state_applied(s.state);
    assert_int_equal(info.hard.term, TERM);
    if (is_kept)
        assert_int_equal(s.snapshot.pos.index, pos.index);
    if (s.snapshot.pos.index == pos.index) {
        assert_int_equal(info.last, pos.index);
        assert_int_equal(info.base.index, pos.index);
        assert_int_equal(applied.index, pos.index);
        assert_int_equal(applied.term, pos.term);
    } else {
        assert_int_equal(info.last, HELD);
        assert_in_range(applied.index, 0, HELD);
    }
    assert_false(has_folder(f, "new"));
    drop(&s);
}

/* One round: power fails at call @at of one of the disks. False: it was done
 * before. */
static bool crash_at(const struct folder *from, bool is_log, unsigned at,
                     bool is_machine, struct px_rand *rand)
{
    const struct memdisk_plan plan = {.dark_at = at}, none = {0};
    struct folder f = folder_copy(from);
    struct memdisk *disk = is_log ? f.log : f.snapshots;
    struct storage s;
    bool is_kept;
    int rc;

    open_it(&f, &s, "one");
    memdisk_go_on(disk, &plan);
    rc = install(&s, &is_kept);
    assert_true(rc == 0 || memdisk_is_dark(disk));
    drop(&s);
    memdisk_go_on(disk, &none);
    if (is_machine) {
        memdisk_crash(f.log, rand);
        memdisk_crash(f.snapshots, rand);
    }
    check_start(&f, is_machine ? "two" : "one", is_kept);
    check_start(&f, is_machine ? "two" : "one", is_kept); /* and again */
    folder_free(&f);
    return rc < 0;
}

static unsigned crash_everywhere(const struct folder *f, bool is_log,
                                 bool is_machine)
{
    struct px_rand rand;
    unsigned at = 1;

    px_rand_init(&rand, 1);
    while (crash_at(f, is_log, at, is_machine, &rand))
        at++;
    return at;
}

static void power_lost_at_any_write_of_a_snapshot_loses_nothing(void **state)
{
    /* Three writes, a sync, the check's reads, a rename, its sync, a load. */
    assert_true(crash_everywhere(*state, false, true) > 12);
}

static void power_lost_at_any_write_of_the_reset_loses_nothing(void **state)
{
    assert_true(crash_everywhere(*state, true, true) > 4);
}

static void a_process_killed_at_any_write_loses_nothing(void **state)
{
    assert_true(crash_everywhere(*state, false, false) > 12);
    assert_true(crash_everywhere(*state, true, false) > 4);
}

/* With the log's reset not yet begun, after each of the steps before it. */
static void a_process_killed_between_the_steps_goes_on(void **state)
{
    for (int steps = 0; steps <= 2; steps++) {
        struct folder f = folder_copy(*state);
        struct storage s;

        open_it(&f, &s, "one");
        for (size_t i = 0; i < PIECES; i++)
            assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
        if (steps >= 1)
            assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0);
        if (steps >= 2)
            assert_int_equal(storage_adopt(&s), 0);
        drop(&s);
        check_start(&f, "one", true);
        folder_free(&f);
    }
}

static void what_had_arrived_in_part_is_gone_after_a_start(void **state)
{
    struct folder *f = *state;
    struct storage s;
    unsigned files;

    open_it(f, &s, "one");
    files = memdisk_file_count(f->snapshots);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0);
    assert_int_equal(memdisk_file_count(f->snapshots), files + 1);
    drop(&s);
    check_start(f, "one", false);
    assert_int_equal(memdisk_file_count(f->snapshots), files);
}

/* By who applies, on another thread. */
static void a_state_is_loaded_until_it_is_adopted_or_dropped(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    for (int is_adopted = 0; is_adopted <= 1; is_adopted++) {
        assert_false(s.is_loaded);
        assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0);
        assert_true(s.is_loaded);
        assert_int_equal(
            is_adopted ? storage_adopt(&s) : do_job(&s, REPLICA_CLEAN, 0), 0);
    }
    assert_false(s.is_loaded);
    drop(&s);
}

/* ---- What arrives ---- */

static void a_damaged_snapshot_is_not_kept(void **state)
{
    struct folder *f = *state;
    struct storage s;
    unsigned files;

    open_it(f, &s, "one");
    files = memdisk_file_count(f->snapshots);
    file[file_bytes / 2] ^= 1;
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0);
    assert_int_equal(do_job(&s, REPLICA_STORE, 1), 0);
    assert_int_equal(do_job(&s, REPLICA_STORE, 2), -PX_ECORRUPT);
    file[file_bytes / 2] ^= 1;
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    drop(&s);
    check_start(f, "one", false);
    open_it(f, &s, "one");
    for (size_t i = 0; i < PIECES; i++) /* and another one is */
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    drop(&s);
    check_start(f, "one", true);
}

static void one_that_is_not_what_was_offered_is_not_kept(void **state)
{
    struct replica_snapshot_job job = {
        .what = REPLICA_STORE,
        .info = {.pos = {TERM, 101}, .bytes = file_bytes},
        .data = {.data = file, .size = file_bytes}};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(storage_do(&s, &job), -PX_ECORRUPT);
    drop(&s);
    check_start(f, "one", false);
}

static void what_is_cancelled_ends_and_has_done_nothing(void **state)
{
    struct replica_snapshot_job save = {
        .what = REPLICA_SAVE, .info.config = config, .is_cancelled = true};
    struct replica_snapshot_job load = {
        .what = REPLICA_LOAD, .info.pos = pos, .is_cancelled = true};
    struct folder *f = *state;
    struct storage s;
    unsigned files;

    open_it(f, &s, "one");
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    files = memdisk_file_count(f->snapshots);
    assert_int_equal(storage_do(&s, &save), -ECANCELED);
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    assert_int_equal(storage_do(&s, &load), -ECANCELED);
    assert_null(s.loaded);
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0); /* another is not */
    storage_cancel(&s);
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), -ECANCELED); /* but now */
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), -ECANCELED);
    drop(&s);
    check_start(f, "one", true);
}

static void one_that_was_replaced_can_not_be_read(void **state)
{
    struct replica_snapshot_job job = {
        .what = REPLICA_READ, .info = {.pos = pos}, .size = 100};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(storage_do(&s, &job), -ENOENT);
    px_slice_unref(&job.data);
    drop(&s);
}

/* ---- Room ---- */

/* On the one disk, from now on. */
static void leave_room(struct folder *f, uint64_t bytes)
{
    const struct memdisk_plan plan = {.bytes_max =
                                          memdisk_bytes(f->snapshots) + bytes};

    memdisk_go_on(f->snapshots, &plan);
}

static int vote(struct storage *s, raft_id id)
{
    const struct raft_hard_state hard = {.term = TERM, .voted_for = id};

    return store_log_write(s->log, &hard, NULL, 0);
}

/* Entries that need another segment. */
static int fill_segment(struct storage *s)
{
    static uint8_t bytes[SEGMENT_BYTES / 2];
    int rc = 0;

    for (raft_index i = HELD + 1; i <= HELD + 2 && rc == 0; i++) {
        const struct raft_entry e = {
            .kind = RAFT_ENTRY_COMMAND,
            .pos = {TERM, i},
            .data = {.data = bytes, .size = sizeof bytes}};

        rc = store_log_write(s->log, NULL, &e, 1);
    }
    return rc;
}

static void what_arrives_leaves_the_log_its_room(void **state)
{
    struct folder *f = *state;
    struct storage s;
    unsigned files;
    bool is_kept;

    open_it(f, &s, "one");
    files = memdisk_file_count(f->snapshots);
    leave_room(f, RESERVE_BYTES + file_bytes - 1);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), -ENOSPC); /* not all of it */
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    leave_room(f, RESERVE_BYTES + file_bytes);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0);
    leave_room(f, RESERVE_BYTES);
    assert_int_equal(do_job(&s, REPLICA_STORE, 1), -ENOSPC);
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    leave_room(f, RESERVE_BYTES + file_bytes);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0); /* it fits again */
    assert_int_equal(vote(&s, 2), 0);
    assert_int_equal(fill_segment(&s), 0);
    assert_int_equal(memdisk_file_count(f->snapshots), files + 2);
    leave_room(f, RESERVE_BYTES + file_bytes);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    check_start(f, "one", true);
}

/* It was stored while there was room; something else has taken that since. */
static void what_is_refused_leaves_nothing_on_a_full_disk(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0);
    leave_room(f, 0);
    assert_int_equal(vote(&s, 2), -ENOSPC);
    assert_int_equal(do_job(&s, REPLICA_STORE, 1), -ENOSPC);
    assert_int_equal(vote(&s, 2), 0);
    drop(&s);
    check_start(f, "one", false);
}

static void what_arrives_makes_way_for_what_needs_its_room(void **state)
{
    const struct memdisk_plan none = {0};
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(storage_drop_arriving(&s), 0);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), 0);
    leave_room(f, 0);
    assert_int_equal(vote(&s, 2), -ENOSPC);
    assert_int_equal(storage_drop_arriving(&s), 1);
    assert_int_equal(vote(&s, 2), 0);
    assert_int_equal(storage_drop_arriving(&s), 0);
    memdisk_go_on(f->snapshots, &none);
    assert_int_equal(do_job(&s, REPLICA_STORE, 1), -ENOENT);
    assert_int_equal(install(&s, &is_kept), 0); /* from its beginning */
    drop(&s);
    check_start(f, "one", true);
}

/* A disk on which the arriving snapshot goes before the Nth call by a name. */
static struct {
    struct storage *s;
    unsigned calls_left;
    int (*open)(struct store_disk *d, const char *name, unsigned how);
    int (*rename)(struct store_disk *d, const char *from, const char *to);
} dropping;

static void drop_in_time(void)
{
    if (--dropping.calls_left == 0)
        assert_true(storage_drop_arriving(dropping.s) >= 0);
}

static int dropping_open(struct store_disk *d, const char *name, unsigned how)
{
    drop_in_time();
    return dropping.open(d, name, how);
}

static int dropping_rename(struct store_disk *d, const char *from,
                           const char *to)
{
    drop_in_time();
    return dropping.rename(d, from, to);
}

static void install_dropping(const struct folder *from, unsigned call, int rc)
{
    struct folder f = folder_copy(from);
    struct store_disk *d = memdisk_disk(f.snapshots);
    struct storage s;
    bool is_kept;

    open_it(&f, &s, "one");
    dropping.s = &s;
    dropping.calls_left = call;
    dropping.open = d->open;
    dropping.rename = d->rename;
    d->open = dropping_open;
    d->rename = dropping_rename;
    assert_int_equal(install(&s, &is_kept), rc);
    if (rc < 0)
        assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    check_start(&f, "one", true);
    folder_free(&f);
}

static void one_that_makes_way_at_any_call_comes_again(void **state)
{
    install_dropping(*state, 1, 0); /* there was none yet */
    install_dropping(*state, 2, -ENOENT);
    install_dropping(*state, 3, -ENOENT);
    install_dropping(*state, 4, -ENOENT); /* before it is checked */
    install_dropping(*state, 5, -ENOENT); /* before it is named */
    install_dropping(*state, 6, 0);       /* it is not arriving any more */
}

struct dropper {
    struct storage *s;
    atomic_bool is_over;
    atomic_uint dropped;
    atomic_int rc;
};

static void *drop_for_ever(void *ctx)
{
    struct dropper *dropper = ctx;

    while (!atomic_load(&dropper->is_over)) {
        int rc = storage_drop_arriving(dropper->s);

        if (rc < 0)
            atomic_store(&dropper->rc, rc);
        atomic_fetch_add(&dropper->dropped, rc > 0 ? 1 : 0);
        (void)sched_yield();
    }
    return NULL;
}

static void store_pieces(struct storage *s)
{
    int rc = 0;

    for (size_t i = 0; i < PIECES && rc == 0; i++)
        rc = do_job(s, REPLICA_STORE, i);
    assert_true(rc == 0 || rc == -ENOENT);
}

static void it_makes_way_from_another_thread(void **state)
{
    struct folder *f = *state;
    struct storage s;
    struct dropper dropper = {.s = &s};
    pthread_t thread;
    char dir[64];
    bool is_kept;

    new_state_folder(dir);
    assert_int_equal(store_disk_open(dir, &f->real), 0);
    open_it(f, &s, "one");
    assert_int_equal(pthread_create(&thread, NULL, drop_for_ever, &dropper), 0);
    while (atomic_load(&dropper.dropped) < 20)
        store_pieces(&s);
    atomic_store(&dropper.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&dropper.rc), 0);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    store_disk_close(f->real);
    f->real = NULL;
    remove_folder(dir);
}

/* ---- Folders of states ---- */

static int clean(struct storage *s)
{
    struct replica_snapshot_job job = {.what = REPLICA_CLEAN,
                                       .info = {.pos = pos}};

    return storage_do(s, &job);
}

static void what_was_replaced_goes_in_the_background(void **state)
{
    struct folder *f = *state;
    struct storage s;
    unsigned files;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0); /* before it */
    files = memdisk_file_count(f->snapshots);
    assert_int_equal(install(&s, &is_kept), 0);
    assert_true(has_folder(f, "1"));
    assert_int_equal(memdisk_file_count(f->snapshots), files + 1);
    assert_int_equal(clean(&s), 0);
    assert_false(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    drop(&s);
    check_start(f, "one", true);
}

static void what_was_replaced_goes_at_a_start(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    assert_true(has_folder(f, "1"));
    check_start(f, "one", true);
    assert_false(has_folder(f, "1"));
    assert_int_equal(memdisk_file_count(f->snapshots), 1);
}

/* After each call of the disk of the snapshots, and with the folder of the old
 * state gone in part, as its files may be in any order. */
static void power_lost_while_it_goes_loses_nothing(void **state)
{
    static const char *const parts[] = {"data.mdb", "lock.mdb", "boot"};
    const struct memdisk_plan none = {0};
    struct px_rand rand;

    px_rand_init(&rand, 1);
    for (unsigned at = 1; at <= 4; at++) {
        for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++) {
            const struct memdisk_plan plan = {.dark_at = at};
            struct folder f = folder_copy(*state);
            char path[128];
            struct storage s;
            bool is_kept;

            open_it(&f, &s, "one");
            assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
            assert_int_equal(install(&s, &is_kept), 0);
            (void)snprintf(path, sizeof path, "%s/1/%s", f.state, parts[part]);
            assert_int_equal(unlink(path), 0);
            memdisk_go_on(f.snapshots, &plan);
            (void)clean(&s);
            drop(&s);
            memdisk_go_on(f.snapshots, &none);
            memdisk_crash(f.log, &rand);
            memdisk_crash(f.snapshots, &rand);
            check_start(&f, at % 2 == 0 ? "one" : "two", true);
            folder_free(&f);
        }
    }
}

static void make_evidence(const struct folder *f)
{
    char path[128];
    FILE *data;

    (void)snprintf(path, sizeof path, "%s/diverged-7", f->state);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/diverged-7/data.mdb", f->state);
    data = fopen(path, "we");
    assert_non_null(data);
    assert_int_equal(fclose(data), 0);
}

/* The disks here are not the one that it lies on: there is room no sooner. */
static void what_was_kept_for_a_look_goes_where_room_is_needed(void **state)
{
    const struct memdisk_plan full = {.bytes_max = 1}, none = {0};
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    make_evidence(f);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_true(has_folder(f, "diverged-7")); /* there was room */
    memdisk_go_on(f->snapshots, &full);
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), -ENOSPC);
    assert_false(has_folder(f, "diverged-7"));
    make_evidence(f);
    assert_int_equal(do_job(&s, REPLICA_STORE, 0), -ENOSPC);
    assert_false(has_folder(f, "diverged-7"));
    memdisk_go_on(f->snapshots, &none);
    drop(&s);
}

static void what_is_not_needed_any_more_goes_with_the_next_save(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(install(&s, &is_kept), 0);
    assert_true(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0); /* in vain, */
    assert_int_equal(do_job(&s, REPLICA_LOAD, 0), 0); /* and again */
    assert_true(has_folder(f, "new"));
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    assert_null(s.loaded);
    assert_false(has_folder(f, "1"));
    assert_true(has_folder(f, "2"));
    assert_false(has_folder(f, "new"));
    drop(&s);
}

static void a_state_that_is_distrusted_is_built_from_the_snapshot(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    assert_int_equal(try_open(f, &s, "one", true), 0);
    assert_true(s.is_rebuilt);
    assert_int_equal(store_state_applied(s.state).index, pos.index);
    drop(&s);
}

/* Though the log is whole, and has all of it. */
static void a_state_that_is_distrusted_does_not_begin_at_nothing(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(do_job(&s, REPLICA_SAVE, 0), 0);
    drop(&s);
    assert_int_equal(try_open(f, &s, "one", true), 0);
    assert_int_equal(s.found.base.index, 0);
    assert_int_equal(store_state_applied(s.state).index, HELD);
    drop(&s);
}

static void a_state_of_another_history_than_the_log_is_refused(void **state)
{
    struct folder f = folder_new();
    struct storage s;

    (void)state;
    open_it(&f, &s, "one");
    write_and_apply(&s, TERM - 1);
    drop(&s);
    assert_int_equal(try_open(&f, &s, "one", false), -PX_ECORRUPT);
    assert_non_null(strstr(why, "does not follow"));
    folder_free(&f);
}

static void a_log_that_is_gone_is_not_taken_for_an_empty_one(void **state)
{
    struct folder *f = *state;
    struct storage s;

    memdisk_free(f->log);
    f->log = memdisk_new();
    assert_int_equal(try_open(f, &s, "one", false), -PX_ECORRUPT);
    assert_true(why[0] != '\0');
}

/* ---- What raft begins with ---- */

/* The id of the only member by which raft goes, if it begins with what @s has;
 * 7 is what the caller takes for the initial one. */
static raft_id begin_raft(const struct storage *s)
{
    struct raft_options options = {
        .id = 1,
        .config = {.count = 1, .members = {{7, RAFT_VOTER}}},
        .election = PX_NS_PER_S,
        .heartbeat = PX_NS_PER_S / 10,
        .now = 1,
    };
    struct raft_config_at at;
    struct raft *r;

    storage_to_raft(s, &options);
    assert_int_equal(raft_new(&options, &r), 0);
    raft_get_config(r, &at);
    raft_check(r);
    raft_free(r);
    assert_int_equal(at.config.count, 1);
    return at.config.members[0].id;
}

/* An entry with a configuration of @id alone; durable, not applied. */
static void write_config(struct storage *s, raft_index index, raft_id id)
{
    const struct raft_config c = {.count = 1, .members = {{id, RAFT_VOTER}}};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    const struct raft_entry e = {
        .kind = RAFT_ENTRY_CONFIG,
        .pos = {TERM, index},
        .data = {.data = bytes, .size = raft_config_encode(&c, bytes)}};

    assert_int_equal(store_log_write(s->log, NULL, &e, 1), 0);
    assert_int_equal(store_log_sync(s->log), 0);
}

static void raft_begins_with_the_newest_configuration_in_the_log(void **state)
{
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 7);
    write_config(&s, HELD + 1, 20);
    write_config(&s, HELD + 2, 30);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 30);
    write_config(&s, HELD + 2, 40); /* in its place */
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 40);
    drop(&s);
}

/* A member that was sent one: its log holds nothing, and what it was started
 * with is long out of date. */
static void raft_begins_with_the_configuration_of_the_snapshot(void **state)
{
    struct folder *f = *state;
    struct storage s;
    bool is_kept;

    open_it(f, &s, "one");
    write_config(&s, HELD + 1, 20);
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 1);
    write_config(&s, pos.index + 1, 50);
    drop(&s);
    open_it(f, &s, "one");
    assert_int_equal(begin_raft(&s), 50);
    drop(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ONE_DISK(name) \
    cmocka_unit_test_setup_teardown(name, setup_one_disk, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_lost_at_any_write_of_a_snapshot_loses_nothing),
        TEST(power_lost_at_any_write_of_the_reset_loses_nothing),
        TEST(a_process_killed_at_any_write_loses_nothing),
        TEST(a_process_killed_between_the_steps_goes_on),
        TEST(what_had_arrived_in_part_is_gone_after_a_start),
        TEST(a_state_is_loaded_until_it_is_adopted_or_dropped),
        TEST(a_damaged_snapshot_is_not_kept),
        TEST(one_that_is_not_what_was_offered_is_not_kept),
        TEST(what_is_cancelled_ends_and_has_done_nothing),
        TEST(one_that_was_replaced_can_not_be_read),
        TEST_ONE_DISK(what_arrives_leaves_the_log_its_room),
        TEST_ONE_DISK(what_is_refused_leaves_nothing_on_a_full_disk),
        TEST_ONE_DISK(what_arrives_makes_way_for_what_needs_its_room),
        TEST(one_that_makes_way_at_any_call_comes_again),
        TEST(it_makes_way_from_another_thread),
        TEST(what_was_replaced_goes_in_the_background),
        TEST(what_was_replaced_goes_at_a_start),
        TEST(power_lost_while_it_goes_loses_nothing),
        TEST(what_was_kept_for_a_look_goes_where_room_is_needed),
        TEST(what_is_not_needed_any_more_goes_with_the_next_save),
        TEST(a_state_that_is_distrusted_is_built_from_the_snapshot),
        TEST(a_state_that_is_distrusted_does_not_begin_at_nothing),
        TEST(a_state_of_another_history_than_the_log_is_refused),
        TEST(a_log_that_is_gone_is_not_taken_for_an_empty_one),
        TEST(raft_begins_with_the_newest_configuration_in_the_log),
        TEST(raft_begins_with_the_configuration_of_the_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
