#include "tests/sim/hello.h"

#include <stdlib.h>

#include "tests/sim/check.h"
#include "tests/sim/members.h"
#include "tests/sim/wire.h"

/* ---- Is the cluster new? ---- */

struct hello_event {
    struct event event;
    size_t peer;
    bool is_empty;
};

static void run_hear(struct world *w, struct event *e)
{
    const struct hello_event *h = (const struct hello_event *)e;
    struct server *s = e->server;
    bool is_empty = s->is_blank && replica_is_log_empty(s->replica);
    bool was_begun = s->identity.is_begun;

    fault_on_hello(&s->fault, h->peer + 1, h->is_empty, is_empty);
    free(e);
    if (!was_begun && s->identity.is_begun)
        world_trace(w, s, "finds that the cluster is new");
}

static void tell(struct world *w, size_t to, size_t of)
{
    struct hello_event *h = event_new(sizeof *h);

    h->event.run = run_hear;
    h->event.drop = event_drop;
    h->peer = of;
    h->is_empty = w->servers[of]->is_blank && !w->servers[of]->fault.has_note &&
                  replica_is_log_empty(w->servers[of]->replica);
    world_plan(w, &h->event, w->servers[to],
               w->now + world_draw(w, 0, PX_NS_PER_MS));
}

void hello_say(struct world *w, size_t from, size_t to)
{
    tell(w, to, from);
    tell(w, from, to);
}

/* ---- Members no more ---- */

static bool refuses(struct server *s, size_t other)
{
    return check_was_removed(s, other);
}

bool hello_is_taken(struct world *w, size_t from, size_t to)
{
    if (refuses(w->servers[to], from)) {
        members_tell(w->servers[from], w->servers[to]);
        return false;
    }
    return !refuses(w->servers[from], to);
}

void hello_on_members(struct server *s)
{
    struct world *w = s->world;

    for (size_t i = 0; i < w->server_count; i++) {
        if (i == s->number || !refuses(s, i))
            continue;
        wire_break(w, s->number, i);
        wire_break(w, i, s->number);
    }
}
