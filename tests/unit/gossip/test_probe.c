/* gossip/probe.c: rounds, timeouts, whose answers count. SWIM 3.1, 4.3. */
#include "tests/unit/gossip/unit.h"

#include <string.h>

#include "tests/unit/gossip/rig.h"

/* ---- Rounds ---- */

static void in_a_round_each_other_is_pinged_once(void **s)
{
    struct rig g;
    unsigned pinged[7] = {0};

    (void)s;
    rig_open_among(&g, 7);
    g.swim->order_next = g.swim->order_count; /* at the end of a round */
    rig_pass_answering(&g, 3 * 7 * RIG_INTERVAL, NULL);
    assert_int_equal(rig_count(&g, SWIM_PING), 3 * 7);
    for (size_t i = 0; i < g.sent_count; i++) {
        if (g.sent[i].type != SWIM_PING)
            continue;
        for (size_t k = 0; k < 7; k++)
            pinged[k] += strcmp(g.sent[i].to, rig_id(k)) == 0;
        /* No two rounds apart: none is two ahead of another. */
        for (size_t k = 0; k < 7 * 7; k++)
            assert_true(pinged[k / 7] <= pinged[k % 7] + 1);
    }
    rig_close(&g);
}

/* It is pinged in this round or it is not; nobody is pinged twice. */
static void a_newcomer_disturbs_no_round(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct swim_options o = rig_options();
        unsigned pinged[7] = {0};
        struct rig g;

        o.seed = seed;
        rig_open_with(&g, &o);
        for (size_t i = 0; i < 6; i++)
            rig_hear(&g, rig_id(i), 1, SWIM_ALIVE);
        g.swim->order_next = g.swim->order_count;
        rig_pass_answering(&g, 3 * RIG_INTERVAL, NULL);
        rig_hear(&g, rig_id(6), 1, SWIM_ALIVE);
        rig_pass_answering(&g, 3 * RIG_INTERVAL, NULL);
        for (size_t i = 0; i < g.sent_count; i++) {
            for (size_t k = 0; k < 7; k++)
                pinged[k] += g.sent[i].type == SWIM_PING &&
                             strcmp(g.sent[i].to, rig_id(k)) == 0;
        }
        for (size_t k = 0; k < 7; k++)
            assert_in_range(pinged[k], 0, 1);
        rig_close(&g);
    }
}

static void rounds_differ_in_their_order(void **s)
{
    struct rig g;
    struct swim_member *before[20];

    (void)s;
    rig_open_among(&g, 20);
    memcpy(before, g.swim->order, sizeof before);
    rig_pass_answering(&g, 20 * RIG_INTERVAL, NULL);
    assert_memory_not_equal(before, g.swim->order, sizeof before);
    rig_close(&g);
}

static void a_probe_lasts_its_interval_whatever_comes_of_it(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 4);
    g.swim->settings.health_max = 0; /* it would stretch */
    rig_pass(&g, 20 * RIG_INTERVAL);
    for (size_t i = 0, last = g.sent_count; i < g.sent_count; i++) {
        if (g.sent[i].type != SWIM_PING || g.sent[i].via != SWIM_UDP)
            continue;
        if (last < g.sent_count)
            assert_int_equal(g.sent[i].at - g.sent[last].at, RIG_INTERVAL);
        last = i;
    }
    rig_close(&g);
}

/* ---- Answers ---- */

static void an_answer_in_time_ends_the_matter(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 4);
    ping = rig_await_ping(&g);
    assert_int_equal(ping.via, SWIM_UDP);
    rig_packet(&g, SWIM_ACK, ping.to, ping.seq, NULL, 0);
    rig_pass(&g, RIG_INTERVAL - MS);
    assert_int_equal(rig_count(&g, SWIM_PING_REQ), 0);
    assert_int_equal(rig_status(&g).counters.probes_failed, 0);
    rig_close(&g);
}

static void at_the_timeout_k_others_are_asked_and_tcp_is_tried(void **s)
{
    struct rig g;
    struct rig_sent ping;
    size_t dials = 0;

    (void)s;
    rig_open_among(&g, 4); /* all but the target */
    ping = rig_await_ping(&g);
    rig_pass(&g, RIG_TIMEOUT - MS);
    assert_int_equal(g.sent_count, 1);
    rig_pass(&g, MS);
    assert_int_equal(rig_count(&g, SWIM_PING_REQ), 3);
    for (size_t i = 1; i < g.sent_count; i++) {
        const struct rig_sent *sent = &g.sent[i];

        assert_int_equal(sent->seq, ping.seq);
        if (sent->type == SWIM_PING_REQ) {
            assert_string_equal(sent->target, ping.to);
            assert_string_not_equal(sent->to, ping.to);
            for (size_t k = 1; k < i; k++)
                assert_string_not_equal(g.sent[k].to, sent->to);
        } else {
            assert_int_equal(sent->type, SWIM_PING);
            assert_int_equal(sent->via, SWIM_DIAL);
            assert_string_equal(sent->to, ping.to);
            dials++;
        }
    }
    assert_int_equal(dials, 1);
    rig_close(&g);
}

static void who_answers_nobody_is_suspect_and_told_so(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    rig_pass(&g, RIG_INTERVAL - MS);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    rig_clear(&g);
    rig_pass(&g, MS);
    assert_int_equal(rig_state(&g, ping.to), SWIM_SUSPECT);
    assert_non_null(rig_find(&g, SWIM_NEWS, ping.to));
    assert_true(
        rig_tells(rig_find(&g, SWIM_NEWS, ping.to), ping.to, SWIM_SUSPECT));
    rig_close(&g);
}

static void an_answer_that_a_relay_brings_counts(void **s)
{
    struct rig g;
    struct rig_sent ping;
    struct rig_sent ask;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    rig_pass(&g, RIG_TIMEOUT);
    ask = g.sent[1];
    assert_int_equal(ask.type, SWIM_PING_REQ);
    rig_packet(&g, SWIM_ACK, ask.to, ping.seq, NULL, 0);
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    rig_close(&g);
}

static void an_answer_over_tcp_counts_and_is_counted(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    rig_pass(&g, RIG_TIMEOUT);
    rig_stream(&g, SWIM_ACK, ping.to, ping.seq, NULL, 0);
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    assert_int_equal(rig_status(&g).counters.rescued_by_tcp, 1);
    rig_close(&g);
}

static void answers_to_other_questions_do_not_count(void **s)
{
    struct rig g;
    struct rig_sent ping;
    const char *other;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    other = strcmp(ping.to, "a") == 0 ? "b" : "a";
    rig_packet(&g, SWIM_ACK, ping.to, ping.seq + 1, NULL, 0);
    rig_packet(&g, SWIM_ACK, other, ping.seq, NULL, 0); /* it was not asked */
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, ping.to), SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).counters.late_acks, 1);
    rig_close(&g);
}

static void a_target_that_leaves_meanwhile_is_not_suspected(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    rig_hear(&g, ping.to, 1, SWIM_LEFT);
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, ping.to), SWIM_LEFT);
    rig_pass(&g, 12 * RIG_INTERVAL);
    rig_clear(&g);
    rig_pass(&g, 12 * RIG_INTERVAL);
    assert_null(rig_find(&g, SWIM_PING, ping.to));
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(in_a_round_each_other_is_pinged_once),
        unit(a_newcomer_disturbs_no_round),
        unit(rounds_differ_in_their_order),
        unit(a_probe_lasts_its_interval_whatever_comes_of_it),
        unit(an_answer_in_time_ends_the_matter),
        unit(at_the_timeout_k_others_are_asked_and_tcp_is_tried),
        unit(who_answers_nobody_is_suspect_and_told_so),
        unit(an_answer_that_a_relay_brings_counts),
        unit(an_answer_over_tcp_counts_and_is_counted),
        unit(answers_to_other_questions_do_not_count),
        unit(a_target_that_leaves_meanwhile_is_not_suspected),
    };

    return cmocka_run_group_tests_name("gossip/probe", tests, NULL, NULL);
}
