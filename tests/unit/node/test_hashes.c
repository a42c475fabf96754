/* node/hashes.c: who is found to differ, and who is not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/replica_core.h"
#include "tests/unit/node/world.h"

#define EVERY 16u
#define LONG (60 * PX_NS_PER_S)

static unsigned made; /* names that were used */

/* @count commands, each acknowledged; by nodes that run and are sound. */
static void write_some(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct world_request q;
        char name[16];

        (void)snprintf(name, sizeof name, "n%u", made++);
        world_mkdir(w, world_leader(w), name, &q);
        assert_true(world_wait(w, &q));
        assert_int_equal(q.rc, 0);
        assert_int_equal(q.result.rc, 0);
    }
}

static struct replica_counters counters(const struct world *w, size_t node)
{
    struct replica_counters c;

    replica_get_counters(w->nodes[node].replica, &c);
    return c;
}

static bool is_quarantined(const struct world *w, size_t node)
{
    return w->nodes[node].replica != NULL &&
           replica_is_quarantined(w->nodes[node].replica);
}

static bool any_quarantined(struct world *w, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < w->node_count; i++) {
        if (is_quarantined(w, i))
            return true;
    }
    return false;
}

static bool none_quarantined(struct world *w, void *ctx)
{
    return !any_quarantined(w, ctx);
}

/* Nobody's transfers arrive: who is in quarantine stays there. */
static bool loses_transfers(const struct world_msg *m)
{
    return m->type == WORLD_TRANSFER;
}

static void nodes_that_do_the_same_find_their_states_equal(void **state)
{
    struct world *w = world_open_comparing(3, 1, EVERY);

    (void)state;
    assert_true(world_ready(w));
    write_some(w, 4 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++) {
        assert_true(counters(w, i).hashes_equal >= 3);
        assert_int_equal(counters(w, i).hashes_undecided, 0);
        assert_int_equal(counters(w, i).divergences, 0);
    }
    world_close(w);
}

/* What the comparison itself writes is no reason for another one. */
static void where_nobody_writes_nothing_is_compared(void **state)
{
    struct world *w = world_open_comparing(5, 2, EVERY);
    struct raft_status before;
    struct raft_status after;

    (void)state;
    assert_true(world_ready(w));
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, LONG));
    replica_get_status(w->nodes[0].replica, &before);
    assert_true(world_settle(w, LONG));
    replica_get_status(w->nodes[0].replica, &after);
    assert_int_equal(after.last.index, before.last.index);
    world_close(w);
}

static void expect_found(struct world *w, size_t node)
{
    w->loses = loses_transfers;
    world_diverge(w, node);
    write_some(w, EVERY);
    assert_true(world_run(w, LONG, any_quarantined, NULL));
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < w->node_count; i++)
        assert_int_equal(is_quarantined(w, i), i == node);
    assert_int_equal(counters(w, node).divergences, 1);
}

static void a_follower_that_differs_is_found_and_nobody_else(void **state)
{
    struct world *w = world_open_comparing(3, 3, EVERY);

    (void)state;
    assert_true(world_ready(w));
    expect_found(w, (world_leader(w) + 1) % 3);
    write_some(w, 2 * EVERY);
    world_close(w);
}

/* The leader's word is one of many. */
static void a_leader_that_differs_is_found_and_leads_no_more(void **state)
{
    struct world *w = world_open_comparing(3, 4, EVERY);
    size_t old;

    (void)state;
    assert_true(world_ready(w));
    old = world_leader(w);
    w->loses = loses_transfers;
    world_diverge(w, old);
    for (unsigned i = 0; i < 2 * EVERY && !is_quarantined(w, old); i++) {
        struct world_request q;
        char name[16];

        (void)snprintf(name, sizeof name, "l%u", i);
        world_mkdir(w, (old + 1) % 3, name, &q);
        assert_true(world_wait(w, &q));
    }
    assert_true(is_quarantined(w, old));
    assert_true(world_settle(w, LONG));
    assert_true(world_leader(w) != old && world_leader(w) < 3);
    assert_false(is_quarantined(w, (old + 1) % 3));
    assert_false(is_quarantined(w, (old + 2) % 3));
    write_some(w, 2 * EVERY);
    world_close(w);
}

/* Four of five are enough to find one. */
static void a_node_that_is_down_hinders_nobody(void **state)
{
    struct world *w = world_open_comparing(5, 5, EVERY);
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    world_kill(w, (leader + 1) % 5);
    expect_found(w, (leader + 2) % 5);
    world_close(w);
}

static void two_nodes_that_differ_say_so_and_go_on(void **state)
{
    struct world *w = world_open_comparing(2, 6, EVERY);

    (void)state;
    assert_true(world_ready(w));
    world_diverge(w, 0);
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 2; i++) {
        assert_true(counters(w, i).hashes_undecided > 0);
        assert_int_equal(counters(w, i).divergences, 0);
        assert_false(is_quarantined(w, i));
    }
    write_some(w, 1);
    world_close(w);
}

static void two_of_three_that_differ_wait_for_the_third_to_decide(void **state)
{
    struct world *w = world_open_comparing(3, 7, EVERY);
    size_t leader;
    size_t wrong;
    size_t away;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    wrong = (leader + 1) % 3;
    away = (leader + 2) % 3;
    world_kill(w, away);
    world_diverge(w, wrong);
    write_some(w, 3 * EVERY);
    assert_false(any_quarantined(w, NULL));
    assert_true(counters(w, leader).hashes_undecided > 0);
    assert_true(counters(w, wrong).hashes_undecided > 0);
    w->loses = loses_transfers;
    world_start(w, away);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    write_some(w, EVERY);
    assert_true(world_run(w, LONG, any_quarantined, NULL));
    assert_true(is_quarantined(w, wrong));
    assert_false(is_quarantined(w, leader));
    assert_false(is_quarantined(w, away));
    world_close(w);
}

/* Old claims come by again, of its own too, and of points that it has passed
 * or not: none is held against it. */
static void a_node_that_was_away_meets_old_claims_without_alarm(void **state)
{
    struct world *w = world_open_comparing(3, 8, EVERY);
    size_t away;

    (void)state;
    assert_true(world_ready(w));
    away = (world_leader(w) + 1) % 3;
    for (int round = 0; round < 4; round++) {
        write_some(w, EVERY - 3);
        world_kill(w, away);
        write_some(w, 5 * EVERY);
        world_start(w, away);
        assert_true(world_settle(w, 10 * PX_NS_PER_S));
    }
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++) {
        assert_true(counters(w, i).hashes_equal > 0);
        assert_int_equal(counters(w, i).divergences, 0);
        assert_int_equal(counters(w, i).hashes_undecided, 0);
    }
    world_close(w);
}

/* After a crash of its machine, say. */
static void a_node_that_replays_its_log_meets_no_alarm(void **state)
{
    struct world *w = world_open_comparing(3, 9, EVERY);
    size_t back;

    (void)state;
    assert_true(world_ready(w));
    back = (world_leader(w) + 1) % 3;
    write_some(w, 5 * EVERY);
    world_kill(w, back);
    world_lose_state(w, back);
    world_start(w, back);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    assert_true(counters(w, back).hashes_equal >= 5);
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_true(counters(w, back).hashes_equal >= 7);
    assert_int_equal(counters(w, back).divergences, 0);
    assert_int_equal(counters(w, back).hashes_undecided, 0);
    world_close(w);
}

/* ---- A state of another node's ---- */

/* Three nodes, of which the leader is wrong: node @sound says so. The third
 * comes back, the log it lacks is gone, and it is given the leader's state. */
static struct world *give_wrong_state(uint64_t seed, size_t *sound)
{
    struct world *w = world_open_comparing(3, seed, EVERY);
    size_t wrong;
    size_t given;

    assert_true(world_ready(w));
    wrong = world_leader(w);
    *sound = (wrong + 1) % 3;
    given = (wrong + 2) % 3;
    world_kill(w, given);
    world_diverge(w, wrong);
    write_some(w, 3 * EVERY);
    replica_want_snapshot(w->nodes[wrong].replica);
    assert_true(world_settle(w, PX_NS_PER_S));
    world_start(w, given);
    assert_true(world_ready(w));
    assert_int_equal(world_leader(w), wrong);
    assert_int_equal(counters(w, given).snapshots_installed, 1);
    return w;
}

static void expect_undecided(struct world *w)
{
    assert_true(world_settle(w, LONG));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(counters(w, i).divergences, 0);
        assert_true(counters(w, i).hashes_undecided > 0);
    }
}

static void a_state_that_was_given_to_another_is_one_witness(void **state)
{
    size_t sound;
    struct world *w = give_wrong_state(10, &sound);

    (void)state;
    write_some(w, 4 * EVERY);
    expect_undecided(w);
    world_close(w);
}

static void who_objects_is_remembered_while_it_is_away(void **state)
{
    size_t sound;
    struct world *w = give_wrong_state(11, &sound);

    (void)state;
    write_some(w, 2 * EVERY);
    world_kill(w, sound);
    write_some(w, 4 * EVERY);
    world_start(w, sound);
    assert_true(world_ready(w));
    write_some(w, 2 * EVERY);
    expect_undecided(w);
    world_close(w);
}

static void a_node_that_was_rebuilt_claims_again(void **state)
{
    struct world *w = world_open_comparing(3, 12, EVERY);
    uint64_t equal;
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    expect_found(w, (leader + 1) % 3);
    w->loses = NULL;
    assert_true(world_run(w, LONG, none_quarantined, NULL));
    assert_true(world_ready(w));
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    equal = counters(w, leader).hashes_equal;
    world_kill(w, (leader + 2) % 3); /* the two are a majority */
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_true(counters(w, leader).hashes_equal > equal);
    world_close(w);
}

/* Node @node is cut off until there is no log for it any more. */
static void give_state(struct world *w, size_t node)
{
    uint64_t installed = counters(w, node).snapshots_installed;

    world_cut(w, node, true);
    assert_true(world_settle(w, 10 * PX_NS_PER_S)); /* another one leads */
    write_some(w, 1);
    replica_want_snapshot(w->nodes[world_leader(w)].replica);
    assert_true(world_settle(w, PX_NS_PER_S));
    world_cut(w, node, false);
    assert_true(world_settle(w, 10 * PX_NS_PER_S));
    assert_int_equal(counters(w, node).snapshots_installed, installed + 1);
}

/* As in a young cluster, where all but one were given that one's state. */
static void who_was_given_a_state_claims_where_nobody_objects(void **state)
{
    struct world *w = world_open_comparing(3, 13, EVERY);
    uint64_t equal;
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    give_state(w, (leader + 1) % 3);
    assert_int_equal(world_leader(w), leader);
    equal = counters(w, leader).hashes_equal;
    world_kill(w, (leader + 2) % 3);
    write_some(w, 4 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_true(counters(w, leader).hashes_equal > equal);
    world_close(w);
}

/* One of five differs, and three outvote it: then a fourth claims, too. */
static void who_was_given_a_state_that_a_majority_has_claims(void **state)
{
    struct world *w = world_open_comparing(5, 15, EVERY);
    uint64_t equal;
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    give_state(w, (leader + 1) % 5);
    assert_int_equal(world_leader(w), leader);
    expect_found(w, (leader + 2) % 5);
    equal = counters(w, leader).hashes_equal;
    world_kill(w, (leader + 3) % 5);
    write_some(w, 2 * EVERY);
    assert_true(world_settle(w, PX_NS_PER_S));
    assert_true(counters(w, leader).hashes_equal > equal);
    world_close(w);
}

/* None is the first to speak; so, after a while, all are. */
static void where_all_were_given_states_they_claim_again(void **state)
{
    const unsigned every = 8 * EVERY;
    struct world *w = world_open_comparing(3, 14, every);
    size_t leader;

    (void)state;
    assert_true(world_ready(w));
    leader = world_leader(w);
    for (size_t i = 1; i <= 3; i++)
        give_state(w, (leader + i) % 3);
    write_some(w, HASH_POINTS * every);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(counters(w, i).hashes_equal, 0);
    write_some(w, 2 * every);
    assert_true(world_settle(w, PX_NS_PER_S));
    for (size_t i = 0; i < 3; i++)
        assert_true(counters(w, i).hashes_equal > 0);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_that_do_the_same_find_their_states_equal),
        cmocka_unit_test(where_nobody_writes_nothing_is_compared),
        cmocka_unit_test(a_follower_that_differs_is_found_and_nobody_else),
        cmocka_unit_test(a_leader_that_differs_is_found_and_leads_no_more),
        cmocka_unit_test(a_node_that_is_down_hinders_nobody),
        cmocka_unit_test(two_nodes_that_differ_say_so_and_go_on),
        cmocka_unit_test(two_of_three_that_differ_wait_for_the_third_to_decide),
        cmocka_unit_test(a_node_that_was_away_meets_old_claims_without_alarm),
        cmocka_unit_test(a_node_that_replays_its_log_meets_no_alarm),
        cmocka_unit_test(a_state_that_was_given_to_another_is_one_witness),
        cmocka_unit_test(who_objects_is_remembered_while_it_is_away),
        cmocka_unit_test(a_node_that_was_rebuilt_claims_again),
        cmocka_unit_test(who_was_given_a_state_claims_where_nobody_objects),
        cmocka_unit_test(who_was_given_a_state_that_a_majority_has_claims),
        cmocka_unit_test(where_all_were_given_states_they_claim_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
