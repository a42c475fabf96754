/* What is known of each member, from three places: see members.h. */
#include "node/members.h"

#include <stdio.h>
#include <string.h>

#include "base/note.h"
#include "gossip/swim.h"
#include "raft/config.h"
#include "store/members.h"

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from); /* what is too long is cut */
}

/* ---- Each source ---- */

static void take_gossip(struct member *m, const struct members_from *from)
{
    struct swim_member_info info;

    m->gossip = "unknown";
    m->is_alive = m->is_self;
    if (!from->find(from->ctx, m->id, &info))
        return;
    m->gossip = swim_state_text(info.state);
    m->is_alive =
        m->is_self || info.state == SWIM_ALIVE || info.state == SWIM_SUSPECT;
    copy(m->zone, sizeof m->zone, info.zone);
}

static void take_name(struct member *m, const struct members_from *from)
{
    const char *name, *address;

    m->is_named = from->name(from->ctx, m->id, &name, &address);
    if (m->is_named) {
        copy(m->name, sizeof m->name, name);
        copy(m->address, sizeof m->address, address);
    } else {
        (void)snprintf(m->name, sizeof m->name, "%016llx",
                       (unsigned long long)m->id);
    }
}

static void take_progress(struct member *m, const struct members *all,
                          const struct members_from *from)
{
    if (all->status.role == RAFT_LEADER && m->is_self) {
        m->has_match = true;
        m->match = all->status.durable;
    }
    for (size_t i = 0; i < all->peer_count; i++) {
        const struct raft_peer_status *p = &all->peers[i];

        if (p->id != m->id)
            continue;
        m->has_match = true;
        m->match = p->match;
        m->is_faulty = p->is_faulty;
        if (p->heard != 0 && from->now <= p->heard + from->election)
            m->is_alive = true;
    }
}

/* ---- Together ---- */

void members_get(const struct members_from *from, struct members *out)
{
    memset(out, 0, sizeof *out);
    replica_get_status(from->replica, &out->status);
    out->is_settled = replica_get_config(from->replica, &out->config) &&
                      out->status.applied >= out->status.config;
    if (out->status.role == RAFT_LEADER)
        out->peer_count =
            replica_get_peers(from->replica, out->peers, RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < out->config.count; i++) {
        struct member *m = &out->list[i];

        m->id = out->config.members[i].id;
        m->role = out->config.members[i].role;
        m->is_self = m->id == out->status.id;
        m->is_leader = m->id == out->status.leader;
        take_name(m, from);
        take_gossip(m, from);
        take_progress(m, out, from);
    }
}

const char *members_role_text(enum raft_member_role role)
{
    return role == RAFT_VOTER ? "voter" : "learner";
}

const struct member *members_find(const struct members *m, raft_id id)
{
    int at = raft_config_find(&m->config, id);

    return at < 0 ? NULL : &m->list[at];
}

const struct member *members_leader(const struct members *m)
{
    return members_find(m, m->status.leader);
}

/* ---- A change ---- */

static void put(struct store_change *c, raft_id id, const char *name,
                const char *address)
{
    struct store_member *to = &c->list[c->count++];

    to->id = id;
    copy(to->name, sizeof to->name, name);
    copy(to->address, sizeof to->address, address);
}

int members_change(const struct members *m, enum raft_change_what what,
                   raft_id id, const char *name, const char *address,
                   struct raft_change *out)
{
    struct store_change c = {.removed = what == RAFT_REMOVE ? id : 0};

    *out = (struct raft_change){.what = what, .id = id};
    for (size_t i = 0; i < m->config.count; i++) {
        const struct member *old = &m->list[i];

        if (old->is_named)
            put(&c, old->id, old->name, old->address);
    }
    if (what == RAFT_ADD && members_find(m, id) == NULL &&
        c.count < RAFT_MEMBERS_MAX)
        put(&c, id, name, address);
    return store_change_encode(&c, &out->added);
}

void members_note(enum raft_change_what what, const char *name, const char *by)
{
    static const char *const done[] = {
        [RAFT_ADD] = "added",
        [RAFT_PROMOTE] = "promoted",
        [RAFT_REMOVE] = "removed",
    };

    px_note(PX_NOTE_INFO, "members: %s name=%s by=%s", done[what], name, by);
}
