/* How long until a node serves again?
 *
 *   PHALANX_SERVER=build/node/phalanx-server start_time
 *
 * A cluster of one that holds START_KEYS (100000) keys of 256 random bytes. In
 * each of START_ROUNDS (5) it is killed and started twice: as after a crash of
 * the process, and with --distrust-state, which does what a crash of the machine
 * does, but for the page cache, which is warm here. Printed are milliseconds from
 * the start of the process until it serves: the median, and the slowest. Between
 * nodes there is an election in addition (tests/cluster/restart_all.c). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/bench/stats.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define WRITERS 16
#define VALUE_BYTES 256u
#define KEYS_PER_S_MIN 500u /* while it is filled */

struct fill {
    struct report report;
    const char *mount;
    unsigned keys;
};

static int write_key(int mount, unsigned key, struct px_rand *rand)
{
    uint64_t value[VALUE_BYTES / sizeof(uint64_t)];
    char name[16];
    int fd, rc = 0;

    for (size_t i = 0; i < sizeof value / sizeof value[0]; i++)
        value[i] = px_rand_next(rand);
    (void)snprintf(name, sizeof name, "key-%u", key);
    fd = openat(mount, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    if (write(fd, value, sizeof value) != (ssize_t)sizeof value)
        rc = errno;
    (void)close(fd); /* write has said what counts */
    return rc;
}

/* Every WRITERS-th key from @number on. */
static void fill(void *arg, int number)
{
    struct fill *f = arg;
    int mount = open(f->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct px_rand rand;

    px_rand_init(&rand, (uint64_t)number + 1);
    for (unsigned k = (unsigned)number; k < f->keys; k += WRITERS) {
        int rc = write_key(mount, k, &rand);

        if (rc == 0)
            continue;
        report_failure(&f->report, "a write failed: errno %d", rc);
        return;
    }
}

static double restart(struct cluster *c, const char *flag)
{
    uint64_t begun;

    cluster_kill(c, 0);
    begun = now_ms();
    cluster_restart_with(c, 0, flag);
    cluster_wait_ready(c, 0);
    return (double)(now_ms() - begun);
}

static void print(const char *what, const double *ms, unsigned rounds)
{
    double slowest = 0;

    for (unsigned r = 0; r < rounds; r++)
        slowest = ms[r] > slowest ? ms[r] : slowest;
    print_message("             %-16s %8.0f %8.0f\n", what,
                  stats_median(ms, rounds), slowest);
}

static void a_node_serves_again(void **state)
{
    unsigned keys = env_number("START_KEYS", 100000);
    unsigned rounds = env_number("START_ROUNDS", 5);
    double killed[STATS_ROUNDS_MAX], distrusted[STATS_ROUNDS_MAX];
    struct fill *f = shared_new(sizeof *f);
    pid_t pids[WRITERS];
    struct cluster *c;

    (void)state;
    assert_true(rounds > 0 && rounds <= STATS_ROUNDS_MAX);
    c = cluster_start(&(struct cluster_options){
        .nodes = 1, .seconds_max = 300 + keys / KEYS_PER_S_MIN + 60 * rounds});
    f->mount = cluster_mount(c, 0);
    f->keys = keys;
    for (int w = 0; w < WRITERS; w++)
        pids[w] = worker_start(fill, f, w);
    workers_wait(pids, WRITERS, 1000 + 1000 * (keys / KEYS_PER_S_MIN));
    report_check(&f->report);
    for (unsigned r = 0; r < rounds; r++) {
        killed[r] = restart(c, NULL);
        distrusted[r] = restart(c, "--distrust-state");
    }
    print_message("             %u keys; snapshots until then: %s\n", keys,
                  cluster_number(c, 0, NULL, "log_first") > 1 ? "yes" : "none");
    print_message("             %-16s %8s %8s\n", "ms until it serves",
                  "median", "slowest");
    print("process killed", killed, rounds);
    print("--distrust-state", distrusted, rounds);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_node_serves_again, cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
