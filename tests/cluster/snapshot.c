/* A node that was away for longer than the log goes back comes back by a
 * snapshot, while the others go on serving; and snapshots keep the log short.
 *
 * SNAPSHOT_TEST_MIB: what is written meanwhile, 64. A snapshot is made for each
 * MiB of log here, so that a little data makes many. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 3
#define AWAY 2
#define FILES 8
#define BLOCK_BYTES (1u << 20)
#define WAIT_MS_MAX 60000

/* @mib MiB into a few files, over and over, each block in one write. */
static void overwrite(struct cluster *c, int i, unsigned mib)
{
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    int mount = cluster_open_mount(c, i);
    struct px_rand rand;
    char name[16];

    assert_return_code(mount, -mount);
    px_rand_init(&rand, mib);
    for (unsigned m = 0; m < mib; m++) {
        int fd;

        (void)snprintf(name, sizeof name, "large-%u", m % FILES);
        fd = openat(mount, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_return_code(fd, errno);
        for (size_t b = 0; b < BLOCK_BYTES / sizeof block[0]; b++)
            block[b] = px_rand_next(&rand);
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
        assert_return_code(close(fd), errno);
    }
    (void)close(mount);
}

static void a_node_that_was_away_too_long_comes_back_by_a_snapshot(void **state)
{
    unsigned mib = env_number("SNAPSHOT_TEST_MIB", 64);
    struct load_options options = {
        .mount_count = NODES, .writers = 4, .readers = 2};
    struct cluster *c;
    struct load *l;
    uint64_t last;
    int mount;

    (void)state;
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .snapshot_mib = 1, .seconds_max = 120 + 4 * mib});
    options.call_ms_max =
        cluster_request_timeout_ms(c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    l = load_start(&options);
    load_wait_writes(l, 200);
    load_down(l, AWAY);
    last = cluster_number(c, AWAY, NULL, "log_length");
    cluster_kill(c, AWAY);
    overwrite(c, 0, mib);
    for (int i = 0; i < NODES; i++)
        assert_true(i == AWAY ||
                    cluster_number(c, i, NULL, "log_first") > last + 1);
    cluster_restart(c, AWAY);
    cluster_wait_ready(c, AWAY);
    load_up(l, AWAY);
    load_wait_writes(l, 1000);
    assert_true(cluster_number(c, AWAY, "counters", "snapshots_installed") > 0);
    load_stop(l);
    load_print(l);
    for (int i = 0; i < NODES; i++) {
        mount = cluster_open_mount(c, i);
        assert_return_code(mount, -mount);
        load_check(l, mount);
        (void)close(mount);
        /* Not a bound that is promised: a log that is never cut has it all. */
        if (mib >= 64)
            assert_true(tree_disk_bytes(cluster_data(c, i)) <
                        (uint64_t)mib * BLOCK_BYTES);
    }
    run_ok(WAIT_MS_MAX, "diff", "-r", cluster_mount(c, 0),
           cluster_mount(c, AWAY), NULL);
    cluster_stop(c);
    load_free(l);
}

/* Both ways: by the state that was kept, and by a snapshot and the log. */
static void a_restart_begins_at_the_snapshot(void **state)
{
    char path[512];
    struct cluster *c;

    (void)state;
    c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .snapshot_mib = 1});
    overwrite(c, 0, 24);
    cluster_kill_all(c);
    for (int i = 0; i < NODES; i++)
        cluster_restart(c, i);
    cluster_wait_all_ready(c);
    assert_true(cluster_number(c, 0, NULL, "log_first") > 1);
    cluster_kill(c, 0);
    (void)snprintf(path, sizeof path, "%s/state", cluster_data(c, 0));
    run_ok(WAIT_MS_MAX, "rm", "-r", path, NULL);
    cluster_restart(c, 0);
    cluster_wait_ready(c, 0);
    run_ok(WAIT_MS_MAX, "diff", "-r", cluster_mount(c, 0), cluster_mount(c, 1),
           NULL);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            a_node_that_was_away_too_long_comes_back_by_a_snapshot,
            cluster_teardown),
        cmocka_unit_test_teardown(a_restart_begins_at_the_snapshot,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
