/* node/orphans.c: an inode that lost its name between LOOKUP and OPEN. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/node/world.h"

static const struct command_name file = {"f", 1};

static void change(struct world *w, size_t node, struct command *c)
{
    struct world_request q;

    world_propose(w, node, c, &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    assert_int_equal(q.result.rc, 0);
}

static uint64_t create(struct world *w, size_t node)
{
    struct command c = {
        .op = COMMAND_CREATE,
        .flags = COMMAND_CREATES | COMMAND_EXCLUSIVE,
        .inode = replica_new_inode(w->nodes[node].replica),
        .parent = STORE_ROOT_INODE,
        .name = file,
        .mode = S_IFREG | 0644,
    };

    change(w, node, &c);
    return c.inode;
}

static void unlink_it(struct world *w, size_t node)
{
    struct command c = {
        .op = COMMAND_UNLINK, .parent = STORE_ROOT_INODE, .name = file};

    change(w, node, &c);
}

static bool is_kept(struct world *w, size_t node, uint64_t inode)
{
    struct store_view *v = w->nodes[node].view;
    struct store_inode found;
    int rc;

    assert_int_equal(store_view_begin(v), 0);
    rc = store_view_inode(v, inode, &found);
    store_view_end(v);
    assert_true(rc == 0 || rc == -ENOENT);
    return rc == 0;
}

static bool has_lost_its_name(struct world *w, void *ctx)
{
    return !world_has_name(w, *(size_t *)ctx, "f");
}

static void an_inode_opened_as_it_lost_its_name_is_kept(void **state)
{
    struct world *w = world_open(3, 1);
    size_t other = 1;
    uint64_t inode;

    (void)state;
    assert_true(world_ready(w));
    inode = create(w, 0);
    assert_true(world_settle(w, PX_NS_PER_S));
    unlink_it(w, 0);
    assert_true(world_run(w, PX_NS_PER_S, has_lost_its_name, &other));
    assert_true(replica_may_open(w->nodes[other].replica, inode));
    w->nodes[other].open_inode = inode;
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_true(is_kept(w, i, inode));
    w->nodes[other].open_inode = 0;
    replica_released(w->nodes[other].replica, inode);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_false(is_kept(w, i, inode));
    world_close(w);
}

/* The GETATTR between LOOKUP and OPEN may take long. */
static void an_inode_that_was_just_shown_may_be_opened_until_it_is_not(void **s)
{
    struct world *w = world_open(3, 3);
    size_t other = 1;
    uint64_t inode;

    (void)s;
    assert_true(world_ready(w));
    inode = create(w, 0);
    assert_true(world_settle(w, PX_NS_PER_S));
    w->nodes[other].shown_inode = inode;
    unlink_it(w, 0);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    assert_true(replica_may_open(w->nodes[other].replica, inode));
    for (size_t i = 0; i < 3; i++)
        assert_true(is_kept(w, i, inode));
    w->nodes[other].shown_inode = 0;
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_false(is_kept(w, i, inode));
    world_close(w);
}

/* Proposed, it can't be taken back: what is opened then would be deleted. */
static bool may_not_open(struct world *w, void *ctx)
{
    return !replica_may_open(w->nodes[1].replica, *(uint64_t *)ctx);
}

static void an_inode_whose_release_has_left_may_not_be_opened(void **state)
{
    struct world *w = world_open(3, 2);
    size_t other = 1;
    uint64_t inode;

    (void)state;
    assert_true(world_ready(w));
    inode = create(w, 0);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_false(replica_may_open(w->nodes[1].replica, inode)); /* no orphan */
    unlink_it(w, 0);
    assert_true(world_run(w, PX_NS_PER_S, has_lost_its_name, &other));
    w->nodes[1].is_unreachable = true; /* its release is proposed, and waits */
    assert_true(world_run(w, PX_NS_PER_S, may_not_open, &inode));
    assert_true(is_kept(w, 1, inode));
    w->nodes[1].is_unreachable = false;
    world_close(w);
}

static size_t behind; /* the node that is sent no entries */

static bool loses_entries(const struct world_msg *m)
{
    return m->to == behind && m->type == WORLD_RAFT &&
           m->raft.type == RAFT_MSG_APPEND;
}

/* Node @node starts, and its session is opened; but what it gets is not the log
 * that says so: it is a state in which that was long ago. */
static uint64_t orphan_before_session_is_known(struct world *w, size_t node)
{
    size_t leader = world_leader(w);
    uint64_t inode;

    world_kill(w, node);
    behind = node;
    w->loses = loses_entries;
    world_start(w, node);
    assert_true(world_settle(w, PX_NS_PER_S));
    inode = create(w, leader);
    unlink_it(w, leader);
    assert_true(world_settle(w, PX_NS_PER_S)); /* the others release it */
    assert_true(is_kept(w, leader, inode));
    assert_int_equal(replica_session(w->nodes[node].replica), 0);
    replica_want_snapshot(w->nodes[leader].replica);
    assert_true(world_settle(w, PX_NS_PER_S));
    w->loses = NULL;
    return inode;
}

static void what_a_session_held_before_it_was_known_is_released(void **state)
{
    struct world *w = world_open(3, 4);
    struct replica_counters counters;
    size_t node;
    uint64_t inode;

    (void)state;
    assert_true(world_ready(w));
    node = (world_leader(w) + 1) % 3;
    inode = orphan_before_session_is_known(w, node);
    assert_true(world_ready(w));
    replica_get_counters(w->nodes[node].replica, &counters);
    assert_int_equal(counters.snapshots_installed, 1);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_false(is_kept(w, i, inode));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inode_opened_as_it_lost_its_name_is_kept),
        cmocka_unit_test(
            an_inode_that_was_just_shown_may_be_opened_until_it_is_not),
        cmocka_unit_test(an_inode_whose_release_has_left_may_not_be_opened),
        cmocka_unit_test(what_a_session_held_before_it_was_known_is_released),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
