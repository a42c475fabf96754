/* gossip/spread.c: which news a packet carries. SWIM 4.1, Lifeguard IV.C. */
#include "tests/unit/gossip/unit.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/gossip/rig.h"

/* What an answer to "a" carries, in its order. */
static const struct rig_sent *answer_to(struct rig *g, const char *id)
{
    rig_clear(g);
    rig_packet(g, SWIM_PING, id, 1, NULL, 0);
    return rig_find(g, SWIM_ACK, id);
}

/* The timer for packets of its own would tell the news, too. */
static void hold_timer(struct rig *g)
{
    g->swim->gossip_at = PX_NS_NEVER;
}

static void the_least_told_news_goes_first(void **s)
{
    const struct rig_sent *sent;
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    hold_timer(&g);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    sent = answer_to(&g, "a");
    assert_string_equal(sent->news[0].id, "x");
    rig_hear(&g, "y", 1, SWIM_ALIVE);
    sent = answer_to(&g, "a");
    assert_int_equal(sent->news_count, 2);
    assert_string_equal(sent->news[0].id, "y");
    assert_string_equal(sent->news[1].id, "x");
    rig_close(&g);
}

/* lambda x digits(n): 4 among ten, 8 among more. */
static void news_is_told_so_often_and_no_more(void **s)
{
    (void)s;
    for (size_t others = 5; others <= 15; others += 10) {
        const unsigned limit = others == 5 ? 4 : 8;
        struct rig g;

        rig_open_among(&g, others);
        hold_timer(&g);
        rig_hear(&g, "x", 1, SWIM_ALIVE);
        for (unsigned i = 0; i < limit; i++)
            assert_true(rig_tells(answer_to(&g, "a"), "x", SWIM_ALIVE));
        assert_int_equal(answer_to(&g, "a")->news_count, 0);
        rig_close(&g);
    }
}

static void newer_news_of_a_member_takes_the_place_of_the_older(void **s)
{
    const struct rig_sent *sent;
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    hold_timer(&g);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    for (unsigned i = 0; i < 3; i++)
        (void)answer_to(&g, "a");
    rig_hear(&g, "x", 1, SWIM_LEFT);
    for (unsigned i = 0; i < 4; i++) {
        sent = answer_to(&g, "a");
        assert_int_equal(sent->news_count, 1);
        assert_int_equal(sent->news[0].state, SWIM_LEFT);
    }
    assert_int_equal(answer_to(&g, "a")->news_count, 0);
    rig_close(&g);
}

static void a_packet_holds_what_fits_and_the_rest_comes_next(void **s)
{
    const struct rig_sent *sent;
    unsigned told[40] = {0};
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    for (unsigned i = 0; i < 40; i++) {
        char id[16];

        hold_timer(&g);
        (void)snprintf(id, sizeof id, "m%02u", i);
        rig_hear(&g, id, 1, SWIM_ALIVE);
    }
    for (unsigned packets = 0; packets < 4; packets++) {
        hold_timer(&g);
        sent = answer_to(&g, "a");
        assert_true(sent->size <= SWIM_PACKET_BYTES_MAX);
        /* There is no room for another. */
        assert_true(sent->size > SWIM_PACKET_BYTES_MAX - 70);
        for (size_t i = 0; i < sent->news_count; i++)
            told[(sent->news[i].id[1] - '0') * 10 + sent->news[i].id[2] -
                 '0']++;
        for (unsigned i = 0; i < 40 * 40; i++) /* nobody is two ahead */
            assert_true(told[i / 40] <= told[i % 40] + 1);
    }
    rig_close(&g);
}

static void nobody_is_told_that_he_is_alive(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    hold_timer(&g);
    rig_hear(&g, "b", 2, SWIM_ALIVE);
    assert_int_equal(answer_to(&g, "b")->news_count, 0);
    assert_int_equal(answer_to(&g, "a")->news_count, 1);
    rig_close(&g);
}

/* The buddy system: however often it was told, and before all else. */
static void a_suspect_is_told_first_what_is_said_of_it(void **s)
{
    const struct rig_sent *sent;
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    rig_hear(&g, "b", 1, SWIM_SUSPECT);
    while (swim_has_news(g.swim))
        rig_pass_answering(&g, 60 * MS, NULL);
    hold_timer(&g);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    for (unsigned i = 0; i < 10; i++) {
        sent = answer_to(&g, "b");
        assert_string_equal(sent->news[0].id, "b");
        assert_int_equal(sent->news[0].state, SWIM_SUSPECT);
    }
    rig_close(&g);
}

static void the_dead_are_told_of_their_death_alone(void **s)
{
    const struct rig_sent *sent;
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    rig_hear(&g, "b", 1, SWIM_SUSPECT);
    rig_pass_answering(&g, 10000 * MS, "b");
    assert_int_equal(rig_state(&g, "b"), SWIM_DEAD);
    hold_timer(&g);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    sent = answer_to(&g, "b");
    assert_int_equal(sent->news_count, 1);
    assert_string_equal(sent->news[0].id, "b");
    assert_int_equal(sent->news[0].state, SWIM_DEAD);
    rig_close(&g);
}

static void news_goes_out_at_once_to_as_many_as_set(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 6);
    rig_pass_answering(&g, 2 * RIG_INTERVAL, NULL);
    rig_clear(&g);
    rig_hear(&g, "x", 1, SWIM_ALIVE);
    assert_int_equal(rig_count(&g, SWIM_NEWS), 3);
    for (size_t i = 0; i < g.sent_count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(g.sent[i].to, g.sent[k].to);
    }
    rig_pass_answering(&g, 60 * MS - 1, NULL);
    assert_int_equal(rig_count(&g, SWIM_NEWS), 3);
    rig_pass_answering(&g, 1, NULL);
    assert_true(rig_count(&g, SWIM_NEWS) > 3);
    rig_close(&g);
}

static void where_there_is_no_news_no_packet_goes_for_it(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 6);
    rig_pass_answering(&g, 10 * RIG_INTERVAL, NULL);
    assert_int_equal(rig_count(&g, SWIM_NEWS), 0);
    rig_close(&g);
}

static void of_two_neither_tells_the_other_about_itself(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 1);
    rig_hear(&g, "a", 2, SWIM_ALIVE);
    rig_pass_answering(&g, 10 * RIG_INTERVAL, NULL);
    assert_int_equal(rig_count(&g, SWIM_NEWS), 0);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_least_told_news_goes_first),
        unit(news_is_told_so_often_and_no_more),
        unit(newer_news_of_a_member_takes_the_place_of_the_older),
        unit(a_packet_holds_what_fits_and_the_rest_comes_next),
        unit(nobody_is_told_that_he_is_alive),
        unit(a_suspect_is_told_first_what_is_said_of_it),
        unit(the_dead_are_told_of_their_death_alone),
        unit(news_goes_out_at_once_to_as_many_as_set),
        unit(where_there_is_no_news_no_packet_goes_for_it),
        unit(of_two_neither_tells_the_other_about_itself),
    };

    return cmocka_run_group_tests_name("gossip/spread", tests, NULL, NULL);
}
