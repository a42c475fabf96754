/* raft/snapshot.c, and what the rest does where the log's head is gone
 * (chapter 5). */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

/* ---- Leader ---- */

#define BASE 4u

/* Leads in term 1, with entries 1 .. 6 committed by peer 2; its log begins
 * behind BASE. Peer 3 has never answered. */
static void lead_behind_base(struct rig *g)
{
    rig_start(g, 3);
    rig_lead(g);
    for (int i = 0; i < 5; i++)
        rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 2, 6);
    rig_applied(g, 6);
    rig_compacted(g, BASE);
    assert_int_equal(rig_status(g).base.index, BASE);
}

/* Peer 3 answers the newest heartbeat, its log ending at @last. */
static void peer_3_beats(struct rig *g, raft_index last)
{
    rig_pass(g, RIG_H);
    rig_beat(g, 3, last);
}

static void peer_3_refuses_the_base(struct rig *g)
{
    rig_msg(g, rig_refusal(3, 1, BASE, POS(0, 1)));
}

static void peer_3_waits_for_a_snapshot(struct rig *g)
{
    lead_behind_base(g);
    peer_3_beats(g, 0);
    peer_3_refuses_the_base(g);
    assert_string_equal(rig_peer(g, 3).state, "snapshot");
}

static void a_follower_behind_the_base_gets_a_snapshot(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;

    peer_3_beats(g, 0);
    m = rig_now(g, 3, RAFT_MSG_APPEND);
    assert_non_null(m); /* does it hold the base? */
    assert_int_equal(m->append.prev.index, BASE);
    assert_int_equal(m->append.prev.term, 1);
    assert_int_equal(m->append.count, 0);
    assert_int_equal(g->out.snapshot_count, 0);
    peer_3_refuses_the_base(g);
    assert_int_equal(g->out.snapshot_count, 1);
    assert_int_equal(g->out.snapshots[0].peer, 3);
    assert_int_equal(g->out.snapshots[0].term, 1);
    assert_int_equal(g->out.snapshots[0].base, BASE);
    assert_string_equal(rig_peer(g, 3).state, "snapshot");
    peer_3_refuses_the_base(g); /* doubled */
    assert_int_equal(g->out.snapshot_count, 0);
}

/* A follower whose log conflicts from below the base on. */
static void a_conflict_below_the_base_asks_for_a_snapshot(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_base(&g, POS(3, 10));
    rig_log(&g, (raft_term[]){3, 4, 4, 0});
    rig_open(&g);
    rig_lead(&g); /* probes at 13, term 4 */
    /* Term 2 up to 13: so it has another entry at 10, too. */
    rig_msg(&g, rig_refusal(3, 5, 13, POS(2, 8)));
    assert_int_equal(g.out.snapshot_count, 1);
    /* Peer 2 shares the term of the base, so perhaps the base. */
    rig_msg(&g, rig_refusal(2, 5, 13, POS(3, 7)));
    assert_int_equal(g.out.snapshot_count, 0);
    assert_int_equal(rig_now(&g, 2, RAFT_MSG_APPEND)->append.prev.index, 11);
    rig_close(&g);
}

static void nobody_who_is_silent_is_sent_a_snapshot(void **s)
{
    struct rig *g = *s;

    assert_int_equal(g->out.snapshot_count, 0);
    rig_unreachable(g, 3);
    assert_int_equal(g->out.snapshot_count, 0);
    rig_pass(g, RIG_H);
    assert_int_equal(g->out.snapshot_count, 0);
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    assert_non_null(rig_now(g, 3, RAFT_MSG_HEARTBEAT));
}

static void who_waits_for_a_snapshot_gets_heartbeats_and_no_entries(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;

    rig_propose(g, "y", 1);
    assert_non_null(rig_now(g, 2, RAFT_MSG_APPEND));
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    rig_pass(g, RIG_H);
    m = rig_now(g, 3, RAFT_MSG_HEARTBEAT);
    assert_non_null(m);
    assert_int_equal(m->heartbeat.match.index, 0); /* its term is gone */
    assert_int_equal(m->heartbeat.match.term, 0);
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    peer_3_beats(g, BASE - 1); /* still behind */
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
}

static void entries_follow_a_snapshot(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;

    rig_snapshot_sent(g, 3, true, 5);
    assert_string_equal(rig_peer(g, 3).state, "probe");
    assert_int_equal(rig_peer(g, 3).match, 0); /* its word alone */
    m = rig_now(g, 3, RAFT_MSG_APPEND);
    assert_non_null(m);
    assert_int_equal(m->append.prev.index, 5);
    assert_int_equal(m->append.count, 1);
    rig_accept(g, 3, 6);
    assert_string_equal(rig_peer(g, 3).state, "stream");
}

static void a_snapshot_older_than_the_base_is_followed_by_the_base(void **s)
{
    struct rig *g = *s;

    rig_compacted(g, 6); /* while it was on its way */
    assert_int_equal(rig_peer(g, 3).next, 7);
    rig_snapshot_sent(g, 3, true, 5);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_APPEND)->append.prev.index, 6);
    rig_msg(g, rig_refusal(3, 1, 6, POS(0, 6)));
    assert_int_equal(g->out.snapshot_count, 1);
    assert_int_equal(g->out.snapshots[0].base, 6);
}

static void a_failed_snapshot_is_asked_for_anew_after_a_heartbeat(void **s)
{
    struct rig *g = *s;

    rig_snapshot_sent(g, 3, false, 0);
    assert_int_equal(g->out.now.count, 0);
    rig_beat(g, 3, 0); /* at once: not yet */
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    peer_3_beats(g, 0);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_APPEND)->append.prev.index, BASE);
    peer_3_refuses_the_base(g);
    assert_int_equal(g->out.snapshot_count, 1);
}

/* Nobody tells the leader; the follower's log does. */
static void a_lost_word_of_a_snapshot_is_made_good(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;

    peer_3_beats(g, 5);
    m = rig_now(g, 3, RAFT_MSG_APPEND);
    assert_non_null(m);
    assert_int_equal(m->append.prev.index, BASE);
    assert_int_equal(m->append.count, 0);
    assert_string_equal(rig_peer(g, 3).state, "snapshot");
    rig_accept(g, 3, 5);
    assert_string_equal(rig_peer(g, 3).state, "stream");
    assert_int_equal(rig_now(g, 3, RAFT_MSG_APPEND)->append.prev.index, 5);
    rig_snapshot_sent(g, 3, false, 0); /* late */
    assert_string_equal(rig_peer(g, 3).state, "stream");
}

/* A long log of another leader's: refused at the base, and nothing follows. */
static void a_long_log_that_lacks_the_base_goes_on_waiting(void **s)
{
    struct rig *g = *s;

    peer_3_beats(g, 50);
    assert_non_null(rig_now(g, 3, RAFT_MSG_APPEND));
    peer_3_refuses_the_base(g);
    assert_int_equal(g->out.snapshot_count, 0); /* it was asked for */
    assert_string_equal(rig_peer(g, 3).state, "snapshot");
}

static void only_an_answer_at_the_base_ends_the_wait(void **s)
{
    struct rig *g = *s;

    rig_accept(g, 3, BASE - 1); /* delayed, from before */
    assert_string_equal(rig_peer(g, 3).state, "snapshot");
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    rig_accept(g, 3, BASE);
    assert_string_equal(rig_peer(g, 3).state, "stream");
    assert_int_equal(rig_now(g, 3, RAFT_MSG_APPEND)->append.prev.index, BASE);
}

static void a_snapshot_that_we_do_not_have_was_not_sent(void **s)
{
    struct rig *g = *s;

    rig_snapshot_sent(g, 3, true, 7);
    assert_int_equal(rig_status(g).refused, 1);
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
    assert_string_equal(rig_peer(g, 3).state, "probe");
    rig_snapshot_sent(g, 9, true, 5); /* of a stranger */
}

static void a_broken_connection_asks_anew_for_a_snapshot(void **s)
{
    struct rig *g = *s;

    rig_unreachable(g, 3);
    assert_string_equal(rig_peer(g, 3).state, "probe");
    assert_int_equal(g->out.snapshot_count, 0); /* it may be down */
    peer_3_beats(g, 0);
    peer_3_refuses_the_base(g);
    assert_int_equal(g->out.snapshot_count, 1);
}

static void who_leads_anew_begins_with_a_probe(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 2);
    rig_snapshot_sent(g, 3, true, 5);
    assert_int_equal(g->out.now.count, 0);
    rig_compacted(g, 6);
    rig_lead(g);
    assert_string_equal(rig_peer(g, 3).state, "probe");
    rig_snapshot_sent(g, 3, true, 5); /* that of the earlier term */
    assert_string_equal(rig_peer(g, 3).state, "probe");
    assert_null(rig_now(g, 3, RAFT_MSG_APPEND));
}

/* What was asked before the base moved is answered after. */
static void late_answers_from_below_the_base_are_asked_anew(void **s)
{
    struct rig *g = *s;

    rig_accept(g, 3, 2);
    assert_int_equal(rig_peer(g, 3).match, 2);
    assert_string_equal(rig_peer(g, 3).state, "probe");
    assert_int_equal(rig_peer(g, 3).next, BASE + 1);
    rig_msg(g, rig_refusal(3, 1, 3, POS(0, 3)));
    assert_int_equal(g->out.snapshot_count, 0); /* it may have moved on */
    assert_int_equal(rig_peer(g, 3).next, BASE + 1);
}

/* Peer 3 streams from disk when the log's head goes. */
static void a_fetch_that_the_base_overtakes_is_ignored(void **s)
{
    struct raft_entry entries[] = {rig_entry(2, 2), rig_entry(2, 3)};
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_log(&g, (raft_term[]){2, 2, 2, 2, 0});
    g.options.applied = 4;
    rig_open(&g);
    rig_lead(&g);
    rig_sync(&g);
    rig_accept(&g, 2, 5);
    rig_msg(&g, rig_refusal(3, 3, 4, POS(0, 2)));
    rig_accept(&g, 3, 1);
    assert_int_equal(g.out.fetch_count, 1);
    assert_int_equal(g.out.fetches[0].first, 2);
    rig_compacted(&g, 4);
    rig_fetched(&g, 3, 2, entries, 2);
    assert_int_equal(g.out.now.count, 0);
    assert_int_equal(rig_peer(&g, 3).next, 5);
    rig_close(&g);
}

/* ---- Follower: entries ---- */

/* Follows member 2 in term 5; its log is {3, 10}, then 11 .. 13 of terms 3 4 4;
 * 10 is applied. */
static void follow_behind_base(struct rig *g)
{
    rig_init(g, 3);
    rig_base(g, POS(3, 10));
    rig_log(g, (raft_term[]){3, 4, 4, 0});
    rig_open(g);
    rig_follow(g, 2, 5);
}

static void an_append_is_clipped_to_what_lies_behind_the_base(void **s)
{
    struct raft_entry entries[] = {rig_entry(2, 9), rig_entry(3, 10),
                                   rig_entry(3, 11), rig_entry(5, 12)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 8), 11, entries, 4));
    assert_int_equal(g->out.append_count, 1);
    assert_int_equal(g->out.append[0].pos.index, 12);
    assert_int_equal(g->out.append[0].pos.term, 5);
    assert_int_equal(rig_status(g).commit, 11);
    assert_int_equal(rig_after(g, 2, RAFT_MSG_APPEND_REPLY)->append_reply.match,
                     12);
}

/* Whatever lies below is committed; the leader holds it (5.4.3). */
static void an_append_below_the_base_acknowledges_the_base(void **s)
{
    struct raft_entry entries[] = {rig_entry(1, 4), rig_entry(1, 5)};
    const struct raft_msg *reply;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(1, 3), 13, entries, 2));
    reply = rig_after(g, 2, RAFT_MSG_APPEND_REPLY);
    assert_true(reply->append_reply.is_accepted);
    assert_int_equal(reply->append_reply.match, 10); /* not our own tail */
    assert_int_equal(rig_status(g).commit, 10);
    assert_int_equal(g->out.append_count, 0);
    rig_msg(g, rig_append(2, 5, POS(1, 3), 13, NULL, 0));
    assert_int_equal(rig_after(g, 2, RAFT_MSG_APPEND_REPLY)->append_reply.match,
                     10);
}

static void an_append_that_contradicts_the_base_is_ignored(void **s)
{
    struct raft_entry entries[] = {rig_entry(2, 9), rig_entry(2, 10),
                                   rig_entry(5, 11)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 8), 10, entries, 3));
    assert_null(rig_any(g, 2, RAFT_MSG_APPEND_REPLY));
    rig_msg(g, rig_append(2, 5, POS(2, 10), 10, &entries[2], 1));
    assert_null(rig_any(g, 2, RAFT_MSG_APPEND_REPLY));
    assert_int_equal(rig_status(g).refused, 2);
    assert_int_equal(rig_status(g).last.index, 13);
}

static void a_refusal_points_behind_the_base(void **s)
{
    const struct raft_msg *reply;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(5, 11), 10, NULL, 0));
    reply = rig_any(g, 2, RAFT_MSG_APPEND_REPLY);
    assert_false(reply->append_reply.is_accepted);
    assert_int_equal(reply->append_reply.conflict.term, 3);
    assert_int_equal(reply->append_reply.conflict.index, 11);
}

/* 3.6.1, with nothing left in the log to compare. */
static void a_vote_is_given_by_the_base_when_the_log_is_empty(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_base(&g, POS(3, 10));
    rig_open(&g);
    rig_pass(&g, 2 * RIG_E); /* quiet after the restart */
    rig_msg(&g, rig_vote(2, 7, POS(2, 99)));
    assert_false(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(&g, rig_vote(2, 8, POS(3, 9)));
    assert_false(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(&g, rig_vote(2, 9, POS(3, 10)));
    assert_true(rig_any(&g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_follower_behind_the_base_gets_a_snapshot, lead_behind_base),
        unit(a_conflict_below_the_base_asks_for_a_snapshot),
        rig_unit(nobody_who_is_silent_is_sent_a_snapshot, lead_behind_base),
        rig_unit(who_waits_for_a_snapshot_gets_heartbeats_and_no_entries,
                 peer_3_waits_for_a_snapshot),
        rig_unit(entries_follow_a_snapshot, peer_3_waits_for_a_snapshot),
        rig_unit(a_snapshot_older_than_the_base_is_followed_by_the_base,
                 peer_3_waits_for_a_snapshot),
        rig_unit(a_failed_snapshot_is_asked_for_anew_after_a_heartbeat,
                 peer_3_waits_for_a_snapshot),
        rig_unit(a_lost_word_of_a_snapshot_is_made_good,
                 peer_3_waits_for_a_snapshot),
        rig_unit(a_long_log_that_lacks_the_base_goes_on_waiting,
                 peer_3_waits_for_a_snapshot),
        rig_unit(only_an_answer_at_the_base_ends_the_wait,
                 peer_3_waits_for_a_snapshot),
        rig_unit(a_snapshot_that_we_do_not_have_was_not_sent,
                 peer_3_waits_for_a_snapshot),
        rig_unit(a_broken_connection_asks_anew_for_a_snapshot,
                 peer_3_waits_for_a_snapshot),
        rig_unit(who_leads_anew_begins_with_a_probe,
                 peer_3_waits_for_a_snapshot),
        rig_unit(late_answers_from_below_the_base_are_asked_anew,
                 lead_behind_base),
        unit(a_fetch_that_the_base_overtakes_is_ignored),
        rig_unit(an_append_is_clipped_to_what_lies_behind_the_base,
                 follow_behind_base),
        rig_unit(an_append_below_the_base_acknowledges_the_base,
                 follow_behind_base),
        rig_unit(an_append_that_contradicts_the_base_is_ignored,
                 follow_behind_base),
        rig_unit(a_refusal_points_behind_the_base, follow_behind_base),
        unit(a_vote_is_given_by_the_base_when_the_log_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
