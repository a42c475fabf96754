/* fs/shown.c: what the kernel may be about to open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/shown.h"

#define SESSION UINT64_C(0x500000000)

static struct fs_shown shown;

static int set_up(void **state)
{
    (void)state;
    shown = (struct fs_shown){0};
    return 0;
}

static void what_was_shown_is_for_a_while(void **state)
{
    (void)state;
    assert_false(fs_shown_has(&shown, 7, 100));
    fs_shown_add(&shown, 7, 100);
    assert_true(fs_shown_has(&shown, 7, 100 + FS_SHOWN_FOR - 1));
    assert_false(fs_shown_has(&shown, 7, 100 + FS_SHOWN_FOR));
    assert_false(fs_shown_has(&shown, 8, 100));
    fs_shown_add(&shown, 7, 200); /* again, and so longer */
    assert_true(fs_shown_has(&shown, 7, 100 + FS_SHOWN_FOR));
}

static void what_the_kernel_forgot_it_does_not_open(void **state)
{
    (void)state;
    fs_shown_add(&shown, 7, 100);
    fs_shown_forget(&shown, 7, 1);
    assert_false(fs_shown_has(&shown, 7, 100));
    fs_shown_forget(&shown, 7, 1); /* made, not looked up: unknown here */
}

/* A FORGET of what was before crosses the answer to a new LOOKUP. */
static void what_was_shown_again_is_not_forgotten(void **state)
{
    (void)state;
    fs_shown_add(&shown, 7, 100);
    fs_shown_add(&shown, 7, 100);
    fs_shown_add(&shown, 7, 100);
    fs_shown_forget(&shown, 7, 2);
    assert_true(fs_shown_has(&shown, 7, 100));
    fs_shown_forget(&shown, 7, 5); /* creations count there, too */
    assert_false(fs_shown_has(&shown, 7, 100));
}

static void the_newest_takes_the_place(void **state)
{
    (void)state;
    fs_shown_add(&shown, 7, 100);
    fs_shown_add(&shown, 7 + FS_SHOWN_MAX, 100);
    assert_false(fs_shown_has(&shown, 7, 100));
    assert_true(fs_shown_has(&shown, 7 + FS_SHOWN_MAX, 100));
    fs_shown_forget(&shown, 7, 1); /* not of the other one */
    assert_true(fs_shown_has(&shown, 7 + FS_SHOWN_MAX, 100));
}

static void the_last_thousand_of_a_session_have_their_places(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 5 * FS_SHOWN_MAX; i++)
        fs_shown_add(&shown, SESSION + i, 100);
    for (uint64_t i = 0; i < FS_SHOWN_MAX; i++)
        assert_true(fs_shown_has(&shown, SESSION + 5 * FS_SHOWN_MAX - i, 100));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(what_was_shown_is_for_a_while),
        TEST(what_the_kernel_forgot_it_does_not_open),
        TEST(what_was_shown_again_is_not_forgotten),
        TEST(the_newest_takes_the_place),
        TEST(the_last_thousand_of_a_session_have_their_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
