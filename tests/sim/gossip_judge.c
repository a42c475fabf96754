/* What must be true of gossip, at each step and when all has healed. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/gossip_core.h"

/* ---- Each step ---- */

static const struct server *named(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->server_count; i++) {
        if (strcmp(w->servers[i]->name, name) == 0)
            return w->servers[i];
    }
    world_fail(w, "gossip has brought a member %s, which there is not", name);
}

static void on_dead(const struct server *s, const struct server *other)
{
    struct world *w = s->world;

    w->counts[COUNT_GOSSIP_DEATHS]++;
    w->counts[COUNT_GOSSIP_FALSE_DEATHS] += server_is_up(other);
    if (w->gossip->is_calm && server_is_up(other))
        world_fail(w, "%s holds %s for dead, which lives, while all is well",
                   s->name, other->name);
}

static void on_event(const struct server *s, const struct swim_event *e)
{
    const struct server *other = named(s->world, e->member.id);

    world_trace(s->world, s, "gossip: %s %s, incarnation %" PRIu64,
                swim_event_text(e->type), e->member.id, e->member.incarnation);
    if (e->type == SWIM_EVENT_DEAD)
        on_dead(s, other);
    s->world->counts[COUNT_GOSSIP_LEFT] += e->type == SWIM_EVENT_LEFT;
    s->world->counts[COUNT_GOSSIP_SUSPECTS] += e->type == SWIM_EVENT_SUSPECT;
}

/* A word that its next life could contradict: what others hold of it then would
 * never be put right. */
static void check_incarnation(struct server *s)
{
    struct gossip_node *n = gossip_node(s);
    struct swim_status status;

    swim_get_status(n->swim, &status);
    if (status.incarnation > n->durable)
        world_fail(s->world,
                   "%s speaks in incarnation %" PRIu64
                   " of gossip, and %" PRIu64 " is durable",
                   s->name, status.incarnation, n->durable);
    if (status.incarnation > n->used)
        n->used = status.incarnation;
}

void gossip_judge(struct server *s, const struct swim_out *out)
{
    check_incarnation(s);
    for (size_t i = 0; i < out->event_count; i++)
        on_event(s, &out->events[i]);
}

void gossip_count(struct server *s)
{
    struct swim_status status;
    uint64_t *counts = s->world->counts;

    swim_get_status(gossip_node(s)->swim, &status);
    counts[COUNT_GOSSIP_REFUTATIONS] += status.counters.refutations;
    counts[COUNT_GOSSIP_MISDIRECTED] += status.counters.misdirected;
    counts[COUNT_GOSSIP_PAUSES] += status.counters.pauses;
}

/* ---- At the end ---- */

/* From when nothing goes wrong any more: who was slow or cut off trusts itself
 * again after a round of health_max answers, each waited for as much shorter;
 * then the settings' word holds, by clocks that may be slow. */
static px_ns bound(const struct world *w)
{
    const struct swim_settings *o = &w->gossip->settings;
    px_ns health =
        o->probe_interval * (o->health_max + 1u) * (o->health_max + 2u) / 2;
    px_ns all = health + swim_detection_bound(o, w->server_count, false) +
                o->sync_interval;

    return all + all * WORLD_DRIFT_PPM / 1000000;
}

static const char *text_of(bool is_known, const struct swim_member_info *m)
{
    return is_known ? swim_state_text(m->state) : "unknown";
}

static bool is_in_place(struct world *w, size_t number,
                        const struct swim_member_info *m)
{
    struct swim_addr at = gossip_at(w->gossip->nodes[number].place);
    char address[PX_ADDRESS_BYTES_MAX + 1];

    gossip_address(w, number, address);
    return memcmp(m->gossip.ip, at.ip, sizeof at.ip) == 0 &&
           strcmp(m->peer, address) == 0;
}

/* A suspect may still say that it lives; where a part stays broken, those who
 * hear nothing accuse for ever. */
static bool holds_alive(struct world *w, size_t by, size_t number,
                        bool is_suspect_too)
{
    struct swim_member_info m;

    return swim_find(w->gossip->nodes[by].swim, w->servers[number]->name, &m) &&
           (m.state == SWIM_ALIVE ||
            (is_suspect_too && m.state == SWIM_SUSPECT)) &&
           is_in_place(w, number, &m);
}

static bool holds_dead(struct world *w, size_t by, size_t number)
{
    struct swim_member_info m;

    return !swim_find(w->gossip->nodes[by].swim, w->servers[number]->name,
                      &m) ||
           m.state == SWIM_DEAD || m.state == SWIM_LEFT;
}

static bool is_run(const struct server *s)
{
    return server_is_up(s) && s->stopped_until <= s->world->now;
}

struct dispute {
    size_t by;
    size_t of;
};

/* Do all of @of that are not stopped for good hold each other for alive? */
static bool agree(struct world *w, const bool of[], bool is_all,
                  struct dispute *d)
{
    for (d->by = 0; d->by < w->server_count; d->by++) {
        if (!of[d->by] || w->servers[d->by]->is_gone)
            continue;
        d->of = d->by;
        if (!is_run(w->servers[d->by]))
            return false;
        for (d->of = 0; d->of < w->server_count; d->of++) {
            if (of[d->of] && !w->servers[d->of]->is_gone &&
                (!is_run(w->servers[d->of]) ||
                 !holds_alive(w, d->by, d->of, !is_all)))
                return false;
        }
    }
    return true;
}

static bool have_buried(struct world *w, struct dispute *d)
{
    for (d->by = 0; d->by < w->server_count; d->by++) {
        if (!server_is_up(w->servers[d->by]))
            continue;
        for (d->of = 0; d->of < w->server_count; d->of++) {
            if (w->servers[d->of]->is_gone && !holds_dead(w, d->by, d->of))
                return false;
        }
    }
    return true;
}

static _Noreturn void fail(struct world *w, const struct dispute *d,
                           const char *what)
{
    struct swim_member_info m = {.peer = ""};
    struct swim *swim = w->gossip->nodes[d->by].swim;
    bool is_known =
        swim != NULL && swim_find(swim, w->servers[d->of]->name, &m);

    world_fail(w, "gossip: %s: %s holds %s at %s for %s", what,
               w->servers[d->by]->name, w->servers[d->of]->name, m.peer,
               text_of(is_known, &m));
}

static px_ns later(px_ns a, px_ns b)
{
    return a > b ? a : b;
}

void gossip_must_agree(struct world *w, const bool of[])
{
    px_ns begun = w->now;
    bool is_all = true;
    struct dispute d;
    uint64_t took;

    if (w->gossip == NULL)
        return;
    for (size_t i = 0; i < w->server_count; i++)
        is_all &= of[i];
    while (!agree(w, of, is_all, &d)) {
        if (w->now > later(begun, w->gossip->changed_at) + bound(w))
            fail(w, &d, "the living are not known");
        world_run(w, w->now + w->heartbeat);
    }
    w->gossip->is_calm = is_all;
    took = (w->now - begun) * 100 / bound(w);
    if (took > w->counts[COUNT_GOSSIP_AGREE_MAX])
        w->counts[COUNT_GOSSIP_AGREE_MAX] = took;
}

void gossip_must_bury(struct world *w)
{
    struct dispute d;

    if (w->gossip == NULL)
        return;
    while (!have_buried(w, &d)) {
        if (w->now > w->gossip->changed_at + bound(w))
            fail(w, &d, "the dead are not known");
        world_run(w, w->now + w->heartbeat);
    }
}
