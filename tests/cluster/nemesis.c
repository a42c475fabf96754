/* Five hosts, clients on all their mounts, and everything that can happen to
 * hosts happening: partitions of every shape, one way and both, nodes that
 * stop and go on, that are killed, all at once too, and disks that are slow, full
 * or fail.
 *
 * Each kind once, in random order, then again; each for a while, half of them
 * with a second one on top; then all is healed, and work must go on. In the end
 * all nodes hold the same, and the history of what the clients were told is
 * linearizable.
 *
 * What is needed to find out more, the history, the servers' notes and data and
 * a story of what was done, is kept in a folder when the test fails.
 *
 * NEMESIS_SECONDS: how long at least, 25. NEMESIS_SEED: which order.
 * NEMESIS_FAULTS: only kinds with this in their names. CLIENTS: how many, 8.
 * KEPT: where. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/cluster/faults.h"
#include "tests/lib/cluster.h"
#include "tests/lib/kept.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"
#include "tests/lib/workload.h"

#define NODES FAULTS_NODES
#define TIMEOUT_MS 1500 /* a little more than two or three elections */
#define HOLD_MS_MIN 300
#define HOLD_MS_MAX 1500
#define CALM_MS_MAX 400
#define PROGRESS 20 /* answers after each round */
#define TRACER_MS_MAX 5000
#define PATH_BYTES (KEPT_PATH_MAX + 16)

struct nemesis {
    struct faults faults;
    struct px_rand rand;
    struct workload *workload;
    struct cluster *cluster;
    char kept[KEPT_PATH_MAX];
    int kinds[FAULTS_KINDS];
    int kind_count;
    bool has_passed;
};

static struct netns *hosts;
static struct nemesis *live; /* for the teardown */

static int draw(struct nemesis *n, int bound)
{
    return (int)px_rand_below(&n->rand, (uint64_t)bound);
}

static void hold(struct nemesis *n, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms;

    while (now_ms() < end) {
        workload_check_so_far(n->workload);
        cluster_check_runs(n->cluster);
        pause_ms(20);
    }
}

/* ---- Rounds ---- */

/* In any order, one thing a little after the other. Then all must work. */
static void heal(struct nemesis *n)
{
    int first = draw(n, FAULTS_ENDS);
    int step = draw(n, 2) == 0 ? 1 : FAULTS_ENDS - 1;
    uint64_t begin;

    for (int i = 0; i < FAULTS_ENDS; i++) {
        faults_end_one(&n->faults, (first + i * step) % FAULTS_ENDS);
        hold(n, draw(n, 100));
    }
    faults_tell(&n->faults, "healed");
    begin = now_ms();
    faults_wait_ready(&n->faults);
    workload_wait(n->workload, PROGRESS);
    faults_tell(&n->faults, "works after %" PRIu64 " ms", now_ms() - begin);
}

static void begin_fault(struct nemesis *n, int kind)
{
    faults_begin(&n->faults, kind);
    hold(n, HOLD_MS_MIN + draw(n, HOLD_MS_MAX - HOLD_MS_MIN));
}

static void one_round(struct nemesis *n, int kind)
{
    n->faults.leader = cluster_leader(n->cluster);
    faults_tell(&n->faults, "round: node-%d leads", n->faults.leader);
    begin_fault(n, kind);
    if (draw(n, 2) == 0)
        begin_fault(n, n->kinds[draw(n, n->kind_count)]);
    heal(n);
    hold(n, draw(n, CALM_MS_MAX));
}

static void choose_kinds(struct nemesis *n)
{
    const char *wanted = getenv("NEMESIS_FAULTS");

    for (int kind = 0; kind < FAULTS_KINDS; kind++) {
        const char *lacks = faults_lacks(kind);

        if (wanted != NULL && strstr(faults_name(kind), wanted) == NULL)
            continue;
        if (lacks == NULL)
            n->kinds[n->kind_count++] = kind;
        else
            print_message("             skipped: %s, for want of %s\n",
                          faults_name(kind), lacks);
    }
    assert_true(n->kind_count > 0);
}

static void shuffle(struct nemesis *n)
{
    for (int i = n->kind_count - 1; i > 0; i--) {
        int j = draw(n, i + 1);
        int kind = n->kinds[i];

        n->kinds[i] = n->kinds[j];
        n->kinds[j] = kind;
    }
}

static void rounds(struct nemesis *n, unsigned seconds)
{
    uint64_t end = now_ms() + seconds * UINT64_C(1000);

    for (int i = 0; i < n->kind_count || now_ms() < end; i++) {
        if (i % n->kind_count == 0)
            shuffle(n);
        one_round(n, n->kinds[i % n->kind_count]);
    }
}

/* How often all nodes together have noted @what. */
static unsigned count_notes(const struct cluster *c, const char *what)
{
    unsigned count = 0;
    char line[1024];

    for (int i = 0; i < NODES; i++) {
        FILE *notes = fopen(cluster_notes(c, i), "re");

        assert_non_null(notes);
        while (fgets(line, sizeof line, notes) != NULL)
            count += strstr(line, what) != NULL;
        (void)fclose(notes); /* read only */
    }
    return count;
}

static void print_faults(const struct faults *f)
{
    print_message("             faults:");
    for (int kind = 0; kind < FAULTS_KINDS; kind++)
        print_message(" %s %u", faults_name(kind), f->counts[kind]);
    print_message("\n             leaders: %u; snapshots made: %u, installed: "
                  "%u\n",
                  count_notes(f->cluster, "raft: leader"),
                  count_notes(f->cluster, "snapshot: made"),
                  count_notes(f->cluster, "snapshot: installed"));
}

/* ---- The end ---- */

static void check_trees(struct cluster *c)
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
        assert_true(t.digest == first.digest);
    }
}

static void history_path(const struct nemesis *n, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/history", n->kept);
}

/* ---- What is kept ---- */

static void keep_begin(struct nemesis *n)
{
    char path[PATH_BYTES];

    kept_new(n->kept, "nemesis");
    (void)snprintf(path, sizeof path, "%s/story", n->kept);
    n->faults.story = fopen(path, "we");
    assert_non_null(n->faults.story);
}

static void keep_all(const struct nemesis *n)
{
    for (int i = 0; n->cluster != NULL && i < NODES; i++) {
        kept_copy(n->kept, cluster_notes(n->cluster, i));
        kept_copy(n->kept, cluster_data(n->cluster, i));
    }
    (void)fprintf(stderr,
                  "kept: %s\nto check it again: check_history %s/history\n",
                  n->kept, n->kept);
}

static void keep_end(struct nemesis *n)
{
    (void)fclose(n->faults.story); /* each line has been flushed */
    if (n->has_passed)
        kept_remove(n->kept);
    else
        keep_all(n);
}

static int teardown(void **state)
{
    struct nemesis *n = live;

    live = NULL;
    if (n == NULL)
        return cluster_teardown(state);
    faults_abandon(&n->faults);
    keep_end(n);
    free(n);
    return cluster_teardown(state);
}

/* After which the guard ends all: far more than it takes. */
static unsigned seconds_max(const struct nemesis *n, unsigned seconds)
{
    unsigned max = 4 * seconds + 240;

    for (int i = 0; i < n->kind_count; i++)
        max += faults_seconds_more(n->kinds[i]);
    return max;
}

static void begin_work(struct nemesis *n, unsigned seconds, unsigned seed)
{
    struct workload_options options = {.mount_count = NODES,
                                       .clients = (int)env_number("CLIENTS", 8),
                                       .seed = seed,
                                       .think_ms_max = 12,
                                       .timeout_ms = TIMEOUT_MS};
    char path[PATH_BYTES];

    n->cluster = cluster_start(
        &(struct cluster_options){.nodes = NODES,
                                  .request_timeout_ms = TIMEOUT_MS,
                                  .seconds_max = seconds_max(n, seconds),
                                  .hosts = hosts});
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(n->cluster, i);
    history_path(n, path, sizeof path);
    options.history = path;
    n->faults.cluster = n->cluster;
    n->faults.hosts = hosts;
    n->faults.rand = &n->rand;
    for (int i = 0; i < n->kind_count; i++)
        faults_prepare(&n->faults, n->kinds[i]);
    n->workload = workload_start(&options);
    n->faults.workload = n->workload;
}

static void whatever_happens_the_history_is_linearizable(void **state)
{
    unsigned seconds = env_number("NEMESIS_SECONDS", 25);
    unsigned seed = env_number("NEMESIS_SEED", (unsigned)getpid());
    struct nemesis *n = calloc(1, sizeof *n);
    char path[PATH_BYTES];

    (void)state;
    assert_non_null(n);
    px_rand_init(&n->rand, seed);
    print_message("             NEMESIS_SEED=%u\n", seed);
    keep_begin(n);
    live = n;
    choose_kinds(n);
    begin_work(n, seconds, seed);
    rounds(n, seconds);
    workload_stop(n->workload);
    workload_print(n->workload);
    print_faults(&n->faults);
    cluster_wait_all_ready(n->cluster);
    check_trees(n->cluster);
    cluster_check_states(n->cluster);
    history_path(n, path, sizeof path);
    workload_check_history(path);
    cluster_stop(n->cluster);
    workload_free(n->workload);
    n->has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whatever_happens_the_history_is_linearizable,
                                  teardown),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
