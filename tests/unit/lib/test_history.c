/* Histories of a few operations, of which one knows the answer. Times are in
 * the drawing: a step of a scenario begins or ends one operation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the four above */
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/history.h"

#define OBJECT 7

/* A history in the making; the clock ticks with each call and return. */
struct story {
    struct history *h;
    struct history_report report;
    px_ns now;
};

static int set_up(void **state)
{
    static struct story story;

    story = (struct story){.h = history_new(), .now = 100};
    *state = &story;
    return 0;
}

static int tear_down(void **state)
{
    struct story *s = *state;

    history_free(s->h);
    return 0;
}

static size_t begin(struct story *s, struct history_op op)
{
    op.object = op.object != 0 ? op.object : OBJECT;
    return history_call(s->h, 1, &op, s->now++);
}

static void end(struct story *s, size_t id, int rc, uint64_t value)
{
    struct history_result result = {.rc = rc, .value = value};

    history_return(s->h, id, &result, s->now++);
}

/* One after the other. */
static void did(struct story *s, struct history_op op, int rc, uint64_t value)
{
    end(s, begin(s, op), rc, value);
}

static void end_list(struct story *s, size_t id, const uint64_t *tokens,
                     size_t count)
{
    struct history_result result = {.tokens = tokens, .token_count = count};

    history_return(s->h, id, &result, s->now++);
}

#define WRITE(v) ((struct history_op){.verb = HISTORY_WRITE, .value = (v)})
#define READ ((struct history_op){.verb = HISTORY_READ})
#define DELETE ((struct history_op){.verb = HISTORY_DELETE})
#define APPEND(v) ((struct history_op){.verb = HISTORY_APPEND, .value = (v)})
#define LIST ((struct history_op){.verb = HISTORY_LIST})
#define NAMED(what, n, v) \
    ((struct history_op){.verb = HISTORY_##what, .name = (n), .value = (v)})
#define RENAME(a, b) \
    ((struct history_op){.verb = HISTORY_RENAME, .name = (a), .to = (b)})

/* The list read at this moment. */
#define SAW_LIST(s, ...)                                             \
    end_list((s), begin((s), LIST), (const uint64_t[]){__VA_ARGS__}, \
             sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

#define ASSERT_VERDICT(s, verdict) \
    assert_int_equal(history_check((s)->h, 0, &(s)->report), verdict)
#define ASSERT_OK(s) ASSERT_VERDICT(s, HISTORY_OK)
#define ASSERT_VIOLATION(s) ASSERT_VERDICT(s, HISTORY_VIOLATION)

/* ---- Registers ---- */

static void an_empty_history_is_linearizable(void **state)
{
    struct story *s = *state;

    ASSERT_OK(s);
    assert_int_equal(s->report.object_count, 0);
}

static void a_read_returns_the_last_write(void **state)
{
    struct story *s = *state;

    did(s, READ, -ENOENT, 0);
    did(s, WRITE(1), 0, 0);
    did(s, WRITE(2), 0, 0);
    did(s, READ, 0, 2);
    did(s, DELETE, 0, 0);
    did(s, READ, -ENOENT, 0);
    did(s, DELETE, -ENOENT, 0);
    ASSERT_OK(s);
    assert_int_equal(s->report.op_count, 7);
    assert_string_equal(s->report.text, "");
}

static void a_stale_read_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, WRITE(1), 0, 0);
    did(s, WRITE(2), 0, 0);
    did(s, READ, 0, 1);
    ASSERT_VIOLATION(s);
}

static void a_read_beside_a_write_returns_either_value(void **state)
{
    for (uint64_t value = 1; value <= 2; value++) {
        struct story *s = *state;
        size_t write;

        did(s, WRITE(2 * value - 1), 0, 0);
        write = begin(s, WRITE(2 * value));
        did(s, READ, 0, 2 * value - 1);
        did(s, READ, 0, 2 * value);
        end(s, write, 0, 0);
        ASSERT_OK(s);
    }
}

static void reads_do_not_go_back_beside_a_write(void **state)
{
    struct story *s = *state;
    size_t write;

    did(s, WRITE(1), 0, 0);
    write = begin(s, WRITE(2));
    did(s, READ, 0, 2);
    did(s, READ, 0, 1);
    end(s, write, 0, 0);
    ASSERT_VIOLATION(s);
}

static void a_lost_write_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, WRITE(1), 0, 0);
    did(s, READ, -ENOENT, 0);
    ASSERT_VIOLATION(s);
}

static void a_value_that_nobody_wrote_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, WRITE(1), 0, 0);
    did(s, READ, 0, 9);
    ASSERT_VIOLATION(s);
}

static void a_read_before_the_write_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, READ, 0, 1);
    did(s, WRITE(1), 0, 0);
    ASSERT_VIOLATION(s);
}

static void an_unknown_write_may_appear_late_or_never(void **state)
{
    struct story *s = *state;

    begin(s, WRITE(1));
    begin(s, WRITE(2));
    did(s, WRITE(3), 0, 0);
    did(s, READ, 0, 3);
    did(s, READ, 0, 1);
    did(s, READ, 0, 1);
    ASSERT_OK(s);
    assert_int_equal(s->report.unknown_count, 2);
}

static void an_unknown_write_does_not_disappear(void **state)
{
    struct story *s = *state;

    did(s, WRITE(3), 0, 0);
    begin(s, WRITE(1));
    did(s, READ, 0, 1);
    did(s, READ, 0, 3);
    ASSERT_VIOLATION(s);
}

static void an_unknown_write_takes_effect_once(void **state)
{
    struct story *s = *state;

    begin(s, WRITE(1));
    did(s, READ, 0, 1);
    did(s, WRITE(3), 0, 0);
    did(s, READ, 0, 1);
    ASSERT_VIOLATION(s);
}

static void an_unknown_delete_explains_one_absence(void **state)
{
    struct story *s = *state;

    begin(s, DELETE);
    did(s, WRITE(1), 0, 0);
    did(s, READ, -ENOENT, 0);
    did(s, WRITE(2), 0, 0);
    ASSERT_OK(s);
    did(s, READ, -ENOENT, 0);
    ASSERT_VIOLATION(s);
}

static void an_unknown_write_explains_a_delete_that_found_it(void **state)
{
    struct story *s = *state;

    begin(s, WRITE(1));
    did(s, DELETE, 0, 0);
    ASSERT_OK(s);
    did(s, DELETE, 0, 0);
    ASSERT_VIOLATION(s);
}

static void a_refused_write_never_shows(void **state)
{
    struct story *s = *state;
    size_t write = begin(s, WRITE(1));

    history_fail(s->h, write);
    ASSERT_OK(s);
    did(s, READ, 0, 1);
    ASSERT_VIOLATION(s);
}

static void what_ends_when_another_begins_overlaps_it(void **state)
{
    struct story *s = *state;
    size_t write = begin(s, WRITE(1));
    size_t read;

    end(s, write, 0, 0);
    s->now--;
    read = begin(s, READ);
    end(s, read, -ENOENT, 0);
    ASSERT_OK(s);
}

/* Names are for directories: a caller may leave anything there. */
static void a_register_is_one_name_whatever_operations_carry(void **state)
{
    struct story *s = *state;
    struct history_op write = WRITE(1);
    size_t id;

    write.name = 3;
    id = begin(s, write);
    did(s, READ, 0, 1);
    end(s, id, 0, 0);
    ASSERT_OK(s);
}

static void objects_do_not_touch_each_other(void **state)
{
    struct story *s = *state;
    struct history_op other = WRITE(2);

    other.object = 8;
    did(s, WRITE(1), 0, 0);
    did(s, other, 0, 0);
    did(s, READ, 0, 1);
    did(s, APPEND(1), 0, 0); /* a list of the same number */
    ASSERT_OK(s);
    assert_int_equal(s->report.object_count, 3);
}

/* Callers may draw a name for every operation. */
static void what_has_no_names_is_one_thing_whatever_they_say(void **state)
{
    struct story *s = *state;
    size_t write = begin(
        s, (struct history_op){.verb = HISTORY_WRITE, .value = 1, .name = 2});

    did(s, (struct history_op){.verb = HISTORY_READ, .name = 3}, 0, 1);
    end(s, write, 0, 0);
    ASSERT_OK(s);
}

/* ---- Lists ---- */

static void appends_show_in_order(void **state)
{
    struct story *s = *state;

    did(s, APPEND(1), 0, 0);
    SAW_LIST(s, 1);
    did(s, APPEND(2), 0, 0);
    SAW_LIST(s, 1, 2);
    did(s, APPEND(3), 0, 0);
    ASSERT_OK(s);
}

static void appends_in_the_wrong_order_are_a_violation(void **state)
{
    struct story *s = *state;

    did(s, APPEND(1), 0, 0);
    did(s, APPEND(2), 0, 0);
    SAW_LIST(s, 2, 1);
    ASSERT_VIOLATION(s);
}

static void appends_side_by_side_have_one_order(void **state)
{
    struct story *s = *state;
    size_t a = begin(s, APPEND(1));
    size_t b = begin(s, APPEND(2));

    end(s, a, 0, 0);
    end(s, b, 0, 0);
    SAW_LIST(s, 2, 1);
    ASSERT_OK(s);
    SAW_LIST(s, 1, 2);
    ASSERT_VIOLATION(s);
}

static void a_lost_append_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, APPEND(1), 0, 0);
    did(s, APPEND(2), 0, 0);
    SAW_LIST(s, 1);
    ASSERT_VIOLATION(s);
}

static void an_append_that_shows_twice_is_a_violation(void **state)
{
    struct story *s = *state;

    did(s, APPEND(1), 0, 0);
    SAW_LIST(s, 1, 1);
    ASSERT_VIOLATION(s);
}

static void an_unknown_append_shows_once_or_never(void **state)
{
    struct story *s = *state;

    begin(s, APPEND(1));
    begin(s, APPEND(2));
    did(s, APPEND(3), 0, 0);
    SAW_LIST(s, 3);
    SAW_LIST(s, 3, 1);
    ASSERT_OK(s);
    SAW_LIST(s, 3, 1, 1);
    ASSERT_VIOLATION(s);
}

static void an_append_does_not_show_before_its_call(void **state)
{
    struct story *s = *state;

    SAW_LIST(s, 1);
    begin(s, APPEND(1));
    ASSERT_VIOLATION(s);
}

static void a_list_does_not_shrink(void **state)
{
    struct story *s = *state;

    did(s, APPEND(1), 0, 0);
    begin(s, APPEND(2));
    SAW_LIST(s, 1, 2);
    SAW_LIST(s, 1);
    ASSERT_VIOLATION(s);
}

/* ---- Names ---- */

static void mkdir_has_one_winner(void **state)
{
    struct story *s = *state;
    size_t a = begin(s, NAMED(MKDIR, 0, 11));
    size_t b = begin(s, NAMED(MKDIR, 0, 12));
    size_t c = begin(s, NAMED(CREATE, 0, 13));

    end(s, a, -EEXIST, 0);
    end(s, b, 0, 0);
    end(s, c, -EEXIST, 0);
    did(s, NAMED(LOOKUP, 0, 0), 0, 12);
    ASSERT_OK(s);
}

static void two_mkdir_winners_are_a_violation(void **state)
{
    struct story *s = *state;
    size_t a = begin(s, NAMED(MKDIR, 0, 11));
    size_t b = begin(s, NAMED(MKDIR, 0, 12));

    end(s, a, 0, 0);
    end(s, b, 0, 0);
    ASSERT_VIOLATION(s);
}

/* What a retry that is applied twice would answer. */
static void mkdir_does_not_fail_by_its_own_success(void **state)
{
    struct story *s = *state;

    did(s, NAMED(MKDIR, 0, 11), -EEXIST, 0);
    ASSERT_VIOLATION(s);
}

static void an_unknown_mkdir_explains_one_eexist_too_many(void **state)
{
    struct story *s = *state;

    begin(s, NAMED(MKDIR, 0, 11));
    did(s, NAMED(CREATE, 0, 12), -EEXIST, 0);
    did(s, NAMED(RMDIR, 0, 0), 0, 0);
    did(s, NAMED(CREATE, 0, 13), 0, 0);
    ASSERT_OK(s);
    did(s, NAMED(UNLINK, 0, 0), 0, 0);
    did(s, NAMED(CREATE, 0, 14), -EEXIST, 0);
    ASSERT_VIOLATION(s);
}

static void a_lookup_tells_who_it_is(void **state)
{
    struct story *s = *state;

    did(s, NAMED(CREATE, 1, 11), 0, 0);
    did(s, NAMED(LOOKUP, 1, 0), 0, 11);
    did(s, NAMED(LOOKUP, 1, 0), 0, HISTORY_ANY);
    did(s, NAMED(LOOKUP, 2, 0), -ENOENT, 0);
    ASSERT_OK(s);
    did(s, NAMED(LOOKUP, 1, 0), 0, 12);
    ASSERT_VIOLATION(s);
}

static void a_rename_moves_at_one_instant(void **state)
{
    struct story *s = *state;
    size_t rename;

    did(s, NAMED(CREATE, 1, 11), 0, 0);
    rename = begin(s, RENAME(1, 2));
    did(s, NAMED(LOOKUP, 2, 0), -ENOENT, 0);
    did(s, NAMED(LOOKUP, 1, 0), 0, 11);
    did(s, NAMED(LOOKUP, 2, 0), 0, 11);
    did(s, NAMED(LOOKUP, 1, 0), -ENOENT, 0);
    end(s, rename, 0, 0);
    did(s, RENAME(1, 2), -ENOENT, 0);
    ASSERT_OK(s);
}

static void a_name_that_is_at_neither_place_is_a_violation(void **state)
{
    struct story *s = *state;
    size_t rename;

    did(s, NAMED(CREATE, 1, 11), 0, 0);
    rename = begin(s, RENAME(1, 2));
    did(s, NAMED(LOOKUP, 1, 0), -ENOENT, 0);
    did(s, NAMED(LOOKUP, 2, 0), -ENOENT, 0);
    end(s, rename, 0, 0);
    ASSERT_VIOLATION(s);
}

static void kinds_are_told_apart(void **state)
{
    struct story *s = *state;

    did(s, NAMED(CREATE, 1, 11), 0, 0);
    did(s, NAMED(MKDIR, 2, 12), 0, 0);
    did(s, NAMED(RMDIR, 1, 0), -ENOTDIR, 0);
    did(s, NAMED(UNLINK, 2, 0), -EISDIR, 0);
    did(s, RENAME(1, 2), -EISDIR, 0);
    did(s, RENAME(2, 1), -ENOTDIR, 0);
    did(s, RENAME(1, 1), 0, 0);
    did(s, NAMED(LOOKUP, 1, 0), 0, 11);
    ASSERT_OK(s);
    did(s, NAMED(UNLINK, 2, 0), 0, 0);
    ASSERT_VIOLATION(s);
}

/* Of unknown ones that do the same, as many may have taken effect as there
 * were, and no more. */
static void as_many_unknown_unlinks_as_there_were(void **state)
{
    struct story *s = *state;

    begin(s, NAMED(UNLINK, 0, 0));
    begin(s, NAMED(UNLINK, 0, 0));
    for (uint64_t id = 1; id <= 3; id++) {
        did(s, NAMED(CREATE, 0, id), 0, 0);
        ASSERT_OK(s);
    }
    did(s, NAMED(CREATE, 0, 9), 0, 0);
    ASSERT_VIOLATION(s);
}

/* ---- What the checker costs, and says ---- */

static void a_violation_is_printed_with_what_surrounds_it(void **state)
{
    struct story *s = *state;

    did(s, WRITE(1), 0, 0);
    did(s, WRITE(2), 0, 0);
    begin(s, DELETE);
    did(s, READ, 0, 1);
    did(s, READ, -ENOENT, 0);
    ASSERT_VIOLATION(s);
    assert_string_equal(s->report.text,
                        "register 7: not linearizable. No order allows\n"
                        "    c1 #3 [105, 106] read() -> 1\n"
                        "  it may have held, in 1 ways:\n"
                        "    a value that nobody read\n"
                        "  answered before, the newest first:\n"
                        "    c1 #1 [102, 103] write(2) -> ok\n"
                        "    c1 #0 [100, 101] write(1) -> ok\n");
}

/* Unknown creations under different ids can't stand in for each other. */
static void beyond_its_bound_the_checker_gives_up(void **state)
{
    struct story *s = *state;

    for (uint64_t id = 1; id <= 30; id++)
        begin(s, NAMED(CREATE, 0, id));
    did(s, NAMED(LOOKUP, 0, 0), 0, HISTORY_ANY);
    assert_int_equal(history_check(s->h, 20, &s->report), HISTORY_GAVE_UP);
    assert_int_equal(s->report.gave_up_count, 1);
    assert_non_null(strstr(s->report.text, "gave up"));
    ASSERT_OK(s);
}

static void a_violation_outweighs_having_given_up(void **state)
{
    struct story *s = *state;

    beyond_its_bound_the_checker_gives_up(state);
    did(s, WRITE(1), 0, 0);
    did(s, READ, -ENOENT, 0);
    assert_int_equal(history_check(s->h, 20, &s->report), HISTORY_VIOLATION);
    assert_int_equal(s->report.gave_up_count, 1);
    assert_non_null(strstr(s->report.text, "register 7"));
}

/* Sixteen names, and something unknown of each: who looks at one of them need
 * not think of the others. */
static void unknown_operations_on_other_names_cost_nothing(void **state)
{
    struct story *s = *state;

    for (unsigned n = 0; n < HISTORY_NAMES_MAX; n++) {
        begin(s, NAMED(CREATE, n, 1 + n));
        begin(s, NAMED(UNLINK, n, 0));
    }
    for (unsigned i = 0; i < 10 * HISTORY_NAMES_MAX; i++)
        did(s, NAMED(LOOKUP, i % HISTORY_NAMES_MAX, 0), 0, HISTORY_ANY);
    ASSERT_OK(s);
    assert_in_range(s->report.config_count, 1, 10000);
}

/* A thousand writes and deletes that nobody knows of, some of them seen: the
 * work stays in proportion. */
static void many_unknown_operations_cost_little(void **state)
{
    struct story *s = *state;

    for (uint64_t i = 1; i <= 1000; i++) {
        begin(s, WRITE(2 * i));
        begin(s, DELETE);
        did(s, WRITE(2 * i + 1), 0, 0);
        did(s, READ, 0, i % 2 == 0 ? 2 * i + 1 : 2 * i);
        if (i % 10 == 0)
            did(s, READ, -ENOENT, 0);
    }
    ASSERT_OK(s);
    assert_in_range(s->report.config_count, 1, 100000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_history_is_linearizable),
        TEST(a_read_returns_the_last_write),
        TEST(a_stale_read_is_a_violation),
        TEST(a_read_beside_a_write_returns_either_value),
        TEST(reads_do_not_go_back_beside_a_write),
        TEST(a_lost_write_is_a_violation),
        TEST(a_value_that_nobody_wrote_is_a_violation),
        TEST(a_read_before_the_write_is_a_violation),
        TEST(an_unknown_write_may_appear_late_or_never),
        TEST(an_unknown_write_does_not_disappear),
        TEST(an_unknown_write_takes_effect_once),
        TEST(an_unknown_delete_explains_one_absence),
        TEST(an_unknown_write_explains_a_delete_that_found_it),
        TEST(a_refused_write_never_shows),
        TEST(what_ends_when_another_begins_overlaps_it),
        TEST(a_register_is_one_name_whatever_operations_carry),
        TEST(a_register_is_one_name_whatever_operations_carry),
        TEST(objects_do_not_touch_each_other),
        TEST(what_has_no_names_is_one_thing_whatever_they_say),
        TEST(appends_show_in_order),
        TEST(appends_in_the_wrong_order_are_a_violation),
        TEST(appends_side_by_side_have_one_order),
        TEST(a_lost_append_is_a_violation),
        TEST(an_append_that_shows_twice_is_a_violation),
        TEST(an_unknown_append_shows_once_or_never),
        TEST(an_append_does_not_show_before_its_call),
        TEST(a_list_does_not_shrink),
        TEST(mkdir_has_one_winner),
        TEST(two_mkdir_winners_are_a_violation),
        TEST(mkdir_does_not_fail_by_its_own_success),
        TEST(an_unknown_mkdir_explains_one_eexist_too_many),
        TEST(a_lookup_tells_who_it_is),
        TEST(a_rename_moves_at_one_instant),
        TEST(a_name_that_is_at_neither_place_is_a_violation),
        TEST(kinds_are_told_apart),
        TEST(as_many_unknown_unlinks_as_there_were),
        TEST(a_violation_is_printed_with_what_surrounds_it),
        TEST(beyond_its_bound_the_checker_gives_up),
        TEST(a_violation_outweighs_having_given_up),
        TEST(unknown_operations_on_other_names_cost_nothing),
        TEST(many_unknown_operations_cost_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
