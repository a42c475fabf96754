/* The inside of the faults, for faults*.c alone. */
#ifndef TESTS_SIM_FAULTS_CORE_H
#define TESTS_SIM_FAULTS_CORE_H

#include "tests/sim/faults.h"
#include "tests/sim/server.h"

static inline struct server *faults_any_server(struct world *w)
{
    struct server *s;

    do /* some are there, always */
        s = w->servers[world_draw(w, 0, w->server_count)];
    while (s->is_gone);
    return s;
}

/* A while: from a blink to a few elections. */
static inline px_ns faults_a_while(struct world *w)
{
    static const unsigned tenths[] = {1, 5, 10, 20, 60};
    size_t at = (size_t)world_draw(w, 0, sizeof tenths / sizeof tenths[0]);

    return world_draw(w, 1, tenths[at] * w->election / 10);
}

/* Has everything healed? */
bool faults_are_calm(const struct world *w);

/* ---- faults_flush.c ---- */

/* Some server's last flush of its log was none. */
void faults_lose_flush(struct world *w);

/* ---- faults_net.c ---- */

enum faults_shape {
    FAULTS_ISOLATION, /* one server alone */
    FAULTS_PARTITION, /* two parts */
    FAULTS_ONE_WAY,
    FAULTS_BRIDGE, /* two halves that one server belongs to both of */
};

/* For a while, with what is cut already or instead of it. */
void faults_cut(struct world *w, enum faults_shape shape);
void faults_slow_link(struct world *w);
/* Other odds for each message of raft. */
void faults_roughen(struct world *w);
void faults_heal_cuts(struct world *w);
void faults_heal_network(struct world *w);

#endif
