/* raft/progress.c: one follower as its leader sees it. */
#include "tests/unit/raft/unit.h"

#include "raft/progress.h"

static struct raft_peer streaming(raft_index match)
{
    struct raft_peer p = {.id = 2};

    raft_progress_reset(&p, match + 1);
    (void)raft_progress_accepted(&p, match, 10); /* no matter if news */
    raft_progress_check(&p);
    assert_int_equal(p.state, RAFT_STREAM);
    return p;
}

static void a_probe_has_room_for_one_message(void **s)
{
    struct raft_peer p = {.id = 2};
    uint64_t room;

    (void)s;
    raft_progress_reset(&p, 8);
    assert_true(raft_progress_has_room(&p, &room));
    raft_progress_sent(&p, 9, 100, 5);
    assert_false(raft_progress_has_room(&p, &room));
    assert_int_equal(p.next, 8); /* not taken to have arrived */
}

static void streaming_runs_ahead_and_answers_make_room(void **s)
{
    struct raft_peer p = streaming(7);
    uint64_t room;

    (void)s;
    for (unsigned i = 0; i < RAFT_INFLIGHT_MSGS_MAX; i++) {
        assert_true(raft_progress_has_room(&p, &room));
        raft_progress_sent(&p, 8 + i, 10, 20);
        raft_progress_check(&p);
    }
    assert_false(raft_progress_has_room(&p, &room));
    assert_true(raft_progress_accepted(&p, 10, 30)); /* three messages */
    raft_progress_check(&p);
    assert_int_equal(p.inflight_count, RAFT_INFLIGHT_MSGS_MAX - 3);
    assert_int_equal(p.inflight_bytes, 10 * (RAFT_INFLIGHT_MSGS_MAX - 3));
    assert_true(raft_progress_has_room(&p, &room));
    assert_false(raft_progress_accepted(&p, 9, 31)); /* late */
    assert_int_equal(p.match, 10);
}

static void room_in_bytes_is_what_is_left_and_a_batch_at_most(void **s)
{
    struct raft_peer p = streaming(1);
    uint64_t room;

    (void)s;
    assert_true(raft_progress_has_room(&p, &room));
    assert_int_equal(room, PX_BATCH_BYTES_MAX);
    raft_progress_sent(&p, 2, RAFT_INFLIGHT_BYTES_MAX - 5, 20);
    assert_true(raft_progress_has_room(&p, &room));
    assert_int_equal(room, 5);
}

static void a_peer_is_stuck_when_what_was_sent_brings_no_news(void **s)
{
    struct raft_peer p = streaming(1);

    (void)s;
    assert_false(raft_progress_is_stuck(&p, 1000)); /* nothing was sent */
    raft_progress_sent(&p, 2, 10, 2000);
    raft_progress_sent(&p, 3, 10, 2500);
    assert_false(raft_progress_is_stuck(&p, 1999));
    assert_true(raft_progress_is_stuck(&p, 2000));
    (void)raft_progress_accepted(&p, 2, 3000); /* news */
    assert_false(raft_progress_is_stuck(&p, 2999));
    assert_true(raft_progress_is_stuck(&p, 3000));
    (void)raft_progress_accepted(&p, 3, 4000);
    assert_false(raft_progress_is_stuck(&p, 9000));
}

static void a_peer_whose_log_is_seen_to_grow_is_not_stuck(void **s)
{
    struct raft_peer p = streaming(1);

    (void)s;
    raft_progress_sent(&p, 2, 10, 2000);
    raft_progress_sent(&p, 3, 10, 2000);
    raft_progress_shown(&p, 2, 3000);
    assert_false(raft_progress_is_stuck(&p, 2999));
    raft_progress_shown(&p, 2, 4000); /* no more than before */
    raft_progress_shown(&p, 1, 5000); /* late */
    assert_true(raft_progress_is_stuck(&p, 3000));
}

static void going_back_to_probe_forgets_what_was_in_flight(void **s)
{
    struct raft_peer p = streaming(1);
    uint64_t room;

    (void)s;
    raft_progress_sent(&p, 2, 10, 20);
    p.told = 2;
    raft_progress_probe(&p, 2);
    raft_progress_check(&p);
    assert_int_equal(p.inflight_count, 0);
    assert_int_equal(p.match, 1);
    assert_int_equal(p.told, 0);
    assert_true(raft_progress_has_room(&p, &room));
}

static void no_entries_go_beside_a_snapshot(void **s)
{
    struct raft_peer p = streaming(1);
    uint64_t room;

    (void)s;
    raft_progress_sent(&p, 2, 10, 20);
    raft_progress_snapshot(&p, 9, 30);
    raft_progress_check(&p);
    assert_false(raft_progress_has_room(&p, &room));
    assert_int_equal(p.inflight_bytes, 0);
    assert_false(raft_progress_is_stuck(&p, 29));
    assert_true(raft_progress_is_stuck(&p, 30)); /* time to ask */
}

static void only_what_reaches_the_base_ends_a_snapshot(void **s)
{
    struct raft_peer p = streaming(1);

    (void)s;
    raft_progress_snapshot(&p, 9, 30);
    assert_true(raft_progress_accepted(&p, 7, 40)); /* late, yet true */
    assert_int_equal(p.state, RAFT_SNAPSHOT);
    assert_int_equal(p.match, 7);
    assert_int_equal(p.next, 9);
    assert_true(raft_progress_accepted(&p, 8, 50));
    assert_int_equal(p.state, RAFT_STREAM);
    assert_int_equal(p.next, 9);
}

static void states_have_names(void **s)
{
    (void)s;
    assert_string_equal(raft_progress_text(RAFT_PROBE), "probe");
    assert_string_equal(raft_progress_text(RAFT_STREAM), "stream");
    assert_string_equal(raft_progress_text(RAFT_SNAPSHOT), "snapshot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_probe_has_room_for_one_message),
        unit(streaming_runs_ahead_and_answers_make_room),
        unit(room_in_bytes_is_what_is_left_and_a_batch_at_most),
        unit(a_peer_is_stuck_when_what_was_sent_brings_no_news),
        unit(a_peer_whose_log_is_seen_to_grow_is_not_stuck),
        unit(going_back_to_probe_forgets_what_was_in_flight),
        unit(no_entries_go_beside_a_snapshot),
        unit(only_what_reaches_the_base_ends_a_snapshot),
        unit(states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
