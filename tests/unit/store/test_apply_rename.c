/* store/apply_rename.c */
#include "tests/unit/store/state_fixture.h"

static int move(struct fixture *fx, uint64_t from, const char *name,
                uint64_t to, const char *new_name, uint32_t flags)
{
    return run(fx, make_rename(from, name, to, new_name, flags)).rc;
}

static void a_name_moves_with_its_inode(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), f = do_create(fx, ROOT, "f");
    int64_t mtime = stat_of(fx, f).mtime;

    assert_int_equal(move(fx, ROOT, "f", ROOT, "g", 0), 0);
    assert_int_equal(lookup(fx, ROOT, "f"), 0);
    assert_int_equal(lookup(fx, ROOT, "g"), f);
    assert_int_equal(move(fx, ROOT, "g", d, "h", 0), 0);
    assert_int_equal(lookup(fx, ROOT, "g"), 0);
    assert_int_equal(lookup(fx, d, "h"), f);
    assert_int_equal(stat_of(fx, f).links, 1);
    assert_int_equal(stat_of(fx, f).mtime, mtime);
    assert_int_equal(stat_of(fx, f).ctime, fx->time);
    assert_int_equal(stat_of(fx, d).mtime, fx->time);
    assert_int_equal(stat_of(fx, ROOT).mtime, fx->time);
    assert_int_equal(move(fx, ROOT, "none", ROOT, "x", 0), -ENOENT);
}

static void what_lies_under_the_new_name_is_replaced(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), g = do_create(fx, ROOT, "g");

    do_write(fx, g, 0, "old", 3);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "g", 0), 0);
    assert_int_equal(lookup(fx, ROOT, "g"), f);
    assert_int_equal(stat_of(fx, g).links, 0); /* an orphan: it may be open */
    assert_bytes(fx, g, 0, "old", 3);
    assert_int_equal(fx->orphans.count, 1);
    assert_int_equal(fx->orphans.inodes[0], g);
    assert_int_equal(stat_of(fx, ROOT).size, 1);
}

static void directories_and_files_do_not_replace_each_other(void **state)
{
    struct fixture *fx = *state;
    uint64_t d = do_mkdir(fx, ROOT, "d"), e = do_mkdir(fx, ROOT, "e");

    (void)do_create(fx, ROOT, "f");
    (void)do_create(fx, e, "inside");
    assert_int_equal(move(fx, ROOT, "d", ROOT, "f", 0), -ENOTDIR);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "d", 0), -EISDIR);
    assert_int_equal(move(fx, ROOT, "d", ROOT, "e", 0), -ENOTEMPTY);
    assert_int_equal(move(fx, ROOT, "e", ROOT, "d", 0), 0); /* empty: goes */
    assert_int_equal(lookup(fx, ROOT, "d"), e);
    assert_int_equal(stat_of(fx, d).links, 0);
    assert_int_equal(stat_of(fx, ROOT).links, 3);
}

static void a_directory_does_not_move_below_itself(void **state)
{
    struct fixture *fx = *state;
    uint64_t a = do_mkdir(fx, ROOT, "a"), b = do_mkdir(fx, a, "b");
    uint64_t c = do_mkdir(fx, b, "c");

    (void)do_create(fx, c, "f");
    assert_int_equal(move(fx, ROOT, "a", a, "x", 0), -EINVAL);
    assert_int_equal(move(fx, ROOT, "a", c, "x", 0), -EINVAL);
    assert_int_equal(move(fx, ROOT, "a", c, "f", COMMAND_EXCHANGE), -EINVAL);
    assert_int_equal(move(fx, c, "f", ROOT, "a", COMMAND_EXCHANGE), -EINVAL);
    assert_int_equal(move(fx, b, "c", ROOT, "a", 0), -ENOTEMPTY);
    assert_int_equal(move(fx, a, "b", ROOT, "b", 0), 0); /* up is fine */
    assert_int_equal(stat_of(fx, b).parent, ROOT);
    assert_int_equal(stat_of(fx, a).links, 2);
    assert_int_equal(stat_of(fx, ROOT).links, 4);
    assert_int_equal(move(fx, ROOT, "a", c, "a", 0), 0); /* and down there */
    assert_int_equal(stat_of(fx, c).links, 3);
}

static void the_walk_to_the_root_is_bounded(void **state)
{
    struct fixture *fx = *state;
    uint64_t deep = ROOT;

    for (int i = 0; i < 4095; i++)
        deep = do_mkdir(fx, deep, "d");
    (void)do_mkdir(fx, ROOT, "m");
    assert_int_equal(move(fx, ROOT, "m", deep, "m", 0), 0);
    deep = do_mkdir(fx, deep, "d");
    (void)do_mkdir(fx, ROOT, "m");
    assert_int_equal(move(fx, ROOT, "m", deep, "m", 0), -ELOOP);
    (void)do_create(fx, ROOT, "f");
    assert_int_equal(move(fx, ROOT, "f", deep, "f", 0), 0); /* no walk */
}

static void two_names_of_one_inode_both_stay(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f");
    uint64_t hash;

    assert_int_equal(run(fx, make_link(f, ROOT, "g")).rc, 0);
    hash = stat_of(fx, ROOT).changed;
    assert_int_equal(move(fx, ROOT, "f", ROOT, "g", 0), 0);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "f", 0), 0);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "g", COMMAND_EXCHANGE), 0);
    assert_int_equal(lookup(fx, ROOT, "f"), f);
    assert_int_equal(lookup(fx, ROOT, "g"), f);
    assert_int_equal(stat_of(fx, f).links, 2);
    assert_int_equal(stat_of(fx, ROOT).changed, hash);
}

static void noreplace_refuses_what_is_there(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "f"), g = do_create(fx, ROOT, "g");

    assert_int_equal(move(fx, ROOT, "f", ROOT, "g", COMMAND_NOREPLACE),
                     -EEXIST);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "f", COMMAND_NOREPLACE),
                     -EEXIST);
    assert_int_equal(lookup(fx, ROOT, "g"), g);
    assert_int_equal(move(fx, ROOT, "f", ROOT, "h", COMMAND_NOREPLACE), 0);
    assert_int_equal(lookup(fx, ROOT, "h"), f);
    assert_int_equal(
        move(fx, ROOT, "h", ROOT, "g", COMMAND_NOREPLACE | COMMAND_EXCHANGE),
        -EINVAL);
}

static void exchange_swaps_whatever_the_two_are(void **state)
{
    struct fixture *fx = *state;
    uint64_t a = do_mkdir(fx, ROOT, "a"), b = do_mkdir(fx, ROOT, "b");
    uint64_t d = do_mkdir(fx, a, "d"), f = do_create(fx, b, "f");

    (void)do_create(fx, d, "inside");
    assert_int_equal(move(fx, a, "d", b, "none", COMMAND_EXCHANGE), -ENOENT);
    assert_int_equal(move(fx, a, "d", b, "f", COMMAND_EXCHANGE), 0);
    assert_int_equal(lookup(fx, a, "d"), f);
    assert_int_equal(lookup(fx, b, "f"), d);
    assert_int_equal(stat_of(fx, d).parent, b);
    assert_int_equal(stat_of(fx, a).links, 2);
    assert_int_equal(stat_of(fx, b).links, 3);
    assert_int_equal(fx->orphans.count, 0);
    /* And two directories, of different parents. */
    (void)do_mkdir(fx, a, "e");
    assert_int_equal(move(fx, a, "e", b, "f", COMMAND_EXCHANGE), 0);
    assert_int_equal(lookup(fx, a, "e"), d);
    assert_int_equal(stat_of(fx, d).parent, a);
    assert_int_equal(stat_of(fx, a).links, 3);
    assert_int_equal(stat_of(fx, b).links, 3);
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(a_name_moves_with_its_inode),
        T(what_lies_under_the_new_name_is_replaced),
        T(directories_and_files_do_not_replace_each_other),
        T(a_directory_does_not_move_below_itself),
        T(the_walk_to_the_root_is_bounded),
        T(two_names_of_one_inode_both_stay),
        T(noreplace_refuses_what_is_there),
        T(exchange_swaps_whatever_the_two_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
