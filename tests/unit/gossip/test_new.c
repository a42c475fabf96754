/* gossip/new.c: options, and the settings that follow from a tick. */
#include "tests/unit/gossip/unit.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/gossip/rig.h"

static void refuses(const struct swim_options *o)
{
    struct swim *swim = NULL;

    assert_int_equal(swim_new(o, &swim), -EINVAL);
    assert_null(swim);
}

static void options_that_contradict_themselves_are_refused(void **s)
{
    struct swim_options o;
    char text[PX_NODE_ID_BYTES_MAX + 2];

    (void)s;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    o = rig_options(), o.id = "", refuses(&o);
    o = rig_options(), o.id = text, refuses(&o);
    o = rig_options(), o.id = "a b", refuses(&o);
    o = rig_options(), o.label = "", refuses(&o);
    o = rig_options(), o.about.gossip.port = 0, refuses(&o);
    o = rig_options(), strcpy(o.about.zone, "a b"), refuses(&o);
    o = rig_options(), o.incarnation = 0, refuses(&o);
    o = rig_options(), o.incarnation = SWIM_INCARNATION_MAX, refuses(&o);
    o = rig_options(), o.settings.probe_timeout = 0, refuses(&o);
    o = rig_options(), o.settings.probe_interval -= 1, refuses(&o);
    o = rig_options(), o.settings.relays = SWIM_RELAYS_ASKED_MAX + 1,
    refuses(&o);
    o = rig_options(), o.settings.gossip_fanout = 0, refuses(&o);
    o = rig_options(), o.settings.spread_mult = SWIM_MULT_MAX + 1, refuses(&o);
    o = rig_options(), o.settings.confirmations = 4, refuses(&o);
    o = rig_options(), o.settings.forget = 0, refuses(&o);
}

/* As the table in swim.h has it. */
static void the_settings_follow_from_the_tick(void **s)
{
    const struct swim_settings lan = swim_settings_of_tick(20 * MS);
    const struct swim_settings wan = swim_settings_of_tick(200 * MS);

    (void)s;
    assert_int_equal(lan.probe_timeout, 100 * MS);
    assert_int_equal(lan.probe_interval, 300 * MS);
    assert_int_equal(lan.gossip_interval, 60 * MS);
    assert_int_equal(lan.sync_interval, 3000 * MS);
    assert_int_equal(lan.seed_interval, 100 * MS);
    assert_int_equal(swim_suspicion_min(&lan, 5), 1500 * MS);
    assert_int_equal(wan.probe_timeout, 1000 * MS);
    assert_int_equal(wan.probe_interval, 3000 * MS);
    assert_int_equal(swim_suspicion_min(&wan, 5), 15000 * MS);
    assert_int_equal(wan.suspicion_max_mult, 6);
}

static void any_tick_gives_settings_that_are_sound(void **s)
{
    static const px_ns ticks[] = {0, 1, MS, 20 * MS, 10000 * MS, PX_NS_NEVER};

    (void)s;
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        struct swim_options o = rig_options();
        struct swim *swim;

        o.settings = swim_settings_of_tick(ticks[i]);
        assert_int_equal(swim_new(&o, &swim), 0);
        swim_free(swim);
    }
}

/* (2 x 4 + 1) intervals, 4 rounds of news, suspicion: by hand. */
static void the_bound_is_what_the_settings_promise(void **s)
{
    const struct swim_settings lan = swim_settings_of_tick(20 * MS);

    (void)s;
    assert_int_equal(swim_detection_bound(&lan, 5, true),
                     9 * 300 * MS + 240 * MS + 1500 * MS);
    assert_int_equal(swim_detection_bound(&lan, 5, false),
                     9 * 300 * MS + 240 * MS + 9000 * MS);
    /* 20 intervals are enough for any number. */
    assert_int_equal(swim_detection_bound(&lan, 1000, true),
                     21 * 300 * MS + 3 * 240 * MS + 3 * 1500 * MS);
}

static void a_new_member_knows_itself_and_says_who_it_is(void **s)
{
    struct swim_member_info m[2];
    struct rig g;

    (void)s;
    rig_open(&g);
    assert_int_equal(swim_get_members(g.swim, m, 2), 1);
    assert_string_equal(m[0].id, "me");
    assert_true(m[0].is_self);
    assert_int_equal(m[0].state, SWIM_ALIVE);
    assert_int_equal(m[0].incarnation, RIG_INCARNATION);
    assert_string_equal(m[0].peer, "host:9000");
    rig_hear(&g, "a", 1, SWIM_ALIVE);
    assert_int_equal(swim_get_members(g.swim, m, 1), 2);
    assert_false(swim_find(g.swim, "x", m));
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(options_that_contradict_themselves_are_refused),
        unit(the_settings_follow_from_the_tick),
        unit(any_tick_gives_settings_that_are_sound),
        unit(the_bound_is_what_the_settings_promise),
        unit(a_new_member_knows_itself_and_says_who_it_is),
    };

    return cmocka_run_group_tests_name("gossip/new", tests, NULL, NULL);
}
