/* raft/install.c: a snapshot comes in, and is the state. */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "tests/unit/raft/rig.h"

/* Member 1 of three with entries 1 .. 3 of terms 1 1 2, 1 applied, follows
 * member 2, which sends it a snapshot, in term 5. */
static void installing(struct rig *g)
{
    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 2, 0});
    g->options.applied = 1;
    rig_open(g);
    rig_follow(g, 2, 5);
    rig_installing(g, 5);
    assert_true(rig_status(g).is_installing);
}

static void who_installs_a_snapshot_does_not_campaign(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 20; i++) {
        rig_pass(g, RIG_E);
        assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
        assert_int_equal(g->out.now.count + g->out.after.count, 0);
        assert_true(g->out.deadline > g->now);
    }
    rig_installing(g, 0);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
}

static void who_installs_a_snapshot_does_not_take_over(void **s)
{
    struct raft_msg now = {
        .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5};
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E); /* no longer quiet after the restart */
    rig_msg(g, now);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).term, 5);
    rig_installing(g, 0);
    rig_msg(g, now);
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
}

static void who_campaigns_stops_when_a_snapshot_comes_in(void **s)
{
    struct rig *g = *s;

    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_pre_vote_reply(2, 1, true));
    assert_int_equal(rig_status(g).role, RAFT_CANDIDATE);
    rig_sync(g);
    rig_installing(g, 1);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_msg(g, rig_vote_reply(2, 1, true)); /* late */
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
}

static void a_leader_takes_a_snapshot_from_a_later_one_only(void **s)
{
    struct rig *g = *s;

    rig_lead_and_commit(g);
    rig_installing(g, 1);
    assert_int_equal(g->rc, -EBUSY);
    assert_int_equal(rig_status(g).role, RAFT_LEADER);
    assert_false(rig_status(g).is_installing);
    rig_installing(g, 2);
    assert_int_equal(g->rc, 0);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
}

/* What the snapshot holds may be news to leaders of older terms: from here on
 * they are not heeded, not even after a crash. */
static void the_senders_term_is_adopted_and_made_durable(void **s)
{
    struct rig *g = *s;

    assert_null(g->out.hard);
    rig_installing(g, 7);
    assert_non_null(g->out.hard);
    assert_int_equal(g->out.hard->term, 7);
    assert_int_equal(rig_status(g).term, 7);
    rig_msg(g, rig_append(2, 5, POS(0, 0), 0, NULL, 0));
    assert_false(
        rig_any(g, 2, RAFT_MSG_APPEND_REPLY)->append_reply.is_accepted);
    rig_installing(g, 6); /* of a leader since deposed: as good */
    assert_int_equal(g->rc, 0);
    assert_int_equal(rig_status(g).term, 7);
    rig_installing(g, UINT64_MAX);
    assert_int_equal(g->rc, -EINVAL);
}

static void who_installs_a_snapshot_votes_and_takes_entries(void **s)
{
    struct raft_entry e = rig_entry(5, 4);
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 3), 2, &e, 1));
    assert_int_equal(g->out.append_count, 1);
    rig_msg(g, rig_heartbeat(2, 5, POS(2, 3), 3, 9));
    assert_non_null(rig_any(g, 2, RAFT_MSG_HEARTBEAT_REPLY));
    assert_int_equal(g->out.commit, 3);
    rig_sync(g);
    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_vote(3, 6, POS(2, 9))); /* by the log as it stands */
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(g, rig_vote(3, 7, POS(5, 4)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void an_install_resets_a_log_that_lacks_it(void **s)
{
    struct rig *g = *s;

    rig_installed(g, POS(4, 30));
    assert_int_equal(g->rc, 0);
    assert_true(g->out.is_installed);
    assert_non_null(g->out.reset);
    assert_int_equal(g->out.reset->index, 30);
    assert_int_equal(g->out.reset->term, 4);
    assert_int_equal(g->out.append_count, 0);
    assert_int_equal(g->out.write.last.index, 30);
    assert_int_equal(g->out.commit, 30);
    assert_int_equal(rig_status(g).applied, 30);
    assert_int_equal(rig_status(g).last.term, 4);
    rig_pass(g, 0);
    assert_null(g->out.reset); /* once */
}

/* A log that ends otherwise at the same place, or is longer. */
static void an_install_resets_a_log_that_contradicts_it(void **s)
{
    struct rig *g = *s;

    rig_installed(g, POS(4, 2));
    assert_non_null(g->out.reset);
    assert_int_equal(rig_status(g).last.index, 2);
    assert_int_equal(rig_status(g).last.term, 4);
}

static void an_install_is_acknowledged_once_the_reset_is_durable(void **s)
{
    const struct raft_msg *reply;
    struct rig *g = *s;

    rig_installed(g, POS(4, 30));
    assert_int_equal(g->out.now.count, 0);
    reply = rig_after(g, 2, RAFT_MSG_APPEND_REPLY);
    assert_non_null(reply);
    assert_true(reply->append_reply.is_accepted);
    assert_int_equal(reply->append_reply.match, 30);
    assert_true(g->out.write.seq > 0);
    assert_int_equal(g->out.after_seq, g->out.write.seq);
    /* Nor does any other, by a message that comes meanwhile. */
    rig_msg(g, rig_append(2, 5, POS(1, 3), 30, NULL, 0));
    reply = rig_after(g, 2, RAFT_MSG_APPEND_REPLY);
    assert_int_equal(reply->append_reply.match, 30);
    assert_int_equal(g->out.after_seq, g->write.seq);
}

static void entries_follow_an_install(void **s)
{
    struct raft_entry e = rig_entry(5, 31);
    struct rig *g = *s;

    rig_installed(g, POS(4, 30));
    rig_msg(g, rig_append(2, 5, POS(4, 30), 31, &e, 1));
    assert_int_equal(g->out.append_count, 1);
    assert_int_equal(g->out.commit, 30); /* 31 is not durable yet */
    rig_sync(g);
    assert_int_equal(g->out.commit, 31);
}

static void an_install_keeps_what_the_log_holds_behind_it(void **s)
{
    struct rig *g = *s;

    rig_installed(g, POS(1, 2));
    assert_true(g->out.is_installed);
    assert_null(g->out.reset);
    assert_int_equal(g->out.write.seq, 0);
    assert_int_equal(rig_status(g).base.index, 2);
    assert_int_equal(rig_status(g).last.index, 3);
    assert_int_equal(rig_status(g).last.term, 2);
    assert_int_equal(g->out.commit, 2);
    assert_int_equal(rig_after(g, 2, RAFT_MSG_APPEND_REPLY)->append_reply.match,
                     2);
}

static void an_old_snapshot_is_ignored(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 5, POS(2, 3), 3, 9));
    assert_int_equal(rig_status(g).commit, 3); /* caught up meanwhile */
    rig_installed(g, POS(2, 3));
    assert_int_equal(g->rc, 0);
    assert_false(g->out.is_installed);
    assert_null(g->out.reset);
    assert_int_equal(rig_status(g).applied, 1);
    assert_int_equal(rig_status(g).base.index, 0);
}

static void writes_of_the_old_log_say_nothing_of_the_new(void **s)
{
    struct raft_entry old = rig_entry(5, 4);
    struct raft_entry new = rig_entry(5, 31);
    struct raft_write write;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 3), 0, &old, 1));
    write = g->out.write;
    rig_installed(g, POS(4, 30));
    rig_msg(g, rig_append(2, 5, POS(4, 30), 31, &new, 1));
    rig_write_done(g, write);
    assert_int_equal(rig_status(g).durable, 30);
    assert_int_equal(g->out.commit, 30);
    rig_sync(g);
    assert_int_equal(rig_status(g).durable, 31);
}

/* The old log was longer: entries at the same places, of other terms. */
static void writes_of_a_longer_old_log_say_nothing_of_the_new(void **s)
{
    struct raft_entry old[] = {rig_entry(5, 4), rig_entry(5, 5)};
    struct raft_entry new[] = {rig_entry(6, 3), rig_entry(6, 4),
                               rig_entry(6, 5)};
    struct raft_write write;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 3), 0, old, 2));
    write = g->out.write;
    rig_installing(g, 6);
    rig_installed(g, POS(4, 2));
    rig_msg(g, rig_append(3, 6, POS(4, 2), 5, new, 3));
    rig_write_done(g, write);
    assert_int_equal(rig_status(g).durable, 2);
    assert_int_equal(g->out.commit, 2);
    rig_sync(g);
    assert_int_equal(g->out.commit, 5);
}

static void a_snapshot_that_can_not_be_is_refused(void **s)
{
    struct raft_config config;
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 5, POS(2, 3), 3, 9));
    rig_installed(g, POS(6, 30)); /* newer than the one who sent it */
    assert_int_equal(g->rc, -EINVAL);
    rig_installed(g, POS(1, 30)); /* older than what is committed */
    assert_int_equal(g->rc, -EINVAL);
    rig_installed(g, POS(5, UINT64_MAX));
    assert_int_equal(g->rc, -EINVAL);
    config = g->options.config;
    config.members[2].id = 1; /* twice */
    rig_installed_as(g, POS(4, 30), &config);
    assert_int_equal(g->rc, -EINVAL);
    config = g->options.config;
    config.count = 1;
    config.members[0].role = RAFT_LEARNER; /* nobody votes */
    rig_installed_as(g, POS(4, 30), &config);
    assert_int_equal(g->rc, -EINVAL);
    assert_false(g->out.is_installed);
    assert_int_equal(rig_status(g).last.index, 3);
    assert_int_equal(rig_status(g).refused, 5);
}

/* The same members, named in another order. */
static void the_order_of_members_is_no_matter(void **s)
{
    struct raft_config config;
    struct rig *g = *s;

    config = g->options.config;
    config.members[0] = g->options.config.members[2];
    config.members[2] = g->options.config.members[0];
    rig_installed_as(g, POS(4, 30), &config);
    assert_true(g->out.is_installed);
}

static void a_new_leader_meanwhile_gets_the_acknowledgement(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 0, 1));
    assert_true(rig_status(g).is_installing);
    rig_installed(g, POS(4, 30));
    assert_null(rig_any(g, 2, RAFT_MSG_APPEND_REPLY));
    assert_non_null(rig_after(g, 3, RAFT_MSG_APPEND_REPLY));
}

static void an_install_without_a_leader_is_acknowledged_to_nobody(void **s)
{
    struct rig *g = *s;

    rig_installing(g, 6); /* its sender has not spoken yet */
    rig_installed(g, POS(4, 30));
    assert_true(g->out.is_installed);
    assert_int_equal(g->out.now.count + g->out.after.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(who_installs_a_snapshot_does_not_campaign, installing),
        rig_unit(who_installs_a_snapshot_does_not_take_over, installing),
        rig_unit(who_campaigns_stops_when_a_snapshot_comes_in, rig_three),
        rig_unit(a_leader_takes_a_snapshot_from_a_later_one_only, rig_three),
        rig_unit(the_senders_term_is_adopted_and_made_durable, installing),
        rig_unit(who_installs_a_snapshot_votes_and_takes_entries, installing),
        rig_unit(an_install_resets_a_log_that_lacks_it, installing),
        rig_unit(an_install_resets_a_log_that_contradicts_it, installing),
        rig_unit(an_install_is_acknowledged_once_the_reset_is_durable,
                 installing),
        rig_unit(entries_follow_an_install, installing),
        rig_unit(an_install_keeps_what_the_log_holds_behind_it, installing),
        rig_unit(an_old_snapshot_is_ignored, installing),
        rig_unit(writes_of_the_old_log_say_nothing_of_the_new, installing),
        rig_unit(writes_of_a_longer_old_log_say_nothing_of_the_new, installing),
        rig_unit(a_snapshot_that_can_not_be_is_refused, installing),
        rig_unit(the_order_of_members_is_no_matter, installing),
        rig_unit(a_new_leader_meanwhile_gets_the_acknowledgement, installing),
        rig_unit(an_install_without_a_leader_is_acknowledged_to_nobody,
                 installing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
