/* fs/inode.c: open counts and aliases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "fs/inode.h"

#define INODES 500

static void an_inode_is_open_until_its_last_close(void **state)
{
    struct fs_inodes t = {0};

    (void)state;
    assert_false(fs_inodes_is_open(&t, 7));
    assert_int_equal(fs_inodes_open(&t, 7), 0);
    assert_int_equal(fs_inodes_open(&t, 7), 0);
    assert_true(fs_inodes_is_open(&t, 7));
    assert_false(fs_inodes_is_open(&t, 8));
    assert_false(fs_inodes_close(&t, 7));
    assert_true(fs_inodes_is_open(&t, 7));
    assert_true(fs_inodes_close(&t, 7));
    assert_false(fs_inodes_is_open(&t, 7));
    fs_inodes_fini(&t);
}

static void an_alias_leads_elsewhere_until_it_is_forgotten(void **state)
{
    struct fs_inodes t = {0};

    (void)state;
    assert_int_equal(fs_inodes_resolve(&t, 7), 7);
    assert_int_equal(fs_inodes_alias(&t, 7, 9), 0);
    assert_int_equal(fs_inodes_resolve(&t, 7), 9);
    assert_int_equal(fs_inodes_resolve(&t, 9), 9);
    fs_inodes_forget(&t, 9); /* not an alias */
    assert_int_equal(fs_inodes_resolve(&t, 7), 9);
    fs_inodes_forget(&t, 7);
    assert_int_equal(fs_inodes_resolve(&t, 7), 7);
    fs_inodes_fini(&t);
}

/* Opens and closes at random, beside an array that counts: chains of probes
 * break where a removal leaves a hole. */
static void counts_hold_through_growth_and_removal(void **state)
{
    static unsigned counts[INODES];
    struct fs_inodes t = {0};
    struct px_rand rand;

    (void)state;
    px_rand_init(&rand, 1);
    for (int i = 0; i < 200000; i++) {
        uint64_t at = px_rand_below(&rand, INODES);
        uint64_t inode = (at % 5 + 1) << 40 | (at + 1);

        if (px_rand_below(&rand, 2) == 0) {
            assert_int_equal(fs_inodes_open(&t, inode), 0);
            counts[at]++;
        } else if (counts[at] > 0) {
            counts[at]--;
            assert_int_equal(fs_inodes_close(&t, inode), counts[at] == 0);
        }
        assert_int_equal(fs_inodes_is_open(&t, inode), counts[at] > 0);
    }
    for (uint64_t at = 0; at < INODES; at++)
        assert_int_equal(fs_inodes_is_open(&t, (at % 5 + 1) << 40 | (at + 1)),
                         counts[at] > 0);
    fs_inodes_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inode_is_open_until_its_last_close),
        cmocka_unit_test(an_alias_leads_elsewhere_until_it_is_forgotten),
        cmocka_unit_test(counts_hold_through_growth_and_removal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
