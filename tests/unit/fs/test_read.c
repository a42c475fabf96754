/* fs/read.c: OPEN of an inode that another node has replaced since its LOOKUP,
 * on a real mount. O_PATH is a LOOKUP alone; opening that through /proc is an
 * OPEN alone. */
#include "tests/unit/fs/fixture.h"

#include <sched.h>

#define REPLACEMENTS 2000

/* Another node makes "g", and renames it over "f". */
static void replace_remotely(const char *text)
{
    struct command c = {
        .op = COMMAND_RENAME,
        .parent = STORE_ROOT_INODE,
        .name = {"g", 1},
        .new_parent = STORE_ROOT_INODE,
        .new_name = {"f", 1},
    };

    assert_int_equal(put_remotely("g", text, 0644), 0);
    assert_int_equal(local_port_apply_remote(port, &c), 0);
}

static int look_up(const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* A descriptor, or -errno. */
static int open_looked_up(int path_fd)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void assert_reads(int fd, const char *expected)
{
    char text[64] = "";

    assert_true(pread(fd, text, sizeof text - 1, 0) >= 0);
    assert_string_equal(text, expected);
}

static void an_inode_that_was_deleted_since_its_lookup_is_stale(void **state)
{
    int path;

    (void)state;
    assert_int_equal(put_remotely("f", "old", 0644), 0);
    path = look_up("f");
    replace_remotely("new");
    while (local_port_orphans(port) > 0)
        (void)sched_yield();
    assert_int_equal(open_looked_up(path), -ESTALE);
    assert_text("f", "new");
    assert_int_equal(close(path), 0);
}

/* It is there still, but would be deleted under its reader. */
static void an_inode_that_is_about_to_be_deleted_is_stale(void **state)
{
    int path;

    (void)state;
    assert_int_equal(put_remotely("f", "old", 0644), 0);
    path = look_up("f");
    local_port_set_orphans(port, LOCAL_ORPHANS_LEAVING);
    replace_remotely("new");
    assert_int_equal(local_port_orphans(port), 1);
    assert_int_equal(open_looked_up(path), -ESTALE);
    assert_text("f", "new");
    assert_int_equal(close(path), 0);
}

static void an_inode_that_is_held_may_be_opened_and_stays(void **state)
{
    int path;
    int fd;

    (void)state;
    assert_int_equal(put_remotely("f", "old", 0644), 0);
    path = look_up("f");
    local_port_set_orphans(port, LOCAL_ORPHANS_HELD);
    replace_remotely("new");
    fd = open_looked_up(path);
    assert_true(fd >= 0);
    local_port_set_orphans(port, LOCAL_ORPHANS_RELEASED);
    assert_int_equal(local_port_orphans(port), 1);
    assert_reads(fd, "old"); /* the value at the moment of the LOOKUP */
    assert_text("f", "new");
    assert_int_equal(close(fd), 0);
    while (local_port_orphans(port) > 0)
        (void)sched_yield(); /* RELEASE comes in the background */
    assert_int_equal(close(path), 0);
}

/* The kernel answers ESTALE with a new LOOKUP, so that no caller sees it. */
static void opening_by_name_never_fails_while_the_file_is_replaced(void **state)
{
    struct actor *reader = actor_new(0);
    char text[16] = "0";

    (void)state;
    local_port_set_reads(port, LOCAL_READS_WAIT);
    assert_int_equal(put_remotely("f", text, 0644), 0);
    for (int i = 1; i <= REPLACEMENTS; i++) {
        struct act_result r;

        actor_tell(reader, ACT_READ, "f", 0);
        (void)snprintf(text, sizeof text, "%d", i);
        replace_remotely(text);
        r = actor_answer(reader);
        assert_int_equal(r.error, 0);
        assert_in_range(atoi(r.text), i - 1, i); /* never an older one */
    }
    actor_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mount_test(an_inode_that_was_deleted_since_its_lookup_is_stale),
        mount_test(an_inode_that_is_about_to_be_deleted_is_stale),
        mount_test(an_inode_that_is_held_may_be_opened_and_stays),
        mount_test(opening_by_name_never_fails_while_the_file_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
