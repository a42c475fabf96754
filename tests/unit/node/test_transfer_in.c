/* A follower gets a snapshot: node/transfer_in.c. Node 2 leads in term 5 and has
 * one of three pieces, which ends at entry 100. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/unit/node/solo.h"

#define PIECE NET_SNAPSHOT_PIECE_BYTES_MAX
#define BYTES (2u * PIECE + 1000)
#define TERM 5

static const struct raft_pos pos = {TERM, 100};

static int setup(void **state)
{
    static struct solo s;

    solo_open(&s, &(struct solo_options){.snapshot = 0});
    solo_follow(&s, 2, TERM);
    solo_sync(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    solo_close(*state);
    return 0;
}

static void offer(struct solo *s)
{
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, pos, BYTES, 0, 0);
}

/* The piece at @offset, from node @from. */
static void piece(struct solo *s, raft_id from, uint64_t offset)
{
    solo_hear(s, from, NET_SNAPSHOT_PIECE, pos, BYTES, offset,
              BYTES - offset < PIECE ? BYTES - offset : PIECE);
}

/* Everything up to the load, which is under way then. */
static void receive(struct solo *s)
{
    offer(s);
    for (uint64_t at = 0; at < BYTES; at += PIECE) {
        piece(s, 2, at);
        solo_job_done(s, 0);
    }
    assert_int_equal(solo_job(s)->what, REPLICA_LOAD);
}

static void said(const struct solo *s, enum net_snapshot_what what, raft_id to,
                 uint64_t offset)
{
    assert_non_null(solo_said(s));
    assert_int_equal(solo_said(s)->what, what);
    assert_int_equal(s->said_to[s->said_count - 1], to);
    assert_int_equal(solo_said(s)->offset, offset);
}

static bool is_installing(const struct solo *s)
{
    struct raft_status status;

    replica_get_status(s->r, &status);
    return status.is_installing;
}

/* ---- Pieces ---- */

static void what_is_offered_is_asked_for_and_stored_in_order(void **state)
{
    struct solo *s = *state;

    offer(s);
    said(s, NET_SNAPSHOT_WANT, 2, 0);
    assert_true(is_installing(s));
    piece(s, 2, 0);
    piece(s, 2, PIECE);
    piece(s, 2, 2 * PIECE);
    for (uint64_t at = 0; at < BYTES; at += PIECE) {
        assert_int_equal(s->job_count, 1); /* one at a time */
        assert_int_equal(solo_job(s)->what, REPLICA_STORE);
        assert_int_equal(solo_job(s)->offset, at);
        solo_job_done(s, 0);
        said(s, NET_SNAPSHOT_WANT, 2, at + PIECE < BYTES ? at + PIECE : BYTES);
    }
    assert_int_equal(solo_job(s)->what, REPLICA_LOAD);
}

static void a_piece_that_does_not_follow_is_dropped(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, PIECE); /* the first was lost */
    assert_null(solo_job(s));
    piece(s, 2, 0);
    piece(s, 2, 0); /* twice */
    solo_job_done(s, 0);
    assert_null(solo_job(s));
}

static void pieces_of_another_node_or_snapshot_are_dropped(void **state)
{
    struct solo *s = *state;
    struct raft_pos other = {TERM, 101};

    offer(s);
    piece(s, 3, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, other, BYTES, 0, PIECE);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, pos, BYTES + 1, 0, PIECE);
    assert_null(solo_job(s));
}

static void no_more_pieces_wait_than_there_is_room_for(void **state)
{
    uint64_t bytes = (uint64_t)PIECE * (NET_SNAPSHOT_PIECES_AHEAD + 5);
    struct solo *s = *state;
    unsigned stored = 0;

    solo_hear(s, 2, NET_SNAPSHOT_OFFER, pos, bytes, 0, 0);
    for (uint64_t at = 0; at < bytes; at += PIECE)
        solo_hear(s, 2, NET_SNAPSHOT_PIECE, pos, bytes, at, PIECE);
    for (; solo_job(s) != NULL; stored++)
        solo_job_done(s, 0);
    assert_int_equal(stored, NET_SNAPSHOT_PIECES_AHEAD + 1);
    said(s, NET_SNAPSHOT_WANT, 2, (uint64_t)stored * PIECE);
}

/* ---- Broken connections, other leaders ---- */

static void it_goes_on_where_it_stood_when_the_connection_is_back(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    solo_job_done(s, 0);
    piece(s, 2, 2 * PIECE); /* the one before is lost */
    solo_wait(s, SOLO_ELECTION);
    said(s, NET_SNAPSHOT_WANT, 2, PIECE); /* by itself */
    offer(s);                             /* or asked */
    said(s, NET_SNAPSHOT_WANT, 2, PIECE);
    piece(s, 2, PIECE);
    assert_int_equal(solo_job(s)->offset, PIECE);
}

static void it_goes_on_where_it_stood_after_a_long_silence(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    solo_job_done(s, 0);
    solo_wait(s, 10 * SOLO_ELECTION);
    assert_false(is_installing(s)); /* so it may campaign */
    solo_follow(s, 2, s->r->status.term);
    offer(s);
    said(s, NET_SNAPSHOT_WANT, 2, PIECE);
}

static void what_is_being_stored_is_no_silence(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    solo_wait(s, 20 * SOLO_ELECTION); /* the disk is slow */
    assert_true(is_installing(s));
    solo_job_done(s, 0);
    said(s, NET_SNAPSHOT_WANT, 2, PIECE);
}

static void another_leader_goes_on_where_the_last_one_ended(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    solo_job_done(s, 0);
    solo_follow(s, 3, TERM + 1);
    solo_hear(s, 3, NET_SNAPSHOT_OFFER, pos, BYTES, 0, 0);
    said(s, NET_SNAPSHOT_WANT, 3, PIECE);
    piece(s, 2, PIECE); /* of the old one, late */
    assert_null(solo_job(s));
    piece(s, 3, PIECE);
    assert_int_equal(solo_job(s)->offset, PIECE);
}

static void another_snapshot_waits_for_the_piece_that_is_stored(void **state)
{
    struct raft_pos newer = {TERM, 200};
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    piece(s, 2, PIECE);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, newer, BYTES, 0, 0);
    assert_int_equal(solo_said(s)->pos.index, pos.index);
    solo_job_done(s, 0);
    solo_job_done(s, 0);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, newer, BYTES, 0, 0);
    assert_int_equal(solo_said(s)->pos.index, newer.index);
    said(s, NET_SNAPSHOT_WANT, 2, 0);
}

static void another_snapshot_in_the_middle_begins_anew(void **state)
{
    struct raft_pos newer = {TERM, 200};
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    solo_job_done(s, 0);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, newer, BYTES, 0, 0);
    said(s, NET_SNAPSHOT_WANT, 2, 0);
    assert_int_equal(solo_said(s)->pos.index, newer.index);
    piece(s, 2, PIECE); /* of the first one, late */
    assert_null(solo_job(s));
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, newer, BYTES, 0, PIECE);
    assert_int_equal(solo_job(s)->info.pos.index, newer.index);
    assert_int_equal(solo_job(s)->offset, 0);
}

static void who_does_not_lead_offers_in_vain(void **state)
{
    struct solo *s = *state;

    solo_hear(s, 3, NET_SNAPSHOT_OFFER, pos, BYTES, 0, 0);
    assert_null(solo_said(s));
    assert_false(is_installing(s));
}

/* ---- What must be durable first ---- */

/* install.c says why: leaders of older terms could count us for what is not in
 * the snapshot. */
static void the_last_piece_waits_until_the_term_is_durable(void **state)
{
    struct solo *s = *state;

    solo_follow(s, 2, TERM + 1);
    offer(s);
    piece(s, 2, 0);
    solo_job_done(s, 0);
    piece(s, 2, PIECE);
    solo_job_done(s, 0);
    piece(s, 2, 2 * PIECE);
    assert_null(solo_job(s));
    solo_wait(s, 10 * SOLO_ELECTION);
    assert_null(solo_job(s));
    solo_sync(s);
    assert_int_equal(solo_job(s)->offset, 2 * PIECE);
}

static void done_is_said_when_it_is_installed_and_not_before(void **state)
{
    struct solo *s = *state;

    receive(s);
    assert_int_equal(solo_said_count(s, NET_SNAPSHOT_DONE), 0);
    solo_job_done(s, 0);
    said(s, NET_SNAPSHOT_DONE, 2, BYTES);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->r->applied, pos.index);
    assert_int_equal(s->r->snapshots.newest.pos.index, pos.index);
    assert_false(is_installing(s));
    /* To raft, only when the log's reset is durable. */
    assert_int_equal(s->sent[RAFT_MSG_APPEND_REPLY][2].term, 0);
    solo_sync(s);
    assert_true(s->is_reset);
    assert_int_equal(s->sent[RAFT_MSG_APPEND_REPLY][2].append_reply.match,
                     pos.index);
}

/* ---- Adopting ---- */

static void nothing_is_adopted_while_entries_are_being_applied(void **state)
{
    struct solo *s = *state;
    size_t wants;

    s->holds_apply = true;
    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    assert_non_null(s->apply);
    receive(s);
    solo_job_done(s, 0);
    wants = solo_said_count(s, NET_SNAPSHOT_WANT);
    solo_wait(s, 2 * SOLO_ELECTION);
    assert_int_equal(s->adopted, 0);
    assert_true(solo_said_count(s, NET_SNAPSHOT_WANT) > wants); /* wait */
    solo_apply(s);
    assert_int_equal(s->adopted, 1);
}

static void nothing_is_adopted_while_the_old_state_is_being_saved(void **state)
{
    struct solo *s = *state;

    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    assert_int_equal(solo_job(s)->what, REPLICA_SAVE);
    offer(s);
    for (uint64_t at = 0; at < BYTES; at += PIECE) {
        struct px_list *save = px_list_pop_front(&s->jobs);

        piece(s, 2, at);
        solo_job_done(s, 0); /* by another thread */
        if (at + PIECE >= BYTES)
            solo_job_done(s, 0); /* the load */
        px_list_push_back(&s->jobs, save);
    }
    assert_int_equal(s->adopted, 0);
    solo_job_done(s, 0);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->r->snapshots.newest.pos.index, pos.index);
}

static void no_state_is_saved_that_is_about_to_be_replaced(void **state)
{
    struct solo *s = *state;

    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    offer(s);
    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    assert_null(solo_job(s));
}

/* The reset frees the log, and must not be overtaken by a cut of the old one. */
/* It is as if it had just been made. */
static void one_that_was_installed_is_not_saved_at_once(void **state)
{
    struct solo *s = *state;

    offer(s);
    s->log_bytes = 2 * PX_MIB;
    receive(s);
    solo_job_done(s, 0);
    assert_int_equal(s->adopted, 1);
    solo_append(s, 2, TERM, pos, 1, pos.index + 1);
    solo_sync(s);
    assert_int_equal(s->r->applied, pos.index + 1);
    solo_turn(s);
    solo_job_done(s, 0); /* CLEAN */
    assert_null(solo_job(s));
}

/* Raft knows that it is committed, and the disk does not hold it yet. */
static void in_quarantine_a_state_ahead_of_the_disk_waits(void **state)
{
    const struct replica_divergence wrong = {2, 1, 2};
    const struct raft_pos ahead = {TERM, 5};
    struct solo *s = *state;

    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    quarantine_begin(s->r, &wrong);
    solo_job_done(s, 0); /* MARK */
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, ahead, 1000, 0, 0);
    solo_append(s, 2, TERM, (struct raft_pos){TERM, 3}, 2, ahead.index);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, ahead, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_job_done(s, 0);
    assert_int_equal(s->r->in.state, TRANSFER_LOADED);
    assert_int_equal(s->adopted, 0);
    assert_true(replica_is_quarantined(s->r));
    solo_sync(s);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->r->applied, ahead.index);
    assert_false(replica_is_quarantined(s->r));
    solo_append(s, 2, TERM, ahead, 1, ahead.index + 1); /* and it goes on */
    solo_sync(s);
    assert_int_equal(s->r->applied, ahead.index + 1);
}

/* What could not be applied for want of room is below it, or comes again. */
static void one_takes_the_place_of_a_state_that_finds_no_room(void **state)
{
    struct solo *s = *state;
    struct replica_apply *job;

    s->holds_apply = true;
    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    receive(s);
    for (int is_loaded = 0; is_loaded <= 1; is_loaded++) {
        job = s->apply;
        assert_non_null(job);
        assert_int_equal(job->first, 1);
        if (is_loaded != 0)
            solo_job_done(s, 0);
        assert_int_equal(s->adopted, 0);
        s->apply = NULL;
        replica_on_applied(s->r, job, -ENOSPC);
        solo_turn(s);
    }
    assert_null(s->failed);
    assert_null(s->apply);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->r->applied, pos.index);
    s->holds_apply = false;
    solo_append(s, 2, TERM, pos, 1, pos.index + 1);
    solo_sync(s);
    assert_int_equal(s->r->applied, pos.index + 1);
}

static void what_was_replaced_or_loaded_in_vain_is_removed(void **state)
{
    const struct raft_pos next = {TERM, pos.index + 1};
    struct solo *s = *state;

    receive(s);
    solo_job_done(s, 0);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(solo_job(s)->what, REPLICA_CLEAN);
    assert_int_equal(solo_job(s)->info.pos.index, pos.index);
    solo_job_done(s, -EIO); /* that is no matter */
    assert_null(s->failed);
    solo_sync(s);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, next, 1000, 0, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, next, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_append(s, 2, TERM, pos, 1, next.index);
    solo_sync(s);
    solo_job_done(s, 0); /* LOAD */
    assert_int_equal(s->r->counters.snapshots_installed, 1);
    assert_int_equal(solo_job(s)->what, REPLICA_CLEAN);
    assert_int_equal(solo_job(s)->info.pos.index, pos.index);
}

static void a_log_that_is_reset_is_not_cut(void **state)
{
    struct solo *s = *state;

    receive(s);
    solo_job_done(s, 0);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->cut, 0);
}

/* Its note would go first, and a crash then find a log without one that lacks
 * what it held. */
static void
a_log_that_a_snapshot_makes_whole_is_so_when_it_is_reset(void **state)
{
    struct solo s;
    struct raft_msg m = {
        .type = RAFT_MSG_LOST_REPLY, .from = 2, .to = 1, .term = TERM};

    (void)state;
    solo_open(&s, &(struct solo_options){.is_faulty = true});
    solo_follow(&s, 2, TERM);
    solo_sync(&s);
    m.lost_reply.id = s.sent[RAFT_MSG_LOST][2].lost.id;
    m.lost_reply.index = pos.index;
    replica_on_message(s.r, &m);
    receive(&s);
    assert_false(s.is_recovered);
    solo_job_done(&s, 0);
    assert_true(s.is_recovered);
    assert_true(s.is_reset_by_then);
    solo_close(&s);
}

static void a_log_that_holds_the_snapshot_is_cut(void **state)
{
    const struct raft_pos held = {TERM, 3};
    struct solo *s = *state;

    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 0);
    solo_sync(s);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, held, 1000, 0, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, held, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_job_done(s, 0);
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->cut, 3);
}

/* ---- No news ---- */

static void what_is_applied_already_is_no_news(void **state)
{
    struct solo *s = *state;

    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, (struct raft_pos){TERM, 3}, BYTES, 0,
              0);
    said(s, NET_SNAPSHOT_DONE, 2, BYTES);
    assert_false(is_installing(s));
}

static void what_the_log_brings_meanwhile_is_no_news(void **state)
{
    struct solo *s = *state;

    solo_hear(s, 2, NET_SNAPSHOT_OFFER, (struct raft_pos){TERM, 3}, BYTES, 0,
              0);
    assert_true(is_installing(s));
    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 3, 3);
    solo_sync(s);
    said(s, NET_SNAPSHOT_DONE, 2, BYTES);
    assert_false(is_installing(s));
}

/* While a snapshot at @held is loaded, the log brings more. */
static void load_in_vain(struct solo *s, struct raft_pos held)
{
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, held, 1000, 0, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, held, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 4, 4);
    solo_sync(s);
}

static void a_state_that_was_loaded_in_vain_is_not_adopted(void **state)
{
    struct solo *s = *state;

    load_in_vain(s, (struct raft_pos){TERM, 3});
    assert_int_equal(s->r->applied, 4);
    solo_job_done(s, 0); /* the load */
    assert_int_equal(s->adopted, 0);
    assert_int_equal(s->r->applied, 4);
    said(s, NET_SNAPSHOT_DONE, 2, 1000);
    assert_false(is_installing(s));
}

/* A newer one that was saved meanwhile has taken its place. */
static void a_load_that_fails_is_no_matter_where_it_is_no_news(void **state)
{
    const struct raft_pos held = {TERM, 3};
    struct solo *s = *state;

    solo_hear(s, 2, NET_SNAPSHOT_OFFER, held, 1000, 0, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, held, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_append(s, 2, TERM, (struct raft_pos){0, 0}, 4, 4);
    solo_sync(s);
    solo_job_done(s, -ENOENT);
    assert_null(s->failed);
    assert_false(is_installing(s));
}

/* The log brings what the snapshot would, and then the state is found wrong
 * before it: all of it is here, but it may have gone since, for a newer one. */
static void one_that_was_loaded_in_vain_is_taken_anew(void **state)
{
    const struct replica_divergence wrong = {2, 1, 2};
    const struct raft_pos held = {TERM, 3};
    struct solo *s = *state;

    load_in_vain(s, held);
    solo_job_done(s, 0); /* the load */
    solo_job_done(s, 0); /* CLEAN */
    assert_int_equal(s->adopted, 0);
    quarantine_begin(s->r, &wrong);
    solo_job_done(s, 0); /* MARK */
    solo_hear(s, 2, NET_SNAPSHOT_OFFER, held, 1000, 0, 0);
    said(s, NET_SNAPSHOT_WANT, 2, 0);
    solo_hear(s, 2, NET_SNAPSHOT_PIECE, held, 1000, 0, 1000);
    solo_job_done(s, 0);
    solo_job_done(s, 0); /* the load */
    assert_int_equal(s->adopted, 1);
    assert_int_equal(s->r->applied, held.index + 1); /* by the log */
    assert_false(replica_is_quarantined(s->r));
}

/* ---- Failures ---- */

static void a_damaged_snapshot_is_refused_and_taken_anew_later(void **state)
{
    struct solo *s = *state;

    offer(s);
    for (uint64_t at = 0; at < BYTES; at += PIECE) {
        piece(s, 2, at);
        solo_job_done(s, at + PIECE < BYTES ? 0 : -PX_ECORRUPT);
    }
    said(s, NET_SNAPSHOT_REFUSED, 2, BYTES); /* all of it had come */
    assert_null(s->failed);
    assert_false(is_installing(s));
    offer(s);
    said(s, NET_SNAPSHOT_REFUSED, 2, BYTES); /* not at once */
    solo_wait(s, 9 * SOLO_ELECTION);
    solo_follow(s, 2, s->r->status.term);
    offer(s);
    said(s, NET_SNAPSHOT_WANT, 2, 0); /* from its beginning */
}

static void a_piece_that_finds_no_room_ends_it_for_a_while(void **state)
{
    struct solo *s = *state;

    offer(s);
    piece(s, 2, 0);
    piece(s, 2, PIECE);
    solo_job_done(s, -ENOSPC);
    said(s, NET_SNAPSHOT_REFUSED, 2, 0);
    assert_null(solo_job(s)); /* the other piece is dropped */
    assert_null(s->failed);
}

/* It found no room, or had to make some: nothing is wrong with what was sent. */
static void the_end_is_refused_only_of_a_damaged_snapshot(void **state)
{
    static const int why[] = {-ENOSPC, -ENOENT, -EIO};
    struct solo *s = *state;

    for (size_t i = 0; i < sizeof why / sizeof why[0]; i++) {
        offer(s);
        for (uint64_t at = 0; at < BYTES; at += PIECE) {
            piece(s, 2, at);
            solo_job_done(s, at + PIECE < BYTES ? 0 : why[i]);
        }
        said(s, NET_SNAPSHOT_REFUSED, 2, 2 * PIECE);
        solo_wait(s, 9 * SOLO_ELECTION);
        solo_follow(s, 2, s->r->status.term);
        offer(s);
        said(s, NET_SNAPSHOT_WANT, 2, 0); /* from its beginning */
    }
}

static void a_snapshot_that_can_not_be_loaded_stops_the_node(void **state)
{
    struct solo *s = *state;

    receive(s);
    solo_job_done(s, -EIO);
    assert_non_null(s->failed);
    assert_int_equal(s->adopted, 0);
}

/* ---- What else happens ---- */

/* Its log is what it was: it knows nothing that it could lead with. */
static void who_installs_does_not_campaign(void **state)
{
    struct solo *s = *state;

    receive(s);
    solo_wait(s, 20 * SOLO_ELECTION);
    assert_int_equal(s->sent[RAFT_MSG_PRE_VOTE][2].term, 0);
    assert_int_equal(s->sent[RAFT_MSG_PRE_VOTE][3].term, 0);
}

static void the_leader_hears_of_us_while_the_state_is_built(void **state)
{
    struct solo *s = *state;
    size_t before;

    receive(s);
    before = solo_said_count(s, NET_SNAPSHOT_WANT);
    solo_wait(s, 3 * SOLO_ELECTION);
    assert_in_range(solo_said_count(s, NET_SNAPSHOT_WANT) - before, 2, 3);
    said(s, NET_SNAPSHOT_WANT, 2, BYTES);
}

static void a_node_that_stops_takes_nothing_more(void **state)
{
    struct solo *s = *state;

    offer(s);
    replica_stop(s->r);
    piece(s, 2, 0);
    assert_null(solo_job(s));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_offered_is_asked_for_and_stored_in_order),
        TEST(a_piece_that_does_not_follow_is_dropped),
        TEST(pieces_of_another_node_or_snapshot_are_dropped),
        TEST(no_more_pieces_wait_than_there_is_room_for),
        TEST(it_goes_on_where_it_stood_when_the_connection_is_back),
        TEST(it_goes_on_where_it_stood_after_a_long_silence),
        TEST(what_is_being_stored_is_no_silence),
        TEST(another_leader_goes_on_where_the_last_one_ended),
        TEST(another_snapshot_in_the_middle_begins_anew),
        TEST(another_snapshot_waits_for_the_piece_that_is_stored),
        TEST(who_does_not_lead_offers_in_vain),
        TEST(the_last_piece_waits_until_the_term_is_durable),
        TEST(done_is_said_when_it_is_installed_and_not_before),
        TEST(nothing_is_adopted_while_entries_are_being_applied),
        TEST(nothing_is_adopted_while_the_old_state_is_being_saved),
        TEST(no_state_is_saved_that_is_about_to_be_replaced),
        TEST(one_that_was_installed_is_not_saved_at_once),
        TEST(in_quarantine_a_state_ahead_of_the_disk_waits),
        TEST(one_takes_the_place_of_a_state_that_finds_no_room),
        TEST(what_was_replaced_or_loaded_in_vain_is_removed),
        TEST(a_log_that_is_reset_is_not_cut),
        cmocka_unit_test(
            a_log_that_a_snapshot_makes_whole_is_so_when_it_is_reset),
        TEST(a_log_that_holds_the_snapshot_is_cut),
        TEST(what_is_applied_already_is_no_news),
        TEST(what_the_log_brings_meanwhile_is_no_news),
        TEST(a_state_that_was_loaded_in_vain_is_not_adopted),
        TEST(a_load_that_fails_is_no_matter_where_it_is_no_news),
        TEST(one_that_was_loaded_in_vain_is_taken_anew),
        TEST(a_damaged_snapshot_is_refused_and_taken_anew_later),
        TEST(a_piece_that_finds_no_room_ends_it_for_a_while),
        TEST(the_end_is_refused_only_of_a_damaged_snapshot),
        TEST(a_snapshot_that_can_not_be_loaded_stops_the_node),
        TEST(who_installs_does_not_campaign),
        TEST(the_leader_hears_of_us_while_the_state_is_built),
        TEST(a_node_that_stops_takes_nothing_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
