/* The way out: dialling, being refused, dialling again, and writing to those
 * who don't read. The way in is played by raw sockets, or by a net. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct dials {
    struct node *node;
    uint64_t count;
};

static bool has_dialled(void *ctx)
{
    const struct dials *d = ctx;

    return node_peer(d->node, 2).dials >= d->count;
}

static void await_dials(struct node *node, uint64_t count)
{
    struct dials d = {node, count};

    world_run_until(node->world, has_dialled, &d);
}

static void the_hello_says_who_dials_whom(void **state)
{
    const int listener = raw_listen(8);
    unsigned classes = 0;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    for (int i = 0; i < 2; i++) {
        struct raw raw;

        raw_accept(&raw, &w, listener);
        raw_await_type(&raw, NET_FRAME_HELLO, 1);
        assert_int_equal(raw.hello.version, NET_PROTOCOL_VERSION);
        assert_true(raw.hello.cluster == CLUSTER);
        assert_int_equal(raw.hello.from, 1);
        assert_int_equal(raw.hello.to, 2);
        assert_string_equal(raw.hello.name, "node");
        classes |= 1u << raw.hello.class;
        raw_close(&raw);
    }
    assert_int_equal(classes, 1u << NET_URGENT | 1u << NET_BULK);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static bool is_idle(const struct node *node, raft_id id)
{
    struct net_peer *p = net_peer_find(node->net, id);

    return net_peer_lane(p, NET_URGENT)->state == NET_LANE_IDLE &&
           net_peer_lane(p, NET_BULK)->state == NET_LANE_IDLE;
}

static void a_peer_without_an_address_is_not_dialled(void **state)
{
    const int listener = raw_listen(8);
    char address[64];
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   (unsigned)raw_port(listener));
    world_open(&w);
    node_open(&a, &w, 1);
    assert_int_equal(net_add_peer(a.net, 2, "b", ""), 0);
    assert_string_equal(node_peer(&a, 2).address, "");
    (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(is_idle(&a, 2));
    assert_int_equal(node_peer(&a, 2).dials, 0);
    assert_int_equal(net_set_address(a.net, 2, address), 0);
    lanes_accept(&l, &w, listener, 2);
    node_await_connected(&a, 2);
    lanes_close(&l);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static void nobody_is_dialled_before_the_cluster_is_known(void **state)
{
    const int listener = raw_listen(8);
    struct net_options options;
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.cluster = 0;
    node_open_with(&a, &w, &options);
    node_add(&a, 2, raw_port(listener));
    assert_int_equal(net_add_peer(a.net, 3, "c", NULL), 0);
    (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(is_idle(&a, 2));
    net_set_cluster(a.net, CLUSTER);
    lanes_accept(&l, &w, listener, 2);
    assert_true(l.bulk.hello.cluster == CLUSTER);
    node_await_connected(&a, 2);
    assert_true(is_idle(&a, 3));
    net_set_cluster(a.net, CLUSTER); /* no news: no matter */
    assert_true(node_peer(&a, 2).is_connected);
    lanes_close(&l);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

struct hellos {
    const struct node *node;
    size_t count;
};

static bool has_hellos(void *ctx)
{
    const struct hellos *h = ctx;

    return h->node->hello_count >= h->count;
}

/* Answers a hello of node @a, and waits until that was noticed. */
static void answer_hello(struct node *a, int listener, bool was_empty,
                         bool is_empty)
{
    const struct net_hello_ok ok = {
        .version = NET_PROTOCOL_VERSION, .from = 2, .is_empty = is_empty};
    struct hellos h = {a, a->hello_count + 1};
    struct raw raw;

    raw_accept(&raw, a->world, listener);
    raw_await_type(&raw, NET_FRAME_HELLO, 1);
    assert_int_equal(raw.hello.is_empty, was_empty);
    raw_write_frame(&raw, net_encode_hello_ok(&ok));
    world_run_until(a->world, has_hellos, &h);
    assert_int_equal(a->hello_last_is_empty, is_empty);
    raw_close(&raw);
}

static void hellos_say_whether_the_logs_are_empty(void **state)
{
    const int listener = raw_listen(8);
    struct net_options options;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.is_empty = true;
    options.redial_min = 24 * 3600 * PX_NS_PER_S;
    options.redial_max = 24 * 3600 * PX_NS_PER_S;
    node_open_with(&a, &w, &options);
    node_add(&a, 2, raw_port(listener));
    answer_hello(&a, listener, true, false);
    answer_hello(&a, listener, true, true);
    net_set_empty(a.net, false);
    net_remove_peer(a.net, 2);
    node_add(&a, 2, raw_port(listener));
    answer_hello(&a, listener, false, false);
    answer_hello(&a, listener, false, true);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static void a_peer_that_restarts_is_dialled_again(void **state)
{
    struct net_options options;
    char listen[64];
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_open(&b, &w, 2);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", net_port(b.net));
    node_add(&a, 2, net_port(b.net));
    node_add(&b, 1, net_port(a.net));
    for (size_t round = 1; round <= 5; round++) {
        const struct raft_msg msg = heartbeat(1, 2, round);

        node_await_connected(&a, 2);
        assert_int_equal(net_send_raft(a.net, &msg), 0);
        net_flush(a.net);
        node_await_raft(&b, 1);
        assert_int_equal(b.raft_last.heartbeat.round, round);
        assert_int_equal(a.up_count, round);
        node_close(&b);
        node_await_down(&a, round);
        assert_false(node_peer(&a, 2).is_connected);
        assert_int_equal(net_send_raft(a.net, &msg), -ENOTCONN);
        options = node_options(&w, 2);
        options.listen = listen;
        node_open_with(&b, &w, &options);
        node_add(&b, 1, net_port(a.net));
    }
    node_close(&a);
    node_close(&b);
    world_close(&w);
}

/* Whoever dials us is there: no need to sit out a long wait. */
static void a_hello_from_the_peer_ends_the_wait(void **state)
{
    const int reserved = raw_listen(8);
    struct net_options options;
    char listen[64];
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    world_open(&w);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", raw_port(reserved));
    options = node_options(&w, 1);
    options.redial_min = 24 * 3600 * PX_NS_PER_S;
    options.redial_max = 24 * 3600 * PX_NS_PER_S;
    node_open_with(&a, &w, &options);
    node_add(&a, 2, raw_port(reserved));
    raw_close_listener(reserved); /* resets both: now they wait for a day */
    while (node_peer(&a, 2).dials < 2 ||
           net_peer_find(a.net, 2)->lanes[0].state != NET_LANE_WAITING ||
           net_peer_find(a.net, 2)->lanes[1].state != NET_LANE_WAITING)
        (void)uv_run(&w.loop, UV_RUN_ONCE);

    options = node_options(&w, 2);
    options.listen = listen;
    node_open_with(&b, &w, &options);
    node_add(&b, 1, net_port(a.net));
    node_await_connected(&a, 2);
    node_close(&a);
    node_close(&b);
    world_close(&w);
}

static void an_answer_that_does_not_come_is_not_awaited(void **state)
{
    const int listener = raw_listen(64);
    struct net_options options;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.dial_timeout = 5 * PX_NS_PER_MS;
    node_open_with(&a, &w, &options);
    node_add(&a, 2, raw_port(listener)); /* connects, by its backlog */
    await_dials(&a, 8);
    assert_int_equal(a.up_count, 0);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static void a_connection_that_is_not_made_is_not_awaited(void **state)
{
    const int listener = raw_listen(0);
    struct raw filler;
    struct net_options options;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    raw_connect(&filler, &w, raw_port(listener)); /* fills the backlog */
    options = node_options(&w, 1);
    options.dial_timeout = 5 * PX_NS_PER_MS;
    node_open_with(&a, &w, &options);
    node_add(&a, 2, raw_port(listener));
    await_dials(&a, 8);
    assert_int_equal(a.up_count, 0);
    node_close(&a);
    raw_close(&filler);
    raw_close_listener(listener);
    world_close(&w);
}

static void refused_lanes_dial_again(struct net_frame *(*answer)(void),
                                     uint64_t frames_bad, size_t refusals)
{
    const int listener = raw_listen(64);
    struct world w;
    struct node a;

    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    for (int i = 0; i < 6; i++) {
        struct raw raw;

        raw_accept(&raw, &w, listener);
        raw_await_type(&raw, NET_FRAME_HELLO, 1);
        raw_write_frame(&raw, answer());
        raw_await_end(&raw); /* the dialler closes */
        raw_close(&raw);
    }
    assert_int_equal(a.up_count, 0);
    assert_int_equal(a.hello_count, 0);
    assert_true(node_counters(&a).frames_bad >= frames_bad);
    assert_int_equal(a.refused_count, refusals);
    assert_int_equal(a.refused_last, refusals > 0 ? NET_REFUSED_CLUSTER : 0);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static struct net_frame *answer_refused(void)
{
    return net_encode_hello_refused(NET_REFUSED_CLUSTER);
}

static struct net_frame *answer_as_another_node(void)
{
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION, .from = 3};

    return net_encode_hello_ok(&ok);
}

static struct net_frame *answer_in_another_version(void)
{
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION + 1,
                                    .from = 2};

    return net_encode_hello_ok(&ok);
}

static struct net_frame *answer_with_a_message(void)
{
    const struct raft_msg msg = heartbeat(2, 1, 1);

    return net_encode_raft(&msg);
}

static void whoever_refuses_is_dialled_again(void **state)
{
    (void)state;
    refused_lanes_dial_again(answer_refused, 0, 6);
}

static void whoever_is_another_node_is_not_sent_to(void **state)
{
    (void)state;
    refused_lanes_dial_again(answer_as_another_node, 0, 0);
}

static void whoever_speaks_another_version_is_not_sent_to(void **state)
{
    (void)state;
    refused_lanes_dial_again(answer_in_another_version, 0, 0);
}

static void an_answer_that_is_none_is_a_bad_frame(void **state)
{
    (void)state;
    refused_lanes_dial_again(answer_with_a_message, 6, 0);
}

/* By what it says of its log, and each time anew. It has refused nothing itself. */
static void who_is_refused_by_its_answer_is_not_sent_to(void **state)
{
    const struct net_hello_ok ok = {
        .version = NET_PROTOCOL_VERSION, .from = 2, .is_empty = true};
    const int listener = raw_listen(64);
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    a.verdict = NET_REFUSED_WIPED;
    node_add(&a, 2, raw_port(listener));
    for (size_t i = 0; i < 6; i++) {
        struct raw raw;

        raw_accept(&raw, &w, listener);
        raw_await_type(&raw, NET_FRAME_HELLO, 1);
        raw_write_frame(&raw, net_encode_hello_ok(&ok));
        raw_await_end(&raw); /* the dialler closes */
        raw_close(&raw);
        assert_int_equal(a.judged_count, i + 1);
        assert_int_equal(a.judged_last.id, 2);
        assert_true(a.judged_last.is_empty);
    }
    assert_int_equal(a.up_count, 0);
    assert_int_equal(a.hello_count, 0);
    assert_int_equal(a.refused_count, 0);
    a.verdict = (enum net_refusal)0;
    lanes_accept(&l, &w, listener, 2);
    node_await_connected(&a, 2);
    lanes_close(&l);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

/* "localhost" is ::1 first, 127.0.0.1 next, on most machines; only the second
 * is listened to. */
static void each_address_of_a_name_is_tried(void **state)
{
    char address[64];
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_open(&b, &w, 2); /* on 127.0.0.1 alone */
    node_add(&b, 1, net_port(a.net));
    (void)snprintf(address, sizeof address, "localhost:%u", net_port(b.net));
    assert_int_equal(net_add_peer(a.net, 2, "b", address), 0);
    node_await_connected(&a, 2);
    assert_int_equal(node_peer(&a, 2).dials, 2); /* one a lane */
    node_close(&a);
    node_close(&b);
    world_close(&w);
}

static void a_name_that_is_not_found_is_looked_up_again(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    assert_int_equal(net_add_peer(a.net, 2, "b", "no-such-host.invalid:1"), 0);
    await_dials(&a, 4);
    node_close(&a);
    world_close(&w);
}

/* ---- Writing to those who don't read ---- */

struct stuck {
    int listener;
    struct world w;
    struct node a;
    struct lanes l;
    struct px_slice data;
    size_t sent;
};

/* Node 1 sends appends to a raw peer that reads nothing, until it can't. */
static void stuck_open(struct stuck *s)
{
    struct raft_entry entry;
    struct raft_msg msg;
    int rc;

    *s = (struct stuck){.listener = raw_listen(8), .data = pattern(PX_MIB, 3)};
    world_open(&s->w);
    node_open(&s->a, &s->w, 1);
    node_add(&s->a, 2, raw_port(s->listener));
    lanes_accept(&s->l, &s->w, s->listener, 2);
    node_await_connected(&s->a, 2);
    msg = append_one(1, 2, &entry, s->data);
    while ((rc = net_send_raft(s->a.net, &msg)) == 0) {
        s->sent++;
        net_flush(s->a.net);
    }
    assert_int_equal(rc, -EAGAIN);
}

static void stuck_close(struct stuck *s)
{
    node_close(&s->a);
    lanes_close(&s->l);
    raw_close_listener(s->listener);
    assert_int_equal(s->data.owner->refs, 1);
    px_slice_unref(&s->data);
    world_close(&s->w);
}

static void a_full_queue_drops_the_newest_and_counts(void **state)
{
    struct raft_entry entry;
    struct raft_msg msg;
    struct stuck s;

    (void)state;
    stuck_open(&s);
    /* one reference each, and ours: the queue is bounded */
    assert_true(s.data.owner->refs <= NET_PEER_QUEUE_BYTES_MAX / PX_MIB + 1);
    assert_int_equal(node_peer(&s.a, 2).dropped, 1);
    msg = append_one(1, 2, &entry, s.data);
    assert_int_equal(net_send_raft(s.a.net, &msg), -EAGAIN);
    assert_int_equal(node_peer(&s.a, 2).dropped, 2);
    /* What was taken arrives, once the peer reads. */
    raw_await_type(&s.l.bulk, NET_FRAME_RAFT, s.sent);
    assert_int_equal(s.l.bulk.body_bytes, s.sent * PX_MIB);
    assert_int_equal(net_send_raft(s.a.net, &msg), 0);
    net_flush(s.a.net);
    raw_await_type(&s.l.bulk, NET_FRAME_RAFT, s.sent + 1);
    stuck_close(&s);
}

static void a_heartbeat_does_not_wait_behind_bulk(void **state)
{
    const struct raft_msg msg = heartbeat(1, 2, 77);
    struct stuck s;

    (void)state;
    stuck_open(&s);
    assert_int_equal(net_send_raft(s.a.net, &msg), 0);
    net_flush(s.a.net);
    raw_await_type(&s.l.urgent, NET_FRAME_RAFT, 1);
    assert_int_equal(s.l.urgent.raft_last.type, RAFT_MSG_HEARTBEAT);
    assert_int_equal(s.l.urgent.raft_last.heartbeat.round, 77);
    stuck_close(&s);
}

static void a_broken_connection_drops_its_queue(void **state)
{
    struct stuck s;

    (void)state;
    stuck_open(&s);
    raw_close(&s.l.bulk);
    node_await_down(&s.a, 1);
    assert_int_equal(s.data.owner->refs, 1);
    assert_true(node_peer(&s.a, 2).dropped > 1);
    /* It is dialled again, and clean. */
    raw_accept(&s.l.bulk, &s.w, s.listener);
    raw_await_type(&s.l.bulk, NET_FRAME_HELLO, 1);
    assert_int_equal(s.l.bulk.hello.class, NET_BULK);
    stuck_close(&s);
}

static void whoever_speaks_where_it_should_listen_is_left(void **state)
{
    const int listener = raw_listen(8);
    const struct raft_msg msg = heartbeat(2, 1, 1);
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    lanes_accept(&l, &w, listener, 2);
    node_await_connected(&a, 2);
    raw_write_frame(&l.bulk, net_encode_raft(&msg));
    node_await_down(&a, 1);
    assert_int_equal(a.raft_count, 0);
    assert_int_equal(node_counters(&a).frames_bad, 1);
    node_close(&a);
    lanes_close(&l);
    raw_close_listener(listener);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hello_says_who_dials_whom),
        cmocka_unit_test(a_peer_without_an_address_is_not_dialled),
        cmocka_unit_test(nobody_is_dialled_before_the_cluster_is_known),
        cmocka_unit_test(hellos_say_whether_the_logs_are_empty),
        cmocka_unit_test(a_peer_that_restarts_is_dialled_again),
        cmocka_unit_test(a_hello_from_the_peer_ends_the_wait),
        cmocka_unit_test(an_answer_that_does_not_come_is_not_awaited),
        cmocka_unit_test(a_connection_that_is_not_made_is_not_awaited),
        cmocka_unit_test(whoever_refuses_is_dialled_again),
        cmocka_unit_test(whoever_is_another_node_is_not_sent_to),
        cmocka_unit_test(whoever_speaks_another_version_is_not_sent_to),
        cmocka_unit_test(an_answer_that_is_none_is_a_bad_frame),
        cmocka_unit_test(who_is_refused_by_its_answer_is_not_sent_to),
        cmocka_unit_test(each_address_of_a_name_is_tried),
        cmocka_unit_test(a_name_that_is_not_found_is_looked_up_again),
        cmocka_unit_test(a_full_queue_drops_the_newest_and_counts),
        cmocka_unit_test(a_heartbeat_does_not_wait_behind_bulk),
        cmocka_unit_test(a_broken_connection_drops_its_queue),
        cmocka_unit_test(whoever_speaks_where_it_should_listen_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
