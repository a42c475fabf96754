/* store/log.c, segment.c, recover.c and disk.c: how many system calls they make,
 * and what they do where one fails. */
#include "tests/unit/store/fake_disk.h"
#include "tests/unit/store/log_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int disk_teardown(void **state)
{
    disk_stop();
    return fixture_teardown(state);
}

static unsigned calls(enum disk_call call)
{
    return disk_counts()->calls[call];
}

/* ---- How many calls ---- */

static void a_batch_is_one_pwritev_and_one_fdatasync(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {0};
    struct raft_hard_state hard = {1, 1};
    struct raft_entry entries[20];

    fixture_open(f);
    disk_start(&plan);
    for (int i = 0; i < 20; i++) {
        model_add(&f->model, 1, 100);
        entries[i] = model_entry_of(&f->model, f->model.last);
    }
    assert_int_equal(store_log_write(f->log, &hard, entries, 20), 0);
    assert_int_equal(disk_counts()->all, 1);
    assert_int_equal(calls(DISK_PWRITEV), 1);
    fixture_sync(f);
    assert_int_equal(disk_counts()->all, 2);
    assert_int_equal(calls(DISK_FDATASYNC), 1);
    for (int i = 0; i < 20; i++)
        px_slice_unref(&entries[i].data);
}

static void a_sync_of_nothing_is_no_call(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {0};

    fixture_open(f);
    disk_start(&plan);
    fixture_sync(f);
    assert_int_equal(store_log_write(f->log, NULL, NULL, 0), 0);
    fixture_sync(f);
    assert_int_equal(disk_counts()->all, 0);
}

static void zeros_go_ahead_of_small_writes_only(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {0};
    uint64_t before;

    f->segment_bytes = 4u << 20;
    fixture_open(f);
    disk_start(&plan);
    fixture_write(f, 1, 1, 1, 256); /* up to the first 128 KiB of the file */
    assert_int_equal(disk_counts()->bytes_written, (128 << 10) - 4096);
    before = disk_counts()->bytes_written;
    fixture_write(f, 2, 1, 1, 256);
    assert_int_equal(disk_counts()->bytes_written - before, 320);
    before = disk_counts()->bytes_written;
    fixture_write(f, 3, 1, 1, 1 << 20);
    assert_int_equal(disk_counts()->bytes_written - before, (1 << 20) + 64);
}

/* ---- Failures ---- */

static void a_failed_sync_is_an_error_for_ever(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {.fail_at = {[DISK_FDATASYNC] = 1}, .error = EIO};

    fixture_open(f);
    disk_start(&plan);
    fixture_write(f, 1, 1, 1, 100);
    assert_int_equal(store_log_sync(f->log), -EIO);
    assert_int_equal(store_log_sync(f->log), -EIO);
    assert_int_equal(fixture_try_write(f, 2, 1, 1, 100), -EIO);
    assert_int_equal(calls(DISK_PWRITEV), 1); /* nothing more was tried */
    assert_int_equal(calls(DISK_FDATASYNC), 1);
    fixture_close(f); /* and no seal says that it is durable */
    assert_int_equal(calls(DISK_PWRITEV), 1);
}

static void short_and_interrupted_writes_go_on(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {
        .fail_at = {[DISK_PWRITEV] = 3}, .error = EINTR, .write_bytes_max = 97};

    fixture_open(f);
    disk_start(&plan);
    fixture_write(f, 1, 1, 5, 333);
    fixture_sync(f);
    disk_stop();
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

/* A filesystem that does not keep what it has allocated: how much of the write
 * is there, nobody knows. */
static void a_write_that_finds_no_room_ends_the_log(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {.fail_at = {[DISK_PWRITEV] = 3},
                             .error = ENOSPC,
                             .is_lasting = true,
                             .write_bytes_max = 200};
    struct model durable;

    fixture_open(f);
    fixture_write(f, 1, 1, 3, 100);
    fixture_sync(f);
    durable = f->model;
    disk_start(&plan);
    /* 400 bytes of it go out: two records of 164, and a part of the third. */
    assert_int_equal(fixture_try_write(f, 4, 1, 5, 100), -EIO);
    assert_int_equal(store_log_sync(f->log), -EIO);
    disk_stop();
    assert_int_equal(store_log_write(f->log, NULL, NULL, 0), -EIO);
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(f->info.last, durable.last + 2);
    f->model.last = durable.last + 2;
    fixture_expect(f, &f->model);
    assert_true(f->info.torn_bytes > 0);
}

static void a_full_disk_at_a_new_segment_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {.fail_at = {[DISK_FALLOCATE] = 1},
                             .error = ENOSPC};
    raft_index durable;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 3, 1000);
    fixture_sync(f);
    durable = f->model.last;
    disk_start(&plan);
    assert_int_equal(fixture_try_write(f, 4, 1, 2, 1000), -ENOSPC);
    disk_stop();
    assert_int_equal(file_count(f), 1);
    fixture_crash(f);
    fixture_open(f);
    f->model.last = durable;
    fixture_expect(f, &f->model);
}

static void a_quota_that_is_used_up_is_a_full_disk_to_every_call(void **state)
{
    struct fixture *f = *state;
    char byte[] = "x";
    struct iovec iov = {byte, 1};
    struct store_disk *d;
    int file;

    fixture_new_dir(f);
    assert_int_equal(store_disk_open(f->dir, &d), 0);
    file = d->open(d, "a", STORE_DISK_WRITE | STORE_DISK_CREATE);
    assert_true(file >= 0);
    for (enum disk_call call = 0; call < DISK_UNLINKAT; call++) {
        struct disk_plan plan = {.error = EDQUOT};

        plan.fail_at[call] = 1;
        disk_start(&plan);
        if (call == DISK_OPENAT)
            assert_int_equal(
                d->open(d, "b", STORE_DISK_WRITE | STORE_DISK_CREATE), -ENOSPC);
        else if (call == DISK_FALLOCATE)
            assert_int_equal(d->allocate(d, file, 4096), -ENOSPC);
        else if (call == DISK_PWRITEV)
            assert_int_equal(d->write(d, file, &iov, 1, 0), -ENOSPC);
        else if (call == DISK_FDATASYNC)
            assert_int_equal(d->sync(d, file), -ENOSPC);
        else if (call == DISK_FSYNC)
            assert_int_equal(d->sync_dir(d), -ENOSPC);
        else
            assert_int_equal(d->rename(d, "a", "b"), -ENOSPC);
        disk_stop();
    }
    d->close(d, file);
    store_disk_close(d);
}

/* The calls by which a segment is made, each of them out of room: for what is
 * thrown away again, a flush and a rename are no other than the rest. */
static const struct {
    enum disk_call call;
    unsigned which;
} making[] = {
    /* The first write and flush are the old segment's. */
    {DISK_OPENAT, 1},    {DISK_FALLOCATE, 1}, {DISK_PWRITEV, 2},
    {DISK_FDATASYNC, 2}, {DISK_RENAMEAT, 1},
};
#define MAKING (sizeof making / sizeof making[0])

static void when_there_is_room_the_same_batch_is_written(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < MAKING; i++) {
        struct disk_plan plan = {.error = i % 2 == 0 ? ENOSPC : EDQUOT};
        struct raft_hard_state hard = {2, 3};
        struct raft_entry entries[2];

        plan.fail_at[making[i].call] = making[i].which;
        f->model = (struct model){0};
        f->segment_bytes = 8192;
        fixture_new_dir(f);
        fixture_open(f);
        fixture_write(f, 1, 1, 3, 1200); /* 4,096 bytes hold no more */
        model_add(&f->model, 2, 1000);
        model_add(&f->model, 2, 1000);
        f->model.hard = hard;
        for (size_t n = 0; n < 2; n++)
            entries[n] = model_entry_of(&f->model, 4 + n);
        for (int tries = 0; tries < 3; tries++) {
            disk_start(&plan);
            assert_int_equal(store_log_write(f->log, &hard, entries, 2),
                             -ENOSPC);
            disk_stop();
            assert_int_equal(store_log_sync(f->log), 0); /* it works */
            assert_int_equal(file_count(f), 1);
        }
        assert_int_equal(store_log_write(f->log, &hard, entries, 2), 0);
        fixture_sync(f);
        for (size_t n = 0; n < 2; n++)
            px_slice_unref(&entries[n].data);
        fixture_write(f, 6, 2, 2, 1000);
        fixture_sync(f);
        fixture_crash(f);
        fixture_open(f);
        fixture_expect(f, &f->model);
        fixture_close(f);
    }
}

/* A beginning of the batch is in the old segment: it is cut, and written anew.*/
static void a_batch_that_found_room_for_a_part_is_written_whole(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {
        .fail_at = {[DISK_FALLOCATE] = 1}, .error = ENOSPC, .is_lasting = true};
    struct raft_entry entries[6];
    struct model before;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 1, 100);
    before = f->model;
    for (size_t n = 0; n < 6; n++) {
        model_add(&f->model, 1, 1000);
        entries[n] = model_entry_of(&f->model, 2 + n);
    }
    disk_start(&plan);
    for (int tries = 0; tries < 3; tries++)
        assert_int_equal(store_log_write(f->log, NULL, entries, 6), -ENOSPC);
    disk_stop();
    assert_int_equal(store_log_write(f->log, NULL, entries, 6), 0);
    fixture_sync(f);
    for (size_t n = 0; n < 6; n++)
        px_slice_unref(&entries[n].data);
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_true(f->model.last > before.last);
}

/* Where the folder could not be flushed, a segment is there or not. */
static void a_folder_that_can_not_be_flushed_ends_the_log(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {.fail_at = {[DISK_FSYNC] = 1}, .error = ENOSPC};

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 3, 1000);
    disk_start(&plan);
    assert_int_equal(fixture_try_write(f, 4, 1, 2, 1000), -EIO);
    assert_int_equal(store_log_sync(f->log), -EIO);
    disk_stop();
}

static void a_reset_without_room_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {
        .fail_at = {[DISK_FALLOCATE] = 1}, .error = ENOSPC, .is_lasting = true};
    struct raft_pos pos = {1, 100};

    fixture_open(f);
    fixture_write_hard(f, 1, 2);
    fixture_write(f, 1, 1, 3, 100);
    fixture_sync(f);
    disk_start(&plan);
    assert_int_equal(store_log_reset(f->log, pos), -ENOSPC);
    fixture_write(f, 4, 1, 1, 100); /* it goes on */
    fixture_sync(f);
    assert_int_equal(store_log_reset(f->log, pos), -ENOSPC);
    disk_stop();
    assert_int_equal(store_log_reset(f->log, pos), 0);
    model_reset(&f->model, pos);
    fixture_write(f, 101, 1, 2, 100);
    fixture_sync(f);
    f->snapshot = pos;
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void every_failing_call_of_an_open_is_an_error_without_harm(void **state)
{
    struct fixture *f = *state;
    unsigned failed = 0;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 7, 1000);
    fixture_sync(f);
    fixture_crash(f);
    for (int call = 0; call < DISK_CALLS; call++) {
        for (unsigned n = 1;; n++) {
            struct disk_plan plan = {.error = ENOSPC};
            unsigned reached;
            int rc;

            plan.fail_at[call] = n;
            disk_start(&plan);
            rc = fixture_try_open(f);
            reached = calls((enum disk_call)call);
            disk_stop();
            if (reached < n) {
                assert_int_equal(rc, 0);
                fixture_close(f);
                break;
            }
            assert_int_equal(rc, -ENOSPC);
            assert_non_null(strstr(f->why, "No space left"));
            failed++;
        }
    }
    assert_true(failed >= 8);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

/* ---- The page cache ---- */

static void the_tail_is_read_past_the_page_cache(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {0};

    fixture_open(f);
    fixture_write(f, 1, 1, 3, 100);
    fixture_sync(f);
    fixture_crash(f);
    disk_start(&plan);
    fixture_open(f);
    assert_int_equal(disk_counts()->direct_opens, 1);
    assert_int_equal(disk_counts()->bytes_written, 0);
    assert_int_equal(calls(DISK_FDATASYNC), 1);
    disk_stop();
    fixture_expect(f, &f->model);
}

static void without_direct_io_the_tail_is_written_anew(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {.refuses_direct = true};

    fixture_open(f);
    fixture_write(f, 1, 1, 3, 104);
    fixture_sync(f);
    fixture_crash(f);
    disk_start(&plan);
    fixture_open(f);
    assert_int_equal(disk_counts()->bytes_written, 4096 + 3 * 168);
    assert_int_equal(calls(DISK_FDATASYNC), 1);
    disk_stop();
    fixture_expect(f, &f->model);
}

/* After a flush that failed, the page cache goes on showing what the disk never
 * got. Such a batch is not taken, nor may its bytes come back later, behind
 * records that lie before them. */
static void what_only_the_page_cache_holds_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct disk_plan plan = {0};
    struct fixture disk;
    struct model durable;

    fixture_open(f);
    fixture_write(f, 1, 1, 2, 100);
    fixture_sync(f);
    durable = f->model;
    disk = *f;
    fixture_new_dir(&disk);
    f->dirs = disk.dirs;
    fixture_copy_dir(f->dir, disk.dir);
    fixture_write(f, 3, 1, 4, 100);
    fixture_crash(f);

    plan.direct_dir = disk.dir;
    disk_start(&plan);
    fixture_open(f);
    f->model.last = durable.last;
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.torn_bytes, 0);
    assert_int_equal(disk_counts()->bytes_written, 4 * 168 - 4);
    disk_stop();
    fixture_write(f, 3, 2, 1, 40);
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.torn_bytes, 0);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_one_pwritev_and_one_fdatasync),
        TEST(a_sync_of_nothing_is_no_call),
        TEST(zeros_go_ahead_of_small_writes_only),
        TEST(a_failed_sync_is_an_error_for_ever),
        TEST(short_and_interrupted_writes_go_on),
        TEST(a_write_that_finds_no_room_ends_the_log),
        TEST(a_full_disk_at_a_new_segment_leaves_nothing_behind),
        TEST(a_quota_that_is_used_up_is_a_full_disk_to_every_call),
        TEST(when_there_is_room_the_same_batch_is_written),
        TEST(a_batch_that_found_room_for_a_part_is_written_whole),
        TEST(a_folder_that_can_not_be_flushed_ends_the_log),
        TEST(a_reset_without_room_changes_nothing),
        TEST(every_failing_call_of_an_open_is_an_error_without_harm),
        TEST(the_tail_is_read_past_the_page_cache),
        TEST(without_direct_io_the_tail_is_written_anew),
        TEST(what_only_the_page_cache_holds_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
