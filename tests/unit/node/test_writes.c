/* node/replica.c: writes of the log that are under way while the log changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/node/solo.h"

#define TERM 5

/* Node 2 leads, and its entry 1 holds @buf. */
static void append(struct solo *s, struct px_buf *buf)
{
    const struct raft_entry e = {
        .pos = {TERM, 1},
        .kind = RAFT_ENTRY_COMMAND,
        .data = px_slice_of(buf, 0, buf->size),
    };
    const struct raft_msg m = {
        .type = RAFT_MSG_APPEND,
        .from = 2,
        .to = 1,
        .term = TERM,
        .append = {.count = 1, .entries = &e},
    };

    replica_on_message(s->r, &m);
    solo_turn(s);
}

/* The next leader's entry takes its place before the disk has it: the log lets
 * go of the bytes, and the log thread may be reading them. */
static void a_write_holds_an_entry_that_was_cut_meanwhile(void **state)
{
    struct px_buf *buf = px_buf_new(100);
    struct replica_write *w;
    struct solo s;

    (void)state;
    assert_non_null(buf);
    solo_open(&s, &(struct solo_options){.snapshot = 0});
    append(&s, buf);
    assert_int_equal(buf->refs, 3); /* ours, the log's and the write's */
    w = px_list_entry(s.writes.next, struct replica_write, link);
    solo_append(&s, 3, TERM + 1, (struct raft_pos){0, 0}, 1, 0);
    assert_int_equal(buf->refs, 2);
    assert_ptr_equal(w->entries[0].data.owner, buf);
    solo_sync(&s);
    assert_int_equal(buf->refs, 1);
    solo_close(&s);
    px_buf_unref(buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_holds_an_entry_that_was_cut_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
