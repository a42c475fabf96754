/* node/quota.c: who sets the first quota, and what is refused before it is
 * proposed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/world.h"

#define GIB (UINT64_C(1) << 30)

static struct store_usage usage_of(struct world *w, size_t node)
{
    struct store_usage usage;

    assert_int_equal(store_view_begin(w->nodes[node].view), 0);
    store_view_usage(w->nodes[node].view, &usage);
    store_view_end(w->nodes[node].view);
    return usage;
}

static void change(struct world *w, size_t node, struct command c)
{
    struct world_request q;

    world_propose(w, node, &c, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0);
}

static void set_quota(struct world *w, size_t node, uint64_t bytes)
{
    change(w, node, (struct command){.op = COMMAND_SET_QUOTA, .offset = bytes});
}

static struct command create_of(struct world *w, size_t node, const char *name)
{
    return (struct command){
        .op = COMMAND_CREATE,
        .flags = COMMAND_CREATES | COMMAND_EXCLUSIVE,
        .inode = replica_new_inode(w->nodes[node].replica),
        .parent = STORE_ROOT_INODE,
        .name = {name, strlen(name)},
        .mode = S_IFREG | 0644,
    };
}

static struct command unlink_of(const char *name)
{
    return (struct command){.op = COMMAND_UNLINK,
                            .parent = STORE_ROOT_INODE,
                            .name = {name, strlen(name)}};
}

static void fill_up(struct world *w)
{
    size_t leader = world_leader(w);

    set_quota(w, leader, usage_of(w, leader).used);
    assert_true(world_settle(w, PX_NS_PER_S));
}

static uint64_t without_room(struct world *w, size_t node)
{
    struct replica_counters c;

    replica_get_counters(w->nodes[node].replica, &c);
    return c.without_room;
}

static raft_index last_of(struct world *w, size_t node)
{
    struct raft_status s;

    replica_get_status(w->nodes[node].replica, &s);
    return s.last.index;
}

/* A cluster that is ready, at rest, and full. */
static struct world *full_world(uint64_t seed)
{
    struct world *w = world_open(3, seed);

    assert_true(world_ready(w));
    change(w, 0, create_of(w, 0, "f"));
    fill_up(w);
    return w;
}

/* ---- The first quota ---- */

static struct world *world_with_quota(uint64_t bytes)
{
    struct world *w = world_open(3, 1);

    w->quota_bytes = bytes;
    for (size_t i = 0; i < 3; i++) {
        world_kill(w, i);
        world_start(w, i);
    }
    assert_true(world_ready(w));
    assert_true(world_settle(w, 2 * PX_NS_PER_S));
    return w;
}

static void a_new_cluster_is_given_a_quota(void **state)
{
    struct world *w = world_with_quota(5 * GIB);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_true(usage_of(w, i).quota == 5 * GIB);
    world_close(w);
}

static void
a_quota_that_is_set_outlives_restarts_with_another_setting(void **state)
{
    struct world *w = world_with_quota(5 * GIB);

    (void)state;
    set_quota(w, 1, 6 * GIB);
    w->quota_bytes = 7 * GIB;
    for (size_t i = 0; i < 3; i++) {
        world_kill(w, i);
        world_start(w, i);
    }
    assert_true(world_ready(w));
    assert_true(world_settle(w, 5 * PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_true(usage_of(w, i).quota == 6 * GIB);
    world_close(w);
}

/* ---- Without room ---- */

static void what_has_no_room_is_not_proposed(void **state)
{
    struct world *w = full_world(2);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        raft_index last = last_of(w, i);
        struct command c = create_of(w, i, "new");
        struct world_request q;

        world_propose(w, i, &c, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.rc, -ENOSPC);
        assert_int_equal(without_room(w, i), 1);
        assert_int_equal(last_of(w, i), last);
    }
    change(w, 1, unlink_of("f")); /* and what needs none is done */
    world_close(w);
}

/* The first of three that arrive together takes the room. */
static void together_they_do_not_go_beyond_it(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct world *w = full_world(3);
    struct store_usage usage = usage_of(w, 0);
    struct world_request q[3];
    int made = 0;

    (void)state;
    set_quota(w, 0, usage.used + usage.bytes_per_file);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++) {
        struct command c = create_of(w, i, names[i]);

        world_propose(w, i, &c, &q[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        int rc;

        assert_true(world_wait(w, &q[i]));
        rc = q[i].rc < 0 ? q[i].rc : q[i].result.rc;
        assert_true(rc == 0 || rc == -ENOSPC);
        made += rc == 0;
    }
    assert_int_equal(made, 1);
    world_close(w);
}

/* Node 2 has not heard of the room that was made: it looks before it refuses.*/
static void room_made_elsewhere_is_seen(void **state)
{
    struct world *w = full_world(4);
    size_t leader = world_leader(w);
    size_t behind = (leader + 1) % 3;
    struct world_request q;
    struct command c;

    (void)state;
    world_cut(w, behind, true);
    set_quota(w, leader, GIB);
    world_cut(w, behind, false);
    assert_true(usage_of(w, behind).quota != GIB);
    c = create_of(w, behind, "new");
    world_propose(w, behind, &c, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0);
    assert_int_equal(without_room(w, behind), 0);
    world_close(w);
}

static void what_was_just_removed_makes_room(void **state)
{
    struct world *w = full_world(5);
    size_t leader = world_leader(w);
    size_t other = (leader + 1) % 3;

    (void)state;
    change(w, other, unlink_of("f"));
    assert_int_equal(usage_of(w, other).orphans, 1); /* not freed yet */
    change(w, other, create_of(w, other, "new"));
    change(w, leader, unlink_of("new"));
    change(w, leader, create_of(w, leader, "another"));
    world_close(w);
}

/* One that is open somewhere may stay for days. */
static void what_stays_open_is_not_waited_for_long(void **state)
{
    struct world *w = full_world(6);
    struct store_view *v = w->nodes[0].view;
    struct store_inode f;
    struct world_request q;
    struct command c;
    px_ns begun;

    (void)state;
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_lookup(v, STORE_ROOT_INODE,
                                       (struct command_name){"f", 1}, &f),
                     0);
    store_view_end(v);
    w->nodes[2].open_inode = f.inode;
    change(w, 0, unlink_of("f"));
    assert_true(world_settle(w, PX_NS_PER_S));
    /* Its name's room is free: this takes it. */
    set_quota(w, 0, usage_of(w, 0).used);
    assert_true(world_settle(w, PX_NS_PER_S));
    begun = w->now;
    c = create_of(w, 1, "new");
    world_propose(w, 1, &c, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -ENOSPC);
    assert_true(w->now - begun < 3 * PX_NS_PER_S);
    w->nodes[2].open_inode = 0;
    world_close(w);
}

static void without_a_majority_nothing_is_said_of_room(void **state)
{
    struct world *w = full_world(7);
    size_t other = (world_leader(w) + 1) % 3;
    struct world_request q;
    struct command c;

    (void)state;
    world_cut(w, other, true);
    assert_true(world_settle(w, 2 * PX_NS_PER_S));
    c = create_of(w, other, "new");
    world_propose(w, other, &c, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, -EAGAIN);
    world_close(w);
}

static void a_wait_for_room_can_be_cancelled(void **state)
{
    struct world *w = full_world(8);
    size_t other = (world_leader(w) + 1) % 3;
    struct command c = create_of(w, other, "new");
    struct world_request q;

    (void)state;
    world_propose(w, other, &c, &q);
    assert_false(q.is_done);
    assert_true(replica_cancel(w->nodes[other].replica, &q.wait));
    assert_true(q.is_done);
    assert_int_equal(q.rc, -EINTR);
    assert_true(world_settle(w, PX_NS_PER_S));
    world_propose(w, other, &c, &q); /* and by the end of the node */
    world_kill(w, other);
    assert_true(q.is_done);
    assert_int_equal(q.rc, -EAGAIN);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_is_given_a_quota),
        cmocka_unit_test(
            a_quota_that_is_set_outlives_restarts_with_another_setting),
        cmocka_unit_test(what_has_no_room_is_not_proposed),
        cmocka_unit_test(together_they_do_not_go_beyond_it),
        cmocka_unit_test(room_made_elsewhere_is_seen),
        cmocka_unit_test(what_was_just_removed_makes_room),
        cmocka_unit_test(what_stays_open_is_not_waited_for_long),
        cmocka_unit_test(without_a_majority_nothing_is_said_of_room),
        cmocka_unit_test(a_wait_for_room_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
