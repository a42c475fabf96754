/* Snapshots on their way, and what may happen to them: the receiver is killed
 * or stopped, the leader is killed, at any moment. Whatever was acknowledged is
 * there, and all nodes hold the same; and a receiver's mount, whenever there is
 * one, waits, or refuses at the deadline, and answers what is right (watch.h).
 *
 * SNAPSHOT_ROUNDS: how often each, 3. CLUSTER_SEED: when. CLUSTER_SLACK_MS: how
 * far a call may overrun its deadline. A snapshot is made for each MiB of log
 * here, and there are 32 MiB of data that can't be compressed, which travel for
 * half a second. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/cluster/watch.h"
#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 3
#define FILES 32
#define ARRIVES_MS_MAX 1000 /* start, election, and most of the way */
#define KILLS 3             /* of a receiver, in a row */
#define STOP_MS 3000        /* the leader gives up after 8 x 240 */
#define WAIT_MS_MAX 20000
#define LOOK_MS 20
#define OPEN_READ_REQUESTS 5 /* the root, the name, the file; open; read */

struct story {
    struct cluster *cluster;
    struct load *load;
    struct watch *watch;
    struct px_rand rand;
    unsigned stop_ms; /* so long a server may be stopped, and answer nobody */
};

/* Every file anew, through node @i. */
static void overwrite(struct story *s, int i)
{
    int mount = cluster_open_mount(s->cluster, i);

    assert_return_code(mount, -mount);
    watch_write(s->watch, mount, FILES, &s->rand);
    watch_note_names(s->watch, mount);
    (void)close(mount); /* was only a way in */
}

/* @call_requests: so many of the kernel's requests may have to wait in one of
 * the load's calls, on mounts that are well. */
static void begin(struct story *s, unsigned call_requests, unsigned stop_ms)
{
    struct load_options options = {
        .mount_count = NODES, .writers = 4, .readers = 2};
    unsigned rounds = env_number("SNAPSHOT_ROUNDS", 3);

    px_rand_init(&s->rand, env_number("CLUSTER_SEED", (unsigned)getpid()));
    s->watch = watch_new(FILES);
    s->stop_ms = stop_ms;
    s->cluster = cluster_start(&(struct cluster_options){
        .nodes = NODES, .snapshot_mib = 1, .seconds_max = 120 + 60 * rounds});
    options.call_ms_max =
        call_requests * cluster_request_timeout_ms(s->cluster) +
        env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(s->cluster, i);
    s->load = load_start(&options);
}

static void check_trees_are_equal(struct story *s)
{
    struct tree first = {0};

    for (int i = 0; i < NODES; i++) {
        struct tree t = {0};
        int mount = cluster_open_mount(s->cluster, i);

        assert_return_code(mount, -mount);
        load_check(s->load, mount);
        assert_int_equal(tree_digest(mount, &t), 0);
        (void)close(mount); /* was only looked at */
        if (i == 0)
            first = t;
        assert_true(t.entries > FILES);
        assert_true(t.digest == first.digest);
    }
}

/* How often the notes of @node say @what. */
static unsigned count_notes(struct story *s, int node, const char *what)
{
    FILE *f = fopen(cluster_notes(s->cluster, node), "re");
    unsigned count = 0;
    char line[512];

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        count += strstr(line, what) != NULL;
    (void)fclose(f); /* was only read */
    return count;
}

/* Ends the load, and says what there was of it. */
static void finish(struct story *s)
{
    unsigned begun = 0, installed = 0;

    cluster_wait_all_ready(s->cluster);
    load_stop(s->load);
    load_print(s->load);
    check_trees_are_equal(s);
    for (int i = 0; i < NODES; i++) {
        begun += count_notes(s, i, "snapshot: comes from the leader");
        installed += count_notes(s, i, "snapshot: installed") +
                     /* or by the start: it was all there before its end */
                     count_notes(s, i, "store: the log begins at a snapshot");
    }
    print_message("             %u transfers begun, %u installed\n", begun,
                  installed);
    watch_print(s->watch);
    assert_true(installed > 0);
    cluster_stop(s->cluster);
    load_free(s->load);
    watch_free(s->watch);
}

static void begin_watch(struct story *s, int i)
{
    unsigned deadline_ms = cluster_request_timeout_ms(s->cluster);

    watch_begin(s->watch, &(struct watch_options){
                              .path = cluster_mount(s->cluster, i),
                              .request_ms_max = deadline_ms + s->stop_ms,
                              .slack_ms = env_number("CLUSTER_SLACK_MS", 1000),
                              .may_break = true});
}

/* A follower, killed, behind the others' logs, and watched. Returns which. */
static int leave_behind(struct story *s)
{
    int leader = cluster_leader(s->cluster);
    int away = (leader + 1 + (int)px_rand_below(&s->rand, NODES - 1)) % NODES;

    load_down(s->load, away);
    cluster_kill(s->cluster, away);
    overwrite(s, leader);
    begin_watch(s, away);
    return away;
}

/* Back, and some way into its snapshot. */
static void come_back_some_way(struct story *s, int away)
{
    cluster_restart(s->cluster, away);
    pause_ms((unsigned)px_rand_below(&s->rand, ARRIVES_MS_MAX));
}

static void be_well(struct story *s, int i)
{
    cluster_wait_ready(s->cluster, i);
    load_up(s->load, i);
}

/* The one that was left behind. */
static void has_come_back(struct story *s, int away)
{
    be_well(s, away);
    watch_end(s->watch);
}

static void a_receiver_may_be_killed_at_any_moment(void **state)
{
    unsigned rounds = env_number("SNAPSHOT_ROUNDS", 3);
    struct story s;

    (void)state;
    begin(&s, 1, 0);
    for (unsigned r = 0; r < rounds; r++) {
        int away = leave_behind(&s);

        for (unsigned k = 0; k < KILLS; k++) {
            come_back_some_way(&s, away);
            cluster_kill(s.cluster, away);
        }
        cluster_restart(s.cluster, away);
        has_come_back(&s, away);
        load_wait_writes(s.load, 100);
    }
    finish(&s);
}

static void a_receiver_may_be_told_to_end_at_any_moment(void **state)
{
    unsigned rounds = env_number("SNAPSHOT_ROUNDS", 3);
    struct story s;

    (void)state;
    begin(&s, 1, 0);
    for (unsigned r = 0; r < rounds; r++) {
        int away = leave_behind(&s);

        for (unsigned k = 0; k < KILLS; k++) {
            int status;

            come_back_some_way(&s, away);
            cluster_signal(s.cluster, away, SIGTERM);
            status = cluster_wait_end(s.cluster, away);
            assert_true(status == 0 ||
                        status == 128 + SIGTERM); /* before it listened */
        }
        cluster_restart(s.cluster, away);
        has_come_back(&s, away);
    }
    finish(&s);
}

/* There is no majority until the receiver has its snapshot. */
static void the_leader_may_be_killed_while_it_sends(void **state)
{
    unsigned rounds = env_number("SNAPSHOT_ROUNDS", 3);
    struct story s;

    (void)state;
    begin(&s, OPEN_READ_REQUESTS, 0);
    for (unsigned r = 0; r < rounds; r++) {
        int away = leave_behind(&s);
        int leader = cluster_leader(s.cluster);

        come_back_some_way(&s, away);
        load_down(s.load, leader);
        cluster_kill(s.cluster, leader);
        has_come_back(&s, away); /* of two, one has to help the other */
        cluster_restart(s.cluster, leader);
        be_well(&s, leader);
        load_wait_writes(s.load, 100);
    }
    finish(&s);
}

static void a_receiver_may_stop_for_a_while(void **state)
{
    unsigned rounds = env_number("SNAPSHOT_ROUNDS", 3);
    struct story s;

    (void)state;
    begin(&s, 1, STOP_MS);
    for (unsigned r = 0; r < rounds; r++) {
        int away = leave_behind(&s);

        come_back_some_way(&s, away);
        cluster_signal(s.cluster, away, SIGSTOP);
        pause_ms(r % 2 == 0 ? STOP_MS : STOP_MS / 10);
        cluster_signal(s.cluster, away, SIGCONT);
        has_come_back(&s, away);
        load_wait_writes(s.load, 100);
    }
    finish(&s);
}

static uint64_t saved_by(struct story *s, int i)
{
    return cluster_number(s->cluster, i, "counters", "snapshots_saved");
}

static void wait_saved(struct story *s, int i, uint64_t before)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;

    while (saved_by(s, i) == before) {
        if (now_ms() > deadline)
            fail_msg("node %d has made no snapshot", i);
        pause_ms(LOOK_MS);
    }
}

/* The default is one for each 64 MiB of log, and that is not reached here. */
static void sigusr1_asks_for_a_snapshot(void **state)
{
    struct story s = {.watch = watch_new(FILES)};

    (void)state;
    s.cluster = cluster_start(&(struct cluster_options){.nodes = NODES});
    px_rand_init(&s.rand, 1);
    overwrite(&s, 0);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(saved_by(&s, i), 0);
        cluster_signal(s.cluster, i, SIGUSR1);
        wait_saved(&s, i, 0);
    }
    cluster_stop(s.cluster);
    watch_free(s.watch);
}

/* All at once: what the snapshots and the logs hold is all that there is. */
static void states_that_are_distrusted_are_built_anew(void **state)
{
    struct story s;

    (void)state;
    begin(&s, 1, 0);
    overwrite(&s, 0);
    load_wait_writes(s.load, 200);
    for (int i = 0; i < NODES; i++)
        load_down(s.load, i);
    cluster_kill_all(s.cluster);
    for (int i = 0; i < NODES; i++)
        cluster_restart_with(s.cluster, i, "--distrust-state");
    for (int i = 0; i < NODES; i++)
        be_well(&s, i);
    load_wait_writes(s.load, 200);
    load_stop(s.load);
    check_trees_are_equal(&s);
    for (int i = 0; i < NODES; i++)
        assert_true(count_notes(&s, i, "store: state is rebuilt") > 0);
    cluster_stop(s.cluster);
    load_free(s.load);
    watch_free(s.watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_receiver_may_be_killed_at_any_moment,
                                  cluster_teardown),
        cmocka_unit_test_teardown(a_receiver_may_be_told_to_end_at_any_moment,
                                  cluster_teardown),
        cmocka_unit_test_teardown(the_leader_may_be_killed_while_it_sends,
                                  cluster_teardown),
        cmocka_unit_test_teardown(a_receiver_may_stop_for_a_while,
                                  cluster_teardown),
        cmocka_unit_test_teardown(sigusr1_asks_for_a_snapshot,
                                  cluster_teardown),
        cmocka_unit_test_teardown(states_that_are_distrusted_are_built_anew,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
