/* The way in: who is listened to, and who is not. Strangers are played by raw
 * sockets. */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Node 1, that knows 2 and 3, whose addresses lead nowhere. */
static void listener_open(struct world *w, struct node *a)
{
    world_open(w);
    node_open(a, w, 1);
    node_add(a, 2, 1);
    node_add(a, 3, 1);
}

static void listener_close(struct world *w, struct node *a)
{
    node_close(a);
    world_close(w);
}

/* A connection whose hello as node 2 was accepted. */
static void connect_as_2(struct raw *raw, struct world *w, struct node *a,
                         enum net_class class)
{
    raw_connect(raw, w, net_port(a->net));
    raw_hello(raw, 2, 1, class);
    raw_await_type(raw, NET_FRAME_HELLO_OK, 1);
}

static void a_known_peer_is_listened_to(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    connect_as_2(&raw, &w, &a, NET_URGENT);
    raw_write_frame(&raw, net_encode_raft(&msg));
    node_await_raft(&a, 1);
    assert_int_equal(a.raft_last.from, 2);
    assert_int_equal(a.raft_last.heartbeat.round, 5);
    assert_int_equal(node_peer(&a, 2).frames_in, 1);
    raw_close(&raw);
    listener_close(&w, &a);
}

static void is_refused(struct net_hello hello, enum net_refusal reason)
{
    struct world w;
    struct node a;

    listener_open(&w, &a);
    for (uint64_t i = 1; i <= 3; i++) {
        struct raw raw;

        raw_connect(&raw, &w, net_port(a.net));
        raw_write_frame(&raw, net_encode_hello(&hello));
        raw_await_end(&raw);
        assert_int_equal(raw.frame_count, 1);
        assert_int_equal(raw.counts[NET_FRAME_HELLO_REFUSED], 1);
        assert_int_equal(raw.refusal, reason);
        assert_int_equal(node_counters(&a).hellos_refused, i);
        assert_int_equal(node_counters(&a).frames_bad, 0);
        raw_close(&raw);
    }
    listener_close(&w, &a);
}

static struct net_hello good_hello(void)
{
    return (struct net_hello){.version = NET_PROTOCOL_VERSION,
                              .cluster = CLUSTER,
                              .from = 2,
                              .to = 1,
                              .class = NET_BULK,
                              .name = "two"};
}

static void another_version_is_refused(void **state)
{
    struct net_hello hello = good_hello();

    (void)state;
    hello.version++;
    is_refused(hello, NET_REFUSED_VERSION);
}

static void another_cluster_is_refused(void **state)
{
    struct net_hello hello = good_hello();

    (void)state;
    hello.cluster++;
    is_refused(hello, NET_REFUSED_CLUSTER);
}

static void who_believes_to_reach_another_node_is_refused(void **state)
{
    struct net_hello hello = good_hello();

    (void)state;
    hello.to = 3;
    is_refused(hello, NET_REFUSED_WRONG_NODE);
}

static void an_unknown_node_is_refused(void **state)
{
    struct net_hello hello = good_hello();

    (void)state;
    hello.from = 99;
    is_refused(hello, NET_REFUSED_UNKNOWN_NODE);
    hello.from = 1; /* ourselves */
    is_refused(hello, NET_REFUSED_UNKNOWN_NODE);
    hello.from = 0;
    is_refused(hello, NET_REFUSED_UNKNOWN_NODE);
}

/* Leases rest on one election timeout for all. */
static void strangers_cannot_fill_the_notes(void **state)
{
    struct net_hello hello = good_hello();
    struct world w;
    struct node a;

    (void)state;
    listener_open(&w, &a);
    for (uint64_t i = 0; i < 2 * NET_REFUSALS_NOTED_MAX; i++) {
        struct raw raw;

        hello.from = 1000 + i;
        raw_connect(&raw, &w, net_port(a.net));
        raw_write_frame(&raw, net_encode_hello(&hello));
        raw_await_end(&raw);
        raw_close(&raw);
    }
    assert_int_equal(node_counters(&a).hellos_refused,
                     2 * NET_REFUSALS_NOTED_MAX);
    assert_int_equal(a.net->noted_count, NET_REFUSALS_NOTED_MAX);
    listener_close(&w, &a);
}

static void another_election_timeout_is_refused(void **state)
{
    struct net_hello hello = good_hello();

    (void)state;
    hello.election++;
    is_refused(hello, NET_REFUSED_ELECTION);
}

static void greet(struct raw *raw, struct world *w, const struct node *a,
                  const struct net_hello *hello)
{
    raw_connect(raw, w, net_port(a->net));
    raw_write_frame(raw, net_encode_hello(hello));
}

static void before_the_cluster_is_known_all_are_refused(void **state)
{
    const struct net_hello hello = good_hello();
    struct net_options options;
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.cluster = 0;
    node_open_with(&a, &w, &options);
    assert_int_equal(net_add_peer(a.net, 2, "two", NULL), 0);
    greet(&raw, &w, &a, &hello);
    raw_await_end(&raw);
    assert_int_equal(raw.refusal, NET_REFUSED_NOT_YET);
    assert_int_equal(a.judged_count, 0);
    raw_close(&raw);
    net_set_cluster(a.net, CLUSTER);
    greet(&raw, &w, &a, &hello);
    raw_await_type(&raw, NET_FRAME_HELLO_OK, 1);
    raw_close(&raw);
    listener_close(&w, &a);
}

/* Of nodes of the cluster, known or not: a removed one is no peer any more, and
 * has to hear why. */
static void the_handler_judges_who_means_us(void **state)
{
    const raft_id ids[] = {2, 99};
    struct world w;
    struct node a;

    (void)state;
    listener_open(&w, &a);
    a.verdict = NET_REFUSED_REMOVED;
    for (size_t i = 0; i < 2; i++) {
        struct net_hello hello = good_hello();
        struct raw raw;

        hello.from = ids[i];
        hello.is_empty = i == 0;
        greet(&raw, &w, &a, &hello);
        raw_await_end(&raw);
        assert_int_equal(raw.refusal, NET_REFUSED_REMOVED);
        assert_int_equal(a.judged_count, i + 1);
        assert_int_equal(a.judged_last.id, ids[i]);
        assert_int_equal(a.judged_last.is_empty, i == 0);
        assert_int_equal(node_counters(&a).hellos_refused, i + 1);
        raw_close(&raw);
    }
    assert_int_equal(a.hello_count, 0);
    listener_close(&w, &a);
}

static void the_handler_does_not_judge_strangers(void **state)
{
    struct net_hello hellos[3] = {good_hello(), good_hello(), good_hello()};
    struct world w;
    struct node a;

    (void)state;
    hellos[0].version++;
    hellos[1].cluster++;
    hellos[2].to = 3;
    listener_open(&w, &a);
    for (size_t i = 0; i < 3; i++) {
        struct raw raw;

        greet(&raw, &w, &a, &hellos[i]);
        raw_await_end(&raw);
        raw_close(&raw);
    }
    assert_int_equal(a.judged_count, 0);
    listener_close(&w, &a);
}

static void both_sides_say_whether_their_logs_are_empty(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    listener_open(&w, &a);
    for (size_t i = 0; i < 2; i++) {
        struct net_hello hello = good_hello();
        struct raw raw;

        hello.is_empty = i == 0;
        net_set_empty(a.net, i != 0);
        greet(&raw, &w, &a, &hello);
        raw_await_type(&raw, NET_FRAME_HELLO_OK, 1);
        assert_int_equal(raw.ok.is_empty, i != 0);
        assert_int_equal(a.hello_count, i + 1);
        assert_int_equal(a.hello_last_is_empty, i == 0);
        raw_close(&raw);
    }
    listener_close(&w, &a);
}

/* ---- Bad frames ---- */

struct bad {
    struct node *node;
    uint64_t before;
};

static bool has_seen_bad(void *ctx)
{
    const struct bad *b = ctx;

    return node_counters(b->node).frames_bad > b->before;
}

/* What was written to @raw counts as one bad frame, reaches no handler, and
 * costs the connection. */
static void closes_as_bad(struct node *a, struct raw *raw, uint64_t before)
{
    struct bad b = {a, before};

    world_run_until(a->world, has_seen_bad, &b);
    raw_await_end(raw);
    assert_int_equal(node_counters(a).frames_bad, before + 1);
    assert_int_equal(a->raft_count, 0);
    assert_int_equal(a->forward_count, 0);
    raw_close(raw);
}

static void garbage_closes_the_connection(void **state)
{
    static const char *const texts[] = {"x", "GET / HTTP/1.1\r\n\r\n",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                        "\xf1PHY"};
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        raw_connect(&raw, &w, net_port(a.net));
        raw_write(&raw, texts[i], strlen(texts[i]));
        closes_as_bad(&a, &raw, i);
    }
    listener_close(&w, &a);
}

static void a_message_before_the_hello_closes_the_connection(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    raw_connect(&raw, &w, net_port(a.net));
    raw_write_frame(&raw, net_encode_raft(&msg));
    closes_as_bad(&a, &raw, 0);
    listener_close(&w, &a);
}

static void a_stranger_cannot_ask_for_memory(void **state)
{
    uint8_t header[24] = {0xf1, 'P', 'H', 'X', NET_FRAME_RAFT};
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    header[13] = 1; /* a body of 256 bytes, far below the limit for peers */
    listener_open(&w, &a);
    raw_connect(&raw, &w, net_port(a.net));
    raw_write(&raw, header, sizeof header);
    closes_as_bad(&a, &raw, 0);
    listener_close(&w, &a);
}

static void a_second_hello_closes_the_connection(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    connect_as_2(&raw, &w, &a, NET_BULK);
    raw_hello(&raw, 2, 1, NET_BULK);
    closes_as_bad(&a, &raw, 0);
    listener_close(&w, &a);
}

static void a_wrong_checksum_closes_the_connection(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    struct net_frame *f = net_encode_raft(&msg);
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    connect_as_2(&raw, &w, &a, NET_BULK);
    f->lead[f->lead_bytes - 1] ^= 1;
    raw_write_frame(&raw, f);
    closes_as_bad(&a, &raw, 0);
    listener_close(&w, &a);
}

/* Nobody speaks for another, nor to another. */
static void a_message_of_another_sender_closes_the_connection(void **state)
{
    const struct raft_msg from_3 = heartbeat(3, 1, 5);
    const struct raft_msg to_3 = heartbeat(2, 3, 5);
    const struct net_forward forward = {.from = 3};
    const struct net_forward_refused refused = {.from = 3, .rc = -EAGAIN};
    struct net_frame *const frames[] = {
        net_encode_raft(&from_3),
        net_encode_raft(&to_3),
        net_encode_forward(&forward),
        net_encode_forward_refused(&refused),
    };
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        connect_as_2(&raw, &w, &a, NET_BULK);
        raw_write_frame(&raw, frames[i]);
        closes_as_bad(&a, &raw, i);
    }
    assert_int_equal(a.forward_refused_count, 0);
    listener_close(&w, &a);
}

static bool has_no_connection(void *ctx)
{
    const struct node *a = ctx;

    return px_list_empty(&a->net->accepted) &&
           px_list_empty(&a->net->strangers);
}

/* Cut anywhere, be it in the hello or in a frame: no harm, and not bad. */
static void half_frames_are_forgotten(void **state)
{
    struct px_slice data = pattern(100 * PX_KIB, 1);
    const struct net_forward f = {.from = 2, .command = data};
    struct net_frame *frame = net_encode_forward(&f);
    const size_t cuts[] = {1,    4,     23,    24,    25,    30,
                           1000, 65535, 65536, 65537, 102400};
    struct world w;
    struct node a;

    (void)state;
    listener_open(&w, &a);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        const size_t lead =
            cuts[i] < frame->lead_bytes ? cuts[i] : frame->lead_bytes;
        struct raw raw;

        connect_as_2(&raw, &w, &a, NET_BULK);
        raw_write(&raw, frame->lead, lead);
        raw_write(&raw, data.data, cuts[i] - lead);
        raw_close(&raw);
        world_run_until(&w, has_no_connection, &a);
    }
    assert_int_equal(a.forward_count, 0);
    assert_int_equal(node_counters(&a).frames_bad, 0);
    net_frame_free(frame);
    px_slice_unref(&data);
    listener_close(&w, &a);
}

static void frames_that_trickle_in_are_whole(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    struct net_frame *f = net_encode_raft(&msg);
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    connect_as_2(&raw, &w, &a, NET_URGENT);
    for (size_t i = 0; i < f->lead_bytes; i++) {
        assert_int_equal(a.raft_count, 0);
        raw_write(&raw, f->lead + i, 1);
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    node_await_raft(&a, 1);
    net_frame_free(f);
    raw_close(&raw);
    listener_close(&w, &a);
}

/* ---- Many connections ---- */

static void a_second_connection_of_a_class_replaces_the_first(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    struct world w;
    struct node a;
    struct raw first;
    struct raw second;
    struct raw other;

    (void)state;
    listener_open(&w, &a);
    connect_as_2(&first, &w, &a, NET_BULK);
    connect_as_2(&other, &w, &a, NET_URGENT);
    connect_as_2(&second, &w, &a, NET_BULK);
    raw_await_end(&first);
    raw_write_frame(&second, net_encode_raft(&msg));
    raw_write_frame(&other, net_encode_raft(&msg));
    node_await_raft(&a, 2); /* those two live */
    raw_close(&first);
    raw_close(&second);
    raw_close(&other);
    listener_close(&w, &a);
}

static void a_stranger_that_says_nothing_is_closed(void **state)
{
    struct net_options options;
    struct world w;
    struct node a;
    struct raw silent;
    struct raw halfway;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.dial_timeout = 5 * PX_NS_PER_MS;
    node_open_with(&a, &w, &options);
    raw_connect(&silent, &w, net_port(a.net));
    raw_connect(&halfway, &w, net_port(a.net));
    raw_write(&halfway, NET_FRAME_MAGIC, 4);
    raw_await_end(&silent);
    raw_await_end(&halfway);
    raw_close(&silent);
    raw_close(&halfway);
    listener_close(&w, &a);
}

static bool is_crowded(void *ctx)
{
    const struct node *a = ctx;

    return a->net->stranger_count == NET_CONNECTIONS_IN_MAX;
}

static void silent_strangers_cannot_keep_a_peer_out(void **state)
{
    static struct raw strangers[NET_CONNECTIONS_IN_MAX];
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    listener_open(&w, &a);
    for (size_t i = 0; i < NET_CONNECTIONS_IN_MAX; i++)
        raw_connect(&strangers[i], &w, net_port(a.net));
    world_run_until(&w, is_crowded, &a);
    connect_as_2(&raw, &w, &a, NET_BULK);
    raw_await_end(&strangers[0]); /* the oldest made room */
    assert_true(a.net->stranger_count < NET_CONNECTIONS_IN_MAX);
    for (size_t i = 0; i < NET_CONNECTIONS_IN_MAX; i++)
        raw_close(&strangers[i]);
    raw_close(&raw);
    listener_close(&w, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_peer_is_listened_to),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(another_cluster_is_refused),
        cmocka_unit_test(who_believes_to_reach_another_node_is_refused),
        cmocka_unit_test(an_unknown_node_is_refused),
        cmocka_unit_test(strangers_cannot_fill_the_notes),
        cmocka_unit_test(another_election_timeout_is_refused),
        cmocka_unit_test(before_the_cluster_is_known_all_are_refused),
        cmocka_unit_test(the_handler_judges_who_means_us),
        cmocka_unit_test(the_handler_does_not_judge_strangers),
        cmocka_unit_test(both_sides_say_whether_their_logs_are_empty),
        cmocka_unit_test(garbage_closes_the_connection),
        cmocka_unit_test(a_message_before_the_hello_closes_the_connection),
        cmocka_unit_test(a_stranger_cannot_ask_for_memory),
        cmocka_unit_test(a_second_hello_closes_the_connection),
        cmocka_unit_test(a_wrong_checksum_closes_the_connection),
        cmocka_unit_test(a_message_of_another_sender_closes_the_connection),
        cmocka_unit_test(half_frames_are_forgotten),
        cmocka_unit_test(frames_that_trickle_in_are_whole),
        cmocka_unit_test(a_second_connection_of_a_class_replaces_the_first),
        cmocka_unit_test(a_stranger_that_says_nothing_is_closed),
        cmocka_unit_test(silent_strangers_cannot_keep_a_peer_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
