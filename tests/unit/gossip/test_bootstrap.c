/* gossip/bootstrap.c: one table, one verdict; and nodes that found a cluster in a
 * played world. */
#include "tests/unit/gossip/unit.h"

#include <string.h>

#include "base/rand.h"
#include "gossip/bootstrap.h"
#include "tests/unit/gossip/world.h"

/* ---- One table ---- */

#define EXPECT 3u

static struct swim_member_info member(const char *id)
{
    return (struct swim_member_info){
        .id = id, .state = SWIM_ALIVE, .expect = EXPECT};
}

struct table {
    struct swim_member_info m[6];
    size_t count;
};

/* "b", which is us, "c", "a", of whom each has announced its view. */
static struct table three(void)
{
    struct table t = {.m = {member("b"), member("c"), member("a")}, .count = 3};
    struct swim_bootstrap b;

    t.m[0].is_self = true;
    swim_bootstrap(t.m, t.count, EXPECT, &b);
    assert_int_equal(b.verdict, SWIM_BOOTSTRAP_WAIT);
    assert_int_equal(b.reason, SWIM_WAITS_FOR_VIEWS);
    assert_true(b.view != 0);
    for (size_t i = 0; i < 3; i++)
        t.m[i].view = b.view;
    return t;
}

static struct swim_bootstrap verdict(const struct table *t, unsigned expect)
{
    struct swim_bootstrap b;

    swim_bootstrap(t->m, t->count, expect, &b);
    return b;
}

static void waits(const struct table *t, enum swim_bootstrap_reason reason)
{
    const struct swim_bootstrap b = verdict(t, t->m[0].expect);

    assert_int_equal(b.verdict, SWIM_BOOTSTRAP_WAIT);
    assert_int_equal(b.reason, reason);
}

static void when_all_see_each_other_they_form_of_the_same_voters(void **s)
{
    const struct table t = three();
    const struct swim_bootstrap b = verdict(&t, EXPECT);

    (void)s;
    assert_int_equal(b.verdict, SWIM_BOOTSTRAP_FORM);
    assert_int_equal(b.count, 3);
    assert_string_equal(b.ids[0], "a");
    assert_string_equal(b.ids[1], "b");
    assert_string_equal(b.ids[2], "c");
}

static void until_all_announce_the_same_nobody_forms(void **s)
{
    (void)s;
    for (size_t i = 0; i < 3; i++) {
        struct table t = three();

        t.m[i].view++;
        waits(&t, SWIM_WAITS_FOR_VIEWS);
        t.m[i].view = 0;
        waits(&t, SWIM_WAITS_FOR_VIEWS);
    }
}

/* The table of @self, who sees these three, itself among them. */
static struct table table_of(const char *const ids[3], const char *self)
{
    struct table t = {.count = 3};

    for (size_t i = 0; i < 3; i++) {
        t.m[i] = member(ids[i]);
        t.m[i].is_self = strcmp(ids[i], self) == 0;
    }
    return t;
}

/* In px_djb2 the last two names are one. Two of four candidates see one of them,
 * two the other: each would found what it sees. */
static void near_names_are_not_taken_for_each_other(void **s)
{
    static const char *const one[] = {"node-1x", "node-1y", "node-ar"};
    static const char *const other[] = {"node-1x", "node-1y", "node-c0"};
    struct table t = table_of(one, "node-1x");
    struct table u = table_of(other, "node-1y");

    (void)s;
    assert_true(px_djb2("node-ar", 7) == px_djb2("node-c0", 7));
    for (size_t i = 0; i < 3; i++) {
        t.m[i].view = verdict(&t, EXPECT).view;
        u.m[i].view = verdict(&u, EXPECT).view;
    }
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_FORM);
    t.m[1].view = u.m[1].view; /* as the two tell each other */
    waits(&t, SWIM_WAITS_FOR_VIEWS);
}

static void who_sees_too_few_or_too_many_waits(void **s)
{
    struct table t = three();

    (void)s;
    t.m[1].state = SWIM_DEAD;
    waits(&t, SWIM_WAITS_FOR_MORE);
    t.m[1].state = SWIM_LEFT;
    waits(&t, SWIM_WAITS_FOR_MORE);
    t.m[1].state = SWIM_SUSPECT; /* it may well be there */
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_FORM);
    t.m[t.count++] = member("d");
    waits(&t, SWIM_WAITS_FOR_FEWER);
}

static void who_only_joins_is_no_candidate(void **s)
{
    struct table t = three();

    (void)s;
    t.m[t.count] = member("d");
    t.m[t.count++].expect = 0;
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_FORM);
    t.m[0].expect = 0;
    waits(&t, SWIM_WAITS_FOR_CLUSTER);
}

static void a_cluster_that_exists_is_joined(void **s)
{
    struct table t = three();

    (void)s;
    t.m[t.count] = member("d");
    t.m[t.count].expect = 0;
    t.m[t.count++].cluster = 77;
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_JOIN);
    assert_int_equal(verdict(&t, EXPECT).cluster, 77);
    t.m[t.count] = t.m[3];
    t.m[t.count].id = "e";
    t.m[t.count++].cluster = 78;
    waits(&t, SWIM_WAITS_FOR_ONE);
}

static void no_cluster_is_founded_beside_one_that_is_down(void **s)
{
    struct table t = three();

    (void)s;
    t.m[t.count] = member("d");
    t.m[t.count].cluster = 77;
    t.m[t.count++].state = SWIM_DEAD;
    waits(&t, SWIM_WAITS_FOR_DEAD);
    t.m[3].state = SWIM_LEFT; /* its cluster was given up */
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_FORM);
}

static void who_is_later_than_the_others_forms_what_they_formed(void **s)
{
    struct table t = three();

    (void)s;
    t.m[1].cluster = t.m[2].cluster = 77;
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_FORM);
    assert_int_equal(verdict(&t, EXPECT).count, 3);
    /* But not when it was started anew since: it may have lost its disk. */
    t.m[0].view = 0;
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_JOIN);
}

/* "a" has founded on what we announced. In one look "c" is gone, and "d" is there:
 * they would make three with us, but there is a cluster already, and it is ours. */
static void who_has_founded_with_us_is_no_candidate_for_another_view(void **s)
{
    struct table t = three();

    (void)s;
    t.m[2].cluster = 77;
    t.m[1].state = SWIM_LEFT;
    t.m[t.count++] = member("d");
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_JOIN);
    assert_int_equal(verdict(&t, EXPECT).cluster, 77);
    assert_int_equal(verdict(&t, EXPECT).view, 0);
    t.count--; /* nor does it make it two of three */
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_JOIN);
}

/* It would replace what was promised to one who may have founded on it. */
static void beside_a_cluster_nothing_new_is_announced(void **s)
{
    struct table t = three();
    const uint64_t view = t.m[0].view;

    (void)s;
    t.m[1].cluster = 77;
    t.m[1].state = SWIM_DEAD;
    t.m[t.count++] = member("d");
    waits(&t, SWIM_WAITS_FOR_DEAD);
    assert_int_equal(verdict(&t, EXPECT).view, 0);
    t.m[1].state = SWIM_ALIVE; /* what was announced is still said */
    t.m[1].cluster = 0;
    t.m[3].cluster = 78;
    assert_int_equal(verdict(&t, EXPECT).verdict, SWIM_BOOTSTRAP_JOIN);
    assert_int_equal(verdict(&t, EXPECT).view, view);
}

static void all_have_to_expect_the_same(void **s)
{
    struct table t = three();

    (void)s;
    t.m[t.count] = member("d");
    t.m[t.count++].expect = 5;
    waits(&t, SWIM_WAITS_FOR_ACCORD);
}

static void a_node_that_waits_says_for_whom(void **s)
{
    struct table t = three();
    struct swim_bootstrap b;
    struct px_text text;
    char buffer[256];

    (void)s;
    t.m[1].state = SWIM_DEAD;
    b = verdict(&t, EXPECT);
    px_text_init(&text, buffer, sizeof buffer);
    swim_bootstrap_text(&b, &text);
    assert_string_equal(buffer,
                        "waiting for 1 more of BOOTSTRAP_EXPECT=3, here: a, b");
}

/* ---- Whole worlds ---- */

#define LOOK (10 * MS) /* as a node does when its table has changed */

static uint64_t cluster_of(const struct swim_bootstrap *b)
{
    uint64_t cluster = 1;

    for (size_t i = 0; i < b->count; i++)
        cluster = cluster * 31 + px_djb2(b->ids[i], strlen(b->ids[i]));
    return cluster;
}

/* What a node does with its verdict. */
static void look(struct world *w, size_t node)
{
    struct swim_member_info members[16];
    struct swim_about about = w->nodes[node].about;
    struct swim_bootstrap b;
    size_t count;

    if (w->nodes[node].swim == NULL || about.cluster != 0)
        return;
    count = swim_get_members(w->nodes[node].swim, members, 16);
    swim_bootstrap(members, count, about.expect, &b);
    about.view = b.view;
    if (b.verdict == SWIM_BOOTSTRAP_FORM)
        about.cluster = cluster_of(&b);
    if (b.verdict == SWIM_BOOTSTRAP_JOIN)
        about.cluster = b.cluster;
    if (memcmp(&about, &w->nodes[node].about, sizeof about) != 0)
        world_say(w, node, &about);
}

static bool are_all_of(const struct world *w, uint64_t cluster)
{
    for (size_t i = 0; i < w->options.nodes; i++) {
        if (w->nodes[i].about.cluster != cluster)
            return false;
    }
    return cluster != 0;
}

/* Until all are of one cluster; the time, or more than the limit. */
static px_ns found(struct world *w, px_ns limit)
{
    const px_ns begin = w->now;

    while (!are_all_of(w, w->nodes[0].about.cluster) &&
           w->now - begin <= limit) {
        for (size_t i = 0; i < w->options.nodes; i++)
            look(w, i);
        world_run(w, LOOK);
    }
    return w->now - begin;
}

static void expect_all(struct world *w, size_t expect)
{
    for (size_t i = 0; i < w->options.nodes; i++)
        w->nodes[i].about.expect = (uint8_t)expect;
}

/* Within ten election timeouts of a LAN, the last having been started. */
static void five_nodes_started_in_any_order_found_one_cluster(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world_options o = world_lan(5, seed);
        struct world w;

        o.loss_ppm = seed % 2 ? 50000 : 0;
        world_open(&w, &o);
        expect_all(&w, 5);
        for (size_t i = 0; i < 5; i++) {
            world_start(&w, (i * 3 + seed) % 5, 0);
            world_run(&w, px_rand_below(&w.rand, 500) * MS);
        }
        assert_true(found(&w, 2400 * MS) <= 2400 * MS);
        world_close(&w);
    }
}

static void a_node_that_comes_later_joins(void **s)
{
    const struct world_options o = world_lan(4, 3);
    struct world w;

    (void)s;
    world_open(&w, &o);
    expect_all(&w, 3);
    for (size_t i = 0; i < 3; i++)
        world_start(&w, i, 0);
    w.options.nodes = 3;
    assert_true(found(&w, 2400 * MS) <= 2400 * MS);
    w.options.nodes = 4;
    world_start(&w, 3, 0);
    assert_true(found(&w, 2400 * MS) <= 2400 * MS);
    world_close(&w);
}

/* Whatever is cut and heals, and whoever is started anew meanwhile. */
static void two_clusters_are_never_founded(void **s)
{
    unsigned founded = 0;

    (void)s;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world_options o = world_lan(5, seed);
        uint64_t cluster = 0;
        struct world w;

        o.loss_ppm = 200000;
        world_open(&w, &o);
        expect_all(&w, 5);
        world_start_all(&w);
        for (unsigned i = 0; i < 200; i++) {
            const size_t node = px_rand_below(&w.rand, 5);

            w.nodes[node].side = (int)px_rand_below(&w.rand, 2);
            if (i % 20 == 0 && w.nodes[node].about.cluster == 0) {
                world_kill(&w, node);
                w.nodes[node].about.view = 0;
                world_start(&w, node, node == 0);
            }
            for (size_t k = 0; k < 5; k++)
                look(&w, k);
            world_run(&w, px_rand_below(&w.rand, 50) * MS);
            for (size_t k = 0; k < 5; k++) {
                const uint64_t c = w.nodes[k].about.cluster;

                assert_true(c == 0 || cluster == 0 || c == cluster);
                cluster = c != 0 ? c : cluster;
            }
        }
        founded += cluster != 0;
        world_close(&w);
    }
    assert_in_range(founded, 10, 100); /* or nothing was proved */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(when_all_see_each_other_they_form_of_the_same_voters),
        unit(until_all_announce_the_same_nobody_forms),
        unit(near_names_are_not_taken_for_each_other),
        unit(who_sees_too_few_or_too_many_waits),
        unit(who_only_joins_is_no_candidate),
        unit(a_cluster_that_exists_is_joined),
        unit(no_cluster_is_founded_beside_one_that_is_down),
        unit(who_is_later_than_the_others_forms_what_they_formed),
        unit(who_has_founded_with_us_is_no_candidate_for_another_view),
        unit(beside_a_cluster_nothing_new_is_announced),
        unit(all_have_to_expect_the_same),
        unit(a_node_that_waits_says_for_whom),
        unit(five_nodes_started_in_any_order_found_one_cluster),
        unit(a_node_that_comes_later_joins),
        unit(two_clusters_are_never_founded),
    };

    return cmocka_run_group_tests_name("gossip/bootstrap", tests, NULL, NULL);
}
