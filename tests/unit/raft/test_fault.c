/* raft/fault.c: a log that has lost entries, and how it gets them back. */
#include "tests/unit/raft/unit.h"

#include <errno.h>

#include "tests/unit/raft/rig.h"

/* Member 1 of three, faulty, with entries 1 .. 4 of terms 1 1 2 2 left, 2
 * applied, and term 5. */
static void faulty(struct rig *g)
{
    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 2, 2, 0});
    g->options.applied = 2;
    g->options.hard.term = 5;
    g->options.is_faulty = true;
    rig_open(g);
    rig_pass(g, 2 * RIG_E); /* no longer quiet after the restart */
}

/* ... follows member 2, which has been asked. */
static void faulty_asking(struct rig *g)
{
    faulty(g);
    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 1));
    assert_non_null(rig_any(g, 2, RAFT_MSG_LOST));
}

static struct raft_msg lost_reply(const struct rig *g, uint64_t id,
                                  raft_index index)
{
    return (struct raft_msg){.type = RAFT_MSG_LOST_REPLY,
                             .from = 2,
                             .to = 1,
                             .term = rig_status(g).term,
                             .lost_reply = {.id = id, .index = index}};
}

/* The leader answers the newest question. */
static void answer(struct rig *g, raft_index index)
{
    rig_msg(g, lost_reply(g, g->raft->fault.id, index));
}

static struct raft_msg lost(raft_id from, raft_term term, raft_index match,
                            raft_index last)
{
    return (struct raft_msg){.type = RAFT_MSG_LOST,
                             .from = from,
                             .to = 1,
                             .term = term,
                             .lost = {.id = 9, .match = match, .last = last}};
}

/* ---- What it does not do ---- */

static void who_is_faulty_does_not_campaign(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 20; i++) {
        rig_pass(g, RIG_E);
        assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
        assert_int_equal(g->out.now.count + g->out.after.count, 0);
        assert_true(g->out.deadline > g->now);
    }
    assert_int_equal(rig_status(g).term, 5);
}

/* Its vote would say that it holds what it acknowledged. */
static void who_is_faulty_does_not_vote(void **s)
{
    struct rig *g = *s;
    struct raft_msg transfer = rig_vote(3, 7, POS(6, 99));

    rig_msg(g, rig_pre_vote(3, 6, POS(5, 99)));
    assert_false(rig_any(g, 3, RAFT_MSG_PRE_VOTE_REPLY)->vote_reply.is_granted);
    rig_msg(g, rig_vote(3, 6, POS(5, 99)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    transfer.vote.is_transfer = true;
    rig_msg(g, transfer);
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    assert_int_equal(rig_status(g).term, 5); /* nor does it take the term */
}

static void who_is_faulty_does_not_take_over(void **s)
{
    struct rig *g = *s;

    rig_msg(g,
            (struct raft_msg){
                .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .to = 1, .term = 5});
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_int_equal(rig_status(g).term, 5);
}

static void a_sole_voter_that_is_faulty_waits(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 5; i++)
        rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    assert_true(rig_status(g).is_faulty);
    assert_int_equal(g->out.commit, 0);
}

static void sole_faulty(struct rig *g)
{
    rig_init(g, 1);
    rig_log(g, (raft_term[]){1, 1, 0});
    g->options.is_faulty = true;
    rig_open(g);
}

static void nothing_can_be_lost_before_the_first_boot(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    g.options.is_faulty = true;
    assert_int_equal(raft_new(&g.options, &g.raft), -EINVAL);
}

/* ---- What it asks ---- */

static void a_leader_is_told_until_it_answers(void **s)
{
    struct rig *g = *s;
    const struct raft_msg *m;
    uint64_t id;

    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 1));
    m = rig_any(g, 2, RAFT_MSG_LOST);
    assert_int_equal(m->lost.match, 2); /* committed: the leader has it, too */
    assert_int_equal(m->lost.last, 4);
    id = m->lost.id;
    assert_true(id != 0);
    assert_non_null(rig_any(g, 2, RAFT_MSG_HEARTBEAT_REPLY));
    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 2));
    assert_int_equal(rig_any(g, 2, RAFT_MSG_LOST)->lost.id, id);
    answer(g, 9);
    assert_int_equal(rig_status(g).recovered_at, 9);
    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 3));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST));
}

/* What was verified in this term is not lost, though its log goes on
 * otherwise. */
static void what_is_told_is_what_the_leaders_messages_have_shown(void **s)
{
    struct raft_entry e = rig_entry(2, 3);
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(1, 2), 0, &e, 1));
    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 2));
    assert_int_equal(rig_any(g, 2, RAFT_MSG_LOST)->lost.match, 3);
    assert_int_equal(rig_any(g, 2, RAFT_MSG_LOST)->lost.last, 4);
}

/* An acknowledgement from before the loss was late, and has made it believe. */
static void a_leader_that_believes_too_much_is_told_again(void **s)
{
    struct rig *g = *s;

    answer(g, 9);
    rig_msg(g, rig_heartbeat(2, 5, POS(1, 2), 0, 3));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST));
    rig_msg(g, rig_heartbeat(2, 5, POS(2, 4), 0, 4)); /* not in this life */
    assert_int_equal(rig_any(g, 2, RAFT_MSG_LOST)->lost.match, 2);
}

static void a_notice_of_commits_is_not_answered(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, 0));
    assert_int_equal(g->out.now.count + g->out.after.count, 0);
}

static void each_start_asks_under_another_id(void **s)
{
    struct rig *g = *s;
    struct rig again;

    rig_init(&again, 3);
    again.now = g->now + 1;
    again.options.is_first_boot = false;
    again.options.is_faulty = true;
    rig_open(&again);
    assert_true(again.raft->fault.id != g->raft->fault.id);
    assert_true(again.raft->fault.id != again.raft->reads.attempt_next);
    rig_close(&again);
}

/* ---- When it is whole ---- */

static void it_is_whole_once_it_holds_all_durably(void **s)
{
    struct raft_entry e[] = {rig_entry(3, 5), rig_entry(5, 6), rig_entry(5, 7)};
    struct rig *g = *s;

    answer(g, 6);
    assert_false(g->out.is_recovered);
    rig_msg(g, rig_append(2, 5, POS(2, 4), 0, e, 1));
    rig_sync(g);
    assert_false(g->out.is_recovered);
    rig_msg(g, rig_append(2, 5, POS(3, 5), 0, &e[1], 2));
    assert_false(g->out.is_recovered); /* it holds them, but in memory */
    assert_true(rig_status(g).is_faulty);
    rig_sync(g);
    assert_true(g->out.is_recovered);
    assert_false(rig_status(g).is_faulty);
    rig_pass(g, 0);
    assert_false(g->out.is_recovered); /* once */
    rig_msg(g, rig_heartbeat(2, 5, POS(5, 7), 7, 3));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST));
    rig_applied(g, 7);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
    rig_msg(g, rig_vote(3, 6, POS(5, 7)));
    assert_true(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static bool says_that_it_is_faulty(struct rig *g, uint64_t round)
{
    const struct raft_msg *reply;

    rig_msg(g, rig_heartbeat(2, 5, POS(0, 0), 0, round));
    reply = rig_any(g, 2, RAFT_MSG_HEARTBEAT_REPLY);
    assert_non_null(reply);
    return reply->heartbeat_reply.is_faulty;
}

/* Who was counted on as a voter would be none after a restart. */
static void it_says_so_until_a_restart_finds_it_whole(void **s)
{
    struct rig *g = *s;

    assert_true(says_that_it_is_faulty(g, 2));
    answer(g, 4);
    rig_msg(g, rig_append(2, 5, POS(2, 4), 0, NULL, 0));
    assert_true(g->out.is_recovered);
    assert_true(says_that_it_is_faulty(g, 3));
    rig_recovered(g);
    assert_false(says_that_it_is_faulty(g, 4));
}

/* A tail of its own says nothing: it may have been cut once. */
static void a_long_tail_does_not_make_it_whole(void **s)
{
    struct rig *g = *s;

    answer(g, 4);
    assert_false(g->out.is_recovered);
    rig_msg(g, rig_append(2, 5, POS(2, 3), 0, NULL, 0));
    assert_false(g->out.is_recovered);
    rig_msg(g, rig_append(2, 5, POS(2, 4), 0, NULL, 0));
    assert_true(g->out.is_recovered);
}

static void it_is_not_whole_before_its_term_is_durable(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 6, POS(2, 4), 0, NULL, 0));
    answer(g, 4);
    assert_false(g->out.is_recovered);
    rig_sync(g);
    assert_true(g->out.is_recovered);
}

/* What it acknowledged after that question it may have lost again. */
static void an_answer_to_another_question_is_none(void **s)
{
    struct rig *g = *s;
    struct raft_msg stranger = lost_reply(g, g->raft->fault.id, 2);

    rig_msg(g, lost_reply(g, g->raft->fault.id - 1, 2));
    assert_false(g->out.is_recovered);
    stranger.from = 3;
    rig_msg(g, stranger);
    assert_false(g->out.is_recovered);
    assert_int_equal(rig_status(g).recovered_at, 0);
    rig_msg(g, lost_reply(g, g->raft->fault.id, 0));
    assert_int_equal(rig_status(g).refused, 1);
    answer(g, 2);
    assert_true(g->out.is_recovered);
}

static void another_term_asks_anew(void **s)
{
    struct raft_entry e[] = {rig_entry(2, 5), rig_entry(5, 6)};
    uint64_t id;
    struct rig *g = *s;

    rig_msg(g, rig_append(2, 5, POS(2, 4), 0, e, 2));
    rig_sync(g);
    answer(g, 8);
    id = g->raft->fault.id;
    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 0, 1));
    rig_sync(g);
    assert_int_equal(rig_status(g).recovered_at, 0);
    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 0, 2));
    assert_int_equal(rig_any(g, 3, RAFT_MSG_LOST)->lost.match, 2);
    assert_true(rig_any(g, 3, RAFT_MSG_LOST)->lost.id != id);
    rig_msg(g, lost_reply(g, id, 2)); /* of member 2, and of that term */
    assert_true(rig_status(g).is_faulty);
}

static void a_snapshot_makes_it_whole(void **s)
{
    struct rig *g = *s;

    answer(g, 30);
    rig_installing(g, 5);
    rig_installed(g, POS(4, 29));
    assert_false(g->out.is_recovered);
    rig_sync(g);
    rig_installing(g, 0);
    rig_msg(g, rig_append(2, 5, POS(4, 29), 29,
                          &(struct raft_entry){.pos = POS(5, 30),
                                               .kind = RAFT_ENTRY_NOOP},
                          1));
    assert_false(g->out.is_recovered);
    rig_sync(g);
    assert_true(g->out.is_recovered);
}

/* ---- What nobody had seen ---- */

/* Entries 1 .. 4 of terms 1 1 2 2, 2 applied, and term 5, whose leader is
 * member 2. What was torn away at the end looked like a write cut short. */
static void unaware(struct rig *g)
{
    rig_init(g, 3);
    rig_log(g, (raft_term[]){1, 1, 2, 2, 0});
    g->options.applied = 2;
    g->options.hard.term = 5;
    rig_open(g);
    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_heartbeat(2, 5, POS(2, 4), 2, 1));
    assert_false(rig_status(g).is_faulty);
}

static void who_lacks_what_its_leader_counts_on_says_so(void **s)
{
    struct raft_entry e[] = {rig_entry(5, 5), rig_entry(5, 6)};
    struct rig *g = *s;
    const struct raft_msg *m;

    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 6, 2));
    assert_int_equal(g->out.lost, 6);
    assert_true(
        rig_any(g, 2, RAFT_MSG_HEARTBEAT_REPLY)->heartbeat_reply.is_faulty);
    rig_noted(g);
    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 6, 3));
    assert_int_equal(g->out.lost, 0); /* that is said once */
    m = rig_any(g, 2, RAFT_MSG_LOST);
    assert_non_null(m);
    assert_int_equal(m->lost.match, 2); /* committed: the leader has it, too */
    assert_int_equal(m->lost.last, 4);
    rig_msg(g, rig_vote(3, 6, POS(5, 6)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    answer(g, 6);
    rig_msg(g, rig_append(2, 5, POS(2, 4), 6, e, 2));
    rig_sync(g);
    assert_true(g->out.is_recovered);
    assert_false(rig_status(g).is_faulty);
}

static void so_does_who_holds_another_entry_there(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 5, POS(3, 4), 2, 2));
    assert_true(rig_status(g).is_faulty);
    rig_noted(g);
    rig_msg(g, rig_heartbeat(2, 5, POS(3, 4), 2, 3));
    assert_non_null(rig_any(g, 2, RAFT_MSG_LOST));
}

/* The leader's heartbeats are what would tell it once more after a restart; they
 * say so until it has said that it lacks something. */
static void it_is_silent_about_it_until_a_restart_would_know_it_too(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 6, 2));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST));
    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 6, 3));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST));
    answer(g, 6); /* to whatever: it has asked nothing */
    rig_msg(g, rig_vote(3, 6, POS(5, 6)));
    assert_false(rig_any(g, 3, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_noted(g);
    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 6, 4));
    assert_non_null(rig_any(g, 3, RAFT_MSG_LOST));
}

/* ... in another term than the one in which it found out, too. */
static void and_asks_the_next_leader_as_any_other_does(void **s)
{
    struct rig *g = *s;
    uint64_t id;

    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 2, 2));
    rig_noted(g);
    rig_msg(g, rig_heartbeat(2, 5, POS(5, 6), 2, 3));
    id = rig_any(g, 2, RAFT_MSG_LOST)->lost.id;
    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 0, 1));
    rig_sync(g);
    rig_msg(g, rig_heartbeat(3, 6, POS(0, 0), 0, 2));
    assert_true(rig_any(g, 3, RAFT_MSG_LOST)->lost.id != id);
}

static void what_a_snapshot_stands_for_is_not_missed(void **s)
{
    struct rig g;

    (void)s;
    rig_init(&g, 3);
    rig_base(&g, POS(2, 8));
    rig_log(&g, (raft_term[]){3, 3, 0});
    g.options.hard.term = 5;
    rig_open(&g);
    rig_pass(&g, 2 * RIG_E);
    rig_msg(&g, rig_heartbeat(2, 5, POS(1, 5), 8, 1));
    assert_false(rig_status(&g).is_faulty);
    rig_msg(&g, rig_heartbeat(2, 5, POS(3, 11), 8, 1));
    assert_true(rig_status(&g).is_faulty);
    rig_close(&g);
}

/* Its members are in an entry that it does not have. */
static void a_leader_that_it_does_not_know_yet_makes_it_whole(void **s)
{
    struct rig g;
    struct raft_msg reply;

    (void)s;
    rig_init(&g, 3);
    g.options.is_first_boot = false;
    g.options.is_faulty = true;
    g.options.config.count = 0;
    rig_open(&g);
    rig_msg(&g, rig_heartbeat(2, 1, POS(0, 0), 0, 1));
    rig_sync(&g);
    rig_msg(&g, rig_heartbeat(2, 1, POS(0, 0), 0, 2));
    reply = lost_reply(&g, rig_any(&g, 2, RAFT_MSG_LOST)->lost.id, 1);
    rig_msg(&g, reply);
    assert_int_equal(rig_status(&g).recovered_at, 1);
    rig_msg(&g, rig_append(2, 1, POS(0, 0), 0,
                           (struct raft_entry[]){rig_entry(1, 1)}, 1));
    rig_sync(&g);
    assert_true(g.out.is_recovered);
    rig_close(&g);
}

/* ---- The leader ---- */

/* Member 1 of three leads in term 1, entries 1 .. 4 everywhere and committed.*/
static void leading(struct rig *g)
{
    rig_start_leading(g, 3);
    for (int i = 0; i < 3; i++)
        rig_propose(g, "x", 1);
    rig_sync(g);
    rig_accept(g, 2, 4);
    rig_accept(g, 3, 4);
    rig_applied(g, 4);
    assert_int_equal(rig_status(g).commit, 4);
}

static void a_leader_takes_back_what_is_lost_and_sends_it_again(void **s)
{
    const struct raft_msg *m;
    struct rig *g = *s;

    rig_propose(g, "y", 1);
    rig_msg(g, lost(2, 1, 1, 3));
    m = rig_now(g, 2, RAFT_MSG_LOST_REPLY);
    assert_int_equal(m->lost_reply.id, 9);
    assert_int_equal(m->lost_reply.index, 5); /* not yet committed, or sent */
    assert_int_equal(rig_peer(g, 2).match, 1);
    assert_string_equal(rig_peer(g, 2).state, "probe");
    m = rig_now(g, 2, RAFT_MSG_APPEND);
    assert_int_equal(m->append.prev.index, 3); /* where its log ends */
    assert_int_equal(m->append.count, 2);
    assert_int_equal(rig_status(g).commit, 4);
    assert_int_equal(rig_peer(g, 3).match, 4);
    rig_accept(g, 2, 5);
    assert_int_equal(rig_peer(g, 2).match, 5);
}

static void what_a_peer_has_lost_does_not_count(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "y", 1);
    rig_accept(g, 2, 5); /* our own copy is not durable */
    rig_msg(g, lost(2, 1, 4, 4));
    rig_sync(g);
    assert_int_equal(rig_status(g).commit, 4);
    rig_accept(g, 3, 5);
    assert_int_equal(rig_status(g).commit, 5);
}

/* Entries that had been cut are back: its log is longer than what it holds. */
static void a_peer_that_refuses_after_a_loss_is_asked_further_back(void **s)
{
    struct rig *g = *s;

    rig_msg(g, lost(2, 1, 1, 9));
    assert_int_equal(rig_now(g, 2, RAFT_MSG_APPEND)->append.prev.index, 4);
    rig_msg(g, rig_refusal(2, 1, 4, POS(0, 2)));
    assert_int_equal(rig_now(g, 2, RAFT_MSG_APPEND)->append.prev.index, 1);
}

static void a_peer_that_lost_nothing_we_count_on_is_answered_alone(void **s)
{
    struct rig *g = *s;

    rig_msg(g, lost(2, 1, 4, 4));
    assert_int_equal(rig_now(g, 2, RAFT_MSG_LOST_REPLY)->lost_reply.index, 4);
    assert_null(rig_now(g, 2, RAFT_MSG_APPEND));
    assert_string_equal(rig_peer(g, 2).state, "stream");
}

static void who_lost_what_is_gone_here_is_sent_a_snapshot(void **s)
{
    struct rig *g = *s;

    rig_compacted(g, 3);
    rig_msg(g, lost(2, 1, 1, 1));
    assert_int_equal(rig_now(g, 2, RAFT_MSG_APPEND)->append.prev.index, 3);
    rig_msg(g, rig_refusal(2, 1, 3, POS(0, 2)));
    assert_int_equal(g->out.snapshot_count, 1);
    rig_msg(g, lost(2, 1, 1, 1)); /* asked again meanwhile */
    assert_int_equal(rig_peer(g, 2).match, 1);
}

static void a_loss_that_cannot_be_is_refused(void **s)
{
    struct raft_msg nameless = lost(2, 1, 1, 3);
    struct rig *g = *s;

    nameless.lost.id = 0;
    rig_msg(g, nameless);
    rig_msg(g, lost(2, 1, 5, 9)); /* more than we have */
    rig_msg(g, lost(2, 1, 3, 2)); /* more than it has */
    assert_int_equal(rig_status(g).refused, 3);
    assert_null(rig_now(g, 2, RAFT_MSG_LOST_REPLY));
    assert_int_equal(rig_peer(g, 2).match, 4);
    rig_msg(g, lost(2, 1, 1, UINT64_MAX));
    assert_int_equal(rig_peer(g, 2).match, 1);
}

static void who_does_not_lead_heeds_no_loss(void **s)
{
    struct rig *g = *s;

    rig_msg(g, lost(2, 1, 0, 0));
    assert_null(rig_any(g, 2, RAFT_MSG_LOST_REPLY));
    rig_msg(g, lost_reply(g, 1, 1)); /* nor an answer, not being faulty */
    assert_false(g->out.is_recovered);
}

/* ---- An empty disk in a cluster that may be new ---- */

static void faulty_and_empty(struct rig *g)
{
    rig_init(g, 3);
    g->options.is_first_boot = false;
    g->options.is_faulty = true;
    rig_open(g);
}

static void an_empty_disk_votes_once_the_cluster_is_known_to_be_new(void **s)
{
    struct rig *g = *s;

    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_false(rig_any(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_sound(g);
    assert_false(rig_status(g).is_faulty);
    assert_false(g->out.is_recovered); /* whoever said so knows */
    rig_msg(g, rig_vote(2, 1, POS(0, 0)));
    assert_true(rig_after(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void and_campaigns_without_the_quiet_after_a_restart(void **s)
{
    struct rig *g = *s;

    rig_sound(g);
    rig_pass(g, 2 * RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_PRE_CANDIDATE);
}

/* Term 3 came from somebody, who may count on a promise. */
static void but_keeps_it_if_it_has_ever_known_a_term(void **s)
{
    struct rig *g = *s;

    g->options.hard.term = 3;
    rig_close(g);
    rig_open(g);
    rig_sound(g);
    rig_msg(g, rig_vote(2, 4, POS(0, 0)));
    assert_false(rig_any(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
    rig_pass(g, 2 * RIG_E);
    rig_msg(g, rig_vote(2, 4, POS(0, 0)));
    assert_true(rig_any(g, 2, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted);
}

static void a_log_with_entries_is_not_made_whole_by_a_word(void **s)
{
    struct rig *g = *s;

    rig_sound(g);
    assert_true(rig_status(g).is_faulty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(who_is_faulty_does_not_campaign, faulty),
        rig_unit(who_is_faulty_does_not_vote, faulty),
        rig_unit(who_is_faulty_does_not_take_over, faulty_asking),
        rig_unit(a_sole_voter_that_is_faulty_waits, sole_faulty),
        unit(nothing_can_be_lost_before_the_first_boot),
        rig_unit(a_leader_is_told_until_it_answers, faulty),
        rig_unit(what_is_told_is_what_the_leaders_messages_have_shown,
                 faulty_asking),
        rig_unit(a_leader_that_believes_too_much_is_told_again, faulty_asking),
        rig_unit(a_notice_of_commits_is_not_answered, faulty),
        rig_unit(each_start_asks_under_another_id, faulty),
        rig_unit(it_is_whole_once_it_holds_all_durably, faulty_asking),
        rig_unit(it_says_so_until_a_restart_finds_it_whole, faulty_asking),
        rig_unit(a_long_tail_does_not_make_it_whole, faulty_asking),
        rig_unit(it_is_not_whole_before_its_term_is_durable, faulty_asking),
        rig_unit(an_answer_to_another_question_is_none, faulty_asking),
        rig_unit(another_term_asks_anew, faulty_asking),
        rig_unit(a_snapshot_makes_it_whole, faulty_asking),
        rig_unit(who_lacks_what_its_leader_counts_on_says_so, unaware),
        rig_unit(so_does_who_holds_another_entry_there, unaware),
        rig_unit(it_is_silent_about_it_until_a_restart_would_know_it_too,
                 unaware),
        rig_unit(and_asks_the_next_leader_as_any_other_does, unaware),
        unit(what_a_snapshot_stands_for_is_not_missed),
        unit(a_leader_that_it_does_not_know_yet_makes_it_whole),
        rig_unit(a_leader_takes_back_what_is_lost_and_sends_it_again, leading),
        rig_unit(what_a_peer_has_lost_does_not_count, leading),
        rig_unit(a_peer_that_refuses_after_a_loss_is_asked_further_back,
                 leading),
        rig_unit(a_peer_that_lost_nothing_we_count_on_is_answered_alone,
                 leading),
        rig_unit(who_lost_what_is_gone_here_is_sent_a_snapshot, leading),
        rig_unit(a_loss_that_cannot_be_is_refused, leading),
        rig_unit(who_does_not_lead_heeds_no_loss, rig_three),
        rig_unit(an_empty_disk_votes_once_the_cluster_is_known_to_be_new,
                 faulty_and_empty),
        rig_unit(and_campaigns_without_the_quiet_after_a_restart,
                 faulty_and_empty),
        rig_unit(but_keeps_it_if_it_has_ever_known_a_term, faulty_and_empty),
        rig_unit(a_log_with_entries_is_not_made_whole_by_a_word, faulty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
