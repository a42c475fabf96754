/* node/changes.c: members that come and go, in a cluster in one process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/world.h"

#define PENDING 1

struct asked {
    struct replica_change_wait wait; /* first */
    int rc;
};

static void on_done(struct replica_change_wait *w, int rc)
{
    struct asked *a = (struct asked *)w;

    assert_int_equal(a->rc, PENDING); /* once */
    a->rc = rc;
}

static void ask(struct world *w, size_t node, struct asked *a,
                enum raft_change_what what, raft_id id)
{
    const struct raft_change c = {.what = what, .id = id};

    *a = (struct asked){.rc = PENDING};
    a->wait.deadline = w->now + PX_NS_PER_S;
    a->wait.done = on_done;
    replica_change(w->nodes[node].replica, &a->wait, &c);
}

static void ask_transfer(struct world *w, size_t node, struct asked *a,
                         raft_id to)
{
    *a = (struct asked){.rc = PENDING};
    a->wait.deadline = w->now + PX_NS_PER_S;
    a->wait.done = on_done;
    replica_transfer(w->nodes[node].replica, &a->wait, to);
}

static bool is_answered(struct world *w, void *ctx)
{
    const struct asked *a = ctx;

    (void)w;
    return a->rc != PENDING;
}

static int answer(struct world *w, struct asked *a)
{
    assert_true(world_run(w, 10 * PX_NS_PER_S, is_answered, a));
    return a->rc;
}

static int change(struct world *w, enum raft_change_what what, raft_id id)
{
    struct asked a;

    ask(w, world_leader(w), &a, what, id);
    return answer(w, &a);
}

/* Three voters lead; node 3 is nobody yet. */
static struct world *three_and_one(uint64_t seed)
{
    struct world *w = world_open_voters(4, 3, seed);

    world_kill(w, 3);
    assert_true(world_ready(w));
    world_start(w, 3);
    return w;
}

static size_t voters_of(struct world *w, size_t node, size_t *members_out)
{
    struct raft_config config;
    size_t voters = 0;

    (void)replica_get_config(w->nodes[node].replica, &config);
    for (size_t i = 0; i < config.count; i++)
        voters += config.members[i].role == RAFT_VOTER;
    *members_out = config.count;
    return voters;
}

static void a_node_comes_learns_and_votes(void **state)
{
    struct world *w = three_and_one(1);
    struct world_request q;
    size_t members;

    (void)state;
    assert_int_equal(change(w, RAFT_ADD, 4), 0);
    assert_int_equal(voters_of(w, world_leader(w), &members), 3);
    assert_int_equal(members, 4);
    world_mkdir(w, 3, "by-the-learner", &q);
    assert_true(world_wait(w, &q));
    assert_int_equal(q.rc, 0);
    world_settle(w, PX_NS_PER_S); /* the leader hears that it is whole */
    assert_int_equal(change(w, RAFT_PROMOTE, 4), 0);
    world_settle(w, PX_NS_PER_S);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(voters_of(w, i, &members), 4);
        assert_true(world_has_name(w, i, "by-the-learner"));
    }
    world_close(w);
}

static void a_node_that_is_removed_is_in_no_configuration(void **state)
{
    struct world *w = world_open(3, 2);
    size_t members, leader;
    raft_id gone;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    gone = (leader + 1) % 3 + 1;
    assert_int_equal(change(w, RAFT_REMOVE, gone), 0);
    assert_int_equal(voters_of(w, leader, &members), 2);
    assert_int_equal(change(w, RAFT_REMOVE, gone), -ENOENT);
    world_close(w);
}

static void whoever_does_not_lead_says_so(void **state)
{
    struct world *w = three_and_one(3);
    struct asked a;

    (void)state;
    ask(w, (world_leader(w) + 1) % 3, &a, RAFT_ADD, 4);
    assert_int_equal(a.rc, -PX_ENOTLEADER); /* at once */
    world_close(w);
}

static void a_change_by_a_leader_that_is_cut_off_has_no_known_outcome(void **s)
{
    struct world *w = three_and_one(4);
    struct asked a;
    size_t leader = world_leader(w);

    (void)s;
    world_cut(w, leader, true);
    ask(w, leader, &a, RAFT_ADD, 4);
    assert_int_equal(answer(w, &a), -PX_EUNKNOWN);
    assert_true(w->now < a.wait.deadline); /* when it steps down */
    world_close(w);
}

static void a_change_in_whose_place_others_were_committed_is_not_done(void **s)
{
    struct world *w = three_and_one(10);
    size_t leader = world_leader(w);
    struct raft_status before, after;
    struct asked a;
    size_t members;

    (void)s;
    replica_get_status(w->nodes[leader].replica, &before);
    world_cut(w, leader, true);
    ask(w, leader, &a, RAFT_ADD, 4);
    a.wait.deadline = PX_NS_NEVER;
    world_settle(w, PX_NS_PER_S); /* another one leads */
    world_cut(w, leader, false);
    world_settle(w, PX_NS_PER_S);
    replica_get_status(w->nodes[leader].replica, &after);
    assert_true(after.commit > before.last.index);
    assert_int_equal(voters_of(w, leader, &members), 3);
    assert_int_equal(members, 3);
    assert_int_equal(a.rc, -PX_EUNKNOWN);
    world_close(w);
}

static void what_is_under_way_at_the_stop_has_no_known_outcome(void **state)
{
    struct world *w = three_and_one(5);
    struct asked a;

    (void)state;
    ask(w, world_leader(w), &a, RAFT_ADD, 4);
    assert_int_equal(a.rc, PENDING);
    world_kill(w, world_leader(w));
    assert_int_equal(a.rc, -PX_EUNKNOWN);
    world_close(w);
}

static void leadership_goes_to_whom_it_is_handed(void **state)
{
    struct world *w = world_open(3, 6);
    struct asked a;
    size_t to;

    (void)state;
    assert_true(world_ready(w));
    to = (world_leader(w) + 2) % 3;
    ask_transfer(w, world_leader(w), &a, to + 1);
    assert_int_equal(answer(w, &a), 0);
    assert_int_equal(world_leader(w), to);
    world_close(w);
}

/* It answered a moment ago, so it is tried. */
static void a_leader_whose_heir_does_not_come_leads_on(void **state)
{
    struct world *w = world_open(3, 7);
    struct asked a;
    size_t leader, to;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    to = (leader + 1) % 3;
    world_cut(w, to, true);
    ask_transfer(w, leader, &a, to + 1);
    assert_int_equal(answer(w, &a), -EAGAIN);
    assert_int_equal(world_leader(w), leader);
    world_close(w);
}

static void new_members_are_told_of_once(void **state)
{
    struct world *w = three_and_one(8);
    size_t leader = world_leader(w);
    unsigned before = w->nodes[leader].configs_told;

    (void)state;
    assert_int_equal(change(w, RAFT_ADD, 4), 0);
    world_settle(w, PX_NS_PER_S);
    assert_int_equal(w->nodes[leader].configs_told, before + 1);
    world_close(w);
}

/* What others hold of a node must not be more than it knows itself. */
static void a_node_with_nothing_on_disk_opens_no_session(void **state)
{
    struct world *w = three_and_one(9);
    struct replica_counters c;

    (void)state;
    w->nodes[3].is_disk_stuck = true;
    assert_int_equal(change(w, RAFT_ADD, 4), 0);
    world_settle(w, PX_NS_PER_S);
    replica_get_counters(w->nodes[3].replica, &c);
    assert_int_equal(c.forwarded, 0);
    assert_true(replica_is_log_empty(w->nodes[3].replica));
    w->nodes[3].is_disk_stuck = false;
    assert_true(world_ready(w));
    assert_false(replica_is_log_empty(w->nodes[3].replica));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_comes_learns_and_votes),
        cmocka_unit_test(a_node_that_is_removed_is_in_no_configuration),
        cmocka_unit_test(whoever_does_not_lead_says_so),
        cmocka_unit_test(
            a_change_by_a_leader_that_is_cut_off_has_no_known_outcome),
        cmocka_unit_test(
            a_change_in_whose_place_others_were_committed_is_not_done),
        cmocka_unit_test(what_is_under_way_at_the_stop_has_no_known_outcome),
        cmocka_unit_test(leadership_goes_to_whom_it_is_handed),
        cmocka_unit_test(a_leader_whose_heir_does_not_come_leads_on),
        cmocka_unit_test(new_members_are_told_of_once),
        cmocka_unit_test(a_node_with_nothing_on_disk_opens_no_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
