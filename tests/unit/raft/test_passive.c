/* raft/elect.c: a replica that is not to lead, its log being sound. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

/* Member 1 of three, follower of member 2 in term 5, with entries 1 .. 3. */
static void passive(struct rig *g)
{
    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 2, 0});
    g->options.applied = 1;
    rig_open(g);
    rig_follow(g, 2, 5);
    rig_passive(g, true);
}

static void who_is_passive_does_not_campaign_until_it_is_no_more(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 20; i++) {
        rig_pass(g, RIG_E);
        assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
        assert_int_equal(g->out.now.count + g->out.after.count, 0);
        assert_true(g->out.deadline > g->now);
    }
    rig_passive(g, false);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
}

static void who_is_passive_does_not_take_over(void **s)
{
    struct raft_msg now = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5};
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E); /* no longer quiet after the restart */
    rig_msg(g, now);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_passive(g, false);
    rig_msg(g, now);
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
}

static void a_leader_that_becomes_passive_leads_no_more(void **s)
{
    struct rig *g = *s;
    raft_term term = rig_status(g).term;

    rig_passive(g, true);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).leader, 0);
    assert_int_equal(rig_status(g).term, term);
    rig_propose(g, "x", 1);
    assert_true(g->rc < 0);
}

static void who_campaigns_stops_when_it_becomes_passive(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    rig_sync(g);
    rig_passive(g, true);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_msg(g, rig_vote_reply(2, 1, true)); /* late */
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
}

/* Its log is as good as any: a cluster of three with one such node and one
 * that is down goes on. */
static void who_is_passive_votes_and_acknowledges(void **s)
{
    struct raft_entry e = rig_entry(5, 4);
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 3), 4, &e, 1));
    assert_int_equal(rig_any(g, 2, RAFT_MSG_APPEND_REPLY)->append_reply.match,
                     4);
    rig_sync(g);
    assert_int_equal(g->out.commit, 4);
    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_vote(3, 7, POS(5, 4)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(who_is_passive_does_not_campaign_until_it_is_no_more, passive),
        rig_unit(who_is_passive_does_not_take_over, passive),
        rig_unit(a_leader_that_becomes_passive_leads_no_more,
                 rig_three_leading),
        rig_unit(who_campaigns_stops_when_it_becomes_passive, rig_three),
        rig_unit(who_is_passive_votes_and_acknowledges, passive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
