/* store/leftovers.c: what interrupted changes have left goes before anything is
 * written, and nothing else does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/identity.h"
#include "store/leftovers.h"

#define PATH_BYTES 128

static char root[64];

static const char *path(const char *name)
{
    static char text[PATH_BYTES];

    (void)snprintf(text, sizeof text, "%s/%s", root, name);
    return text;
}

static void make_file(const char *name)
{
    FILE *f = fopen(path(name), "we");

    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static void make_folder(const char *name)
{
    assert_return_code(mkdir(path(name), 0700), errno);
}

static bool exists(const char *name)
{
    return access(path(name), F_OK) == 0;
}

static int begin(void **state)
{
    (void)state;
    (void)strcpy(root, "/tmp/phalanx-leftovers-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int end(void **state)
{
    char command[PATH_BYTES];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static const char *const left[] = {
    "identity.new",
    "peers.new",
    "term.new",
    "log/segment.new",
    "snapshot/arriving.new",
    "state/new/boot",
    "state/new",
    "state/9/data.mdb",
    "state/9",
};
static const char *const kept[] = {
    "identity",          "term",         "log/0000000001.log",
    "snapshot/123.snap", "snapshot/new", "state/10/data.mdb",
    "state/10/boot.new", "state/09",     "state/diverged-7/data.mdb",
    "state/diverged",    "news",         "letter.new",
};

static void make_all(void)
{
    static const char *const folders[] = {
        "log",     "snapshot", "state",    "state/new",
        "state/9", "state/09", "state/10", "state/diverged-7",
    };

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!exists(folders[i]))
            make_folder(folders[i]);
    }
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        if (!exists(left[i]))
            make_file(left[i]);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (!exists(kept[i]))
            make_file(kept[i]);
    }
}

static void what_is_unfinished_or_replaced_goes_and_the_rest_stays(void **state)
{
    (void)state;
    make_all();
    store_leftovers_remove(root);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        assert_false(exists(left[i]));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_true(exists(kept[i]));
    store_leftovers_remove(root); /* and there is no more of it */
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_true(exists(kept[i]));
}

static void a_folder_that_is_not_there_has_none(void **state)
{
    (void)state;
    store_leftovers_remove(path("nowhere"));
    store_leftovers_remove(root);
}

static int open_folder(void)
{
    struct store_folder *f = NULL;
    struct store_identity id;
    char why[256];
    bool is_new = false;
    const struct store_folder_options options = {
        .dir = root, .node = "node", .cluster_name = "phalanx", .cluster = 1};
    int rc = store_folder_open(&options, &f, &id, &is_new, why, sizeof why);

    if (rc == 0 && is_new)
        rc = store_folder_begin(f, &id);
    store_folder_close(f);
    return rc;
}

/* What is in the way of the first thing that is written stands for a disk that
 * is full to the last byte. */
static void a_start_removes_them_before_it_writes(void **state)
{
    (void)state;
    assert_int_equal(open_folder(), 0);
    make_folder("identity.new");
    make_file("identity.new/in-the-way");
    make_folder("state/new");
    make_file("state/new/data.mdb");
    make_file("snapshot/arriving.new");
    assert_true(open_folder() < 0);
    assert_false(exists("state/new"));
    assert_false(exists("snapshot/arriving.new"));
}

/* DATA_DIR may be a folder of somebody's, by mistake. */
static void the_first_start_removes_nothing(void **state)
{
    (void)state;
    make_file("letter.new");
    make_file("term.new");
    assert_int_equal(open_folder(), 0);
    assert_true(exists("identity"));
    assert_true(exists("letter.new"));
    assert_true(exists("term.new"));
    assert_int_equal(open_folder(), 0); /* now it is ours */
    assert_true(exists("letter.new"));
    assert_false(exists("term.new"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        T(what_is_unfinished_or_replaced_goes_and_the_rest_stays),
        T(a_folder_that_is_not_there_has_none),
        T(a_start_removes_them_before_it_writes),
        T(the_first_start_removes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
