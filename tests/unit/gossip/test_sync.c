/* gossip/sync.c: push-pull, seeds, and the dead. */
#include "tests/unit/gossip/unit.h"

#include <string.h>

#include "tests/unit/gossip/rig.h"

static void give_seeds(struct rig *g, const struct swim_addr *list,
                       size_t count)
{
    struct swim_in in = {.type = SWIM_IN_SEEDS};

    in.seeds.list = list;
    in.seeds.count = count;
    rig_step(g, &in);
}

/* ---- Push-pull ---- */

static void now_and_then_the_whole_table_is_exchanged_over_tcp(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 4);
    rig_pass_answering(&g, 40 * 1000 * MS, NULL);
    /* Every 3 s, less or more an eighth. */
    assert_in_range(rig_count(&g, SWIM_STATE_ASK), 40 / 3.4, 40 / 2.6);
    for (size_t i = 0; i < g.sent_count; i++) {
        if (g.sent[i].type != SWIM_STATE_ASK)
            continue;
        assert_int_equal(g.sent[i].via, SWIM_DIAL);
        assert_int_equal(g.sent[i].news_count, 5);
        assert_true(rig_tells(&g.sent[i], "me", SWIM_ALIVE));
        assert_string_not_equal(g.sent[i].to, "");
    }
    rig_close(&g);
}

static void a_state_is_answered_with_all_that_both_know(void **s)
{
    const struct swim_news news = rig_news("x", 1, SWIM_ALIVE);
    const struct rig_sent *state;
    struct rig g;

    (void)s;
    rig_open_among(&g, 4);
    rig_hear(&g, "d", 1, SWIM_LEFT);
    rig_clear(&g);
    rig_stream(&g, SWIM_STATE_ASK, "a", 41, &news, 1);
    state = rig_find(&g, SWIM_STATE, "a");
    assert_non_null(state);
    assert_int_equal(state->via, SWIM_ANSWER);
    assert_int_equal(state->seq, 41);
    assert_int_equal(state->news_count, 6);
    assert_true(rig_tells(state, "x", SWIM_ALIVE));
    assert_true(rig_tells(state, "d", SWIM_LEFT));
    rig_close(&g);
}

static void a_large_cluster_exchanges_less_often(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 64); /* two doublings beyond 32: 9 s */
    rig_pass_answering(&g, 9000 * MS, NULL);
    rig_clear(&g);
    rig_pass_answering(&g, 45 * 1000 * MS, NULL);
    assert_in_range(rig_count(&g, SWIM_STATE_ASK), 4, 6);
    rig_close(&g);
}

static void who_was_taken_for_dead_soon_asks_for_all(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 4);
    while (rig_count(&g, SWIM_STATE_ASK) == 0)
        rig_pass_answering(&g, 10 * MS, NULL); /* the next is in seconds */
    rig_clear(&g);
    rig_hear(&g, "me", RIG_INCARNATION, SWIM_DEAD);
    rig_pass_answering(&g, RIG_TIMEOUT, NULL);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 1);
    rig_close(&g);
}

/* A state of our own may have to wait for the next step; that is no reason to
 * think that we were not run. */
static void a_state_that_is_put_off_is_not_late(void **s)
{
    const struct swim_news news = rig_news("a", 1, SWIM_ALIVE);
    struct rig g;

    (void)s;
    rig_open(&g);
    rig_pass(&g, 60 * 1000 * MS); /* alone: syncs were due all the time */
    rig_clear(&g);
    rig_stream(&g, SWIM_STATE_ASK, "a", 41, &news, 1);
    assert_int_equal(rig_count(&g, SWIM_STATE), 1);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 0);
    assert_true(g.out.deadline == g.now);
    rig_tick(&g);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 1);
    assert_int_equal(rig_status(&g).counters.pauses, 0);
    rig_close(&g);
}

/* ---- Seeds ---- */

static void who_is_alone_asks_all_seeds_but_itself(void **s)
{
    const struct swim_addr seeds[] = {rig_addr("me"), rig_addr("a"),
                                      rig_addr("b")};
    struct rig g;

    (void)s;
    rig_open(&g);
    give_seeds(&g, seeds, 3);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(g.sent[i].via, SWIM_DIAL);
        assert_string_equal(g.sent[i].to, "");
        assert_memory_equal(&g.sent[i].addr, &seeds[i + 1], sizeof *seeds);
    }
    rig_close(&g);
}

static void seeds_are_asked_again_less_and_less_often(void **s)
{
    const struct swim_addr seed = rig_addr("a");
    struct rig g;
    px_ns last;

    (void)s;
    rig_open(&g);
    give_seeds(&g, &seed, 1);
    rig_clear(&g);
    last = g.now;
    for (unsigned i = 1; i <= 20; i++) {
        const px_ns pause = (i < 10 ? i : 10) * 100 * MS;

        rig_pass(&g, pause - 1);
        assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 0);
        rig_pass(&g, 1);
        assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 1);
        assert_true(g.out.wants_seeds);
        assert_int_equal(g.now - last, pause);
        last = g.now;
        rig_clear(&g);
    }
    rig_close(&g);
}

static void seeds_beyond_the_bound_and_unsound_ones_are_left_out(void **s)
{
    struct swim_addr seeds[SWIM_SEEDS_MAX + 5];
    struct rig g;

    (void)s;
    for (unsigned i = 0; i < SWIM_SEEDS_MAX + 5; i++)
        seeds[i] = rig_addr(rig_id(i));
    seeds[0].port = 0;
    rig_open(&g);
    give_seeds(&g, seeds, SWIM_SEEDS_MAX + 5);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), SWIM_SEEDS_MAX);
    rig_close(&g);
}

/* Two who wait for a cluster, and have met, may both have asked before the
 * others were there; and one may be found before it has asked at all. */
static void who_is_of_no_cluster_asks_seeds_that_nobody_is_at(void **s)
{
    const struct swim_addr seeds[] = {rig_addr("a"), rig_addr("x")};
    struct swim_options o = rig_options();
    struct swim_in in = {.type = SWIM_IN_SELF, .self = &o.about};
    struct rig g;

    (void)s;
    o.about.cluster = 0;
    rig_open_with(&g, &o);
    rig_hear(&g, "a", 1, SWIM_ALIVE);
    rig_clear(&g);
    give_seeds(&g, seeds, 2);
    assert_int_equal(rig_count(&g, SWIM_STATE_ASK), 1);
    assert_memory_equal(&rig_find(&g, SWIM_STATE_ASK, "")->addr, &seeds[1],
                        sizeof *seeds);
    rig_clear(&g);
    rig_pass_answering(&g, 1000 * MS, NULL); /* after 100, 200, 300, 400 ms */
    assert_int_equal(g.seeds_wanted, 4);
    o.about.cluster = 1;
    rig_step(&g, &in);
    rig_clear(&g);
    rig_pass_answering(&g, 2000 * MS, NULL); /* less than to the next sync */
    assert_int_equal(g.seeds_wanted, 0);
    rig_close(&g);
}

/* A state is encoded at most once in a step. */
static void seeds_and_a_sync_that_are_due_at_once_take_two_steps(void **s)
{
    const struct swim_addr seed = rig_addr("x");
    struct swim_options o = rig_options();
    struct rig g;

    (void)s;
    o.about.cluster = 0;
    rig_open_with(&g, &o);
    rig_hear(&g, "a", 1, SWIM_ALIVE);
    give_seeds(&g, &seed, 1);
    rig_clear(&g);
    for (unsigned i = 2; i <= 600; i++) {
        size_t before = rig_count(&g, SWIM_STATE_ASK);

        g.now = g.out.deadline + RIG_TIMEOUT; /* as late as may be */
        rig_tick(&g);
        assert_in_range(rig_count(&g, SWIM_STATE_ASK) - before, 0, 1);
        rig_hear(&g, "a", i, SWIM_ALIVE); /* it is well */
    }
    /* Most were for the seed; the other was not forgotten. */
    assert_true(g.seeds_wanted < rig_count(&g, SWIM_STATE_ASK));
    rig_close(&g);
}

static void who_is_of_no_cluster_leaves_seeds_alone_that_it_knows(void **s)
{
    const struct swim_addr seed = rig_addr("a");
    struct swim_options o = rig_options();
    struct rig g;

    (void)s;
    o.about.cluster = 0;
    rig_open_with(&g, &o);
    rig_hear(&g, "a", 1, SWIM_ALIVE);
    give_seeds(&g, &seed, 1);
    rig_clear(&g);
    rig_pass_answering(&g, 2000 * MS, NULL);
    assert_null(rig_find(&g, SWIM_STATE_ASK, ""));
    assert_int_equal(g.seeds_wanted, 0);
    rig_close(&g);
}

static void a_seed_that_no_member_is_at_is_tried_now_and_then(void **s)
{
    const struct swim_addr seeds[] = {rig_addr("a"), rig_addr("x")};
    size_t lost = 0;
    struct rig g;

    (void)s;
    rig_open(&g);
    give_seeds(&g, seeds, 2);
    for (size_t i = 0; i < 4; i++)
        rig_hear(&g, rig_id(i), 1, SWIM_ALIVE);
    rig_clear(&g);
    rig_pass_answering(&g, 60 * 1000 * MS, NULL);
    for (size_t i = 0; i < g.sent_count; i++) {
        const struct rig_sent *sent = &g.sent[i];

        if (sent->type != SWIM_STATE_ASK)
            continue;
        if (memcmp(&sent->addr, &seeds[1], sizeof *seeds) == 0) {
            assert_string_equal(sent->to, "");
            lost++;
        } else {
            assert_string_not_equal(sent->to, "");
        }
    }
    assert_in_range(lost, 1, 12);           /* a quarter of some twenty */
    assert_int_equal(g.seeds_wanted, lost); /* its name may have moved */
    rig_close(&g);
}

/* ---- The dead ---- */

static void let_die(struct rig *g, const char *id)
{
    rig_hear(g, id, 1, SWIM_SUSPECT);
    rig_pass_answering(g, 10000 * MS, id);
    assert_int_equal(rig_state(g, id), SWIM_DEAD);
    rig_clear(g);
}

static void the_dead_are_told_so_now_and_then(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    let_die(&g, "b");
    rig_pass_answering(&g, 30 * RIG_INTERVAL, NULL);
    assert_non_null(rig_find(&g, SWIM_NEWS, "b"));
    assert_true(rig_tells(rig_find(&g, SWIM_NEWS, "b"), "b", SWIM_DEAD));
    assert_null(rig_find(&g, SWIM_PING, "b"));
    rig_clear(&g);
    rig_hear(&g, "b", 2, SWIM_ALIVE); /* it was not */
    assert_int_equal(rig_event(&g, "b"), SWIM_EVENT_ALIVE + 1);
    rig_pass_answering(&g, 10 * RIG_INTERVAL, NULL);
    assert_non_null(rig_find(&g, SWIM_PING, "b"));
    rig_close(&g);
}

static void those_that_left_are_not_knocked_at(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    rig_hear(&g, "b", 1, SWIM_LEFT);
    rig_clear(&g);
    rig_pass_answering(&g, 30 * RIG_INTERVAL, NULL);
    for (size_t i = 0; i < g.sent_count; i++)
        assert_string_not_equal(g.sent[i].to, "b");
    rig_close(&g);
}

static void the_dead_are_remembered_for_so_long_and_then_forgotten(void **s)
{
    struct swim_options o = rig_options();
    struct rig g;
    px_ns died;

    (void)s;
    o.settings.forget = 60 * 1000 * MS;
    rig_open_with(&g, &o);
    for (size_t i = 0; i < 4; i++)
        rig_hear(&g, rig_id(i), 1, SWIM_ALIVE);
    died = g.now;
    rig_hear(&g, "b", 1, SWIM_LEFT);
    while (g.now + 1000 * MS < died + o.settings.forget) {
        rig_pass_answering(&g, 1000 * MS, NULL);
        rig_clear(&g);
    }
    rig_hear(&g, "b", 1, SWIM_ALIVE); /* old news still is */
    assert_int_equal(rig_state(&g, "b"), SWIM_LEFT);
    rig_pass_answering(&g, died + o.settings.forget - g.now - 1, NULL);
    assert_int_equal(rig_state(&g, "b"), SWIM_LEFT);
    rig_pass(&g, 1);
    assert_int_equal(rig_event(&g, "b"), SWIM_EVENT_FORGOTTEN + 1);
    assert_int_equal(rig_state(&g, "b"), 0);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(now_and_then_the_whole_table_is_exchanged_over_tcp),
        unit(a_state_is_answered_with_all_that_both_know),
        unit(a_large_cluster_exchanges_less_often),
        unit(who_was_taken_for_dead_soon_asks_for_all),
        unit(a_state_that_is_put_off_is_not_late),
        unit(who_is_alone_asks_all_seeds_but_itself),
        unit(seeds_are_asked_again_less_and_less_often),
        unit(seeds_beyond_the_bound_and_unsound_ones_are_left_out),
        unit(who_is_of_no_cluster_asks_seeds_that_nobody_is_at),
        unit(seeds_and_a_sync_that_are_due_at_once_take_two_steps),
        unit(who_is_of_no_cluster_leaves_seeds_alone_that_it_knows),
        unit(a_seed_that_no_member_is_at_is_tried_now_and_then),
        unit(the_dead_are_told_so_now_and_then),
        unit(those_that_left_are_not_knocked_at),
        unit(the_dead_are_remembered_for_so_long_and_then_forgotten),
    };

    return cmocka_run_group_tests_name("gossip/sync", tests, NULL, NULL);
}
