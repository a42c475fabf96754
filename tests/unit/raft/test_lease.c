/* raft/lease.c: heartbeat rounds, the lease, check-quorum. */
#include "tests/unit/raft/unit.h"

#include "base/err.h"
#include "tests/unit/raft/rig.h"

/* E (1 - rho) / (1 + rho), by hand for E = 1 s and rho = 1 %. */
#define LEASE UINT64_C(980198019)

static bool has_lease(const struct rig *g, px_ns now)
{
    raft_index index;

    return raft_lease_read(g->raft, now, &index);
}

static void echo(struct rig *g, raft_id from, px_ns stamp, uint64_t round)
{
    rig_msg(g, rig_heartbeat_reply(from, rig_status(g).term, stamp, round,
                                   rig_status(g).last.index));
}

static void a_round_goes_to_every_peer_and_every_heartbeat(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    for (uint64_t round = 1; round < 4; round++) {
        for (raft_id id = 2; id <= 3; id++) {
            const struct raft_msg *m = rig_now(g, id, RAFT_MSG_HEARTBEAT);

            assert_non_null(m);
            assert_int_equal(m->heartbeat.round, round);
            assert_true(m->heartbeat.stamp == g->now);
        }
        assert_true(g->out.deadline <= g->now + RIG_H);
        rig_pass(g, RIG_H - 1);
        assert_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT));
        rig_pass(g, 1);
    }
}

/* ---- The lease (6.4) ---- */

static void a_majoritys_echo_gives_a_lease_from_the_stamp_on(void **s)
{
    struct rig *g = *s;
    px_ns stamp;
    raft_index index;

    stamp = g->now;
    assert_false(has_lease(g, g->now));
    g->now += RIG_H / 2; /* the echo takes a while: that doesn't count */
    echo(g, 2, stamp, 1);
    assert_true(raft_lease_read(g->raft, g->now, &index));
    assert_int_equal(index, 1);
    assert_true(rig_status(g).lease_end == stamp + LEASE);
}

/* The fault: a lease without bound in time. */
static void a_lease_ends_by_the_clock(void **s)
{
    struct rig *g = *s;
    px_ns stamp;

    stamp = g->now;
    echo(g, 2, stamp, 1);
    assert_true(has_lease(g, stamp + LEASE - 1));
    assert_false(has_lease(g, stamp + LEASE));
    assert_false(has_lease(g, stamp + 100 * RIG_E));
}

/* The fault: two acknowledgements of one peer counted as two peers. */
static void one_peers_two_echoes_are_not_two_peers(void **s)
{
    struct rig g;
    px_ns first, second;

    (void)s;
    rig_start_leading(&g, 5);
    first = g.now;
    rig_pass(&g, RIG_H);
    second = g.now;
    echo(&g, 2, first, 1);
    echo(&g, 2, second, 2);
    echo(&g, 2, second, 2);
    assert_false(has_lease(&g, g.now));
    echo(&g, 3, first, 1);
    assert_true(has_lease(&g, g.now));
    /* The end rests on what both have echoed. */
    assert_true(rig_status(&g).lease_end == first + LEASE);
    echo(&g, 4, second, 2);
    assert_true(rig_status(&g).lease_end == second + LEASE);
    rig_close(&g);
}

static void a_late_echo_does_not_move_the_lease_back(void **s)
{
    struct rig *g = *s;
    px_ns first;

    first = g->now;
    rig_pass(g, RIG_H);
    echo(g, 2, g->now, 2);
    echo(g, 2, first, 1);
    assert_true(rig_status(g).lease_end == g->now + LEASE);
}

/* The fault: a lease before the no-op has committed (6.4, step 1). */
static void no_lease_before_the_noop_is_committed(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    rig_sync(g);
    echo(g, 2, g->now, 1);
    echo(g, 3, g->now, 1);
    assert_false(has_lease(g, g->now));
    assert_int_equal(rig_status(g).lease_end, 0);
    rig_accept(g, 2, 1);
    assert_true(has_lease(g, g->now));
}

static void the_echoes_of_an_earlier_term_give_no_lease(void **s)
{
    struct rig *g = *s;
    px_ns stamp;

    stamp = g->now;
    echo(g, 2, stamp, 1);
    assert_true(has_lease(g, g->now));
    rig_pass(g, RIG_E); /* nobody is heard: it steps down, and leads anew */
    assert_false(has_lease(g, stamp));
    rig_lead_and_commit(g);
    assert_int_equal(rig_status(g).term, 2);
    assert_false(has_lease(g, g->now));
    rig_msg(g, rig_heartbeat_reply(2, 1, stamp, 1, 1)); /* term 1's, late */
    rig_msg(g, rig_heartbeat_reply(2, 2, stamp, 1, 1)); /* never sent */
    assert_int_equal(rig_status(g).lease_end, 0);
}

/* The same, without the time that an election takes: leadership goes to
 * another and comes back by transfers. */
static void echoes_do_not_outlive_their_term_within_e_either(void **s)
{
    struct raft_msg transfer = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 2};
    struct rig g;

    (void)s;
    rig_start_leading(&g, 5);
    echo(&g, 2, g.now, 1);
    echo(&g, 3, g.now, 1);
    assert_true(has_lease(&g, g.now));
    rig_msg(&g, rig_heartbeat(2, 2, POS(0, 0), 0, 1));
    rig_msg(&g, transfer);
    rig_sync(&g);
    rig_msg(&g, rig_vote_reply(2, 3, true));
    rig_msg(&g, rig_vote_reply(3, 3, true));
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    rig_sync(&g);
    rig_accept(&g, 2, rig_status(&g).last.index);
    rig_accept(&g, 3, rig_status(&g).last.index);
    assert_true(rig_status(&g).can_serve);
    g.now += 1;
    rig_pass(&g, RIG_H);
    echo(&g, 4, g.now, 2); /* one of the two that it takes */
    assert_false(has_lease(&g, g.now));
    echo(&g, 2, g.now, 2);
    assert_true(has_lease(&g, g.now));
    rig_close(&g);
}

static void a_stamp_from_the_future_is_not_believed(void **s)
{
    struct rig *g = *s;

    echo(g, 2, g->now + RIG_E, 1);
    echo(g, 2, g->now, 2); /* no such round was sent */
    echo(g, 2, g->now, 0);
    assert_int_equal(rig_status(g).lease_end, 0);
    assert_int_equal(rig_status(g).refused, 3);
}

static void a_learners_echo_does_not_count(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 4);
    g.options.config.members[3].role = RAFT_LEARNER;
    rig_open(&g);
    rig_lead_and_commit(&g);
    echo(&g, 4, g.now, 1);
    assert_int_equal(rig_status(&g).lease_end, 0);
    rig_close(&g);
}

static void a_deposed_leader_has_no_lease(void **s)
{
    struct rig *g = *s;

    echo(g, 2, g->now, 1);
    rig_msg(g, rig_heartbeat(3, 2, POS(0, 0), 0, 1));
    assert_false(has_lease(g, g->now));
}

static void a_sole_voters_lease_has_no_end_once_it_has_committed(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    assert_false(has_lease(&g, g.now));
    rig_sync(&g);
    assert_true(has_lease(&g, g.now));
    rig_pass(&g, 100 * RIG_E);
    assert_true(has_lease(&g, g.now));
    rig_close(&g);
}

/* ---- Check-quorum ---- */

static void a_leader_that_hears_no_majority_for_e_steps_down_silently(void **s)
{
    struct rig g;

    (void)s;
    rig_start_leading(&g, 5);
    g.now += RIG_H;
    rig_accept(&g, 2, 1); /* one peer alone stays in touch */
    rig_pass(&g, RIG_E - RIG_H - 1);
    rig_accept(&g, 2, 1);
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    rig_pass(&g, 1);
    assert_int_equal(rig_status(&g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(&g).leader, 0);
    assert_int_equal(rig_status(&g).term, 1);
    assert_int_equal(g.out.now.count + g.out.after.count, 0);
    rig_close(&g);
}

static void a_leader_in_touch_with_a_majority_stays(void **s)
{
    struct rig g;

    (void)s;
    rig_start_leading(&g, 5);
    for (uint64_t i = 0; i < 50; i++) {
        g.now += RIG_E - 1;
        rig_accept(&g, 2 + i % 2, 1);
        rig_accept(&g, 4 + i % 2, 1);
        rig_pass(&g, 0);
        assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    }
    rig_close(&g);
}

static void proposals_are_refused_in_the_step_that_finds_no_majority(void **s)
{
    struct rig *g = *s;

    g->now += RIG_E;
    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, -PX_ENOTLEADER);
    assert_int_equal(g->out.append_count, 0);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
}

static void a_leader_wakes_up_in_time_to_step_down(void **s)
{
    struct rig *g = *s;
    px_ns heard;

    g->now += RIG_H / 2; /* between two heartbeats */
    rig_accept(g, 2, 1);
    heard = g->now;
    for (int i = 0; i < 20 && rig_status(g).role == RAFT_LEADER; i++)
        rig_pass(g, g->out.deadline - g->now);
    assert_true(g->now == heard + RIG_E);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_round_goes_to_every_peer_and_every_heartbeat, rig_three),
        rig_unit(a_majoritys_echo_gives_a_lease_from_the_stamp_on,
                 rig_three_leading),
        rig_unit(a_lease_ends_by_the_clock, rig_three_leading),
        unit(one_peers_two_echoes_are_not_two_peers),
        rig_unit(a_late_echo_does_not_move_the_lease_back, rig_three_leading),
        rig_unit(no_lease_before_the_noop_is_committed, rig_three),
        rig_unit(the_echoes_of_an_earlier_term_give_no_lease,
                 rig_three_leading),
        unit(echoes_do_not_outlive_their_term_within_e_either),
        rig_unit(a_stamp_from_the_future_is_not_believed, rig_three_leading),
        unit(a_learners_echo_does_not_count),
        rig_unit(a_deposed_leader_has_no_lease, rig_three_leading),
        unit(a_sole_voters_lease_has_no_end_once_it_has_committed),
        unit(a_leader_that_hears_no_majority_for_e_steps_down_silently),
        unit(a_leader_in_touch_with_a_majority_stays),
        rig_unit(proposals_are_refused_in_the_step_that_finds_no_majority,
                 rig_three_leading),
        rig_unit(a_leader_wakes_up_in_time_to_step_down, rig_three_leading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
