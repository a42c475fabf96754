/* store/log.c, log_read.c, log_index.c: what is written is read, cut, and
 * there again after the next open. */
#include "tests/unit/store/log_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static void a_new_log_is_empty(void **state)
{
    struct fixture *f = *state;
    struct raft_entry e;

    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.run_count, 0);
    assert_int_equal(f->info.bytes, 0);
    assert_int_equal(f->info.torn_bytes, 0);
    assert_int_equal(store_log_read(f->log, 0, 1, 1, &e), -ENOENT);
}

static void what_is_written_is_read_before_and_after_a_reopen(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_write_hard(f, 3, 42);
    fixture_write(f, 1, 3, 1, 0);
    fixture_write(f, 2, 3, 7, 256);
    fixture_write(f, 9, 4, 3, 13);
    fixture_sync(f);
    fixture_close(f);

    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.torn_bytes, 0);
    /* heads of 64 bytes; 256 is aligned, 13 is padded to 16 */
    assert_int_equal(f->info.bytes, 64 + 7 * (64 + 256) + 3 * (64 + 16));
}

static void written_entries_are_seen_before_they_are_durable(void **state)
{
    struct fixture *f = *state;
    struct raft_entry got;
    struct raft_entry want;

    fixture_open(f);
    fixture_write(f, 1, 1, 1, 100);
    want = model_entry_of(&f->model, 1);
    assert_int_equal(store_log_read(f->log, 1, 8, SIZE_MAX, &got), 1);
    assert_memory_equal(got.data.data, want.data.data, 100);
    px_slice_unref(&got.data);
    px_slice_unref(&want.data);
}

static void a_read_stops_at_its_bytes_but_gives_one_entry_at_least(void **state)
{
    struct fixture *f = *state;
    struct raft_entry got[8];
    int n;

    fixture_open(f);
    fixture_write(f, 1, 1, 6, 100);
    n = store_log_read(f->log, 2, 8, 250, got);
    assert_int_equal(n, 2);
    assert_int_equal(got[0].pos.index, 2);
    assert_int_equal(got[1].pos.index, 3);
    for (int i = 0; i < n; i++)
        px_slice_unref(&got[i].data);
    assert_int_equal(store_log_read(f->log, 5, 8, 1, got), 1);
    assert_int_equal(got[0].pos.index, 5);
    px_slice_unref(&got[0].data);
    assert_int_equal(store_log_read(f->log, 7, 8, 1, got), -ENOENT);
}

static void a_slice_read_outlives_the_log(void **state)
{
    struct fixture *f = *state;
    struct raft_entry got;
    struct raft_entry want;

    fixture_open(f);
    fixture_write(f, 1, 1, 1, 300);
    want = model_entry_of(&f->model, 1);
    assert_int_equal(store_log_read(f->log, 1, 1, 1, &got), 1);
    fixture_close(f);
    assert_memory_equal(got.data.data, want.data.data, 300);
    px_slice_unref(&got.data);
    px_slice_unref(&want.data);
}

static void the_last_hard_state_wins(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_write_hard(f, 1, 7);
    fixture_write_hard(f, 2, 0);
    fixture_write_hard(f, 2, 9);
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.hard.voted_for, 9);
}

static void an_append_inside_the_log_cuts_it_from_there(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_write(f, 1, 1, 10, 50);
    fixture_write(f, 4, 2, 2, 60); /* 4 .. 10 are no more */
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(f->info.last, 5);
    fixture_expect(f, &f->model);

    fixture_write(f, 1, 3, 1, 70); /* all of it */
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(f->info.last, 1);
    fixture_expect(f, &f->model);
}

static void cuts_reach_over_segment_borders(void **state)
{
    struct fixture *f = *state;

    f->segment_bytes = 8192; /* 4 KiB of records: three entries of 1,000 */
    fixture_open(f);
    fixture_write(f, 1, 1, 20, 1000);
    fixture_sync(f);
    assert_true(file_count(f) >= 6);
    fixture_write(f, 3, 2, 9, 1000);
    fixture_write(f, 8, 3, 9, 500);
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    assert_int_equal(f->info.last, 16);
    fixture_expect(f, &f->model);
}

static void the_largest_entry_fits_whatever_a_segment_holds(void **state)
{
    struct fixture *f = *state;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 2, 100);
    fixture_write(f, 3, 1, 2, PX_ENTRY_BYTES_MAX);
    fixture_write(f, 5, 1, 2, 100);
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void a_batch_larger_than_one_pwritev_is_whole(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_write(f, 1, 1, MODEL_ENTRIES_MAX, 33);
    fixture_sync(f);
    fixture_crash(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void segments_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;

    f->segment_bytes = 4096;
    assert_int_equal(fixture_try_open(f), -EINVAL);
    f->segment_bytes = UINT64_C(1) << 32;
    assert_int_equal(fixture_try_open(f), -EINVAL);
}

static void a_damaged_entry_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct raft_entry got[3];
    struct file file;

    fixture_open(f);
    fixture_write(f, 1, 1, 3, 64);
    file = file_load(f, 1);
    file.bytes[4096 + 128 + 70] ^= 1; /* in the second entry's body */
    file_store(&file);
    file_free(&file);
    assert_int_equal(store_log_read(f->log, 1, 3, SIZE_MAX, got), -PX_ECORRUPT);
    assert_int_equal(store_log_read(f->log, 1, 1, SIZE_MAX, got), 1);
    px_slice_unref(&got[0].data);
    assert_int_equal(store_log_read(f->log, 3, 1, SIZE_MAX, got), 1);
    px_slice_unref(&got[0].data);
}

/* ---- Threads ---- */

#define THREAD_BATCHES 300

struct readers {
    struct store_log *log;
    _Atomic uint64_t written; /* the index that is surely there */
    atomic_bool is_done;
    atomic_uint read;
};

/* Bodies hold their index and term, so that a reader can check what it gets
 * while the log is cut and written under it. */
static void check_body(const struct raft_entry *e)
{
    uint64_t body[4];

    assert_int_equal(e->data.size, sizeof body);
    memcpy(body, e->data.data, sizeof body);
    assert_int_equal(body[0], e->pos.index);
    assert_int_equal(body[1], e->pos.term);
}

static void *read_all_the_time(void *arg)
{
    struct readers *r = arg;
    raft_index at = 1;

    while (!atomic_load(&r->is_done)) {
        raft_index written = atomic_load(&r->written);
        struct raft_entry got[16];
        int n;

        if (written == 0)
            continue;
        at = at < written ? at + 1 : 1;
        n = store_log_read(r->log, at, 16, SIZE_MAX, got);
        /* Cut entries may be gone; entries below `written` never are. */
        if (n <= 0)
            abort();
        for (int i = 0; i < n; i++) {
            check_body(&got[i]);
            px_slice_unref(&got[i].data);
        }
        atomic_fetch_add(&r->read, (unsigned)n);
    }
    return NULL;
}

static void write_numbered(struct store_log *log, raft_index first,
                           raft_term term, size_t count)
{
    struct raft_entry entries[16];
    uint64_t bodies[16][4];

    for (size_t i = 0; i < count; i++) {
        bodies[i][0] = first + i;
        bodies[i][1] = term;
        bodies[i][2] = bodies[i][3] = 0;
        entries[i] = (struct raft_entry){
            .pos = {term, first + i},
            .kind = RAFT_ENTRY_COMMAND,
            .data = {NULL, (const uint8_t *)bodies[i], sizeof bodies[i]}};
    }
    assert_int_equal(store_log_write(log, NULL, entries, count), 0);
}

static void readers_see_whole_entries_while_the_log_is_written(void **state)
{
    struct fixture *f = *state;
    struct readers r = {0};
    pthread_t threads[2];
    raft_index last = 0;

    f->segment_bytes = 16384;
    fixture_open(f);
    r.log = f->log;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_all_the_time, &r), 0);
    for (unsigned i = 0; i < THREAD_BATCHES || atomic_load(&r.read) < 1000;
         i++) {
        /* Every other batch replaces the last 4 entries of the one before. */
        raft_index first = i % 2 == 1 ? last - 3 : last + 1;

        write_numbered(f->log, first, i + 1, 10);
        last = first + 9;
        atomic_store(&r.written, i % 2 == 1 ? last : last - 4);
        if (i % 16 == 0)
            fixture_sync(f);
    }
    atomic_store(&r.is_done, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_log_is_empty),
        TEST(what_is_written_is_read_before_and_after_a_reopen),
        TEST(written_entries_are_seen_before_they_are_durable),
        TEST(a_read_stops_at_its_bytes_but_gives_one_entry_at_least),
        TEST(a_slice_read_outlives_the_log),
        TEST(the_last_hard_state_wins),
        TEST(an_append_inside_the_log_cuts_it_from_there),
        TEST(cuts_reach_over_segment_borders),
        TEST(the_largest_entry_fits_whatever_a_segment_holds),
        TEST(a_batch_larger_than_one_pwritev_is_whole),
        TEST(segments_out_of_range_are_refused),
        TEST(a_damaged_entry_is_not_read),
        TEST(readers_see_whole_entries_while_the_log_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
