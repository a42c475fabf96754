/* A node that was away for longer than the log goes back comes back by a
 * snapshot, while the others go on serving; and snapshots keep the log short.
 * From when it is mounted on it waits, or refuses at the deadline, and what it
 * answers is right (watch.h).
 *
 * SNAPSHOT_TEST_MIB: what is written meanwhile, 64. A snapshot is made for each
 * MiB of log here, so that a little data makes many. CLUSTER_SLACK_MS: how far a
 * call may overrun its deadline. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/cluster/watch.h"
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

/* @mib MiB into a few files, over and over. */
static struct watch *overwrite(struct cluster *c, int i, unsigned mib)
{
    struct watch *w = watch_new(FILES);
    int mount = cluster_open_mount(c, i);
    struct px_rand rand;

    assert_return_code(mount, -mount);
    px_rand_init(&rand, mib);
    watch_write(w, mount, mib, &rand);
    watch_note_names(w, mount);
    (void)close(mount); /* was only a way in */
    return w;
}

/* It is back, and lacks what was written meanwhile. */
static void watch_until_ready(struct cluster *c, int i, struct watch *w)
{
    watch_begin(w, &(struct watch_options){
                       .path = cluster_mount(c, i),
                       .request_ms_max = cluster_request_timeout_ms(c),
                       .slack_ms = env_number("CLUSTER_SLACK_MS", 1000)});
    cluster_restart(c, i);
    cluster_wait_ready(c, i);
    watch_end(w);
    watch_print(w);
    watch_free(w);
}

static void a_node_that_was_away_too_long_comes_back_by_a_snapshot(void **state)
{
    unsigned mib = env_number("SNAPSHOT_TEST_MIB", 64);
    struct load_options options = {
        .mount_count = NODES, .writers = 4, .readers = 2};
    struct cluster *c;
    struct watch *w;
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
    w = overwrite(c, 0, mib);
    for (int i = 0; i < NODES; i++)
        assert_true(i == AWAY ||
                    cluster_number(c, i, NULL, "log_first") > last + 1);
    watch_until_ready(c, AWAY, w);
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
    watch_free(overwrite(c, 0, 24));
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
