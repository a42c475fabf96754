/* What a follower's way back by a snapshot costs the others.
 *
 *   PHALANX_SERVER=build/node/phalanx-server catch_up
 *
 * Three nodes on this machine. On the two that stay, writers replace small
 * files all the time (open with O_TRUNC, write of 256 bytes, close), and time
 * each. In a round:
 *
 *   healthy    all three, and nothing else
 *   one down   a follower was killed
 *   bulk       CATCH_UP_MIB (1024) are written over CATCH_UP_LIVE_MIB (256) of
 *              data that can't be compressed, through the leader
 *   save       the leader makes a snapshot
 *   catch-up   from the follower's start until it serves
 *
 * Printed are p50, p99 and the longest write of each, and the ratio of its p99
 * to the healthy one's: medians of CATCH_UP_ROUNDS (3). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/bench/clock.h"
#include "tests/bench/noise.h"
#include "tests/bench/stats.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 3
#define WRITERS 4
#define SAMPLES_MAX (1u << 20) /* of a writer */
#define VALUE_BYTES 256u
#define BLOCK_BYTES (1u << 20)
#define QUIET_MS 5000
#define LOOK_MS 20
#define NOISE_LENGTH PX_NS_PER_S

enum phase { HEALTHY, ONE_DOWN, BULK, SAVE, CATCH_UP, PHASES };

static const char *const phase_names[PHASES] = {"healthy", "one down", "bulk",
                                                "save", "catch-up"};

struct sample {
    px_ns ended;
    uint32_t us;
};

/* Shared with the writers. */
struct bench {
    _Atomic bool stop;
    const char *folder[WRITERS]; /* set before they are forked */
    _Atomic size_t count[WRITERS];
    _Atomic int failed; /* an errno */
    struct sample samples[WRITERS][SAMPLES_MAX];
};

struct row {
    double seconds;
    double p50;
    double p99;
    double longest;
};

/* ---- Writers ---- */

static int write_value(int folder, const char *name)
{
    static const char value[VALUE_BYTES];
    int fd =
        openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc = 0;

    if (fd < 0)
        return errno;
    if (write(fd, value, sizeof value) != (ssize_t)sizeof value)
        rc = errno;
    (void)close(fd); /* write has said what counts */
    return rc;
}

static void write_on(void *arg, int number)
{
    struct bench *b = arg;
    int folder = open(b->folder[number], O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[16];
    size_t n = 0;

    (void)snprintf(name, sizeof name, "small-%d", number);
    while (folder >= 0 && !atomic_load(&b->stop) && n < SAMPLES_MAX) {
        px_ns begun = clock_now();
        int rc = write_value(folder, name);
        px_ns ended = clock_now();

        if (rc != 0)
            atomic_store(&b->failed, rc);
        b->samples[number][n] = (struct sample){
            .ended = ended, .us = (uint32_t)((ended - begun) / PX_NS_PER_US)};
        atomic_store(&b->count[number], ++n);
    }
}

/* Of what ended in [from, to). */
static struct row row_of(const struct bench *b, px_ns from, px_ns to)
{
    uint32_t *all = malloc(sizeof *all * WRITERS * SAMPLES_MAX);
    struct row row = {.seconds = (double)(to - from) / (double)PX_NS_PER_S};
    size_t count = 0;

    assert_non_null(all);
    for (int w = 0; w < WRITERS; w++) {
        size_t n = atomic_load(&b->count[w]);

        for (size_t i = 0; i < n; i++) {
            const struct sample *s = &b->samples[w][i];

            if (s->ended >= from && s->ended < to)
                all[count++] = s->us;
        }
    }
    stats_sort(all, count);
    row.p50 = stats_percentile(all, count, 50);
    row.p99 = stats_percentile(all, count, 99);
    row.longest = stats_percentile(all, count, 100);
    free(all);
    return row;
}

/* ---- Bulk data ---- */

static void write_bulk(struct cluster *c, int i, unsigned mib, unsigned live)
{
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    int mount = cluster_open_mount(c, i);
    struct px_rand rand;
    char name[24];

    assert_return_code(mount, -mount);
    px_rand_init(&rand, (uint64_t)clock_now());
    for (unsigned m = 0; m < mib; m++) {
        int fd;

        (void)snprintf(name, sizeof name, "large-%u", m % live);
        fd = openat(mount, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_return_code(fd, errno);
        for (size_t b = 0; b < BLOCK_BYTES / sizeof block[0]; b++)
            block[b] = px_rand_next(&rand);
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
        assert_return_code(close(fd), errno);
    }
    (void)close(mount); /* was only a way in */
}

/* ---- A round ---- */

static uint64_t saved_by(struct cluster *c, int i)
{
    return cluster_number(c, i, "counters", "snapshots_saved");
}

static void save(struct cluster *c, int leader)
{
    uint64_t before = saved_by(c, leader);

    cluster_signal(c, leader, SIGUSR1);
    while (saved_by(c, leader) == before)
        pause_ms(LOOK_MS);
}

static void come_back(struct cluster *c, int away)
{
    cluster_restart(c, away);
    cluster_wait_ready(c, away);
    assert_true(cluster_number(c, away, "counters", "snapshots_installed") > 0);
}

/* @rows gets one of each phase. */
static void one_round(struct bench *b, struct cluster *c, int leader, int away,
                      struct row *rows)
{
    unsigned live = env_number("CATCH_UP_LIVE_MIB", 256);
    px_ns began[PHASES + 1];

    for (int p = 0; p < PHASES; p++) {
        if (p == ONE_DOWN)
            cluster_kill(c, away);
        began[p] = clock_now();
        switch ((enum phase)p) {
        case HEALTHY:
        case ONE_DOWN:
            pause_ms(QUIET_MS);
            break;
        case BULK:
            write_bulk(c, leader, env_number("CATCH_UP_MIB", 1024), live);
            break;
        case SAVE:
            save(c, leader);
            break;
        case CATCH_UP:
            come_back(c, away);
            break;
        case PHASES:
            break;
        }
        rows[p] = row_of(b, began[p], clock_now());
        if (p == BULK)
            pause_ms(QUIET_MS); /* what it left to be saved and flushed */
    }
}

/* ---- The table ---- */

static double median_of(const struct row *rows, unsigned rounds, enum phase p,
                        double (*value)(const struct row *round, enum phase p))
{
    double values[STATS_ROUNDS_MAX];

    for (unsigned r = 0; r < rounds; r++)
        values[r] = value(rows + r * PHASES, p);
    return stats_median(values, rounds);
}

static double seconds(const struct row *round, enum phase p)
{
    return round[p].seconds;
}

static double p50(const struct row *round, enum phase p)
{
    return round[p].p50;
}

static double p99(const struct row *round, enum phase p)
{
    return round[p].p99;
}

static double longest(const struct row *round, enum phase p)
{
    return round[p].longest / 1000;
}

static double ratio(const struct row *round, enum phase p)
{
    return round[p].p99 / round[HEALTHY].p99;
}

static void print(const struct row *rows, unsigned rounds)
{
    print_message("             %-10s %8s %8s %8s %11s %7s\n", "", "s",
                  "p50 us", "p99 us", "longest ms", "ratio");
    for (int p = 0; p < PHASES; p++)
        print_message("             %-10s %8.1f %8.0f %8.0f %11.1f %7.2f\n",
                      phase_names[p],
                      median_of(rows, rounds, (enum phase)p, seconds),
                      median_of(rows, rounds, (enum phase)p, p50),
                      median_of(rows, rounds, (enum phase)p, p99),
                      median_of(rows, rounds, (enum phase)p, longest),
                      median_of(rows, rounds, (enum phase)p, ratio));
}

static void a_follower_comes_back_by_snapshot_under_load(void **state)
{
    unsigned rounds = env_number("CATCH_UP_ROUNDS", 3);
    unsigned live = env_number("CATCH_UP_LIVE_MIB", 256);
    static struct row rows[STATS_ROUNDS_MAX * PHASES];
    struct bench *b = shared_new(sizeof *b);
    pid_t pids[WRITERS];
    struct cluster *c;
    int leader, away;

    (void)state;
    assert_true(rounds > 0 && rounds <= STATS_ROUNDS_MAX);
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 300 + 120 * rounds});
    leader = cluster_leader(c);
    away = (leader + 1) % NODES;
    write_bulk(c, leader, live, live);
    for (int w = 0; w < WRITERS; w++) {
        b->folder[w] =
            cluster_mount(c, w % 2 == 0 ? leader : (leader + 2) % NODES);
        pids[w] = worker_start(write_on, b, w);
    }
    for (unsigned r = 0; r < rounds; r++) {
        double noise = noise_probe(NOISE_LENGTH);

        one_round(b, c, leader, away, rows + r * PHASES);
        print_message("             round %u, noise %.1f %% before:\n", r + 1,
                      100 * noise);
        print(rows + r * PHASES, 1);
    }
    atomic_store(&b->stop, true);
    workers_wait(pids, WRITERS, cluster_request_timeout_ms(c) + 1000);
    print_message("             medians of %u rounds:\n", rounds);
    print(rows, rounds);
    assert_int_equal(atomic_load(&b->failed), 0);
    if (cluster_leader(c) != leader)
        print_message("             the leader has changed meanwhile: these "
                      "numbers have elections in them\n");
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_follower_comes_back_by_snapshot_under_load,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
