/* What is known of each peer, how it comes and goes, and which of its two lanes
 * a message takes. In the life of a write: the leader's entries leave here for each follower, on
 * the bulk lane; a follower's "I hold them" comes back on an urgent one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/note.h"
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

bool net_has_peer(const struct net *n, raft_id id)
{
    return net_peer_find(n, id) != NULL;
}

/* ---- How long it lives: core.h, L1 to L3 ---- */

bool net_peer_is_over(const struct net_peer *p)
{
    return p->is_leaving || p->net->is_closing;
}

void net_peer_hold(struct net_peer *p)
{
    px_assert(!net_peer_is_over(p)); /* nothing begins any more */
    p->handles++;
    net_hold(p->net);
}

void net_peer_release(struct net_peer *p)
{
    struct net *n = p->net;

    px_assert(p->handles > 0);
    p->handles--;
    if (p->handles == 0 && p->is_leaving) {
        px_assert(n->leaving_count > 0);
        n->leaving_count--;
        net_peer_free(p);
    }
    net_release(n);
}

void net_peer_free(struct net_peer *p)
{
    px_assert(p->handles == 0);     /* L1 */
    px_assert(net_peer_is_over(p)); /* L1 */
    for (size_t c = 0; c < NET_CLASSES; c++) {
        px_assert(p->in[c] == NULL); /* L3 */
        net_lane_fini(&p->lanes[c]);
    }
    free(p);
}

/* ---- Coming, moving, going ---- */

/* NULL and "": not known yet, port 0. */
static int parse_address(const char *address, struct net_addr *out)
{
    int rc;

    *out = (struct net_addr){0};
    if (address == NULL || address[0] == '\0')
        return 0;
    if (strlen(address) > PX_ADDRESS_BYTES_MAX)
        return -EINVAL;
    rc = net_addr_parse(address, out);
    if (rc == 0 && out->host[0] == '\0')
        rc = -EINVAL; /* "any" is nothing to dial */
    return rc;
}

static int peer_new(struct net *n, raft_id id, const char *name,
                    const char *address, struct net_peer **peer_out)
{
    struct net_addr addr;
    struct net_peer *p;
    int rc = parse_address(address, &addr);

    if (rc < 0)
        return rc;
    if (strlen(name) >= sizeof p->name)
        return -EINVAL;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    p->net = n;
    p->id = id;
    p->addr = addr;
    (void)strcpy(p->name, name); /* just measured */
    if (addr.port != 0)
        (void)strcpy(p->address, address); /* was measured */
    net_lane_init(net_peer_lane(p, NET_URGENT), p, NET_URGENT);
    net_lane_init(net_peer_lane(p, NET_BULK), p, NET_BULK);
    *peer_out = p;
    return 0;
}

int net_add_peer(struct net *n, raft_id id, const char *name,
                 const char *address)
{
    struct net_peer *p;
    int rc;

    px_assert(!n->is_closing);
    px_assert(!n->is_judging); /* L5 */
    if (id == 0 || id == n->options.id)
        return -EINVAL;
    if (net_peer_find(n, id) != NULL)
        return -EEXIST;
    if (n->peer_count == NET_PEERS_MAX || n->leaving_count >= NET_PEERS_MAX)
        return -ENOSPC;
    rc = peer_new(n, id, name, address, &p);
    if (rc < 0)
        return rc;
    n->peers[n->peer_count++] = p;
    net_lane_start(net_peer_lane(p, NET_BULK));
    net_lane_start(net_peer_lane(p, NET_URGENT));
    return 0;
}

int net_set_address(struct net *n, raft_id id, const char *address)
{
    struct net_peer *p = net_peer_find(n, id);
    struct net_addr addr;
    int rc = parse_address(address, &addr);

    px_assert(!n->is_closing);
    px_assert(!n->is_judging); /* L5 */
    if (p == NULL)
        return -ENOENT;
    if (rc < 0 || addr.port == 0)
        return -EINVAL;
    if (strcmp(p->address, address) == 0)
        return 0;
    px_note(PX_NOTE_INFO, "net: address of peer=%s from=%s to=%s", p->name,
            p->address[0] != '\0' ? p->address : "nowhere", address);
    (void)strcpy(p->address, address); /* was measured */
    p->addr = addr;
    net_lane_redial(net_peer_lane(p, NET_BULK));
    net_lane_redial(net_peer_lane(p, NET_URGENT));
    return 0;
}

void net_remove_peer(struct net *n, raft_id id)
{
    struct net_peer *p = NULL;
    size_t i = 0;

    px_assert(!n->is_closing);
    px_assert(!n->is_judging); /* L5 */
    while (i < n->peer_count && n->peers[i]->id != id)
        i++;
    if (i == n->peer_count)
        return;
    p = n->peers[i];
    n->peer_count--;
    memmove(&n->peers[i], &n->peers[i + 1],
            (n->peer_count - i) * sizeof n->peers[0]);
    p->is_leaving = true;
    n->leaving_count++;
    net_listen_drop(p);
    net_lane_close(net_peer_lane(p, NET_BULK));
    net_lane_close(net_peer_lane(p, NET_URGENT));
    px_assert(p->handles >= NET_CLASSES); /* L2: the timers' */
}

/* ---- Sending ---- */

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

/* ---- Showing ---- */

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
