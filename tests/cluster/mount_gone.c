/* A mount that is taken away under its node, idle or with a request under way:
 * the request is answered, the node ends with one sentence and a status other
 * than 0, and what was acknowledged is there when it has started again. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/server.h"
#include "tests/lib/worker.h"

#define SECONDS_MAX 120
#define NODES 3
#define RUN_MS_MAX 20000
#define STATUS_FAILED 1

/* ---- What the kernel knows of a FUSE mount ---- */

/* A folder with a file for each thing to know, or to do: fusectl. Detached
 * already, so that nothing is left behind. */
static int connection_open(const char *folder, const char *mountpoint)
{
    char path[512];
    struct stat st;
    int ctl;
    int fd;

    assert_return_code(stat(mountpoint, &st), errno);
    (void)snprintf(path, sizeof path, "%s/connections", folder);
    assert_return_code(mkdir(path, 0700), errno);
    assert_return_code(mount("none", path, "fusectl", 0, NULL), errno);
    ctl = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(umount2(path, MNT_DETACH), errno);
    assert_return_code(ctl, errno);
    (void)snprintf(path, sizeof path, "%u", minor(st.st_dev));
    fd = openat(ctl, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(fd, errno);
    (void)close(ctl);
    return fd;
}

static void await_waiting(int connection)
{
    char text[16];
    ssize_t size;
    int fd;

    do {
        fd = openat(connection, "waiting", O_RDONLY | O_CLOEXEC);
        assert_return_code(fd, errno);
        size = read(fd, text, sizeof text - 1);
        assert_true(size > 0);
        text[size] = '\0';
        (void)close(fd);
    } while (atoi(text) == 0);
}

/* ---- A node that waits for a majority ---- */

struct outcome {
    char path[512];
    int error; /* of mkdir(2): an errno, 0, or -1: it has not returned */
};

struct waiting {
    struct cluster *c;
    int node;
    int connection;
    struct outcome *mkdir; /* under way */
    pid_t pid;             /* in this process */
};

static void make_directory(void *arg, int number)
{
    struct outcome *o = arg;

    (void)number; /* there is one */
    o->error = mkdir(o->path, 0755) < 0 ? errno : 0;
}

/* The leader of three has acknowledged a write; the others are killed, and it
 * is asked for a directory. */
static void begin(struct waiting *w)
{
    w->c = cluster_start(&(struct cluster_options){.nodes = NODES});
    w->node = cluster_leader(w->c);
    run_ok(RUN_MS_MAX, "sh", "-c", "echo kept > $0/key",
           cluster_mount(w->c, w->node), NULL);
    w->connection =
        connection_open(cluster_dir(w->c), cluster_mount(w->c, w->node));
    w->mkdir = shared_new(sizeof *w->mkdir);
    w->mkdir->error = -1;
    (void)snprintf(w->mkdir->path, sizeof w->mkdir->path, "%s/made",
                   cluster_mount(w->c, w->node));
    for (int i = 0; i < NODES; i++) {
        if (i != w->node)
            cluster_kill(w->c, i);
    }
    w->pid = worker_start(make_directory, w->mkdir, 0);
    await_waiting(w->connection);
}

static void check_sentence(const char *notes, const char *sentence)
{
    /* One line that says why it stops, and it is this one. */
    run_ok(RUN_MS_MAX, "sh", "-c",
           "test \"$(grep -c 'node: stops: ' $0)\" = 1 && grep -q \"$1\" $0",
           notes, sentence, NULL);
}

static void check_end(struct waiting *w)
{
    workers_wait(&w->pid, 1, RUN_MS_MAX);
    if (w->mkdir->error <= 0)
        fail_msg("mkdir ended with %d", w->mkdir->error);
    assert_int_equal(cluster_wait_end(w->c, w->node), STATUS_FAILED);
    check_sentence(cluster_notes(w->c, w->node),
                   "node: stops: the mount is gone");
    (void)close(w->connection);
}

/* The directory may be there or not, but on all alike. */
static void check_nothing_is_lost(struct waiting *w)
{
    bool is_made = false;
    struct stat st;

    for (int i = 0; i < NODES; i++)
        cluster_restart(w->c, i);
    cluster_wait_all_ready(w->c);
    for (int i = 0; i < NODES; i++) {
        char path[512];

        run_ok(RUN_MS_MAX, "sh", "-c", "test \"$(cat $0/key)\" = kept",
               cluster_mount(w->c, i), NULL);
        (void)snprintf(path, sizeof path, "%s/made", cluster_mount(w->c, i));
        if (i == 0)
            is_made = stat(path, &st) == 0;
        assert_int_equal(stat(path, &st) == 0, is_made);
    }
    cluster_stop(w->c);
}

static void an_aborted_connection_ends_the_node(void **state)
{
    struct waiting w;
    int fd;

    (void)state;
    begin(&w);
    fd = openat(w.connection, "abort", O_WRONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, "1", 1), 1);
    (void)close(fd);
    check_end(&w);
    check_nothing_is_lost(&w);
}

static void a_forced_unmount_ends_the_node(void **state)
{
    struct waiting w;

    (void)state;
    begin(&w);
    /* Busy it may be, and stay: but its requests have ended. */
    if (umount2(cluster_mount(w.c, w.node), MNT_FORCE) < 0)
        assert_int_equal(errno, EBUSY);
    check_end(&w);
    check_nothing_is_lost(&w);
}

/* The mount lives until its last request has its own answer. */
static void a_lazy_unmount_ends_the_node_when_its_last_request_has(void **state)
{
    struct waiting w;

    (void)state;
    begin(&w);
    assert_return_code(umount2(cluster_mount(w.c, w.node), MNT_DETACH), errno);
    check_end(&w);
    assert_true(w.mkdir->error == EAGAIN || w.mkdir->error == ETIMEDOUT);
    check_nothing_is_lost(&w);
}

/* ---- Nothing under way ---- */

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

static void an_unmount_of_an_idle_mount_ends_the_node(void **state)
{
    struct server s;

    (void)state;
    server_init(&s, guard, 0);
    server_start(&s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c", "echo kept > $0/key", s.mount, NULL);
    assert_return_code(umount2(s.mount, 0), errno);
    assert_int_equal(server_wait_end(&s), STATUS_FAILED);
    check_sentence(s.notes, "node: stops: the mount is gone");
    server_start(&s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c", "test \"$(cat $0/key)\" = kept", s.mount,
           NULL);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_unmount_of_an_idle_mount_ends_the_node, setup, teardown),
        cmocka_unit_test_teardown(an_aborted_connection_ends_the_node,
                                  cluster_teardown),
        cmocka_unit_test_teardown(a_forced_unmount_ends_the_node,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            a_lazy_unmount_ends_the_node_when_its_last_request_has,
            cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
