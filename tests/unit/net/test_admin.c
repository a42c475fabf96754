/* Connections of admins, played by raw sockets. */
#include "world.h"

#include <errno.h>
#include <string.h>

/* Too large for a stack that is looked after. */
static struct net_admin_reply reply;
static struct net_admin_reply got;

static const struct net_hello admin_hello = {
    .version = NET_PROTOCOL_VERSION, .class = NET_ADMIN, .name = "phalanx"};
static const struct net_admin question = {
    .what = NET_ADMIN_ADD, .name = "node-4", .address = "10.0.0.4:9000"};

static void greet(struct raw *raw)
{
    raw->reply = &got;
    raw_write_frame(raw, net_encode_hello(&admin_hello));
    raw_await_type(raw, NET_FRAME_HELLO_OK, 1);
}

static void admin_connect(struct raw *raw, struct world *w, struct node *a)
{
    raw_connect(raw, w, net_port(a->net));
    greet(raw);
}

struct asked {
    const struct node *node;
    size_t count;
};

static bool was_asked(void *ctx)
{
    const struct asked *asked = ctx;

    return asked->node->admin_count >= asked->count;
}

/* Asks, and waits until @a was: its token. */
static uint64_t ask(struct raw *raw, struct node *a)
{
    struct asked asked = {a, a->admin_count + 1};

    raw_write_frame(raw, net_encode_admin(&question));
    world_run_until(a->world, was_asked, &asked);
    return a->token_last;
}

static struct net_admin_reply *reply_of(const char *text)
{
    reply = (struct net_admin_reply){.rc = -EBUSY, .cluster = CLUSTER};
    (void)strcpy(reply.text, text);
    return &reply;
}

static void an_admin_asks_and_is_answered(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    assert_int_equal(raw.ok.from, 1);
    for (size_t i = 1; i <= 3; i++) { /* one after the other */
        const uint64_t token = ask(&raw, &a);

        assert_int_equal(a.admin_count, i);
        assert_int_equal(a.admin_last.what, NET_ADMIN_ADD);
        assert_string_equal(a.admin_last.name, "node-4");
        assert_string_equal(a.admin_last.address, "10.0.0.4:9000");
        net_admin_reply(a.net, token, reply_of("a change is under way"));
        raw_await_type(&raw, NET_FRAME_ADMIN_REPLY, i);
        assert_int_equal(got.rc, -EBUSY);
        assert_true(got.cluster == CLUSTER);
        assert_string_equal(got.text, "a change is under way");
    }
    assert_int_equal(node_counters(&a).frames_bad, 0);
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

static void answer_now(struct node *a)
{
    net_admin_reply(a->net, a->token_last, reply_of("at once"));
}

static void an_answer_may_come_from_within_the_handler(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    a.acts_on = SEEN_ADMIN;
    a.act = answer_now;
    (void)ask(&raw, &a);
    raw_await_type(&raw, NET_FRAME_ADMIN_REPLY, 1);
    assert_string_equal(got.text, "at once");
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

/* A node that waits to be told its cluster has to say so to who asks. */
static void admins_are_answered_before_the_cluster_is_known(void **state)
{
    struct net_options options;
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    options = node_options(&w, 1);
    options.cluster = 0;
    node_open_with(&a, &w, &options);
    admin_connect(&raw, &w, &a);
    net_admin_reply(a.net, ask(&raw, &a), reply_of("none yet"));
    raw_await_type(&raw, NET_FRAME_ADMIN_REPLY, 1);
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

/* ---- Who asks has gone ---- */

static bool has_no_admin(void *ctx)
{
    return ((const struct node *)ctx)->net->admin_count == 0;
}

/* Not even to who asks next. */
static void an_answer_that_nobody_waits_for_is_dropped(void **state)
{
    struct world w;
    struct node a;
    struct raw first;
    struct raw second;
    uint64_t tokens[2];

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&first, &w, &a);
    tokens[0] = ask(&first, &a);
    raw_close(&first);
    world_run_until(&w, has_no_admin, &a);
    admin_connect(&second, &w, &a);
    net_admin_reply(a.net, 0, reply_of("to who asks nothing"));
    tokens[1] = ask(&second, &a);
    assert_true(tokens[0] != tokens[1]);
    net_admin_reply(a.net, tokens[0], reply_of("late"));
    net_admin_reply(a.net, tokens[1], reply_of("right"));
    net_admin_reply(a.net, tokens[1], reply_of("twice"));
    raw_await_type(&second, NET_FRAME_ADMIN_REPLY, 1);
    assert_string_equal(got.text, "right");
    assert_int_equal(second.counts[NET_FRAME_ADMIN_REPLY], 1);
    net_admin_reply(a.net, ask(&second, &a), reply_of("next"));
    raw_await_type(&second, NET_FRAME_ADMIN_REPLY, 2);
    assert_string_equal(got.text, "next");
    raw_close(&second);
    node_close(&a);
    world_close(&w);
}

static void closing_while_somebody_asks(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    (void)ask(&raw, &a);
    node_close(&a);
    raw_await_end(&raw);
    assert_int_equal(raw.counts[NET_FRAME_ADMIN_REPLY], 0);
    raw_close(&raw);
    world_close(&w);
}

static void closing_from_within_a_question(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    a.acts_on = SEEN_ADMIN;
    a.act = node_close_start;
    (void)ask(&raw, &a);
    raw_await_end(&raw);
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

/* ---- An answer that the socket does not take at once ---- */

static struct net_in *admin_of(const struct node *a)
{
    return px_list_entry(a->net->admins.next, struct net_in, link);
}

/* The largest answer is on its way to @raw, which has read nothing of it. */
static void answer_slowly(struct raw *raw, struct world *w, struct node *a)
{
    int size = 1; /* it takes the least there is instead */
    uint64_t token;

    world_open(w);
    node_open(a, w, 1);
    raw_connect_narrow(raw, w, net_port(a->net));
    greet(raw);
    assert_int_equal(
        uv_send_buffer_size((uv_handle_t *)&admin_of(a)->tcp, &size), 0);
    token = ask(raw, a);
    (void)reply_of("");
    memset(reply.text, 't', sizeof reply.text - 1);
    reply.count = NET_ADMIN_MEMBERS_MAX;
    for (size_t i = 0; i < reply.count; i++) {
        memset(reply.list[i].name, 'n', PX_NODE_ID_BYTES_MAX);
        memset(reply.list[i].address, 'a', PX_ADDRESS_BYTES_MAX);
    }
    net_admin_reply(a->net, token, &reply);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_non_null(admin_of(a)->reply);
}

static void a_long_answer_arrives_whole(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    answer_slowly(&raw, &w, &a);
    raw_await_type(&raw, NET_FRAME_ADMIN_REPLY, 1);
    assert_string_equal(got.text, reply.text);
    assert_int_equal(got.count, NET_ADMIN_MEMBERS_MAX);
    net_admin_reply(a.net, ask(&raw, &a), reply_of("and on"));
    raw_await_type(&raw, NET_FRAME_ADMIN_REPLY, 2);
    assert_string_equal(got.text, "and on");
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

static void closing_while_an_answer_leaves(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    answer_slowly(&raw, &w, &a);
    node_close(&a);
    raw_close(&raw);
    world_close(&w);
}

static void who_leaves_before_the_answer_is_forgotten(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    answer_slowly(&raw, &w, &a);
    raw_close(&raw);
    world_run_until(&w, has_no_admin, &a);
    node_close(&a);
    world_close(&w);
}

/* ---- Bounds ---- */

static void there_are_at_most_so_many_admins(void **state)
{
    static struct raw raws[NET_ADMINS_MAX];
    struct world w;
    struct node a;
    struct raw late;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    for (size_t i = 0; i < NET_ADMINS_MAX; i++)
        admin_connect(&raws[i], &w, &a);
    raw_connect(&late, &w, net_port(a.net));
    raw_write_frame(&late, net_encode_hello(&admin_hello));
    raw_await_end(&late);
    assert_int_equal(late.refusal, NET_REFUSED_BUSY);
    raw_close(&late);
    for (size_t i = 0; i < NET_ADMINS_MAX; i++)
        raw_close(&raws[i]);
    world_run_until(&w, has_no_admin, &a);
    admin_connect(&late, &w, &a); /* there is room again */
    raw_close(&late);
    node_close(&a);
    world_close(&w);
}

/* The silence of the one before its question, of the other's answerer. */
static void nobody_is_waited_for_for_ever(void **state)
{
    struct world w;
    struct node a;
    struct raw silent;
    struct raw unanswered;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&unanswered, &w, &a);
    a.net->options.admin_timeout = PX_NS_PER_MS; /* for what begins now */
    (void)ask(&unanswered, &a);
    raw_await_end(&unanswered);
    admin_connect(&silent, &w, &a);
    raw_await_end(&silent);
    assert_int_equal(unanswered.counts[NET_FRAME_ADMIN_REPLY], 0);
    assert_int_equal(node_counters(&a).frames_bad, 0);
    net_admin_reply(a.net, a.token_last, reply_of("late"));
    raw_close(&silent);
    raw_close(&unanswered);
    node_close(&a);
    world_close(&w);
}

static void half_a_minute_is_the_default(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    assert_true(a.net->options.admin_timeout == 30 * PX_NS_PER_S);
    node_close(&a);
    world_close(&w);
}

/* ---- What costs the connection ---- */

struct bad {
    struct node *node;
    uint64_t before;
};

static bool has_seen_bad(void *ctx)
{
    const struct bad *b = ctx;

    return node_counters(b->node).frames_bad > b->before;
}

static void closes_as_bad(struct node *a, struct raw *raw)
{
    struct bad b = {a, node_counters(a).frames_bad};

    world_run_until(a->world, has_seen_bad, &b);
    raw_await_end(raw);
    assert_int_equal(node_counters(a).frames_bad, b.before + 1);
    raw_close(raw);
}

static void a_second_question_before_the_answer_is_none(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    (void)ask(&raw, &a);
    raw_write_frame(&raw, net_encode_admin(&question));
    closes_as_bad(&a, &raw);
    assert_int_equal(a.admin_count, 1);
    node_close(&a);
    world_close(&w);
}

static void a_question_while_the_answer_leaves_is_none(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    answer_slowly(&raw, &w, &a);
    raw_write_frame(&raw, net_encode_admin(&question));
    {
        struct bad b = {&a, 0};

        world_run_until(&w, has_seen_bad, &b);
    }
    assert_int_equal(a.admin_count, 1);
    raw_close(&raw);
    node_close(&a);
    world_close(&w);
}

/* No message between nodes reaches the handler from one who is none. */
static void an_admin_cannot_speak_as_a_node(void **state)
{
    const struct raft_msg msg = heartbeat(2, 1, 5);
    const struct net_forward f = {.from = 2};
    struct net_frame *const frames[] = {
        net_encode_raft(&msg), net_encode_forward(&f),
        net_encode_hello(&admin_hello), net_encode_admin_reply(reply_of("no"))};
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, 1);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        admin_connect(&raw, &w, &a);
        raw_write_frame(&raw, frames[i]);
        closes_as_bad(&a, &raw);
    }
    assert_int_equal(a.raft_count + a.forward_count + a.admin_count, 0);
    node_close(&a);
    world_close(&w);
}

static void a_node_cannot_ask_as_an_admin(void **state)
{
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    node_add(&a, 2, 1);
    raw_connect(&raw, &w, net_port(a.net));
    raw_hello(&raw, 2, 1, NET_BULK);
    raw_await_type(&raw, NET_FRAME_HELLO_OK, 1);
    raw_write_frame(&raw, net_encode_admin(&question));
    closes_as_bad(&a, &raw);
    assert_int_equal(a.admin_count, 0);
    node_close(&a);
    world_close(&w);
}

/* By its header alone: nothing is allocated for it. */
static void an_admin_cannot_ask_for_memory(void **state)
{
    uint8_t long_head[24] = {0xf1, 'P', 'H', 'X', NET_FRAME_ADMIN};
    uint8_t with_body[24] = {0xf1, 'P', 'H', 'X', NET_FRAME_ADMIN};
    struct world w;
    struct node a;
    struct raw raw;

    (void)state;
    long_head[8] = (NET_ADMIN_HEAD_BYTES_MAX + 1) % 256;
    long_head[9] = (NET_ADMIN_HEAD_BYTES_MAX + 1) / 256;
    with_body[12] = 1;
    world_open(&w);
    node_open(&a, &w, 1);
    admin_connect(&raw, &w, &a);
    raw_write(&raw, long_head, sizeof long_head);
    closes_as_bad(&a, &raw);
    admin_connect(&raw, &w, &a);
    raw_write(&raw, with_body, sizeof with_body);
    closes_as_bad(&a, &raw);
    node_close(&a);
    world_close(&w);
}

static void is_refused(struct node *a, const struct net_hello *hello,
                       enum net_refusal reason)
{
    struct raw raw;

    raw_connect(&raw, a->world, net_port(a->net));
    raw_write_frame(&raw, net_encode_hello(hello));
    raw_await_end(&raw);
    assert_int_equal(raw.counts[NET_FRAME_HELLO_OK], 0);
    assert_int_equal(raw.refusal, reason);
    raw_close(&raw);
}

static void an_admin_of_another_version_is_refused(void **state)
{
    struct net_hello hello = admin_hello;
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    hello.version++;
    is_refused(&a, &hello, NET_REFUSED_VERSION);
    node_close(&a);
    world_close(&w);
}

static void without_anybody_to_answer_admins_are_refused(void **state)
{
    struct world w;
    struct node a;

    (void)state;
    world_open(&w);
    node_open(&a, &w, 1);
    a.net->handler.on_admin = NULL;
    is_refused(&a, &admin_hello, NET_REFUSED_NOT_YET);
    node_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_admin_asks_and_is_answered),
        cmocka_unit_test(an_answer_may_come_from_within_the_handler),
        cmocka_unit_test(admins_are_answered_before_the_cluster_is_known),
        cmocka_unit_test(an_answer_that_nobody_waits_for_is_dropped),
        cmocka_unit_test(closing_while_somebody_asks),
        cmocka_unit_test(closing_from_within_a_question),
        cmocka_unit_test(a_long_answer_arrives_whole),
        cmocka_unit_test(closing_while_an_answer_leaves),
        cmocka_unit_test(who_leaves_before_the_answer_is_forgotten),
        cmocka_unit_test(there_are_at_most_so_many_admins),
        cmocka_unit_test(nobody_is_waited_for_for_ever),
        cmocka_unit_test(half_a_minute_is_the_default),
        cmocka_unit_test(a_second_question_before_the_answer_is_none),
        cmocka_unit_test(a_question_while_the_answer_leaves_is_none),
        cmocka_unit_test(an_admin_cannot_speak_as_a_node),
        cmocka_unit_test(a_node_cannot_ask_as_an_admin),
        cmocka_unit_test(an_admin_cannot_ask_for_memory),
        cmocka_unit_test(an_admin_of_another_version_is_refused),
        cmocka_unit_test(without_anybody_to_answer_admins_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
