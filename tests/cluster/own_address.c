/* Where a node says that it is, when nothing tells it: two voters that listen at
 * any address, each on a host of its own. One is killed and held for dead; it
 * comes back while no seed shows it the way, and the other is the first to
 * speak. Their cluster goes on, and nobody hears that a node of another host is
 * at the loopback. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/members.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"

#define NODES 2
#define GOSSIP_PORT 7946
#define PEER_PORT 9000
#define WAIT_MS_MAX 20000
#define RUN_MS_MAX 10000
#define LOOK_MS 10
#define SETTINGS 9
#define SETTING_BYTES 64

static struct netns *hosts;

/* ---- What they are told ---- */

/* Of both the same. Gossip is four times as fast as elsewhere, so that the dead
 * are soon known; raft is not. */
static char texts[SETTINGS][SETTING_BYTES];
static const char *list[SETTINGS + 1];

static void tell(int place, const char *setting)
{
    assert_true(strlen(setting) < SETTING_BYTES);
    (void)snprintf(texts[place], SETTING_BYTES, "%s", setting);
    list[place] = texts[place];
}

/* What a start takes; @seeds and @expect change with a restart. */
static void tell_all(const char *seeds, const char *expect)
{
    char text[SETTING_BYTES];

    tell(0, "PEERS=");
    tell(1, seeds);
    tell(2, expect);
    (void)snprintf(text, sizeof text, "BIND_PORT=%d", GOSSIP_PORT);
    tell(3, text);
    (void)snprintf(text, sizeof text, "GRPC_ADDR=[::]:%d", PEER_PORT);
    tell(4, text);
    tell(5, "TICK_MS=5");
    tell(6, "ELECTION=48");
    tell(7, "HEARTBEAT=12");
    tell(8, "LOG_LEVEL=debug");
}

/* The first is the seed of both: it looks for nobody else there. */
static struct cluster *start(void)
{
    struct cluster_options options = {
        .nodes = NODES, .hosts = hosts, .settings = {list, list}};
    char first[NETNS_ADDRESS_BYTES];
    char seeds[SETTING_BYTES];

    netns_address(0, first);
    (void)snprintf(seeds, sizeof seeds, "SEEDS=%s", first);
    tell_all(seeds, "BOOTSTRAP_EXPECT=2");
    return cluster_start(&options);
}

/* ---- What comes of it ---- */

static void wait_says(struct cluster *c, int at, int i, const char *what)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;

    while (!member_is(c, at, i, "gossip", what)) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node-%d does not say \"%s\" of node-%d", at, what, i);
        pause_ms(LOOK_MS);
    }
}

static void write_at(struct cluster *c, int i, const char *name)
{
    int mount = cluster_open_mount(c, i);
    int fd;

    assert_return_code(mount, -mount);
    fd = openat(mount, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    (void)close(fd); /* write has said what counts */
    (void)close(mount);
}

/* Gossip notes what each says of itself. */
static void nobody_was_told_of_the_loopback(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        const char *const argv[] = {"grep", "-F", "address=127.",
                                    cluster_notes(c, i), NULL};
        struct process_result r;

        process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
        if (r.status == 0)
            fail_msg("node-%d noted: %s", i, r.out);
        assert_int_equal(r.status, 1); /* there is no such line */
    }
}

/* Nor does it remember where the other was. */
static void forget_others(const struct cluster *c, int i)
{
    char path[GUARD_PATH_MAX + 8];

    (void)snprintf(path, sizeof path, "%s/peers", cluster_data(c, i));
    if (unlink(path) < 0)
        assert_int_equal(errno, ENOENT); /* it was killed before it was kept */
}

static void node_1_comes_back(const char *seeds, const char *expect)
{
    struct cluster *c = start();

    write_at(c, 0, "before");
    cluster_kill(c, 1);
    wait_says(c, 0, 1, "dead");
    forget_others(c, 1);
    tell_all(seeds, expect);
    cluster_restart(c, 1);
    wait_says(c, 0, 1, "alive");
    cluster_wait_all_ready(c);
    for (int i = 0; i < NODES; i++)
        write_at(c, i, i == 0 ? "after-0" : "after-1");
    nobody_was_told_of_the_loopback(c);
    cluster_stop(c);
}

/* ---- The tests ---- */

static void who_comes_back_while_names_are_silent_is_reached(void **state)
{
    (void)state;
    node_1_comes_back("SEEDS=no-such-host.invalid", "BOOTSTRAP_EXPECT=2");
}

/* Without seeds it looks on its own machine alone. */
static void who_comes_back_without_seeds_is_reached(void **state)
{
    (void)state;
    node_1_comes_back("SEEDS=", "BOOTSTRAP_EXPECT=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            who_comes_back_while_names_are_silent_is_reached, cluster_teardown),
        cmocka_unit_test_teardown(who_comes_back_without_seeds_is_reached,
                                  cluster_teardown),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
