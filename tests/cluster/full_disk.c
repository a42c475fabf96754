/* A disk of one node that is full, or hangs, under load: the others go on,
 * nothing that was acknowledged is lost, and the node goes on by itself when
 * there is room. */
#include <errno.h>
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
#include "tests/lib/filler.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/skip.h"
#include "tests/lib/worker.h"

#define NODES 3
#define DISK_MIB 1024u
#define BULK_MIB "100" /* more than a segment of the log */
/* What a snapshot of the bulk that arrives fits into, and leaves 32 MiB of, and
 * a second state does not fit beside it. */
#define ONE_MIB 160u
#define SECONDS_MAX 600
#define RUN_MS_MAX 120000
#define HEALTH_MS_MAX 60000
#define HANGS_MS 2000
#define LOOK_MS 50
#define LEADER_TRIES 30

static pid_t tracer;

static int teardown(void **state)
{
    int rc;

    if (tracer > 0)
        (void)kill(tracer, SIGKILL);
    tracer = 0;
    rc = cluster_teardown(state);
    workers_kill();
    return rc;
}

/* ---- The disk ---- */

/* strace holds up every flush of the node for as long as it is there. */
static void hang(const struct cluster *c, int i)
{
    char pid[16];
    const char *const argv[] = {"strace",
                                "-qq",
                                "-f",
                                "-o",
                                "/dev/null",
                                "-e",
                                "trace=fdatasync",
                                "-e",
                                "inject=fdatasync:delay_enter=600000000",
                                "-p",
                                pid,
                                NULL};

    (void)snprintf(pid, sizeof pid, "%d", (int)cluster_pid(c, i));
    tracer = process_start(&(struct process_options){.argv = argv});
    assert_true(tracer > 0);
}

static void let_go(void)
{
    (void)kill(tracer, SIGTERM);
    assert_int_not_equal(process_wait(tracer, RUN_MS_MAX), -ETIMEDOUT);
    tracer = 0;
}

/* ---- The cluster ---- */

/* Until node @i says @word in its health. */
static void wait_health(const struct cluster *c, int i, const char *word)
{
    uint64_t end = now_ms() + HEALTH_MS_MAX;
    char text[8192];

    do {
        if (now_ms() > end)
            fail_msg("node-%d does not say \"%s\": %s", i, word, text);
        pause_ms(LOOK_MS);
    } while (cluster_get(c, i, "/health", text, sizeof text) != 503 ||
             strstr(text, word) == NULL);
}

/* Until a flush of node @i hangs, longer than any that is but slow. */
static void wait_hanging(const struct cluster *c, int i)
{
    const char word[] = "a flush has taken ";
    uint64_t end = now_ms() + HEALTH_MS_MAX;
    unsigned long long ms = 0;
    char text[8192];

    while (ms < HANGS_MS) {
        const char *at;

        if (now_ms() > end)
            fail_msg("no flush of node-%d hangs: %s", i, text);
        pause_ms(LOOK_MS);
        (void)cluster_get(c, i, "/health", text, sizeof text);
        at = strstr(text, word);
        ms = at != NULL ? strtoull(at + strlen(word), NULL, 10) : 0;
    }
}

/* And so does its mount, which answers that much. */
static void check_mount_says(const struct cluster *c, int i, const char *word)
{
    run_ok(RUN_MS_MAX, "sh", "-c", "grep -q \"$1\" $0/.phalanx/health",
           cluster_mount(c, i), word, NULL);
}

static void need_disk(void)
{
    if (cluster_can_move_data())
        return;
    skip_as("it needs mkfs.ext4 and loop devices");
}

/* A cluster in which node @i has a disk of its own. @snapshot_mib: 0: as ever. */
static struct cluster *start_with(int i, unsigned snapshot_mib)
{
    struct cluster *c =
        cluster_start(&(struct cluster_options){.nodes = NODES,
                                                .snapshot_mib = snapshot_mib,
                                                .seconds_max = SECONDS_MAX});

    cluster_kill(c, i);
    cluster_move_data(c, i, DISK_MIB);
    cluster_restart(c, i);
    cluster_wait_all_ready(c);
    return c;
}

static struct cluster *start(int i)
{
    return start_with(i, 0);
}

static void make_lead(struct cluster *c, int i)
{
    for (int tries = 0; tries < LEADER_TRIES; tries++) {
        int leader = cluster_leader(c);

        if (leader == i)
            return;
        cluster_kill(c, leader);
        (void)cluster_leader(c);
        cluster_restart(c, leader);
        cluster_wait_all_ready(c);
    }
    fail_msg("node-%d is never elected", i);
}

static struct load *start_load(struct cluster *c)
{
    struct load_options options = {
        .mount_count = NODES,
        .writers = 4,
        .readers = 2,
        .call_ms_max = cluster_request_timeout_ms(c) + 5000,
    };
    struct load *l;

    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(c, i);
    l = load_start(&options);
    load_wait_writes(l, 100);
    return l;
}

/* Writes more than a segment of the log, through node @i. What fails because
 * there is no leader is done again. */
static void write_bulk(const struct cluster *c, int i)
{
    run_ok(RUN_MS_MAX, "sh", "-c",
           "until dd if=/dev/urandom of=$0/bulk bs=1M count=" BULK_MIB
           " 2>/dev/null; do sleep 0.1; done",
           cluster_mount(c, i), NULL);
}

/* It has what the others have, all that was acknowledged included. */
static void check_goes_on(struct cluster *c, struct load *l, int i)
{
    int root;

    cluster_wait_ready(c, i);
    load_up(l, i);
    load_wait_writes(l, 100);
    load_stop(l);
    root = cluster_open_mount(c, i);
    assert_true(root >= 0);
    load_check(l, root);
    (void)close(root);
    load_print(l);
    load_free(l);
    cluster_check_runs(c); /* nobody was started anew */
    cluster_check_states(c);
}

static void compare_bulk(const struct cluster *c, int a, int b)
{
    run_ok(RUN_MS_MAX, "sh", "-c", "cmp $0/bulk $1/bulk", cluster_mount(c, a),
           cluster_mount(c, b), NULL);
}

/* ---- Stories ---- */

static void a_followers_full_disk_holds_up_nobody_else(void **state)
{
    const int full = 0;
    struct cluster *c;
    struct load *l;
    int leader;

    (void)state;
    need_disk();
    c = start(full);
    make_lead(c, 1);
    l = start_load(c);
    load_down(l, full);
    filler_fill(cluster_data(c, full));
    write_bulk(c, 1);
    wait_health(c, full, "disk full: ");
    check_mount_says(c, full, "disk full: ");
    load_wait_writes(l, 500);
    load_check_so_far(l);
    leader = cluster_leader(c);
    assert_int_not_equal(leader, full);
    filler_make_room(cluster_data(c, full));
    check_goes_on(c, l, full);
    compare_bulk(c, full, leader);
    run_ok(RUN_MS_MAX, "grep", "-q", "disk: has room again",
           cluster_notes(c, full), NULL);
    cluster_stop(c);
}

static void a_leaders_full_disk_makes_it_give_way(void **state)
{
    const int full = 0;
    struct cluster *c;
    struct load *l;

    (void)state;
    need_disk();
    c = start(full);
    make_lead(c, full);
    l = start_load(c);
    load_down(l, full);
    filler_fill(cluster_data(c, full));
    write_bulk(c, 1);
    wait_health(c, full, "disk full: ");
    check_mount_says(c, full, "disk full: ");
    assert_int_not_equal(cluster_leader(c), full);
    load_wait_writes(l, 500);
    load_check_so_far(l);
    filler_make_room(cluster_data(c, full));
    check_goes_on(c, l, full);
    compare_bulk(c, full, 1);
    cluster_stop(c);
}

static void a_leader_whose_disk_hangs_is_replaced(void **state)
{
    struct cluster *c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .seconds_max = SECONDS_MAX});
    struct load *l = start_load(c);
    int old = cluster_leader(c);

    (void)state;
    load_down(l, old);
    hang(c, old);
    wait_hanging(c, old);
    check_mount_says(c, old, "a flush has taken ");
    load_wait_writes(l, 500);
    load_check_so_far(l);
    assert_int_not_equal(cluster_leader(c), old);
    let_go();
    check_goes_on(c, l, old);
    cluster_stop(c);
}

static void save_once(struct cluster *c, int i)
{
    uint64_t before = cluster_number(c, i, "counters", "snapshots_saved");
    uint64_t end = now_ms() + HEALTH_MS_MAX;

    cluster_signal(c, i, SIGUSR1);
    while (cluster_number(c, i, "counters", "snapshots_saved") == before) {
        if (now_ms() > end)
            fail_msg("node-%d makes no snapshot", i);
        pause_ms(LOOK_MS);
    }
}

/* A snapshot of all that node @i has: one may be under way, of less. */
static void save(struct cluster *c, int i)
{
    save_once(c, i);
    save_once(c, i);
}

/* It was away for longer than the log goes back, and its disk has no room for a
 * second state beside the one that it has: it ends, and its next start makes the
 * leader's in the room of its own. */
static void a_start_needs_no_room_for_two_states(void **state)
{
    const int small = 0;
    struct cluster *c;
    uint64_t last;

    (void)state;
    need_disk();
    c = start_with(small, 8);
    write_bulk(c, 1);
    cluster_wait_all_ready(c);
    cluster_check_states(c);
    save(c, small);
    last = cluster_number(c, small, NULL, "log_length");
    cluster_kill(c, small);
    for (int i = 0; i < 3; i++)
        write_bulk(c, 1);
    for (int i = 1; i < NODES; i++) {
        save(c, i);
        assert_true(cluster_number(c, i, NULL, "log_first") > last + 1);
    }
    filler_fill_but(cluster_data(c, small), (uint64_t)ONE_MIB << 20);
    cluster_restart(c, small);
    assert_int_not_equal(cluster_wait_end(c, small), 0);
    run_ok(RUN_MS_MAX, "grep", "-q", "building the state from a snapshot",
           cluster_notes(c, small), NULL);
    cluster_restart(c, small);
    cluster_wait_ready(c, small);
    compare_bulk(c, small, 1);
    cluster_check_states(c);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_followers_full_disk_holds_up_nobody_else,
                                  teardown),
        cmocka_unit_test_teardown(a_leaders_full_disk_makes_it_give_way,
                                  teardown),
        cmocka_unit_test_teardown(a_leader_whose_disk_hangs_is_replaced,
                                  teardown),
        cmocka_unit_test_teardown(a_start_needs_no_room_for_two_states,
                                  teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
