#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

/* Two nets that know each other, connected both ways. */
static void pair_open(struct world *w, struct node *a, struct node *b)
{
    world_open(w);
    node_open(a, w, 1);
    node_open(b, w, 2);
    node_add(a, 2, net_port(b->net));
    node_add(b, 1, net_port(a->net));
    node_await_connected(a, 2);
    node_await_connected(b, 1);
}

static void pair_close(struct world *w, struct node *a, struct node *b)
{
    node_close(a);
    node_close(b);
    world_close(w);
}

static void a_peer_is_up_once_its_bulk_connection_is(void **state)
{
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    pair_open(&w, &a, &b);
    assert_int_equal(a.up_count, 1);
    assert_int_equal(b.up_count, 1);
    assert_int_equal(a.down_count, 0);
    pair_close(&w, &a, &b);
}

static bool has_all(void *ctx)
{
    const struct node *b = ctx;

    return b->raft_count == RAFT_MSG_LOST_REPLY && b->forward_count == 1 &&
           b->forward_refused_count == 1;
}

static void all_messages_are_exchanged(void **state)
{
    struct px_slice command = px_slice_copy("command", 7);
    const struct net_forward f = {
        .from = 1, .session = 2, .sequence = 3, .command = command};
    const struct net_forward_refused r = {
        .from = 1, .session = 4, .sequence = 5, .rc = -PX_ENOTLEADER};
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    pair_open(&w, &a, &b);
    for (int type = RAFT_MSG_PRE_VOTE; type <= RAFT_MSG_LOST_REPLY; type++) {
        const struct raft_msg msg = {
            .type = (enum raft_msg_type)type, .from = 1, .to = 2, .term = 7};

        assert_int_equal(net_send_raft(a.net, &msg), 0);
    }
    assert_int_equal(net_send_forward(a.net, 2, &f), 0);
    assert_int_equal(net_send_forward_refused(a.net, 2, &r), 0);
    net_flush(a.net);
    world_run_until(&w, has_all, &b);
    assert_int_equal(b.forward_last.from, 1);
    assert_int_equal(b.forward_last.session, 2);
    assert_int_equal(b.forward_last.sequence, 3);
    assert_int_equal(b.kept.size, 7);
    assert_memory_equal(b.kept.data, "command", 7);
    assert_int_equal(b.forward_refused_last.session, 4);
    assert_int_equal(b.forward_refused_last.rc, -PX_ENOTLEADER);
    assert_int_equal(node_peer(&b, 1).frames_in, RAFT_MSG_LOST_REPLY + 2);
    /* and a hello on each of the two connections */
    assert_int_equal(node_peer(&a, 2).frames_out, RAFT_MSG_LOST_REPLY + 4);
    assert_int_equal(node_peer(&a, 2).dropped, 0);
    px_slice_unref(&command);
    pair_close(&w, &a, &b);
}

static void nothing_leaves_before_the_flush(void **state)
{
    const struct raft_msg msg = heartbeat(1, 2, 1);
    struct world w;
    struct node a;
    struct node b;
    uint64_t before;

    (void)state;
    pair_open(&w, &a, &b);
    before = node_peer(&a, 2).frames_out;
    assert_int_equal(net_send_raft(a.net, &msg), 0);
    assert_int_equal(node_peer(&a, 2).frames_out, before);
    net_flush(a.net);
    assert_int_equal(node_peer(&a, 2).frames_out, before + 1);
    node_await_raft(&b, 1);
    pair_close(&w, &a, &b);
}

/* Many small frames in one flush, more pieces than one writev takes. */
static void a_thousand_appends_arrive_in_order(void **state)
{
    struct raft_entry entry;
    struct world w;
    struct node a;
    struct node b;
    uint64_t sum = 0;

    (void)state;
    pair_open(&w, &a, &b);
    for (uint8_t i = 0; i < 250; i++) {
        for (int k = 0; k < 4; k++) {
            struct px_slice data = pattern(100, i);
            struct raft_msg msg = append_one(1, 2, &entry, data);

            msg.append.commit = i;
            sum += sum_of(data.data, data.size);
            assert_int_equal(net_send_raft(a.net, &msg), 0);
            px_slice_unref(&data); /* the frame has its own reference */
        }
    }
    net_flush(a.net);
    node_await_raft(&b, 1000);
    assert_true(b.sum == sum);
    assert_int_equal(b.raft_last.append.commit, 249);
    pair_close(&w, &a, &b);
}

static void the_largest_batch_arrives_in_one_buffer(void **state)
{
    const size_t last_bytes =
        PX_FRAME_BODY_BYTES_MAX - 4 * (size_t)PX_ENTRY_BYTES_MAX;
    struct px_slice data = pattern(PX_ENTRY_BYTES_MAX, 1);
    struct raft_entry entries[5];
    struct raft_msg msg = append_one(1, 2, entries, data);
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    pair_open(&w, &a, &b);
    for (raft_index i = 0; i < 5; i++) {
        entries[i] = entries[0];
        entries[i].pos.index = i + 1;
    }
    entries[4].data.size = last_bytes;
    msg.append.count = 5;
    assert_int_equal(net_send_raft(a.net, &msg), 0);
    net_flush(a.net);
    node_await_raft(&b, 1);
    assert_int_equal(b.entries_bytes, PX_FRAME_BODY_BYTES_MAX);
    assert_int_equal(b.kept.size, PX_ENTRY_BYTES_MAX);
    assert_memory_equal(b.kept.data, data.data, PX_ENTRY_BYTES_MAX);
    assert_true(b.kept.owner->size > PX_FRAME_BODY_BYTES_MAX);
    assert_int_equal(data.owner->refs, 1); /* sent, and let go */
    px_slice_unref(&data);
    pair_close(&w, &a, &b);
}

static bool has_entries(void *ctx)
{
    const struct node *b = ctx;

    return b->entries_bytes == 64 * (uint64_t)PX_MIB;
}

/* Twice what a queue holds, with frames resent as room comes free. */
static void mebibytes_flow_both_ways(void **state)
{
    struct px_slice data = pattern(PX_MIB, 1);
    const uint64_t sum = sum_of(data.data, data.size);
    struct raft_entry entry;
    const struct raft_msg to_b = append_one(1, 2, &entry, data);
    const struct raft_msg to_a = append_one(2, 1, &entry, data);
    struct world w;
    struct node a;
    struct node b;
    int sent_a = 0;
    int sent_b = 0;

    (void)state;
    pair_open(&w, &a, &b);
    while (sent_a < 64 || sent_b < 64) {
        if (sent_a < 64 && net_send_raft(a.net, &to_b) == 0)
            sent_a++;
        if (sent_b < 64 && net_send_raft(b.net, &to_a) == 0)
            sent_b++;
        net_flush(a.net);
        net_flush(b.net);
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    world_run_until(&w, has_entries, &a);
    world_run_until(&w, has_entries, &b);
    assert_true(a.sum == 64 * sum);
    assert_true(b.sum == 64 * sum);
    px_slice_unref(&data);
    pair_close(&w, &a, &b);
}

static void a_kept_slice_outlives_the_net(void **state)
{
    struct px_slice data = pattern(200 * PX_KIB, 5);
    struct raft_entry entry;
    const struct raft_msg msg = append_one(1, 2, &entry, data);
    struct px_slice kept;
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    pair_open(&w, &a, &b);
    assert_int_equal(net_send_raft(a.net, &msg), 0);
    net_flush(a.net);
    node_await_raft(&b, 1);
    kept = px_slice_ref(b.kept);
    pair_close(&w, &a, &b);
    assert_memory_equal(kept.data, data.data, data.size);
    px_slice_unref(&kept);
    px_slice_unref(&data);
}

static void a_name_is_looked_up_at_each_dial(void **state)
{
    char address[64];
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_open(&b, &w, 2);
    (void)snprintf(address, sizeof address, "localhost:%u", net_port(b.net));
    assert_int_equal(net_add_peer(a.net, 2, "b", address), 0);
    node_add(&b, 1, net_port(a.net));
    node_await_connected(&a, 2);
    pair_close(&w, &a, &b);
}

static void a_port_in_use_ends_the_start_with_a_sentence(void **state)
{
    const struct net_handler handler = {0};
    struct net_options options;
    struct net *second = NULL;
    char listen[64];
    char why[256] = "";
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    options = node_options(&w, 2);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", net_port(a.net));
    options.listen = listen;
    assert_int_equal(net_open(&options, &handler, &second, why, sizeof why),
                     -EADDRINUSE);
    assert_null(second);
    assert_non_null(strstr(why, listen));
    node_close(&a);
    world_close(&w);
}

static void a_net_may_not_listen_at_all(void **state)
{
    struct net_options options;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.listen = "";
    node_open_with(&a, &w, &options);
    assert_int_equal(net_port(a.net), 0);
    node_close(&a);
    world_close(&w);
}

/* ---- Closing in every state: nothing leaks, closed is called once ---- */

static void closing_while_a_name_is_looked_up(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    assert_int_equal(net_add_peer(a.net, 2, "b", "localhost:1"), 0);
    assert_int_equal(net_add_peer(a.net, 3, "c", "localhost:1"), 0);
    assert_int_equal(net_add_peer(a.net, 4, "d", "localhost:1"), 0);
    node_close(&a); /* some lookups run, some are cancelled */
    world_close(&w);
}

/* Further connections to a full backlog hang half-open. */
static void closing_while_dialling(void **state)
{
    const int listener = raw_listen(0);
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    for (raft_id id = 2; id < 8; id++)
        node_add(&a, id, raw_port(listener));
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    node_close(&a);
    raw_close_listener(listener);
    world_close(&w);
}

static void closing_while_waiting_for_an_answer_to_the_hello(void **state)
{
    const int listener = raw_listen(8);
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    raw_accept(&raw, &w, listener);
    raw_await_type(&raw, NET_FRAME_HELLO, 1);
    node_close(&a);
    raw_await_end(&raw);
    raw_close(&raw);
    raw_close_listener(listener);
    world_close(&w);
}

static bool has_failed_to_dial(void *ctx)
{
    const struct node *a = ctx;

    return node_peer(a, 2).dials >= 3;
}

static void closing_while_waiting_to_dial_again(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, 1);
    world_run_until(&w, has_failed_to_dial, &a);
    node_close(&a);
    world_close(&w);
}

static void closing_while_writing(void **state)
{
    const int listener = raw_listen(8);
    struct px_slice data = pattern(PX_MIB, 1);
    struct raft_entry entry;
    const struct raft_msg msg = append_one(1, 2, &entry, data);
    struct lanes l;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, raw_port(listener));
    lanes_accept(&l, &w, listener, 2);
    node_await_connected(&a, 2);
    while (net_send_raft(a.net, &msg) == 0)
        net_flush(a.net);
    node_close(&a);
    assert_int_equal(data.owner->refs, 1);
    px_slice_unref(&data);
    lanes_close(&l);
    raw_close_listener(listener);
    world_close(&w);
}

static void closing_with_strangers_at_the_door(void **state)
{
    struct raw raw[3];
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    for (size_t i = 0; i < 3; i++)
        raw_connect(&raw[i], &w, net_port(a.net));
    raw_write(&raw[1], NET_FRAME_MAGIC, 3);
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    node_close(&a);
    for (size_t i = 0; i < 3; i++) {
        raw_await_end(&raw[i]);
        raw_close(&raw[i]);
    }
    world_close(&w);
}

static bool is_closed(void *ctx)
{
    return ((const struct node *)ctx)->is_closed;
}

/* The rest of the frames that were read with the first are not handed out. */
static void closing_from_within_the_handler(void **state)
{
    const struct raft_msg msg = heartbeat(1, 2, 1);
    struct world w;
    struct node a;
    struct node b;

    (void)state;
    pair_open(&w, &a, &b);
    b.acts_on = SEEN_RAFT;
    b.act = node_close_start;
    for (int i = 0; i < 10; i++)
        assert_int_equal(net_send_raft(a.net, &msg), 0);
    net_flush(a.net);
    world_run_until(&w, is_closed, &b);
    assert_int_equal(b.raft_count, 1);
    node_await_down(&a, 1);
    node_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_up_once_its_bulk_connection_is),
        cmocka_unit_test(all_messages_are_exchanged),
        cmocka_unit_test(nothing_leaves_before_the_flush),
        cmocka_unit_test(a_thousand_appends_arrive_in_order),
        cmocka_unit_test(the_largest_batch_arrives_in_one_buffer),
        cmocka_unit_test(mebibytes_flow_both_ways),
        cmocka_unit_test(a_kept_slice_outlives_the_net),
        cmocka_unit_test(a_name_is_looked_up_at_each_dial),
        cmocka_unit_test(a_port_in_use_ends_the_start_with_a_sentence),
        cmocka_unit_test(a_net_may_not_listen_at_all),
        cmocka_unit_test(closing_while_a_name_is_looked_up),
        cmocka_unit_test(closing_while_dialling),
        cmocka_unit_test(closing_while_waiting_for_an_answer_to_the_hello),
        cmocka_unit_test(closing_while_waiting_to_dial_again),
        cmocka_unit_test(closing_while_writing),
        cmocka_unit_test(closing_with_strangers_at_the_door),
        cmocka_unit_test(closing_from_within_the_handler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
