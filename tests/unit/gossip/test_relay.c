/* gossip/relay.c: pings, and those made for others. SWIM 3.1, Lifeguard IV.A. */
#include "tests/unit/gossip/unit.h"

#include "tests/unit/gossip/rig.h"

static void a_ping_is_answered_with_its_number_where_it_came_from(void **s)
{
    const struct swim_addr from = rig_addr("b");
    const struct rig_sent *ack;
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_packet(&g, SWIM_PING, "b", 41, NULL, 0);
    ack = rig_find(&g, SWIM_ACK, "b");
    assert_non_null(ack);
    assert_int_equal(ack->seq, 41);
    assert_int_equal(ack->via, SWIM_UDP);
    assert_memory_equal(&ack->addr, &from, sizeof from);
    rig_close(&g);
}

static void a_ping_over_tcp_is_answered_on_its_connection(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_stream(&g, SWIM_PING, "b", 41, NULL, 0);
    assert_int_equal(g.out.packet_count, 1);
    assert_int_equal(rig_find(&g, SWIM_ACK, "b")->via, SWIM_ANSWER);
    rig_close(&g);
}

static void who_is_not_known_is_answered_without_news(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "d", 1, SWIM_ALIVE); /* there would be some */
    rig_clear(&g);
    rig_packet(&g, SWIM_PING, "x", 41, NULL, 0);
    assert_int_equal(rig_find(&g, SWIM_ACK, "x")->news_count, 0);
    rig_packet(&g, SWIM_PING, "b", 42, NULL, 0);
    assert_true(rig_tells(rig_find(&g, SWIM_ACK, "b"), "d", SWIM_ALIVE));
    rig_close(&g);
}

static void an_answer_to_a_ping_made_for_another_is_passed_on(void **s)
{
    const struct rig_sent *ping;
    const struct rig_sent *ack;
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_ping_req(&g, "a", 41, "c");
    ping = rig_find(&g, SWIM_PING, "c");
    assert_non_null(ping);
    assert_null(rig_find(&g, SWIM_ACK, "a"));
    rig_packet(&g, SWIM_ACK, "c", ping->seq, NULL, 0);
    ack = rig_find(&g, SWIM_ACK, "a");
    assert_non_null(ack);
    assert_int_equal(ack->seq, 41);
    rig_pass(&g, RIG_TIMEOUT);
    assert_int_equal(rig_count(&g, SWIM_NACK), 0);
    rig_close(&g);
}

static void
without_an_answer_a_nack_goes_at_four_fifths_of_the_timeout(void **s)
{
    struct rig g;
    uint64_t seq;

    (void)s;
    rig_open_among(&g, 3);
    rig_ping_req(&g, "a", 41, "c");
    seq = rig_find(&g, SWIM_PING, "c")->seq;
    rig_pass(&g, RIG_TIMEOUT / 5 * 4 - 1);
    assert_int_equal(rig_count(&g, SWIM_NACK), 0);
    rig_pass(&g, 1);
    assert_int_equal(rig_count(&g, SWIM_NACK), 1);
    assert_int_equal(rig_find(&g, SWIM_NACK, "a")->seq, 41);
    rig_packet(&g, SWIM_ACK, "c", seq, NULL, 0); /* better late than never */
    assert_non_null(rig_find(&g, SWIM_ACK, "a"));
    rig_pass(&g, 2 * RIG_INTERVAL);
    assert_int_equal(rig_count(&g, SWIM_NACK), 1);
    rig_close(&g);
}

static void nobody_has_us_ping_whom_we_do_not_know(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_ping_req(&g, "a", 41, "x");
    assert_null(rig_find(&g, SWIM_PING, "x"));
    assert_int_equal(rig_find(&g, SWIM_NACK, "a")->seq, 41);
    rig_close(&g);
}

static void who_asks_about_ourselves_has_the_answer(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_ping_req(&g, "a", 41, "me");
    assert_int_equal(rig_find(&g, SWIM_ACK, "a")->seq, 41);
    rig_close(&g);
}

static void pings_for_others_are_bounded_and_given_up_in_the_end(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    for (unsigned i = 0; i < SWIM_RELAYS_MAX; i++)
        rig_ping_req(&g, "a", 100 + i, "c");
    assert_int_equal(rig_count(&g, SWIM_NACK), 0);
    rig_ping_req(&g, "b", 41, "c");
    assert_int_equal(rig_count(&g, SWIM_NACK), 1);
    assert_int_equal(rig_find(&g, SWIM_NACK, "b")->seq, 41);
    assert_int_equal(rig_status(&g).counters.relays_full, 1);
    rig_pass(&g, RIG_INTERVAL);
    rig_clear(&g);
    rig_ping_req(&g, "b", 42, "c");
    assert_non_null(rig_find(&g, SWIM_PING, "c"));
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_ping_is_answered_with_its_number_where_it_came_from),
        unit(a_ping_over_tcp_is_answered_on_its_connection),
        unit(who_is_not_known_is_answered_without_news),
        unit(an_answer_to_a_ping_made_for_another_is_passed_on),
        unit(without_an_answer_a_nack_goes_at_four_fifths_of_the_timeout),
        unit(nobody_has_us_ping_whom_we_do_not_know),
        unit(who_asks_about_ourselves_has_the_answer),
        unit(pings_for_others_are_bounded_and_given_up_in_the_end),
    };

    return cmocka_run_group_tests_name("gossip/relay", tests, NULL, NULL);
}
