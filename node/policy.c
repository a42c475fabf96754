/* The leader's policy of membership: see policy.h. Values in, one value out. */
#include "node/policy.h"

#include "raft/config.h"

static const struct policy_action nothing = {POLICY_NOTHING, 0};

static const struct policy_seen *find_seen(const struct policy_view *v,
                                           raft_id id)
{
    for (size_t i = 0; i < v->seen_count; i++) {
        if (v->seen[i].id == id)
            return &v->seen[i];
    }
    return NULL;
}

static const struct raft_peer_status *find_peer(const struct policy_view *v,
                                                raft_id id)
{
    for (size_t i = 0; i < v->peer_count; i++) {
        if (v->peers[i].id == id)
            return &v->peers[i];
    }
    return NULL;
}

/* ---- Who lives ---- */

/* When it was last heard of by raft in our term; 0: never. */
static px_ns heard_at(const struct policy_view *v, raft_id id)
{
    const struct raft_peer_status *p = find_peer(v, id);

    return p != NULL ? p->heard : 0;
}

static bool is_heard(const struct policy_settings *s,
                     const struct policy_view *v, raft_id id)
{
    px_ns heard = heard_at(v, id);

    return id == v->self || (heard != 0 && v->now <= heard + s->election);
}

/* Majorities are made of those that answer, and are whole. */
static bool is_counted(const struct policy_settings *s,
                       const struct policy_view *v, raft_id id)
{
    const struct raft_peer_status *p = find_peer(v, id);

    return is_heard(s, v, id) && (p == NULL || !p->is_faulty);
}

static bool is_held_for_dead(const struct policy_seen *seen)
{
    return seen != NULL &&
           (seen->state == SWIM_DEAD || seen->state == SWIM_LEFT);
}

/* Since when nobody has had a sign of it; PX_NS_NEVER: somebody has. Who leads
 * anew has heard of nobody yet, and what gossip shows is older. */
static px_ns gone_since(const struct policy_settings *s,
                        const struct policy_view *v, raft_id id)
{
    const struct policy_seen *seen = find_seen(v, id);
    px_ns heard = heard_at(v, id);
    px_ns since = v->leads_since;

    if (seen != NULL && seen->since > since)
        since = seen->since;
    if (is_heard(s, v, id))
        return PX_NS_NEVER;
    if (seen != NULL && !is_held_for_dead(seen) && seen->cluster == v->cluster)
        return PX_NS_NEVER; /* else it is another one, of the same name */
    return heard > since ? heard : since;
}

size_t policy_living_voters(const struct policy_settings *settings,
                            const struct policy_view *view)
{
    size_t count = 0;

    for (size_t i = 0; i < view->config->count; i++) {
        const struct raft_member *m = &view->config->members[i];

        count += m->role == RAFT_VOTER && is_counted(settings, view, m->id);
    }
    return count;
}

static bool is_majority(size_t count, size_t of)
{
    return count > of / 2;
}

bool policy_may_remove(const struct policy_settings *settings,
                       const struct policy_view *view, raft_id id)
{
    size_t voters = raft_config_voters(view->config);
    size_t living = policy_living_voters(settings, view);
    int at = raft_config_find(view->config, id);

    if (!is_majority(living, voters))
        return false;
    if (at < 0 || view->config->members[at].role != RAFT_VOTER)
        return true;
    return is_majority(living - is_counted(settings, view, id), voters - 1);
}

/* ---- What to do ---- */

/* Of the learners that have caught up, the one that lacks least. */
static struct policy_action promote(const struct policy_settings *s,
                                    const struct policy_view *v)
{
    struct policy_action action = nothing;
    raft_index best = 0;

    if (!s->auto_join || raft_config_voters(v->config) >= s->voters_max)
        return nothing;
    for (size_t i = 0; i < v->peer_count; i++) {
        const struct raft_peer_status *p = &v->peers[i];

        if (p->role != RAFT_LEARNER || !p->has_caught_up ||
            is_held_for_dead(find_seen(v, p->id)))
            continue;
        if (action.id != 0 && p->match <= best)
            continue;
        best = p->match;
        action = (struct policy_action){POLICY_PROMOTE, p->id};
    }
    return action;
}

/* Of those that are gone for long enough, the one that went first. */
static struct policy_action remove_gone(const struct policy_settings *s,
                                        const struct policy_view *v)
{
    struct policy_action action = nothing;
    px_ns oldest = PX_NS_NEVER;

    if (s->remove_after == 0)
        return nothing;
    for (size_t i = 0; i < v->config->count; i++) {
        raft_id id = v->config->members[i].id;
        px_ns since = gone_since(s, v, id);

        if (since >= oldest || v->now < since ||
            v->now - since < s->remove_after || !policy_may_remove(s, v, id))
            continue;
        oldest = since;
        action = (struct policy_action){POLICY_REMOVE, id};
    }
    return action;
}

static bool lives_in(enum swim_state state, uint64_t of, uint64_t cluster)
{
    return state == SWIM_ALIVE && of == cluster;
}

bool policy_is_candidate(const struct swim_member_info *info, uint64_t cluster)
{
    return lives_in(info->state, info->cluster, cluster);
}

static bool may_join(const struct policy_view *v,
                     const struct policy_seen *seen)
{
    return lives_in(seen->state, seen->cluster, v->cluster) &&
           !seen->was_removed && raft_config_find(v->config, seen->id) < 0;
}

/* Of those that may join, the one that has been there longest. */
static struct policy_action add(const struct policy_settings *s,
                                const struct policy_view *v)
{
    struct policy_action action = nothing;
    px_ns oldest = PX_NS_NEVER;

    if (!s->auto_join || v->config->count >= RAFT_MEMBERS_MAX)
        return nothing;
    for (size_t i = 0; i < v->seen_count; i++) {
        const struct policy_seen *seen = &v->seen[i];

        if (!may_join(v, seen) || seen->since >= oldest)
            continue;
        oldest = seen->since;
        action = (struct policy_action){POLICY_ADD, seen->id};
    }
    return action;
}

struct policy_action policy_decide(const struct policy_settings *settings,
                                   const struct policy_view *view)
{
    struct policy_action action;

    if (!view->is_settled)
        return nothing;
    action = promote(settings, view);
    if (action.what == POLICY_NOTHING)
        action = remove_gone(settings, view);
    if (action.what == POLICY_NOTHING)
        action = add(settings, view);
    return action;
}
