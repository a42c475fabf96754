/* In some worlds whose members change, the leader takes in who gossip brings,
 * and promotes who has caught up, by node/policy.h, as node/membership.c has it;
 * the administrator only removes. */
#include <string.h>

#include "node/policy.h"
#include "tests/sim/check.h"
#include "tests/sim/gossip_core.h"
#include "tests/sim/members_core.h"

static size_t number_named(const struct world *w, const char *name)
{
    size_t i = 0;

    while (i < w->server_count && strcmp(w->servers[i]->name, name) != 0)
        i++;
    return i; /* one of them: gossip_judge has looked */
}

static size_t look_around(struct server *s,
                          struct policy_seen seen[SERVERS_MAX])
{
    struct swim_member_info list[SERVERS_MAX];
    size_t count = swim_get_members(gossip_node(s)->swim, list, SERVERS_MAX);

    for (size_t i = 0; i < count; i++) {
        size_t number = number_named(s->world, list[i].id);

        seen[i] = (struct policy_seen){
            .id = number + 1,
            .state = list[i].state,
            .since = list[i].since,
            .cluster = list[i].cluster,
            .was_removed = check_was_removed(s, number),
        };
    }
    return count;
}

static struct policy_action decide(struct server *s,
                                   const struct raft_status *status,
                                   struct raft_config *config)
{
    const struct policy_settings settings = {
        .auto_join = true,
        .voters_max = SERVERS_MAX,
        .election = s->world->election,
    };
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
    struct policy_seen seen[SERVERS_MAX];
    bool is_committed = replica_get_config(s->replica, config);
    const struct policy_view view = {
        .now = gossip_now(s),
        .self = s->number + 1,
        .cluster = CLUSTER,
        .config = config,
        .is_settled = is_committed && status->applied >= status->config,
        .peers = peers,
        .peer_count = replica_get_peers(s->replica, peers, RAFT_MEMBERS_MAX),
        .seen = seen,
        .seen_count = look_around(s, seen),
    };

    return policy_decide(&settings, &view);
}

void gossip_policy(struct server *s)
{
    const struct members *m = s->world->members;
    struct step step = {.what = STEP_ADD};
    struct policy_action action;
    struct raft_status status;
    struct raft_config config;

    if (m == NULL || !m->has_policy || m->is_calm)
        return;
    replica_get_status(s->replica, &status);
    if (status.role != RAFT_LEADER)
        return;
    action = decide(s, &status, &config);
    if (action.what == POLICY_NOTHING)
        return;
    step.id = action.id;
    if (action.what == POLICY_PROMOTE)
        step.what = STEP_PROMOTE;
    /* He is careful for it: it does not know whose disks are bad, or lost. */
    if (step.what == STEP_ADD || members_is_careful(s->world, &config, step))
        members_ask(s, step, true);
}
