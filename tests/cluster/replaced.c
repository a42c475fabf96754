/* A value that others keep replacing, by rename, is read on a node whose reads
 * are slow: each read shows one of the values, and never "Stale file handle".
 *
 * strace holds the node's flushes back: what it has not flushed it does not
 * apply, and a verified read waits for that. So between the LOOKUP of an
 * open(2) and its OPEN the value is replaced many times. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 3
#define SLOW_MS 100
#define SLOW_READS 16
#define REPLACE_MS 20
#define READS_MS_MAX 60000
#define STUCK_MS 20000

struct replaced {
    struct report report;
    char mounts[NODES][GUARD_PATH_MAX];
    _Atomic int slow_reads;
};

static int put(int dir, const char *name)
{
    int fd =
        openat(dir, "aside", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, "value\n", 6);

    if (fd >= 0)
        (void)close(fd); /* write has promised already */
    return n == 6 ? renameat(dir, "aside", dir, name) : -1;
}

static void replace_run(void *arg, int node)
{
    struct replaced *r = arg;
    int dir = mount_open(r->mounts[node]);

    while (!atomic_load(&r->report.stop)) {
        if (put(dir, "value") < 0)
            report_failure(&r->report, "replace: %s", strerror(errno));
        pause_ms(REPLACE_MS);
    }
}

static int get(int dir)
{
    char text[16];
    int fd = openat(dir, "value", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    int error = errno;

    if (fd >= 0)
        (void)close(fd);
    if (n < 0)
        return -error;
    return n == 6 ? 0 : -EBADMSG;
}

static void read_run(void *arg, int node)
{
    struct replaced *r = arg;
    int dir = mount_open(r->mounts[node]);
    uint64_t begin;
    int rc;

    while (!atomic_load(&r->report.stop)) {
        begin = now_ms();
        rc = get(dir);
        if (rc < 0)
            report_failure(&r->report, "read: %s", strerror(-rc));
        if (now_ms() - begin >= SLOW_MS)
            (void)atomic_fetch_add(&r->slow_reads, 1);
    }
}

/* Ends with the node, or with us. */
static pid_t slow_down(pid_t node)
{
    char pid[16];
    const char *const argv[] = {"strace",
                                "-qq",
                                "-f",
                                "-o",
                                "/dev/null",
                                "-e",
                                "trace=fdatasync",
                                "-e",
                                "inject=fdatasync:delay_enter=100000",
                                "-p",
                                pid,
                                NULL};

    (void)snprintf(pid, sizeof pid, "%d", (int)node);
    return process_start(&(struct process_options){.argv = argv});
}

static void wait_for_reads(struct replaced *r)
{
    uint64_t deadline = now_ms() + READS_MS_MAX;

    while (atomic_load(&r->slow_reads) < SLOW_READS) {
        report_check(&r->report);
        if (now_ms() > deadline)
            fail_msg("%d slow reads in %d ms", r->slow_reads, READS_MS_MAX);
        pause_ms(20);
    }
}

static void a_value_that_is_replaced_all_the_time_can_be_read(void **state)
{
    struct cluster *c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .request_timeout_ms = 10000});
    struct replaced *r = shared_new(sizeof *r);
    int writer = cluster_leader(c);
    int slow = (writer + 1) % NODES;
    pid_t pids[2];
    pid_t tracer;
    int dir = cluster_open_mount(c, writer);

    (void)state;
    for (int i = 0; i < NODES; i++)
        (void)snprintf(r->mounts[i], GUARD_PATH_MAX, "%s", cluster_mount(c, i));
    assert_return_code(put(dir, "value"), errno);
    (void)close(dir);
    tracer = slow_down(cluster_pid(c, slow));
    assert_true(tracer > 0);
    pids[0] = worker_start(replace_run, r, writer);
    pids[1] = worker_start(read_run, r, slow);
    wait_for_reads(r);
    atomic_store(&r->report.stop, true);
    workers_wait(pids, 2, STUCK_MS);
    report_check(&r->report);
    (void)kill(tracer, SIGTERM); /* it lets go of the node */
    assert_int_not_equal(process_wait(tracer, STUCK_MS), -ETIMEDOUT);
    cluster_wait_all_ready(c);
    cluster_stop(c);
    (void)munmap(r, sizeof *r);
}

int main(void)
{
    const char *const argv[] = {"strace", "-o", "/dev/null", "true", NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            a_value_that_is_replaced_all_the_time_can_be_read,
            cluster_teardown),
    };
    struct process_result strace;

    process_run(&(struct process_options){.argv = argv}, STUCK_MS, &strace);
    if (strace.status != 0) {
        (void)printf("skipped: strace can't be used: %s\n", strace.err);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
