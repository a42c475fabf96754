/* What the administrator wants, and the next step to it. */
#include "raft/config.h"
#include "tests/sim/check.h"
#include "tests/sim/members_core.h"

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
bool members_want_new(struct world *w, bool as_voter)
{
    struct server *s = world_grow(w);

    if (s == NULL)
        return false;
    w->members->is_wanted[s->number] = true;
    w->members->has_vote[s->number] = as_voter || w->members->has_policy;
    server_start_later(s, world_draw(w, 0, 4 * w->election));
    world_trace(w, s, "is to be a member");
    return true;
}

static void exchange(struct world *w)
{
    size_t old = w->server_count;
    uint64_t count = world_draw(w, 1, 4);

    if (!members_want_new(w, true))
        return;
    while (--count > 0 && members_want_new(w, world_chance(w, 80)))
        ;
    for (size_t i = 0; i < old; i++)
        unwant(w, i);
}

void members_unwant(struct world *w, size_t number)
{
    if (!is_wanted(w, number, true) || wanted_voters(w) > 1)
        unwant(w, number);
}

static void unwant_one(struct world *w)
{
    members_unwant(w, (size_t)world_draw(w, 0, w->server_count));
}

void members_choose_goal(struct world *w)
{
    switch (world_draw(w, 0, 4)) {
    case 0:
        exchange(w);
        break;
    case 1:
        (void)members_want_new(w,
                               world_chance(w, 70)); /* if there may be more */
        break;
    case 2:
        unwant_one(w);
        break;
    default:
        if (members_want_new(w, true))
            unwant_one(w);
        break;
    }
}

bool members_are_as_wanted(const struct world *w)
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

void members_list_strong(const struct world *w, bool strong[SERVERS_MAX])
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

bool members_is_careful(const struct world *w, const struct raft_config *config,
                        struct step step)
{
    struct raft_config next = *config;
    bool strong[SERVERS_MAX];

    if (step.what == STEP_ADD)
        return is_wanted(w, (size_t)step.id - 1, false);
    if (!apply(&next, step))
        return true;
    members_list_strong(w, strong);
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
        if (w->members->has_policy &&
            (step.what == STEP_ADD || step.what == STEP_PROMOTE))
            continue;
        if (members_is_careful(w, config, step))
            steps[count++] = step;
    }
    return count;
}

/* At times he asks for something that makes no sense. */
bool members_choose_step(struct server *s, struct step *step)
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
    if (w->members->has_policy)
        return false;
    step->what = world_chance(w, 50) ? STEP_ADD : STEP_PROMOTE;
    step->id = world_draw(w, 0, w->server_count) + 1;
    return is_wanted(w, (size_t)step->id - 1, step->what == STEP_PROMOTE) &&
           members_is_careful(w, &config, *step);
}
