/* raft/disk.c: a leader whose disk is stuck makes way. */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "tests/unit/raft/rig.h"

#define PATIENCE (RIG_E / 2)

static bool has_sent(const struct rig *g)
{
    return rig_any(g, 2, RAFT_MSG_HEARTBEAT) != NULL ||
           rig_any(g, 2, RAFT_MSG_APPEND) != NULL;
}

/* Time passes by heartbeats, each answered by both peers. */
static void pass_with_echoes(struct rig *g, px_ns duration)
{
    for (px_ns end = g->now + duration; g->now < end;) {
        bool is_asked;

        rig_pass(g, RIG_H);
        is_asked = rig_now(g, 2, RAFT_MSG_HEARTBEAT) != NULL;
        for (raft_id id = 2; is_asked && id <= 3; id++)
            rig_beat(g, id, rig_status(g).last.index);
    }
}

static void
a_leader_falls_silent_when_nothing_was_flushed_for_half_of_e(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1); /* handed to the disk, which never answers */
    pass_with_echoes(g, PATIENCE - RIG_H);
    assert_true(g->now < RIG_START + 100 * RIG_E);
    rig_pass(g, RIG_H - 1);
    rig_pass(g, 1);
    assert_false(has_sent(g));
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    for (int i = 0; i < 3; i++) {
        rig_pass(g, RIG_H);
        assert_false(has_sent(g));
    }
    rig_accept(g, 2, 2); /* a follower's answer makes it say nothing either */
    assert_false(has_sent(g));
    rig_unreachable(g, 2);
    assert_false(has_sent(g));
}

static void a_disk_that_owes_nothing_is_not_stuck(void **s)
{
    struct rig *g = *s;

    pass_with_echoes(g, 4 * RIG_E);
    rig_pass(g, RIG_H);
    assert_true(has_sent(g));
    rig_propose(g, "a", 1); /* the first write in a long time */
    assert_int_equal(g->rc, 0);
    rig_pass(g, RIG_H);
    assert_true(has_sent(g));
}

/* One write or another comes back: it is slow, and not stuck. */
static void a_disk_that_is_slow_but_moves_is_not_stuck(void **s)
{
    struct rig *g = *s;
    struct raft_write write;

    rig_propose(g, "a", 1);
    for (int i = 0; i < 20; i++) {
        write = g->write;
        rig_propose(g, "b", 1); /* there is always one out */
        assert_int_equal(g->rc, 0);
        pass_with_echoes(g, PATIENCE - RIG_H);
        rig_write_done(g, write);
        rig_pass(g, RIG_H);
        assert_true(has_sent(g));
    }
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
}

static void a_silent_leader_takes_no_proposal(void **s)
{
    struct rig *g = *s;
    raft_index last;

    rig_propose(g, "a", 1);
    rig_pass(g, PATIENCE);
    last = rig_status(g).last.index;
    rig_propose(g, "b", 1);
    assert_int_equal(g->rc, -EAGAIN);
    assert_int_equal(rig_status(g).last.index, last);
}

static void a_flush_makes_it_speak_at_once(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1);
    rig_pass(g, PATIENCE + RIG_H);
    rig_unreachable(g, 2);
    assert_false(has_sent(g));
    rig_sync(g);
    assert_non_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT));
    assert_non_null(rig_now(g, 3, RAFT_MSG_HEARTBEAT));
    rig_propose(g, "b", 1);
    assert_int_equal(g->rc, 0);
    assert_non_null(rig_now(g, 3, RAFT_MSG_APPEND));
}

/* A round that was not sent proves nothing, whoever echoes what. */
static void a_read_of_a_silent_leader_waits_for_a_round_that_was_sent(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1);
    pass_with_echoes(g, PATIENCE - RIG_H);
    rig_pass(g, RIG_E - 1); /* without a lease by now */
    rig_read(g, 1);
    assert_int_equal(g->out.reads.id, 0);
    rig_sync(g);
    assert_int_equal(g->out.reads.id, 0);
    rig_beat(g, 2, 2);
    assert_int_equal(g->out.reads.id, 1);
}

static void it_steps_down_and_does_not_campaign(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1);
    for (int i = 0; i < 100; i++) {
        rig_pass(g, RIG_H);
        assert_null(rig_any(g, 2, RAFT_MSG_PRE_VOTE));
        assert_null(rig_any(g, 2, RAFT_MSG_VOTE));
    }
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).term, 1);
    rig_sync(g);
    rig_pass(g, 2 * RIG_E);
    assert_non_null(rig_any(g, 2, RAFT_MSG_PRE_VOTE));
}

static void told_to_take_over_it_does_not(void **s)
{
    struct rig *g = *s;
    struct raft_entry e = rig_entry(1, 1);
    struct raft_msg m = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1};

    rig_follow(g, 2, 1);
    rig_sync(g);
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    rig_pass(g, PATIENCE);
    rig_msg(g, m);
    assert_int_equal(rig_status(g).term, 1);
    rig_sync(g);
    rig_msg(g, m);
    assert_int_equal(rig_status(g).term, 2);
}

/* ---- Who could go on at once ---- */

static bool has_told(const struct rig *g, raft_id id)
{
    return rig_any(g, id, RAFT_MSG_TIMEOUT_NOW) != NULL;
}

/* An entry that is not flushed here; its last heartbeat before E/2. */
static void propose_and_wait(struct rig *g)
{
    rig_propose(g, "a", 1);
    pass_with_echoes(g, PATIENCE - RIG_H);
}

static void one_that_holds_all_of_the_log_is_told_to_take_over(void **s)
{
    struct rig *g = *s;
    raft_index index;

    rig_propose(g, "a", 1);
    rig_accept(g, 2, 2);
    pass_with_echoes(g, PATIENCE - RIG_H);
    assert_false(has_told(g, 2));
    assert_true(raft_lease_read(g->raft, g->now, &index));
    rig_pass(g, RIG_H);
    assert_true(has_told(g, 2));
    assert_false(has_told(g, 3));
    assert_false(has_sent(g)); /* and nothing else */
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    assert_int_equal(rig_status(g).transfer, 2);
    assert_false(raft_lease_read(g->raft, g->now, &index));
    assert_int_equal(rig_status(g).commit, 1); /* its own copy is none yet */
    rig_propose(g, "b", 1);
    assert_int_equal(g->rc, -EAGAIN);
    rig_pass(g, RIG_H);
    assert_false(has_told(g, 2)); /* once */
}

static void one_that_can_not_apply_tells_another_too(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1);
    rig_sync(g);
    rig_accept(g, 2, 2);
    assert_int_equal(g->out.commit, 2);
    pass_with_echoes(g, RIG_E - RIG_H);
    assert_false(has_told(g, 2));
    rig_pass(g, RIG_H);
    assert_true(has_told(g, 2));
}

/* To whom it would have to send first, it does not hand over: it is silent. */
static void one_that_lacks_something_is_told_when_it_has_it(void **s)
{
    struct rig *g = *s;

    propose_and_wait(g);
    rig_pass(g, RIG_H);
    assert_false(has_told(g, 2) || has_told(g, 3));
    assert_int_equal(rig_status(g).transfer, 0);
    rig_pass(g, RIG_H);
    rig_accept(g, 3, 2);
    assert_true(has_told(g, 3));
    assert_false(has_sent(g));
}

static void who_would_not_take_over_is_not_told(void **s)
{
    struct rig *g = *s;

    propose_and_wait(g);
    rig_accept(g, 2, 2);
    rig_beat_unfit(g, 2);
    rig_pass(g, RIG_H);
    assert_false(has_told(g, 2));
    assert_false(has_sent(g));
}

/* Then it is silence that makes way, as where there is none to be told. */
static void those_that_hold_all_are_told_once_each(void **s)
{
    struct rig *g = *s;
    unsigned told[2] = {0};

    propose_and_wait(g);
    rig_accept(g, 2, 2);
    rig_accept(g, 3, 2); /* it is committed, and not flushed here */
    for (int i = 0; i < 200; i++) {
        rig_pass(g, RIG_H / 10);
        told[0] += has_told(g, 2);
        told[1] += has_told(g, 3);
        assert_false(has_sent(g));
    }
    assert_int_equal(told[0], 1);
    assert_int_equal(told[1], 1);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).transfer, 0);
}

/* It has no lease in this term; and if it hangs again, somebody is told again. */
static void a_disk_that_comes_back_in_time_lets_it_lead_on(void **s)
{
    struct rig *g = *s;
    raft_index index;

    propose_and_wait(g);
    rig_accept(g, 2, 2);
    rig_pass(g, RIG_H);
    assert_true(has_told(g, 2));
    rig_sync(g);
    assert_true(has_sent(g));
    assert_int_equal(rig_status(g).commit, 2);
    rig_applied(g, 2);
    pass_with_echoes(g, RIG_E + RIG_H);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    assert_int_equal(rig_status(g).transfer, 0);
    assert_false(raft_lease_read(g->raft, g->now, &index));
    propose_and_wait(g);
    assert_int_equal(g->rc, 0);
    rig_accept(g, 2, 3);
    rig_pass(g, RIG_H);
    assert_true(has_told(g, 2));
}

/* The other one needs no vote of ours, and gets it when it is durable. */
static void the_vote_for_who_was_told_waits_for_the_disk(void **s)
{
    struct rig *g = *s;
    struct raft_msg vote;

    propose_and_wait(g);
    rig_accept(g, 2, 2);
    rig_pass(g, RIG_H);
    assert_true(has_told(g, 2));
    vote = rig_vote(2, 2, POS(1, 2));
    vote.vote.is_transfer = true;
    rig_msg(g, vote);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE_REPLY));
    assert_true(rig_after(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_true(g->out.after_seq == g->out.write.seq);
}

/* ---- The state, on the same disk ---- */

/* Committed, and flushed here: nothing but the state machine is behind. */
static void commit_one(struct rig *g)
{
    rig_propose(g, "a", 1);
    rig_sync(g);
    rig_accept(g, 2, 2);
    assert_int_equal(g->out.commit, 2);
}

static void a_leader_that_can_not_apply_falls_silent_too(void **s)
{
    struct rig *g = *s;

    commit_one(g);
    pass_with_echoes(g, RIG_E - 2 * RIG_H);
    rig_pass(g, RIG_H);
    assert_true(has_sent(g));
    rig_beat_unfit(g, 2); /* nobody could go on instead */
    rig_beat_unfit(g, 3);
    rig_pass(g, RIG_H);
    assert_false(has_sent(g));
    rig_propose(g, "b", 1);
    assert_int_equal(g->rc, -EAGAIN);
    rig_applied(g, 2);
    assert_true(has_sent(g));
    rig_propose(g, "b", 1);
    assert_int_equal(g->rc, 0);
}

static void who_can_not_apply_does_not_campaign(void **s)
{
    struct rig *g = *s;

    commit_one(g);
    for (int i = 0; i < 100; i++) {
        rig_pass(g, RIG_H);
        assert_null(rig_any(g, 2, RAFT_MSG_PRE_VOTE));
    }
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_applied(g, 2);
    rig_pass(g, 2 * RIG_E);
    assert_non_null(rig_any(g, 2, RAFT_MSG_PRE_VOTE));
}

/* A long way to go, in steps: each shows that it gets on. */
static void who_applies_slowly_is_not_stuck(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 10; i++)
        rig_propose(g, "a", 1);
    rig_sync(g);
    rig_accept(g, 2, 11);
    for (raft_index i = 2; i <= 11; i++) {
        pass_with_echoes(g, RIG_E - 2 * RIG_H);
        rig_pass(g, RIG_H);
        assert_true(has_sent(g));
        rig_applied(g, i);
    }
    pass_with_echoes(g, 3 * RIG_E); /* and who has applied all is not */
    rig_pass(g, RIG_H);
    assert_true(has_sent(g));
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
}

/* ---- Others ---- */

/* It knows who it would vote for; the vote itself waits for the disk. */
static void it_agrees_to_others(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "a", 1);
    rig_pass(g, 3 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_msg(g, rig_pre_vote(2, 2, POS(1, 2)));
    assert_true(rig_now(g, 2, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(g, rig_vote(2, 2, POS(1, 2)));
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE_REPLY));
    assert_true(rig_after(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_follower_with_a_stuck_disk_still_answers_heartbeats(void **s)
{
    struct rig *g = *s;
    struct raft_entry e = rig_entry(1, 1);

    rig_follow(g, 2, 1);
    rig_sync(g);
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    assert_null(rig_now(g, 2, RAFT_MSG_APPEND_REPLY));
    rig_pass(g, RIG_E - 1);
    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 2));
    assert_non_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT_REPLY));
}

static void a_sole_voter_waits(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    rig_sync(&g);
    rig_propose(&g, "a", 1);
    rig_pass(&g, 100 * RIG_E);
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    rig_propose(&g, "b", 1);
    assert_int_equal(g.rc, 0);
    rig_sync(&g);
    assert_int_equal(rig_status(&g).commit, 3);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_leader_falls_silent_when_nothing_was_flushed_for_half_of_e,
                 rig_three_leading),
        rig_unit(a_disk_that_owes_nothing_is_not_stuck, rig_three_leading),
        rig_unit(a_disk_that_is_slow_but_moves_is_not_stuck, rig_three_leading),
        rig_unit(a_silent_leader_takes_no_proposal, rig_three_leading),
        rig_unit(a_flush_makes_it_speak_at_once, rig_three_leading),
        rig_unit(a_read_of_a_silent_leader_waits_for_a_round_that_was_sent,
                 rig_three_leading),
        rig_unit(it_steps_down_and_does_not_campaign, rig_three_leading),
        rig_unit(told_to_take_over_it_does_not, rig_three),
        rig_unit(one_that_holds_all_of_the_log_is_told_to_take_over,
                 rig_three_leading),
        rig_unit(one_that_can_not_apply_tells_another_too, rig_three_leading),
        rig_unit(one_that_lacks_something_is_told_when_it_has_it,
                 rig_three_leading),
        rig_unit(who_would_not_take_over_is_not_told, rig_three_leading),
        rig_unit(those_that_hold_all_are_told_once_each, rig_three_leading),
        rig_unit(a_disk_that_comes_back_in_time_lets_it_lead_on,
                 rig_three_leading),
        rig_unit(the_vote_for_who_was_told_waits_for_the_disk,
                 rig_three_leading),
        rig_unit(a_leader_that_can_not_apply_falls_silent_too,
                 rig_three_leading),
        rig_unit(who_can_not_apply_does_not_campaign, rig_three_leading),
        rig_unit(who_applies_slowly_is_not_stuck, rig_three_leading),
        rig_unit(it_agrees_to_others, rig_three_leading),
        rig_unit(a_follower_with_a_stuck_disk_still_answers_heartbeats,
                 rig_three),
        cmocka_unit_test(a_sole_voter_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
