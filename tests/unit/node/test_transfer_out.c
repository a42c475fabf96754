/* A leader sends a snapshot: node/transfer_out.c. It leads with a log that begins
 * behind entry 50; node 2 lacks that. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/solo.h"

#define PIECE NET_SNAPSHOT_PIECE_BYTES_MAX
#define AHEAD (NET_SNAPSHOT_PIECES_AHEAD * PIECE)
#define BYTES PX_MIB /* solo's */
static const struct raft_pos pos = {1, 50};

static int setup(void **state)
{
    static struct solo s;

    solo_open(&s, &(struct solo_options){.snapshot = 50});
    solo_lead(&s);
    solo_lack_base(&s, 2);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    solo_close(*state);
    return 0;
}

/* Node 2 holds all before @offset, and wants what follows. */
static void want(struct solo *s, uint64_t offset)
{
    solo_hear(s, 2, NET_SNAPSHOT_WANT, pos, s->r->out[0].info.bytes, offset, 0);
}

/* Reads and sends for a while. */
static void send_for(struct solo *s, px_ns duration)
{
    px_ns end = s->now + duration;

    while (s->now < end) {
        if (solo_job(s) != NULL)
            solo_job_done(s, 0);
        solo_wait(s, PX_NS_PER_MS);
    }
}

static uint64_t last_offset(const struct solo *s)
{
    assert_int_equal(solo_said(s)->what, NET_SNAPSHOT_PIECE);
    return solo_said(s)->offset;
}

/* A longer one than is sent ahead. */
static void lengthen(struct solo *s)
{
    s->r->out[0].info.bytes = 4 * AHEAD;
}

static void who_lacks_the_base_is_offered_the_snapshot(void **state)
{
    struct solo *s = *state;

    assert_int_equal(solo_said(s)->what, NET_SNAPSHOT_OFFER);
    assert_int_equal(s->said_to[0], 2);
    assert_int_equal(solo_said(s)->pos.index, pos.index);
    assert_int_equal(solo_said(s)->bytes, BYTES);
    assert_int_equal(solo_said(s)->term, s->r->status.term);
    assert_null(solo_job(s)); /* nothing is read before it is wanted */
}

static void it_is_offered_again_until_it_is_wanted(void **state)
{
    struct solo *s = *state;
    size_t offers;

    solo_wait(s, 3 * SOLO_HEARTBEAT);
    assert_in_range(solo_said_count(s, NET_SNAPSHOT_OFFER), 3, 4);
    want(s, 0);
    offers = solo_said_count(s, NET_SNAPSHOT_OFFER);
    solo_wait(s, 2 * SOLO_HEARTBEAT);
    assert_int_equal(solo_said_count(s, NET_SNAPSHOT_OFFER), offers);
}

static void pieces_are_sent_in_order_to_the_end(void **state)
{
    struct solo *s = *state;
    uint64_t next = 0;

    want(s, 0);
    send_for(s, SOLO_ELECTION);
    for (size_t i = 0; i < s->said_count; i++) {
        if (s->said[i].what != NET_SNAPSHOT_PIECE)
            continue;
        assert_int_equal(s->said[i].offset, next);
        next += s->said[i].data.size;
    }
    assert_int_equal(next, BYTES);
    assert_null(solo_job(s));
}

static void so_many_pieces_are_ahead_of_what_is_stored(void **state)
{
    struct solo *s = *state;

    lengthen(s);
    want(s, 0);
    send_for(s, SOLO_ELECTION);
    assert_int_equal(last_offset(s), AHEAD - PIECE);
    want(s, PIECE);
    send_for(s, SOLO_ELECTION / 4);
    assert_int_equal(last_offset(s), AHEAD);
}

/* It shares its disk and its processors with requests. */
static void there_are_only_so_many_pieces_a_second(void **state)
{
    struct solo *s = *state;
    size_t pieces;

    lengthen(s);
    want(s, 0);
    for (unsigned i = 0; i < 10; i++) {
        if (solo_job(s) != NULL)
            solo_job_done(s, 0);
    }
    assert_int_equal(solo_said_count(s, NET_SNAPSHOT_PIECE), 1);
    send_for(s, 10 * PX_NS_PER_MS); /* of 3.9 ms each */
    pieces = solo_said_count(s, NET_SNAPSHOT_PIECE);
    assert_in_range(pieces, 2, 4);
}

static void one_that_wants_the_same_twice_gets_the_same_twice(void **state)
{
    struct solo *s = *state;

    lengthen(s);
    want(s, 0);
    send_for(s, SOLO_ELECTION);
    want(s, PIECE);
    send_for(s, SOLO_ELECTION / 4);
    want(s, PIECE); /* the rest was lost */
    solo_wait(s, 5 * PX_NS_PER_MS);
    solo_job_done(s, 0);
    assert_int_equal(last_offset(s), PIECE);
}

static void a_piece_that_was_read_too_late_is_not_sent(void **state)
{
    struct solo *s = *state;

    lengthen(s);
    want(s, 0);
    send_for(s, SOLO_ELECTION);
    want(s, PIECE);
    solo_wait(s, 5 * PX_NS_PER_MS);
    assert_int_equal(solo_job(s)->offset, AHEAD);
    want(s, PIECE);
    solo_job_done(s, 0);
    assert_int_equal(last_offset(s), AHEAD - PIECE);
    assert_int_equal(solo_job(s)->offset, PIECE); /* but the right one */
}

static void a_piece_that_finds_no_connection_is_sent_later(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    s->is_deaf = true;
    solo_job_done(s, 0);
    solo_wait(s, SOLO_HEARTBEAT / 2);
    assert_null(solo_job(s)); /* not again and again */
    s->is_deaf = false;
    solo_wait(s, SOLO_HEARTBEAT / 2);
    assert_int_equal(solo_job(s)->offset, 0);
}

/* It may have forgotten all of it: it has been started again. */
static void who_lacks_the_base_once_more_is_offered_it_at_once(void **state)
{
    struct solo *s = *state;
    size_t offers;

    lengthen(s);
    want(s, 0);
    send_for(s, SOLO_ELECTION / 4);
    want(s, PIECE);
    offers = solo_said_count(s, NET_SNAPSHOT_OFFER);
    replica_on_peer_down(s->r, 2);
    solo_wait(s, SOLO_HEARTBEAT);
    solo_lack_base(s, 2);
    solo_turn(s);
    assert_true(solo_said_count(s, NET_SNAPSHOT_OFFER) > offers);
    want(s, 0);
    if (solo_job(s) != NULL)
        solo_job_done(s, 0); /* one from before */
    solo_wait(s, 5 * PX_NS_PER_MS);
    assert_int_equal(solo_job(s)->offset, 0);
}

static void who_says_nothing_any_more_is_given_up(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    assert_true(transfer_out_is_busy(s->r));
    send_for(s, SOLO_ELECTION / 2);
    s->r->out[0].moved_at = s->now - 8 * SOLO_ELECTION;
    solo_wait(s, PX_NS_PER_MS);
    assert_false(transfer_out_is_busy(s->r));
    assert_int_equal(s->r->counters.snapshots_sent, 0);
}

static void one_that_is_done_is_sent_what_follows(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    send_for(s, SOLO_ELECTION / 4);
    solo_hear(s, 2, NET_SNAPSHOT_DONE, pos, BYTES, BYTES, 0);
    assert_false(transfer_out_is_busy(s->r));
    assert_int_equal(s->r->counters.snapshots_sent, 1);
    assert_int_equal(s->sent[RAFT_MSG_APPEND][2].append.prev.index, pos.index);
}

static void what_is_said_of_another_snapshot_does_not_count(void **state)
{
    struct raft_pos other = {1, 40};
    struct solo *s = *state;

    solo_hear(s, 2, NET_SNAPSHOT_WANT, other, BYTES, 0, 0);
    solo_hear(s, 2, NET_SNAPSHOT_WANT, pos, BYTES - 1, 0, 0);
    assert_null(solo_job(s));
    solo_hear(s, 2, NET_SNAPSHOT_DONE, other, BYTES, BYTES, 0);
    solo_hear(s, 3, NET_SNAPSHOT_DONE, pos, BYTES, BYTES, 0);
    assert_true(transfer_out_is_busy(s->r));
}

static void one_that_is_replaced_meanwhile_ends_the_transfer(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    s->r->snapshots.newest.pos.index++;
    solo_job_done(s, -ENOENT);
    assert_false(transfer_out_is_busy(s->r));
    assert_null(solo_job(s)); /* no other is made for it */
}

static void one_that_can_not_be_read_is_made_anew(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    solo_job_done(s, -PX_ECORRUPT);
    assert_int_equal(solo_job(s)->what, REPLICA_SAVE);
    solo_job_done(s, 0);
    assert_false(s->r->snapshots.is_wanted);
    assert_null(solo_job(s));
}

static void one_that_arrives_damaged_is_made_anew(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    send_for(s, SOLO_ELECTION / 4);
    solo_hear(s, 2, NET_SNAPSHOT_REFUSED, pos, BYTES, BYTES, 0);
    assert_int_equal(solo_job(s)->what, REPLICA_SAVE);
}

/* Who asks does so again and again: that is no reason to fail as often. */
static void one_that_is_asked_for_waits_for_the_next_attempt(void **state)
{
    struct solo *s = *state;
    const struct raft_pos beyond = {.index = pos.index + 1};

    s->r->snapshots.newest.pos.index = 0; /* it has none that would do */
    s->r->applied = beyond.index;
    solo_hear(s, 2, NET_SNAPSHOT_ASK, beyond, 0, 0, 0);
    assert_int_equal(solo_job(s)->what, REPLICA_SAVE);
    solo_job_done(s, -ENOSPC);
    solo_hear(s, 2, NET_SNAPSHOT_ASK, beyond, 0, 0, 0);
    assert_null(solo_job(s));
    assert_true(s->r->snapshots.is_wanted);
}

static void one_that_finds_no_room_is_not_made_anew(void **state)
{
    struct solo *s = *state;

    want(s, 0);
    send_for(s, SOLO_ELECTION / 4);
    solo_hear(s, 2, NET_SNAPSHOT_REFUSED, pos, BYTES, PIECE, 0);
    assert_false(transfer_out_is_busy(s->r));
    assert_null(solo_job(s));
}

static void who_leads_no_more_sends_no_more(void **state)
{
    struct solo *s = *state;
    size_t before;

    want(s, 0);
    solo_follow(s, 3, s->r->status.term + 1);
    before = s->said_count;
    solo_job_done(s, 0);
    solo_wait(s, SOLO_ELECTION / 2);
    assert_int_equal(s->said_count, before);
    assert_false(transfer_out_is_busy(s->r));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_lacks_the_base_is_offered_the_snapshot),
        TEST(it_is_offered_again_until_it_is_wanted),
        TEST(pieces_are_sent_in_order_to_the_end),
        TEST(so_many_pieces_are_ahead_of_what_is_stored),
        TEST(there_are_only_so_many_pieces_a_second),
        TEST(one_that_wants_the_same_twice_gets_the_same_twice),
        TEST(a_piece_that_was_read_too_late_is_not_sent),
        TEST(a_piece_that_finds_no_connection_is_sent_later),
        TEST(who_lacks_the_base_once_more_is_offered_it_at_once),
        TEST(who_says_nothing_any_more_is_given_up),
        TEST(one_that_is_done_is_sent_what_follows),
        TEST(what_is_said_of_another_snapshot_does_not_count),
        TEST(one_that_is_replaced_meanwhile_ends_the_transfer),
        TEST(one_that_can_not_be_read_is_made_anew),
        TEST(one_that_arrives_damaged_is_made_anew),
        TEST(one_that_is_asked_for_waits_for_the_next_attempt),
        TEST(one_that_finds_no_room_is_not_made_anew),
        TEST(who_leads_no_more_sends_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
