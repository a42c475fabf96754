#include "tests/sim/members.h"

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

/* A server is asked for one of these. */
enum step_what {
    STEP_ADD,
    STEP_PROMOTE,
    STEP_REMOVE,
    STEP_TRANSFER,
};

struct step {
    enum step_what what;
    raft_id id;
};

struct members {
    bool is_wanted[SERVERS_MAX]; /* as a member; never again, once not */
    bool has_vote[SERVERS_MAX];  /* and as a voter */
    px_ns pace;                  /* twice as long between two steps, at most */
    unsigned strike_percent;     /* of the leaders that have begun a change */
    bool is_eager;               /* asks leaders as they arise */
    bool tells;                  /* those who are removed */
    bool loses;                  /* disks, for ever */
    bool is_calm;
};

static bool is_wanted(const struct world *w, size_t i, bool as_voter)
{
    const struct members *m = w->members;

    return m->is_wanted[i] && (!as_voter || m->has_vote[i]);
}

static size_t wanted_voters(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->server_count; i++)
        count += is_wanted(w, i, true);
    return count;
}

/* ---- Goals ---- */

static void unwant(struct world *w, size_t i)
{
    w->members->is_wanted[i] = false;
}

/* Started now, or only when it is a member already. */
static bool want_new(struct world *w, bool as_voter)
{
    struct server *s = world_grow(w);

    if (s == NULL)
        return false;
    w->members->is_wanted[s->number] = true;
    w->members->has_vote[s->number] = as_voter;
    server_start_later(s, world_draw(w, 0, 4 * w->election));
    world_trace(w, s, "is to be a member");
    return true;
}

static void exchange(struct world *w)
{
    size_t old = w->server_count;
    uint64_t count = world_draw(w, 1, 4);

    if (!want_new(w, true))
        return;
    while (--count > 0 && want_new(w, world_chance(w, 80)))
        ;
    for (size_t i = 0; i < old; i++)
        unwant(w, i);
}

static void unwant_one(struct world *w)
{
    size_t i = (size_t)world_draw(w, 0, w->server_count);

    if (!is_wanted(w, i, true) || wanted_voters(w) > 1)
        unwant(w, i);
}

static void choose_goal(struct world *w)
{
    switch (world_draw(w, 0, 4)) {
    case 0:
        exchange(w);
        break;
    case 1:
        (void)want_new(w, world_chance(w, 70)); /* if there may be more */
        break;
    case 2:
        unwant_one(w);
        break;
    default:
        if (want_new(w, true))
            unwant_one(w);
        break;
    }
}

static bool is_reached(const struct world *w)
{
    const struct raft_config *config = check_settled(w);

    for (size_t i = 0; i < w->server_count; i++) {
        int at = raft_config_find(config, i + 1);

        if ((at >= 0) != is_wanted(w, i, false))
            return false;
        if (at >= 0 &&
            (config->members[at].role == RAFT_VOTER) != is_wanted(w, i, true))
            return false;
    }
    return true;
}

/* ---- The next step ---- */

/* One that is lost, or may lose what it has acknowledged. */
static bool is_weak(const struct world *w, size_t i)
{
    return w->is_flaky[i] || w->servers[i]->is_gone;
}

static void list_strong(const struct world *w, bool strong[SERVERS_MAX])
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        strong[i] = i < w->server_count && !is_weak(w, i);
}

/* What @step would make of @config, if anything. */
static bool apply(struct raft_config *config, struct step step)
{
    int i = raft_config_find(config, step.id);

    switch (step.what) {
    case STEP_ADD:
    case STEP_TRANSFER:
        return false; /* the voters stay */
    case STEP_PROMOTE:
        if (i >= 0)
            config->members[i].role = RAFT_VOTER;
        return i >= 0;
    case STEP_REMOVE:
        for (size_t k = (size_t)i; i >= 0 && k + 1 < config->count; k++)
            config->members[k] = config->members[k + 1];
        config->count -= i >= 0;
        return i >= 0;
    }
    return false;
}

static bool is_careful(const struct world *w, const struct raft_config *config,
                       struct step step)
{
    struct raft_config next = *config;
    bool strong[SERVERS_MAX];

    if (step.what == STEP_ADD)
        return is_wanted(w, (size_t)step.id - 1, false);
    if (!apply(&next, step))
        return true;
    list_strong(w, strong);
    return check_has_majority(&next, strong);
}

/* To some other voter, or to whoever is best. */
static struct step hand_over(struct world *w, const struct raft_config *config)
{
    struct step step = {.what = STEP_TRANSFER};
    const struct raft_member *m =
        &config->members[world_draw(w, 0, config->count)];

    if (m->role == RAFT_VOTER && world_chance(w, 70))
        step.id = m->id;
    return step;
}

static size_t list_steps(struct server *s, const struct raft_config *config,
                         struct step steps[SERVERS_MAX])
{
    struct world *w = s->world;
    size_t count = 0;

    for (size_t i = 0; i < w->server_count; i++) {
        int at = raft_config_find(config, i + 1);
        struct step step = {.id = i + 1};

        if (at < 0 && is_wanted(w, i, false))
            step.what = STEP_ADD;
        else if (at >= 0 && !is_wanted(w, i, false))
            step.what = STEP_REMOVE;
        else if (at >= 0 && is_wanted(w, i, true) &&
                 config->members[at].role == RAFT_LEARNER)
            step.what = STEP_PROMOTE;
        else
            continue;
        if (step.what == STEP_REMOVE && i == s->number)
            step = hand_over(w, config);
        if (is_careful(w, config, step))
            steps[count++] = step;
    }
    return count;
}

/* At times he asks for something that makes no sense. */
static bool choose_step(struct server *s, struct step *step)
{
    struct world *w = s->world;
    struct step steps[SERVERS_MAX];
    struct raft_config config;
    size_t count;

    (void)replica_get_config(s->replica, &config); /* settled or not */
    if (config.count == 0)
        return false;
    count = list_steps(s, &config, steps);
    if (count > 0 && world_chance(w, 95)) {
        *step = steps[world_draw(w, 0, count)];
        return true;
    }
    step->what = world_chance(w, 50) ? STEP_ADD : STEP_PROMOTE;
    step->id = world_draw(w, 0, w->server_count) + 1;
    return is_wanted(w, (size_t)step->id - 1, step->what == STEP_PROMOTE) &&
           is_careful(w, &config, *step);
}

/* ---- Asking ---- */

struct ask {
    struct replica_change_wait wait; /* first */
    struct server *server;
    struct step step;
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
    w->counts[COUNT_TRANSFERS_DONE] += rc == 0 && a->step.what == STEP_TRANSFER;
}

/* An answer that is lost, or says nothing: he asks for the same again, not
 * knowing that it may have been done, or that all is different by now. */
static void on_done(struct replica_change_wait *wait, int rc)
{
    struct ask *a = (struct ask *)wait;
    struct world *w = a->server->world;
    bool is_lost = a->server->has_died || world_chance(w, 15);
    struct server *other;

    count_answer(w, a, rc);
    world_trace(w, a->server, "answers the administrator: %s%s",
                px_strerror(rc), is_lost ? " (lost)" : "");
    w->counts[COUNT_CHANGES_LOST] += is_lost;
    if ((is_lost || rc == -PX_EUNKNOWN) && world_chance(w, 60)) {
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
        (void)snprintf(m->address, sizeof m->address, "10.0.0.%zu:9000", i + 1);
    }
    px_assert(store_change_encode(&c, &bytes) == 0);
    return bytes;
}

static void ask(struct server *s, struct step step)
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
    world_trace(w, s, "is asked to %s n%" PRIu64, texts[step.what], step.id);
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
        is_due = is_careful(w, &config, step);
    else if (is_due)
        is_due = choose_step(s, &step);
    w->counts[COUNT_CHANGES_AGAIN] += is_due && a->is_again;
    free(a);
    if (is_due)
        ask(s, step);
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

static void cut_off(struct world *w, const struct server *s)
{
    bool side[SERVERS_MAX] = {false};

    side[s->number] = true;
    if (world_chance(w, 60)) /* it is not alone */
        side[world_draw(w, 0, w->server_count)] = true;
    faults_cut_off(w, side);
}

static void run_strike(struct world *w, struct event *e)
{
    struct server *s = ((struct ask_event *)e)->event.server;

    if (s == NULL)
        s = w->servers[((struct ask_event *)e)->step.id - 1];
    free(e);
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
    struct ask_event *e;

    if (!world_chance(w, w->members->strike_percent))
        return;
    e = event_new(sizeof *e);
    e->event.run = run_strike;
    e->event.drop = event_drop;
    e->step.id = s->number + 1;
    world_plan(w, &e->event, NULL,
               w->now + world_draw(w, 0,
                                   world_chance(w, 50) ? 50 * PX_NS_PER_US
                                                       : w->heartbeat));
}

/* Its machine is gone, with all that was on it. */
static void lose_one(struct world *w)
{
    struct server *s = w->servers[world_draw(w, 0, w->server_count)];
    bool strong[SERVERS_MAX];

    list_strong(w, strong);
    for (size_t i = 0; i < w->server_count; i++)
        strong[i] &= i != s->number && w->servers[i]->identity.is_begun;
    if (s->is_gone || !check_is_member(w, s->number) ||
        !check_have_majorities(w, strong))
        return;
    w->counts[COUNT_MEMBERS_LOST]++;
    world_trace(w, s, "is lost for ever");
    if (server_is_up(s))
        server_end(s, SERVER_MACHINE_CRASHED);
    s->is_gone = true;
    if (!is_wanted(w, s->number, true) || wanted_voters(w) > 1 ||
        want_new(w, true))
        unwant(w, s->number);
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
    struct server *s = w->servers[((struct ask_event *)e)->step.id - 1];

    free(e);
    if (s->is_gone || w->members->is_calm)
        return;
    w->counts[COUNT_RETIRED]++;
    retire(w, s, world_chance(w, 50) ? SERVER_STOPPED : SERVER_MACHINE_CRASHED);
}

static void retire_later(struct world *w, size_t number)
{
    struct ask_event *e;

    if (world_chance(w, 20))
        return;
    e = event_new(sizeof *e);
    e->event.run = run_retire;
    e->event.drop = event_drop;
    e->step.id = number + 1;
    world_plan(w, &e->event, NULL,
               w->now + world_draw(w, 0,
                                   world_chance(w, 50) ? w->election
                                                       : 30 * w->election));
}

void members_on_settled(struct world *w, const struct raft_config *before,
                        const struct raft_config *now)
{
    for (size_t i = 0; i < before->count; i++) {
        raft_id id = before->members[i].id;

        if (raft_config_find(now, id) >= 0)
            continue;
        world_trace(w, w->servers[id - 1], "is no member any more");
        retire_later(w, (size_t)id - 1);
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
    if (is_reached(w) || world_chance(w, 4))
        choose_goal(w);
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
    m->tells = world_chance(w, 50);
    m->loses = world_chance(w, 50);
    return m;
}

void members_free(struct members *m)
{
    free(m);
}
