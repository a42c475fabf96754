/* Eight writers and four readers on five mounts at full speed, while one or two
 * nodes at a time are killed, the leader among them, and come back.
 *
 * CLUSTER_SECONDS: how long, 60. CLUSTER_SLACK_MS: how far a call may overrun
 * its deadline, for a machine that stalls. CLUSTER_SEED: which nodes. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 5
#define ROUND_MS 5000
#define DOWN_MS 1500

struct storm {
    struct cluster *cluster;
    struct load *load;
    struct px_rand rand;
    int rounds;
    int kills;
    int leaders_killed;
};

static struct load *start_load(struct cluster *c)
{
    struct load_options options = {
        .mount_count = NODES, .writers = 8, .readers = 4};

    options.call_ms_max =
        cluster_request_timeout_ms(c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    return load_start(&options);
}

static void kill_one(struct storm *s, int i)
{
    load_down(s->load, i);
    cluster_kill(s->cluster, i);
    s->kills++;
}

static void revive(struct storm *s, int i)
{
    cluster_wait_ready(s->cluster, i);
    load_up(s->load, i);
}

static void wait_until(const struct storm *s, uint64_t ms)
{
    while (now_ms() < ms) {
        load_check_so_far(s->load);
        pause_ms(50);
    }
}

/* One or two nodes go, every other time the leader first. */
static void one_round(struct storm *s)
{
    uint64_t begin = now_ms();
    uint64_t acked = load_acked(s->load);
    int leader = cluster_leader(s->cluster);
    int first =
        s->rounds % 2 == 0 ? leader : (int)px_rand_below(&s->rand, NODES);
    bool has_second = px_rand_below(&s->rand, 2) == 1;
    int second = (first + 1 + (int)px_rand_below(&s->rand, NODES - 1)) % NODES;

    s->rounds++;
    s->leaders_killed += first == leader || (has_second && second == leader);
    kill_one(s, first);
    if (has_second)
        kill_one(s, second);
    wait_until(s, begin + DOWN_MS);
    cluster_restart(s->cluster, first);
    if (has_second)
        cluster_restart(s->cluster, second);
    revive(s, first);
    if (has_second)
        revive(s, second);
    wait_until(s, begin + ROUND_MS);
    if (load_acked(s->load) == acked)
        fail_msg("no write was acknowledged in round %d", s->rounds);
}

static void check_trees_are_equal(struct cluster *c)
{
    struct tree first = {0};

    for (int i = 0; i < NODES; i++) {
        struct tree t = {0};
        int mount = cluster_open_mount(c, i);

        assert_return_code(mount, -mount);
        assert_int_equal(tree_digest(mount, &t), 0);
        (void)close(mount);
        if (i == 0)
            first = t;
        assert_true(t.entries > 0);
        assert_int_equal(t.entries, first.entries);
        assert_int_equal(t.bytes, first.bytes);
        assert_true(t.digest == first.digest);
    }
}

static void nothing_acknowledged_is_lost_while_nodes_are_killed(void **state)
{
    unsigned seconds = env_number("CLUSTER_SECONDS", 60);
    struct storm s = {0};
    uint64_t end;
    int mount;

    (void)state;
    px_rand_init(&s.rand, env_number("CLUSTER_SEED", (unsigned)getpid()));
    s.cluster = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 4 * seconds + 240});
    s.load = start_load(s.cluster);
    end = now_ms() + seconds * UINT64_C(1000);
    while (now_ms() < end)
        one_round(&s);
    load_stop(s.load);
    load_print(s.load);
    print_message("             %d kills in %d rounds, of the leader in %d\n",
                  s.kills, s.rounds, s.leaders_killed);

    cluster_wait_all_ready(s.cluster);
    mount = cluster_open_mount(s.cluster, 0);
    assert_return_code(mount, -mount);
    load_check(s.load, mount);
    (void)close(mount);
    check_trees_are_equal(s.cluster);
    cluster_check_states(s.cluster);
    cluster_stop(s.cluster);
    load_free(s.load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            nothing_acknowledged_is_lost_while_nodes_are_killed,
            cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
