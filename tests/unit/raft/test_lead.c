/* raft/lead.c: proposals, sending, what answers do, what is resent. */
#include "tests/unit/raft/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "tests/unit/raft/rig.h"

/* A leader in the term after the last of @terms; its no-op, and nothing of the
 * rest, is in memory. Every peer has been probed and has not answered. */
static void lead_with_log(struct rig *g, size_t voters, const raft_term *terms)
{
    rig_init(g, voters);
    rig_log(g, terms);
    rig_open(g);
    rig_lead(g);
    rig_sync(g);
}

static const struct raft_msg_append *sent(const struct rig *g, raft_id to)
{
    const struct raft_msg *m = rig_now(g, to, RAFT_MSG_APPEND);

    assert_non_null(m);
    return &m->append;
}

static size_t count_sent(const struct rig *g, raft_id to)
{
    size_t count = 0;

    for (size_t i = 0; i < g->out.now.count; i++)
        count += g->out.now.list[i].to == to &&
                 g->out.now.list[i].type == RAFT_MSG_APPEND;
    return count;
}

/* ---- Becoming leader ---- */

static void a_new_leader_appends_a_noop_of_its_term(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    assert_int_equal(g->out.append_count, 1);
    assert_int_equal(g->out.append[0].kind, RAFT_ENTRY_NOOP);
    assert_int_equal(g->out.append[0].pos.term, 1);
    assert_int_equal(sent(g, 2)->count, 1);
    assert_int_equal(sent(g, 3)->prev.index, 0);
    assert_non_null(rig_now(g, 2, RAFT_MSG_HEARTBEAT));
}

/* ---- Proposals ---- */

static void a_proposal_goes_to_disk_and_to_the_followers_at_once(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, 0);
    assert_int_equal(g->out.append_count, 1);
    assert_int_equal(g->out.write.last.index, 2);
    assert_int_equal(sent(g, 2)->count, 1);
    assert_int_equal(sent(g, 3)->entries[0].pos.index, 2);
    assert_memory_equal(sent(g, 3)->entries[0].data.data, "x", 1);
}

/* The fault: a pending proposal matched by its index alone. */
static void a_proposal_is_known_by_index_and_term(void **s)
{
    struct raft_entry theirs = rig_entry(2, 2);
    struct raft_entry applied[4];
    struct raft_pos proposed;
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    proposed = g->out.proposed;
    assert_int_equal(proposed.index, 2);
    assert_int_equal(proposed.term, 1);
    rig_sync(g);
    /* Another leader puts its own entry there, and commits it. */
    rig_msg(g, rig_append(3, 2, POS(1, 1), 2, &theirs, 1));
    rig_sync(g);
    assert_int_equal(raft_committed(g->raft, proposed.index, applied, 4), 1);
    assert_int_equal(applied[0].pos.index, proposed.index);
    assert_true(applied[0].pos.term != proposed.term);
}

static void a_follower_takes_no_proposal(void **s)
{
    struct rig *g = *s;

    rig_follow(g, 2, 1);
    rig_propose(g, "x", 1);
    assert_int_equal(g->rc, -PX_ENOTLEADER);
    assert_int_equal(g->out.append_count, 0);
    assert_int_equal(g->out.proposed.index, 0);
}

static void proposals_are_refused_while_too_much_is_unapplied(void **s)
{
    static struct raft_proposal list[PX_BATCH_ENTRIES_MAX];
    struct raft_in in = {.type = RAFT_IN_PROPOSE};
    struct rig *g = *s;
    size_t taken = 0;

    in.now = g->now;
    in.propose.list = list;
    in.propose.count = PX_BATCH_ENTRIES_MAX;
    for (size_t i = 0; i < PX_BATCH_ENTRIES_MAX; i++)
        list[i].kind = RAFT_ENTRY_COMMAND;
    while (taken <= RAFT_UNAPPLIED_ENTRIES_MAX &&
           raft_step(g->raft, &in, &g->out) == 0)
        taken += g->out.append_count;
    g->write = (struct raft_write){g->raft->write_seq, rig_status(g).last};
    assert_int_equal(taken, RAFT_UNAPPLIED_ENTRIES_MAX);
    assert_int_equal(raft_step(g->raft, &in, &g->out), -EAGAIN);
    assert_int_equal(g->out.append_count, 0);
    /* Applying makes room. */
    rig_sync(g);
    rig_accept(g, 2, 1 + taken);
    rig_applied(g, 1 + taken);
    assert_int_equal(raft_step(g->raft, &in, &g->out), 0);
}

static void proposals_are_refused_while_too_many_bytes_are_unapplied(void **s)
{
    struct px_slice big = {.owner = px_buf_new(PX_ENTRY_BYTES_MAX)};
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_COMMAND};
    struct raft_in in = {.type = RAFT_IN_PROPOSE,
                         .propose = {.list = &proposal, .count = 1}};
    struct rig g;
    size_t taken = 0;

    (void)s;
    proposal.data = px_slice_of(big.owner, 0, PX_ENTRY_BYTES_MAX);
    rig_start_leading(&g, 3);
    in.now = g.now;
    while (taken < 100 && raft_step(g.raft, &in, &g.out) == 0)
        taken++;
    assert_int_equal(taken, RAFT_UNAPPLIED_BYTES_MAX / PX_ENTRY_BYTES_MAX);
    raft_check(g.raft);
    rig_close(&g);
    px_slice_unref(&big);
}

/* ---- Progress ---- */

static void entries_are_streamed_without_waiting_for_answers(void **s)
{
    struct rig *g = *s;

    assert_string_equal(rig_peer(g, 2).state, "stream");
    for (raft_index i = 2; i < 10; i++) {
        rig_propose(g, "x", 1);
        assert_int_equal(sent(g, 2)->prev.index, i - 1);
        assert_int_equal(sent(g, 2)->count, 1);
    }
    assert_int_equal(rig_peer(g, 2).match, 1);
    assert_int_equal(rig_peer(g, 2).next, 10);
}

static void what_is_in_flight_is_bounded_in_messages(void **s)
{
    struct rig *g = *s;

    for (unsigned i = 0; i < RAFT_INFLIGHT_MSGS_MAX; i++) {
        rig_propose(g, "x", 1);
        assert_int_equal(count_sent(g, 2), 1);
    }
    rig_propose(g, "x", 1);
    rig_propose(g, "x", 1);
    assert_int_equal(count_sent(g, 2), 0);
    rig_accept(g, 2, 2); /* the first is there: one message has room */
    assert_int_equal(count_sent(g, 2), 1);
    assert_int_equal(sent(g, 2)->count, 2);
}

static void what_is_in_flight_is_bounded_in_bytes(void **s)
{
    struct px_slice big = {.owner = px_buf_new(PX_ENTRY_BYTES_MAX)};
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_COMMAND};
    struct raft_in in = {.type = RAFT_IN_PROPOSE,
                         .propose = {.list = &proposal, .count = 1}};
    struct rig g;
    size_t bytes = 0;

    (void)s;
    proposal.data = px_slice_of(big.owner, 0, PX_ENTRY_BYTES_MAX);
    rig_start_leading(&g, 3);
    in.now = g.now;
    for (int i = 0; i < 30 && raft_step(g.raft, &in, &g.out) == 0; i++)
        bytes += count_sent(&g, 2) * PX_ENTRY_BYTES_MAX;
    assert_true(bytes <= RAFT_INFLIGHT_BYTES_MAX);
    assert_true(bytes + PX_ENTRY_BYTES_MAX > RAFT_INFLIGHT_BYTES_MAX);
    rig_close(&g);
    px_slice_unref(&big);
}

static void one_append_is_bounded_in_entries_and_bytes(void **s)
{
    struct px_slice big = {.owner = px_buf_new(PX_MIB)};
    static struct raft_proposal list[PX_BATCH_ENTRIES_MAX];
    struct raft_in in = {
        .type = RAFT_IN_PROPOSE,
        .propose = {.list = list, .count = PX_BATCH_ENTRIES_MAX}};
    struct rig g;

    (void)s;
    for (size_t i = 0; i < PX_BATCH_ENTRIES_MAX; i++)
        list[i].kind = RAFT_ENTRY_COMMAND;
    rig_start(&g, 3);
    rig_lead(&g); /* the peers are probed: what comes now waits for them */
    in.now = g.now;
    assert_int_equal(raft_step(g.raft, &in, &g.out), 0);
    for (size_t i = 0; i < 6; i++)
        list[i].data = px_slice_of(big.owner, 0, PX_MIB);
    in.propose.count = 6;
    assert_int_equal(raft_step(g.raft, &in, &g.out), 0);
    assert_int_equal(count_sent(&g, 2), 0);
    rig_accept(&g, 2, 1);
    assert_int_equal(g.out.now.list[0].append.count, PX_BATCH_ENTRIES_MAX);
    assert_int_equal(g.out.now.list[1].append.count, 4);
    assert_int_equal(g.out.now.list[2].append.count, 2);
    rig_close(&g);
    px_slice_unref(&big);
}

static void a_peer_is_probed_with_one_message_until_it_answers(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    assert_int_equal(count_sent(g, 2), 1);
    assert_string_equal(rig_peer(g, 2).state, "probe");
    rig_propose(g, "x", 1);
    rig_propose(g, "x", 1);
    assert_int_equal(count_sent(g, 2), 0);
    rig_accept(g, 2, 1);
    assert_int_equal(sent(g, 2)->count, 2);
    assert_string_equal(rig_peer(g, 2).state, "stream");
}

/* ---- Refusals (3.5) ---- */

static void a_refusal_skips_a_whole_term_of_the_follower(void **s)
{
    struct rig g;

    (void)s;
    lead_with_log(&g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    assert_int_equal(rig_peer(&g, 2).next, 6);
    /* Terms there: 1 1 2 2 2. Ours has no term 2: meet before its start. */
    rig_msg(&g, rig_refusal(2, 5, 5, POS(2, 3)));
    assert_int_equal(sent(&g, 2)->prev.index, 2);
    rig_close(&g);
}

static void a_refusal_skips_a_whole_term_of_ours(void **s)
{
    struct rig g;

    (void)s;
    lead_with_log(&g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    /* Terms there: 1 1 1 1 1: meet at the end of our term 1. */
    rig_msg(&g, rig_refusal(2, 5, 5, POS(1, 1)));
    assert_int_equal(sent(&g, 2)->prev.index, 3);
    rig_close(&g);
}

static void a_short_log_is_met_at_its_end(void **s)
{
    struct rig g;

    (void)s;
    lead_with_log(&g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    rig_msg(&g, rig_refusal(2, 5, 5, POS(0, 2)));
    assert_int_equal(sent(&g, 2)->prev.index, 1);
    rig_close(&g);
}

static void a_refusal_never_goes_behind_what_the_peer_holds(void **s)
{
    struct rig g;

    (void)s;
    lead_with_log(&g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    rig_accept(&g, 2, 3);
    rig_msg(&g, rig_refusal(2, 5, 3, POS(1, 1))); /* late */
    assert_string_equal(rig_peer(&g, 2).state, "stream");
    rig_msg(&g, rig_refusal(2, 5, 4, POS(0, 0))); /* absurd */
    assert_int_equal(rig_peer(&g, 2).next, 4);
    assert_int_equal(rig_peer(&g, 2).match, 3);
    rig_close(&g);
}

static void a_doubled_refusal_moves_a_probe_once(void **s)
{
    struct rig g;

    (void)s;
    lead_with_log(&g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    rig_msg(&g, rig_refusal(2, 5, 5, POS(0, 4)));
    assert_int_equal(rig_peer(&g, 2).next, 4);
    rig_msg(&g, rig_refusal(2, 5, 5, POS(0, 4)));
    assert_int_equal(g.out.now.count, 0);
    rig_close(&g);
}

static void an_acknowledgement_beyond_our_log_is_not_believed(void **s)
{
    struct rig *g = *s;

    rig_accept(g, 2, 2);
    assert_int_equal(rig_peer(g, 2).match, 1);
    assert_int_equal(rig_status(g).refused, 1);
}

/* ---- What is lost is sent again ---- */

/* The fault: heartbeats overtake bulk, and a batch on the wire for longer than
 * one was sent again with every one of them. */
static void entries_on_a_slow_wire_are_not_sent_again(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_propose(g, "y", 1);
    rig_sync(g);
    for (px_ns sent_at = g->now; g->now + RIG_H < sent_at + 4 * RIG_E;) {
        rig_pass(g, RIG_H);
        rig_beat(g, 3, 1); /* a majority, for a leader to stay */
        rig_beat(g, 2, 1);
        assert_int_equal(count_sent(g, 2), 0);
    }
    assert_string_equal(rig_peer(g, 2).state, "stream");
    assert_int_equal(rig_peer(g, 2).next, 4);
}

/* Time passes, at each heartbeat of which peer 2 says that its log ends at
 * @last, up to one in which it is sent something. For how long? */
static px_ns pass_until_asked(struct rig *g, raft_index last)
{
    px_ns from = g->now;

    do {
        assert_true(g->now < from + 100 * RIG_E);
        rig_pass(g, RIG_H);
        rig_beat(g, 2, last);
    } while (count_sent(g, 2) == 0);
    return g->now - from;
}

static void a_log_that_grows_shows_that_the_wire_moves(void **s)
{
    struct rig *g = *s;

    for (int i = 0; i < 4; i++)
        rig_propose(g, "x", 1);
    rig_sync(g);
    for (raft_index last = 2; last < 5; last++) {
        for (int i = 0; i < 39; i++) { /* one less than 4 E */
            rig_pass(g, RIG_H);
            rig_beat(g, 2, last);
            assert_int_equal(count_sent(g, 2), 0);
        }
    }
}

static void a_loss_that_nobody_reported_is_asked_about_and_made_good(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_H);
    rig_beat(g, 2, 1);
    rig_propose(g, "x", 1);
    rig_propose(g, "y", 1);
    rig_sync(g);
    assert_int_equal(pass_until_asked(g, 1), 4 * RIG_E);
    assert_int_equal(sent(g, 2)->prev.index, 3); /* have you got these? */
    assert_int_equal(sent(g, 2)->count, 0);
    assert_string_equal(rig_peer(g, 2).state, "stream");
    rig_msg(g, rig_refusal(2, 1, 3, POS(0, 2)));
    assert_string_equal(rig_peer(g, 2).state, "probe");
    assert_int_equal(sent(g, 2)->prev.index, 1);
    assert_int_equal(sent(g, 2)->count, 2);
    rig_accept(g, 2, 3);
    assert_string_equal(rig_peer(g, 2).state, "stream");
}

static void entries_that_were_only_late_are_not_sent_twice(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_propose(g, "y", 1);
    rig_sync(g);
    (void)pass_until_asked(g, 1); /* how long: proven above */
    rig_accept(g, 2, 2);
    assert_int_equal(count_sent(g, 2), 0);
    rig_accept(g, 2, 3);
    assert_int_equal(count_sent(g, 2), 0);
    rig_accept(g, 2, 3); /* to the question */
    assert_int_equal(count_sent(g, 2), 0);
    assert_int_equal(rig_peer(g, 2).match, 3);
}

static void a_lost_acknowledgement_is_asked_for_again(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, 2); /* it has just arrived */
    assert_int_equal(count_sent(g, 2), 0);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, 2); /* it holds all, and has not said so */
    assert_int_equal(sent(g, 2)->prev.index, 2);
    assert_int_equal(sent(g, 2)->count, 0);
    assert_string_equal(rig_peer(g, 2).state, "stream");
    rig_beat(g, 2, 2); /* once a heartbeat */
    assert_int_equal(count_sent(g, 2), 0);
}

static void a_lost_probe_is_sent_again(void **s)
{
    struct rig *g = *s;

    rig_lead(g);
    rig_beat(g, 2, 0);
    assert_int_equal(count_sent(g, 2), 0);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, 0);
    assert_int_equal(sent(g, 2)->prev.index, 0);
}

static void a_peer_that_has_all_is_left_alone(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_H);
    rig_beat(g, 2, 1);
    rig_pass(g, RIG_H);
    rig_beat(g, 2, 1);
    assert_int_equal(g->out.now.count, 0);
}

static void a_broken_connection_returns_the_peer_to_probe(void **s)
{
    struct rig *g = *s;

    rig_propose(g, "x", 1);
    rig_unreachable(g, 2);
    assert_string_equal(rig_peer(g, 2).state, "probe");
    assert_int_equal(rig_peer(g, 2).next, 2);
    rig_propose(g, "y", 1);
    assert_int_equal(count_sent(g, 2), 0); /* nobody is there */
    rig_beat(g, 2, 1);
    assert_int_equal(sent(g, 2)->prev.index, 1);
    rig_accept(g, 2, 1);
    assert_int_equal(sent(g, 2)->count, 2);
}

/* ---- Entries from disk ---- */

static struct raft_entry on_disk[8];

/* Peer 2 of a leader with entries 1 .. 5 on disk only, and its no-op, 6. */
static void lead_with_fetch_due(struct rig *g)
{
    static const raft_term terms[] = {1, 1, 1, 4, 4, 5};

    lead_with_log(g, 3, (raft_term[]){1, 1, 1, 4, 4, 0});
    for (raft_index i = 1; i <= 6; i++)
        on_disk[i] = rig_entry(terms[i - 1], i);
    rig_msg(g, rig_refusal(2, 5, 5, POS(0, 2)));
    assert_int_equal(sent(g, 2)->count, 0); /* entries on disk: prev alone */
    assert_int_equal(g->out.fetch_count, 0);
    rig_accept(g, 2, 1);
    assert_int_equal(g->out.fetch_count, 1);
    assert_int_equal(g->out.fetches[0].peer, 2);
    assert_int_equal(g->out.fetches[0].first, 2);
    assert_int_equal(g->out.fetches[0].last, 5);
}

static void entries_older_than_the_tail_are_fetched_and_sent(void **s)
{
    struct rig *g = *s;

    rig_fetched(g, 2, 2, &on_disk[2], 2); /* it may stop early */
    assert_int_equal(sent(g, 2)->prev.index, 1);
    assert_int_equal(sent(g, 2)->count, 2);
    assert_int_equal(g->out.fetch_count, 1);
    assert_int_equal(g->out.fetches[0].first, 4);
    rig_fetched(g, 2, 4, &on_disk[4], 2);
    assert_int_equal(count_sent(g, 2), 2); /* 4 and 5, then 6 from memory */
    assert_int_equal(g->out.fetch_count, 0);
    assert_int_equal(rig_peer(g, 2).next, 7);
}

static void one_fetch_is_outstanding_for_a_peer(void **s)
{
    struct rig *g = *s;

    rig_accept(g, 2, 1);
    rig_beat(g, 2, 1);
    rig_propose(g, "x", 1);
    assert_int_equal(g->out.fetch_count, 0);
    rig_accept(g, 3, 6);
    assert_int_equal(g->out.fetch_count, 0);
}

static void a_fetch_that_failed_is_asked_for_again_later(void **s)
{
    struct rig *g = *s;

    rig_fetched(g, 2, 2, NULL, 0);
    assert_int_equal(g->out.fetch_count, 0);
    rig_beat(g, 2, 1);
    assert_int_equal(g->out.fetch_count, 1);
    assert_int_equal(g->out.fetches[0].first, 2);
}

static void fetched_entries_of_another_log_are_dropped(void **s)
{
    struct rig *g = *s;

    on_disk[3].pos.term = 2;
    rig_fetched(g, 2, 2, &on_disk[2], 2);
    assert_int_equal(count_sent(g, 2), 0);
}

static void fetched_entries_that_are_no_longer_next_are_dropped(void **s)
{
    struct rig g;

    (void)s;
    lead_with_fetch_due(&g);
    rig_unreachable(&g, 2);
    rig_fetched(&g, 2, 2, &on_disk[2], 2);
    assert_int_equal(count_sent(&g, 2), 0);
    rig_close(&g);

    lead_with_fetch_due(&g);
    rig_accept(&g, 2, 3);
    rig_fetched(&g, 2, 2, &on_disk[2], 2);
    assert_int_equal(count_sent(&g, 2), 0);
    assert_int_equal(g.out.fetches[0].first, 4);
    rig_close(&g);
}

static void a_fetch_outlives_the_leadership_that_asked(void **s)
{
    struct rig *g = *s;

    rig_pass(g, RIG_E);
    assert_int_equal(rig_status(g).role, RAFT_FOLLOWER);
    rig_lead(g);
    rig_msg(g, rig_refusal(2, 6, 6, POS(0, 2)));
    rig_accept(g, 2, 1);
    assert_int_equal(g->out.fetch_count, 0); /* the old one is still out */
    rig_fetched(g, 2, 2, &on_disk[2], 4);
    assert_int_equal(sent(g, 2)->prev.index, 1);
    assert_int_equal(sent(g, 2)->count, 4);
}

/* ---- What was shown stays ---- */

static void fetched_entries_live_until_the_next_step(void **s)
{
    struct rig *g = *s;
    struct px_slice data = px_slice_copy("bytes", 5);
    struct raft_entry e[1];

    e[0] = on_disk[2];
    e[0].data = data;
    rig_fetched(g, 2, 2, e, 1);
    assert_int_equal(data.owner->refs, 2);
    px_buf_unref(data.owner); /* the caller's */
    e[0] = (struct raft_entry){0};
    assert_memory_equal(sent(g, 2)->entries[0].data.data, "bytes", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_unit(a_new_leader_appends_a_noop_of_its_term, rig_three),
        rig_unit(a_proposal_goes_to_disk_and_to_the_followers_at_once,
                 rig_three_leading),
        rig_unit(a_proposal_is_known_by_index_and_term, rig_three_leading),
        rig_unit(a_follower_takes_no_proposal, rig_three),
        rig_unit(proposals_are_refused_while_too_much_is_unapplied,
                 rig_three_leading),
        unit(proposals_are_refused_while_too_many_bytes_are_unapplied),
        rig_unit(entries_are_streamed_without_waiting_for_answers,
                 rig_three_leading),
        rig_unit(what_is_in_flight_is_bounded_in_messages, rig_three_leading),
        unit(what_is_in_flight_is_bounded_in_bytes),
        unit(one_append_is_bounded_in_entries_and_bytes),
        rig_unit(a_peer_is_probed_with_one_message_until_it_answers, rig_three),
        unit(a_refusal_skips_a_whole_term_of_the_follower),
        unit(a_refusal_skips_a_whole_term_of_ours),
        unit(a_short_log_is_met_at_its_end),
        unit(a_refusal_never_goes_behind_what_the_peer_holds),
        unit(a_doubled_refusal_moves_a_probe_once),
        rig_unit(an_acknowledgement_beyond_our_log_is_not_believed,
                 rig_three_leading),
        rig_unit(entries_on_a_slow_wire_are_not_sent_again, rig_three_leading),
        rig_unit(a_log_that_grows_shows_that_the_wire_moves, rig_three_leading),
        rig_unit(a_loss_that_nobody_reported_is_asked_about_and_made_good,
                 rig_three_leading),
        rig_unit(entries_that_were_only_late_are_not_sent_twice,
                 rig_three_leading),
        rig_unit(a_lost_acknowledgement_is_asked_for_again, rig_three_leading),
        rig_unit(a_lost_probe_is_sent_again, rig_three),
        rig_unit(a_peer_that_has_all_is_left_alone, rig_three_leading),
        rig_unit(a_broken_connection_returns_the_peer_to_probe,
                 rig_three_leading),
        rig_unit(entries_older_than_the_tail_are_fetched_and_sent,
                 lead_with_fetch_due),
        rig_unit(one_fetch_is_outstanding_for_a_peer, lead_with_fetch_due),
        rig_unit(a_fetch_that_failed_is_asked_for_again_later,
                 lead_with_fetch_due),
        rig_unit(fetched_entries_of_another_log_are_dropped,
                 lead_with_fetch_due),
        unit(fetched_entries_that_are_no_longer_next_are_dropped),
        rig_unit(a_fetch_outlives_the_leadership_that_asked,
                 lead_with_fetch_due),
        rig_unit(fetched_entries_live_until_the_next_step, lead_with_fetch_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
