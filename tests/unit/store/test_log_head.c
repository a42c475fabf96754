/* store/log_head.c, and the part of recover.c that says where a log begins:
 * what a snapshot covers may go, and nothing else. Power is lost in
 * test_log_crash.c. */
#include "tests/lib/memdisk.h"
#include "tests/unit/store/log_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* Ten entries, three to a segment: 1-3, 4-6, 7-9, 10. */
static void write_ten(struct fixture *f)
{
    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write_hard(f, 3, 42);
    fixture_write(f, 1, 1, 5, 950);
    fixture_write(f, 6, 2, 5, 950);
    fixture_sync(f);
    assert_int_equal(file_count(f), 4);
}

static void expect_gone(struct fixture *f, raft_index index)
{
    struct raft_entry e;

    assert_int_equal(store_log_read(f->log, index, 1, 1, &e), -ENOENT);
}

static void expect_held(struct fixture *f, raft_index index)
{
    struct raft_entry want = model_entry_of(&f->model, index);
    struct raft_entry e;

    assert_int_equal(store_log_read(f->log, index, 1, 1, &e), 1);
    assert_int_equal(e.pos.index, index);
    assert_int_equal(e.pos.term, want.pos.term);
    assert_int_equal(e.data.size, want.data.size);
    assert_memory_equal(e.data.data, want.data.data, want.data.size);
    px_slice_unref(&e.data);
    px_slice_unref(&want.data);
}

static void reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

/* ---- cut_head ---- */

static void only_whole_segments_that_are_covered_go(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    assert_int_equal(store_log_bytes(f->log), 10 * (64 + 952));
    assert_int_equal(store_log_cut_head(f->log, 2), 0);
    expect_held(f, 1);
    assert_int_equal(store_log_cut_head(f->log, 3), 1);
    expect_gone(f, 3);
    expect_held(f, 4);
    assert_int_equal(store_log_cut_head(f->log, 8), 1);
    expect_gone(f, 6);
    expect_held(f, 7);
    assert_int_equal(store_log_bytes(f->log), 4 * (64 + 952));
    assert_int_equal(file_count(f), 2);
    fixture_write(f, 11, 2, 1, 100);
    fixture_sync(f);
    f->snapshot = (struct raft_pos){2, 8};
    reopen(f);
    assert_int_equal(f->info.first, 7);
    assert_int_equal(f->info.bytes, 4 * (64 + 952) + 64 + 104);
}

static void the_current_segment_stays(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    assert_int_equal(store_log_cut_head(f->log, 10), 3);
    assert_int_equal(store_log_cut_head(f->log, 10), 0);
    expect_gone(f, 9);
    expect_held(f, 10);
    f->snapshot = (struct raft_pos){2, 10};
    reopen(f);
    assert_int_equal(f->info.first, 10);
    assert_int_equal(f->info.hard.voted_for, 42); /* it was in the first */
    fixture_write(f, 11, 2, 9, 950);
    fixture_sync(f);
    reopen(f);
    assert_int_equal(store_log_cut_head(f->log, 19), 3);
}

static void runs_begin_behind_what_was_cut(void **state)
{
    struct fixture *f = *state;

    f->segment_bytes = 8192;
    fixture_open(f);
    for (raft_index i = 1; i <= 12; i++)
        fixture_write(f, i, 1 + i / 2, 1, 950);
    fixture_sync(f);
    assert_int_equal(store_log_cut_head(f->log, 6), 2);
    fixture_write(f, 9, 9, 2, 10);
    fixture_sync(f);
    f->snapshot = (struct raft_pos){4, 6};
    reopen(f);
    assert_int_equal(f->info.base.index, 6);
    assert_int_equal(f->info.base.term, 4);
    assert_int_equal(f->info.runs[0].first, 7); /* of the same term */
    assert_int_equal(f->info.runs[0].term, 4);
    assert_int_equal(f->info.run_count, 3);
}

static void a_beginning_that_no_snapshot_covers_is_refused(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    assert_int_equal(store_log_cut_head(f->log, 6), 2);
    fixture_close(f);
    fixture_expect_damage(f, "/0000000002.log is missing");
    f->snapshot = (struct raft_pos){1, 5};
    fixture_expect_damage(f, "begins behind entry 6 of term 2");
    f->snapshot = (struct raft_pos){1, 6}; /* not the same entry */
    fixture_expect_damage(f, "begins behind entry 6 of term 2");
    assert_int_equal(file_count(f), 2);
    f->snapshot = (struct raft_pos){2, 6};
    fixture_open(f);
    fixture_expect(f, &f->model);
}

/* A repair would put all of it aside. */
static void a_beginning_that_the_state_covers_is_told_and_kept(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    assert_int_equal(store_log_cut_head(f->log, 6), 2);
    fixture_close(f);
    f->is_repaired = true;
    f->is_state_whole = true;
    f->applied = 6;
    for (raft_index index = 0; index <= 5; index += 5) {
        f->snapshot = (struct raft_pos){index > 0, index};
        assert_int_equal(fixture_try_open(f), -ENODATA);
        assert_non_null(strstr(f->why, "begins behind entry 6, and no "));
        assert_int_equal(file_count(f), 2);
    }
    f->is_repaired = false;
    f->applied = 5; /* that is not all that lay before */
    fixture_expect_damage(f, "begins behind entry 6 of term 2");
    f->applied = 6;
    f->snapshot = (struct raft_pos){2, 6};
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void what_an_interrupted_cut_left_is_removed_at_open(void **state)
{
    struct fixture *f = *state;
    struct file first;
    struct file second;

    write_ten(f);
    first = file_load(f, 1);
    second = file_load(f, 2);
    f->snapshot = (struct raft_pos){2, 9};
    assert_int_equal(store_log_cut_head(f->log, 9), 3);
    fixture_close(f);
    file_store(&first);
    file_store(&second);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.first, 10);
    assert_int_equal(file_count(f), 1);
    file_free(&first);
    file_free(&second);
}

/* What lies before a gap goes only where a snapshot covers it. */
static void a_gap_that_no_snapshot_covers_is_reported(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    fixture_crash(f);
    file_remove(f, 3);
    f->snapshot = (struct raft_pos){2, 8}; /* segment 4 begins behind 9 */
    fixture_expect_damage(f, "/0000000003.log is missing");
    assert_int_equal(file_count(f), 3);
}

/* The head of the segment that is left first speaks of entry 9, which was cut
 * later: the base is then the snapshot's. */
static void a_cut_below_the_base_moves_it(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    fixture_write(f, 8, 3, 2, 950); /* behind 10: a cut, 8; and 9 in the next */
    fixture_sync(f);
    f->snapshot = (struct raft_pos){3, 9};
    assert_int_equal(store_log_cut_head(f->log, 9), 3);
    expect_gone(f, 7);
    expect_held(f, 8);
    reopen(f);
    assert_int_equal(f->info.first, 10);
    fixture_write(f, 10, 3, 4, 950);
    fixture_sync(f);
    reopen(f);
}

/* Segment 4 begins behind 9, then cuts from 8 on; segment 5 begins behind 7. Of
 * 1 to 4, a removal that was interrupted has left 4. */
static void cut_at_a_border(struct fixture *f)
{
    write_ten(f);
    fixture_write(f, 8, 3, 3, 3500);
    fixture_sync(f);
    assert_int_equal(file_count(f), 7);
    fixture_crash(f);
    for (uint32_t i = 1; i <= 3; i++)
        file_remove(f, i);
}

static void a_cut_below_the_base_at_a_border_moves_it(void **state)
{
    struct fixture *f = *state;

    cut_at_a_border(f);
    f->snapshot = (struct raft_pos){3, 9};
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.first, 8);
    assert_int_equal(file_count(f), 4);
}

/* The snapshot covers what lies before segment 5, and not what lay before 4. */
static void the_newest_covered_head_shows_how_far_a_cut_was_to_go(void **state)
{
    struct fixture *f = *state;

    cut_at_a_border(f);
    f->snapshot = (struct raft_pos){2, 7};
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.first, 8);
    assert_int_equal(file_count(f), 3);
    fixture_close(f);
    f->snapshot = (struct raft_pos){2, 6};
    fixture_expect_damage(f, "begins behind entry 7");
}

static void a_file_that_cannot_be_removed_is_tried_again(void **state)
{
    struct memdisk *disk = memdisk_new();
    struct memdisk_plan plan = {.fail_at = 2, .error = EIO};
    struct memdisk_plan none = {0};
    struct fixture f = {
        .dir = "memory", .segment_bytes = 8192, .given = memdisk_disk(disk)};

    (void)state;
    fixture_open(&f);
    fixture_write(&f, 1, 1, 10, 950);
    fixture_sync(&f);
    memdisk_go_on(disk, &plan);
    assert_int_equal(store_log_cut_head(f.log, 10), -EIO); /* the second file */
    expect_gone(&f, 9);
    fixture_write(&f, 11, 1, 1, 10);
    fixture_sync(&f);
    assert_int_equal(memdisk_file_count(disk), 3);
    memdisk_go_on(disk, &none);
    assert_int_equal(store_log_cut_head(f.log, 10), 2);
    assert_int_equal(memdisk_file_count(disk), 1);

    fixture_write(&f, 12, 1, 6, 950);
    fixture_sync(&f);
    plan.fail_at = 3; /* the flush of the names, behind two files */
    memdisk_go_on(disk, &plan);
    assert_int_equal(store_log_cut_head(f.log, 17), -EIO);
    assert_int_equal(fixture_try_write(&f, 18, 1, 1, 10), -EIO);
    fixture_close(&f);
    memdisk_free(disk);
}

/* ---- reset ---- */

static void reset_to(struct fixture *f, raft_term term, raft_index index)
{
    f->snapshot = (struct raft_pos){term, index};
    assert_int_equal(store_log_reset(f->log, f->snapshot), 0);
    model_reset(&f->model, f->snapshot);
}

static void the_log_goes_on_behind_a_reset(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    reset_to(f, 3, 50);
    expect_gone(f, 10);
    expect_gone(f, 50);
    assert_int_equal(store_log_bytes(f->log), 0);
    assert_int_equal(file_count(f), 1);
    reopen(f);
    assert_int_equal(f->info.first, 51);
    assert_int_equal(f->info.last, 50);
    assert_int_equal(f->info.hard.voted_for, 42);
    fixture_write(f, 51, 3, 7, 950);
    fixture_sync(f);
    expect_held(f, 51);
    reopen(f);
}

static void what_an_interrupted_reset_left_is_removed_at_open(void **state)
{
    struct fixture *f = *state;
    struct file files[4];

    write_ten(f);
    for (uint32_t i = 0; i < 4; i++)
        files[i] = file_load(f, i + 1);
    reset_to(f, 3, 50);
    fixture_write(f, 51, 3, 1, 10);
    fixture_sync(f);
    fixture_close(f);
    for (uint32_t i = 0; i < 4; i++) {
        file_store(&files[i]);
        file_free(&files[i]);
    }
    assert_int_equal(file_count(f), 5);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(file_count(f), 1);
}

static void a_reset_log_without_its_snapshot_is_refused(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    reset_to(f, 3, 50);
    fixture_close(f);
    f->snapshot = (struct raft_pos){2, 10};
    fixture_expect_damage(f, "begins behind entry 50 of term 3");
    f->snapshot = (struct raft_pos){0, 0};
    fixture_expect_damage(f, "/0000000004.log is missing");
}

/* A snapshot was installed, and the process died before the reset. */
static void a_log_that_lacks_the_snapshot_is_reset_at_open(void **state)
{
    static const struct raft_pos lacked[] = {{3, 50}, {3, 10}, {3, 7}};
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        write_ten(f);
        fixture_crash(f);
        f->snapshot = lacked[i];
        f->applied = lacked[i].index;
        model_reset(&f->model, lacked[i]);
        fixture_open(f);
        fixture_expect(f, &f->model);
        assert_int_equal(f->info.first, lacked[i].index + 1);
        assert_int_equal(file_count(f), 1);
        fixture_close(f);
        fixture_new_dir(f);
        f->model = (struct model){0};
        f->snapshot = (struct raft_pos){0};
        f->applied = 0;
    }
}

static void a_log_that_holds_the_snapshot_is_kept_whole(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    f->snapshot = (struct raft_pos){2, 10};
    reopen(f);
    assert_int_equal(f->info.first, 1);
    assert_int_equal(file_count(f), 4);
}

/* The term of a snapshot was durable before it was installed. */
static void a_snapshot_of_an_unknown_term_tells_of_a_lost_vote(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    fixture_crash(f);
    f->snapshot = (struct raft_pos){4, 50};
    fixture_expect_damage(f, "a vote may be lost");
    f->snapshot = (struct raft_pos){0};
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void what_was_applied_and_is_not_covered_is_lost(void **state)
{
    struct fixture *f = *state;

    write_ten(f);
    fixture_crash(f);
    f->applied = 11;
    fixture_expect_damage(f, "entry 11 was durable once");
    f->snapshot = (struct raft_pos){2, 10};
    fixture_expect_damage(f, "entry 11 was durable once");
}

static void an_empty_folder_begins_behind_the_snapshot(void **state)
{
    struct fixture *f = *state;

    f->snapshot = (struct raft_pos){7, 300};
    f->applied = 300;
    f->model.hard.term = 7;
    model_reset(&f->model, f->snapshot);
    fixture_open(f);
    fixture_expect(f, &f->model);
    fixture_write(f, 301, 8, 3, 100);
    fixture_sync(f);
    reopen(f);
}

/* ---- Readers ---- */

/* Not to be taken for one that has left the log. */
static void a_segment_that_is_missing_under_a_reader_is_damage(void **state)
{
    struct fixture *f = *state;
    struct raft_entry e;

    write_ten(f);
    file_remove(f, 2);
    assert_int_equal(store_log_read(f->log, 5, 1, 1, &e), -PX_ECORRUPT);
    assert_int_equal(store_log_cut_head(f->log, 3), 1);
    assert_int_equal(store_log_read(f->log, 3, 1, 1, &e), -ENOENT);
}

#define MANY 20000u

/* Far more than fit in what the index has at first, and has again behind. */
static void many_entries_leave_and_others_follow(void **state)
{
    static struct raft_entry entries[500];
    struct fixture *f = *state;
    raft_index last = 0;

    fixture_open(f);
    for (int round = 0; round < 2; round++) {
        for (raft_index to = last + MANY; last < to; last += 500) {
            for (size_t i = 0; i < 500; i++)
                entries[i] = (struct raft_entry){.pos = {1, last + 1 + i},
                                                 .kind = RAFT_ENTRY_NOOP};
            assert_int_equal(store_log_write(f->log, NULL, entries, 500), 0);
        }
        assert_true(store_log_cut_head(f->log, last) > 0);
        expect_gone(f, last - 1000);
        assert_true(store_log_bytes(f->log) < 1000 * 64);
        assert_int_equal(store_log_read(f->log, last, 1, 1, entries), 1);
        assert_int_equal(entries[0].pos.index, last);
        px_slice_unref(&entries[0].data);
    }
    fixture_close(f);
    f->snapshot = (struct raft_pos){1, last};
    fixture_open(f);
    assert_int_equal(f->info.last, 2 * MANY);
    assert_true(f->info.first > 2 * MANY - 1000);
}

#define ROUNDS 60

struct readers {
    struct store_log *log;
    _Atomic uint64_t base; /* moved before the log's: what lies behind it stays
                              at least until it moves again */
    _Atomic uint64_t last;
    atomic_bool is_done;
    atomic_uint read;
    atomic_uint gone;
};

static bool is_whole(const struct raft_entry *e)
{
    uint64_t body[2];

    if (e->data.size != 950)
        return false;
    memcpy(body, e->data.data, sizeof body);
    return body[0] == e->pos.index && body[1] == e->pos.term;
}

/* An entry is read as it was written, or is gone: never anything else. */
static void *read_all_the_time(void *arg)
{
    struct readers *r = arg;
    uint64_t turn = 0;

    while (!atomic_load(&r->is_done)) {
        uint64_t base = atomic_load(&r->base);
        uint64_t last = atomic_load(&r->last);
        uint64_t back = ++turn % 12;
        raft_index at = base + 6 > back ? base + 6 - back : 1;
        struct raft_entry got[8];
        int n;

        n = store_log_read(r->log, at, 8, SIZE_MAX, got);
        if (n == -ENOENT) {
            /* It was behind a base that is still the same, and written. */
            if (at > base && at <= last && atomic_load(&r->base) == base)
                abort();
            atomic_fetch_add(&r->gone, 1);
            continue;
        }
        if (n <= 0)
            abort();
        for (int i = 0; i < n; i++) {
            if (got[i].pos.index != at + (raft_index)i || !is_whole(&got[i]))
                abort();
            px_slice_unref(&got[i].data);
        }
        atomic_fetch_add(&r->read, (unsigned)n);
    }
    return NULL;
}

static void write_numbered(struct store_log *log, raft_index first,
                           raft_term term, size_t count)
{
    static uint8_t bodies[16][950];
    struct raft_entry entries[16];

    for (size_t i = 0; i < count; i++) {
        uint64_t body[2] = {first + i, term};

        memcpy(bodies[i], body, sizeof body);
        entries[i] = (struct raft_entry){.pos = {term, first + i},
                                         .kind = RAFT_ENTRY_COMMAND,
                                         .data = {NULL, bodies[i], 950}};
    }
    assert_int_equal(store_log_write(log, NULL, entries, count), 0);
    assert_int_equal(store_log_sync(log), 0);
}

static void readers_get_what_was_written_or_that_it_is_gone(void **state)
{
    struct fixture *f = *state;
    struct raft_hard_state hard = {1000000, 0};
    struct readers r = {0};
    pthread_t threads[2];
    raft_index last = 0;

    f->segment_bytes = 8192;
    fixture_open(f);
    assert_int_equal(store_log_write(f->log, &hard, NULL, 0), 0);
    r.log = f->log;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_all_the_time, &r), 0);
    for (unsigned i = 0;
         i < ROUNDS || atomic_load(&r.read) < 500 || atomic_load(&r.gone) < 50;
         i++) {
        write_numbered(f->log, last + 1, i + 1, 12);
        last += 12;
        atomic_store(&r.last, last);
        if (i % 8 == 7) {
            struct raft_pos pos = {i + 1, last + 5};

            atomic_store(&r.base, pos.index);
            assert_int_equal(store_log_reset(f->log, pos), 0);
            last = pos.index;
        } else if (i % 2 == 1) {
            atomic_store(&r.base, last - 4);
            assert_true(store_log_cut_head(f->log, last - 4) > 0);
        }
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
        TEST(only_whole_segments_that_are_covered_go),
        TEST(the_current_segment_stays),
        TEST(runs_begin_behind_what_was_cut),
        TEST(a_beginning_that_no_snapshot_covers_is_refused),
        TEST(a_beginning_that_the_state_covers_is_told_and_kept),
        TEST(what_an_interrupted_cut_left_is_removed_at_open),
        TEST(a_gap_that_no_snapshot_covers_is_reported),
        TEST(a_cut_below_the_base_moves_it),
        TEST(a_cut_below_the_base_at_a_border_moves_it),
        TEST(the_newest_covered_head_shows_how_far_a_cut_was_to_go),
        cmocka_unit_test(a_file_that_cannot_be_removed_is_tried_again),
        TEST(the_log_goes_on_behind_a_reset),
        TEST(what_an_interrupted_reset_left_is_removed_at_open),
        TEST(a_reset_log_without_its_snapshot_is_refused),
        TEST(a_log_that_lacks_the_snapshot_is_reset_at_open),
        TEST(a_log_that_holds_the_snapshot_is_kept_whole),
        TEST(a_snapshot_of_an_unknown_term_tells_of_a_lost_vote),
        TEST(what_was_applied_and_is_not_covered_is_lost),
        TEST(an_empty_folder_begins_behind_the_snapshot),
        TEST(a_segment_that_is_missing_under_a_reader_is_damage),
        TEST(many_entries_leave_and_others_follow),
        TEST(readers_get_what_was_written_or_that_it_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
