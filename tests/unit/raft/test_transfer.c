/* raft/transfer.c: leadership is handed over (3.10). */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "base/err.h"
#include "tests/unit/raft/rig.h"

static bool has_lease(const struct rig *g)
{
    raft_index index;

    return raft_lease_read(g->raft, g->now, &index);
}

/* Leads, both peers hold all, and have just been heard of. */
static void lead_three(struct rig *g)
{
    rig_three_leading(g);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, rig_status(g).last.index);
    rig_beat(g, 3, rig_status(g).last.index);
    rig_accept(g, 2, rig_status(g).last.index);
    rig_accept(g, 3, rig_status(g).last.index);
    assert_true(has_lease(g));
}

/* ... but for one entry that peer 3 alone has acknowledged. */
static void lead_three_one_ahead(struct rig *g)
{
    lead_three(g);
    rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 3, rig_status(g).last.index);
}

static void one_who_holds_all_is_told_at_once(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_int_equal(g->rc, 0);
    assert_non_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    assert_null(rig_now(g, 3, RAFT_MSG_TIMEOUT_NOW));
    assert_int_equal(rig_status(g).transfer, 2);
}

static void one_who_lacks_something_is_told_when_it_has_it(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_int_equal(g->rc, 0);
    assert_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    rig_accept(g, 2, rig_status(g).last.index);
    assert_non_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    rig_accept(g, 2, rig_status(g).last.index);
    assert_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW)); /* once */
}

static void without_a_name_it_goes_to_whoever_lacks_least(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 0);
    assert_int_equal(g->rc, 0);
    assert_non_null(rig_now(g, 3, RAFT_MSG_TIMEOUT_NOW));
}

static void there_is_no_lease_once_the_other_was_told(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_false(has_lease(g));
    rig_pass(g, RIG_H); /* nor does a new echo give one, in this term */
    rig_beat(g, 2, rig_status(g).last.index);
    rig_beat(g, 3, rig_status(g).last.index);
    assert_false(has_lease(g));
    rig_pass(g, RIG_E - 1); /* nor is there one when it has been given up */
    rig_beat(g, 3, rig_status(g).last.index);
    assert_int_equal(rig_status(g).transfer, 0);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    assert_false(has_lease(g));
}

static void the_lease_goes_on_while_the_other_is_not_told(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_true(has_lease(g));
}

static void proposals_are_refused_meanwhile(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, -EAGAIN);
}

static void it_is_given_up_after_an_election_timeout(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_true(g->out.deadline <= g->now + RIG_E);
    for (int i = 0; i < 9; i++) {
        rig_pass(g, RIG_H);
        rig_beat(g, 3, rig_status(g).last.index);
    }
    assert_int_equal(rig_status(g).transfer, 2);
    rig_pass(g, RIG_H);
    assert_int_equal(rig_status(g).transfer, 0);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, 0);
}

static void the_other_is_voted_for_in_spite_of_all_promises(void **s)
{
    struct rig *g = *s;
    raft_term term = rig_status(g).term;
    struct raft_msg vote = rig_vote(2, term + 1, rig_status(g).last);

    rig_transfer(g, 2);
    vote.vote.is_transfer = true;
    rig_msg(g, vote);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).transfer, 0);
    assert_int_equal(rig_status(g).voted_for, 2);
}

static void a_new_term_has_its_lease_again(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    rig_msg(g, rig_heartbeat(3, rig_status(g).term + 1, POS(0, 0), 0, 1));
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_sync(g);
    rig_lead(g);
    rig_sync(g);
    rig_accept(g, 2, rig_status(g).last.index);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, rig_status(g).last.index);
    assert_true(has_lease(g));
}

static void who_was_not_heard_of_is_not_asked(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 11; i++) {
        rig_pass(g, RIG_H);
        rig_beat(g, 3, rig_status(g).last.index);
    }
    rig_transfer(g, 2);
    assert_int_equal(g->rc, -EAGAIN);
    assert_int_equal(rig_status(g).transfer, 0);
    rig_transfer(g, 0);
    assert_int_equal(g->rc, 0);
    assert_int_equal(rig_status(g).transfer, 3);
}

/* ---- Who can't lead ---- */

static bool says_unfit(struct rig *g)
{
    const struct raft_msg *m;

    rig_msg(g, rig_heartbeat(2, rig_status(g).term, POS(0, 0), 0, 1));
    m = rig_any(g, 2, RAFT_MSG_HEARTBEAT_REPLY);
    assert_non_null(m);
    return m->heartbeat_reply.is_unfit;
}

static void a_follower_says_whether_it_would_take_over(void **s)
{
    struct rig *g = *s;
    struct raft_entry e = rig_entry(1, 1);

    rig_follow(g, 2, 1);
    rig_sync(g);
    assert_false(says_unfit(g));
    rig_passive(g, true);
    assert_true(says_unfit(g));
    rig_passive(g, false);
    assert_false(says_unfit(g));
    rig_installing(g, 1);
    assert_true(says_unfit(g));
    rig_installing(g, 0);
    assert_false(says_unfit(g));
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, &e, 1));
    assert_false(says_unfit(g));
    rig_pass(g, RIG_E / 2); /* its disk is stuck */
    assert_true(says_unfit(g));
    rig_sync(g);
    assert_false(says_unfit(g));
}

static void a_faulty_follower_says_that_it_would_not_take_over(void **s)
{
    struct rig *g = *s;

    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 0});
    g->options.is_faulty = true;
    rig_open(g);
    rig_follow(g, 2, 1);
    assert_true(says_unfit(g));
}

static void who_would_not_take_over_is_not_asked(void **s)
{
    struct rig *g = *s;

    rig_beat_unfit(g, 3);
    rig_transfer(g, 3);
    assert_int_equal(g->rc, -EAGAIN);
    assert_int_equal(rig_status(g).transfer, 0);
    rig_transfer(g, 0); /* though it lacks least */
    assert_int_equal(g->rc, 0);
    assert_int_equal(rig_status(g).transfer, 2);
}

static void nobody_is_asked_where_none_would_take_over(void **s)
{
    struct rig *g = *s;

    rig_beat_unfit(g, 2);
    rig_beat_unfit(g, 3);
    rig_transfer(g, 0);
    assert_int_equal(g->rc, -EAGAIN);
    assert_true(has_lease(g));
    rig_beat(g, 3, rig_status(g).last.index); /* it is well again */
    rig_transfer(g, 3);
    assert_int_equal(g->rc, 0);
}

/* An answer to an earlier round, which arrives late, says nothing new. */
static void the_newest_word_of_it_counts(void **s)
{
    struct rig *g = *s;
    struct raft_msg old =
        rig_heartbeat_reply(3, rig_status(g).term, g->raft->round_stamp,
                            g->raft->round, rig_status(g).last.index);

    rig_pass(g, RIG_H);
    rig_beat_unfit(g, 3);
    rig_msg(g, old);
    rig_transfer(g, 3);
    assert_int_equal(g->rc, -EAGAIN);
}

/* Of whom nothing is known in this term it may be true, too. */
static void who_has_not_said_so_yet_is_not_asked(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2); /* it has acknowledged, and no more */
    assert_int_equal(g->rc, -EAGAIN);
}

/* ---- Who does not, though it could ---- */

static void the_next_best_is_tried_within_the_time(void **s)
{
    struct rig *g = *s;
    px_ns until = g->now + RIG_E;

    rig_transfer(g, 0);
    assert_int_equal(rig_status(g).transfer, 3);
    assert_non_null(rig_now(g, 3, RAFT_MSG_TIMEOUT_NOW));
    rig_accept(g, 2, rig_status(g).last.index);
    assert_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    assert_true(g->out.deadline <= until);
    while (rig_status(g).transfer == 3)
        rig_pass(g, RIG_H / 10);
    assert_int_equal(rig_status(g).transfer, 2);
    assert_non_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    assert_false(has_lease(g));
    assert_true(g->now <= until - RIG_E / 2); /* it has as long */
    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, -EAGAIN);
    while (rig_status(g).transfer == 2)
        rig_pass(g, RIG_H / 10);
    assert_int_equal(rig_status(g).transfer, 0);
    assert_in_range(g->now, until, until + RIG_H / 10);
    assert_false(has_lease(g));
}

static void who_would_not_is_not_the_next_best(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 0);
    assert_int_equal(rig_status(g).transfer, 3);
    rig_beat_unfit(g, 2);
    rig_pass(g, RIG_E / 2);
    assert_int_equal(rig_status(g).transfer, 3);
}

static void one_that_was_named_is_the_only_one(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 3);
    rig_accept(g, 2, rig_status(g).last.index);
    for (int i = 0; i < 9; i++) {
        rig_pass(g, RIG_H);
        assert_null(rig_now(g, 2, RAFT_MSG_TIMEOUT_NOW));
    }
    assert_int_equal(rig_status(g).transfer, 3);
}

static void what_makes_no_sense_is_refused(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 1); /* ourselves */
    assert_int_equal(g->rc, -EINVAL);
    rig_transfer(g, 9); /* a stranger */
    assert_int_equal(g->rc, -EINVAL);
    rig_transfer(g, 2);
    rig_transfer(g, 3);
    assert_int_equal(g->rc, -EBUSY);
    rig_transfer(g, 2); /* said again */
    assert_int_equal(g->rc, 0);
}

static void only_a_leader_hands_over(void **s)
{
    struct rig *g = *s;

    rig_transfer(g, 2);
    assert_int_equal(g->rc, -PX_ENOTLEADER);
}

static void a_learner_can_not_take_over(void **s)
{
    struct rig *g = *s;

    rig_init(g, 3);
    g->options.config.members[2].role = RAFT_LEARNER;
    rig_open(g);
    rig_lead_and_commit(g);
    rig_transfer(g, 3);
    assert_int_equal(g->rc, -EINVAL);
}

static void nothing(struct rig *g)
{
    (void)g; /* the test begins by itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(one_who_holds_all_is_told_at_once, lead_three),
        rig_unit(one_who_lacks_something_is_told_when_it_has_it,
                 lead_three_one_ahead),
        rig_unit(without_a_name_it_goes_to_whoever_lacks_least,
                 lead_three_one_ahead),
        rig_unit(there_is_no_lease_once_the_other_was_told, lead_three),
        rig_unit(the_lease_goes_on_while_the_other_is_not_told,
                 lead_three_one_ahead),
        rig_unit(proposals_are_refused_meanwhile, lead_three_one_ahead),
        rig_unit(it_is_given_up_after_an_election_timeout, lead_three),
        rig_unit(the_other_is_voted_for_in_spite_of_all_promises, lead_three),
        rig_unit(a_new_term_has_its_lease_again, lead_three),
        rig_unit(who_was_not_heard_of_is_not_asked, lead_three),
        rig_unit(a_follower_says_whether_it_would_take_over, rig_three),
        rig_unit(a_faulty_follower_says_that_it_would_not_take_over, nothing),
        rig_unit(who_would_not_take_over_is_not_asked, lead_three_one_ahead),
        rig_unit(nobody_is_asked_where_none_would_take_over, lead_three),
        rig_unit(the_newest_word_of_it_counts, lead_three),
        rig_unit(who_has_not_said_so_yet_is_not_asked, rig_three_leading),
        rig_unit(the_next_best_is_tried_within_the_time, lead_three_one_ahead),
        rig_unit(who_would_not_is_not_the_next_best, lead_three_one_ahead),
        rig_unit(one_that_was_named_is_the_only_one, lead_three_one_ahead),
        rig_unit(what_makes_no_sense_is_refused, lead_three),
        rig_unit(only_a_leader_hands_over, rig_three),
        rig_unit(a_learner_can_not_take_over, nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
