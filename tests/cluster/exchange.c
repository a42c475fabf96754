/* A cluster whose nodes are all replaced by others, at other addresses, one at a
 * time, while clients work on all its mounts: three nodes, two more, and then
 * the three go. Nobody who uses a mount that stays is refused anything, and the
 * history of what all were told is linearizable.
 *
 * EXCHANGE_PAUSE: operations between two steps, 300. CLIENTS: how many, 6. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/kept.h"
#include "tests/lib/members.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"
#include "tests/lib/workload.h"

#define OLD 3
#define NEW 2
#define NODES (OLD + NEW)
#define TIMEOUT_MS 5000
#define GOSSIP_PORT "7946"
#define STEP_MS_MAX 60000
#define COMMAND_MS_MAX 60000
#define LOOK_MS 20
#define TEXT_BYTES 512
#define SETTINGS 3
#define QUIET 50 /* answers until no client is left on a mount */

struct exchange {
    struct cluster *cluster;
    struct workload *workload;
    char kept[KEPT_PATH_MAX];
    char history[KEPT_PATH_MAX + 16];
    char seeds[TEXT_BYTES];
    const char *old_settings[SETTINGS + 1];
    const char *new_settings[SETTINGS + 1];
    bool has_passed;
};

static struct netns *hosts;
static struct exchange live; /* for the teardown */

/* ---- Members ---- */

static void wait_role(const struct exchange *e, int at, int i, const char *role)
{
    uint64_t deadline = now_ms() + STEP_MS_MAX;
    char found[MEMBER_TEXT_BYTES];

    for (;;) {
        member_text(e->cluster, at, i, "role", found);
        if (strcmp(found, role) == 0)
            return;
        workload_check_so_far(e->workload);
        cluster_check_runs(e->cluster);
        if (now_ms() > deadline)
            fail_msg("to node-%d, node-%d is \"%s\" and not \"%s\" after %d ms",
                     at, i, found, role, STEP_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

/* As an operator does, by way of the nodes that stay. */
static void run_member(const struct exchange *e, const char *verb, int i)
{
    const char *program = getenv("PHALANX");
    char addresses[TEXT_BYTES] = "";
    struct process_result r;
    char name[24];
    const char *const argv[] = {program,     "member",  verb, name,
                                "--address", addresses, NULL};
    size_t used = 0;

    assert_non_null(program);
    (void)snprintf(name, sizeof name, "node-%d", i);
    for (int n = OLD; n < NODES; n++) {
        char address[64];

        cluster_address(e->cluster, n, address, sizeof address);
        used += (size_t)snprintf(addresses + used, sizeof addresses - used,
                                 "%s%s", n > OLD ? "," : "", address);
    }
    member_run(
        &(struct process_options){.argv = argv, .net_fd = netns_fd(hosts, OLD)},
        COMMAND_MS_MAX, &r);
    if (r.status != 0)
        fail_msg("member %s %s ended with %d: %s%s", verb, name, r.status,
                 r.out, r.err);
}

/* ---- Steps ---- */

static void work(const struct exchange *e)
{
    workload_wait(e->workload, env_number("EXCHANGE_PAUSE", 300));
}

static void add(const struct exchange *e, int i)
{
    uint64_t begin = now_ms();

    cluster_restart(e->cluster, i);
    cluster_wait_ready(e->cluster, i);
    wait_role(e, i, i, "voter");
    workload_up(e->workload, i);
    print_message("             node-%d votes after %" PRIu64 " ms\n", i,
                  now_ms() - begin);
    work(e);
}

static void take_out(const struct exchange *e, int i)
{
    uint64_t begin;
    int status;

    workload_down(e->workload, i);
    workload_wait(e->workload, QUIET);
    begin = now_ms();
    run_member(e, "remove", i);
    status = cluster_wait_end(e->cluster, i);
    print_message("             node-%d is removed after %" PRIu64
                  " ms, and ended with %d\n",
                  i, now_ms() - begin, status);
    wait_role(e, OLD, i, "");
    work(e);
}

/* Of the removed: their data says so. */
static void check_is_refused(const struct exchange *e, int i)
{
    cluster_restart(e->cluster, i);
    assert_int_not_equal(cluster_wait_end(e->cluster, i), 0);
}

/* ---- The test ---- */

static void tell_nodes(struct exchange *e, struct cluster_options *o)
{
    size_t used = (size_t)snprintf(e->seeds, sizeof e->seeds, "SEEDS=");

    for (int i = 0; i < OLD; i++) {
        char address[NETNS_ADDRESS_BYTES];

        netns_address(i, address);
        used +=
            (size_t)snprintf(e->seeds + used, sizeof e->seeds - used,
                             "%s%s:" GOSSIP_PORT, i > 0 ? "," : "", address);
    }
    e->old_settings[0] = "PEERS=node-0,node-1,node-2";
    e->new_settings[0] = "PEERS=";
    e->old_settings[1] = e->new_settings[1] = e->seeds;
    e->old_settings[2] = e->new_settings[2] = "BIND_PORT=" GOSSIP_PORT;
    for (int i = 0; i < NODES; i++)
        o->settings[i] = i < OLD ? e->old_settings : e->new_settings;
}

static void start_all(struct exchange *e)
{
    struct cluster_options options = {.nodes = NODES,
                                      .request_timeout_ms = TIMEOUT_MS,
                                      .seconds_max = 900,
                                      .hosts = hosts};
    struct workload_options work = {.mount_count = NODES,
                                    .clients = (int)env_number("CLIENTS", 6),
                                    .seed = (uint64_t)getpid(),
                                    .think_ms_max = 12,
                                    .timeout_ms = TIMEOUT_MS};

    tell_nodes(e, &options);
    kept_new(e->kept, "exchange");
    (void)snprintf(e->history, sizeof e->history, "%s/history", e->kept);
    e->cluster = cluster_prepare(&options);
    for (int i = 0; i < OLD; i++)
        cluster_restart(e->cluster, i);
    for (int i = 0; i < OLD; i++)
        cluster_wait_ready(e->cluster, i);
    for (int i = 0; i < NODES; i++) {
        work.mounts[i] = cluster_mount(e->cluster, i);
        work.down |= i < OLD ? 0 : UINT32_C(1) << i;
    }
    work.history = e->history;
    e->workload = workload_start(&work);
}

static void all_nodes_are_replaced_and_nobody_is_refused(void **state)
{
    struct exchange *e = &live;

    (void)state;
    start_all(e);
    work(e);
    for (int i = OLD; i < NODES; i++)
        add(e, i);
    for (int i = 0; i < OLD; i++)
        take_out(e, i);
    workload_stop(e->workload);
    workload_print(e->workload);
    cluster_check_states(e->cluster);
    workload_check_history(e->history);
    assert_int_equal(workload_refused(e->workload), 0);
    for (int i = 0; i < OLD; i++)
        check_is_refused(e, i);
    cluster_stop(e->cluster);
    workload_free(e->workload);
    e->has_passed = true;
}

static int teardown(void **state)
{
    const struct exchange *e = &live;

    if (e->has_passed) {
        kept_remove(e->kept);
    } else if (e->kept[0] != '\0') {
        for (int i = 0; e->cluster != NULL && i < NODES; i++)
            kept_copy(e->kept, cluster_notes(e->cluster, i));
        (void)fprintf(stderr, "kept: %s\n", e->kept);
    }
    return cluster_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_nodes_are_replaced_and_nobody_is_refused,
                                  teardown),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
