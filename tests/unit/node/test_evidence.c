/* node/evidence.c: the mark of a wrong state, and what is kept of it. */
#include <errno.h>
#include <fcntl.h>
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

#include "node/evidence.h"

#define PATH_BYTES 128

static char root[64];

static const char *path(const char *name)
{
    static char text[4][PATH_BYTES];
    static unsigned next;
    char *p = text[next++ % 4];

    (void)snprintf(p, PATH_BYTES, "%s/%s", root, name);
    return p;
}

static void make_file(const char *name)
{
    FILE *f = fopen(path(name), "we");

    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static bool exists(const char *name)
{
    return access(path(name), F_OK) == 0;
}

/* A state in use, of generation @name, with one file that is its own. */
static void make_state(const char *name, const char *file)
{
    assert_return_code(mkdir(path(name), 0700), errno);
    make_file(file);
}

static int begin(void **state)
{
    (void)state;
    (void)strcpy(root, "/tmp/phalanx-evidence-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int end(void **state)
{
    char command[PATH_BYTES];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void the_wrong_state_is_kept_with_its_mark(void **state)
{
    const struct replica_divergence wrong = {4096, 7, 8};
    struct replica_divergence d;
    raft_index heir;

    (void)state;
    make_state("1", "1/data.mdb");
    assert_int_equal(evidence_mark(root, &wrong, 0), 0);
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(d.index, 4096);
    assert_int_equal(d.own, 7);
    assert_int_equal(d.others, 8);
    assert_int_equal(evidence_keep(root, path("1"), d.index), 0);
    assert_true(exists("diverged-4096/data.mdb"));
    assert_true(exists("diverged-4096/diverged"));
    assert_false(exists("1"));
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(d.index, 0);
}

/* The fault: the second time the mark went, and the wrong state stayed. */
static void a_mark_made_by_hand_works_every_time(void **state)
{
    struct replica_divergence d;
    raft_index heir;

    (void)state;
    for (int i = 1; i <= 3; i++) {
        char name[16], file[32];

        (void)snprintf(name, sizeof name, "%d", i);
        (void)snprintf(file, sizeof file, "%d/data-%d", i, i);
        make_state(name, file);
        make_file("diverged");
        assert_int_equal(evidence_read(root, &d, &heir), 0);
        assert_int_equal(d.index, 1);
        assert_int_equal(evidence_drop(root), i > 1);
        assert_int_equal(evidence_keep(root, path(name), d.index), 0);
        assert_false(exists(name));
        assert_false(exists("diverged"));
        (void)snprintf(file, sizeof file, "diverged-1/data-%d", i);
        assert_true(exists(file));
        (void)snprintf(file, sizeof file, "diverged-1/data-%d", i - 1);
        assert_false(exists(file));
    }
}

/* It is done on the loop, and what there is may be large. */
static void nothing_is_removed_when_one_is_kept(void **state)
{
    (void)state;
    make_state("diverged-7", "diverged-7/before");
    make_state("2", "2/data.mdb");
    make_file("diverged");
    assert_int_equal(evidence_keep(root, path("2"), 7), -ENOTEMPTY);
    assert_true(exists("diverged-7/before"));
    assert_true(exists("2/data.mdb"));
    assert_true(exists("diverged"));
}

static void what_is_kept_is_dropped_and_the_mark_stays(void **state)
{
    (void)state;
    assert_int_equal(evidence_drop(root), 0);
    make_state("diverged-7", "diverged-7/data.mdb");
    make_state("2", "2/data.mdb");
    make_file("diverged");
    assert_int_equal(evidence_drop(root), 1);
    assert_false(exists("diverged-7"));
    assert_true(exists("diverged"));
    assert_true(exists("2/data.mdb"));
    assert_int_equal(evidence_drop(root), 0);
}

static void only_the_newest_is_kept(void **state)
{
    const struct replica_divergence first = {4096, 7, 8};
    struct replica_divergence d;
    raft_index heir;

    (void)state;
    make_state("1", "1/data.mdb");
    assert_int_equal(evidence_mark(root, &first, 0), 0);
    assert_int_equal(evidence_keep(root, path("1"), first.index), 0);
    make_state("2", "2/data.mdb");
    make_file("diverged"); /* by hand */
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(evidence_drop(root), 1);
    assert_int_equal(evidence_keep(root, path("2"), d.index), 0);
    assert_true(exists("diverged-1/data.mdb"));
    assert_false(exists("diverged-4096"));
}

static bool is_dropped; /* as soon as it has been put aside */

/* The C library's is replaced in this program. */
int rename(const char *from, const char *to)
{
    int rc = renameat(AT_FDCWD, from, AT_FDCWD, to);

    if (is_dropped) {
        is_dropped = false;
        assert_int_equal(evidence_drop(root), 1);
    }
    return rc;
}

/* The fault: the mark stayed, on the state that had taken its place. */
static void what_is_dropped_at_once_takes_its_mark_with_it(void **state)
{
    const struct replica_divergence wrong = {7, 1, 2};

    (void)state;
    make_state("2", "2/data.mdb");
    assert_int_equal(evidence_mark(root, &wrong, 0), 0);
    is_dropped = true;
    assert_int_equal(evidence_keep(root, path("2"), 7), 0);
    assert_false(is_dropped);
    assert_false(exists("diverged-7"));
    assert_false(exists("diverged"));
}

static void the_mark_names_the_heir_until_it_is_forgotten(void **state)
{
    const struct replica_divergence wrong = {7, 1, 2};
    struct replica_divergence d;
    raft_index heir;

    (void)state;
    assert_int_equal(evidence_forget(root), 0);
    assert_int_equal(evidence_mark(root, &wrong, 0), 0);
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(heir, 0);
    assert_int_equal(evidence_mark(root, &wrong, 12), 0);
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(d.index, 7);
    assert_int_equal(heir, 12);
    assert_int_equal(evidence_forget(root), 0);
    assert_int_equal(evidence_read(root, &d, &heir), 0);
    assert_int_equal(d.index, 0);
    assert_int_equal(heir, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_wrong_state_is_kept_with_its_mark),
        T(a_mark_made_by_hand_works_every_time),
        T(nothing_is_removed_when_one_is_kept),
        T(what_is_kept_is_dropped_and_the_mark_stays),
        T(only_the_newest_is_kept),
        T(what_is_dropped_at_once_takes_its_mark_with_it),
        T(the_mark_names_the_heir_until_it_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
