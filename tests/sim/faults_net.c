/* What goes wrong with the network. Numbers are drawn one to a statement, here
 * and everywhere: compilers differ in the order in which they call what stands
 * in one. */
#include <stdlib.h>

#include "tests/sim/faults_core.h"
#include "tests/sim/wire.h"

void faults_heal_cuts(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < w->server_count; k++)
            wire_cut(w, i, k, false);
    }
}

static void run_heal_cuts(struct world *w, struct event *e)
{
    free(e);
    faults_heal_cuts(w);
}

static void heal_cuts_later(struct world *w)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_heal_cuts;
    e->drop = event_drop;
    world_plan(w, e, NULL, w->now + faults_a_while(w) + w->election);
}

static void cut_both(struct world *w, size_t a, size_t b)
{
    wire_cut(w, a, b, true);
    wire_cut(w, b, a, true);
}

static void isolate(struct world *w, const struct server *s)
{
    w->counts[COUNT_ISOLATIONS]++;
    for (size_t i = 0; i < w->server_count; i++)
        cut_both(w, s->number, i);
}

static void cut_sides(struct world *w, const bool side[])
{
    w->counts[COUNT_PARTITIONS]++;
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (side[i] != side[k])
                cut_both(w, i, k);
        }
    }
}

static void partition(struct world *w)
{
    bool side[SERVERS_MAX];

    for (size_t i = 0; i < w->server_count; i++)
        side[i] = world_chance(w, 50);
    cut_sides(w, side);
}

void faults_cut_off(struct world *w, const bool side[])
{
    faults_heal_cuts(w);
    cut_sides(w, side);
    heal_cuts_later(w);
}

/* Two halves that reach each other through one server alone. */
static void bridge(struct world *w, const struct server *middle)
{
    w->counts[COUNT_BRIDGES]++;
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (i != middle->number && k != middle->number && (i + k) % 2 == 1)
                cut_both(w, i, k);
        }
    }
}

static void one_way(struct world *w)
{
    size_t a = faults_any_server(w)->number;
    size_t b = faults_any_server(w)->number;

    w->counts[COUNT_ONE_WAY]++;
    wire_cut(w, a, b, true);
    if (world_chance(w, 50)) {
        size_t from = faults_any_server(w)->number;
        bool is_out = world_chance(w, 50);

        for (size_t i = 0; i < w->server_count; i++)
            wire_cut(w, is_out ? from : i, is_out ? i : from, true);
    }
}

void faults_slow_link(struct world *w)
{
    size_t from = faults_any_server(w)->number;
    size_t to = faults_any_server(w)->number;
    px_ns until = w->now + faults_a_while(w);

    w->counts[COUNT_LINK_SLOW]++;
    wire_slow(w, from, to, until, world_draw(w, 0, 2 * w->election));
}

void faults_roughen(struct world *w)
{
    static const unsigned percents[] = {0, 0, 1, 5, 20};
    const size_t n = sizeof percents / sizeof percents[0];
    struct wire_roughness rough;

    rough.lose = percents[world_draw(w, 0, n)];
    rough.copy = percents[world_draw(w, 0, n)];
    rough.reorder = percents[world_draw(w, 0, n)];
    wire_set_roughness(w, rough);
}

void faults_cut(struct world *w, enum faults_shape shape)
{
    if (world_chance(w, 70))
        faults_heal_cuts(w); /* shapes that lie over each other are rarer */
    switch (shape) {
    case FAULTS_ISOLATION:
        isolate(w, faults_any_server(w));
        break;
    case FAULTS_PARTITION:
        partition(w);
        break;
    case FAULTS_ONE_WAY:
        one_way(w);
        break;
    case FAULTS_BRIDGE:
        bridge(w, faults_any_server(w));
        break;
    }
    heal_cuts_later(w);
}

void faults_heal_network(struct world *w)
{
    faults_heal_cuts(w);
    wire_set_roughness(w, (struct wire_roughness){0});
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < w->server_count; k++)
            wire_slow(w, i, k, 0, 0);
    }
}
