/* A leader that is told to stop hands over first: another node leads without an
 * election timeout, and nobody who writes elsewhere gets an error.
 *
 * Elections take 5 to 10 s here, so that none is by chance, on a machine that
 * stalls. To measure, HAND_OVER_LOCAL=1 has the timing of one machine, and ends
 * as many leaders by kill -9 for comparison; it prints the slowest call of each
 * round. CLUSTER_ROUNDS: how many leaders stop, 3. */
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

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define WRITERS 16
#define ROUNDS_MAX 200
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

/* The leader stops, and comes back; the slowest call meanwhile, ms. */
static unsigned one_round(struct cluster *c, struct load *l, bool by_signal)
{
    int leader = cluster_leader(c);
    unsigned slowest;

    load_wait_writes(l, 300);
    (void)load_take_slowest_ms(l);
    load_down(l, leader);
    if (by_signal) {
        cluster_signal(c, leader, SIGTERM);
        assert_int_equal(cluster_wait_end(c, leader), 0);
    } else {
        cluster_kill(c, leader);
    }
    load_wait_writes(l, 300);
    slowest = load_take_slowest_ms(l);
    cluster_restart(c, leader);
    cluster_wait_ready(c, leader);
    load_up(l, leader);
    return slowest;
}

static int by_size(const void *a, const void *b)
{
    const unsigned *x = a;
    const unsigned *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_rounds(const char *how, unsigned *ms, unsigned rounds)
{
    qsort(ms, rounds, sizeof ms[0], by_size);
    print_message("             %s: slowest call of a round: median %u ms, "
                  "worst %u ms, of %u\n",
                  how, ms[rounds / 2], ms[rounds - 1], rounds);
}

static void set_slow_timing(void)
{
    assert_int_equal(setenv("TICK_MS", "100", 1), 0);
    assert_int_equal(setenv("ELECTION", "50", 1), 0);
    assert_int_equal(setenv("HEARTBEAT", "5", 1), 0);
}

static void a_leader_that_stops_hands_over(void **state)
{
    bool is_local = env_number("HAND_OVER_LOCAL", 0) != 0;
    unsigned rounds = env_number("CLUSTER_ROUNDS", 3);
    struct load_options options = {.mount_count = NODES, .writers = WRITERS};
    unsigned stopped[ROUNDS_MAX];
    unsigned killed[ROUNDS_MAX];
    struct cluster *c;
    struct load *l;
    unsigned elections;

    (void)state;
    assert_true(rounds > 0 && rounds <= ROUNDS_MAX);
    if (!is_local)
        set_slow_timing();
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 120 + 30 * rounds});
    options.call_ms_max =
        cluster_request_timeout_ms(c) + env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    l = load_start(&options);
    elections = count_notes(c, "raft: pre-candidate");
    for (unsigned i = 0; i < rounds; i++)
        stopped[i] = one_round(c, l, true);
    assert_int_equal(count_notes(c, "node: hands over leadership"), rounds);
    /* Nobody had to find out by itself that the leader had gone. */
    if (!is_local)
        assert_int_equal(count_notes(c, "raft: pre-candidate"), elections);
    for (unsigned i = 0; is_local && i < rounds; i++)
        killed[i] = one_round(c, l, false);
    load_stop(l);
    print_rounds("SIGTERM", stopped, rounds);
    if (is_local)
        print_rounds("kill -9", killed, rounds);
    for (int i = 0; i < NODES; i++) {
        int mount = cluster_open_mount(c, i);

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
        cmocka_unit_test_teardown(a_leader_that_stops_hands_over,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
