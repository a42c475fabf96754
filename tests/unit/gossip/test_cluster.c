/* Whole clusters: the properties that the papers promise, in a played world. */
#include "tests/unit/gossip/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/gossip/world.h"

/* ---- Finding each other ---- */

static void nodes_started_in_any_order_find_each_other_by_one_seed(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_lan(5, seed);
        struct world w;

        world_open(&w, &o);
        for (size_t i = 0; i < 5; i++) {
            world_start(&w, (i * 2 + seed) % 5, 0);
            world_run(&w, seed * 7 * MS);
        }
        /* Ten of the shortest election timeouts that a LAN runs with. */
        assert_int_not_equal(
            world_run_until(&w, 2400 * MS, world_is_whole, NULL), PX_NS_NEVER);
        world_close(&w);
    }
}

static void two_clusters_with_a_seed_in_common_become_one(void **s)
{
    const struct world_options o = world_lan(6, 3);
    struct world w;

    (void)s;
    world_open(&w, &o);
    for (size_t i = 0; i < 6; i++)
        w.nodes[i].side = i % 2;
    for (size_t i = 0; i < 6; i++)
        world_start(&w, i, i % 2); /* seeds 0 and 1 */
    world_run(&w, 20 * SECOND);
    assert_int_equal(world_status(&w, 0).members, 3);
    assert_int_equal(world_status(&w, 1).members, 3);
    /* A seventh would do; here one of the even begins anew, with an odd seed,
     * and its own seed is another's. */
    world_kill(&w, 4);
    world_start(&w, 4, 1);
    for (size_t i = 0; i < 6; i++)
        w.nodes[i].side = 0;
    assert_int_not_equal(world_run_until(&w, 60 * SECOND, world_is_whole, NULL),
                         PX_NS_NEVER);
    world_close(&w);
}

/* ---- Detection ---- */

/* SWIM 4.3, and what swim_detection_bound promises. */
static void a_killed_member_is_dead_to_all_within_the_bound(void **s)
{
    static const size_t sizes[] = {2, 3, 5, 8, 20, 50};

    (void)s;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            const struct world_options o = world_lan(sizes[i], seed);
            struct world w;
            size_t victim = seed % sizes[i];

            world_open_whole(&w, &o);
            world_run(&w, seed * 97 * MS);
            world_kill(&w, victim);
            assert_int_not_equal(
                world_run_until(
                    &w, swim_detection_bound(&o.settings, sizes[i], false),
                    world_is_dead, &victim),
                PX_NS_NEVER);
            assert_int_equal(w.counts.deaths, sizes[i] - 1);
            world_close(&w);
        }
    }
}

/* LHA-Suspicion: with others to confirm it, it takes the shortest time. */
static void where_others_confirm_the_short_bound_holds(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_lan(8, seed);
        struct world w;
        size_t victim = seed % 8;

        world_open_whole(&w, &o);
        world_run(&w, seed * 97 * MS);
        world_kill(&w, victim);
        assert_int_not_equal(
            world_run_until(&w, swim_detection_bound(&o.settings, 8, true),
                            world_is_dead, &victim),
            PX_NS_NEVER);
        world_close(&w);
    }
}

static void a_killed_member_is_found_across_a_lossy_wan_too(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        const struct world_options o = world_wan(5, seed);
        struct world w;
        size_t victim = seed % 5;

        world_open_whole(&w, &o);
        world_run(&w, seed * 970 * MS);
        world_kill(&w, victim);
        assert_int_not_equal(
            world_run_until(&w, swim_detection_bound(&o.settings, 5, false),
                            world_is_dead, &victim),
            PX_NS_NEVER);
        world_close(&w);
    }
}

static void several_killed_at_once_are_all_found(void **s)
{
    const struct world_options o = world_lan(9, 5);
    struct world w;
    px_ns bound = swim_detection_bound(&o.settings, 9, false);

    (void)s;
    world_open_whole(&w, &o);
    for (size_t i = 0; i < 4; i++)
        world_kill(&w, i);
    world_run(&w, bound);
    for (size_t i = 0; i < 4; i++)
        assert_true(world_is_dead(&w, &i));
    for (size_t i = 4; i < 9; i++)
        assert_int_equal(world_status(&w, i).living, 5);
    world_close(&w);
}

/* ---- No false death ---- */

/* An hour of 5 % loss and 300 ms round trips. */
static void nobody_dies_of_loss_on_a_slow_network(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const struct world_options o = world_wan(5, seed);
        struct world w;

        world_open_whole(&w, &o);
        world_run(&w, 3600 * SECOND);
        assert_int_equal(w.counts.deaths, 0);
        assert_true(world_is_whole(&w, NULL) || w.counts.suspicions > 0);
        world_close(&w);
    }
}

static void nobody_dies_of_loss_in_a_large_cluster(void **s)
{
    struct world_options o = world_wan(40, 7);
    struct world w;

    (void)s;
    o.loss_ppm = 100000; /* twice that */
    o.double_ppm = 50000;
    world_open_whole(&w, &o);
    world_run(&w, 600 * SECOND);
    assert_int_equal(w.counts.deaths, 0);
    world_close(&w);
}

/* ---- Load ---- */

static uint64_t sent_by(const struct world *w, size_t node)
{
    return world_status(w, node).counters.packets_out;
}

/* While nothing happens in a cluster of @size: on average a ping and an answer
 * in each interval, with a margin for push-pull; of nobody more than 2.75. */
static void is_load_bounded(size_t size)
{
    const size_t intervals = 40;
    struct world_options o = world_lan(size, 9);
    uint64_t *before = calloc(size, sizeof *before);
    struct world w;

    assert_non_null(before);
    o.unchecked = true; /* looking at each member each time is slow */
    world_open(&w, &o);
    world_start_known(&w);
    /* Until the news of the start has been told. */
    world_run(&w, 100 * o.settings.probe_interval);
    for (size_t i = 0; i < size; i++)
        before[i] = sent_by(&w, i);
    w.counts = (struct world_counts){0};
    world_run(&w, intervals * o.settings.probe_interval);
    assert_true(w.counts.packets >= 2 * intervals * size * 9 / 10);
    assert_true(w.counts.packets <= 3 * intervals * size);
    for (size_t i = 0; i < size; i++)
        assert_true(4 * (sent_by(&w, i) - before[i]) <= 11 * intervals);
    assert_int_equal(w.counts.suspicions, 0);
    world_close(&w);
    free(before);
}

/* SWIM 5.1: what a member sends in an interval is the same in clusters of any
 * size. bench/gossip_load.c goes to 1,000, in minutes. */
static void the_load_of_a_member_does_not_grow_with_their_number(void **s)
{
    (void)s;
    is_load_bounded(5);
    is_load_bounded(20);
    is_load_bounded(80);
    is_load_bounded(200);
}

static uint64_t sum_of_a_run(uint64_t seed)
{
    struct world_options o = world_wan(7, seed);
    struct world w;
    uint64_t sum;

    world_open_whole(&w, &o);
    world_kill(&w, 3);
    world_run(&w, 100 * SECOND);
    sum = w.counts.sum;
    world_close(&w);
    return sum;
}

static void the_same_seed_sends_the_same_packets(void **s)
{
    (void)s;
    assert_true(sum_of_a_run(1) == sum_of_a_run(1));
    assert_true(sum_of_a_run(1) != sum_of_a_run(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(nodes_started_in_any_order_find_each_other_by_one_seed),
        unit(two_clusters_with_a_seed_in_common_become_one),
        unit(a_killed_member_is_dead_to_all_within_the_bound),
        unit(where_others_confirm_the_short_bound_holds),
        unit(a_killed_member_is_found_across_a_lossy_wan_too),
        unit(several_killed_at_once_are_all_found),
        unit(nobody_dies_of_loss_on_a_slow_network),
        unit(nobody_dies_of_loss_in_a_large_cluster),
        unit(the_load_of_a_member_does_not_grow_with_their_number),
        unit(the_same_seed_sends_the_same_packets),
    };
    return cmocka_run_group_tests_name("gossip/cluster", tests, NULL, NULL);
}
