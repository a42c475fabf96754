/* Whole clusters under faults: pauses, partitions, restarts, copies. */
#include "tests/unit/gossip/unit.h"

#include <stdio.h>

#include "tests/unit/gossip/world.h"

static void await_whole(struct world *w, px_ns duration)
{
    assert_int_not_equal(world_run_until(w, duration, world_is_whole, NULL),
                         PX_NS_NEVER);
}

/* ---- Pauses ---- */

/* SIGSTOP of one for 10 s: it may be taken for dead; it takes nobody for it,
 * nor does it talk others into it. */
static void who_was_paused_accuses_nobody_to_death(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct world_options o =
            seed % 2 ? world_lan(5, seed) : world_wan(5, seed);
        const size_t paused = seed % 5;
        struct world w;

        world_open_whole(&w, &o);
        world_run(&w, seed * 131 * MS);
        world_pause(&w, paused, 10 * SECOND);
        world_run(&w, 100 * SECOND);
        assert_true(world_status(&w, paused).counters.pauses > 0);
        assert_int_equal(world_deaths_but(&w, paused), 0);
        await_whole(&w, 60 * SECOND);
        world_close(&w);
    }
}

/* Every node of a busy machine is stopped again and again, each for less than
 * it has time to refute. */
static void a_machine_that_stutters_kills_nobody(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct world_options o = world_lan(5, seed);
        struct world w;

        world_open_whole(&w, &o);
        for (unsigned i = 0; i < 100; i++) {
            world_pause(&w, px_rand_below(&w.rand, 5),
                        px_rand_below(&w.rand, 800) * MS);
            world_run(&w, px_rand_below(&w.rand, 1000) * MS);
        }
        assert_int_equal(w.counts.deaths, 0);
        await_whole(&w, 10 * SECOND);
        world_close(&w);
    }
}

/* What Lifeguard was measured by (its section V): the first @slow are stopped
 * for seconds, run for a moment, and are stopped again. @unit: an interval or so
 * of the timing. */
static void stop_again_and_again(struct world *w, size_t slow, px_ns unit,
                                 unsigned units)
{
    const px_ns end = w->now + units * unit;

    while (w->now < end) {
        for (size_t i = 0; i < slow; i++) {
            if (w->nodes[i].paused_until <= w->now)
                world_pause(w, i,
                            unit / 2 + px_rand_below(&w->rand, 32 * unit));
        }
        world_run(w, unit / 8 + px_rand_below(&w->rand, unit));
    }
}

/* They may be taken for dead. The others are not, by anybody: not even by them,
 * who hear nothing for seconds, and then everything at once. */
static void a_minority_that_stutters_takes_nobody_healthy_for_dead(void **s)
{
    uint64_t accused = 0;

    (void)s;
    for (uint64_t seed = 1; seed <= 9; seed++) {
        const bool is_large = seed == 9;
        const size_t nodes = is_large ? 40 : 5;
        const size_t slow = is_large ? 10 : 2;
        const bool is_lan = seed % 2 != 0;
        struct world_options o =
            is_lan ? world_lan(nodes, seed) : world_wan(nodes, seed);
        struct world w;

        o.unchecked = true; /* looking at each member each time is slow */
        world_open_whole(&w, &o);
        stop_again_and_again(&w, slow, is_lan ? SECOND : 10 * SECOND,
                             is_large ? 40 : 200);
        for (size_t i = 0; i < nodes; i++) {
            if (i < slow)
                accused += w.nodes[i].died;
            else
                assert_int_equal(w.nodes[i].died, 0);
        }
        await_whole(&w, 600 * SECOND); /* one may be stopped for half of it */
        world_close(&w);
    }
    assert_true(accused > 0); /* they were stopped for long enough */
}

/* ---- Going and coming ---- */

static void who_leaves_has_left_and_is_never_dead(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_lan(6, seed);
        struct world w;
        size_t leaver = seed % 6;

        world_open_whole(&w, &o);
        world_leave(&w, leaver);
        assert_int_not_equal(
            world_run_until(&w, SECOND, world_is_left, &leaver), PX_NS_NEVER);
        world_run(&w, SECOND);
        assert_true(w.nodes[leaver].is_left);
        world_kill(&w, leaver);
        world_run(&w, swim_detection_bound(&o.settings, 6, false));
        assert_true(world_is_left(&w, &leaver));
        assert_int_equal(w.counts.deaths, 0);
        /* It comes back as anybody would. */
        world_start(&w, leaver, (leaver + 1) % 6);
        await_whole(&w, 5 * SECOND);
        world_close(&w);
    }
}

static void who_comes_back_elsewhere_is_reached_there_within_seconds(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_lan(5, seed);
        const size_t mover = 1 + seed % 4;
        struct world w;

        world_open_whole(&w, &o);
        world_kill(&w, mover);
        world_run(&w, seed * 300 * MS); /* some have noticed, some not */
        world_move(&w, mover);
        world_start(&w, mover, 0);
        await_whole(&w, 2 * SECOND);
        world_close(&w);
    }
}

static void all_addresses_may_change_one_at_a_time(void **s)
{
    const struct world_options o = world_wan(5, 11);
    struct world w;

    (void)s;
    world_open_whole(&w, &o);
    for (size_t i = 0; i < 5; i++) {
        world_kill(&w, i);
        world_run(&w, SECOND);
        world_move(&w, i);
        world_start(&w, i, (i + 1) % 5);
        await_whole(&w, 20 * SECOND);
    }
    assert_int_equal(w.counts.deaths, 0);
    world_close(&w);
}

static bool says_learner(struct world *w, void *unused)
{
    struct swim_member_info m;

    (void)unused;
    for (size_t i = 0; i < w->options.nodes; i++) {
        if (!swim_find(w->nodes[i].swim, w->nodes[2].id, &m) ||
            m.role != SWIM_ROLE_LEARNER)
            return false;
    }
    return true;
}

static void what_a_member_says_of_itself_reaches_all(void **s)
{
    const struct world_options o = world_lan(30, 4);
    struct world w;
    struct swim_about about;

    (void)s;
    world_open_whole(&w, &o);
    about = w.nodes[2].about;
    about.role = SWIM_ROLE_LEARNER;
    world_say(&w, 2, &about);
    assert_int_not_equal(world_run_until(&w, SECOND, says_learner, NULL),
                         PX_NS_NEVER);
    world_close(&w);
}

/* ---- Partitions ---- */

static void split(struct world *w, size_t first_of_other_side)
{
    for (size_t i = 0; i < w->options.nodes; i++)
        w->nodes[i].side = i >= first_of_other_side;
}

static void the_halves_of_a_healed_partition_find_each_other(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct world_options o = world_lan(7, seed);
        struct world w;

        world_open_whole(&w, &o);
        split(&w, 3);
        world_run(&w, 60 * SECOND);
        assert_int_equal(world_state(&w, 0, 6), SWIM_DEAD);
        assert_int_equal(world_state(&w, 6, 0), SWIM_DEAD);
        assert_int_equal(world_state(&w, 6, 3), SWIM_ALIVE);
        split(&w, 7);
        await_whole(&w, 20 * SECOND);
        world_close(&w);
    }
}

/* Neither by what it believed while it was cut off, nor by saying so. */
static void who_was_cut_off_takes_nobody_with_it(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_lan(5, seed);
        uint64_t deaths[5] = {0};
        struct world w;

        world_open_whole(&w, &o);
        split(&w, 3); /* two are cut off */
        world_run(&w, 20 * SECOND + seed * 100 * MS);
        for (size_t i = 0; i < 3; i++) /* dead to those two, and no others */
            deaths[i] = w.nodes[i].died;
        split(&w, 5);
        world_run(&w, 60 * SECOND);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(w.nodes[i].died, deaths[i]);
        await_whole(&w, SECOND);
        world_close(&w);
    }
}

/* ---- Packets ---- */

static void copies_of_packets_change_nothing_and_are_counted(void **s)
{
    struct world_options o = world_lan(4, 8);
    struct world w;
    uint64_t replayed = 0;

    (void)s;
    o.double_ppm = 500000;
    world_open_whole(&w, &o);
    world_run(&w, 60 * SECOND);
    for (size_t i = 0; i < 4; i++)
        replayed += world_status(&w, i).counters.replayed;
    assert_true(replayed > w.counts.packets / 4);
    assert_int_equal(w.counts.suspicions, 0);
    world_close(&w);
}

/* A refutation needs no disk; only what was reserved runs out. The world checks
 * that nobody speaks in an incarnation that is not durable. */
static void a_slow_disk_delays_no_refutation(void **s)
{
    struct world_options o = world_lan(5, 2);
    struct world w;

    (void)s;
    o.disk = 30 * SECOND;
    world_open_whole(&w, &o);
    world_run(&w, 31 * SECOND); /* the first reserve is durable */
    for (unsigned i = 0; i < 10; i++) {
        world_pause(&w, 1, 900 * MS);
        world_run(&w, 3 * SECOND);
    }
    assert_true(world_status(&w, 1).counters.refutations > 0);
    assert_int_equal(w.counts.deaths, 0);
    world_close(&w);
}

/* ---- Everything at once ---- */

/* All have one seed, which has another: whoever is cut off can find the rest. */
static size_t seed_of(size_t node)
{
    return node == 0 ? 1 : 0;
}

static void disturb(struct world *w, size_t nodes)
{
    const size_t node = px_rand_below(&w->rand, nodes);

    switch (px_rand_below(&w->rand, 6)) {
    case 0:
        if (w->nodes[node].swim != NULL)
            world_kill(w, node);
        break;
    case 1:
        if (w->nodes[node].swim == NULL)
            world_start(w, node, seed_of(node));
        break;
    case 2:
        if (w->nodes[node].swim == NULL)
            world_move(w, node);
        break;
    case 3:
        world_pause(w, node, px_rand_below(&w->rand, 10) * SECOND);
        break;
    case 4:
        split(w, px_rand_below(&w->rand, nodes));
        break;
    case 5:
        split(w, nodes);
        break;
    }
}

/* Whatever has happened: once it is over, all agree on who is there. */
static void after_any_faults_all_agree_again(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world_options o = world_lan(3 + seed % 8, seed);
        struct world w;

        o.loss_ppm = 100000;
        o.double_ppm = 50000;
        o.delay_max = 60 * MS;
        world_open_whole(&w, &o);
        for (unsigned i = 0; i < 60; i++) {
            disturb(&w, o.nodes);
            world_run(&w, px_rand_below(&w.rand, 3000) * MS);
        }
        split(&w, o.nodes);
        w.options.loss_ppm = 0;
        for (size_t i = 0; i < o.nodes; i++) {
            if (w.nodes[i].swim == NULL)
                world_start(&w, i, seed_of(i));
        }
        if (world_run_until(&w, 120 * SECOND, world_is_whole, NULL) ==
            PX_NS_NEVER)
            fail_msg("seed %u", (unsigned)seed);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(who_was_paused_accuses_nobody_to_death),
        unit(a_machine_that_stutters_kills_nobody),
        unit(a_minority_that_stutters_takes_nobody_healthy_for_dead),
        unit(who_leaves_has_left_and_is_never_dead),
        unit(who_comes_back_elsewhere_is_reached_there_within_seconds),
        unit(all_addresses_may_change_one_at_a_time),
        unit(what_a_member_says_of_itself_reaches_all),
        unit(the_halves_of_a_healed_partition_find_each_other),
        unit(who_was_cut_off_takes_nobody_with_it),
        unit(copies_of_packets_change_nothing_and_are_counted),
        unit(a_slow_disk_delays_no_refutation),
        unit(after_any_faults_all_agree_again),
    };

    return cmocka_run_group_tests_name("gossip/faults", tests, NULL, NULL);
}
