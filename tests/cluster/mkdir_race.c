/* mkdir is a lock: ten processes on five mounts make the same folder at the
 * same moment, round after round, while leaders are killed. One wins, and knows
 * it: a retry after an election must not tell it EEXIST about its own success.
 *
 * The one thing that can't be known is what became of a call on a mount whose
 * server was killed under it.
 *
 * ROUNDS: how many, 200; every fiftieth loses its leader. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define RACERS 10
#define LOCK "lock"
#define KILL_EVERY 50
#define RETRY_MS_MAX 20000
#define STUCK_MS 10000

enum result {
    WON,
    LOST,
    UNKNOWN,
};

struct race {
    struct report report;
    pthread_barrier_t line; /* crossed at the start and the end of a round */
    bool is_over;
    bool is_up[NODES]; /* changes between rounds only */
    const char *mounts[NODES];
    enum result results[RACERS];
    int nodes[RACERS]; /* where each ran */
};

/* EAGAIN says that nothing happened: again, then. */
static int make_lock(int dir)
{
    uint64_t deadline = now_ms() + RETRY_MS_MAX;
    int rc;

    do {
        rc = mkdirat(dir, LOCK, 0755) == 0 ? 0 : -errno;
    } while (rc == -EAGAIN && now_ms() < deadline);
    return rc;
}

static enum result run_once(struct race *r, int racer)
{
    int node = racer % NODES;
    int dir;
    int rc;

    while (!r->is_up[node])
        node = (node + 1) % NODES;
    r->nodes[racer] = node;
    dir = mount_open(r->mounts[node]);
    (void)pthread_barrier_wait(&r->line);
    rc = dir < 0 ? dir : make_lock(dir);
    (void)close(dir);
    if (rc == 0)
        return WON;
    if (rc == -EEXIST)
        return LOST;
    if (rc != -ENOTCONN && rc != -ECONNABORTED)
        report_failure(&r->report, "mkdir on node %d: %s", node, strerror(-rc));
    return UNKNOWN;
}

static void racer_run(void *arg, int racer)
{
    struct race *r = arg;

    for (;;) {
        (void)pthread_barrier_wait(&r->line);
        if (r->is_over)
            return;
        r->results[racer] = run_once(r, racer);
        (void)pthread_barrier_wait(&r->line);
    }
}

static void unlock(struct cluster *c, struct race *r)
{
    uint64_t deadline = now_ms() + RETRY_MS_MAX;
    int node = 0;
    int dir;
    int rc;

    while (!r->is_up[node])
        node++;
    dir = cluster_open_mount(c, node);
    assert_return_code(dir, -dir);
    do {
        rc = unlinkat(dir, LOCK, AT_REMOVEDIR) == 0 ? 0 : -errno;
    } while (rc == -EAGAIN && now_ms() < deadline);
    (void)close(dir);
    assert_int_equal(rc, 0);
}

/* @killed: -1 for none. Counts the rounds whose winner can't be known. */
static int check_round(const struct race *r, unsigned round, int killed)
{
    int counts[UNKNOWN + 1] = {0};

    report_check(&r->report);
    for (int i = 0; i < RACERS; i++) {
        counts[r->results[i]]++;
        if (r->results[i] == UNKNOWN && r->nodes[i] != killed)
            fail_msg("round %u: the server of node %d went away", round,
                     r->nodes[i]);
    }
    if (counts[WON] > 1)
        fail_msg("round %u has %d winners", round, counts[WON]);
    if (counts[WON] == 0 && counts[UNKNOWN] == 0)
        fail_msg("round %u was lost by all: the winner does not know", round);
    return counts[WON] == 0;
}

/* One race; the leader goes while it runs if @killed >= 0. */
static void run_round(struct cluster *c, struct race *r, unsigned round,
                      int killed)
{
    (void)pthread_barrier_wait(&r->line); /* find your place */
    (void)pthread_barrier_wait(&r->line); /* go */
    if (killed >= 0) {
        pause_ms(round / KILL_EVERY % 4); /* now, or somewhat later */
        cluster_kill(c, killed);
    }
    (void)pthread_barrier_wait(&r->line); /* all are done */
}

static void bring_back(struct cluster *c, struct race *r, bool wait)
{
    for (int i = 0; i < NODES; i++) {
        if (r->is_up[i])
            continue;
        if (wait)
            cluster_wait_ready(c, i);
        r->is_up[i] = cluster_is_ready(c, i);
    }
}

static struct race *race_new(struct cluster *c, pid_t pids[RACERS])
{
    struct race *r = shared_new(sizeof *r);
    pthread_barrierattr_t attr;

    for (int i = 0; i < NODES; i++) {
        r->mounts[i] = cluster_mount(c, i);
        r->is_up[i] = true;
    }
    assert_int_equal(pthread_barrierattr_init(&attr), 0);
    assert_int_equal(
        pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
    assert_int_equal(pthread_barrier_init(&r->line, &attr, RACERS + 1), 0);
    (void)pthread_barrierattr_destroy(&attr);
    for (int i = 0; i < RACERS; i++)
        pids[i] = worker_start(racer_run, r, i);
    return r;
}

static void every_round_has_one_winner_who_knows_it(void **state)
{
    unsigned rounds = env_number("ROUNDS", 200);
    struct cluster *c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .seconds_max = 120 + rounds});
    pid_t pids[RACERS];
    struct race *r = race_new(c, pids);
    int undecided = 0;
    int kills = 0;

    (void)state;
    for (unsigned round = 1; round <= rounds; round++) {
        int killed = -1;

        bring_back(c, r, round % KILL_EVERY == 0);
        if (round % KILL_EVERY == 0)
            killed = cluster_leader(c);
        run_round(c, r, round, killed);
        if (killed >= 0) {
            r->is_up[killed] = false;
            kills++;
            cluster_restart(c, killed);
        }
        undecided += check_round(r, round, killed);
        unlock(c, r);
    }
    r->is_over = true;
    (void)pthread_barrier_wait(&r->line);
    workers_wait(pids, RACERS, STUCK_MS);
    print_message("             %u rounds, %d leaders killed; %d rounds were "
                  "won on a mount that died\n",
                  rounds, kills, undecided);
    cluster_wait_all_ready(c);
    cluster_stop(c);
    (void)munmap(r, sizeof *r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_round_has_one_winner_who_knows_it,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
