/* Gossip in the server: what this node says of itself, and what follows from what
 * others say.
 *
 *   events ─▶ is_changed ─▶ at the next turn: addresses to net, the first
 *                           cluster (begin.c)
 *   second ─▶ policy, what has changed without an event, what is to be noted
 *
 * Gossip advises: it adds connections and addresses. Who votes is the log's
 * alone, and a member of the configuration stays a peer whatever gossip says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/rand.h"
#include "node/node_core.h"
#include "store/members.h"

/* A restart without its disk makes some; a second node makes them for ever. */
#define NAMESAKES_NOTED 16u

/* ---- What others say ---- */

bool gossip_find(const struct node *n, raft_id id, struct swim_member_info *out)
{
    const struct swim_member_info *list;
    size_t count = gossip_members(n, &list);

    for (size_t i = 0; i < count; i++) {
        if (config_id_of(list[i].id) == id) {
            *out = list[i];
            return true;
        }
    }
    return false;
}

size_t gossip_members(const struct node *n,
                      const struct swim_member_info **list_out)
{
    const struct gossip *g = &n->gossip;

    *list_out = g->members;
    if (g->udp == NULL)
        return 0;
    return swim_get_members(swim_udp_swim(g->udp), g->members,
                            SWIM_MEMBERS_MAX);
}

/* Two clusters that hear each other under one name: either name is wrong. */
static void note_foreign(struct node *n, const struct swim_member_info *m)
{
    uint64_t own = n->gossip.about.cluster;

    if (own == 0 || m->cluster == 0 || m->cluster == own ||
        m->cluster == n->gossip.foreign_noted)
        return;
    n->gossip.foreign_noted = m->cluster;
    px_note(PX_NOTE_WARN,
            "gossip: node=%s at %s is of cluster=%016llx, we are of %016llx, "
            "and both are named \"%s\": give one of them another CLUSTER",
            m->id, m->peer, (unsigned long long)m->cluster,
            (unsigned long long)own, n->config.cluster_name);
}

static void on_event(void *ctx, const struct swim_event *event)
{
    struct node *n = ctx;
    const struct swim_member_info *m = &event->member;
    enum px_note_level level = PX_NOTE_INFO;

    n->gossip.is_changed = true;
    if (event->type == SWIM_EVENT_SUSPECT || event->type == SWIM_EVENT_CHANGED)
        level = PX_NOTE_DEBUG;
    px_note(level, "gossip: %s node=%s address=%s",
            swim_event_text(event->type), m->id,
            m->peer[0] != '\0' ? m->peer : "-");
    if (event->type == SWIM_EVENT_ALIVE || event->type == SWIM_EVENT_CHANGED)
        note_foreign(n, m);
}

/* ---- What we say ---- */

static enum swim_role own_role(const struct node *n)
{
    struct raft_config config;

    if (n->replica == NULL)
        return SWIM_ROLE_NONE;
    (void)replica_get_config(n->replica, &config); /* committed or not */
    for (size_t i = 0; i < config.count; i++) {
        if (config.members[i].id == n->config.id)
            return config.members[i].role == RAFT_VOTER ? SWIM_ROLE_VOTER
                                                        : SWIM_ROLE_LEARNER;
    }
    return SWIM_ROLE_NONE;
}

static struct swim_addr own_gossip(const struct node *n)
{
    struct swim_member_info self = {.id = NULL};

    if (n->gossip.udp != NULL)
        px_assert(swim_find(swim_udp_swim(n->gossip.udp), n->config.node,
                            &self)); /* we are in our own table */
    return self.gossip;
}

static void fill_peer(const struct node *n, const struct swim_addr *at,
                      char peer_out[PX_ADDRESS_BYTES_MAX + 1])
{
    const struct swim_member_info *list;
    size_t count = gossip_members(n, &list);

    peers_own_address(&n->config, net_port(n->net), at,
                      peers_are_here(list, count), peer_out);
}

static void fill_about(const struct node *n, struct swim_about *about)
{
    struct swim_addr at = own_gossip(n);

    *about = (struct swim_about){
        .role = own_role(n),
        .protocol = NET_PROTOCOL_VERSION,
        .expect = (uint8_t)n->config.bootstrap_expect,
        .cluster = n->replica != NULL ? n->identity.cluster : 0,
        .view = n->gossip.view,
    };
    fill_peer(n, &at, about->peer);
    strcpy(about->zone, n->config.region); /* of one size */
}

static bool is_same(const struct swim_about *a, const struct swim_about *b)
{
    return strcmp(a->peer, b->peer) == 0 && strcmp(a->zone, b->zone) == 0 &&
           a->role == b->role && a->protocol == b->protocol &&
           a->expect == b->expect && a->cluster == b->cluster &&
           a->view == b->view;
}

/* Where gossip is found, peers dial us, too. */
static void on_found(void *ctx, struct swim_about *about)
{
    struct node *n = ctx;

    fill_peer(n, &about->gossip, about->peer);
    strcpy(n->gossip.about.peer, about->peer); /* of one size */
}

void gossip_say(struct node *n)
{
    struct swim_about about;

    fill_about(n, &about);
    if (is_same(&about, &n->gossip.about))
        return;
    n->gossip.about = about;
    if (swim_udp_say(n->gossip.udp, &about) == -EINVAL)
        px_note(PX_NOTE_WARN, "gossip: can't say that we are at %s",
                about.peer);
}

/* ---- Connections ---- */

static bool was_removed(void *ctx, raft_id id)
{
    return store_view_was_removed(ctx, id) == 1;
}

/* All names and addresses that are known, worst first. */
static void collect(struct node *n, struct peers *p)
{
    const struct swim_member_info *list;
    size_t count = gossip_members(n, &list);
    bool has_view = n->view != NULL && store_view_begin(n->view) == 0;
    struct store_members members = {.count = 0};
    struct raft_config config;

    p->count = p->wanted = 0;
    known_tell(n, p);
    for (size_t i = 0; i < n->config.peer_count; i++)
        peers_know(p, n->config.peers[i].name, n->config.peers[i].address);
    for (size_t i = 0; i < n->identity.voter_count; i++)
        peers_know(p, n->identity.voters[i], "");
    if (has_view && store_view_members(n->view, &members) == 0) {
        for (size_t i = 0; i < members.count; i++)
            if (members.list[i].name[0] != '\0')
                peers_know(p, members.list[i].name, members.list[i].address);
    }
    peers_hear(p, list, count, n->identity.cluster, n->config.id,
               has_view ? was_removed : NULL, n->view);
    if (has_view)
        store_view_end(n->view);
    (void)replica_get_config(n->replica, &config); /* committed or not */
    peers_want(p, &config, n->config.id);
}

static void drop_unwanted(struct node *n)
{
    struct net_peer_info links[NET_PEERS_MAX];
    size_t count = net_get_peers(n->net, links, NET_PEERS_MAX);

    for (size_t i = 0; i < count; i++) {
        const struct peer *p = peers_find(&n->peers, links[i].id);

        if (p != NULL && p->is_wanted)
            continue;
        px_note(PX_NOTE_INFO, "net: no peer any more: peer=%s", links[i].name);
        net_remove_peer(n->net, links[i].id);
    }
}

static void dial(struct node *n, const struct peer *p)
{
    int rc;

    if (!net_has_peer(n->net, p->id))
        rc = net_add_peer(n->net, p->id, p->name, p->address);
    else if (p->address[0] != '\0')
        rc = net_set_address(n->net, p->id, p->address);
    else
        rc = 0;
    if (rc < 0)
        px_note(PX_NOTE_WARN, "net: can't be a peer: peer=%s address=%s: %s",
                p->name, p->address, px_strerror(rc));
}

void gossip_refresh_peers(struct node *n)
{
    collect(n, &n->peers);
    drop_unwanted(n);
    for (size_t i = 0; i < n->peers.count; i++) {
        if (n->peers.list[i].is_wanted)
            dial(n, &n->peers.list[i]);
    }
}

const char *peers_name(const struct node *n, raft_id id)
{
    const struct peer *p = peers_find(&n->peers, id);

    if (id == n->config.id)
        return n->config.node;
    return p != NULL ? p->name : "none";
}

const char *peers_address(const struct node *n, raft_id id)
{
    const struct peer *p = peers_find(&n->peers, id);

    return p != NULL ? p->address : "";
}

/* ---- Turns ---- */

static void note_namesakes(struct node *n)
{
    struct swim_status s;

    swim_get_status(swim_udp_swim(n->gossip.udp), &s);
    if (n->gossip.is_namesake_noted || s.counters.namesakes < NAMESAKES_NOTED)
        return;
    n->gossip.is_namesake_noted = true;
    px_note(PX_NOTE_WARN,
            "gossip: another node says that it is \"%s\": give one of them "
            "another NODE_ID",
            n->config.node);
}

void gossip_turn(struct node *n)
{
    n->gossip.is_changed = false;
    gossip_say(n);
    if (n->replica != NULL)
        gossip_refresh_peers(n);
}

void gossip_second(struct node *n)
{
    n->gossip.is_changed = true;
    note_namesakes(n);
    known_second(n);
}

/* ---- Life ---- */

static px_ns now_of(void *ctx)
{
    (void)ctx; /* there is one clock */
    return px_now();
}

static void reserved(struct node *n, swim_incarnation incarnation)
{
    if (incarnation <= n->gossip.reserved)
        return;
    n->gossip.reserved = incarnation;
    swim_udp_reserved(n->gossip.udp, incarnation);
}

/* A node that has no identity yet has nothing to be kept with it: after a
 * restart it begins above, by the clock on the wall (open.c). While one is being
 * written, for want of room again and again, there may be one already. */
static void on_reserve(void *ctx, swim_incarnation incarnation)
{
    struct node *n = ctx;

    n->identity.gossip_reserve = incarnation;
    if (n->keep.has_identity || n->keep.is_busy || n->keep.is_disk_full)
        keep_identity(n);
    else
        reserved(n, incarnation);
}

void gossip_on_kept(struct node *n)
{
    if (n->gossip.udp != NULL)
        reserved(n, n->keep.durable.gossip_reserve);
}

static void on_left(void *ctx)
{
    struct node *n = ctx;

    n->gossip.has_left = true;
}

/* A word that is an IP address also tells where gossip is reached. */
static struct swim_addr advertised(const struct config *c)
{
    struct swim_addr addr = {.port = 0};

    if (swim_addr_parse(c->advertise, &addr) < 0)
        return (struct swim_addr){.port = 0};
    return addr;
}

int gossip_open(struct node *n, char *why, size_t why_size)
{
    const struct config *c = &n->config;
    struct swim_seed seeds[SWIM_SEED_NAMES_MAX];
    struct swim_addr known[RAFT_MEMBERS_MAX];
    struct swim_udp_options o = {
        .loop = &n->loop,
        .bind_addr = c->bind_addr,
        .bind_port = c->bind_port,
        .seeds = seeds,
        .seed_count = c->seed_count,
        .known = known,
        .known_count = known_gossip(n, known),
        .swim = {.id = c->node,
                 .label = c->cluster_name,
                 .settings = swim_settings_of_tick(c->tick),
                 .seed = px_djb2(c->node, strlen(c->node)),
                 .incarnation = n->identity.gossip_reserve},
        .handler = {n, now_of, on_event, on_found, on_reserve, on_left},
    };

    for (size_t i = 0; i < c->seed_count; i++)
        seeds[i] = (struct swim_seed){c->seeds[i].host, c->seeds[i].port};
    n->gossip.members = calloc(SWIM_MEMBERS_MAX, sizeof n->gossip.members[0]);
    if (n->gossip.members == NULL)
        return -ENOMEM;
    fill_about(n, &o.swim.about);
    n->gossip.about = o.swim.about;
    n->gossip.reserved = n->identity.gossip_reserve;
    n->gossip.is_changed = true;
    o.swim.about.gossip = advertised(c);
    o.stream_timeout = 2 * o.swim.settings.probe_interval;
    return swim_udp_open(&o, &n->gossip.udp, why, why_size);
}

void gossip_leave(struct node *n)
{
    if (n->gossip.udp != NULL)
        swim_udp_leave(n->gossip.udp);
    else
        n->gossip.has_left = true;
}

void gossip_close(struct node *n)
{
    struct swim_udp *udp = n->gossip.udp;

    n->gossip.udp = NULL;
    if (udp != NULL) {
        n->closing++;
        swim_udp_close(udp, node_on_part_closed, n);
    }
}
