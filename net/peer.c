/* What is known of each peer, and which of its two lanes a message takes. In
 * the life of a write: the leader's entries leave here for each follower, on
 * the bulk lane; a follower's "I hold them" comes back on an urgent one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/core.h"

struct net_peer *net_peer_find(const struct net *n, raft_id id)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i]->id == id)
            return n->peers[i];
    }
    return NULL;
}

struct net_lane *net_peer_lane(struct net_peer *p, enum net_class class)
{
    return &p->lanes[class - 1];
}

static int peer_new(struct net *n, raft_id id, const char *name,
                    const char *address, struct net_peer **peer_out)
{
    struct net_peer *p = calloc(1, sizeof *p);
    int rc = -EINVAL;

    if (p == NULL)
        return -ENOMEM;
    p->net = n;
    p->id = id;
    if (strlen(name) >= sizeof p->name || strlen(address) >= sizeof p->address)
        goto fail;
    (void)strcpy(p->name, name);       /* just measured */
    (void)strcpy(p->address, address); /* just measured */
    rc = net_addr_parse(address, &p->addr);
    if (rc == 0 && p->addr.host[0] == '\0')
        rc = -EINVAL; /* "any" is nothing to dial */
    if (rc < 0)
        goto fail;
    net_lane_init(net_peer_lane(p, NET_URGENT), p, NET_URGENT);
    net_lane_init(net_peer_lane(p, NET_BULK), p, NET_BULK);
    *peer_out = p;
    return 0;
fail:
    free(p);
    return rc;
}

int net_add_peer(struct net *n, raft_id id, const char *name,
                 const char *address)
{
    struct net_peer *p;
    int rc;

    px_assert(!n->is_closing);
    if (id == 0 || id == n->options.id)
        return -EINVAL;
    if (net_peer_find(n, id) != NULL)
        return -EEXIST;
    if (n->peer_count == NET_PEERS_MAX)
        return -ENOSPC;
    rc = peer_new(n, id, name, address, &p);
    if (rc < 0)
        return rc;
    n->peers[n->peer_count++] = p;
    net_lane_start(net_peer_lane(p, NET_BULK));
    net_lane_start(net_peer_lane(p, NET_URGENT));
    return 0;
}

/* Small appends go by bulk too: they must not overtake large ones. */
static enum net_class class_of(enum raft_msg_type type)
{
    return type == RAFT_MSG_APPEND ? NET_BULK : NET_URGENT;
}

/* The lane to @to, if it could take a frame right now. */
static int find_lane(struct net *n, raft_id to, enum net_class class,
                     struct net_lane **lane_out)
{
    struct net_peer *p = net_peer_find(n, to);

    if (p == NULL)
        return -ENOTCONN;
    *lane_out = net_peer_lane(p, class);
    if ((*lane_out)->state == NET_LANE_UP)
        return 0;
    p->dropped++;
    return -ENOTCONN;
}

static int submit(struct net_lane *l, struct net_frame *f)
{
    if (f == NULL) { /* no memory for it */
        l->peer->dropped++;
        return -EAGAIN;
    }
    return net_lane_send(l, f);
}

int net_send_raft(struct net *n, const struct raft_msg *msg)
{
    struct net_lane *l;
    int rc = find_lane(n, msg->to, class_of(msg->type), &l);

    return rc < 0 ? rc : submit(l, net_encode_raft(msg));
}

int net_send_forward(struct net *n, raft_id to, const struct net_forward *f)
{
    struct net_lane *l;
    int rc = find_lane(n, to, NET_BULK, &l);

    return rc < 0 ? rc : submit(l, net_encode_forward(f));
}

int net_send_forward_refused(struct net *n, raft_id to,
                             const struct net_forward_refused *f)
{
    struct net_lane *l;
    int rc = find_lane(n, to, NET_URGENT, &l);

    return rc < 0 ? rc : submit(l, net_encode_forward_refused(f));
}

int net_send_snapshot(struct net *n, raft_id to, const struct net_snapshot *s)
{
    struct net_lane *l;
    int rc = find_lane(n, to, NET_BULK, &l);

    return rc < 0 ? rc : submit(l, net_encode_snapshot(s));
}

static bool is_up(const struct net_peer *p)
{
    for (size_t c = 0; c < NET_CLASSES; c++) {
        if (p->lanes[c].state != NET_LANE_UP)
            return false;
    }
    return true;
}

size_t net_get_peers(const struct net *n, struct net_peer_info *out, size_t max)
{
    for (size_t i = 0; i < n->peer_count && i < max; i++) {
        const struct net_peer *p = n->peers[i];

        out[i] = (struct net_peer_info){.id = p->id,
                                        .name = p->name,
                                        .address = p->address,
                                        .is_connected = is_up(p),
                                        .frames_out = p->frames_out,
                                        .bytes_out = p->bytes_out,
                                        .frames_in = p->frames_in,
                                        .bytes_in = p->bytes_in,
                                        .dropped = p->dropped,
                                        .dials = p->dials};
    }
    return n->peer_count;
}
