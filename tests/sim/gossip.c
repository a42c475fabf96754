/* A member's steps, and what node/gossip.c does around them. */
#include "tests/sim/gossip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rand.h"
#include "raft/config.h"
#include "store/members.h"
#include "tests/sim/check.h"
#include "tests/sim/gossip_core.h"
#include "tests/sim/server_io.h"
#include "tests/sim/server_open.h"

#define TICKS_PER_ELECTION 20 /* as in node/config.c */
/* Draws of its own, so that worlds without gossip are what they were. */
#define GOSSIP_SALT UINT64_C(0x60551b)

/* As for the replica: server_io.c. */
px_ns gossip_now(struct server *s)
{
    struct gossip_node *n = gossip_node(s);
    px_ns now = server_now(s);

    if (now > n->now_seen)
        n->now_seen = now;
    return n->now_seen;
}

static void step(struct server *s, struct swim_in *in,
                 const struct gossip_question *question);

static struct event *plan(struct server *s, px_ns delay,
                          void (*run)(struct world *w, struct event *e))
{
    struct event *e = event_new(sizeof *e);

    e->run = run;
    e->drop = event_drop;
    server_plan(s, e, delay);
    return e;
}

/* ---- Time ---- */

struct timer {
    struct event event;
    px_ns at;
};

static void run_timer(struct world *w, struct event *e)
{
    struct timer *t = (struct timer *)e;
    struct swim_in in = {.type = SWIM_IN_TICK};

    (void)w;
    if (gossip_node(e->server)->timer_at == t->at)
        gossip_node(e->server)->timer_at = PX_NS_NEVER;
    step(e->server, &in, NULL);
    free(t);
}

/* As libuv's: not before, in whole milliseconds. */
static void arm_timer(struct server *s, px_ns deadline)
{
    px_ns at = server_when(s, deadline);
    struct timer *t;

    if (at < server_true_now(s))
        at = server_true_now(s);
    at += world_draw(s->world, 0, PX_NS_PER_MS);
    if (gossip_node(s)->timer_at <= at)
        return;
    t = event_new(sizeof *t);
    t->event.run = run_timer;
    t->event.drop = event_drop;
    t->at = gossip_node(s)->timer_at = at;
    world_plan(s->world, &t->event, s, at);
}

/* ---- Its disk ---- */

struct reserve {
    struct event event;
    swim_incarnation incarnation;
};

static void run_reserve(struct world *w, struct event *e)
{
    struct server *s = e->server;
    swim_incarnation before = s->identity.gossip_reserve;
    struct swim_in in = {.type = SWIM_IN_RESERVED};
    int rc;

    (void)w;
    in.reserved = ((struct reserve *)e)->incarnation;
    free(e);
    s->identity.gossip_reserve = in.reserved;
    rc = server_write_identity(s);
    if (rc < 0) {
        s->identity.gossip_reserve = before; /* nobody may count on it */
        server_die(s, "writing the identity failed", rc);
        return;
    }
    gossip_node(s)->durable = in.reserved;
    step(s, &in, NULL);
}

static void reserve_later(struct server *s, swim_incarnation incarnation)
{
    struct reserve *r = event_new(sizeof *r);

    r->event.run = run_reserve;
    r->event.drop = event_drop;
    r->incarnation = incarnation;
    server_plan(s, &r->event, world_draw(s->world, 0, s->sync_time));
}

void gossip_incarnate(struct server *s)
{
    if (s->world->gossip != NULL)
        s->identity.gossip_reserve++;
}

/* ---- Seeds ---- */

/* The names of all that are there, as PEERS has them, for where they are now. */
static void run_resolved(struct world *w, struct event *e)
{
    struct server *s = e->server;
    struct swim_addr list[SERVERS_MAX];
    struct swim_in in = {.type = SWIM_IN_SEEDS, .seeds.list = list};

    free(e);
    for (size_t i = 0; i < w->server_count; i++) {
        if (!w->servers[i]->is_gone && w->gossip->nodes[i].place != 0)
            list[in.seeds.count++] = gossip_at(w->gossip->nodes[i].place);
    }
    step(s, &in, NULL);
}

static void resolve_later(struct server *s)
{
    (void)plan(s, world_draw(s->world, 0, PX_NS_PER_MS), run_resolved);
}

/* ---- Steps ---- */

static void step(struct server *s, struct swim_in *in,
                 const struct gossip_question *question)
{
    struct swim *swim = gossip_node(s)->swim;
    struct swim_out out;

    s->is_turning = true; /* raft has no part in it */
    in->now = gossip_now(s);
    px_assert(swim_step(swim, in, &out) == 0);
    swim_check(swim);
    gossip_judge(s, &out);
    if (out.reserve > 0)
        reserve_later(s, out.reserve);
    if (out.wants_seeds)
        resolve_later(s);
    server_on_call(s);
    for (size_t i = 0; i < out.packet_count; i++)
        gossip_send(s, &out.packets[i], question);
    arm_timer(s, out.deadline);
}

void gossip_hear(struct server *s, const uint8_t *data, size_t size,
                 struct swim_addr from, const struct gossip_question *question)
{
    struct swim_in in = {.type = SWIM_IN_PACKET};

    in.packet.data = data;
    in.packet.size = size;
    in.packet.from = from;
    in.packet.is_stream = question != NULL;
    step(s, &in, question);
}

/* ---- What it says ---- */

static enum swim_role own_role(const struct server *s)
{
    struct raft_config config;
    int at;

    (void)replica_get_config(s->replica, &config); /* committed or not */
    at = raft_config_find(&config, s->number + 1);
    if (at < 0)
        return SWIM_ROLE_NONE;
    return config.members[at].role == RAFT_VOTER ? SWIM_ROLE_VOTER
                                                 : SWIM_ROLE_LEARNER;
}

static void run_second(struct world *w, struct event *e)
{
    struct server *s = e->server;
    struct gossip_node *n = gossip_node(s);
    enum swim_role role = own_role(s);
    struct swim_in in = {.type = SWIM_IN_SELF, .self = &n->about};

    free(e);
    if (role != n->about.role) {
        n->about.role = role;
        step(s, &in, NULL);
    }
    s->is_turning = true;
    gossip_policy(s);
    (void)plan(s, w->election, run_second);
}

/* ---- Connections ---- */

void gossip_address(const struct world *w, size_t number,
                    char out[PX_ADDRESS_BYTES_MAX + 1])
{
    size_t place = number + 1;

    if (w->gossip != NULL && w->gossip->nodes[number].place != 0)
        place = w->gossip->nodes[number].place;
    (void)snprintf(out, PX_ADDRESS_BYTES_MAX + 1, "10.0.0.%zu:9000", place);
}

static void know_first(struct peers *p, const struct world *w)
{
    for (size_t i = 0; i < w->voter_count; i++) {
        char address[PX_ADDRESS_BYTES_MAX + 1];

        (void)snprintf(address, sizeof address, "10.0.0.%zu:9000", i + 1);
        peers_know(p, w->servers[i]->name, address);
    }
}

static void know_members(struct peers *p, struct server *s)
{
    struct store_members members = {.count = 0};

    px_assert(store_view_begin(s->view) == 0);
    px_assert(store_view_members(s->view, &members) == 0);
    store_view_end(s->view);
    for (size_t i = 0; i < members.count; i++) {
        if (members.list[i].name[0] != '\0')
            peers_know(p, members.list[i].name, members.list[i].address);
    }
}

static bool was_removed(void *ctx, raft_id id)
{
    struct server *s = ctx;

    for (size_t i = 0; i < s->world->server_count; i++) {
        if (config_id_of(s->world->servers[i]->name) == id)
            return check_was_removed(s, i);
    }
    return false;
}

/* As node/gossip.c: PEERS, the state, gossip. */
static void collect(struct server *s, struct peers *p)
{
    struct swim_member_info list[SERVERS_MAX];
    size_t count = swim_get_members(gossip_node(s)->swim, list, SERVERS_MAX);

    px_assert(count <= SERVERS_MAX);
    p->count = p->wanted = 0;
    if (s->number < s->world->voter_count)
        know_first(p, s->world);
    know_members(p, s);
    peers_hear(p, list, count, CLUSTER, config_id_of(s->name), was_removed, s);
}

bool gossip_reaches(struct world *w, size_t from, size_t to)
{
    struct gossip *g = w->gossip;
    struct gossip_node *n;
    char address[PX_ADDRESS_BYTES_MAX + 1];
    const struct peer *peer;
    size_t place;

    if (g == NULL)
        return true;
    n = &g->nodes[from];
    place = g->nodes[to].place;
    collect(w->servers[from], &g->peers);
    peer = peers_find(&g->peers, config_id_of(w->servers[to]->name));
    gossip_address(w, to, address);
    if (peer == NULL || strcmp(peer->address, address) != 0) {
        w->counts[COUNT_GOSSIP_ELSEWHERE] += peer != NULL;
        return false;
    }
    w->counts[COUNT_GOSSIP_FOLLOWED] +=
        n->dialled[to] != 0 && n->dialled[to] != place;
    n->dialled[to] = place;
    return true;
}

/* ---- Life ---- */

void gossip_on_start(struct server *s)
{
    struct gossip_node *n;
    struct swim_options o = {.id = s->name, .label = "sim"};

    if (s->world->gossip == NULL)
        return;
    n = gossip_node(s);
    gossip_settle(s);
    s->world->gossip->changed_at = s->world->now;
    n->now_seen = server_now(s);
    n->timer_at = PX_NS_NEVER;
    n->durable = s->identity.gossip_reserve;
    n->about = (struct swim_about){.gossip = gossip_at(n->place),
                                   .role = own_role(s),
                                   .protocol = NET_PROTOCOL_VERSION,
                                   .cluster = CLUSTER};
    gossip_address(s->world, s->number, n->about.peer);
    o.about = n->about;
    o.settings = s->world->gossip->settings;
    o.seed = px_djb2(s->name, strlen(s->name)) ^ s->world->options.seed;
    o.incarnation = n->durable;
    o.now = n->now_seen;
    if (n->durable <= n->used)
        world_fail(s->world,
                   "%s begins with incarnation %" PRIu64
                   " of gossip, and has used %" PRIu64,
                   s->name, n->durable, n->used);
    px_assert(swim_new(&o, &n->swim) == 0);
    resolve_later(s);
    (void)plan(s, world_draw(s->world, 0, s->world->election), run_second);
}

void gossip_on_end(struct server *s, enum server_end how)
{
    struct swim_in in = {.type = SWIM_IN_LEAVE};
    struct gossip_node *n;

    if (s->world->gossip == NULL || gossip_node(s)->swim == NULL)
        return;
    n = gossip_node(s);
    if (how == SERVER_STOPPED)
        step(s, &in, NULL);
    s->is_turning = false;
    gossip_count(s);
    swim_free(n->swim);
    n->swim = NULL;
    s->world->gossip->changed_at = s->world->now;
}

struct gossip *gossip_new(struct world *w)
{
    struct px_rand rand;
    struct gossip *g;
    bool is_drawn;

    px_rand_init(&rand, w->options.seed ^ GOSSIP_SALT);
    is_drawn = px_rand_below(&rand, 100) < GOSSIP_PERCENT;
    if (!is_drawn && !w->options.has_gossip)
        return NULL;
    g = calloc(1, sizeof *g);
    px_assert(g != NULL);
    g->settings = swim_settings_of_tick(w->election / TICKS_PER_ELECTION);
    g->move_percent = (unsigned)px_rand_below(&rand, 100);
    w->counts[COUNT_GOSSIP]++;
    return g;
}

void gossip_free(struct gossip *g)
{
    free(g); /* its members went with the servers */
}
