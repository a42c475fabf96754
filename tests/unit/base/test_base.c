/* base/: buf, bytes, list, rand, text, err. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/note.h"
#include "base/rand.h"
#include "base/text.h"

static void a_slice_keeps_its_buf_alive(void **state)
{
    struct px_buf *b = px_buf_new(4);
    struct px_slice s;

    (void)state;
    assert_non_null(b);
    memcpy(b->data, "abcd", 4);
    s = px_slice_ref(px_slice_of(b, 1, 2));
    px_buf_unref(b);
    assert_memory_equal(s.data, "bc", 2);
    px_slice_unref(&s);
    assert_null(s.owner);
}

static void a_buf_beyond_all_memory_is_refused(void **state)
{
    (void)state;
    assert_null(px_buf_new(SIZE_MAX));
}

static int bytes_of(const char *text, uint64_t *bytes)
{
    return px_bytes_parse(text, strlen(text), bytes);
}

static void bytes_are_written_in_powers_of_1024(void **state)
{
    uint64_t b = 0;

    (void)state;
    assert_int_equal(bytes_of("1", &b), 0);
    assert_int_equal(b, 1);
    assert_int_equal(bytes_of("7K", &b), 0);
    assert_int_equal(b, 7168);
    assert_int_equal(bytes_of("16m", &b), 0);
    assert_int_equal(b, 16777216);
    assert_int_equal(bytes_of("8G", &b), 0);
    assert_int_equal(b, UINT64_C(8589934592));
    assert_int_equal(bytes_of("2t", &b), 0);
    assert_int_equal(b, UINT64_C(2199023255552));
    assert_int_equal(px_bytes_parse("12junk", 2, &b), 0);
    assert_int_equal(b, 12);
}

static void what_is_no_number_of_bytes_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "0G",
                                      "G",
                                      "K1",
                                      "1KB",
                                      "1 K",
                                      " 1",
                                      "-1",
                                      "+1",
                                      "1.5G",
                                      "0x10",
                                      "18446744073709551616",
                                      "18446744073709551615K",
                                      "99999999999999999999"};
    uint64_t b = 5;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(bytes_of(bad[i], &b), -EINVAL);
    assert_int_equal(px_bytes_parse("1\0", 2, &b), -EINVAL);
    assert_int_equal(b, 5);
}

struct item {
    int value;
    struct px_list link;
};

static void a_list_keeps_its_order_and_forgets_what_is_removed(void **state)
{
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    struct px_list a;
    struct px_list b;
    int sum = 0;

    (void)state;
    px_list_init(&a);
    px_list_init(&b);
    for (size_t i = 0; i < 3; i++)
        px_list_push_back(i == 0 ? &a : &b, &items[i].link);
    px_list_splice_back(&a, &b);
    assert_true(px_list_empty(&b));
    px_list_remove(&items[1].link);
    px_list_remove(&items[1].link); /* twice is harmless */
    px_list_for_each (it, &a) {
        sum = 10 * sum + px_list_entry(it, struct item, link)->value;
    }
    assert_int_equal(sum, 13);
    assert_ptr_equal(px_list_pop_front(&a), &items[0].link);
    assert_ptr_equal(px_list_pop_front(&a), &items[2].link);
    assert_null(px_list_pop_front(&a));
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct px_rand a;
    struct px_rand b;
    unsigned seen = 0;

    (void)state;
    px_rand_init(&a, px_djb2("node-1", 6));
    px_rand_init(&b, px_djb2("node-1", 6));
    for (int i = 0; i < 1000; i++) {
        uint64_t x = px_rand_below(&a, 8);

        assert_int_equal(x, px_rand_below(&b, 8));
        seen |= 1u << x;
    }
    assert_int_equal(seen, 0xff); /* all of them come up */
}

/* Bernstein's function: hash * 33 + c, from 5381. */
static void djb2_is_bernsteins(void **state)
{
    (void)state;
    assert_int_equal(px_djb2("", 0), 5381);
    assert_int_equal(px_djb2("a", 1), 5381 * 33 + 'a');
}

static void a_text_that_does_not_fit_is_cut_and_terminated(void **state)
{
    char data[8];
    struct px_text t;

    (void)state;
    px_text_init(&t, data, sizeof data);
    px_text_add(&t, "%s", "12345");
    px_text_add(&t, "%s", "6789");
    px_text_add(&t, "%s", "0");
    assert_string_equal(data, "1234567");
    assert_int_equal(t.used, 7);
}

static void every_error_has_a_text_and_an_errno_at_the_mount(void **state)
{
    (void)state;
    assert_int_equal(px_mount_errno(-PX_EUNKNOWN), ETIMEDOUT);
    assert_int_equal(px_mount_errno(-PX_ENOTLEADER), EAGAIN);
    assert_int_equal(px_mount_errno(-PX_ECORRUPT), EIO);
    assert_int_equal(px_mount_errno(-ENOENT), ENOENT);
    assert_string_equal(px_strerror(-PX_ENOTLEADER), "not the leader");
    assert_string_equal(px_strerror(-ENOENT), strerror(ENOENT));
    assert_string_equal(px_strerror(-999999), "unknown error");
}

static void only_the_four_levels_are_known(void **state)
{
    enum px_note_level level = PX_NOTE_INFO;

    (void)state;
    assert_int_equal(px_note_level_parse("debug", &level), 0);
    assert_int_equal(level, PX_NOTE_DEBUG);
    assert_int_equal(px_note_level_parse("Debug", &level), -EINVAL);
    assert_int_equal(level, PX_NOTE_DEBUG);
}

/* The fault: who stopped reading the notes stopped the node. */
static void who_does_not_read_notes_holds_nobody_up(void **state)
{
    static char text[65536 + 1];
    int own = dup(STDERR_FILENO);
    int ends[2];
    ssize_t n;

    (void)state;
    assert_true(own >= 0);
    assert_return_code(pipe(ends), errno);
    (void)fflush(stderr);
    assert_return_code(dup2(ends[1], STDERR_FILENO), errno);
    assert_return_code(fcntl(ends[1], F_SETPIPE_SZ, 65536), errno);
    px_note_init(PX_NOTE_INFO, "a");
    (void)alarm(20); /* ends who waits */
    for (int i = 0; i < 1000; i++)
        px_note(PX_NOTE_ERROR, "%0100d", i);
    n = read(ends[0], text, sizeof text - 1);
    px_note(PX_NOTE_ERROR, "the next");
    assert_return_code(dup2(own, STDERR_FILENO), errno);
    px_note_init(PX_NOTE_INFO, "-");
    assert_true(n > 0);
    n = read(ends[0], text, sizeof text - 1);
    (void)alarm(0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, " note: not taken: dropped="));
    assert_non_null(strstr(text, " the next\n"));
    (void)close(ends[0]); /* was the test's alone, as are these */
    (void)close(ends[1]);
    (void)close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_keeps_its_buf_alive),
        cmocka_unit_test(a_buf_beyond_all_memory_is_refused),
        cmocka_unit_test(a_list_keeps_its_order_and_forgets_what_is_removed),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(djb2_is_bernsteins),
        cmocka_unit_test(bytes_are_written_in_powers_of_1024),
        cmocka_unit_test(what_is_no_number_of_bytes_is_refused),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_and_terminated),
        cmocka_unit_test(every_error_has_a_text_and_an_errno_at_the_mount),
        cmocka_unit_test(only_the_four_levels_are_known),
        cmocka_unit_test(who_does_not_read_notes_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
