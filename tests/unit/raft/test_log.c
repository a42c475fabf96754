/* raft/log.c: terms of the whole log, entries of its tail. */
#include "tests/unit/raft/unit.h"

#include <string.h>

#include "base/assert.h"
#include "raft/log.h"

#define POS(t, i) ((struct raft_pos){.term = (t), .index = (i)})

static struct raft_log empty_log(void)
{
    struct raft_options options = {0};
    struct raft_log log;

    assert_int_equal(raft_log_init(&log, &options), 0);
    return log;
}

static void append(struct raft_log *log, raft_term term, struct px_slice data)
{
    assert_int_equal(raft_log_reserve(log, 1), 0);
    raft_log_append(log, term, RAFT_ENTRY_COMMAND, data);
    raft_log_check(log);
}

static void append_terms(struct raft_log *log, const raft_term *terms)
{
    for (; *terms != 0; terms++)
        append(log, *terms,
               (struct px_slice){.data = (const uint8_t *)"abc", .size = 3});
}

static void durable(struct raft_log *log)
{
    static uint64_t seq;

    raft_log_on_durable(
        log, (struct raft_write){.seq = ++seq, .last = raft_log_last(log)});
}

static void an_empty_log_holds_only_what_lies_before_it(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    assert_int_equal(raft_log_last(&log).index, 0);
    assert_int_equal(raft_log_last(&log).term, 0);
    assert_true(raft_log_holds(&log, POS(0, 0)));
    assert_false(raft_log_holds(&log, POS(0, 1)));
    assert_false(raft_log_holds(&log, POS(1, 0)));
    assert_true(raft_log_is_covered(&log, POS(0, 0)));
    raft_log_fini(&log);
}

static void terms_are_known_for_every_index(void **s)
{
    static const raft_term terms[] = {1, 1, 3, 3, 3, 4, 9, 9, 0};
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, terms);
    for (raft_index i = 1; i <= 8; i++) {
        assert_int_equal(raft_log_term(&log, i), terms[i - 1]);
        assert_true(raft_log_holds(&log, POS(terms[i - 1], i)));
        assert_false(raft_log_holds(&log, POS(terms[i - 1] + 1, i)));
    }
    assert_int_equal(log.run_count, 4);
    raft_log_fini(&log);
}

static void terms_from_disk_answer_without_entries(void **s)
{
    struct raft_term_run runs[] = {{2, 1}, {5, 4}};
    struct raft_options options = {
        .runs = runs, .run_count = 2, .last = 6, .applied = 3};
    struct raft_log log;

    (void)s;
    assert_int_equal(raft_log_init(&log, &options), 0);
    raft_log_check(&log);
    assert_int_equal(raft_log_term(&log, 3), 2);
    assert_int_equal(raft_log_term(&log, 6), 5);
    assert_int_equal(raft_log_tail_first(&log), 7);
    assert_int_equal(log.durable, 6);
    /* All of it may be cut, though nothing is in memory. */
    raft_log_cut(&log, 5, 1);
    raft_log_check(&log);
    assert_int_equal(log.last, 4);
    assert_int_equal(log.durable, 4);
    append_terms(&log, (raft_term[]){6, 0});
    assert_int_equal(raft_log_last(&log).term, 6);
    raft_log_fini(&log);
}

static void a_cut_forgets_terms_entries_and_bytes(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){1, 1, 3, 3, 4, 0});
    raft_log_cut(&log, 4, 7);
    raft_log_check(&log);
    assert_int_equal(log.last, 3);
    assert_int_equal(raft_log_last(&log).term, 3);
    assert_int_equal(log.unapplied_bytes, 9);
    assert_int_equal(log.cut_seq, 7);
    raft_log_cut(&log, 1, 8);
    raft_log_check(&log);
    assert_int_equal(log.last, 0);
    assert_int_equal(log.run_count, 0);
    raft_log_fini(&log);
}

/* 3.6.1: later term wins; in one term, the longer log. */
static void a_log_is_covered_by_a_later_term_or_a_longer_log(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){1, 3, 3, 0});
    assert_true(raft_log_is_covered(&log, POS(3, 3)));
    assert_true(raft_log_is_covered(&log, POS(3, 4)));
    assert_true(raft_log_is_covered(&log, POS(4, 1)));
    assert_false(raft_log_is_covered(&log, POS(3, 2)));
    assert_false(raft_log_is_covered(&log, POS(2, 99)));
    raft_log_fini(&log);
}

static void a_conflict_is_named_by_its_term_and_start(void **s)
{
    struct raft_log log = empty_log();
    struct raft_pos conflict;

    (void)s;
    append_terms(&log, (raft_term[]){1, 3, 3, 3, 5, 0});
    conflict = raft_log_conflict(&log, 4);
    assert_int_equal(conflict.term, 3);
    assert_int_equal(conflict.index, 2);
    conflict = raft_log_conflict(&log, 9);
    assert_int_equal(conflict.term, 0);
    assert_int_equal(conflict.index, 6);
    raft_log_fini(&log);
}

static void the_last_of_a_term_is_found_below_a_limit(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){2, 2, 4, 4, 4, 7, 0});
    assert_int_equal(raft_log_last_of_term(&log, 4, 6), 5);
    assert_int_equal(raft_log_last_of_term(&log, 4, 3), 3);
    assert_int_equal(raft_log_last_of_term(&log, 3, 6), 2);
    assert_int_equal(raft_log_last_of_term(&log, 1, 6), 0);
    assert_int_equal(raft_log_last_of_term(&log, 9, 6), 6);
    assert_int_equal(raft_log_last_of_term(&log, 9, 0), 0);
    raft_log_fini(&log);
}

/* ---- The base ---- */

/* Entries 11 .. 15 behind {2, 10}, nothing of it in memory. */
static struct raft_log log_behind_base(void)
{
    struct raft_term_run runs[] = {{2, 11}, {5, 13}};
    struct raft_options options = {.base = POS(2, 10),
                                   .runs = runs,
                                   .run_count = 2,
                                   .last = 15,
                                   .applied = 14};
    struct raft_log log;

    assert_int_equal(raft_log_init(&log, &options), 0);
    raft_log_check(&log);
    return log;
}

static void a_log_behind_a_base_knows_the_bases_term_and_none_below(void **s)
{
    struct raft_log log = log_behind_base();

    (void)s;
    assert_int_equal(raft_log_term(&log, 10), 2);
    assert_int_equal(raft_log_term(&log, 12), 2);
    assert_int_equal(raft_log_term(&log, 15), 5);
    assert_true(raft_log_holds(&log, POS(2, 10)));
    assert_false(raft_log_holds(&log, POS(1, 10)));
    assert_false(raft_log_holds(&log, POS(2, 9)));
    assert_false(raft_log_holds(&log, POS(0, 0)));
    assert_int_equal(raft_log_last_of_term(&log, 1, 15), 10);
    assert_int_equal(raft_log_last_of_term(&log, 4, 15), 12);
    raft_log_fini(&log);
}

static void a_conflict_points_behind_the_base(void **s)
{
    struct raft_log log = log_behind_base();

    (void)s;
    assert_int_equal(raft_log_conflict(&log, 12).term, 2);
    assert_int_equal(raft_log_conflict(&log, 12).index, 11);
    assert_int_equal(raft_log_conflict(&log, 99).index, 16);
    raft_log_fini(&log);
}

static void an_empty_log_behind_a_base_is_compared_by_the_base(void **s)
{
    struct raft_options options = {
        .base = POS(4, 10), .last = 10, .applied = 10};
    struct raft_log log;

    (void)s;
    assert_int_equal(raft_log_init(&log, &options), 0);
    raft_log_check(&log);
    assert_true(raft_log_is_covered(&log, POS(4, 10)));
    assert_true(raft_log_is_covered(&log, POS(5, 1)));
    assert_false(raft_log_is_covered(&log, POS(4, 9)));
    assert_false(raft_log_is_covered(&log, POS(3, 99)));
    append_terms(&log, (raft_term[]){4, 4, 6, 0}); /* the term goes on */
    assert_int_equal(raft_log_term(&log, 11), 4);
    assert_int_equal(raft_log_last(&log).index, 13);
    raft_log_fini(&log);
}

static void compacting_forgets_terms_and_entries_up_to_the_base(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){1, 1, 3, 3, 3, 4, 0});
    durable(&log);
    raft_log_on_applied(&log, 5);
    raft_log_compact(&log, 4); /* within a run */
    raft_log_check(&log);
    assert_int_equal(log.base.index, 4);
    assert_int_equal(log.base.term, 3);
    assert_int_equal(log.run_count, 2);
    assert_int_equal(raft_log_term(&log, 5), 3);
    assert_int_equal(raft_log_tail_first(&log), 5);
    raft_log_compact(&log, 2); /* not back */
    assert_int_equal(log.base.index, 4);
    raft_log_compact(&log, 5); /* at a run's end */
    raft_log_check(&log);
    assert_int_equal(log.run_count, 1);
    raft_log_on_applied(&log, 6);
    raft_log_compact(&log, 6); /* all of it */
    raft_log_check(&log);
    assert_int_equal(log.run_count, 0);
    assert_int_equal(log.tail_bytes, 0);
    append_terms(&log, (raft_term[]){4, 0});
    assert_int_equal(raft_log_last(&log).index, 7);
    raft_log_fini(&log);
}

static void a_reset_leaves_nothing_but_the_base(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){1, 1, 3, 0});
    raft_log_reset(&log, POS(2, 9), 5);
    raft_log_check(&log);
    assert_int_equal(log.last, 9);
    assert_int_equal(log.applied, 9);
    assert_int_equal(log.unapplied_bytes, 0);
    /* The write of the old log is done only now. */
    raft_log_on_durable(&log, (struct raft_write){.seq = 4, .last = POS(3, 3)});
    append_terms(&log, (raft_term[]){4, 0});
    assert_int_equal(log.durable, 9);
    raft_log_fini(&log);
}

static void an_install_within_the_log_keeps_what_lies_behind(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    append_terms(&log, (raft_term[]){1, 1, 3, 3, 0});
    raft_log_install(&log, POS(3, 3));
    raft_log_check(&log);
    assert_int_equal(log.base.index, 3);
    assert_int_equal(log.applied, 3);
    assert_int_equal(log.durable, 3);
    assert_int_equal(log.last, 4);
    /* Writes under way: one that the base has overtaken, one that hasn't. */
    raft_log_on_durable(&log, (struct raft_write){.seq = 1, .last = POS(1, 2)});
    assert_int_equal(log.durable, 3);
    raft_log_on_durable(&log, (struct raft_write){.seq = 2, .last = POS(3, 4)});
    assert_int_equal(log.durable, 4);
    raft_log_fini(&log);
}

/* ---- Memory ---- */

static void the_tail_is_bounded_in_bytes_once_it_is_durable(void **s)
{
    struct raft_log log = empty_log();
    struct px_slice big = {.owner = px_buf_new(PX_MIB)};

    (void)s;
    big = px_slice_of(big.owner, 0, PX_MIB);
    for (int i = 0; i < 100; i++) {
        append(&log, 1, big);
        raft_log_trim(&log);
    }
    assert_int_equal(raft_log_tail_first(&log), 1); /* not durable: kept */
    durable(&log);
    raft_log_trim(&log);
    raft_log_check(&log);
    assert_true(log.tail_bytes <= RAFT_TAIL_BYTES_MAX);
    assert_true(log.tail_bytes > RAFT_TAIL_BYTES_MAX - 2 * PX_MIB);
    assert_int_equal(raft_log_term(&log, 1), 1); /* terms stay */
    /* One by one, what was forgotten is applied all the same. */
    for (raft_index i = 1; i <= log.last; i++) {
        raft_log_on_applied(&log, i);
        raft_log_check(&log);
    }
    assert_int_equal(log.unapplied_bytes, 0);
    raft_log_fini(&log);
    assert_int_equal(big.owner->refs, 1);
    px_slice_unref(&big);
}

static void the_tail_is_bounded_in_entries_too(void **s)
{
    struct raft_log log = empty_log();

    (void)s;
    for (unsigned i = 0; i < 3 * RAFT_TAIL_ENTRIES_MAX; i++) {
        assert_int_equal(raft_log_reserve(&log, 1), 0);
        raft_log_append(&log, 1 + i / 1000, RAFT_ENTRY_COMMAND,
                        (struct px_slice){0});
        durable(&log);
        raft_log_trim(&log);
        assert_true(log.count <= RAFT_TAIL_ENTRIES_MAX);
    }
    raft_log_check(&log);
    assert_true(log.capacity <= 4 * RAFT_TAIL_ENTRIES_MAX);
    raft_log_fini(&log);
}

static void entries_of_the_tail_stand_in_a_row(void **s)
{
    struct raft_log log = empty_log();
    const struct raft_entry *e;

    (void)s;
    append_terms(&log, (raft_term[]){1, 1, 2, 2, 2, 0});
    e = raft_log_entry(&log, 2);
    for (raft_index i = 0; i < 4; i++) {
        assert_int_equal(e[i].pos.index, 2 + i);
        assert_int_equal(e[i].pos.term, i == 0 ? 1 : 2);
    }
    raft_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_empty_log_holds_only_what_lies_before_it),
        unit(terms_are_known_for_every_index),
        unit(terms_from_disk_answer_without_entries),
        unit(a_cut_forgets_terms_entries_and_bytes),
        unit(a_log_is_covered_by_a_later_term_or_a_longer_log),
        unit(a_conflict_is_named_by_its_term_and_start),
        unit(the_last_of_a_term_is_found_below_a_limit),
        unit(a_log_behind_a_base_knows_the_bases_term_and_none_below),
        unit(a_conflict_points_behind_the_base),
        unit(an_empty_log_behind_a_base_is_compared_by_the_base),
        unit(compacting_forgets_terms_and_entries_up_to_the_base),
        unit(a_reset_leaves_nothing_but_the_base),
        unit(an_install_within_the_log_keeps_what_lies_behind),
        unit(the_tail_is_bounded_in_bytes_once_it_is_durable),
        unit(the_tail_is_bounded_in_entries_too),
        unit(entries_of_the_tail_stand_in_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
