#include "tests/sim/hello.h"

#include <stdlib.h>

#include "tests/sim/check.h"
#include "tests/sim/members.h"
#include "tests/sim/server_io.h"
#include "tests/sim/server_open.h"
#include "tests/sim/wire.h"

/* ---- Is the cluster new? ---- */

struct hello_event {
    struct event event;
    size_t peer;
    bool is_empty;
};

static bool is_new(struct server *s, const struct hello_event *h)
{
    struct raft_config first = {.count = s->world->voter_count};

    for (size_t i = 0; i < first.count; i++)
        first.members[i] = (struct raft_member){i + 1, RAFT_VOTER};
    bootstrap_hear(&s->empties, &first, s->number + 1, h->peer + 1,
                   h->is_empty);
    return bootstrap_is_new(&s->empties, &first);
}

static void run_hear(struct world *w, struct event *e)
{
    const struct hello_event *h = (const struct hello_event *)e;
    struct server *s = e->server;
    bool finds_new = is_new(s, h);

    free(e);
    if (s->identity.is_begun || s->number >= w->voter_count || !finds_new)
        return;
    w->counts[COUNT_BEGUN_NEW]++;
    world_trace(w, s, "finds that the cluster is new");
    if (hello_begun(s) == 0)
        replica_sound(s->replica);
}

static void tell(struct world *w, size_t to, size_t of)
{
    struct hello_event *h = event_new(sizeof *h);

    h->event.run = run_hear;
    h->event.drop = event_drop;
    h->peer = of;
    h->is_empty = w->servers[of]->is_blank &&
                  replica_is_log_empty(w->servers[of]->replica);
    world_plan(w, &h->event, w->servers[to],
               w->now + world_draw(w, 0, PX_NS_PER_MS));
}

void hello_say(struct world *w, size_t from, size_t to)
{
    tell(w, to, from);
    tell(w, from, to);
}

int hello_begun(struct server *s)
{
    int rc;

    s->identity.is_begun = true;
    rc = server_write_identity(s);
    if (rc == 0)
        return 0;
    s->identity.is_begun = false; /* nobody may count on it */
    server_die(s, "writing the identity failed", rc);
    return rc;
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
