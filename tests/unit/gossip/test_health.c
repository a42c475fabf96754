/* gossip/health.c: what worsens our own health, and what it does; pauses.
 * Lifeguard IV.A. */
#include "tests/unit/gossip/unit.h"

#include <string.h>

#include "tests/unit/gossip/rig.h"

static void a_failed_probe_costs_as_much_as_relays_were_silent(void **s)
{
    (void)s;
    for (unsigned nacks = 0; nacks <= 3; nacks++) {
        struct rig g;
        struct rig_sent ping;
        unsigned said = 0;

        rig_open_among(&g, 6);
        ping = rig_await_ping(&g);
        rig_pass(&g, RIG_TIMEOUT);
        for (size_t i = 1; i < g.sent_count; i++) {
            if (g.sent[i].type == SWIM_PING_REQ && said < nacks) {
                rig_packet(&g, SWIM_NACK, g.sent[i].to, ping.seq, NULL, 0);
                said++;
            }
        }
        rig_pass(&g, RIG_INTERVAL - RIG_TIMEOUT);
        assert_int_equal(rig_state(&g, ping.to), SWIM_SUSPECT);
        assert_int_equal(rig_status(&g).health, 3 - nacks);
        rig_close(&g);
    }
}

static void where_nobody_could_be_asked_a_failed_probe_costs_one(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 1);
    (void)rig_await_ping(&g);
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, "a"), SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).health, 1);
    rig_close(&g);
}

static void each_refutation_costs_one_and_each_answer_mends_one(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    rig_hear(&g, "me", RIG_INCARNATION, SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).health, 1);
    rig_hear(&g, "me", RIG_INCARNATION + 1, SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).health, 2);
    rig_pass_answering(&g, RIG_INTERVAL, NULL);
    assert_int_equal(rig_status(&g).health, 1);
    rig_pass_answering(&g, 5 * RIG_INTERVAL, NULL);
    assert_int_equal(rig_status(&g).health, 0);
    rig_close(&g);
}

static void health_has_a_worst(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 3);
    for (unsigned i = 0; i < 20; i++)
        rig_hear(&g, "me", RIG_INCARNATION + i, SWIM_SUSPECT);
    assert_int_equal(rig_status(&g).health, 8);
    rig_close(&g);
}

static void ill_health_stretches_timeout_and_interval(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 6);
    rig_pass_answering(&g, RIG_INTERVAL, NULL);
    g.swim->health = 2;
    ping = rig_await_ping(&g);
    assert_int_equal(rig_status(&g).health, 2);
    rig_pass(&g, 3 * RIG_TIMEOUT - 1);
    assert_int_equal(rig_count(&g, SWIM_PING_REQ), 0);
    rig_pass(&g, 1);
    assert_int_equal(rig_count(&g, SWIM_PING_REQ), 3);
    rig_pass(&g, 3 * (RIG_INTERVAL - RIG_TIMEOUT) - 1);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    rig_pass(&g, 1);
    assert_int_equal(rig_state(&g, ping.to), SWIM_SUSPECT);
    rig_close(&g);
}

/* ---- Pauses ---- */

/* The answer lies in the socket, and is read after the timer. */
static void time_in_which_we_were_not_run_fails_no_probe(void **s)
{
    struct rig g;
    struct rig_sent ping;

    (void)s;
    rig_open_among(&g, 6);
    ping = rig_await_ping(&g);
    g.now += 10000 * MS;
    rig_tick(&g);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    assert_int_equal(rig_status(&g).counters.pauses, 1);
    assert_int_equal(rig_status(&g).health, 1);
    assert_int_equal(rig_count(&g, SWIM_PING_REQ), 0);
    rig_packet(&g, SWIM_ACK, ping.to, ping.seq, NULL, 0);
    rig_pass(&g, RIG_INTERVAL);
    assert_int_equal(rig_state(&g, ping.to), SWIM_ALIVE);
    rig_close(&g);
}

/* However little was left of it. */
static void time_in_which_we_were_not_run_ends_no_suspicion(void **s)
{
    (void)s;
    for (px_ns left = 1; left <= 1500 * MS; left *= 10) {
        struct rig g;

        rig_open_among(&g, 5);
        rig_hear(&g, "b", 1, SWIM_DEAD); /* 1.5 s, then */
        rig_pass_answering(&g, 1500 * MS - left, NULL);
        g.now += 10000 * MS;
        rig_tick(&g);
        assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
        rig_pass_answering(&g, RIG_TIMEOUT - 1, NULL); /* the socket is read */
        assert_int_equal(rig_state(&g, "b"), SWIM_SUSPECT);
        rig_hear(&g, "b", 2, SWIM_ALIVE); /* its refutation was in it */
        assert_int_equal(rig_state(&g, "b"), SWIM_ALIVE);
        rig_close(&g);
    }
}

/* But it does not live for ever. */
static void after_a_pause_a_suspicion_goes_on(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    rig_hear(&g, "b", 1, SWIM_DEAD);
    rig_pass_answering(&g, 1000 * MS, NULL);
    g.now += 10000 * MS;
    rig_pass_answering(&g, 1500 * MS + RIG_TIMEOUT, NULL);
    assert_int_equal(rig_state(&g, "b"), SWIM_DEAD);
    rig_close(&g);
}

static void being_a_little_late_is_no_pause(void **s)
{
    struct rig g;

    (void)s;
    rig_open_among(&g, 5);
    for (unsigned i = 0; i < 50; i++) {
        g.now = g.out.deadline + RIG_TIMEOUT;
        rig_tick(&g);
    }
    assert_int_equal(rig_status(&g).counters.pauses, 0);
    g.now = g.out.deadline + RIG_TIMEOUT + 1;
    rig_tick(&g);
    assert_int_equal(rig_status(&g).counters.pauses, 1);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_failed_probe_costs_as_much_as_relays_were_silent),
        unit(where_nobody_could_be_asked_a_failed_probe_costs_one),
        unit(each_refutation_costs_one_and_each_answer_mends_one),
        unit(health_has_a_worst),
        unit(ill_health_stretches_timeout_and_interval),
        unit(time_in_which_we_were_not_run_fails_no_probe),
        unit(time_in_which_we_were_not_run_ends_no_suspicion),
        unit(after_a_pause_a_suspicion_goes_on),
        unit(being_a_little_late_is_no_pause),
    };

    return cmocka_run_group_tests_name("gossip/health", tests, NULL, NULL);
}
