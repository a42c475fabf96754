/* raft/follow.c: what a follower keeps, refuses, acknowledges and commits. */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

static const struct raft_msg_append_reply *reply(const struct rig *g)
{
    const struct raft_msg *m = rig_any(g, 2, RAFT_MSG_APPEND_REPLY);

    assert_non_null(m);
    return &m->append_reply;
}

/* A follower, all quiet, whose log holds @terms. */
static void open_with(struct rig *g, const raft_term *terms)
{
    rig_init(g, 3);
    rig_log(g, terms);
    rig_open(g);
}

static raft_term term_at(const struct rig *g, raft_index index)
{
    return raft_log_term(&g->raft->log, index);
}

/* ---- Acknowledging ---- */

/* The fault: entries kept only in memory when they are acknowledged. */
static void entries_are_acknowledged_only_when_durable(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1), rig_entry(1, 2)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 2));
    assert_null(rig_now(g, 2, RAFT_MSG_APPEND_REPLY));
    assert_true(reply(g)->is_accepted);
    assert_int_equal(reply(g)->match, 2);
    assert_int_equal(g->out.append_count, 2);
    assert_int_equal(g->out.append[0].pos.index, 1);
    assert_int_equal(g->out.write.last.index, 2);
    assert_true(g->out.after_seq >= g->out.write.seq);
}

/* The same entries come again before the disk is done with the first. */
static void entries_held_but_not_durable_wait_for_their_write(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1)};
    struct rig *g = *s;
    uint64_t first_seq;

    rig_follow(g, 2, 1);
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 1));
    first_seq = g->out.write.seq;
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 1));
    assert_int_equal(g->out.write.seq, 0);
    assert_null(rig_now(g, 2, RAFT_MSG_APPEND_REPLY));
    assert_true(g->out.after_seq >= first_seq);
}

/* The fault: a follower that acknowledges its own tail, which may diverge, on
 * an empty AppendEntries. */
static void an_empty_append_acknowledges_prev_and_not_the_own_tail(void **s)
{
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 2, 2, 2, 0});
    rig_msg(&g, rig_append(2, 3, POS(1, 1), 4, NULL, 0));
    assert_true(reply(&g)->is_accepted);
    assert_int_equal(reply(&g)->match, 1);
    assert_int_equal(rig_status(&g).commit, 1);
    assert_int_equal(rig_status(&g).last.index, 4);
    rig_close(&g);
}

static void an_append_acknowledges_its_own_entries_and_not_more(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1), rig_entry(2, 2)};
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 2, 2, 2, 0});
    rig_msg(&g, rig_append(2, 3, POS(0, 0), 9, e, 2));
    assert_int_equal(reply(&g)->match, 2);
    assert_int_equal(rig_status(&g).commit, 2);
    rig_close(&g);
}

/* ---- The consistency check (3.5) ---- */

static void an_append_whose_prev_is_not_held_is_refused(void **s)
{
    struct raft_entry e[] = {rig_entry(3, 4)};
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 2, 2, 0});
    rig_msg(&g, rig_append(2, 3, POS(3, 3), 4, e, 1));
    assert_false(reply(&g)->is_accepted);
    assert_int_equal(rig_status(&g).last.index, 3);
    assert_int_equal(rig_status(&g).commit, 0);
    assert_int_equal(g.out.append_count, 0);
    rig_close(&g);
}

static void a_refusal_carries_the_conflicting_term_and_its_first_index(void **s)
{
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 1, 2, 2, 2, 4, 0});
    rig_msg(&g, rig_append(2, 5, POS(3, 5), 0, NULL, 0));
    assert_int_equal(reply(&g)->match, 5);
    assert_int_equal(reply(&g)->conflict.term, 2);
    assert_int_equal(reply(&g)->conflict.index, 3);
    rig_msg(&g, rig_append(2, 5, POS(5, 20), 0, NULL, 0));
    assert_int_equal(reply(&g)->match, 20);
    assert_int_equal(reply(&g)->conflict.term, 0);
    assert_int_equal(reply(&g)->conflict.index, 7);
    rig_close(&g);
}

static void the_log_is_cut_from_the_conflict_on(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 2), rig_entry(3, 3)};
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 1, 2, 2, 2, 0});
    rig_msg(&g, rig_append(2, 3, POS(1, 1), 0, e, 2));
    assert_int_equal(rig_status(&g).last.index, 3);
    assert_int_equal(rig_status(&g).last.term, 3);
    assert_int_equal(term_at(&g, 2), 1);
    /* Only what differs is written: the cut is implied by its first index. */
    assert_int_equal(g.out.append_count, 1);
    assert_int_equal(g.out.append[0].pos.index, 3);
    assert_int_equal(rig_status(&g).durable, 2);
    rig_close(&g);
}

/* 3.5: delayed messages must not undo what later ones brought. */
static void a_matching_suffix_is_never_cut(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1), rig_entry(1, 2), rig_entry(1, 3)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 3));
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 1));
    assert_int_equal(rig_status(g).last.index, 3);
    assert_int_equal(g->out.append_count, 0);
}

static void what_contradicts_the_committed_is_not_taken(void **s)
{
    struct raft_entry e[] = {rig_entry(3, 2)};
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 1, 1, 0});
    rig_msg(&g, rig_append(2, 2, POS(1, 3), 3, NULL, 0));
    assert_int_equal(rig_status(&g).commit, 3);
    rig_msg(&g, rig_append(2, 3, POS(1, 1), 3, e, 1));
    assert_null(rig_any(&g, 2, RAFT_MSG_APPEND_REPLY));
    assert_int_equal(rig_status(&g).last.index, 3);
    assert_int_equal(rig_status(&g).refused, 1);
    rig_close(&g);
}

/* ---- Committing ---- */

static void commit_goes_no_further_than_the_message_verified(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1), rig_entry(1, 2)};
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 9, e, 2));
    assert_int_equal(rig_status(g).commit, 2);
}

static void what_is_committed_may_be_applied_once_it_is_durable_here(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1), rig_entry(1, 2)};
    struct raft_entry out[4];
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 1, POS(0, 0), 2, e, 2));
    assert_int_equal(g->out.commit, 0);
    assert_int_equal(raft_committed(g->raft, 1, out, 4), 0);
    rig_sync(g);
    assert_int_equal(g->out.commit, 2);
    assert_int_equal(raft_committed(g->raft, 1, out, 4), 2);
    assert_int_equal(out[1].pos.index, 2);
}

static void a_heartbeat_commits_only_what_its_match_covers(void **s)
{
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 1, 2, 2, 0});
    rig_msg(&g, rig_heartbeat(2, 3, POS(0, 0), 4, 1));
    assert_int_equal(rig_status(&g).commit, 0);
    rig_msg(&g, rig_heartbeat(2, 3, POS(3, 4), 4, 2)); /* not what we hold */
    assert_int_equal(rig_status(&g).commit, 0);
    rig_msg(&g, rig_heartbeat(2, 3, POS(1, 2), 4, 3));
    assert_int_equal(rig_status(&g).commit, 2);
    rig_msg(&g, rig_heartbeat(2, 3, POS(2, 4), 3, 4));
    assert_int_equal(rig_status(&g).commit, 3);
    rig_close(&g);
}

/* ---- Heartbeats ---- */

/* A slow disk must not cause an election. */
static void a_heartbeat_is_answered_though_entries_wait_for_the_disk(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1)};
    struct rig *g = *s;
    const struct raft_msg *m;

    rig_follow(g, 2, 1);
    rig_msg(g, rig_append(2, 1, POS(0, 0), 0, e, 1));
    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 8));
    m = rig_now(g, 2, RAFT_MSG_HEARTBEAT_REPLY);
    assert_non_null(m);
    assert_int_equal(m->heartbeat_reply.round, 8);
    assert_int_equal(m->heartbeat_reply.stamp, 77);
    assert_int_equal(m->heartbeat_reply.last, 1);
}

static void a_heartbeat_of_a_term_not_yet_durable_is_answered_after(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 1));
    assert_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT_REPLY));
    assert_non_null(rig_after(g, 2, RAFT_MSG_HEARTBEAT_REPLY));
    assert_int_equal(g->out.hard->term, 1);
    assert_true(g->out.after_seq >= g->out.write.seq);
}

static void a_notice_of_commits_is_not_answered(void **s)
{
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){1, 1, 0});
    rig_follow(&g, 2, 2);
    rig_msg(&g, rig_heartbeat(2, 2, POS(1, 2), 2, 0));
    assert_int_equal(rig_status(&g).commit, 2);
    assert_int_equal(g.out.now.count + g.out.after.count, 0);
    rig_close(&g);
}

/* ---- Terms ---- */

static void a_leader_of_an_old_term_is_told_of_ours(void **s)
{
    struct rig g;

    (void)s;
    open_with(&g, (raft_term[]){4, 0});
    rig_msg(&g, rig_append(2, 3, POS(0, 0), 0, NULL, 0));
    assert_false(reply(&g)->is_accepted);
    assert_int_equal(rig_any(&g, 2, RAFT_MSG_APPEND_REPLY)->term, 4);
    assert_int_equal(rig_status(&g).leader, 0);
    rig_msg(&g, rig_heartbeat(2, 3, POS(0, 0), 0, 1));
    assert_int_equal(rig_any(&g, 2, RAFT_MSG_APPEND_REPLY)->term, 4);
    assert_null(rig_any(&g, 2, RAFT_MSG_HEARTBEAT_REPLY));
    rig_close(&g);
}

static void a_second_leader_in_one_term_is_not_heard(void **s)
{
    struct raft_entry e[] = {rig_entry(1, 1)};
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    rig_msg(g, rig_append(3, 1, POS(0, 0), 1, e, 1));
    assert_int_equal(rig_status(g).leader, 2);
    assert_int_equal(rig_status(g).last.index, 0);
    assert_int_equal(rig_status(g).refused, 1);
}

/* ---- Messages that no sound leader sends ---- */

static void malformed_appends_have_no_effect(void **s)
{
    struct raft_entry gap = rig_entry(1, 2);
    struct raft_entry early = rig_entry(1, 1);
    struct raft_entry future = rig_entry(9, 1);
    struct raft_entry none = rig_entry(0, 1);
    struct raft_entry kind = rig_entry(1, 1);
    struct raft_entry huge = rig_entry(1, 1);
    struct raft_msg cases[] = {
        rig_append(2, 3, POS(0, 0), 0, &gap, 1),
        rig_append(2, 3, POS(2, 0), 0, &early, 1),
        rig_append(2, 3, POS(0, 1), 0, &gap, 1),
        rig_append(2, 3, POS(2, 1), 0, &gap, 1), /* terms go back */
        rig_append(2, 3, POS(0, 0), 0, &future, 1),
        rig_append(2, 3, POS(0, 0), 0, &none, 1),
        rig_append(2, 3, POS(0, 0), 0, &kind, 1),
        rig_append(2, 3, POS(0, 0), 0, &huge, 1),
        rig_append(2, 3, POS(4, 1), 0, NULL, 0), /* prev of a later term */
        rig_append(2, 3, POS(0, 0), 0, &early, PX_BATCH_ENTRIES_MAX + 1),
        rig_append(2, 3, POS(1, UINT64_MAX), 0, NULL, 0),
    };
    struct rig g;

    (void)s;
    kind.kind = (enum raft_entry_kind)4;
    huge.data.size = PX_ENTRY_BYTES_MAX + 1;
    rig_start(&g, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_msg(&g, cases[i]);
        assert_int_equal(rig_status(&g).refused, i + 1);
        assert_int_equal(rig_status(&g).last.index, 0);
        assert_int_equal(rig_status(&g).leader, 0);
        assert_null(rig_any(&g, 2, RAFT_MSG_APPEND_REPLY));
    }
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(entries_are_acknowledged_only_when_durable, rig_three),
        rig_unit(entries_held_but_not_durable_wait_for_their_write, rig_three),
        unit(an_empty_append_acknowledges_prev_and_not_the_own_tail),
        unit(an_append_acknowledges_its_own_entries_and_not_more),
        unit(an_append_whose_prev_is_not_held_is_refused),
        unit(a_refusal_carries_the_conflicting_term_and_its_first_index),
        unit(the_log_is_cut_from_the_conflict_on),
        rig_unit(a_matching_suffix_is_never_cut, rig_three),
        unit(what_contradicts_the_committed_is_not_taken),
        rig_unit(commit_goes_no_further_than_the_message_verified, rig_three),
        rig_unit(what_is_committed_may_be_applied_once_it_is_durable_here,
                 rig_three),
        unit(a_heartbeat_commits_only_what_its_match_covers),
        rig_unit(a_heartbeat_is_answered_though_entries_wait_for_the_disk,
                 rig_three),
        rig_unit(a_heartbeat_of_a_term_not_yet_durable_is_answered_after,
                 rig_three),
        unit(a_notice_of_commits_is_not_answered),
        unit(a_leader_of_an_old_term_is_told_of_ours),
        rig_unit(a_second_leader_in_one_term_is_not_heard, rig_three),
        unit(malformed_appends_have_no_effect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
