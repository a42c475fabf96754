/* node/peers.c: names, addresses, whom to dial, and where we are dialled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/udp.h"
#include "node/peers.h"

#define CLUSTER 7

static struct peers p;

static struct swim_member_info living(const char *id, const char *address)
{
    return (struct swim_member_info){
        .id = id, .state = SWIM_ALIVE, .peer = address, .cluster = CLUSTER};
}

static void hear(const struct swim_member_info *m)
{
    peers_hear(&p, m, 1, CLUSTER, config_id_of("self"), NULL, NULL);
}

static void is_at(const char *name, const char *address, bool is_wanted)
{
    const struct peer *peer = peers_find(&p, config_id_of(name));

    if (peer == NULL)
        fail_msg("%s is not known", name);
    assert_string_equal(peer->name, name);
    assert_string_equal(peer->address, address);
    assert_int_equal(peer->is_wanted, is_wanted);
}

static int setup(void **state)
{
    (void)state;
    memset(&p, 0, sizeof p);
    return 0;
}

static void a_later_source_gives_the_address(void **state)
{
    struct swim_member_info m = living("b", "h3:3");

    (void)state;
    peers_know(&p, "b", "h1:1");
    peers_know(&p, "b", ""); /* says nothing of it */
    is_at("b", "h1:1", false);
    peers_know(&p, "b", "h2:2");
    is_at("b", "h2:2", false);
    hear(&m);
    is_at("b", "h3:3", true);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.wanted, 1);
}

static void a_member_stays_a_peer_whatever_gossip_says(void **state)
{
    struct raft_config c = {3,
                            {{config_id_of("self"), RAFT_VOTER},
                             {config_id_of("b"), RAFT_VOTER},
                             {config_id_of("c"), RAFT_LEARNER}}};
    struct swim_member_info m = living("b", "h2:2");

    (void)state;
    peers_know(&p, "self", "h0:0");
    peers_know(&p, "b", "h1:1");
    peers_know(&p, "c", "");
    m.state = SWIM_DEAD;
    hear(&m);
    is_at("b", "h2:2", false); /* where it was last, after all */
    peers_want(&p, &c, config_id_of("self"));
    is_at("b", "h2:2", true);
    is_at("c", "", true); /* dialled once somebody says where */
    is_at("self", "h0:0", false);
}

static void others_are_peers_while_they_live_in_our_cluster(void **state)
{
    static const enum swim_state states[] = {SWIM_ALIVE, SWIM_SUSPECT,
                                             SWIM_DEAD, SWIM_LEFT};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct swim_member_info m = living("x", "h:1");

        memset(&p, 0, sizeof p);
        m.state = states[i];
        hear(&m);
        assert_int_equal(p.wanted, i < 2);
        assert_int_equal(p.count, i < 2);
    }
}

static void nodes_of_no_cluster_or_another_are_not_peers(void **state)
{
    struct swim_member_info m = living("x", "h:1");

    (void)state;
    m.cluster = 0;
    hear(&m);
    m.cluster = CLUSTER + 1;
    hear(&m);
    assert_int_equal(p.count, 0);
    m.cluster = 0; /* nor while we are of none */
    peers_hear(&p, &m, 1, 0, config_id_of("self"), NULL, NULL);
    assert_int_equal(p.count, 0);
}

/* Its name may have been taken by somebody who is elsewhere. */
static void another_cluster_does_not_move_our_member(void **state)
{
    struct swim_member_info m = living("b", "evil:1");

    (void)state;
    peers_know(&p, "b", "h1:1");
    m.cluster = CLUSTER + 1;
    hear(&m);
    is_at("b", "h1:1", false);
}

/* Founders learn who the others are before they hear that these have founded. */
static void who_is_known_is_reached_before_it_is_of_a_cluster(void **state)
{
    struct swim_member_info m = living("b", "h1:1");

    (void)state;
    peers_know(&p, "b", "");
    m.cluster = 0;
    hear(&m);
    is_at("b", "h1:1", false); /* wanted only as a member */
}

static bool is_x(void *ctx, raft_id id)
{
    (void)ctx;
    return id == config_id_of("x");
}

static void a_node_that_was_removed_is_no_peer(void **state)
{
    struct swim_member_info list[] = {living("x", "h:1"), living("y", "h:2")};

    (void)state;
    peers_hear(&p, list, 2, CLUSTER, config_id_of("self"), is_x, NULL);
    assert_null(peers_find(&p, config_id_of("x")));
    is_at("y", "h:2", true);
}

static void what_is_no_address_is_not_dialled(void **state)
{
    static const char *const bad[] = {"", "h", ":1", "h:0", "h:1 ", "[h]:1"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct swim_member_info m = living("b", bad[i]);

        memset(&p, 0, sizeof p);
        peers_know(&p, "b", "h1:1");
        hear(&m);
        is_at("b", "h1:1", true);
    }
}

/* It would be we that are reached there. */
static void
the_loopback_is_nobodys_address_who_was_known_elsewhere(void **state)
{
    static const char *const here[] = {"127.0.0.1:9", "[::1]:9", "localhost:9"};
    struct swim_member_info list[] = {living("self", "h0:0"), living("b", "")};

    (void)state;
    list[0].is_self = true;
    assert_int_equal(swim_addr_parse("10.0.0.1", &list[0].gossip), 0);
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++) {
        memset(&p, 0, sizeof p);
        list[1] = living("b", here[i]);
        peers_hear(&p, list, 2, CLUSTER, config_id_of("self"), NULL, NULL);
        is_at("b", here[i], true); /* nothing better is known */
        peers_know(&p, "b", "127.0.0.1:8");
        peers_hear(&p, list, 2, CLUSTER, config_id_of("self"), NULL, NULL);
        is_at("b", here[i], true); /* it was on our machine before */
        peers_know(&p, "b", "10.0.0.2:9");
        peers_hear(&p, list, 2, CLUSTER, config_id_of("self"), NULL, NULL);
        is_at("b", "10.0.0.2:9", true);
    }
    assert_int_equal(swim_addr_parse("127.0.0.1", &list[0].gossip), 0);
    peers_hear(&p, list, 2, CLUSTER, config_id_of("self"), NULL, NULL);
    is_at("b", "localhost:9", true); /* we are there, too */
}

static void a_crowd_leaves_room_for_the_members(void **state)
{
    struct raft_config c = {.count = RAFT_MEMBERS_MAX};
    char names[200][8];

    (void)state;
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%zu", i);
        peers_know(&p, names[i], "h:1");
        c.members[i] = (struct raft_member){config_id_of(names[i]), RAFT_VOTER};
    }
    for (size_t i = RAFT_MEMBERS_MAX; i < 200; i++) {
        struct swim_member_info m;

        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        m = living(names[i], "h:1");
        hear(&m);
    }
    peers_want(&p, &c, config_id_of("self"));
    assert_int_equal(p.wanted, NET_PEERS_MAX);
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        is_at(names[i], "h:1", true);
}

/* ---- Ourselves ---- */

static void dialled_at(const struct config *c, const char *expected)
{
    static const struct swim_addr v4 = {
        .ip = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 9}, .port = 7946};
    char address[PX_ADDRESS_BYTES_MAX + 1];

    peers_own_address(c, 9000, &v4, false, address);
    assert_string_equal(address, expected);
}

static struct config listening(const char *grpc_addr)
{
    struct config c = {.node = "a", .id = config_id_of("a")};

    (void)snprintf(c.grpc_addr, sizeof c.grpc_addr, "%s", grpc_addr);
    return c;
}

static void the_best_word_on_where_we_are_counts(void **state)
{
    struct config c = listening("[::]:9000");

    (void)state;
    dialled_at(&c, "10.0.0.9:9000"); /* where gossip is reached */
    c.peer_count = 1;
    c.peers[0] =
        (struct config_peer){config_id_of("a"), "a", "node-a.local:900"};
    dialled_at(&c, "node-a.local:900");
    (void)strcpy(c.grpc_addr, "192.168.0.1:1"); /* behind a router */
    dialled_at(&c, "node-a.local:900");
    (void)strcpy(c.grpc_addr, "node-a.local:1"); /* the port has moved */
    dialled_at(&c, "node-a.local:9000");
    c.peer_count = 0;
    (void)strcpy(c.grpc_addr, "192.168.0.1:1");
    dialled_at(&c, "192.168.0.1:9000");
    (void)strcpy(c.advertise, "public.example");
    dialled_at(&c, "public.example:9000");
    (void)strcpy(c.advertise, "fd00::1");
    dialled_at(&c, "[fd00::1]:9000");
}

static void
ipv6_has_brackets_and_nothing_is_said_before_it_is_known(void **state)
{
    struct config c = listening(":9000");
    struct swim_addr v6 = {.ip = {0xfd, [15] = 1}, .port = 1};
    char address[PX_ADDRESS_BYTES_MAX + 1];

    (void)state;
    peers_own_address(&c, 9000, &v6, false, address);
    assert_string_equal(address, "[fd00::1]:9000");
    v6 = (struct swim_addr){.port = 0};
    peers_own_address(&c, 9000, &v6, false, address);
    assert_string_equal(address, "");
}

static void an_address_of_gossip_has_a_text(void **state)
{
    const struct swim_addr v4 = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7}, .port = 7946};
    const struct swim_addr v6 = {.ip = {0xfd, [15] = 7}, .port = 65535};
    char text[PX_ADDRESS_BYTES_MAX + 1];

    (void)state;
    peers_gossip_text(&v4, text);
    assert_string_equal(text, "10.0.0.7:7946");
    peers_gossip_text(&v6, text);
    assert_string_equal(text, "[fd00::7]:65535");
}

/* Bound to any address, gossip is at the loopback until a way to somebody shows a
 * better one: another machine would find itself there. */
static void the_loopback_is_told_only_where_it_is_meant(void **state)
{
    static const struct swim_addr loopback = {
        .ip = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, .port = 7946};
    struct config c = listening("[::]:9000");
    char address[PX_ADDRESS_BYTES_MAX + 1];

    (void)state;
    (void)strcpy(c.bind_addr, "::");
    peers_own_address(&c, 9000, &loopback, false, address);
    assert_string_equal(address, "");
    peers_own_address(&c, 9000, &loopback, true, address); /* others are here */
    assert_string_equal(address, "127.0.0.1:9000");
    (void)strcpy(c.bind_addr, "0.0.0.0");
    peers_own_address(&c, 9000, &loopback, false, address);
    assert_string_equal(address, "");
    (void)strcpy(c.bind_addr, "127.0.0.1"); /* it was told so */
    peers_own_address(&c, 9000, &loopback, false, address);
    assert_string_equal(address, "127.0.0.1:9000");
    (void)strcpy(c.bind_addr, "::");
    (void)strcpy(c.grpc_addr, "127.0.0.1:1"); /* likewise */
    peers_own_address(&c, 9000, &loopback, false, address);
    assert_string_equal(address, "127.0.0.1:9000");
}

static void others_are_here_if_gossip_found_them_on_the_loopback(void **state)
{
    struct swim_member_info list[] = {living("self", ""), living("b", "")};

    (void)state;
    assert_int_equal(swim_addr_parse("127.0.0.1", &list[0].gossip), 0);
    assert_int_equal(swim_addr_parse("10.0.0.2", &list[1].gossip), 0);
    list[0].is_self = true;
    assert_false(peers_are_here(list, 2)); /* we ourselves don't count */
    assert_int_equal(swim_addr_parse("::1", &list[1].gossip), 0);
    assert_true(peers_are_here(list, 2));
    assert_false(peers_are_here(list, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_later_source_gives_the_address, setup),
        cmocka_unit_test_setup(a_member_stays_a_peer_whatever_gossip_says,
                               setup),
        cmocka_unit_test_setup(others_are_peers_while_they_live_in_our_cluster,
                               setup),
        cmocka_unit_test_setup(nodes_of_no_cluster_or_another_are_not_peers,
                               setup),
        cmocka_unit_test_setup(another_cluster_does_not_move_our_member, setup),
        cmocka_unit_test_setup(
            who_is_known_is_reached_before_it_is_of_a_cluster, setup),
        cmocka_unit_test_setup(a_node_that_was_removed_is_no_peer, setup),
        cmocka_unit_test_setup(what_is_no_address_is_not_dialled, setup),
        cmocka_unit_test_setup(
            the_loopback_is_nobodys_address_who_was_known_elsewhere, setup),
        cmocka_unit_test_setup(a_crowd_leaves_room_for_the_members, setup),
        cmocka_unit_test(the_best_word_on_where_we_are_counts),
        cmocka_unit_test(
            ipv6_has_brackets_and_nothing_is_said_before_it_is_known),
        cmocka_unit_test(an_address_of_gossip_has_a_text),
        cmocka_unit_test(the_loopback_is_told_only_where_it_is_meant),
        cmocka_unit_test(others_are_here_if_gossip_found_them_on_the_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
