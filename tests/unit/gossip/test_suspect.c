/* gossip/suspect.c: the time to refute. Lifeguard IV.B. */
#include "tests/unit/gossip/unit.h"

#include "tests/unit/gossip/rig.h"

/* Of six members, at intervals of 300 ms: alpha 5, beta 6, K 3; by hand. */
#define MIN (1500 * MS)
#define MAX (9000 * MS)

/* "b" is suspected by @count others, of the ids 1 ... */
static void accuse(struct rig *g, enum swim_state state, unsigned count)
{
    struct swim_news news = rig_news("b", 1, state);

    news.accuser_count = (uint8_t)count;
    for (unsigned i = 0; i < count; i++)
        news.accusers[i] = i + 1;
    rig_packet(g, SWIM_NEWS, "c", 0, &news, 1);
}

static void dies_after(struct rig *g, px_ns time)
{
    rig_pass_answering(g, time - 1, NULL);
    assert_int_equal(rig_state(g, "b"), SWIM_SUSPECT);
    rig_pass(g, 1);
    assert_int_equal(rig_state(g, "b"), SWIM_DEAD);
}

static void a_single_accuser_has_the_longest_patience(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    accuse(&g, SWIM_SUSPECT, 1);
    dies_after(&g, MAX);
    rig_close(&g);
}

static void each_other_that_agrees_shortens_it_by_less(void **s)
{
    /* MAX - (MAX - MIN) x log(C + 1) / log(4): C = 1: half of it. */
    static const px_ns times[] = {MAX, 5250 * MS, 3057 * MS, MIN};

    (void)s;
    for (unsigned i = 0; i < 4; i++) {
        struct rig g;

        rig_open_among(&g, 5);
        accuse(&g, SWIM_SUSPECT, i + 1);
        rig_pass_answering(&g, times[i] - MS, NULL);
        assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
        rig_pass(&g, MS);
        assert_int_equal(rig_state(&g, "b"), SWIM_DEAD);
        rig_close(&g);
    }
}

/* Of four, two can agree: 9000 - 7500 x log(2) / log(3). */
static void in_a_small_cluster_all_others_suffice(void **s)
{
    static const px_ns times[] = {MAX, 4269 * MS, MIN};

    (void)s;
    for (unsigned i = 0; i < 3; i++) {
        struct rig g;

        rig_open_among(&g, 3);
        accuse(&g, SWIM_SUSPECT, i + 1);
        rig_pass_answering(&g, times[i] - MS, NULL);
        assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
        rig_pass(&g, MS);
        assert_int_equal(rig_state(&g, "b"), SWIM_DEAD);
        rig_close(&g);
    }
}

static void later_agreement_counts_from_the_first_suspicion(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    accuse(&g, SWIM_SUSPECT, 1);
    rig_pass_answering(&g, 1000 * MS, NULL);
    accuse(&g, SWIM_SUSPECT, 4);
    dies_after(&g, MIN - 1000 * MS);
    rig_close(&g);
}

static void the_same_accuser_counts_once(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    for (unsigned i = 0; i < 10; i++)
        accuse(&g, SWIM_SUSPECT, 1);
    dies_after(&g, MAX);
    rig_close(&g);
}

/* Where SWIM has Confirm override: see swim.h. */
static void a_death_that_others_tell_of_leaves_the_shortest_time(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    g.swim->gossip_at = PX_NS_NEVER; /* that would tell it, perhaps */
    accuse(&g, SWIM_DEAD, 1);
    assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
    /* It may not know: it is told at once. */
    assert_true(rig_tells(rig_find(&g, SWIM_NEWS, "b"), "b", SWIM_SUSPECT));
    dies_after(&g, MIN);
    rig_close(&g);
}

static void a_death_that_others_tell_of_confirms_a_suspicion(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    accuse(&g, SWIM_SUSPECT, 1);
    rig_pass_answering(&g, 1000 * MS, NULL);
    accuse(&g, SWIM_DEAD, 1);
    dies_after(&g, MIN - 1000 * MS);
    rig_close(&g);
}

static void its_own_word_clears_a_suspect(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    accuse(&g, SWIM_SUSPECT, 4);
    rig_hear(&g, "b", 2, SWIM_ALIVE);
    assert_int_equal(rig_state(&g, "b"), SWIM_ALIVE);
    rig_pass_answering(&g, MAX, NULL);
    assert_int_equal(rig_state(&g, "b"), SWIM_ALIVE);
    /* And a new suspicion begins anew. */
    rig_hear(&g, "b", 2, SWIM_SUSPECT);
    dies_after(&g, MAX);
    rig_close(&g);
}

static void where_nobody_can_confirm_the_shortest_time_holds(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 2); /* "a", "b" */
    rig_hear(&g, "a", 1, SWIM_LEFT);
    rig_hear(&g, "b", 1, SWIM_SUSPECT);
    dies_after(&g, MIN);
    rig_close(&g);
}

/* alpha x log n: a large cluster spreads news more slowly. */
static void the_time_grows_with_the_digits_of_the_number(void **s)
{
    struct swim_settings settings = swim_settings_of_tick(20 * MS);

    (void)s;
    assert_int_equal(swim_suspicion_min(&settings, 2), MIN);
    assert_int_equal(swim_suspicion_min(&settings, 10), MIN);
    assert_int_equal(swim_suspicion_min(&settings, 11), 2 * MIN);
    assert_int_equal(swim_suspicion_min(&settings, 100), 2 * MIN);
    assert_int_equal(swim_suspicion_min(&settings, 101), 3 * MIN);
    assert_int_equal(swim_suspicion_min(&settings, 1000), 3 * MIN);
    assert_int_equal(swim_suspicion_min(&settings, 1001), 4 * MIN);
}

/* Lifeguard IV.B: the first K are passed on, each with its author. */
static void each_new_accuser_is_told_on_up_to_k_more(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    for (unsigned count = 1; count <= 4; count++) {
        accuse(&g, SWIM_SUSPECT, count);
        assert_true(swim_has_news(g.swim));
        rig_clear(&g);
        rig_packet(&g, SWIM_PING, "a", count, NULL, 0);
        assert_int_equal(rig_find(&g, SWIM_ACK, "a")->news_count, 1);
        assert_int_equal(rig_find(&g, SWIM_ACK, "a")->news[0].accusers, count);
        while (swim_has_news(g.swim))
            rig_pass_answering(&g, 60 * MS, NULL);
    }
    rig_hear(&g, "b", 1, SWIM_SUSPECT); /* by "z", a fifth */
    assert_false(swim_has_news(g.swim));
    rig_close(&g);
}

/* It is not woken for them either: that would be without end. */
static void who_leaves_judges_its_suspects_no_more(void **s)
{
    struct swim_in leave = {.type = SWIM_IN_LEAVE};
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    accuse(&g, SWIM_SUSPECT, 4);
    rig_step(&g, &leave);
    for (unsigned i = 0; i < 20; i++) { /* 2 s: MIN has passed */
        g.now += 100 * MS;
        rig_tick(&g);
        assert_true(g.out.deadline > g.now);
    }
    assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_single_accuser_has_the_longest_patience),
        unit(each_other_that_agrees_shortens_it_by_less),
        unit(in_a_small_cluster_all_others_suffice),
        unit(later_agreement_counts_from_the_first_suspicion),
        unit(the_same_accuser_counts_once),
        unit(a_death_that_others_tell_of_leaves_the_shortest_time),
        unit(a_death_that_others_tell_of_confirms_a_suspicion),
        unit(its_own_word_clears_a_suspect),
        unit(where_nobody_can_confirm_the_shortest_time_holds),
        unit(the_time_grows_with_the_digits_of_the_number),
        unit(each_new_accuser_is_told_on_up_to_k_more),
        unit(who_leaves_judges_its_suspects_no_more),
    };

    return cmocka_run_group_tests_name("gossip/suspect", tests, NULL, NULL);
}
