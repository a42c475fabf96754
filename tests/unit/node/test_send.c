/* node/send.c: commands on their way to the leader, refused and sent again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/world.h"

/* As in world.c. */
#define HEARTBEAT (60 * PX_NS_PER_MS)
#define REQUEST_TIMEOUT (5 * PX_NS_PER_S)
#define RETRY (REQUEST_TIMEOUT / 4)
#define PAUSE (HEARTBEAT / 4)

static size_t follower_of(const struct world *w)
{
    return (world_leader(w) + 1) % w->node_count;
}

static struct replica_counters counters_of(const struct world *w, size_t node)
{
    struct replica_counters c;

    replica_get_counters(w->nodes[node].replica, &c);
    return c;
}

/* The leader's answer to command @sequence of @node, at this moment. */
static void refuse_now(struct world *w, size_t node, uint64_t sequence)
{
    struct replica *r = w->nodes[node].replica;
    struct net_forward_refused f = {
        .from = world_leader(w) + 1,
        .session = replica_session(r),
        .sequence = sequence,
        .rc = -EAGAIN,
    };

    replica_on_refused(r, &f);
}

/* world_run asserts that no turn leaves anything due; here the steps are small
 * enough to see that the pause ends and is not due again. */
static void check_sleeps(struct world *w, size_t node)
{
    replica_turn(w->nodes[node].replica);
    assert_true(replica_deadline(w->nodes[node].replica) > w->now);
}

static void a_pause_that_is_over_is_not_due_for_ever(void **state)
{
    struct world *w = world_open(3, 1);
    struct world_request q;
    size_t node;

    (void)state;
    assert_true(world_ready(w));
    node = follower_of(w);
    world_mkdir(w, node, "a", &q);
    replica_turn(w->nodes[node].replica); /* forwarded */
    w->nodes[node].is_unreachable = true;
    refuse_now(w, node, q.wait.id);
    check_sleeps(w, node);
    assert_true(replica_deadline(w->nodes[node].replica) <= w->now + PAUSE);
    w->now += PAUSE;
    check_sleeps(w, node); /* it is to be sent again, and can't be */
    w->nodes[node].is_unreachable = false;
    assert_true(world_wait(w, &q));
    assert_int_equal(q.result.rc, 0);
    world_close(w);
}

/* Of a command that nobody waits for any more. */
static void a_refusal_that_comes_late_does_not_make_a_node_spin(void **state)
{
    struct world *w = world_open(3, 2);
    struct world_request q;
    size_t node;

    (void)state;
    assert_true(world_ready(w));
    node = follower_of(w);
    world_mkdir(w, node, "a", &q);
    assert_true(world_wait(w, &q));
    refuse_now(w, node, q.wait.id);
    check_sleeps(w, node);
    w->now += PAUSE;
    check_sleeps(w, node);
    world_mkdir(w, node, "b", &q);
    refuse_now(w, node, q.wait.id); /* which has not left */
    check_sleeps(w, node);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.result.rc, 0);
    world_close(w);
}

static void a_leader_that_refuses_is_asked_once_a_pause(void **state)
{
    struct world *w = world_open(3, 3);
    struct world_request q;
    uint64_t before;
    size_t node;

    (void)state;
    assert_true(world_ready(w));
    node = follower_of(w);
    before = counters_of(w, node).forwarded;
    w->refuses = true;
    world_mkdir(w, node, "a", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -EAGAIN); /* each was refused: nothing happened */
    /* A retry may come before a pause is over. */
    assert_in_range(counters_of(w, node).forwarded - before, 2,
                    REQUEST_TIMEOUT / PAUSE + REQUEST_TIMEOUT / RETRY);
    world_close(w);
}

/* ---- What is overdue ---- */

/* Nothing is under way, so that the time of a retry begins with what is sent.*/
static size_t idle_follower(struct world *w)
{
    assert_true(world_ready(w));
    assert_true(world_settle(w, 2 * RETRY));
    return follower_of(w);
}

static bool loses_forwards(const struct world_msg *m)
{
    return m->type == WORLD_FORWARD;
}

static void
a_forward_that_was_lost_is_sent_again_to_the_same_leader(void **state)
{
    struct world *w = world_open(3, 4);
    struct world_request q;
    size_t node;

    (void)state;
    node = idle_follower(w);
    world_mkdir(w, node, "a", &q);
    w->loses = loses_forwards;
    assert_true(world_settle(w, RETRY / 2));
    w->loses = NULL;
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(counters_of(w, node).resent, 1);
    world_close(w);
}

static void
what_has_just_been_sent_is_not_sent_again_with_what_is_overdue(void **state)
{
    struct world *w = world_open(3, 5);
    struct world_request overdue;
    struct world_request fresh;
    size_t node;

    (void)state;
    node = idle_follower(w);
    w->loses = loses_forwards;
    world_mkdir(w, node, "overdue", &overdue);
    assert_true(world_settle(w, RETRY / 2));
    world_mkdir(w, node, "fresh", &fresh);
    assert_true(world_settle(w, RETRY * 3 / 4));
    assert_int_equal(counters_of(w, node).resent, 1);
    w->loses = NULL;
    assert_true(world_wait(w, &overdue));
    assert_true(world_wait(w, &fresh));
    assert_int_equal(fresh.result.rc, 0);
    world_close(w);
}

/* A write of the largest size, to an inode that isn't there. */
static struct command large_write(void)
{
    static uint8_t data[PX_FUSE_WRITE_BYTES_MAX];

    return (struct command){
        .op = COMMAND_WRITE,
        .inode = UINT64_C(1) << STORE_INODE_SESSION_SHIFT | 999,
        .data = data,
        .data_size = sizeof data,
    };
}

static void what_is_sent_again_at_once_is_no_more_than_a_batch(void **state)
{
    enum { BATCH = PX_BATCH_BYTES_MAX / PX_FUSE_WRITE_BYTES_MAX };
    static struct world_request q[2 * BATCH];
    const size_t count = sizeof q / sizeof q[0];
    struct world *w = world_open(3, 6);
    size_t node;

    (void)state;
    node = idle_follower(w);
    w->loses = loses_forwards;
    for (size_t i = 0; i < count; i++) {
        struct command c = large_write();

        world_propose(w, node, &c, &q[i]);
    }
    assert_true(world_settle(w, RETRY * 3 / 2));
    assert_int_equal(counters_of(w, node).resent, BATCH);
    w->loses = NULL;
    for (size_t i = 0; i < count; i++) {
        assert_true(world_wait(w, &q[i]));
        assert_int_equal(q[i].result.rc, -ENOENT);
    }
    world_close(w);
}

/* ---- What others forward ---- */

/* Of a session that isn't there, so that applying it does nothing. */
static struct px_slice large_command(void)
{
    struct command c = large_write();
    struct px_slice bytes;

    c.session = 999;
    c.sequence = 1;
    c.floor = 1;
    assert_int_equal(command_encode(&c, &bytes), 0);
    return bytes;
}

static size_t refusals_on_the_wire(const struct world *w)
{
    size_t count = 0;

    px_list_for_each (it, &w->wire)
        count +=
            px_list_entry(it, struct world_msg, link)->type == WORLD_REFUSED;
    return count;
}

static void forwards_beyond_their_bytes_are_refused_at_once(void **state)
{
    struct world *w = world_open(3, 7);
    struct px_slice bytes = large_command();
    size_t fit = RAFT_UNAPPLIED_BYTES_MAX / bytes.size;
    struct net_forward f = {.session = 999, .sequence = 1, .command = bytes};
    struct replica *leader;

    (void)state;
    assert_true(world_ready(w));
    leader = w->nodes[world_leader(w)].replica;
    f.from = follower_of(w) + 1;
    for (size_t i = 0; i < fit; i++)
        replica_on_forward(leader, &f);
    assert_int_equal(refusals_on_the_wire(w), 0);
    replica_on_forward(leader, &f);
    replica_on_forward(leader, &f);
    assert_int_equal(refusals_on_the_wire(w), 2);
    assert_true(world_settle(w, PX_NS_PER_S)); /* proposed: there is room */
    replica_on_forward(leader, &f);
    assert_int_equal(refusals_on_the_wire(w), 0);
    px_slice_unref(&bytes);
    world_close(w);
}

/* Three voters; the fourth is nobody. */
static void what_a_stranger_forwards_takes_no_place_in_the_log(void **state)
{
    struct world *w = world_open_voters(4, 3, 8);
    struct px_slice bytes = large_command();
    struct net_forward f = {
        .from = 4, .session = 999, .sequence = 1, .command = bytes};
    struct raft_status before, after;
    struct replica *leader;

    (void)state;
    world_kill(w, 3);
    assert_true(world_ready(w));
    world_start(w, 3);
    assert_true(world_settle(w, PX_NS_PER_S));
    leader = w->nodes[world_leader(w)].replica;
    replica_get_status(leader, &before);
    replica_on_forward(leader, &f);
    assert_int_equal(refusals_on_the_wire(w), 1);
    assert_true(world_settle(w, PX_NS_PER_S));
    replica_get_status(leader, &after);
    assert_int_equal(after.last.index, before.last.index);
    f.from = (world_leader(w) + 1) % 3 + 1;
    replica_on_forward(leader, &f); /* a member's does */
    assert_true(world_settle(w, PX_NS_PER_S));
    replica_get_status(leader, &after);
    assert_int_equal(after.last.index, before.last.index + 1);
    px_slice_unref(&bytes);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_that_is_over_is_not_due_for_ever),
        cmocka_unit_test(a_refusal_that_comes_late_does_not_make_a_node_spin),
        cmocka_unit_test(a_leader_that_refuses_is_asked_once_a_pause),
        cmocka_unit_test(
            a_forward_that_was_lost_is_sent_again_to_the_same_leader),
        cmocka_unit_test(
            what_has_just_been_sent_is_not_sent_again_with_what_is_overdue),
        cmocka_unit_test(what_is_sent_again_at_once_is_no_more_than_a_batch),
        cmocka_unit_test(forwards_beyond_their_bytes_are_refused_at_once),
        cmocka_unit_test(what_a_stranger_forwards_takes_no_place_in_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
