#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static void a_peer_that_cannot_be_one_is_refused(void **state)
{
    char name[PX_NODE_ID_BYTES_MAX + 2];
    struct world w;
    struct node a;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    world_open(&w);
    node_open(&a, &w, 1);
    assert_int_equal(net_add_peer(a.net, 0, "n", "127.0.0.1:1"), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 1, "n", "127.0.0.1:1"), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 2, "n", "127.0.0.1"), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 2, "n", "127.0.0.1:0"), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 2, "n", ":9000"), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 2, name, "127.0.0.1:1"), -EINVAL);
    assert_int_equal(net_get_peers(a.net, NULL, 0), 0);
    assert_int_equal(net_add_peer(a.net, 2, "n", "127.0.0.1:1"), 0);
    assert_int_equal(net_add_peer(a.net, 2, "m", "127.0.0.1:2"), -EEXIST);
    assert_int_equal(net_set_address(a.net, 2, NULL), -EINVAL);
    assert_int_equal(net_set_address(a.net, 2, ""), -EINVAL);
    assert_int_equal(net_set_address(a.net, 2, ":9000"), -EINVAL);
    assert_int_equal(net_set_address(a.net, 2, "127.0.0.1"), -EINVAL);
    assert_int_equal(net_set_address(a.net, 3, "127.0.0.1:1"), -ENOENT);
    assert_string_equal(node_peer(&a, 2).address, "127.0.0.1:1");
    node_close(&a);
    world_close(&w);
}

static void an_address_longer_than_any_is_refused(void **state)
{
    char address[PX_ADDRESS_BYTES_MAX + 2];
    struct world w;
    struct node a;

    (void)state;
    memset(address, 'a', sizeof address);
    (void)strcpy(address + PX_ADDRESS_BYTES_MAX - 1, ":1");
    world_open(&w);
    node_open(&a, &w, 1);
    assert_int_equal(net_add_peer(a.net, 2, "n", address), -EINVAL);
    assert_int_equal(net_add_peer(a.net, 2, "n", NULL), 0);
    assert_int_equal(net_set_address(a.net, 2, address), -EINVAL);
    assert_string_equal(node_peer(&a, 2).address, "");
    /* The same, one shorter, is taken. */
    assert_int_equal(net_set_address(a.net, 2, address + 1), 0);
    assert_string_equal(node_peer(&a, 2).address, address + 1);
    node_close(&a);
    world_close(&w);
}

static void there_are_at_most_so_many_peers(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    for (raft_id id = 2; id < 2 + NET_PEERS_MAX; id++)
        node_add(&a, id, 1);
    assert_int_equal(net_add_peer(a.net, 99, "n", "127.0.0.1:1"), -ENOSPC);
    net_remove_peer(a.net, 2);
    assert_int_equal(net_add_peer(a.net, 99, "n", "127.0.0.1:1"), 0);
    assert_int_equal(net_add_peer(a.net, 2, "n", "127.0.0.1:1"), -ENOSPC);
    node_close(&a);
    world_close(&w);
}

static void who_is_removed_leaves_the_others_in_their_order(void **state)
{
    const raft_id left[] = {2, 4, 5};
    struct net_peer_info info[NET_PEERS_MAX];
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    for (raft_id id = 2; id <= 5; id++)
        node_add(&a, id, 1);
    net_remove_peer(a.net, 3);
    net_remove_peer(a.net, 9);
    assert_int_equal(net_get_peers(a.net, info, NET_PEERS_MAX), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(info[i].id, left[i]);
        assert_true(net_has_peer(a.net, left[i]));
    }
    assert_false(net_has_peer(a.net, 3));
    node_close(&a);
    world_close(&w);
}

static void what_cannot_be_sent_is_counted(void **state)
{
    const struct net_forward f = {.from = 1};
    const struct net_forward_refused r = {.from = 1, .rc = -EAGAIN};
    const struct raft_msg to_nobody = heartbeat(1, 9, 1);
    const struct raft_msg msg = heartbeat(1, 2, 1);
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, 1);
    assert_int_equal(net_send_raft(a.net, &to_nobody), -ENOTCONN);
    assert_int_equal(node_peer(&a, 2).dropped, 0);
    assert_int_equal(net_send_raft(a.net, &msg), -ENOTCONN);
    assert_int_equal(net_send_forward(a.net, 2, &f), -ENOTCONN);
    assert_int_equal(net_send_forward_refused(a.net, 2, &r), -ENOTCONN);
    assert_int_equal(node_peer(&a, 2).dropped, 3);
    node_close(&a);
    world_close(&w);
}

static bool has_gone_out(void *ctx)
{
    const struct raw *raw = ctx;

    raw_read(ctx);
    return raw->counts[NET_FRAME_RAFT] + raw->counts[NET_FRAME_FORWARD] +
               raw->counts[NET_FRAME_FORWARD_REFUSED] >
           0;
}

/* Entries and commands by bulk, all else by urgent. */
static void each_message_takes_its_lane(void **state)
{
    const struct net_forward f = {.from = 1};
    const struct net_forward_refused r = {.from = 1, .rc = -EAGAIN};
    const struct net_snapshot s = {
        .what = NET_SNAPSHOT_OFFER, .from = 1, .pos = {1, 1}, .bytes = 1};
    const int listener = raw_listen(8);
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    lanes_accept(&l, &w, listener, 2);
    node_await_connected(&a, 2);
    for (int type = RAFT_MSG_PRE_VOTE; type <= RAFT_MSG_LOST_REPLY; type++) {
        const struct raft_msg msg = {
            .type = (enum raft_msg_type)type, .from = 1, .to = 2};
        struct raw *lane = type == RAFT_MSG_APPEND ? &l.bulk : &l.urgent;

        lane->counts[NET_FRAME_RAFT] = 0;
        assert_int_equal(net_send_raft(a.net, &msg), 0);
        net_flush(a.net);
        world_run_until(&w, has_gone_out, lane);
        assert_int_equal(lane->raft_last.type, type);
    }
    assert_int_equal(net_send_forward(a.net, 2, &f), 0);
    assert_int_equal(net_send_forward_refused(a.net, 2, &r), 0);
    assert_int_equal(net_send_snapshot(a.net, 2, &s), 0);
    net_flush(a.net);
    raw_await_type(&l.bulk, NET_FRAME_SNAPSHOT, 1);
    raw_await_type(&l.bulk, NET_FRAME_FORWARD, 1);
    raw_await_type(&l.urgent, NET_FRAME_FORWARD_REFUSED, 1);
    assert_int_equal(l.urgent.counts[NET_FRAME_FORWARD], 0);
    assert_int_equal(l.bulk.counts[NET_FRAME_FORWARD_REFUSED], 0);
    node_close(&a);
    lanes_close(&l);
    raw_close_listener(listener);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_cannot_be_one_is_refused),
        cmocka_unit_test(an_address_longer_than_any_is_refused),
        cmocka_unit_test(there_are_at_most_so_many_peers),
        cmocka_unit_test(who_is_removed_leaves_the_others_in_their_order),
        cmocka_unit_test(what_cannot_be_sent_is_counted),
        cmocka_unit_test(each_message_takes_its_lane),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
