/* When a snapshot is made, and what follows: node/snapshots.c. A follower of
 * node 2, one MiB of log being much. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/config.h"
#include "tests/lib/noted.h"
#include "tests/unit/node/solo.h"

#define TERM 5

static int setup(void **state)
{
    static struct solo s;

    solo_open(&s, &(struct solo_options){.snapshot = 0});
    solo_append(&s, 2, TERM, (struct raft_pos){0, 0}, 10, 10);
    solo_sync(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    solo_close(*state);
    return 0;
}

static raft_index base(const struct solo *s)
{
    struct raft_status status;

    replica_get_status(s->r, &status);
    return status.base.index;
}

static bool is_saving(struct solo *s)
{
    return solo_job(s) != NULL && solo_job(s)->what == REPLICA_SAVE;
}

static void one_is_made_when_the_log_has_grown(void **state)
{
    struct solo *s = *state;

    s->log_bytes = PX_MIB;
    solo_turn(s);
    assert_false(is_saving(s));
    s->log_bytes++;
    solo_turn(s);
    assert_true(is_saving(s));
    assert_int_equal(solo_job(s)->info.config.count, 3);
    solo_turn(s);
    assert_int_equal(s->job_count, 1); /* one at a time */
}

/* It is of the state that there is: who joins from it would go by members of
 * later, and not by those that the log says next. */
static void members_that_are_not_applied_are_not_in_it(void **state)
{
    struct solo *s = *state;
    const struct raft_config config = {.count = 1,
                                       .members = {{2, RAFT_VOTER}}};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    struct raft_entry e = {.pos = {TERM, 11}, .kind = RAFT_ENTRY_CONFIG};
    struct raft_msg m = {
        .type = RAFT_MSG_APPEND,
        .from = 2,
        .to = 1,
        .term = TERM,
        .append = {
            .prev = {TERM, 10}, .commit = 10, .count = 1, .entries = &e}};

    e.data.data = bytes;
    e.data.size = raft_config_encode(&config, bytes);
    replica_on_message(s->r, &m);
    assert_int_equal(s->r->config.count, 1);
    replica_want_snapshot(s->r);
    solo_turn(s);
    assert_true(is_saving(s));
    assert_int_equal(solo_job(s)->info.config.count, 3);
}

static void the_log_goes_when_it_is_durable_and_not_before(void **state)
{
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    assert_int_equal(base(s), 0);
    assert_int_equal(s->cut, 0);
    solo_job_done(s, 0);
    assert_int_equal(base(s), 10);
    assert_int_equal(s->cut, 10);
    assert_int_equal(s->r->counters.snapshots_saved, 1);
}

static void a_larger_one_is_made_more_seldom(void **state)
{
    struct solo *s = *state;

    s->r->snapshots.newest.bytes = 6 * PX_MIB;
    s->log_bytes = 3 * PX_MIB;
    solo_turn(s);
    assert_false(is_saving(s));
    s->log_bytes++;
    solo_turn(s);
    assert_true(is_saving(s));
}

/* Later there would be no room for it, and the log would take the rest. */
static void one_is_made_sooner_where_its_room_runs_out(void **state)
{
    struct solo *s = *state;

    s->r->snapshots.newest.bytes = 80 * PX_MIB;
    s->log_bytes = 20 * PX_MIB;
    s->snapshot_room = 91 * PX_MIB; /* an eighth more, and one of the log's */
    solo_turn(s);
    assert_false(is_saving(s));
    s->snapshot_room = 90 * PX_MIB;
    s->log_bytes += PX_MIB;
    solo_turn(s);
    assert_true(is_saving(s));
    solo_job_done(s, 0);
    s->log_bytes += PX_MIB / 8; /* not for so little */
    solo_append(s, 2, TERM, (struct raft_pos){TERM, 10}, 2, 12);
    solo_sync(s);
    assert_false(is_saving(s));
}

static void the_disk_is_not_asked_for_its_room_at_each_turn(void **state)
{
    struct solo *s = *state;

    s->log_bytes = PX_MIB / 2;
    for (int i = 0; i < 100; i++)
        solo_turn(s);
    assert_int_equal(s->room_looks, 1);
}

/* Its head goes by whole segments, and may have gone only in part. */
static void what_the_log_had_before_does_not_count_again(void **state)
{
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    s->log_bytes = 5 * PX_MIB / 2; /* while it is made */
    solo_turn(s);
    solo_job_done(s, 0);
    solo_append(s, 2, TERM, (struct raft_pos){TERM, 10}, 2, 12);
    solo_sync(s);
    s->log_bytes = 2 * PX_MIB; /* cut */
    solo_turn(s);
    s->log_bytes += PX_MIB / 2;
    solo_turn(s);
    assert_null(solo_job(s));
    s->log_bytes++;
    solo_turn(s);
    assert_true(is_saving(s));
}

static void none_is_made_of_what_has_one(void **state)
{
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    solo_job_done(s, 0);
    assert_null(solo_job(s)); /* though the log is as long as before */
}

static void one_that_is_wanted_is_made_at_any_size(void **state)
{
    struct solo *s = *state;

    replica_want_snapshot(s->r);
    solo_turn(s);
    assert_true(is_saving(s));
    solo_job_done(s, 0);
    assert_false(is_saving(s));
    replica_want_snapshot(s->r); /* once more: the last may be damaged */
    solo_turn(s);
    assert_true(is_saving(s));
}

/* At index 5, for a peer: at each of its heartbeats. */
static int fail_to_read(void *ctx)
{
    struct solo *s = ctx;

    for (unsigned i = 0; i < 3; i++) {
        snapshots_on_unreadable(s->r, 5, -EIO);
        solo_turn(s);
    }
    return 0;
}

static void one_is_made_behind_what_can_not_be_read(void **state)
{
    static const char note[] = "warn node=- term=0 log: can't be read for a "
                               "peer: entry=5: ";
    struct solo *s = *state;

    assert_int_equal(noted_while(fail_to_read, s), 0);
    assert_int_equal(noted_count(note), 1);
    assert_int_equal(s->job_count, 1);
    assert_true(is_saving(s));
    s->now += 10 * PX_NS_PER_S; /* it takes long */
    assert_int_equal(noted_while(fail_to_read, s), 0);
    assert_int_equal(noted_count(note), 1);
    solo_job_done(s, 0);
    assert_int_equal(base(s), 10);
    s->now += 10 * PX_NS_PER_S;
    assert_int_equal(noted_while(fail_to_read, s), 0); /* of a read before */
    assert_int_equal(noted_count(note), 0);
    assert_null(solo_job(s));
    assert_int_equal(s->r->counters.fetches_failed, 9);
}

/* It would be made in vain, again and again. */
static void none_is_made_where_it_would_end_before_that(void **state)
{
    struct solo *s = *state;

    snapshots_on_unreadable(s->r, 11, -EIO);
    solo_turn(s);
    assert_null(solo_job(s));
}

static void none_is_made_of_nothing(void **state)
{
    struct solo s;

    (void)state;
    solo_open(&s, &(struct solo_options){.snapshot = 0});
    replica_want_snapshot(s.r);
    solo_turn(&s);
    assert_null(solo_job(&s));
    solo_close(&s);
}

static void one_that_fails_is_tried_again_later(void **state)
{
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    solo_job_done(s, -ENOSPC);
    assert_null(solo_job(s));
    assert_int_equal(base(s), 0);
    solo_wait(s, 9 * PX_NS_PER_S);
    assert_null(solo_job(s));
    solo_wait(s, 2 * PX_NS_PER_S);
    assert_true(is_saving(s));
}

/* One that was asked for is not forgotten; and nobody spins when it isn't due
 * any more (solo_wait looks). */
static void one_that_was_wanted_is_tried_again_later(void **state)
{
    struct solo *s = *state;

    replica_want_snapshot(s->r);
    solo_turn(s);
    solo_job_done(s, -ENOSPC);
    solo_wait(s, 11 * PX_NS_PER_S);
    assert_true(is_saving(s));
}

static void a_failure_that_is_no_matter_any_more_is_forgotten(void **state)
{
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    solo_job_done(s, -EIO);
    s->r->snapshots.newest.bytes = 8 * PX_MIB; /* of another way */
    solo_wait(s, 60 * PX_NS_PER_S);
    assert_null(solo_job(s));
}

/* The thread that applies has committed, and has not said so yet. */
static void one_that_is_ahead_of_what_is_known_waits(void **state)
{
    struct solo *s = *state;
    struct replica_snapshot_job *job;

    s->log_bytes = 2 * PX_MIB;
    s->holds_apply = true;
    solo_append(s, 2, TERM, (struct raft_pos){TERM, 10}, 2, 12);
    solo_sync(s);
    job = solo_job(s);
    assert_true(is_saving(s));
    (void)px_list_pop_front(&s->jobs);
    s->job_count--;
    job->info.pos = (struct raft_pos){TERM, 12};
    job->info.bytes = PX_MIB;
    replica_on_snapshot(s->r, job, 0);
    solo_turn(s);
    assert_int_equal(base(s), 0);
    assert_int_equal(s->cut, 0);
    solo_apply(s);
    assert_int_equal(base(s), 12);
    assert_int_equal(s->cut, 12);
}

static void one_of_a_state_that_is_wrong_is_cancelled(void **state)
{
    const struct replica_divergence wrong = {8, 1, 2};
    struct solo *s = *state;

    s->log_bytes = 2 * PX_MIB;
    solo_turn(s);
    assert_true(is_saving(s));
    assert_false(solo_job(s)->is_cancelled);
    quarantine_begin(s->r, &wrong);
    assert_true(is_saving(s));
    assert_true(solo_job(s)->is_cancelled);
    solo_job_done(s, -ECANCELED);
    assert_int_equal(base(s), 0);
}

/* It would be replaced before it has arrived, again and again. */
static void
none_is_made_while_one_travels_unless_the_log_is_very_long(void **state)
{
    struct solo *s = *state;

    s->r->out[0].peer = 3;
    s->r->status.role = RAFT_LEADER; /* as far as these files look */
    s->r->out[0].moved_at = s->now;
    s->log_bytes = 4 * PX_MIB;
    snapshots_turn(s->r, s->now);
    assert_null(solo_job(s));
    s->log_bytes++;
    snapshots_turn(s->r, s->now);
    assert_true(is_saving(s));
}

/* The fault: by the time that it had arrived, the log had taken the room of the
 * next one, and was never cut again. */
static void one_that_travels_makes_way_where_room_runs_out(void **state)
{
    struct solo *s = *state;

    s->r->out[0].peer = 3;
    s->r->status.role = RAFT_LEADER; /* as far as these files look */
    s->r->out[0].moved_at = s->now;
    s->r->snapshots.newest.bytes = 80 * PX_MIB;
    s->log_bytes = 20 * PX_MIB;
    s->snapshot_room = 91 * PX_MIB; /* an eighth more, and one of the log's */
    snapshots_turn(s->r, s->now);
    assert_null(solo_job(s));
    s->snapshot_room = 90 * PX_MIB;
    s->log_bytes += PX_MIB;
    snapshots_turn(s->r, s->now);
    assert_true(is_saving(s));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_is_made_when_the_log_has_grown),
        TEST(members_that_are_not_applied_are_not_in_it),
        TEST(the_log_goes_when_it_is_durable_and_not_before),
        TEST(a_larger_one_is_made_more_seldom),
        TEST(one_is_made_sooner_where_its_room_runs_out),
        TEST(the_disk_is_not_asked_for_its_room_at_each_turn),
        TEST(what_the_log_had_before_does_not_count_again),
        TEST(none_is_made_of_what_has_one),
        TEST(one_that_is_wanted_is_made_at_any_size),
        TEST(one_is_made_behind_what_can_not_be_read),
        TEST(none_is_made_where_it_would_end_before_that),
        TEST(none_is_made_of_nothing),
        TEST(one_that_fails_is_tried_again_later),
        TEST(one_that_was_wanted_is_tried_again_later),
        TEST(a_failure_that_is_no_matter_any_more_is_forgotten),
        TEST(one_that_is_ahead_of_what_is_known_waits),
        TEST(one_of_a_state_that_is_wrong_is_cancelled),
        TEST(none_is_made_while_one_travels_unless_the_log_is_very_long),
        TEST(one_that_travels_makes_way_where_room_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
