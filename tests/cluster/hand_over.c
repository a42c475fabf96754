/* A leader that is told to stop hands over first: another node leads without an
 * election timeout, and nobody who writes elsewhere gets an error.
 *
 * Elections take 5 to 10 s here, so that none is by chance, on a machine that
 * stalls. To measure, HAND_OVER_LOCAL=1 has the timing of one machine, ends as
 * many leaders by kill -9 for comparison, and lets as many rounds pass in which
 * all go on; it prints what the slowest call of a round took. A round in which
 * the machine stood still for STALL_MS, 20, or longer is done again, whatever
 * it took.
 * CLUSTER_ROUNDS: how many leaders stop, 3. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bench/stall.h"
#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define WRITERS 16
#define ROUNDS_MAX 200
#define TRIES_PER_ROUND 3 /* on a machine that is never quiet */
#define WRITES 300        /* before the end, and after it */
#define NOTES_BYTES_MAX (1u << 20)

/* How often @word stands in the notes of all nodes. */
static unsigned count_notes(const struct cluster *c, const char *word)
{
    char *text = malloc(NOTES_BYTES_MAX);
    unsigned count = 0;

    assert_non_null(text);
    for (int i = 0; i < NODES; i++) {
        FILE *f = fopen(cluster_notes(c, i), "re");
        size_t size;

        assert_non_null(f);
        size = fread(text, 1, NOTES_BYTES_MAX - 1, f);
        text[size] = '\0';
        (void)fclose(f);
        for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
            count++;
    }
    free(text);
    return count;
}

enum end { NOBODY_ENDS, BY_SIGTERM, BY_KILL };

static void end_leader(struct cluster *c, struct load *l, int leader,
                       enum end end)
{
    load_down(l, leader);
    if (end == BY_SIGTERM) {
        cluster_signal(c, leader, SIGTERM);
        assert_int_equal(cluster_wait_end(c, leader), 0);
    } else {
        cluster_kill(c, leader);
    }
}

static void bring_back(struct cluster *c, struct load *l, int leader)
{
    cluster_restart(c, leader);
    cluster_wait_ready(c, leader);
    load_up(l, leader);
}

/* What the slowest calls of rounds took. */
struct measured {
    enum end end;
    unsigned ms[TRIES_PER_ROUND * ROUNDS_MAX];
    unsigned count;
    unsigned stalled; /* rounds that were done again */
    unsigned stalled_worst;
};

/* The leader ends, and comes back; the slowest call meanwhile, ms. */
static unsigned one_round(struct cluster *c, struct load *l, struct stall *s,
                          enum end end, px_ns *stall_out)
{
    int leader = cluster_leader(c);
    unsigned slowest;

    load_wait_writes(l, WRITES);
    (void)load_take_slowest_ms(l);
    (void)stall_take(s);
    if (end == NOBODY_ENDS)
        load_wait_writes(l, WRITES);
    else
        end_leader(c, l, leader, end);
    load_wait_writes(l, WRITES);
    slowest = load_take_slowest_ms(l);
    *stall_out = stall_take(s);
    if (end != NOBODY_ENDS)
        bring_back(c, l, leader);
    return slowest;
}

static void measure(struct cluster *c, struct load *l, struct stall *s,
                    unsigned stalled_max, struct measured *m)
{
    px_ns limit = env_number("STALL_MS", 20) * PX_NS_PER_MS;
    px_ns stall;
    unsigned ms = one_round(c, l, s, m->end, &stall);

    if (stall < limit || m->stalled == stalled_max) {
        m->ms[m->count++] = ms;
        return;
    }
    m->stalled++;
    if (ms > m->stalled_worst)
        m->stalled_worst = ms;
}

static int by_size(const void *a, const void *b)
{
    const unsigned *x = a;
    const unsigned *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_measured(const char *how, struct measured *m)
{
    qsort(m->ms, m->count, sizeof m->ms[0], by_size);
    print_message("             %s: slowest call of a round: median %u ms, "
                  "p90 %u ms, worst %u ms, of %u; in %u more the machine stood "
                  "still, their worst %u ms\n",
                  how, m->ms[m->count / 2], m->ms[m->count * 9 / 10],
                  m->ms[m->count - 1], m->count, m->stalled, m->stalled_worst);
}

static void start(unsigned seconds_max, struct cluster **c, struct load **l)
{
    struct load_options options = {.mount_count = NODES, .writers = WRITERS};

    *c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .seconds_max = seconds_max});
    options.call_ms_max =
        cluster_request_timeout_ms(*c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(*c, i);
    *l = load_start(&options);
}

static void end(struct cluster *c, struct load *l)
{
    load_stop(l);
    for (int i = 0; i < NODES; i++) {
        int mount = cluster_open_mount(c, i);

        assert_return_code(mount, -mount);
        load_check(l, mount);
        (void)close(mount);
    }
    cluster_stop(c);
    load_free(l);
}

static void check_nobody_had_an_error(const struct load *l)
{
    /* What was under way on the mount of the node that stopped was answered. */
    assert_int_equal(load_timeouts(l), 0);
    assert_int_equal(load_refused(l), 0);
}

static unsigned rounds_wanted(void)
{
    unsigned rounds = env_number("CLUSTER_ROUNDS", 3);

    assert_true(rounds > 0 && rounds <= ROUNDS_MAX);
    return rounds;
}

static void a_leader_that_stops_hands_over(void **state)
{
    unsigned rounds = rounds_wanted();
    unsigned elections;
    px_ns stall;
    struct cluster *c;
    struct load *l;

    (void)state;
    assert_int_equal(setenv("TICK_MS", "100", 1), 0);
    assert_int_equal(setenv("ELECTION", "50", 1), 0);
    assert_int_equal(setenv("HEARTBEAT", "5", 1), 0);
    start(120 + 30 * rounds, &c, &l);
    elections = count_notes(c, "raft: pre-candidate");
    for (unsigned i = 0; i < rounds; i++)
        (void)one_round(c, l, NULL, BY_SIGTERM, &stall);
    check_nobody_had_an_error(l);
    /* Nobody had to find out by itself that the leader had gone. */
    assert_int_equal(count_notes(c, "node: hands over leadership"), rounds);
    assert_int_equal(count_notes(c, "raft: pre-candidate"), elections);
    end(c, l);
}

static void how_long_writers_wait(void **state)
{
    unsigned rounds = rounds_wanted();
    unsigned stalled_max = (TRIES_PER_ROUND - 1) * rounds;
    struct measured idle = {.end = NOBODY_ENDS};
    struct measured stopped = {.end = BY_SIGTERM};
    struct measured killed = {.end = BY_KILL};
    struct stall *s = stall_watch();
    struct cluster *c;
    struct load *l;

    (void)state;
    assert_non_null(s);
    start(120 + 90 * TRIES_PER_ROUND * rounds, &c, &l);
    while (stopped.count < rounds) {
        measure(c, l, s, stalled_max, &idle);
        measure(c, l, s, stalled_max, &stopped);
    }
    check_nobody_had_an_error(l);
    while (killed.count < rounds)
        measure(c, l, s, stalled_max, &killed);
    stall_free(s);
    end(c, l);
    print_measured("nobody ends", &idle);
    print_measured("SIGTERM", &stopped);
    print_measured("kill -9", &killed);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test_teardown(a_leader_that_stops_hands_over,
                                  cluster_teardown),
    };
    const struct CMUnitTest measurement[] = {
        cmocka_unit_test_teardown(how_long_writers_wait, cluster_teardown),
    };

    return env_number("HAND_OVER_LOCAL", 0) == 0
               ? cmocka_run_group_tests(test, NULL, NULL)
               : cmocka_run_group_tests(measurement, NULL, NULL);
}
