/* Peers that go, move, or come again, whatever their connections are at: a
 * lookup, a handshake, a queue, or a call of the handler. Under the sanitizers
 * these are the tests of net/core.h's lifetimes.
 *
 * Nothing is dialled again by itself here: a day is waited for everything. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/resolver.h"

#define A_DAY (24 * 3600 * PX_NS_PER_S)
#define PEER 2 /* the one that changes */
#define JOBS 4 /* that keep all of libuv's threads busy */

/* ---- A resolver that can be held up ---- */

static uv_sem_t lookup_begun;
static uv_sem_t lookup_may_end;

static const char *hold_up(const char *host)
{
    if (strcmp(host, "peer.test") != 0)
        return host;
    uv_sem_post(&lookup_begun);
    uv_sem_wait(&lookup_may_end);
    return "127.0.0.1";
}

/* ---- A scene: node 1, and peer 2 in some state ---- */

struct scene {
    struct world w;
    struct node a;
    int from; /* where the peer was */
    int to;   /* where it will be */
    struct lanes old;
    struct raw in; /* what it has dialled */
    struct raw filler;
    struct px_slice data;
    uv_work_t jobs[JOBS];
    size_t jobs_left;
    bool has_old;
    bool has_in;
    bool has_filler;
    bool holds_lookups;   /* two of them run, and wait */
    size_t handles;       /* of the net, without peers */
    size_t downs_of_move; /* how often on_peer_down comes of a move */
};

static struct scene *scene; /* the one that plays: for node.act */

static void scene_open(struct scene *s, int backlog)
{
    struct net_options options;

    *s = (struct scene){.from = raw_listen(backlog), .to = raw_listen(8)};
    scene = s;
    world_open(&s->w);
    assert_int_equal(uv_sem_init(&lookup_begun, 0), 0);
    assert_int_equal(uv_sem_init(&lookup_may_end, 0), 0);
    options = node_options(&s->w, 1);
    options.dial_timeout = A_DAY;
    options.redial_min = A_DAY;
    options.redial_max = A_DAY;
    node_open_with(&s->a, &s->w, &options);
    s->handles = s->a.net->handles;
}

static bool has_no_job(void *ctx)
{
    return ((const struct scene *)ctx)->jobs_left == 0;
}

/* Lookups and jobs may end. */
static void release(struct scene *s)
{
    for (size_t i = 0; s->holds_lookups && i < 2; i++)
        uv_sem_post(&lookup_may_end);
    s->holds_lookups = false;
    for (size_t i = 0; i < s->jobs_left; i++)
        uv_sem_post(&lookup_may_end);
    world_run_until(&s->w, has_no_job, s);
}

static void scene_close(struct scene *s)
{
    release(s);
    node_close(&s->a);
    if (s->has_old)
        lanes_close(&s->old);
    if (s->has_in)
        raw_close(&s->in);
    if (s->has_filler)
        raw_close(&s->filler);
    if (s->data.owner != NULL)
        assert_int_equal(s->data.owner->refs, 1);
    px_slice_unref(&s->data);
    raw_close_listener(s->from);
    raw_close_listener(s->to);
    world_close(&s->w);
    uv_sem_destroy(&lookup_begun);
    uv_sem_destroy(&lookup_may_end);
}

static void address_of(int listener, const char *host, char out[64])
{
    (void)snprintf(out, 64, "%s:%u", host, (unsigned)raw_port(listener));
}

static void add_named(struct scene *s)
{
    char address[64];

    address_of(s->from, "peer.test", address);
    assert_int_equal(net_add_peer(s->a.net, PEER, "p", address), 0);
}

/* ---- The states ---- */

static void no_address(struct scene *s)
{
    scene_open(s, 8);
    assert_int_equal(net_add_peer(s->a.net, PEER, "p", NULL), 0);
}

static void a_lookup_that_runs(struct scene *s)
{
    scene_open(s, 8);
    add_named(s);
    uv_sem_wait(&lookup_begun);
    uv_sem_wait(&lookup_begun);
    s->holds_lookups = true;
}

static void job(uv_work_t *work)
{
    (void)work;
    uv_sem_post(&lookup_begun);
    uv_sem_wait(&lookup_may_end);
}

static void job_done(uv_work_t *work, int status)
{
    struct scene *s = work->data;

    (void)status;
    s->jobs_left--;
}

/* For one of libuv's threads. */
static void a_lookup_that_waits(struct scene *s)
{
    scene_open(s, 8);
    for (; s->jobs_left < JOBS; s->jobs_left++) {
        uv_work_t *work = &s->jobs[s->jobs_left];

        work->data = s;
        assert_int_equal(uv_queue_work(&s->w.loop, work, job, job_done), 0);
    }
    for (size_t i = 0; i < JOBS; i++)
        uv_sem_wait(&lookup_begun);
    add_named(s);
}

static bool is_in_state(const struct scene *s, enum net_lane_state state)
{
    struct net_peer *p = net_peer_find(s->a.net, PEER);

    return net_peer_lane(p, NET_URGENT)->state == state &&
           net_peer_lane(p, NET_BULK)->state == state;
}

static void a_connection_in_the_making(struct scene *s)
{
    scene_open(s, 0);
    raw_connect(&s->filler, &s->w, raw_port(s->from)); /* fills the backlog */
    s->has_filler = true;
    node_add(&s->a, PEER, raw_port(s->from));
    (void)uv_run(&s->w.loop, UV_RUN_NOWAIT);
    assert_true(is_in_state(s, NET_LANE_CONNECTING));
}

/* Accepts both connections, answers neither. */
static void accept_mute(struct scene *s)
{
    struct raw *const lanes[] = {&s->old.urgent, &s->old.bulk};

    for (size_t i = 0; i < 2; i++) {
        raw_accept(lanes[i], &s->w, s->from);
        raw_await_type(lanes[i], NET_FRAME_HELLO, 1);
    }
    s->has_old = true;
}

static void a_hello_without_an_answer(struct scene *s)
{
    scene_open(s, 8);
    node_add(&s->a, PEER, raw_port(s->from));
    accept_mute(s);
    assert_true(is_in_state(s, NET_LANE_GREETING));
}

static bool waits(void *ctx)
{
    return is_in_state(ctx, NET_LANE_WAITING);
}

static void a_wait_to_dial_again(struct scene *s)
{
    scene_open(s, 8);
    node_add(&s->a, PEER, 1); /* nobody listens there */
    world_run_until(&s->w, waits, s);
}

static void open_up(struct scene *s)
{
    scene_open(s, 8);
    node_add(&s->a, PEER, raw_port(s->from));
    lanes_accept(&s->old, &s->w, s->from, PEER);
    s->has_old = true;
    node_await_connected(&s->a, PEER);
    s->downs_of_move = 1;
}

static void a_connection(struct scene *s)
{
    open_up(s);
}

static void a_connection_with_a_queue(struct scene *s)
{
    struct raft_entry entry;
    struct raft_msg msg;

    open_up(s);
    s->data = pattern(PX_MIB, 3);
    msg = append_one(1, PEER, &entry, s->data);
    while (net_send_raft(s->a.net, &msg) == 0)
        net_flush(s->a.net);
    assert_true(s->data.owner->refs > 1);
}

/* The peer has gone, writing has failed, and the loop has not run since. */
static void a_connection_that_breaks(struct scene *s)
{
    const struct raft_msg vote = heartbeat(1, PEER, 1);
    const struct raft_msg append = {
        .type = RAFT_MSG_APPEND, .from = 1, .to = PEER};

    open_up(s);
    lanes_close(&s->old);
    s->has_old = false;
    while (!is_in_state(s, NET_LANE_CLOSING)) {
        (void)net_send_raft(s->a.net, &vote);
        (void)net_send_raft(s->a.net, &append);
        net_flush(s->a.net);
    }
}

static void (*const states[])(struct scene *s) = {
    no_address,
    a_lookup_that_runs,
    a_lookup_that_waits,
    a_connection_in_the_making,
    a_hello_without_an_answer,
    a_wait_to_dial_again,
    a_connection,
    a_connection_with_a_queue,
    a_connection_that_breaks,
};
#define STATES (sizeof states / sizeof states[0])

/* ---- The changes ---- */

static void remove_it(struct node *a)
{
    net_remove_peer(a->net, PEER);
    assert_false(net_has_peer(a->net, PEER));
    net_remove_peer(a->net, PEER); /* harmless */
}

static void move_it(struct node *a)
{
    char address[64];

    address_of(scene->to, "127.0.0.1", address);
    assert_int_equal(net_set_address(a->net, PEER, address), 0);
}

static void add_it_again(struct node *a)
{
    remove_it(a);
    node_add(a, PEER, raw_port(scene->to));
    assert_true(net_has_peer(a->net, PEER));
}

static void close_it_all(struct node *a)
{
    remove_it(a);
    node_close_start(a);
}

static bool has_forgotten(void *ctx)
{
    const struct scene *s = ctx;

    return s->a.net->leaving_count == 0;
}

/* The connections of old are ended, and libuv holds nothing of them. */
static void await_forgotten(struct scene *s)
{
    release(s);
    world_run_until(&s->w, has_forgotten, s);
    if (s->has_old) {
        raw_await_end(&s->old.urgent);
        raw_await_end(&s->old.bulk);
    }
}

static void await_at_its_new_place(struct scene *s)
{
    const struct raft_msg msg = heartbeat(1, PEER, 77);
    struct lanes l;

    lanes_accept(&l, &s->w, s->to, PEER);
    node_await_connected(&s->a, PEER);
    assert_int_equal(net_send_raft(s->a.net, &msg), 0);
    net_flush(s->a.net);
    raw_await_type(&l.urgent, NET_FRAME_RAFT, 1);
    assert_int_equal(l.urgent.raft_last.heartbeat.round, 77);
    /* and the place of old is left alone */
    if (!s->has_filler)
        assert_int_equal(accept(s->from, NULL, NULL), -1);
    lanes_close(&l);
}

static void a_peer_can_be_removed_in_any_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        struct scene s;
        size_t told;

        states[i](&s);
        told = s.a.up_count + s.a.down_count + s.a.hello_count;
        remove_it(&s.a);
        await_forgotten(&s);
        assert_int_equal(s.a.net->handles, s.handles);
        assert_int_equal(s.a.up_count + s.a.down_count + s.a.hello_count, told);
        assert_int_equal(net_get_peers(s.a.net, NULL, 0), 0);
        scene_close(&s);
    }
}

static void a_peer_that_moves_is_dialled_at_once_in_any_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        struct scene s;

        states[i](&s);
        move_it(&s.a);
        move_it(&s.a); /* no other address: no matter */
        release(&s);
        await_at_its_new_place(&s);
        assert_int_equal(s.a.down_count, s.downs_of_move);
        scene_close(&s);
    }
}

/* Once, and then with back-off as ever. */
static void a_place_where_nobody_is_is_dialled_once(void **state)
{
    struct scene s;
    uint64_t dials;

    (void)state;
    a_connection(&s);
    dials = node_peer(&s.a, PEER).dials;
    assert_int_equal(net_set_address(s.a.net, PEER, "127.0.0.1:1"), 0);
    world_run_until(&s.w, waits, &s);
    assert_int_equal(node_peer(&s.a, PEER).dials, dials + 2); /* one a lane */
    scene_close(&s);
}

/* What was queued for the old place is not sent to the new one. */
static void a_peer_that_moves_loses_its_queue(void **state)
{
    struct scene s;
    struct lanes l;

    (void)state;
    a_connection_with_a_queue(&s);
    move_it(&s.a);
    lanes_accept(&l, &s.w, s.to, PEER);
    node_await_connected(&s.a, PEER);
    net_flush(s.a.net);
    assert_int_equal(s.data.owner->refs, 1);
    assert_true(node_peer(&s.a, PEER).dropped > 1);
    lanes_close(&l);
    scene_close(&s);
}

static void a_peer_added_again_at_once_is_another_one_in_any_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        struct scene s;
        size_t downs;

        states[i](&s);
        downs = s.a.down_count;
        add_it_again(&s.a);
        await_forgotten(&s);
        await_at_its_new_place(&s);
        assert_int_equal(node_peer(&s.a, PEER).dials, 2); /* one a lane */
        assert_int_equal(s.a.down_count, downs);
        scene_close(&s);
    }
}

static void the_net_can_be_closed_while_a_peer_leaves_in_any_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        struct scene s;

        states[i](&s);
        close_it_all(&s.a);
        scene_close(&s);
    }
}

static void a_peer_that_moves_can_be_removed_in_any_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        struct scene s;

        states[i](&s);
        move_it(&s.a);
        remove_it(&s.a);
        await_forgotten(&s);
        assert_int_equal(s.a.net->handles, s.handles);
        assert_int_equal(s.a.down_count, 0);
        scene_close(&s);
    }
}

/* ---- From within the handler ---- */

/* What happens at the peer, so that node 1's handler is told of @seen. */
static void provoke(struct scene *s, enum seen seen)
{
    struct raw *const lanes[] = {&s->old.urgent, &s->old.bulk};
    const struct net_hello_ok ok = {.version = NET_PROTOCOL_VERSION,
                                    .from = PEER};

    for (size_t i = 0; i < 2; i++) {
        if (seen == SEEN_REFUSED)
            raw_write_frame(lanes[i],
                            net_encode_hello_refused(NET_REFUSED_REMOVED));
        else
            raw_write_frame(lanes[i], net_encode_hello_ok(&ok));
    }
    if (seen == SEEN_DOWN) {
        node_await_up(&s->a, 1);
        lanes_close(&s->old);
        s->has_old = false;
    }
}

static bool has_acted(void *ctx)
{
    return ((const struct scene *)ctx)->a.acts_on == SEEN_NOTHING;
}

/* Node 1 has said hello; then its handler is told of @seen, and does @act. */
static void act_within(struct scene *s, enum seen seen,
                       void (*act)(struct node *a))
{
    a_hello_without_an_answer(s);
    s->a.acts_on = seen;
    s->a.act = act;
    provoke(s, seen);
    world_run_until(&s->w, has_acted, s);
}

static const enum seen of_lanes[] = {SEEN_HELLO, SEEN_UP, SEEN_DOWN,
                                     SEEN_REFUSED};
#define OF_LANES (sizeof of_lanes / sizeof of_lanes[0])

static void a_peer_can_be_removed_from_within_the_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_LANES; i++) {
        struct scene s;

        act_within(&s, of_lanes[i], remove_it);
        await_forgotten(&s);
        assert_int_equal(s.a.net->handles, s.handles);
        scene_close(&s);
    }
}

static void a_peer_can_be_moved_from_within_the_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_LANES; i++) {
        struct scene s;

        act_within(&s, of_lanes[i], move_it);
        await_at_its_new_place(&s);
        scene_close(&s);
    }
}

static void a_peer_can_be_added_again_from_within_the_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_LANES; i++) {
        struct scene s;

        act_within(&s, of_lanes[i], add_it_again);
        await_forgotten(&s);
        await_at_its_new_place(&s);
        scene_close(&s);
    }
}

static void all_can_be_closed_from_within_the_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_LANES; i++) {
        struct scene s;

        act_within(&s, of_lanes[i], close_it_all);
        scene_close(&s);
    }
}

#define FRAMES 10

/* The peer has dialled us, and sends frames that arrive together; the handler
 * acts on the first. */
static void act_on_a_message(struct scene *s, void (*act)(struct node *a),
                             const char *tail)
{
    const struct raft_msg msg = heartbeat(PEER, 1, 5);

    a_connection(s);
    raw_connect(&s->in, &s->w, net_port(s->a.net));
    s->has_in = true;
    raw_hello(&s->in, PEER, 1, NET_URGENT);
    raw_await_type(&s->in, NET_FRAME_HELLO_OK, 1);
    s->a.acts_on = SEEN_RAFT;
    s->a.act = act;
    for (int i = 0; i < FRAMES; i++)
        raw_write_frame(&s->in, net_encode_raft(&msg));
    raw_write(&s->in, tail, strlen(tail));
    world_run_until(&s->w, has_acted, s);
}

static void a_peer_can_be_removed_while_it_speaks(void **state)
{
    struct scene s;

    (void)state;
    act_on_a_message(&s, remove_it, "");
    await_forgotten(&s);
    raw_await_end(&s.in);
    assert_int_equal(s.a.raft_count, 1); /* the others are not handed out */
    assert_int_equal(s.a.net->handles, s.handles);
    assert_int_equal(node_counters(&s.a).frames_bad, 0);
    scene_close(&s);
}

/* Garbage behind the frame at which it went is nobody's. */
static void what_a_removed_peer_says_is_not_looked_at(void **state)
{
    struct scene s;

    (void)state;
    act_on_a_message(&s, remove_it, "garbage");
    await_forgotten(&s);
    assert_int_equal(s.a.raft_count, 1);
    scene_close(&s);
}

static void a_peer_that_moves_is_still_listened_to(void **state)
{
    struct scene s;

    (void)state;
    act_on_a_message(&s, move_it, "");
    node_await_raft(&s.a, FRAMES);
    await_at_its_new_place(&s);
    scene_close(&s);
}

static void a_peer_added_again_while_it_speaks_says_hello_anew(void **state)
{
    const struct raft_msg msg = heartbeat(PEER, 1, 6);
    struct scene s;
    struct raw raw;

    (void)state;
    act_on_a_message(&s, add_it_again, "");
    raw_await_end(&s.in);
    assert_int_equal(s.a.raft_count, 1);
    raw_connect(&raw, &s.w, net_port(s.a.net));
    raw_hello(&raw, PEER, 1, NET_URGENT);
    raw_await_type(&raw, NET_FRAME_HELLO_OK, 1);
    raw_write_frame(&raw, net_encode_raft(&msg));
    node_await_raft(&s.a, 2);
    raw_close(&raw);
    scene_close(&s);
}

static void all_can_be_closed_while_a_peer_speaks(void **state)
{
    struct scene s;

    (void)state;
    act_on_a_message(&s, close_it_all, "");
    raw_await_end(&s.in);
    assert_int_equal(s.a.raft_count, 1);
    scene_close(&s);
}

/* ---- Bounds ---- */

/* Removed, but held by lookups that don't end: they count. */
static void peers_that_leave_slowly_are_bounded(void **state)
{
    struct scene s;
    raft_id id = 2;

    (void)state;
    scene_open(&s, 8);
    for (; id < 2 + NET_PEERS_MAX; id++) {
        assert_int_equal(net_add_peer(s.a.net, id, "p", "peer.test:1"), 0);
        net_remove_peer(s.a.net, id);
    }
    assert_int_equal(net_add_peer(s.a.net, id, "p", NULL), -ENOSPC);
    for (size_t i = 0; i < 2 * NET_PEERS_MAX; i++)
        uv_sem_post(&lookup_may_end);
    await_forgotten(&s);
    assert_int_equal(net_add_peer(s.a.net, id, "p", NULL), 0);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_can_be_removed_in_any_state),
        cmocka_unit_test(a_peer_that_moves_is_dialled_at_once_in_any_state),
        cmocka_unit_test(a_place_where_nobody_is_is_dialled_once),
        cmocka_unit_test(a_peer_that_moves_loses_its_queue),
        cmocka_unit_test(
            a_peer_added_again_at_once_is_another_one_in_any_state),
        cmocka_unit_test(
            the_net_can_be_closed_while_a_peer_leaves_in_any_state),
        cmocka_unit_test(a_peer_that_moves_can_be_removed_in_any_state),
        cmocka_unit_test(a_peer_can_be_removed_from_within_the_handler),
        cmocka_unit_test(a_peer_can_be_moved_from_within_the_handler),
        cmocka_unit_test(a_peer_can_be_added_again_from_within_the_handler),
        cmocka_unit_test(all_can_be_closed_from_within_the_handler),
        cmocka_unit_test(a_peer_can_be_removed_while_it_speaks),
        cmocka_unit_test(what_a_removed_peer_says_is_not_looked_at),
        cmocka_unit_test(a_peer_that_moves_is_still_listened_to),
        cmocka_unit_test(a_peer_added_again_while_it_speaks_says_hello_anew),
        cmocka_unit_test(all_can_be_closed_while_a_peer_speaks),
        cmocka_unit_test(peers_that_leave_slowly_are_bounded),
    };

    (void)setenv("UV_THREADPOOL_SIZE", "4", 1); /* JOBS */
    resolver_turn = hold_up;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
