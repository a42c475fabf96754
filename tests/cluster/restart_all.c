/* All five nodes killed at the same moment, under load, again and again. What
 * was acknowledged is there when they are back: it never was in memory alone.
 *
 * CLUSTER_ROUNDS: how often, 4. CLUSTER_SLACK_MS: as for kill_storm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/worker.h"

#define NODES 5
#define WRITES_PER_ROUND 1000

static void kill_and_restart_all(struct cluster *c, struct load *l)
{
    for (int i = 0; i < NODES; i++)
        load_down(l, i);
    cluster_kill_all(c);
    for (int i = 0; i < NODES; i++)
        cluster_restart(c, i);
    for (int i = 0; i < NODES; i++) {
        cluster_wait_ready(c, i);
        load_up(l, i);
    }
}

static void a_cluster_killed_whole_keeps_what_it_acknowledged(void **state)
{
    struct load_options options = {
        .mount_count = NODES, .writers = 8, .readers = 2};
    unsigned rounds = env_number("CLUSTER_ROUNDS", 4);
    struct cluster *c;
    struct load *l;
    int mount;

    (void)state;
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 60 + 60 * rounds});
    options.call_ms_max =
        cluster_request_timeout_ms(c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    l = load_start(&options);
    for (unsigned r = 0; r < rounds; r++) {
        load_wait_writes(l, WRITES_PER_ROUND);
        kill_and_restart_all(c, l);
    }
    load_wait_writes(l, WRITES_PER_ROUND);
    load_stop(l);
    load_print(l);
    for (int i = 0; i < NODES; i++) {
        mount = cluster_open_mount(c, i);
        assert_return_code(mount, -mount);
        load_check(l, mount);
        (void)close(mount);
    }
    cluster_stop(c);
    load_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            a_cluster_killed_whole_keeps_what_it_acknowledged,
            cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
