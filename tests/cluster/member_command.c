/* phalanx member against real nodes: three that begin, and one that comes. Who
 * is asked does not matter; what is refused says why, and changes nothing. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/members.h"
#include "tests/lib/process.h"

#define NODES 4
#define FOUNDERS 3
#define NEW 3 /* the node that comes */
#define RUN_MS_MAX 60000
#define WORDS_MAX 12

/* ---- Nodes ---- */

static char port[32], peers[400], seeds[64];
/* PEERS of the founders, SEEDS of the one that comes. */
static const char *settings[NODES][6];

static void tell_nodes(const struct cluster *c)
{
    char address[64];

    (void)strcpy(peers, "PEERS=");
    for (int i = 0; i < FOUNDERS; i++) {
        size_t used = strlen(peers);

        cluster_address(c, i, address, sizeof address);
        (void)snprintf(peers + used, sizeof peers - used, "%snode-%d=%s",
                       i > 0 ? "," : "", i, address);
    }
    for (int i = 0; i < NODES; i++) {
        settings[i][0] = port;
        settings[i][1] = "AUTO_JOIN=off"; /* a person has each done here */
        settings[i][2] = i < FOUNDERS ? peers : "PEERS=";
        settings[i][3] = i < FOUNDERS ? NULL : seeds;
    }
}

static struct cluster *start(void)
{
    struct cluster_options options = {.nodes = NODES};
    unsigned gossip_port = free_gossip_port();
    struct cluster *c;

    memset(settings, 0, sizeof settings);
    (void)snprintf(port, sizeof port, "BIND_PORT=%u", gossip_port);
    (void)snprintf(seeds, sizeof seeds, "SEEDS=127.0.0.1:%u", gossip_port);
    for (int i = 0; i < NODES; i++)
        options.settings[i] = settings[i];
    c = cluster_prepare(&options);
    tell_nodes(c);
    for (int i = 0; i < FOUNDERS; i++)
        cluster_restart(c, i);
    for (int i = 0; i < FOUNDERS; i++)
        cluster_wait_ready(c, i);
    return c;
}

/* ---- The command ---- */

static struct process_result said;

/* @words behind "phalanx member --address ADDRESS"; the status. */
static int member_at(const char *address, const char *const *words)
{
    const char *argv[WORDS_MAX + 5] = {getenv("PHALANX"), "member", "--address",
                                       address};
    size_t count = 4;

    if (argv[0] == NULL)
        fail_msg("PHALANX does not name the command line to test");
    for (; *words != NULL; words++) {
        assert_true(count < WORDS_MAX + 4);
        argv[count++] = *words;
    }
    member_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &said);
    return said.status;
}
#define MEMBER_AT(address, ...) \
    member_at(address, (const char *const[]){__VA_ARGS__, NULL})

static const char *at(const struct cluster *c, int node)
{
    static char address[64];

    cluster_address(c, node, address, sizeof address);
    return address;
}
#define MEMBER(c, node, ...) MEMBER_AT(at(c, node), __VA_ARGS__)

static void expect(int status, int expected, const char *says)
{
    bool is_said = strstr(said.err, says) != NULL ||
                   (expected == 0 && strstr(said.out, says) != NULL);

    if (status != expected || !is_said)
        fail_msg("status %d, not %d and \"%s\": %s%s", status, expected, says,
                 said.out, said.err);
}

/* ---- What a list shows ---- */

/* The member of that name; NULL: there is none. */
static const json_t *find(const json_t *list, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(list, "members"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
            return one;
    }
    return NULL;
}

/* "voter", "learner", "none"; "": not listed. */
static void role_at(const struct cluster *c, int by, const char *name,
                    char role[16])
{
    json_t *list;
    const json_t *one;

    expect(MEMBER(c, by, "list", "--json"), 0, "\"members\":[");
    list = json_loads(said.out, 0, NULL);
    assert_non_null(list);
    one = find(list, name);
    (void)snprintf(role, 16, "%s",
                   one != NULL ? json_string_value(json_object_get(one, "role"))
                               : "");
    json_decref(list);
}

static void wait_for_role(const struct cluster *c, int by, const char *name,
                          const char *role)
{
    uint64_t deadline = now_ms() + RUN_MS_MAX;
    char now[16];

    for (;;) {
        role_at(c, by, name, now);
        if (strcmp(now, role) == 0)
            return;
        if (now_ms() > deadline)
            fail_msg("%s is \"%s\", not \"%s\"", name, now, role);
        pause_ms(50);
    }
}

static void check_list(const struct cluster *c, int by)
{
    expect(MEMBER(c, by, "list"), 0, "NAME    ROLE ");
    for (int i = 0; i < FOUNDERS; i++) {
        char line[64];

        (void)snprintf(line, sizeof line, "\nnode-%d  voter ", i);
        assert_non_null(strstr(said.out, line));
        assert_non_null(strstr(said.out, at(c, i)));
    }
}

/* ---- The tests ---- */

static void whoever_is_asked_lists_the_same(void **state)
{
    struct cluster *c = start();

    (void)state;
    for (int i = 0; i < FOUNDERS; i++)
        check_list(c, i);
    cluster_stop(c);
}

static void wrong_usage_and_wrong_names_change_nothing(void **state)
{
    struct cluster *c = start();
    int leader = cluster_leader(c);

    (void)state;
    expect(MEMBER(c, leader, "remove"), 2, "write phalanx member remove NAME");
    expect(MEMBER(c, leader, "remove", "a b"), 2, "is no name of a node");
    expect(MEMBER(c, leader, "remove", "node-9"), 1, "no member is called");
    expect(MEMBER(c, leader, "promote", "node-0"), 1, "is a voter already");
    expect(MEMBER(c, leader, "add", "node-0", "127.0.0.1:1"), 1,
           "is a voter already");
    expect(MEMBER(c, leader, "add", "node-9"), 1, "gossip does not know");
    for (int i = 0; i < FOUNDERS; i++)
        check_list(c, i);
    cluster_stop(c);
}

static void a_node_is_added_and_promoted(void **state)
{
    struct cluster *c = start();
    int follower = (cluster_leader(c) + 1) % FOUNDERS;

    (void)state;
    cluster_restart(c, NEW);
    wait_for_role(c, follower, "node-3", "none"); /* seen, and no member */
    expect(MEMBER(c, follower, "add", "node-3"), 0, "node-3 is a learner");
    cluster_wait_ready(c, NEW);
    expect(MEMBER(c, NEW, "promote", "node-3"), 0, "node-3 is a voter");
    for (int i = 0; i < NODES; i++)
        wait_for_role(c, i, "node-3", "voter");
    cluster_stop(c);
}

static void leadership_goes_to_who_is_named(void **state)
{
    struct cluster *c = start();

    (void)state;
    for (int i = 0; i < FOUNDERS; i++) {
        uint64_t elections;
        char name[16];

        (void)snprintf(name, sizeof name, "node-%d", i);
        if (cluster_leader(c) == i)
            expect(MEMBER(c, (i + 1) % FOUNDERS, "transfer"), 0, "");
        elections = cluster_number(c, i, "counters", "elections_won");
        expect(MEMBER(c, (i + 1) % FOUNDERS, "transfer", name), 0, "");
        assert_true(cluster_number(c, i, "counters", "elections_won") >
                    elections);
    }
    expect(MEMBER(c, 0, "transfer"), 0, "");
    assert_int_not_equal(cluster_leader(c), FOUNDERS - 1);
    cluster_stop(c);
}

static void a_dead_node_is_removed_and_never_comes_back(void **state)
{
    struct cluster *c = start();
    int leader = cluster_leader(c);
    int dead = (leader + 1) % FOUNDERS;
    int other = (leader + 2) % FOUNDERS;
    char name[16];
    char addresses[160];

    (void)state;
    (void)snprintf(name, sizeof name, "node-%d", dead);
    cluster_kill(c, dead);
    /* The first address is the dead one's. */
    (void)snprintf(addresses, sizeof addresses, "%s,", at(c, dead));
    (void)strcat(addresses, at(c, other));
    expect(MEMBER_AT(addresses, "remove", name), 0, name);
    wait_for_role(c, leader, name, "");
    wait_for_role(c, other, name, "");
    expect(MEMBER_AT(addresses, "add", name, at(c, dead)), 1,
           "a name is never used again");
    cluster_restart(c, dead); /* it is told, and ends */
    assert_int_not_equal(cluster_wait_end(c, dead), 0);
    cluster_restart(c, dead); /* and knows by itself from then on */
    assert_int_not_equal(cluster_wait_end(c, dead), 0);
    cluster_stop(c);
}

static void a_leader_that_is_removed_hands_over(void **state)
{
    struct cluster *c = start();
    int leader = cluster_leader(c);
    int other = (leader + 1) % FOUNDERS;
    char name[16];

    (void)state;
    (void)snprintf(name, sizeof name, "node-%d", leader);
    expect(MEMBER(c, other, "remove", name), 0, name);
    wait_for_role(c, other, name, "");
    assert_int_not_equal(cluster_wait_end(c, leader), 0);
    assert_int_not_equal(cluster_leader(c), leader);
    cluster_stop(c);
}

static void without_a_majority_nothing_is_promised(void **state)
{
    struct cluster *c = start();
    char address[64];

    (void)state;
    (void)strcpy(address, at(c, 0));
    cluster_kill(c, 1);
    cluster_kill(c, 2);
    /* Refused, or unknown: it may be in the log of the one that is left. */
    assert_int_not_equal(
        MEMBER_AT(address, "--timeout", "3", "remove", "node-1"), 0);
    expect(MEMBER_AT(address, "list"), 0, "node-0  voter ");
    cluster_kill(c, 0);
    expect(MEMBER_AT(address, "list"), 1, "Connection refused");
    cluster_stop(c);
}

#define TEST(name) cmocka_unit_test_teardown(name, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whoever_is_asked_lists_the_same),
        TEST(wrong_usage_and_wrong_names_change_nothing),
        TEST(a_node_is_added_and_promoted),
        TEST(leadership_goes_to_who_is_named),
        TEST(a_dead_node_is_removed_and_never_comes_back),
        TEST(a_leader_that_is_removed_hands_over),
        TEST(without_a_majority_nothing_is_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
