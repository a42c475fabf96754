/* All five nodes killed at the same moment, under load, again and again. What
 * was acknowledged is there when they are back: it never was in memory alone.
 *
 * CLUSTER_ROUNDS: how often, 4. CLUSTER_SLACK_MS: as for kill_storm.
 *
 * Printed is how long a restart took, from the start of the processes to the
 * first write that was acknowledged: the median, the slowest, and how many took
 * longer than they are meant to (3 s). That is no assertion: it depends on what
 * else the machine does. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 5
#define WRITES_PER_ROUND 1000
#define FIRST_WRITE_MS_MAX 30000
#define FIRST_WRITE_MS_MEANT 3000
#define LOOK_MS 5

static bool write_one(struct cluster *c, int i)
{
    int mount = cluster_open_mount(c, i);
    int fd;
    bool is_written;

    if (mount < 0)
        return false;
    fd = openat(mount, "first", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    (void)close(mount); /* was only a way in */
    if (fd < 0)
        return false;
    is_written = write(fd, "first\n", 6) == 6;
    (void)close(fd); /* write has said what counts */
    return is_written;
}

/* From the restart to the first write that is acknowledged, in milliseconds. */
static uint64_t kill_and_restart_all(struct cluster *c, struct load *l)
{
    uint64_t begun, took;

    for (int i = 0; i < NODES; i++)
        load_down(l, i);
    cluster_kill_all(c);
    begun = now_ms();
    for (int i = 0; i < NODES; i++)
        cluster_restart(c, i);
    while (!write_one(c, 0)) {
        if (now_ms() > begun + FIRST_WRITE_MS_MAX)
            fail_msg("no write succeeds");
        pause_ms(LOOK_MS);
    }
    took = now_ms() - begun;
    for (int i = 0; i < NODES; i++) {
        cluster_wait_ready(c, i);
        load_up(l, i);
    }
    return took;
}

static void check_everything_is_there(struct cluster *c, struct load *l)
{
    struct tree first = {0};

    for (int i = 0; i < NODES; i++) {
        struct tree t = {0};
        int mount = cluster_open_mount(c, i);

        assert_return_code(mount, -mount);
        load_check(l, mount);
        assert_int_equal(tree_digest(mount, &t), 0);
        (void)close(mount); /* was only looked at */
        if (i == 0)
            first = t;
        assert_true(t.entries > 0);
        assert_true(t.digest == first.digest);
    }
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void print_restarts(uint64_t *took_ms, unsigned rounds)
{
    unsigned over = 0;

    qsort(took_ms, rounds, sizeof took_ms[0], by_number);
    for (unsigned r = 0; r < rounds; r++)
        over += took_ms[r] > FIRST_WRITE_MS_MEANT;
    print_message("             %u restarts: first write after %" PRIu64
                  " ms (median), %" PRIu64 " ms (slowest); %u over %d ms\n",
                  rounds, took_ms[rounds / 2], took_ms[rounds - 1], over,
                  FIRST_WRITE_MS_MEANT);
}

static void a_cluster_killed_whole_keeps_what_it_acknowledged(void **state)
{
    struct load_options options = {
        .mount_count = NODES, .writers = 8, .readers = 2};
    unsigned rounds = env_number("CLUSTER_ROUNDS", 4);
    uint64_t *took_ms = calloc(rounds, sizeof *took_ms);
    struct cluster *c;
    struct load *l;

    (void)state;
    assert_true(rounds > 0);
    assert_non_null(took_ms);
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 60 + 60 * rounds});
    options.call_ms_max =
        cluster_request_timeout_ms(c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    l = load_start(&options);
    for (unsigned r = 0; r < rounds; r++) {
        load_wait_writes(l, WRITES_PER_ROUND);
        took_ms[r] = kill_and_restart_all(c, l);
    }
    load_wait_writes(l, WRITES_PER_ROUND);
    load_stop(l);
    load_print(l);
    print_restarts(took_ms, rounds);
    free(took_ms);
    check_everything_is_there(c, l);
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
