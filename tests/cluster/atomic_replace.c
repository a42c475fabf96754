/* A value is replaced in one step: whoever reads, on whichever node, sees the
 * one before or the one after, never nothing and never a mixture.
 *
 * READS: how many reads in each test, 20000. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define READERS 2 /* one beside the writer, one on another node */
#define WRITER_NODE 1
#define OTHER_NODE 3
#define HEAD_BYTES 16
#define VALUE_BYTES_MAX 65536u
#define STUCK_MS 10000
#define SPARE_FD 100

struct replace {
    struct report report;
    const char *paths[READERS]; /* the same file, on two mounts */
    _Atomic unsigned reads[READERS];
    _Atomic unsigned writes;
    unsigned reads_each;
    /* Is @text, of @size bytes, a whole value? */
    bool (*is_whole)(const char *text, size_t size);
    /* How the writer puts it there; -errno. */
    int (*replace)(const char *path, const char *text, size_t size);
};

/* In one read(2): memory that begins on a page is not split on the way. */
static ssize_t read_value(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int error;

    if (fd < 0)
        return -errno;
    n = read(fd, text, 2 * VALUE_BYTES_MAX);
    error = errno;
    (void)close(fd);
    return n < 0 ? -error : n;
}

static void read_run(void *arg, int number)
{
    struct replace *r = arg;
    char *text = aligned_alloc(4096, 2 * VALUE_BYTES_MAX);

    while (text != NULL && !atomic_load(&r->report.stop) &&
           atomic_load(&r->reads[number]) < r->reads_each) {
        ssize_t n = read_value(r->paths[number], text);

        if (n == -EAGAIN)
            continue; /* an election on a machine that stalls */
        if (n < 0)
            report_failure(&r->report, "reading %s: %s", r->paths[number],
                           strerror((int)-n));
        else if (!r->is_whole(text, (size_t)n))
            report_failure(&r->report, "%s: %zd bytes, \"%.*s\"",
                           r->paths[number], n, n < 40 ? (int)n : 40, text);
        (void)atomic_fetch_add(&r->reads[number], 1);
    }
    free(text);
}

/* Values of all sizes: a head with the size, then a letter as often as it
 * takes. */
static size_t make_value(char *text, struct px_rand *rand)
{
    bool is_large = px_rand_below(rand, 8) == 0;
    size_t size =
        HEAD_BYTES +
        px_rand_below(rand, is_large ? VALUE_BYTES_MAX - HEAD_BYTES : 1024);

    memset(text, 'a' + (int)px_rand_below(rand, 26), size);
    (void)snprintf(text, HEAD_BYTES, "%zu", size); /* and a zero: no letter */
    return size;
}

static bool is_whole_value(const char *text, size_t size)
{
    if (size < HEAD_BYTES || strtoul(text, NULL, 10) != size)
        return false;
    for (size_t i = HEAD_BYTES; i < size; i++) {
        if (text[i] != text[HEAD_BYTES - 1])
            return false;
    }
    return true;
}

static int replace_as_a_shell_does(const char *path, const char *text,
                                   size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t n;
    int error;

    if (fd < 0)
        return -errno;
    (void)dup2(fd, SPARE_FD); /* a shell's standard output ... */
    (void)close(fd);          /* ... and a FLUSH before anything is written */
    n = write(SPARE_FD, text, size);
    error = errno;
    (void)close(SPARE_FD);
    return n < 0 ? -error : (size_t)n == size ? 0 : -EIO;
}

/* As careful programs do, who fear an empty file: each reader's LOOKUP may find
 * an inode that has lost its name by the time it is opened, on another node. */
static int replace_by_renaming(const char *path, const char *text, size_t size)
{
    char aside[600];
    int rc;

    (void)snprintf(aside, sizeof aside, "%s.new", path);
    rc = replace_as_a_shell_does(aside, text, size);
    if (rc == 0 && rename(aside, path) < 0)
        rc = -errno;
    return rc;
}

static void write_run(void *arg, int number)
{
    struct replace *r = arg;
    char *text = malloc(VALUE_BYTES_MAX);
    struct px_rand rand;
    int rc;

    (void)number;
    px_rand_init(&rand, 1);
    while (text != NULL && !atomic_load(&r->report.stop)) {
        size_t size = make_value(text, &rand);

        rc = r->replace(r->paths[0], text, size);
        if (rc < 0 && rc != -EAGAIN)
            report_failure(&r->report, "writing: %s", strerror(-rc));
        (void)atomic_fetch_add(&r->writes, rc == 0);
    }
    free(text);
}

static struct replace *replace_new(struct cluster *c, char paths[2][512],
                                   bool (*is_whole)(const char *, size_t))
{
    struct replace *r = shared_new(sizeof *r);

    (void)snprintf(paths[0], 512, "%s/key", cluster_mount(c, WRITER_NODE));
    (void)snprintf(paths[1], 512, "%s/key", cluster_mount(c, OTHER_NODE));
    r->paths[0] = paths[0];
    r->paths[1] = paths[1];
    r->reads_each = env_number("READS", 20000) / READERS;
    r->is_whole = is_whole;
    return r;
}

/* Returns when the readers have read enough, or something was wrong. */
static void read_enough(struct replace *r)
{
    pid_t pids[READERS];

    for (int i = 0; i < READERS; i++)
        pids[i] = worker_start(read_run, r, i);
    while (!atomic_load(&r->report.stop) &&
           (r->reads[0] < r->reads_each || r->reads[1] < r->reads_each))
        pause_ms(20);
    atomic_store(&r->report.stop, true);
    workers_wait(pids, READERS, STUCK_MS);
    print_message("             %u and %u reads\n", r->reads[0], r->reads[1]);
}

static struct cluster *start(void)
{
    return cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 200 + env_number("READS", 20000) / 200});
}

static void read_while_replaced(int (*replace)(const char *, const char *,
                                               size_t))
{
    struct cluster *c = start();
    char paths[READERS][512];
    struct replace *r = replace_new(c, paths, is_whole_value);
    char first[] = "16\0aaaaaaaaaaaaa";
    pid_t writer;

    r->replace = replace;
    assert_int_equal(replace_as_a_shell_does(paths[0], first, HEAD_BYTES), 0);
    writer = worker_start(write_run, r, 0);
    read_enough(r);
    workers_wait(&writer, 1, STUCK_MS);
    print_message("             while %u values were written\n", r->writes);
    report_check(&r->report);
    assert_true(r->writes > 0);
    cluster_stop(c);
    (void)munmap(r, sizeof *r);
}

static void a_replaced_value_is_never_empty_nor_mixed(void **state)
{
    (void)state;
    read_while_replaced(replace_as_a_shell_does);
}

static void
a_value_that_is_renamed_over_is_never_missing_nor_stale(void **state)
{
    (void)state;
    read_while_replaced(replace_by_renaming);
}

static bool is_echoed(const char *text, size_t size)
{
    return (size == 4 && memcmp(text, "one\n", size) == 0) ||
           (size == 6 && memcmp(text, "twice\n", size) == 0);
}

/* The real thing, by the shell that most will use. */
static void echo_in_a_loop_is_never_seen_half_done(void **state)
{
    struct cluster *c = start();
    char paths[READERS][512];
    struct replace *r = replace_new(c, paths, is_echoed);
    const char *const argv[] = {
        "bash", "-c",
        "while :; do echo one > \"$0\"; echo twice > \"$0\"; done", paths[0],
        NULL};
    pid_t shell;

    (void)state;
    assert_int_equal(replace_as_a_shell_does(paths[0], "one\n", 4), 0);
    shell = process_start(&(struct process_options){.argv = argv});
    assert_true(shell > 0);
    read_enough(r);
    (void)kill(shell, SIGKILL);
    assert_int_equal(process_wait(shell, STUCK_MS), 128 + SIGKILL);
    report_check(&r->report);
    cluster_stop(c);
    (void)munmap(r, sizeof *r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_replaced_value_is_never_empty_nor_mixed,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            a_value_that_is_renamed_over_is_never_missing_nor_stale,
            cluster_teardown),
        cmocka_unit_test_teardown(echo_in_a_loop_is_never_seen_half_done,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
