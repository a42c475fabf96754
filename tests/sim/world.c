#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/check.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/gossip.h"
#include "tests/sim/members.h"
#include "tests/sim/server.h"
#include "tests/sim/wire.h"

uint64_t world_draw(struct world *w, uint64_t from, uint64_t to)
{
    px_assert(from < to);
    return from + px_rand_below(&w->rand, to - from);
}

bool world_chance(struct world *w, unsigned percent)
{
    return px_rand_below(&w->rand, 100) < percent;
}

void world_plan(struct world *w, struct event *e, struct server *s, px_ns at)
{
    e->at = at > w->now ? at : w->now;
    e->server = s;
    e->life = s != NULL ? s->life : 0;
    events_add(&w->events, e);
}

/* ---- Running ---- */

static bool is_void(const struct event *e)
{
    return e->server != NULL && e->life != e->server->life;
}

static void happen(struct world *w, struct event *e)
{
    struct server *s = e->server;

    if (is_void(e)) {
        e->drop(w, e);
        return;
    }
    if (s != NULL && s->stopped_until > w->now) {
        events_delay(&w->events, e, s->stopped_until);
        return;
    }
    w->step++;
    w->counts[COUNT_EVENTS]++;
    e->run(w, e);
    if (s != NULL)
        server_after(s);
}

void world_run(struct world *w, px_ns until)
{
    for (;;) {
        struct event *e = events_first(&w->events);

        if (e == NULL || e->at > until)
            break;
        (void)events_take(&w->events); /* it is @e */
        px_assert(e->at >= w->now);
        w->now = e->at;
        happen(w, e);
    }
    w->now = until;
}

/* ---- Saying ---- */

static void print_time(const struct world *w, FILE *out)
{
    (void)fprintf(out, "%4" PRIu64 ".%06" PRIu64, w->now / PX_NS_PER_S,
                  w->now % PX_NS_PER_S / PX_NS_PER_US);
}

void world_trace_line(const struct world *w, const struct server *s,
                      const char *format, ...)
{
    va_list args;

    print_time(w, stdout);
    (void)printf(" %-6s ", s != NULL ? s->name : "");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

void world_fail(const struct world *w, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %" PRIu64 ": at ", w->options.seed);
    print_time(w, stderr);
    (void)fprintf(stderr, ": ");
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\n");
    _Exit(1);
}

/* ---- Life ---- */

static void draw_times(struct world *w)
{
    static const px_ns elections[] = {100 * PX_NS_PER_MS, 240 * PX_NS_PER_MS,
                                      PX_NS_PER_S};

    w->election = elections[world_draw(w, 0, 3)];
    w->heartbeat = w->election / world_draw(w, 4, 9);
    w->request_timeout = world_draw(w, 4, 12) * w->election;
    w->segment_bytes = UINT64_C(8192) << world_draw(w, 0, 8);
    w->snapshot_bytes = UINT64_C(8192) << world_draw(w, 0, 10);
    if (world_chance(w, 10))
        w->quota_bytes = UINT64_C(1024) << world_draw(w, 0, 6);
    w->is_bulky = world_chance(w, 10);
}

/* As many may lose what they have acknowledged as may be lost. */
static void draw_flaky(struct world *w)
{
    for (size_t left = (w->voter_count - 1) / 2; left > 0; left--)
        w->is_flaky[world_draw(w, 0, w->voter_count)] = true;
}

struct server *world_grow(struct world *w)
{
    struct server *s;

    if (w->server_count == SERVERS_MAX)
        return NULL;
    s = server_new(w, w->server_count);
    w->servers[w->server_count++] = s;
    return s;
}

struct world *world_open(const struct world_options *options)
{
    struct world *w = calloc(1, sizeof *w);

    px_assert(w != NULL);
    w->options = *options;
    px_rand_init(&w->rand, options->seed);
    w->voter_count = options->server_count;
    if (w->voter_count == 0)
        w->voter_count = world_chance(w, 60) ? 3 : world_draw(w, 1, 6);
    draw_times(w);
    draw_flaky(w);
    w->gossip = gossip_new(w);
    w->check = check_new(w);
    w->wire = wire_new(w);
    for (size_t i = 0; i < w->voter_count; i++)
        (void)world_grow(w); /* these there is room for */
    w->faults = faults_new(w);
    w->clients = clients_new(w);
    if (world_chance(w, MEMBERS_PERCENT) || options->has_members)
        w->members = members_new(w);
    return w;
}

void world_close(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++)
        server_free(w->servers[i]);
    events_fini(&w->events, w);
    members_free(w->members);
    gossip_free(w->gossip);
    clients_free(w->clients);
    faults_free(w->faults);
    wire_free(w->wire);
    check_free(w->check);
    free(w);
}
