/* The disk changes bytes of the state: nobody is shown them, the node ends, and
 * its next start has built the state anew from its log. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/server.h"

#define SECONDS_MAX 120
#define RUN_MS_MAX 20000
#define FILE_BYTES "20000"
#define ROW_BYTES 64 /* of the file's one letter, which nothing else has */

static struct guard *guard;
static bool has_passed;

static int setup(void **state)
{
    (void)state;
    has_passed = false;
    guard = guard_start(SECONDS_MAX);
    return guard != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (!has_passed && guard != NULL)
        guard_print_notes(guard);
    guard_end(guard);
    return 0;
}

/* Changes one bit of every row of the file that the database holds, and that
 * nobody writes to meanwhile. */
static void damage(const struct server *s)
{
    char path[GUARD_PATH_MAX + 32], row[ROW_BYTES];
    char *all, *place, *end;
    struct stat st;
    size_t count = 0;
    int fd;

    memset(row, 'Q', sizeof row);
    (void)snprintf(path, sizeof path, "%s/state/1/data.mdb", s->data);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_return_code(fstat(fd, &st), errno);
    all = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               0);
    assert_true(all != MAP_FAILED);
    end = all + st.st_size;
    for (place = memmem(all, (size_t)(end - all), row, sizeof row);
         place != NULL;
         place = memmem(place, (size_t)(end - place), row, sizeof row)) {
        *place ^= 1;
        count++;
    }
    assert_true(count > 0);
    assert_return_code(munmap(all, (size_t)st.st_size), errno);
    (void)close(fd);
}

/* A file of 'Q's in a server whose disk changes some while it runs: it sees them
 * at once, for its map and the page cache are one. */
static void start_damaged(struct server *s)
{
    server_init(s, guard, 0);
    server_start(s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c",
           "head -c " FILE_BYTES " /dev/zero | tr '\\0' Q > $0/f && "
           "echo other > $0/g",
           s->mount, NULL);
    damage(s);
}

/* The node ends; its next start has everything. */
static void check_heals(struct server *s)
{
    assert_int_equal(server_wait_end(s), 1);
    server_start(s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c",
           "test $(tr -d Q < $0/f | wc -c) = 0 && "
           "test $(wc -c < $0/f) = " FILE_BYTES " && "
           "grep -qx other $0/g",
           s->mount, NULL);
    run_ok(RUN_MS_MAX, "grep", "-q", "store: state is rebuilt", s->notes, NULL);
    assert_int_equal(server_stop(s, SIGTERM), 0);
}

static void a_read_of_damaged_bytes_is_eio_and_a_restart_heals(void **state)
{
    struct process_result r;
    struct server s;
    char file[GUARD_PATH_MAX + 2];
    const char *const argv[] = {"cat", file, NULL};

    (void)state;
    start_damaged(&s);
    (void)snprintf(file, sizeof file, "%s/f", s.mount);
    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.err, "Input/output error"));
    check_heals(&s);
    run_ok(RUN_MS_MAX, "grep", "-q",
           "fs: stored bytes are damaged inode=[0-9]* offset=0$", s.notes,
           NULL);
    run_ok(RUN_MS_MAX, "grep", "-q", "node: stops: the state is damaged",
           s.notes, NULL);
    has_passed = true;
}

/* It can't be applied: the bytes that it leaves as they are would get a new
 * checksum. It is in the log, though, and takes effect. */
static void
a_write_into_damaged_bytes_ends_the_node_and_a_restart_heals(void **state)
{
    struct process_result r;
    struct server s;
    const char *const argv[] = {
        "sh", "-c", "printf Q | dd of=$0/f bs=1 seek=1 conv=notrunc", s.mount,
        NULL};

    (void)state;
    start_damaged(&s);
    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    assert_int_equal(r.status, 1);
    check_heals(&s);
    run_ok(RUN_MS_MAX, "grep", "-q", "node: stops: applying the log failed",
           s.notes, NULL);
    has_passed = true;
}

/* What changes while the node is down is found before anybody reads it. */
static void bytes_that_change_while_it_is_down_are_never_read(void **state)
{
    struct server s;

    (void)state;
    start_damaged(&s);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    server_start(&s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c",
           "test $(tr -d Q < $0/f | wc -c) = 0 && grep -qx other $0/g", s.mount,
           NULL);
    run_ok(RUN_MS_MAX, "grep", "-q", "store: state is rebuilt", s.notes, NULL);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_read_of_damaged_bytes_is_eio_and_a_restart_heals, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_write_into_damaged_bytes_ends_the_node_and_a_restart_heals, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            bytes_that_change_while_it_is_down_are_never_read, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
