/* What he asks for, of whom, and what befalls those who do it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "raft/config.h"
#include "store/members.h"
#include "tests/sim/check.h"
#include "tests/sim/faults.h"
#include "tests/sim/gossip.h"
#include "tests/sim/members_core.h"

/* ---- Asking ---- */

struct ask {
    struct replica_change_wait wait; /* first */
    struct server *server;
    struct step step;
    bool is_policy;
};

struct ask_event {
    struct event event;
    bool is_again; /* the same step as before, whatever it is by now */
    struct step step;
};

static void plan_ask(struct server *s, px_ns delay, const struct step *again);
static struct server *choose_server(struct world *w);

static void count_answer(struct world *w, const struct ask *a, int rc)
{
    w->counts[COUNT_CHANGES_REFUSED] += rc < 0 && rc != -PX_EUNKNOWN;
    w->counts[COUNT_CHANGES_UNKNOWN] += rc == -PX_EUNKNOWN;
    w->counts[COUNT_POLICY_ADDED] +=
        rc == 0 && a->is_policy && a->step.what == STEP_ADD;
    w->counts[COUNT_POLICY_PROMOTED] +=
        rc == 0 && a->is_policy && a->step.what == STEP_PROMOTE;
    w->counts[COUNT_TRANSFERS_DONE] += rc == 0 && a->step.what == STEP_TRANSFER;
}

/* An answer that is lost, or says nothing: he asks for the same again, not
 * knowing that it may have been done, or that all is different by now. */
static void on_done(struct replica_change_wait *wait, int rc)
{
    struct ask *a = (struct ask *)wait;
    struct world *w = a->server->world;
    bool is_lost =
        a->server->has_died || (!a->is_policy && world_chance(w, 15));
    struct server *other;

    count_answer(w, a, rc);
    world_trace(w, a->server, "answers %s: %s%s",
                a->is_policy ? "its policy" : "the administrator",
                px_strerror(rc), is_lost ? " (lost)" : "");
    w->counts[COUNT_CHANGES_LOST] += is_lost;
    if (!a->is_policy && (is_lost || rc == -PX_EUNKNOWN) &&
        world_chance(w, 60)) {
        other = choose_server(w);
        if (other != NULL)
            plan_ask(other, world_draw(w, 0, 2 * w->members->pace), &a->step);
    }
    free(a);
}

static void strike_later(struct server *s);

/* What node/ adds: who they are, and where; the administrator knows. */
static struct px_slice describe(const struct world *w, struct step step)
{
    struct store_change c = {.removed = step.what == STEP_REMOVE ? step.id : 0};
    struct px_slice bytes;

    for (size_t i = 0; i < w->server_count; i++) {
        struct store_member *m = &c.list[c.count++];

        m->id = i + 1;
        (void)snprintf(m->name, sizeof m->name, "%s", w->servers[i]->name);
        gossip_address(w, i, m->address);
    }
    px_assert(store_change_encode(&c, &bytes) == 0);
    return bytes;
}

void members_ask(struct server *s, struct step step, bool is_policy)
{
    static const enum raft_change_what whats[] = {
        [STEP_ADD] = RAFT_ADD,
        [STEP_PROMOTE] = RAFT_PROMOTE,
        [STEP_REMOVE] = RAFT_REMOVE,
    };
    static const char *const texts[] = {"add", "promote", "remove",
                                        "hand over to"};
    struct world *w = s->world;
    struct ask *a = calloc(1, sizeof *a);
    struct raft_change change = {.id = step.id};
    uint64_t begun = w->counts[COUNT_CHANGES_BEGUN];

    px_assert(a != NULL);
    a->wait.deadline = server_now(s) + w->request_timeout;
    a->wait.done = on_done;
    a->server = s;
    a->step = step;
    a->is_policy = is_policy;
    world_trace(w, s, "is asked%s to %s n%" PRIu64,
                is_policy ? " by its policy" : "", texts[step.what], step.id);
    if (step.what == STEP_TRANSFER) {
        w->counts[COUNT_TRANSFERS]++;
        replica_transfer(s->replica, &a->wait, step.id);
        return;
    }
    w->counts[COUNT_CHANGES_ASKED]++;
    change.what = whats[step.what];
    change.added = describe(w, step);
    check_server(s); /* what is committed by now is so by the old members */
    replica_change(s->replica, &a->wait, &change);
    px_slice_unref(&change.added);
    check_on_change(s);
    if (w->counts[COUNT_CHANGES_BEGUN] > begun)
        strike_later(s);
}

static void run_ask(struct world *w, struct event *e)
{
    struct ask_event *a = (struct ask_event *)e;
    struct server *s = e->server;
    struct step step = a->step;
    struct raft_config config;
    bool is_due = !w->members->is_calm;

    (void)replica_get_config(s->replica, &config); /* settled or not */
    if (is_due && a->is_again)
        is_due = members_is_careful(w, &config, step);
    else if (is_due)
        is_due = members_choose_step(s, &step);
    w->counts[COUNT_CHANGES_AGAIN] += is_due && a->is_again;
    free(a);
    if (is_due)
        members_ask(s, step, false);
}

static void plan_ask(struct server *s, px_ns delay, const struct step *again)
{
    struct ask_event *a = event_new(sizeof *a);

    a->event.run = run_ask;
    a->event.drop = event_drop;
    a->is_again = again != NULL;
    if (again != NULL)
        a->step = *again;
    world_plan(s->world, &a->event, s, s->world->now + delay);
}

/* ---- Whom to ask ---- */

static struct server *any_up(struct world *w)
{
    struct server *s = w->servers[world_draw(w, 0, w->server_count)];

    return server_is_up(s) ? s : NULL;
}

static struct server *any_leader(struct world *w)
{
    struct server *leaders[SERVERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < w->server_count; i++) {
        struct raft_status status;

        if (!server_is_up(w->servers[i]))
            continue;
        replica_get_status(w->servers[i]->replica, &status);
        if (status.role == RAFT_LEADER)
            leaders[count++] = w->servers[i];
    }
    return count > 0 ? leaders[world_draw(w, 0, count)] : NULL;
}

/* Whom somebody takes for the leader. */
static struct server *rumoured(struct world *w)
{
    struct server *s = any_up(w);
    struct raft_status status;

    if (s == NULL)
        return NULL;
    replica_get_status(s->replica, &status);
    if (status.leader == 0 || !server_is_up(w->servers[status.leader - 1]))
        return NULL;
    return w->servers[status.leader - 1];
}

/* NULL: nobody answers now. */
static struct server *choose_server(struct world *w)
{
    uint64_t how = world_draw(w, 0, 10);

    if (how < 6)
        return any_leader(w);
    return how < 9 ? rumoured(w) : any_up(w);
}

/* ---- What befalls who has begun a change ---- */

/* Of a server, whether it is up then or down. */
struct fate {
    struct event event;
    struct server *server;
};

static struct server *fate_of(struct event *e)
{
    struct server *s = ((struct fate *)e)->server;

    free(e);
    return s;
}

static void plan_fate(struct server *s, px_ns delay,
                      void (*run)(struct world *w, struct event *e))
{
    struct fate *f = event_new(sizeof *f);

    f->event.run = run;
    f->event.drop = event_drop;
    f->server = s;
    world_plan(s->world, &f->event, NULL, s->world->now + delay);
}

/* With one other, often. */
static void cut_off(struct world *w, const struct server *s)
{
    bool side[SERVERS_MAX] = {false};
    struct raft_config config;

    (void)replica_get_config(s->replica, &config); /* settled or not */
    side[s->number] = true;
    if (world_chance(w, 70))
        side[config.members[world_draw(w, 0, config.count)].id - 1] = true;
    faults_cut_off(w, side);
}

static void run_strike(struct world *w, struct event *e)
{
    struct server *s = fate_of(e);

    if (w->members->is_calm || !server_is_up(s))
        return;
    switch (world_draw(w, 0, 4)) {
    case 0:
        faults_end(w, s, SERVER_PROCESS_CRASHED);
        break;
    case 1:
        faults_end(w, s, SERVER_MACHINE_CRASHED);
        break;
    default:
        cut_off(w, s);
        break;
    }
}

/* Before anybody has heard of it, or when some have. */
static void strike_later(struct server *s)
{
    struct world *w = s->world;
    px_ns limit = world_chance(w, 50) ? 50 * PX_NS_PER_US : w->heartbeat;

    if (world_chance(w, w->members->strike_percent))
        plan_fate(s, world_draw(w, 0, limit), run_strike);
}

/* Its machine is gone, with all that was on it. */
static void lose_one(struct world *w)
{
    struct server *s = w->servers[world_draw(w, 0, w->server_count)];
    bool strong[SERVERS_MAX];

    members_list_strong(w, strong);
    for (size_t i = 0; i < w->server_count; i++)
        strong[i] &= i != s->number && w->servers[i]->durable.is_begun;
    if (s->is_gone || !check_is_member(w, s->number) ||
        !check_have_majorities(w, strong))
        return;
    w->counts[COUNT_MEMBERS_LOST]++;
    world_trace(w, s, "is lost for ever");
    if (server_is_up(s))
        server_end(s, SERVER_MACHINE_CRASHED);
    s->is_gone = true;
    (void)members_want_new(w, true); /* in its place, if there may be more */
    members_unwant(w, s->number);
}

/* ---- Those that were removed ---- */

static void retire(struct world *w, struct server *s, enum server_end how)
{
    if (server_is_up(s))
        server_end(s, how);
    s->is_gone = true;
    world_trace(w, s, "is gone for good");
}

static void run_retire(struct world *w, struct event *e)
{
    struct server *s = fate_of(e);

    if (s->is_gone || w->members->is_calm)
        return;
    w->counts[COUNT_RETIRED]++;
    retire(w, s, world_chance(w, 50) ? SERVER_STOPPED : SERVER_MACHINE_CRASHED);
}

static void retire_later(struct server *s)
{
    struct world *w = s->world;
    px_ns limit = world_chance(w, 50) ? w->election : 30 * w->election;

    if (!world_chance(w, 20))
        plan_fate(s, world_draw(w, 0, limit), run_retire);
}

void members_on_settled(struct world *w, const struct raft_config *before,
                        const struct raft_config *now)
{
    for (size_t i = 0; i < before->count; i++) {
        raft_id id = before->members[i].id;

        if (raft_config_find(now, id) >= 0)
            continue;
        world_trace(w, w->servers[id - 1], "is no member any more");
        retire_later(w->servers[id - 1]);
    }
}

static void run_told(struct world *w, struct event *e)
{
    struct server *s = e->server;

    free(e);
    w->counts[COUNT_TOLD_REMOVED]++;
    retire(w, s, SERVER_STOPPED);
}

void members_tell(struct server *s, const struct server *by)
{
    struct world *w = s->world;
    struct event *e;

    if (!w->members->tells)
        return;
    if (check_is_member(w, s->number))
        world_fail(w, "%s is told by %s that it was removed", s->name,
                   by->name);
    e = event_new(sizeof *e);
    e->run = run_told;
    e->drop = event_drop;
    world_plan(w, e, s, w->now);
}

/* ---- The schedule ---- */

static void plan_next(struct world *w);

static void run_next(struct world *w, struct event *e)
{
    struct members *m = w->members;
    struct server *s;

    free(e);
    if (m->is_calm)
        return;
    if (members_are_as_wanted(w) || world_chance(w, 4))
        members_choose_goal(w);
    if (m->loses && world_chance(w, 5))
        lose_one(w);
    s = choose_server(w);
    if (s != NULL)
        plan_ask(s, world_draw(w, 0, w->heartbeat), NULL);
    plan_next(w);
}

static void plan_next(struct world *w)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_next;
    e->drop = event_drop;
    world_plan(w, e, NULL, w->now + world_draw(w, 1, 2 * w->members->pace));
}

void members_on_leader(struct server *s)
{
    struct world *w = s->world;

    if (w->members == NULL || w->members->is_calm || !w->members->is_eager)
        return;
    if (world_chance(w, w->members->corner_percent))
        cut_off(w, s);
    plan_ask(s, world_draw(w, 0, w->heartbeat / 4), NULL);
}

/* ---- Life ---- */

void members_begin(struct world *w)
{
    if (w->members == NULL)
        return;
    w->counts[COUNT_MEMBERS]++;
    plan_next(w);
}

void members_end(struct world *w)
{
    if (w->members != NULL)
        w->members->is_calm = true;
}

struct members *members_new(struct world *w)
{
    struct members *m = calloc(1, sizeof *m);

    px_assert(m != NULL);
    for (size_t i = 0; i < w->voter_count; i++)
        m->is_wanted[i] = m->has_vote[i] = true;
    m->pace = world_draw(w, w->election / 10, 2 * w->election);
    m->strike_percent = (unsigned)world_draw(w, 0, 60);
    m->is_eager = world_chance(w, 50);
    m->corner_percent = (unsigned)world_draw(w, 0, 50);
    m->tells = world_chance(w, 50);
    m->loses = world_chance(w, 50);
    m->has_policy = w->gossip != NULL && world_chance(w, 50);
    return m;
}

void members_free(struct members *m)
{
    free(m);
}
