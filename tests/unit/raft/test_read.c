/* raft/read.c: reads by lease, by round, and through the leader (6.4). */
#include "tests/unit/raft/unit.h"

#include "tests/unit/raft/rig.h"

static void echo_round(struct rig *g, raft_id from, uint64_t round)
{
    rig_msg(g,
            rig_heartbeat_reply(from, rig_status(g).term, g->raft->round_stamp,
                                round, rig_status(g).last.index));
}

static void ask(struct rig *g, raft_id from, uint64_t id)
{
    rig_msg(g, (struct raft_msg){.type = RAFT_MSG_READ,
                                 .from = from,
                                 .to = 1,
                                 .term = rig_status(g).term,
                                 .read.id = id});
}

static void answer(struct rig *g, raft_id from, uint64_t id, raft_index index)
{
    rig_msg(g, (struct raft_msg){.type = RAFT_MSG_READ_REPLY,
                                 .from = from,
                                 .to = 1,
                                 .term = rig_status(g).term,
                                 .read_reply = {.id = id, .index = index}});
}

static const struct raft_msg_read_reply *replied(const struct rig *g,
                                                 raft_id to)
{
    const struct raft_msg *m = rig_now(g, to, RAFT_MSG_READ_REPLY);

    return m == NULL ? NULL : &m->read_reply;
}

/* A leader whose peers hold the first heartbeat back until after its lease. */
static void lead_without_lease(struct rig *g)
{
    rig_start_leading(g, 3);
    for (int i = 0; i < 12; i++) {
        g->now += RIG_H;
        rig_accept(g, 2, 1); /* in touch, but no echoes */
    }
}

/* ---- On the leader ---- */

static void a_read_under_a_lease_is_answered_at_once(void **s)
{
    struct rig *g = *s;

    echo_round(g, 2, 1);
    rig_read(g, 1);
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(g->out.reads.index, 1);
    assert_int_equal(g->out.now.count, 0);
}

static void without_a_lease_a_fresh_round_goes_out_at_once(void **s)
{
    struct rig *g = *s;
    uint64_t round;

    round = g->raft->round;
    rig_read(g, 1);
    assert_int_equal(g->out.reads.id, 0);
    assert_int_equal(rig_now(g, 2, RAFT_MSG_HEARTBEAT)->heartbeat.round,
                     round + 1);
}

/* "A round counts only for reads that were queued before it was sent." */
static void an_echo_of_an_earlier_round_answers_no_read(void **s)
{
    struct rig *g = *s;
    uint64_t round;

    round = g->raft->round;
    rig_read(g, 1);
    /* An old stamp, so that no lease comes of it. */
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round, 1));
    assert_int_equal(g->out.reads.id, 0);
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round + 1, 1));
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(g->out.reads.index, 1);
}

static void reads_that_come_during_a_round_go_with_the_next(void **s)
{
    struct rig *g = *s;
    uint64_t round;

    rig_read(g, 1);
    round = g->raft->round;
    rig_read(g, 2);
    rig_read(g, 3);
    assert_int_equal(g->out.now.count, 0);
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round, 1));
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(rig_now(g, 3, RAFT_MSG_HEARTBEAT)->heartbeat.round,
                     round + 1);
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round + 1, 1));
    assert_int_equal(g->out.reads.id, 3);
}

static void one_peers_two_echoes_confirm_no_round(void **s)
{
    struct rig g;
    uint64_t round;

    (void)s;
    rig_start_leading(&g, 5);
    rig_read(&g, 1);
    round = g.raft->round;
    rig_msg(&g, rig_heartbeat_reply(2, 1, g.raft->elected_at, round, 1));
    rig_msg(&g, rig_heartbeat_reply(2, 1, g.raft->elected_at, round, 1));
    assert_int_equal(g.out.reads.id, 0);
    rig_msg(&g, rig_heartbeat_reply(3, 1, g.raft->elected_at, round, 1));
    assert_int_equal(g.out.reads.id, 1);
    rig_close(&g);
}

static void the_index_is_the_commit_of_when_the_round_was_sent(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 2, 2);
    rig_read(g, 1);
    rig_msg(g,
            rig_heartbeat_reply(2, 1, g->raft->elected_at, g->raft->round, 2));
    assert_int_equal(g->out.reads.index, 2);
}

static void a_later_heartbeat_confirms_a_round_that_was_lost(void **s)
{
    struct rig *g = *s;

    rig_read(g, 1);
    rig_pass(g, RIG_H);
    rig_msg(g,
            rig_heartbeat_reply(2, 1, g->raft->elected_at, g->raft->round, 1));
    assert_int_equal(g->out.reads.id, 1);
}

static void reads_wait_until_the_leader_has_committed_in_its_term(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    rig_sync(g);
    rig_read(g, 1);
    assert_int_equal(g->out.now.count, 0);
    ask(g, 3, 70);
    assert_int_equal(g->out.now.count, 0);
    rig_pass(g, RIG_H);
    echo_round(g, 2, 2); /* a majority follows, and that is not enough */
    echo_round(g, 3, 2);
    assert_int_equal(g->out.reads.id, 0);
    assert_null(replied(g, 3));
    rig_accept(g, 2, 1);
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(g->out.reads.index, 1);
    assert_int_equal(replied(g, 3)->id, 70);
    assert_int_equal(replied(g, 3)->index, 1);
}

static void a_sole_voter_answers_its_reads_at_once(void **s)
{
    struct rig g;

    (void)s;
    rig_start(&g, 1);
    rig_pass(&g, 0);
    rig_sync(&g);
    rig_read(&g, 1);
    assert_int_equal(g.out.reads.id, 0);
    rig_sync(&g);
    assert_int_equal(g.out.reads.id, 1);
    rig_read(&g, 2);
    assert_int_equal(g.out.reads.id, 2);
    rig_close(&g);
}

static void reads_of_a_deposed_leader_go_to_the_next(void **s)
{
    struct rig *g = *s;

    rig_read(g, 1);
    rig_msg(g, rig_heartbeat(3, 2, POS(0, 0), 0, 1));
    assert_int_equal(g->out.reads.id, 0);
    assert_non_null(rig_after(g, 3, RAFT_MSG_READ)); /* term 2 is not durable */
}

/* ---- For followers ---- */

static void a_followers_read_under_a_lease_is_answered_at_once(void **s)
{
    struct rig *g = *s;

    echo_round(g, 2, 1);
    ask(g, 3, 70);
    assert_int_equal(replied(g, 3)->id, 70);
    assert_int_equal(replied(g, 3)->index, 1);
}

static void the_commit_is_told_before_the_reply_that_needs_it(void **s)
{
    struct rig *g = *s;

    echo_round(g, 2, 1);
    rig_pass(g, RIG_H); /* all have been told of 1 */
    rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 3, 2);
    assert_int_equal(g->out.now.count, 0);
    ask(g, 3, 70);
    assert_int_equal(g->out.now.count, 2);
    assert_int_equal(g->out.now.list[0].type, RAFT_MSG_HEARTBEAT);
    assert_int_equal(g->out.now.list[0].heartbeat.commit, 2);
    assert_int_equal(g->out.now.list[1].type, RAFT_MSG_READ_REPLY);
    ask(g, 3, 71);
    assert_int_equal(g->out.now.count, 1); /* told once */
}

static void a_followers_read_without_a_lease_waits_for_a_round(void **s)
{
    struct rig *g = *s;

    ask(g, 3, 70);
    assert_null(replied(g, 3));
    assert_non_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT));
    rig_msg(g,
            rig_heartbeat_reply(2, 1, g->raft->elected_at, g->raft->round, 1));
    assert_int_equal(replied(g, 3)->id, 70);
}

static void a_followers_newest_attempt_replaces_the_one_before(void **s)
{
    struct rig *g = *s;
    uint64_t round;

    ask(g, 3, 70);
    round = g->raft->round;
    ask(g, 3, 71); /* after the round was sent: not answered by it */
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round, 1));
    assert_null(replied(g, 3));
    rig_msg(g, rig_heartbeat_reply(2, 1, g->raft->elected_at, round + 1, 1));
    assert_int_equal(replied(g, 3)->id, 71);
}

static void a_follower_does_not_answer_reads(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    ask(g, 3, 70);
    assert_int_equal(g->out.now.count + g->out.after.count, 0);
}

/* ---- On a follower ---- */

static uint64_t asked(const struct rig *g, raft_id leader)
{
    const struct raft_msg *m = rig_any(g, leader, RAFT_MSG_READ);

    return m == NULL ? 0 : m->read.id;
}

static void a_followers_reads_ask_the_leader_one_batch_at_a_time(void **s)
{
    struct rig *g = *s;
    uint64_t first, second;

    rig_follow(g, 2, 1);
    rig_read(g, 1);
    first = asked(g, 2);
    assert_true(first != 0);
    rig_read(g, 2);
    rig_read(g, 3);
    assert_int_equal(asked(g, 2), 0);
    answer(g, 2, first, 9);
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(g->out.reads.index, 9);
    second = asked(g, 2);
    assert_true(second != 0 && second != first);
    answer(g, 2, second, 9);
    assert_int_equal(g->out.reads.id, 3);
    assert_int_equal(asked(g, 2), 0);
}

static void reads_wait_for_a_leader_to_be_known(void **s)
{
    struct rig *g = *s;

    rig_read(g, 1);
    assert_int_equal(g->out.now.count + g->out.after.count, 0);
    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 1));
    assert_true(asked(g, 2) != 0);
}

static void an_attempt_without_an_answer_is_made_anew_with_a_fresh_id(void **s)
{
    struct rig *g = *s;
    uint64_t first, second;

    rig_follow(g, 2, 1);
    rig_read(g, 1);
    first = asked(g, 2);
    assert_true(g->out.deadline <= g->now + RIG_E);
    g->now += RIG_E - 1;
    rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, 2)); /* it still leads */
    assert_int_equal(asked(g, 2), 0);
    rig_pass(g, 1);
    second = asked(g, 2);
    assert_true(second != 0 && second != first);
    answer(g, 2, first, 9); /* late: says nothing of this attempt */
    assert_int_equal(g->out.reads.id, 0);
    answer(g, 2, second, 9);
    assert_int_equal(g->out.reads.id, 1);
}

/* The fault: where the round trip took longer than the patience, each answer
 * came to an attempt that had been given up, and reads never ended. */
static void a_round_trip_of_many_heartbeats_ends_a_read(void **s)
{
    struct rig *g = *s;
    uint64_t first;

    rig_follow(g, 2, 1);
    rig_read(g, 1);
    first = asked(g, 2);
    for (uint64_t round = 2; round < 11; round++) {
        rig_pass(g, RIG_H);
        rig_msg(g, rig_heartbeat(2, 1, POS(0, 0), 0, round));
        assert_int_equal(asked(g, 2), 0);
    }
    answer(g, 2, first, 9);
    assert_int_equal(g->out.reads.id, 1);
    assert_int_equal(g->out.reads.index, 9);
}

static void a_new_leader_is_asked_anew(void **s)
{
    struct rig *g = *s;
    uint64_t first, second;

    rig_follow(g, 2, 1);
    rig_read(g, 1);
    first = asked(g, 2);
    rig_msg(g, rig_heartbeat(3, 2, POS(0, 0), 0, 1));
    second = asked(g, 3);
    assert_true(second != 0 && second != first);
    answer(g, 2, second, 9); /* not the leader */
    assert_int_equal(g->out.reads.id, 0);
    answer(g, 3, second, 9);
    assert_int_equal(g->out.reads.id, 1);
}

static void attempts_after_a_restart_have_other_ids_than_before(void **s)
{
    struct rig g;
    uint64_t first, second;

    (void)s;
    rig_start(&g, 3);
    rig_follow(&g, 2, 1);
    rig_read(&g, 1);
    first = asked(&g, 2);
    rig_close(&g);

    rig_init(&g, 3);
    g.options.hard = (struct raft_hard_state){.term = 1};
    g.options.is_first_boot = false;
    g.now += RIG_H;
    rig_open(&g);
    rig_follow(&g, 2, 1);
    rig_read(&g, 1);
    second = asked(&g, 2);
    assert_true(second != first);
    answer(&g, 2, first, 9);
    assert_int_equal(g.out.reads.id, 0);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_read_under_a_lease_is_answered_at_once, rig_three_leading),
        rig_unit(without_a_lease_a_fresh_round_goes_out_at_once,
                 lead_without_lease),
        rig_unit(an_echo_of_an_earlier_round_answers_no_read,
                 lead_without_lease),
        rig_unit(reads_that_come_during_a_round_go_with_the_next,
                 lead_without_lease),
        unit(one_peers_two_echoes_confirm_no_round),
        rig_unit(the_index_is_the_commit_of_when_the_round_was_sent,
                 lead_without_lease),
        rig_unit(a_later_heartbeat_confirms_a_round_that_was_lost,
                 lead_without_lease),
        rig_unit(reads_wait_until_the_leader_has_committed_in_its_term,
                 rig_three),
        unit(a_sole_voter_answers_its_reads_at_once),
        rig_unit(reads_of_a_deposed_leader_go_to_the_next, lead_without_lease),
        rig_unit(a_followers_read_under_a_lease_is_answered_at_once,
                 rig_three_leading),
        rig_unit(the_commit_is_told_before_the_reply_that_needs_it,
                 rig_three_leading),
        rig_unit(a_followers_read_without_a_lease_waits_for_a_round,
                 lead_without_lease),
        rig_unit(a_followers_newest_attempt_replaces_the_one_before,
                 lead_without_lease),
        rig_unit(a_follower_does_not_answer_reads, rig_three),
        rig_unit(a_followers_reads_ask_the_leader_one_batch_at_a_time,
                 rig_three),
        rig_unit(reads_wait_for_a_leader_to_be_known, rig_three),
        rig_unit(an_attempt_without_an_answer_is_made_anew_with_a_fresh_id,
                 rig_three),
        rig_unit(a_round_trip_of_many_heartbeats_ends_a_read, rig_three),
        rig_unit(a_new_leader_is_asked_anew, rig_three),
        unit(attempts_after_a_restart_have_other_ids_than_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
