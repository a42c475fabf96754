#include "node/membership.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "node/admin.h"
#include "node/node_core.h"
#include "raft/config.h"
#include "store/members.h"

/* The members, and as many candidates: the others have their turn when these
 * have had theirs. */
#define SEEN_MAX (2 * RAFT_MEMBERS_MAX)

static px_ns election(const struct node *n)
{
    return n->config.election_ticks * n->config.tick;
}

/* ---- What is known ---- */

static bool find_name(void *ctx, raft_id id, const char **name_out,
                      const char **address_out)
{
    const struct node *n = ctx;
    const struct peer *p = peers_find(&n->peers, id);

    if (p == NULL && id != n->config.id)
        return false;
    *name_out = p != NULL ? p->name : n->config.node;
    *address_out = p != NULL ? p->address : n->gossip.about.peer;
    return true;
}

static bool find_seen(void *ctx, raft_id id, struct swim_member_info *out)
{
    const struct node *n = ctx;
    const char *name, *address;

    return n->gossip.udp != NULL && find_name(ctx, id, &name, &address) &&
           swim_find(swim_udp_swim(n->gossip.udp), name, out);
}

void membership_get(const struct node *n, struct members *out)
{
    const struct members_from from = {
        .ctx = (void *)(uintptr_t)n, /* only read */
        .replica = n->replica,
        .now = px_now(),
        .election = election(n),
        .name = find_name,
        .find = find_seen,
    };

    members_get(&from, out);
}

static int was_removed(void *ctx, raft_id id)
{
    struct node *n = ctx;
    int rc;

    if (n->view == NULL)
        return -EAGAIN;
    rc = store_view_begin(n->view);
    if (rc < 0)
        return rc;
    rc = store_view_was_removed(n->view, id);
    store_view_end(n->view);
    return rc;
}

/* ---- The policy ---- */

static bool may_join(const struct node *n, const struct swim_member_info *info)
{
    return policy_is_candidate(info, n->identity.cluster) &&
           config_is_name(info->id, strlen(info->id));
}

/* Who is said to have been removed because that can't be read is not added now:
 * a second later it may be read. */
static struct policy_seen see(struct node *n,
                              const struct swim_member_info *info, raft_id id,
                              bool is_member)
{
    return (struct policy_seen){
        .id = id,
        .state = info->state,
        .since = info->since,
        .cluster = info->cluster,
        .was_removed = !is_member && was_removed(n, id) != 0,
    };
}

/* All members that gossip knows, wherever they are in its list, and as many
 * candidates: one that is alive must not be held for gone because others wait. */
static size_t look_around(struct node *n, const struct members *m,
                          struct policy_seen seen[SEEN_MAX])
{
    const struct swim_member_info *list;
    size_t total = gossip_members(n, &list);
    size_t count = 0, candidates = 0;

    /* A forged name may have a member's id: hence the bound. */
    for (size_t i = 0; i < total && count < SEEN_MAX; i++) {
        raft_id id = config_id_of(list[i].id);
        bool is_member = raft_config_find(&m->config, id) >= 0;

        if (!is_member &&
            (candidates == RAFT_MEMBERS_MAX || !may_join(n, &list[i])))
            continue;
        candidates += !is_member;
        seen[count++] = see(n, &list[i], id, is_member);
    }
    return count;
}

static struct policy_action decide(struct node *n, const struct members *m,
                                   px_ns now)
{
    const struct policy_settings settings = {
        .auto_join = n->config.auto_join,
        .voters_max = n->config.max_voters,
        .remove_after = n->config.auto_remove_after,
        .election = election(n),
    };
    struct policy_seen seen[SEEN_MAX];
    const struct policy_view view = {
        .now = now,
        .leads_since = n->membership.leads_since,
        .self = n->config.id,
        .cluster = n->identity.cluster,
        .config = &m->config,
        .is_settled = m->is_settled,
        .peers = m->peers,
        .peer_count = m->peer_count,
        .seen = seen,
        .seen_count = look_around(n, m, seen),
    };

    return policy_decide(&settings, &view);
}

/* What is refused for the moment is tried again in a second, without a word. */
static void on_settled(struct replica_change_wait *w, int rc)
{
    struct node *n = px_list_entry(w, struct node, membership.wait);
    struct membership *own = &n->membership;

    own->is_waiting = false;
    if (rc == 0)
        members_note(own->change.what, own->name, "leader");
    if (rc == 0 || rc == -EAGAIN || rc == -EBUSY || rc == -PX_ENOTLEADER ||
        own->noted == own->change.id)
        return;
    own->noted = own->change.id;
    px_note(PX_NOTE_WARN, "members: no change for name=%s: %s", own->name,
            px_strerror(rc));
}

/* The policy's word for raft's. */
static enum raft_change_what change_of(enum policy_what what)
{
    switch (what) {
    case POLICY_ADD:
        return RAFT_ADD;
    case POLICY_PROMOTE:
        return RAFT_PROMOTE;
    case POLICY_NOTHING: /* asked of no such action */
    case POLICY_REMOVE:
        break;
    }
    return RAFT_REMOVE;
}

static void act(struct node *n, const struct members *m,
                const struct policy_action *action, px_ns now)
{
    struct membership *own = &n->membership;
    const struct member *who = members_find(m, action->id);
    const char *name = "", *address = "";
    int rc;

    if (who != NULL)
        name = who->name;
    else if (!find_name(n, action->id, &name, &address))
        return; /* gossip has just brought it: in a second, it is known */
    (void)snprintf(own->name, sizeof own->name, "%s", name); /* it fits */
    rc = members_change(m, change_of(action->what), action->id, name, address,
                        &own->change);
    own->is_waiting = true;
    own->wait = (struct replica_change_wait){
        .deadline = now + n->config.request_timeout, .done = on_settled};
    if (rc < 0) {
        on_settled(&own->wait, rc);
        return;
    }
    replica_change(n->replica, &own->wait, &own->change);
    px_slice_unref(&own->change.added);
}

void policy_turn(struct node *n, px_ns now)
{
    struct membership *own = &n->membership;
    struct policy_action action;
    struct members m;

    if (n->replica == NULL)
        return;
    membership_get(n, &m);
    if (m.status.role != RAFT_LEADER) {
        own->term = 0;
        return;
    }
    if (own->term != m.status.term) {
        own->term = m.status.term;
        own->leads_since = now;
    }
    if (own->is_waiting)
        return;
    action = decide(n, &m, now);
    if (action.what != POLICY_NOTHING)
        act(n, &m, &action, now);
}

/* ---- What admins ask ---- */

static px_ns admin_now(void *ctx)
{
    (void)ctx; /* there is one clock */
    return px_now();
}

static void on_reply(void *ctx, uint64_t token, const struct net_admin_reply *r)
{
    struct node *n = ctx;

    if (n->net != NULL) /* nobody is told any more */
        net_admin_reply(n->net, token, r);
}

static void get_members(void *ctx, struct members *out)
{
    membership_get(ctx, out);
}

static size_t get_seen(void *ctx, const struct swim_member_info **list_out)
{
    return gossip_members(ctx, list_out);
}

static bool find_any(void *ctx, raft_id id, struct swim_member_info *out)
{
    return gossip_find(ctx, id, out);
}

static int make_admin(struct node *n)
{
    const struct admin_options options = {
        .replica = n->replica,
        .now = admin_now,
        .id_of = config_id_of,
        .timeout = n->config.request_timeout,
        .election = election(n),
        .cluster = n->identity.cluster,
    };
    const struct admin_io io = {
        .ctx = n,
        .reply = on_reply,
        .members = get_members,
        .was_removed = was_removed,
        .find = find_any,
        .seen = get_seen,
    };

    return admin_new(&options, &io, &n->membership.admin);
}

static void refuse(struct node *n, uint64_t token, int rc, const char *text)
{
    struct net_admin_reply reply = {.rc = rc};

    (void)snprintf(reply.text, sizeof reply.text, "%s", text); /* it fits */
    net_admin_reply(n->net, token, &reply);
}

void membership_ask(struct node *n, uint64_t token, const struct net_admin *q)
{
    int rc = 0;

    if (n->replica == NULL) {
        refuse(n, token, -EAGAIN,
               "this node is of no cluster yet: /health says what it waits "
               "for");
        return;
    }
    if (n->membership.admin == NULL)
        rc = make_admin(n);
    if (rc < 0)
        refuse(n, token, rc, px_strerror(rc));
    else
        admin_ask(n->membership.admin, token, q);
}

void membership_close(struct node *n)
{
    admin_free(n->membership.admin);
    n->membership.admin = NULL;
}
