/* A flush of the log that lied, on a disk where bits flip, and so in a minority:
 * what was acknowledged may be gone after a crash of the machine, without a
 * trace. What is promised then, and what is left out, is in check_loss.c.
 *
 * Most such losses are made good before anybody could be harmed: others hold the
 * same, and the leader sends it again in a moment. So it is done in a corner
 * often:
 *
 *   the leader and this one commit apart from others, who lack it then
 *     ─▶ it crashes, and has lost it ─▶ it starts, soon, and notices
 *     ─▶ it crashes again, before it has been given it again; and those who
 *        hold it end, or are cut off from those who don't, and from it */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/check.h"
#include "tests/sim/faults_core.h"

struct flush_event {
    struct event event;
    struct server *server;
    bool is_second;      /* it has noticed, and ends again */
    struct raft_pos pos; /* what it lacks, then */
};

/* Ends, and starts again before anybody has lost patience. */
static void end_shortly(struct world *w, struct server *s, enum server_end how)
{
    if (!server_is_up(s))
        return;
    server_end(s, how);
    server_start_later(s, world_draw(w, PX_NS_PER_MS, w->election / 3));
}

static bool may_lose(const struct world *w, const struct server *s)
{
    return w->is_flaky[s->number] && server_is_up(s) && !s->has_home_flip &&
           !check_has_unseen_loss(s);
}

/* Until those who are left can have elected one of them. */
static void end_for_long(struct world *w, struct server *s)
{
    if (!server_is_up(s))
        return;
    server_end(s, SERVER_PROCESS_CRASHED);
    server_start_later(s, 4 * w->election + faults_a_while(w));
}

/* Who holds what it has lost ends, or is cut off from all others, and it. */
static void strike_again(struct world *w, struct server *s, struct raft_pos pos)
{
    bool side[SERVERS_MAX] = {false};
    bool are_cut = world_chance(w, 30);

    for (size_t i = 0; i < w->server_count; i++) {
        side[i] = i != s->number && check_holds(w->servers[i], pos);
        if (side[i] && !are_cut)
            end_for_long(w, w->servers[i]);
    }
    if (are_cut)
        faults_cut_off(w, side);
    else
        faults_heal_cuts(w);
    end_shortly(w, s,
                world_chance(w, 50) ? SERVER_PROCESS_CRASHED
                                    : SERVER_MACHINE_CRASHED);
}

static void run_end(struct world *w, struct event *e)
{
    struct flush_event f = *(const struct flush_event *)e;
    struct server *s = f.server;

    free(e);
    if (faults_are_calm(w) || !server_is_up(s))
        return;
    if (f.is_second) {
        w->counts[COUNT_LOSSES_STRUCK]++;
        strike_again(w, s, f.pos);
    } else if (may_lose(w, s)) {
        s->loses_flush = true;
        end_shortly(w, s, SERVER_MACHINE_CRASHED);
    }
}

static struct flush_event *end_later(struct server *s, px_ns delay)
{
    struct flush_event *f = event_new(sizeof *f);

    f->event.run = run_end;
    f->event.drop = event_drop;
    f->server = s;
    world_plan(s->world, &f->event, NULL, s->world->now + delay);
    return f;
}

/* NULL: nobody does. */
static const struct server *leader(const struct world *w)
{
    const struct server *found = NULL;
    struct raft_status status;
    raft_term term = 0;

    for (size_t i = 0; i < w->server_count; i++) {
        if (!server_is_up(w->servers[i]))
            continue;
        replica_get_status(w->servers[i]->replica, &status);
        if (status.role != RAFT_LEADER || status.term < term)
            continue;
        found = w->servers[i];
        term = status.term;
    }
    return found;
}

/* @s and who leads, with as few others as it takes to commit. */
static bool choose_side(struct world *w, const struct server *s,
                        bool side[SERVERS_MAX])
{
    const struct server *l = leader(w);

    if (l == NULL || l == s)
        return false;
    side[l->number] = side[s->number] = true;
    for (size_t tries = 8 * w->server_count;
         tries > 0 && !check_have_majorities(w, side); tries--)
        side[faults_any_server(w)->number] = true;
    return true;
}

void faults_lose_flush(struct world *w)
{
    struct server *s = faults_any_server(w);
    bool side[SERVERS_MAX] = {false};

    for (size_t tries = 2 * w->server_count; tries > 0 && !may_lose(w, s);
         tries--)
        s = faults_any_server(w);
    if (!may_lose(w, s))
        return;
    if (world_chance(w, 60) && choose_side(w, s, side)) {
        faults_cut_off(w, side);
        (void)end_later(s, world_draw(w, PX_NS_PER_MS, w->election / 2));
        return;
    }
    s->loses_flush = true;
    faults_end(w, s, SERVER_MACHINE_CRASHED);
}

void faults_on_noticed(struct server *s, struct raft_pos pos)
{
    struct world *w = s->world;
    px_ns limit = world_chance(w, 50) ? 50 * PX_NS_PER_US : PX_NS_PER_MS;
    struct flush_event *f;

    if (faults_are_calm(w) || world_chance(w, 30))
        return;
    f = end_later(s, world_draw(w, 0, limit));
    f->is_second = true;
    f->pos = pos;
}
