/* raft/commit.c: what a majority holds, and who is told of it at once. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

/* ---- Counting (3.6.2) ---- */

static void an_entry_is_committed_once_a_majority_holds_it(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 5);
    rig_lead(&g);
    rig_sync(&g);
    rig_accept(&g, 2, 1);
    assert_int_equal(rig_status(&g).commit, 0);
    rig_accept(&g, 2, 1); /* the same one again */
    assert_int_equal(rig_status(&g).commit, 0);
    rig_accept(&g, 5, 1);
    assert_int_equal(rig_status(&g).commit, 1);
    rig_close(&g);
}

/* 10.2.1: the leader sends before its own disk is done, and counts after. */
static void the_leaders_own_copy_counts_only_when_durable(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 3);
    rig_lead(&g);
    assert_int_equal(rig_now(&g, 2, RAFT_MSG_APPEND)->append.count, 1);
    rig_accept(&g, 2, 1);
    assert_int_equal(rig_status(&g).commit, 0);
    rig_sync(&g);
    assert_int_equal(rig_status(&g).commit, 1);
    assert_int_equal(g.out.commit, 1);
    rig_close(&g);
}

static void two_followers_commit_without_the_leaders_disk(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 3);
    rig_lead(&g);
    rig_accept(&g, 2, 1);
    rig_accept(&g, 3, 1);
    assert_int_equal(rig_status(&g).commit, 1);
    assert_int_equal(g.out.commit, 0); /* not to be applied here yet */
    rig_sync(&g);
    assert_int_equal(g.out.commit, 1);
    rig_close(&g);
}

/* 3.6.2, figure 3.7: an entry of an older term on a majority may still be
 * overwritten. */
static void an_old_term_is_not_committed_by_counting(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){1, 2, 0});
    rig_open(&g);
    rig_lead(&g); /* term 3; its no-op is entry 3 */
    rig_sync(&g);
    rig_accept(&g, 2, 2);
    rig_accept(&g, 3, 2);
    assert_int_equal(rig_status(&g).commit, 0);
    rig_accept(&g, 2, 3);
    assert_int_equal(rig_status(&g).commit, 3);
    rig_close(&g);
}

static void learners_are_not_counted(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 4);
    g.options.config.members[2].role = RAFT_LEARNER;
    g.options.config.members[3].role = RAFT_LEARNER;
    rig_open(&g);
    rig_lead(&g);
    rig_sync(&g);
    rig_accept(&g, 3, 1);
    rig_accept(&g, 4, 1); /* three of four, and one of two voters */
    assert_int_equal(rig_status(&g).commit, 0);
    rig_accept(&g, 2, 1);
    assert_int_equal(rig_status(&g).commit, 1);
    rig_close(&g);
}

/* The fault: a cluster of one that never commits, since nobody answers. */
static void a_cluster_of_one_commits(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g); /* the vote */
    assert_int_equal(g.out.append_count, 1);
    assert_int_equal(g.out.append[0].kind, RAFT_ENTRY_NOOP);
    rig_sync(&g); /* the no-op */
    assert_int_equal(g.out.commit, 1);
    rig_propose(&g, "x", 1);
    assert_int_equal(g.rc, 0);
    assert_int_equal(g.out.commit, 1); /* the one path: durable first */
    rig_sync(&g);
    assert_int_equal(g.out.commit, 2);
    rig_close(&g);
}

/* ---- Notices ---- */

/* A leader of term 1 whose no-op is committed, and known to be by all. */
static void lead_quietly(struct rig *g)
{
    rig_three_leading(g);
    rig_pass(g, RIG_H);
}

static void who_waits_for_an_entry_is_told_at_once_and_others_are_not(void **s)
{
    struct rig *g = *s;
    const struct raft_msg *m;

    rig_propose(g, "x", 2);
    rig_sync(g);
    rig_accept(g, 2, 2);
    assert_int_equal(rig_status(g).commit, 2);
    m = rig_now(g, 2, RAFT_MSG_HEARTBEAT);
    assert_non_null(m);
    assert_int_equal(m->heartbeat.match.index, 2);
    assert_int_equal(m->heartbeat.match.term, 1);
    assert_int_equal(m->heartbeat.commit, 2);
    assert_int_equal(m->heartbeat.round, 0); /* no answer, no wake-up */
    assert_int_equal(g->out.now.count, 1);
}

static void who_waits_but_lags_is_told_when_it_holds_the_entry(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 2);
    rig_sync(g);
    rig_accept(g, 3, 2);
    assert_int_equal(rig_status(g).commit, 2);
    assert_int_equal(g->out.now.count, 0);
    rig_accept(g, 2, 2);
    assert_int_equal(rig_now(g, 2, RAFT_MSG_HEARTBEAT)->heartbeat.commit, 2);
    rig_accept(g, 2, 2);
    assert_int_equal(g->out.now.count, 0); /* once */
}

static void no_notice_when_the_leader_itself_waits(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 2, 2);
    assert_int_equal(rig_status(g).commit, 2);
    assert_int_equal(g->out.now.count, 0);
}

static void a_commit_that_an_append_has_told_is_not_told_again(void **s)
{
    struct rig g;

    (void)s;
    rig_start_leading(&g, 5);
    rig_pass(&g, RIG_H);
    rig_propose(&g, "x", 2);
    rig_sync(&g);
    rig_accept(&g, 3, 2);
    rig_accept(&g, 4, 2); /* committed; member 2 lags, and is owed a notice */
    rig_propose(&g, "y", 1);
    assert_int_equal(rig_now(&g, 2, RAFT_MSG_APPEND)->append.commit, 2);
    rig_accept(&g, 2, 2);
    assert_null(rig_now(&g, 2, RAFT_MSG_HEARTBEAT));
    rig_close(&g);
}

static void the_next_append_and_heartbeat_carry_the_commit(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 2, 2);
    rig_propose(g, "y", 1);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_APPEND)->append.commit, 2);
    rig_pass(g, RIG_H);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_HEARTBEAT)->heartbeat.commit, 2);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_HEARTBEAT)->heartbeat.match.index,
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_entry_is_committed_once_a_majority_holds_it),
        unit(the_leaders_own_copy_counts_only_when_durable),
        unit(two_followers_commit_without_the_leaders_disk),
        unit(an_old_term_is_not_committed_by_counting),
        unit(learners_are_not_counted),
        unit(a_cluster_of_one_commits),
        rig_unit(who_waits_for_an_entry_is_told_at_once_and_others_are_not,
                 lead_quietly),
        rig_unit(who_waits_but_lags_is_told_when_it_holds_the_entry,
                 lead_quietly),
        rig_unit(no_notice_when_the_leader_itself_waits, lead_quietly),
        unit(a_commit_that_an_append_has_told_is_not_told_again),
        rig_unit(the_next_append_and_heartbeat_carry_the_commit, lead_quietly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
