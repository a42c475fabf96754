/*   think ─▶ choose ─▶ arrive (at the server) ─▶ ask ─▶ on_answer ─▶ back
 *     ▲                                                              │
 *     └──────────────────────────────────────────────────────────────┘
 *
 * request.c has what an operation asks and what an answer says. */
#include "tests/sim/clients.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/lib/history.h"
#include "tests/sim/check.h"
#include "tests/sim/request.h"

#define CLIENTS_MAX 8
#define REGISTERS 3
#define LISTS 2
#define DIRECTORIES 2
#define OBJECTS (REGISTERS + LISTS + DIRECTORIES)
#define NAMES 4
/* An object is left for a new one after so many operations, or outcomes that
 * nobody knows: checking costs more than proportionally. */
#define OBJECT_OPS_MAX 400
#define OBJECT_UNKNOWN_MAX 5
#define CONFIGS_MAX UINT64_C(1000000)
#define PROBES UINT64_C(1000000)     /* numbers of registers, from here on */
#define WAY_MAX (100 * PX_NS_PER_US) /* to the server, and back */

/* One of those that are in use. */
struct object {
    uint64_t number; /* among those of its kind */
    unsigned op_count;
    unsigned unknown_count;
};

struct client {
    struct request request; /* first */
    struct object *object;
    struct world *world;
    int number;
    struct server *server;
    size_t id; /* in the history */
    bool is_busy;
};

struct probe {
    struct request request; /* first */
    struct server *server;
    bool is_asked;
    bool is_done;
};

struct clients {
    struct history *history;
    struct client list[CLIENTS_MAX];
    size_t count;
    uint64_t value;                 /* the newest handed out */
    struct object objects[OBJECTS]; /* registers, lists, directories */
    uint64_t objects_retired;
    px_ns think_max;
    bool is_ending;
    struct probe probes[SERVERS_MAX];
};

static void think(struct client *c);

/* ---- What to ask ---- */

static enum history_verb draw_register(struct world *w)
{
    static const enum history_verb verbs[] = {HISTORY_WRITE, HISTORY_WRITE,
                                              HISTORY_READ,  HISTORY_READ,
                                              HISTORY_READ,  HISTORY_DELETE};

    return verbs[world_draw(w, 0, sizeof verbs / sizeof verbs[0])];
}

static enum history_verb draw_name(struct world *w)
{
    static const enum history_verb verbs[] = {
        HISTORY_CREATE, HISTORY_MKDIR,  HISTORY_MKDIR,  HISTORY_UNLINK,
        HISTORY_RMDIR,  HISTORY_RENAME, HISTORY_LOOKUP, HISTORY_LOOKUP};

    return verbs[world_draw(w, 0, sizeof verbs / sizeof verbs[0])];
}

static struct object *use_object(struct clients *cs, uint64_t place)
{
    struct object *o = &cs->objects[place];

    if (o->op_count >= OBJECT_OPS_MAX || o->unknown_count >= OBJECT_UNKNOWN_MAX)
        *o = (struct object){.number = OBJECTS + ++cs->objects_retired};
    o->op_count++;
    return o;
}

static void draw_op(struct client *c, struct history_op *op)
{
    struct world *w = c->world;
    uint64_t place = world_draw(w, 0, OBJECTS);

    if (place < REGISTERS)
        op->verb = draw_register(w);
    else if (place < REGISTERS + LISTS)
        op->verb = world_chance(w, 60) ? HISTORY_APPEND : HISTORY_LIST;
    else
        op->verb = draw_name(w);
    c->object = use_object(w->clients, place);
    op->object = c->object->number;
    op->value = ++w->clients->value;
    op->name = (unsigned)world_draw(w, 0, NAMES);
    op->to = (unsigned)world_draw(w, 0, NAMES);
}

/* ---- There and back ---- */

struct client_event {
    struct event event;
    struct client *client;
    size_t id; /* of its operation then */
};

static void plan(struct client *c, struct server *s, px_ns delay,
                 void (*run)(struct world *w, struct event *e),
                 void (*drop)(struct world *w, struct event *e))
{
    struct client_event *e = event_new(sizeof *e);

    e->event.run = run;
    e->event.drop = drop;
    e->client = c;
    e->id = c->id;
    world_plan(c->world, &e->event, s, c->world->now + delay);
}

static struct client *client_of(struct event *e)
{
    struct client *c = ((struct client_event *)e)->client;

    free(e);
    return c;
}

static void note_answer(struct client *c)
{
    struct world *w = c->world;
    struct history *h = w->clients->history;
    const struct request *q = &c->request;

    switch (q->outcome) {
    case REQUEST_ANSWERED:
        w->counts[COUNT_OK]++;
        history_return(h, c->id, &q->result, ++w->step);
        break;
    case REQUEST_NO_EFFECT:
        w->counts[COUNT_NO_EFFECT]++;
        w->counts[COUNT_NO_ROOM] += q->result.rc == -ENOSPC;
        history_fail(h, c->id);
        break;
    case REQUEST_UNKNOWN:
        c->object->unknown_count++;
        w->counts[COUNT_UNKNOWN]++;
        break;
    }
}

static void run_back(struct world *w, struct event *e)
{
    struct client *c = client_of(e);
    char text[200];

    note_answer(c);
    if (w->options.is_traced) {
        history_text(w->clients->history, c->id, text, sizeof text);
        world_trace(w, c->server, "answers %s%s", text,
                    c->request.outcome == REQUEST_UNKNOWN     ? " (unknown)"
                    : c->request.outcome == REQUEST_NO_EFFECT ? " (no effect)"
                                                              : "");
    }
    c->is_busy = false;
    think(c);
}

static void on_answer(struct request *q)
{
    struct client *c = (struct client *)q;

    plan(c, NULL, c->server->lag + world_draw(c->world, 0, WAY_MAX), run_back,
         event_drop);
}

/* Somebody has pressed ^C. */
static void run_interrupt(struct world *w, struct event *e)
{
    size_t id = ((struct client_event *)e)->id;
    struct client *c = client_of(e);

    if (c->id == id && c->request.is_waiting && request_interrupt(&c->request))
        w->counts[COUNT_INTERRUPTS]++;
}

static void run_arrive(struct world *w, struct event *e)
{
    struct client *c = client_of(e);

    (void)w;
    request_ask(&c->request, c->server);
}

/* The node was gone before it saw the request. */
static void drop_arrive(struct world *w, struct event *e)
{
    struct client *c = client_of(e);

    (void)w;
    c->request.outcome = REQUEST_NO_EFFECT;
    on_answer(&c->request);
}

/* ---- A client ---- */

static struct server *choose_server(struct client *c)
{
    struct world *w = c->world;

    if (c->server == NULL || !server_is_up(c->server) || world_chance(w, 4))
        c->server = w->servers[world_draw(w, 0, w->server_count)];
    /* Who is not a member is asked now and then. */
    for (int i = 0; i < 3 && !check_is_member(w, c->server->number); i++)
        c->server = w->servers[world_draw(w, 0, w->server_count)];
    return c->server;
}

static void run_choose(struct world *w, struct event *e)
{
    struct client *c = client_of(e);
    struct server *s = choose_server(c);

    if (w->clients->is_ending)
        return;
    if (!server_is_up(s)) {
        think(c);
        return;
    }
    c->is_busy = true;
    request_fini(&c->request);
    c->request = (struct request){.answer = on_answer};
    draw_op(c, &c->request.op);
    c->id =
        history_call(w->clients->history, c->number, &c->request.op, ++w->step);
    w->counts[COUNT_OPERATIONS]++;
    plan(c, s, world_draw(w, 0, WAY_MAX), run_arrive, drop_arrive);
    if (world_chance(w, 3))
        plan(c, s, world_draw(w, 0, w->election), run_interrupt, event_drop);
}

static void think(struct client *c)
{
    plan(c, NULL, world_draw(c->world, 0, c->world->clients->think_max),
         run_choose, event_drop);
}

/* ---- Probes ---- */

/* A refusal by the quota is an answer, too. */
static void on_probed(struct request *q)
{
    struct probe *p = (struct probe *)q;

    p->is_asked = false;
    p->is_done = q->outcome == REQUEST_ANSWERED || q->result.rc == -ENOSPC;
}

bool clients_is_probed(const struct server *s)
{
    return s->world->clients->probes[s->number].is_done;
}

static void run_probe(struct world *w, struct event *e)
{
    struct server *s = e->server;
    struct probe *p = &w->clients->probes[s->number];

    free(e);
    if (p->is_done || p->is_asked)
        return;
    p->is_asked = true;
    p->request = (struct request){.op = {.verb = HISTORY_WRITE,
                                         .object = PROBES + s->number,
                                         .value = ++w->clients->value},
                                  .answer = on_probed};
    request_ask(&p->request, s);
}

void clients_probe(struct server *s)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_probe;
    e->drop = event_drop;
    server_plan(s, e, 0);
}

void clients_forget_probes(struct world *w)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        w->clients->probes[i].is_done = false;
}

/* ---- All of them ---- */

void clients_begin(struct world *w)
{
    for (size_t i = 0; i < w->clients->count; i++)
        think(&w->clients->list[i]);
}

void clients_end(struct world *w)
{
    w->clients->is_ending = true;
}

bool clients_are_idle(const struct world *w)
{
    for (size_t i = 0; i < w->clients->count; i++) {
        if (w->clients->list[i].is_busy)
            return false;
    }
    return true;
}

void clients_check(struct world *w)
{
    struct history_report report;
    enum history_verdict verdict =
        history_check(w->clients->history, CONFIGS_MAX, &report);

    w->counts[COUNT_OBJECTS] += report.object_count;
    w->counts[COUNT_CONFIGS] += report.config_count;
    if (verdict == HISTORY_VIOLATION)
        world_fail(w, "not linearizable:\n%s", report.text);
    if (verdict == HISTORY_GAVE_UP)
        world_fail(w, "%zu objects cost too much to check:\n%s",
                   report.gave_up_count, report.text);
}

struct clients *clients_new(struct world *w)
{
    struct clients *cs = calloc(1, sizeof *cs);

    px_assert(cs != NULL);
    cs->history = history_new();
    cs->count = world_draw(w, 2, CLIENTS_MAX + 1);
    for (size_t i = 0; i < OBJECTS; i++)
        cs->objects[i].number = i;
    cs->think_max = 2 * w->election / (UINT64_C(1) << world_draw(w, 0, 5));
    for (size_t i = 0; i < cs->count; i++) {
        cs->list[i].world = w;
        cs->list[i].number = (int)i;
    }
    return cs;
}

void clients_free(struct clients *cs)
{
    for (size_t i = 0; i < cs->count; i++)
        request_fini(&cs->list[i].request);
    history_free(cs->history);
    free(cs);
}
