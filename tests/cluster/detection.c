/* Who is dead is known, and who is only slow is not taken for dead: five real
 * nodes, one of which is killed, and one of which is stopped for ten seconds.
 *
 * DETECTION_ROUNDS: how often, 2. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/swim.h"
#include "tests/lib/cluster.h"
#include "tests/lib/members.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define TICK_MS 20
#define STOPPED_MS 10000
#define WATCHED_MS 10000 /* after it: a probe of each, and more */
#define ACCUSES_MS 2000  /* what it suspects then, it does for being stopped */
#define KNOWN_MS_MAX 60000
#define LOOK_MS 20
#define SLACK_MS 1000 /* of a machine that stalls, and of our own looks */

static struct netns *hosts;

/* ---- What nodes say of each other ---- */

/* Do all others say so of node @i? */
static bool others_say(struct cluster *c, int i, const char *what)
{
    for (int at = 0; at < NODES; at++) {
        if (at != i && !member_is(c, at, i, "gossip", what))
            return false;
    }
    return true;
}

/* How long that takes, ms. */
static unsigned wait_others_say(struct cluster *c, int i, const char *what)
{
    uint64_t begin = now_ms();

    while (!others_say(c, i, what)) {
        if (now_ms() > begin + KNOWN_MS_MAX)
            fail_msg("not all say \"%s\" of node-%d after %d ms", what, i,
                     KNOWN_MS_MAX);
        pause_ms(LOOK_MS);
    }
    return (unsigned)(now_ms() - begin);
}

static struct cluster *start(void)
{
    struct cluster *c = cluster_start(&(struct cluster_options){
        .nodes = NODES,
        .seconds_max = 120 + env_number("DETECTION_ROUNDS", 2) * 120,
        .hosts = hosts});

    for (int i = 0; i < NODES; i++)
        (void)wait_others_say(c, i, "alive");
    return c;
}

/* ---- The tests ---- */

static void who_is_killed_is_known_dead_within_the_bound(void **state)
{
    struct swim_settings settings =
        swim_settings_of_tick(TICK_MS * PX_NS_PER_MS);
    unsigned bound = (unsigned)(swim_detection_bound(&settings, NODES, false) /
                                PX_NS_PER_MS);
    unsigned rounds = env_number("DETECTION_ROUNDS", 2);
    struct cluster *c = start();
    unsigned slowest = 0;

    (void)state;
    for (unsigned i = 0; i < rounds; i++) {
        int victim = (int)(i % NODES);
        unsigned ms;

        cluster_kill(c, victim);
        ms = wait_others_say(c, victim, "dead");
        if (ms > bound + SLACK_MS)
            fail_msg("node-%d was known dead after %u ms, not %u", victim, ms,
                     bound);
        slowest = ms > slowest ? ms : slowest;
        cluster_restart(c, victim);
        cluster_wait_ready(c, victim);
        (void)wait_others_say(c, victim, "alive");
    }
    print_message("             known dead by all after %u ms at worst, of %u; "
                  "the bound is %u ms\n",
                  slowest, rounds, bound);
    cluster_stop(c);
}

/* Fails the test if anybody but @stopped is held for dead, or @stopped itself
 * so much as suspects somebody, soon after it goes on: a machine that stands still
 * makes others suspect each other at any time, and tell it. */
static void check_nobody_is_accused(struct cluster *c, int stopped,
                                    bool is_soon)
{
    for (int at = 0; at < NODES; at++) {
        for (int i = 0; i < NODES; i++) {
            char text[MEMBER_TEXT_BYTES];

            if (i == stopped || i == at)
                continue;
            member_text(c, at, i, "gossip", text);
            if (strcmp(text, "dead") == 0 ||
                (is_soon && at == stopped && strcmp(text, "suspect") == 0))
                fail_msg("to node-%d, node-%d is %s", at, i, text);
        }
    }
}

static void who_was_stopped_accuses_nobody(void **state)
{
    unsigned rounds = env_number("DETECTION_ROUNDS", 2);
    struct cluster *c = start();

    (void)state;
    for (unsigned i = 0; i < rounds; i++) {
        int stopped = (int)(i % NODES);
        uint64_t begin;

        cluster_signal(c, stopped, SIGSTOP);
        pause_ms(STOPPED_MS);
        cluster_signal(c, stopped, SIGCONT);
        begin = now_ms();
        while (now_ms() < begin + WATCHED_MS) {
            check_nobody_is_accused(c, stopped, now_ms() < begin + ACCUSES_MS);
            pause_ms(LOOK_MS);
        }
        (void)wait_others_say(c, stopped, "alive");
    }
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(who_is_killed_is_known_dead_within_the_bound,
                                  cluster_teardown),
        cmocka_unit_test_teardown(who_was_stopped_accuses_nobody,
                                  cluster_teardown),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
