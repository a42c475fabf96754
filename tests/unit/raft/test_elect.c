/* raft/elect.c: timeouts, pre-votes, votes, stickiness. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

/* ---- Timeouts (3.4) ---- */

static void a_follower_that_hears_nobody_asks_after_e_and_before_2e(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_E - 1);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_true(g->out.deadline >= RIG_START + RIG_E);
    assert_true(g->out.deadline < RIG_START + 2 * RIG_E);
    rig_pass(g, g->out.deadline - g->now - 1);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_pass(g, 1);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
}

/* 3.4: "each server's election timeout is randomized"; a run repeats. */
static void timeouts_differ_between_nodes_and_repeat_for_one(void **s)
{
    struct rig a, b, again;

    (void)s;
    rig_start(&a, 3);
    rig_start(&again, 3);
    rig_init(&b, 3);
    b.options.seed = px_djb2("node-2", 6);
    rig_open(&b);
    rig_pass(&a, 0);
    rig_pass(&b, 0);
    rig_pass(&again, 0);
    assert_true(a.out.deadline != b.out.deadline);
    assert_true(a.out.deadline == again.out.deadline);
    rig_close(&a);
    rig_close(&b);
    rig_close(&again);
}

/* As names and numbers of starts may have it: neither would ever be elected. */
static void nodes_of_one_seed_have_other_timeouts(void **s)
{
    struct rig a, b;

    (void)s;
    rig_start(&a, 3);
    rig_init(&b, 3);
    b.options.id = 2;
    assert_true(b.options.seed == a.options.seed);
    rig_open(&b);
    for (int i = 0; i < 3; i++) {
        rig_pass(&a, 2 * RIG_E);
        rig_pass(&b, 2 * RIG_E);
        assert_true(a.out.deadline != b.out.deadline);
    }
    rig_close(&a);
    rig_close(&b);
}

static void a_heartbeat_defers_the_election(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    for (int i = 0; i < 10; i++) {
        g->now += RIG_E - 1;
        rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 1));
        assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    }
}

/* A process that was stopped finds the clock far ahead and a heartbeat in its
 * socket: the heartbeat was in time. */
static void a_message_is_handled_before_the_time_it_came_with(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    g->now += 3 * RIG_E;
    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 1));
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).leader, 2);
    assert_null(rig_any(g, 2, RAFT_MSG_PRE_VOTE));
}

static void a_learner_never_campaigns(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    g.options.config.members[0].role = RAFT_LEARNER;
    rig_open(&g);
    rig_pass(&g, 10 * RIG_E);
    assert_int_equal(rig_status(&g).role, RAFT_FOLLOWER);
    assert_true(g.out.deadline == PX_NS_NEVER);
    rig_close(&g);
}

/* ---- Pre-vote (9.6) ---- */

/* The fault: an implementation that has pre-votes, but never sends any. */
static void pre_votes_are_really_sent(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    for (raft_id id = 2; id <= 3; id++) {
        const struct raft_msg *m = rig_now(g, id, RAFT_MSG_PRE_VOTE);

        assert_non_null(m);
        assert_int_equal(m->term, 1);
        assert_null(rig_any(g, id, RAFT_MSG_VOTE));
    }
}

static void an_isolated_nodes_term_stays_unchanged_for_ever(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 1000; i++) {
        rig_pass(g, 2 * RIG_E);
        assert_int_equal(rig_status(g).term, 0);
        assert_int_equal(g->out.write.seq, 0);
    }
}

static void an_isolated_pair_member_keeps_its_term_too(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 2);
    for (int i = 0; i < 100; i++)
        rig_pass(&g, 2 * RIG_E);
    assert_int_equal(rig_status(&g).term, 0);
    assert_int_equal(rig_status(&g).role, RAFT_PRE_CANDIDATE);
    rig_close(&g);
}

static void terms_grow_only_once_a_majority_would_vote(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 5);
    rig_pass(&g, 2 * RIG_E);
    rig_msg(&g, rig_pre_vote_reply(2, 1, true));
    assert_int_equal(rig_status(&g).term, 0);
    rig_msg(&g, rig_pre_vote_reply(2, 1, true)); /* the same one again */
    assert_int_equal(rig_status(&g).term, 0);
    rig_msg(&g, rig_pre_vote_reply(3, 0, false));
    assert_int_equal(rig_status(&g).term, 0);
    rig_msg(&g, rig_pre_vote_reply(4, 1, true));
    assert_int_equal(rig_status(&g).term, 1);
    assert_int_equal(rig_status(&g).role, RAFT_CANDIDATE);
    rig_close(&g);
}

static void a_grant_for_another_attempts_term_does_not_count(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 2, true));
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
}

static void a_pre_candidate_knows_no_leader(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(rig_status(g).leader, 0);
}

static void granting_a_pre_vote_changes_nothing(void **s)
{
    struct rig *g = *s;
    px_ns deadline;

    rig_pass(g, RIG_E - 1);
    deadline = g->out.deadline;
    rig_msg(g, rig_pre_vote(2, 7, POS(0, 0)));
    assert_true(rig_now(g, 2, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    assert_int_equal(rig_now(g, 2, RAFT_MSG_PRE_VOTE_REPLY)->term, 7);
    assert_int_equal(rig_status(g).term, 0);
    assert_int_equal(rig_status(g).voted_for, 0);
    assert_int_equal(g->out.write.seq, 0);
    assert_true(g->out.deadline == deadline);
    /* Another may have one, too: it is no vote. */
    rig_msg(g, rig_pre_vote(3, 7, POS(0, 0)));
    assert_true(rig_now(g, 3, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_pre_candidate_of_an_old_term_is_refused_and_told_ours(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){4, 0});
    rig_open(&g);
    rig_pass(&g, RIG_E * 101 / 100); /* may vote again, has not asked yet */
    rig_msg(&g, rig_pre_vote(2, 4, POS(4, 1)));
    assert_false(
        rig_any(&g, 2, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    assert_int_equal(rig_any(&g, 2, RAFT_MSG_PRE_VOTE_REPLY)->term, 4);
    rig_close(&g);
}

static void a_refusal_of_a_higher_term_brings_the_term(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 9, false));
    assert_int_equal(rig_status(g).term, 9);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
}

static void a_leader_of_the_term_ends_a_candidacy(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    rig_msg(g, rig_heartbeat(3, 1, POS(0, 0), 0, 1));
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).leader, 3);
    assert_int_equal(rig_status(g).voted_for, 1);
}

/* ---- Votes (3.4, 3.6.1) ---- */

static void a_vote_is_sent_only_after_it_is_durable(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE_REPLY));
    assert_true(rig_after(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_non_null(g->out.hard);
    assert_int_equal(g->out.hard->term, 1);
    assert_int_equal(g->out.hard->voted_for, 2);
    assert_true(g->out.write.seq > 0);
    assert_true(g->out.after_seq >= g->out.write.seq);
    /* Asked again before it is durable: the same holds. */
    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE_REPLY));
    assert_true(g->out.after_seq >= g->write.seq);
    rig_sync(g);
    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_true(rig_now(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_vote_in_the_own_term_is_written_too(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_pre_vote_reply(3, 4, false)); /* brings term 4 */
    rig_sync(g);
    rig_msg(g, rig_vote(2, 4, POS(0, 0)));
    assert_non_null(g->out.hard);
    assert_int_equal(g->out.hard->term, 4);
    assert_int_equal(g->out.hard->voted_for, 2);
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE_REPLY));
    assert_true(rig_after(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_true(g->out.after_seq >= g->out.write.seq);
}

static void one_vote_a_term(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    rig_sync(g);
    rig_msg(g, rig_vote(3, 1, POS(0, 0)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(g, rig_vote(3, 2, POS(0, 0)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_vote_given_before_a_restart_still_binds(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){4, 0});
    g.options.hard = (struct raft_hard_state){.term = 5, .voted_for = 2};
    rig_open(&g);
    rig_pass(&g, RIG_E * 101 / 100);
    rig_msg(&g, rig_vote(3, 5, POS(4, 1)));
    assert_false(rig_any(&g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(&g, rig_vote(2, 5, POS(4, 1)));
    assert_true(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_close(&g);
}

/* 3.6.1: "the voter denies its vote if its own log is more up-to-date". */
static void who_lacks_entries_gets_neither_vote_nor_pre_vote(void **s)
{
    static const struct {
        struct raft_pos last;
        bool is_granted;
    } cases[] = {
        {{3, 9}, false}, {{4, 2}, false}, {{4, 3}, true},
        {{4, 4}, true},  {{5, 1}, true},
    };
    struct rig g;

    (void)s;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_init(&g, 3);
        rig_log(&g, (raft_term[]){2, 4, 4, 0});
        rig_open(&g);
        rig_pass(&g, RIG_E * 101 / 100);
        rig_msg(&g, rig_pre_vote(2, 9, cases[i].last));
        assert_int_equal(
            rig_any(&g, 2, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted,
            cases[i].is_granted);
        rig_msg(&g, rig_vote(2, 9, cases[i].last));
        assert_int_equal(
            rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted,
            cases[i].is_granted);
        rig_close(&g);
    }
}

static void granting_a_vote_defers_the_own_election(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_E - 1);
    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_true(g->out.deadline >= g->now + RIG_E);
}

static void a_candidates_own_vote_counts_once_it_is_durable(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    assert_null(rig_now(g, 2, RAFT_MSG_VOTE));
    assert_non_null(rig_after(g, 2, RAFT_MSG_VOTE));
    assert_true(g->out.after_seq >= g->out.write.seq);
    assert_int_equal(g->out.hard->voted_for, 1);
    /* A reply that comes before our own write is done: two are not yet three,
     * and one of the two is not yet a vote. */
    rig_msg(g, rig_vote_reply(2, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    rig_sync(g);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
}

static void a_voter_is_counted_once(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 5);
    rig_pass(&g, 2 * RIG_E);
    rig_msg(&g, rig_pre_vote_reply(2, 1, true));
    rig_msg(&g, rig_pre_vote_reply(3, 1, true));
    rig_sync(&g);
    rig_msg(&g, rig_vote_reply(2, 1, true));
    rig_msg(&g, rig_vote_reply(2, 1, true));
    rig_msg(&g, rig_vote_reply(4, 1, false));
    assert_int_equal(rig_status(&g).role, RAFT_CANDIDATE);
    rig_msg(&g, rig_vote_reply(5, 1, true));
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    rig_close(&g);
}

static void a_learners_vote_does_not_count(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 4);
    g.options.config.members[3].role = RAFT_LEARNER;
    rig_open(&g);
    rig_pass(&g, 2 * RIG_E);
    assert_null(rig_any(&g, 4, RAFT_MSG_PRE_VOTE));
    rig_msg(&g, rig_pre_vote_reply(4, 1, true));
    assert_int_equal(rig_status(&g).role, RAFT_PRE_CANDIDATE);
    rig_close(&g);
}

static void an_election_that_fails_begins_anew_with_pre_votes(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    rig_sync(g);
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(rig_status(g).term, 1);
    assert_int_equal(rig_now(g, 2, RAFT_MSG_PRE_VOTE)->term, 2);
}

static void votes_of_an_earlier_term_do_not_count(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    rig_sync(g);
    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 2, true));
    rig_sync(g);
    rig_msg(g, rig_vote_reply(3, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    assert_int_equal(rig_status(g).term, 2);
}

/* ---- Stickiness (4.2.3, 6.4) ---- */

/* The fault: stickiness that only holds for equal terms. */
static void who_heard_a_leader_within_e_refuses_votes_of_any_term(void **s)
{
    struct rig g;

    (void)s;
    for (raft_term term = 5; term < 8; term++) {
        rig_start(&g, 3);
        rig_follow(&g, 2, 5);
        g.now += RIG_E - 1;
        rig_msg(&g, rig_pre_vote(3, term, POS(5, 9)));
        assert_false(
            rig_any(&g, 3, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
        rig_msg(&g, rig_vote(3, term, POS(5, 9)));
        assert_false(
            rig_any(&g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
        assert_int_equal(rig_status(&g).term, 5);
        assert_int_equal(rig_status(&g).leader, 2);
        rig_close(&g);
    }
}

static void after_e_without_a_leader_the_vote_is_free(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 5);
    g->now += RIG_E;
    rig_msg(g, rig_vote(3, 6, POS(5, 9)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

/* The leader's lease counts on the promise, whatever we hear meanwhile. */
static void a_higher_term_does_not_take_the_promise_back(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 5);
    rig_msg(g, rig_pre_vote_reply(3, 6, false)); /* late: brings term 6 */
    rig_sync(g);
    assert_int_equal(rig_status(g).term, 6);
    g->now += RIG_E - 1;
    rig_msg(g, rig_vote(3, 6, POS(9, 9)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    g->now += 1;
    rig_msg(g, rig_vote(3, 6, POS(9, 9)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_leader_does_not_vote(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    rig_msg(g, rig_pre_vote(3, 9, POS(9, 9)));
    assert_false(rig_any(g, 3, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(g, rig_vote(3, 9, POS(9, 9)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    assert_int_equal(rig_status(g).term, 1);
}

/* 4.2.3: "a flag that the election is a leadership transfer". */
static void a_transfer_waives_stickiness(void **s)
{
    struct raft_msg m = rig_vote(3, 6, POS(5, 9));
    struct rig g;

    (void)s;
    m.vote.is_transfer = true;
    rig_start(&g, 3);
    rig_follow(&g, 2, 5);
    rig_msg(&g, m);
    assert_true(rig_any(&g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_close(&g);
}

static void timeout_now_makes_its_leaders_follower_campaign_at_once(void **s)
{
    struct raft_msg m = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5};
    struct rig *g = *s;

    rig_follow(g, 2, 5);
    m.from = 3;
    rig_msg(g, m); /* not the leader */
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    m.from = 2;
    rig_msg(g, m);
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    assert_true(rig_after(g, 3, RAFT_MSG_VOTE)->vote.is_transfer);
}

/* ---- After a restart (6.4, hardened) ---- */

static void a_restarted_node_does_not_vote_for_e_and_the_drift(void **s)
{
    px_ns quiet = RIG_E + RIG_E / 100;
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){4, 0});
    rig_open(&g);
    g.now += quiet - 1;
    rig_msg(&g, rig_pre_vote(2, 7, POS(4, 9)));
    assert_false(
        rig_any(&g, 2, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(&g, rig_vote(2, 7, POS(4, 9)));
    assert_false(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_int_equal(rig_status(&g).term, 4);
    g.now += 1;
    rig_msg(&g, rig_vote(2, 7, POS(4, 9)));
    assert_true(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_close(&g);
}

/* The lease that it may have supported is over: elect.c has the argument. */
static void a_restarted_node_takes_part_in_a_transfer(void **s)
{
    struct raft_msg vote = rig_vote(3, 6, POS(4, 9));
    struct raft_msg now = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5};
    struct rig g;

    (void)s;
    vote.vote.is_transfer = true;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){4, 0});
    rig_open(&g);
    rig_msg(&g, rig_heartbeat(2, 5, POS(0, 0), 0, 1));
    rig_sync(&g);
    rig_msg(&g, now);
    assert_int_equal(rig_status(&g).role, RAFT_CANDIDATE);
    rig_close(&g);
    rig_open(&g);
    rig_msg(&g, vote);
    assert_true(rig_any(&g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_close(&g);
}

static void a_restarted_node_does_not_campaign_for_e_and_the_drift(void **s)
{
    struct rig g;

    (void)s;
    for (uint64_t seed = 0; seed < 200; seed++) {
        rig_init(&g, 3);
        rig_log(&g, (raft_term[]){4, 0});
        g.options.seed = seed;
        rig_open(&g);
        rig_pass(&g, 0);
        assert_true(g.out.deadline >= g.now + RIG_E + RIG_E / 100);
        rig_close(&g);
    }
}

/* Is a vote granted @after the restart of a node with @promise? */
static bool votes_after_restart(px_ns promise, px_ns after)
{
    struct rig g;
    bool is_granted;

    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){4, 0});
    g.options.promise = promise;
    rig_open(&g);
    assert_true(g.raft->election_at >= g.raft->quiet_until);
    g.now += after;
    rig_msg(&g, rig_vote(2, 7, POS(4, 9)));
    is_granted = rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted;
    rig_close(&g);
    return is_granted;
}

/* The fault: a restart with a shorter timeout broke a promise that a leader's
 * lease still rested on. */
static void a_promise_made_under_a_longer_timeout_outlives_the_restart(void **s)
{
    px_ns quiet = 4 * (RIG_E + RIG_E / 100);

    (void)s;
    assert_false(votes_after_restart(4 * RIG_E, quiet - 1));
    assert_true(votes_after_restart(4 * RIG_E, quiet));
}

static void a_promise_shorter_than_e_does_not_shorten_the_quiet(void **s)
{
    px_ns quiet = RIG_E + RIG_E / 100;

    (void)s;
    assert_false(votes_after_restart(RIG_E / 2, quiet - 1));
    assert_true(votes_after_restart(RIG_E / 2, quiet));
}

static void a_promise_beyond_all_timeouts_ends_with_the_longest(void **s)
{
    px_ns hour = UINT64_C(3600) * PX_NS_PER_S;

    (void)s;
    assert_false(votes_after_restart(UINT64_MAX, hour + hour / 100 - 1));
    assert_true(votes_after_restart(UINT64_MAX, hour + hour / 100));
}

static void a_first_boot_of_an_empty_disk_may_vote_at_once(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_true(rig_any(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

/* ---- Clusters of one ---- */

static void a_sole_voter_leads_as_soon_as_its_vote_is_durable(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 1);
    rig_log(&g, (raft_term[]){4, 0}); /* restarted or not */
    rig_open(&g);
    rig_pass(&g, 0);
    assert_int_equal(rig_status(&g).role, RAFT_CANDIDATE);
    assert_int_equal(g.out.hard->term, 5);
    rig_sync(&g);
    assert_int_equal(rig_status(&g).role, RAFT_LEADER);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_follower_that_hears_nobody_asks_after_e_and_before_2e,
                 rig_three),
        unit(timeouts_differ_between_nodes_and_repeat_for_one),
        unit(nodes_of_one_seed_have_other_timeouts),
        rig_unit(a_heartbeat_defers_the_election, rig_three),
        rig_unit(a_message_is_handled_before_the_time_it_came_with, rig_three),
        unit(a_learner_never_campaigns),
        rig_unit(pre_votes_are_really_sent, rig_three),
        rig_unit(an_isolated_nodes_term_stays_unchanged_for_ever, rig_three),
        unit(an_isolated_pair_member_keeps_its_term_too),
        unit(terms_grow_only_once_a_majority_would_vote),
        rig_unit(a_grant_for_another_attempts_term_does_not_count, rig_three),
        rig_unit(a_pre_candidate_knows_no_leader, rig_three),
        rig_unit(granting_a_pre_vote_changes_nothing, rig_three),
        unit(a_pre_candidate_of_an_old_term_is_refused_and_told_ours),
        rig_unit(a_refusal_of_a_higher_term_brings_the_term, rig_three),
        rig_unit(a_leader_of_the_term_ends_a_candidacy, rig_three),
        rig_unit(a_vote_is_sent_only_after_it_is_durable, rig_three),
        rig_unit(a_vote_in_the_own_term_is_written_too, rig_three),
        rig_unit(one_vote_a_term, rig_three),
        unit(a_vote_given_before_a_restart_still_binds),
        unit(who_lacks_entries_gets_neither_vote_nor_pre_vote),
        rig_unit(granting_a_vote_defers_the_own_election, rig_three),
        rig_unit(a_candidates_own_vote_counts_once_it_is_durable, rig_three),
        unit(a_voter_is_counted_once),
        unit(a_learners_vote_does_not_count),
        rig_unit(an_election_that_fails_begins_anew_with_pre_votes, rig_three),
        rig_unit(votes_of_an_earlier_term_do_not_count, rig_three),
        unit(who_heard_a_leader_within_e_refuses_votes_of_any_term),
        rig_unit(after_e_without_a_leader_the_vote_is_free, rig_three),
        rig_unit(a_higher_term_does_not_take_the_promise_back, rig_three),
        rig_unit(a_leader_does_not_vote, rig_three),
        unit(a_transfer_waives_stickiness),
        rig_unit(timeout_now_makes_its_leaders_follower_campaign_at_once,
                 rig_three),
        unit(a_restarted_node_does_not_vote_for_e_and_the_drift),
        unit(a_restarted_node_takes_part_in_a_transfer),
        unit(a_restarted_node_does_not_campaign_for_e_and_the_drift),
        unit(a_promise_made_under_a_longer_timeout_outlives_the_restart),
        unit(a_promise_shorter_than_e_does_not_shorten_the_quiet),
        unit(a_promise_beyond_all_timeouts_ends_with_the_longest),
        rig_unit(a_first_boot_of_an_empty_disk_may_vote_at_once, rig_three),
        unit(a_sole_voter_leads_as_soon_as_its_vote_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
