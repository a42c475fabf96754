/* node/storage.c: a snapshot that arrives, through crashes, damage and a disk that
 * is full. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/storage_fixture.h"

/* What a snapshot leaves: a segment, and something for the state. */
#define RESERVE_BYTES (SEGMENT_BYTES + STORE_DISK_FULL_BYTES)

/* ---- Crashes ---- */

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

#define WRITTEN 120 /* behind the snapshot */
#define APPLIED 110

/* Entries behind HELD, some of which are applied: the log holds the snapshot's
 * position, and goes on behind it. */
static void go_on(struct storage *s)
{
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP};

    for (raft_index i = HELD + 1; i <= WRITTEN; i++) {
        e.pos = (struct raft_pos){TERM, i};
        assert_int_equal(store_log_write(s->log, NULL, &e, 1), 0);
    }
    assert_int_equal(store_log_sync(s->log), 0);
    apply_noops(s->state, APPLIED);
}

/* The fault: each start kept the wrong state, asked the leader again, and ended
 * again where there was no room for a second one. */
static void a_start_makes_the_state_that_a_wrong_ones_place_is_for(void **state)
{
    struct replica_snapshot_job load = {
        .what = REPLICA_LOAD,
        .info.pos = pos,
        .divergence = {50, 1, 2},
        .is_cancelled = true,
    };
    struct folder *f = *state;
    struct storage s;

    open_it(f, &s, "one");
    go_on(&s);
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    assert_int_equal(storage_do(&s, &load), -ECANCELED);
    drop(&s);
    for (int starts = 0; starts < 2; starts++) {
        open_it(f, &s, "one");
        assert_int_equal(store_state_applied(s.state).index, pos.index);
        assert_int_equal(s.divergence.index, 0);
        assert_int_equal(s.found.last, WRITTEN);
        assert_null(s.found.fault);
        assert_false(has_folder(f, "diverged"));
        drop(&s);
    }
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

/* The fault: the last piece was written and flushed once more, where a wrong
 * state that was kept could make way; the flush that had failed may have lost
 * the pieces before it, and the snapshot was damaged at the next start. */
static void a_flush_that_fails_is_not_tried_again(void **state)
{
    const struct memdisk_plan full_at_flush = {.sync_error = ENOSPC};
    struct folder *f = *state;
    struct storage s;
    unsigned files;
    char kept[80];
    bool is_kept;

    open_it(f, &s, "one");
    files = memdisk_file_count(f->snapshots);
    (void)snprintf(kept, sizeof kept, "%s/diverged-7", f->state);
    assert_return_code(mkdir(kept, 0700), errno);
    for (size_t i = 0; i < PIECES - 1; i++)
        assert_int_equal(do_job(&s, REPLICA_STORE, i), 0);
    memdisk_go_on(f->snapshots, &full_at_flush);
    assert_int_equal(do_job(&s, REPLICA_STORE, PIECES - 1), -ENOSPC);
    assert_int_equal(memdisk_file_count(f->snapshots), files);
    assert_false(has_folder(f, "diverged-7")); /* for the next time */
    assert_int_equal(install(&s, &is_kept), 0);
    drop(&s);
    check_start(f, "one", true);
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
        TEST(a_damaged_snapshot_is_not_kept),
        TEST(one_that_is_not_what_was_offered_is_not_kept),
        TEST(what_is_cancelled_ends_and_has_done_nothing),
        TEST(a_start_makes_the_state_that_a_wrong_ones_place_is_for),
        TEST(one_that_was_replaced_can_not_be_read),
        TEST_ONE_DISK(what_arrives_leaves_the_log_its_room),
        TEST_ONE_DISK(what_is_refused_leaves_nothing_on_a_full_disk),
        TEST(a_flush_that_fails_is_not_tried_again),
        TEST_ONE_DISK(what_arrives_makes_way_for_what_needs_its_room),
        TEST(one_that_makes_way_at_any_call_comes_again),
        TEST(it_makes_way_from_another_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
