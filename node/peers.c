#include "node/peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "gossip/udp.h"
#include "net/addr.h"

static struct peer *find(struct peers *p, raft_id id)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].id == id)
            return &p->list[i];
    }
    return NULL;
}

const struct peer *peers_find(const struct peers *p, raft_id id)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].id == id)
            return &p->list[i];
    }
    return NULL;
}

/* NULL: there is no room. */
static struct peer *know(struct peers *p, const char *name, const char *address)
{
    raft_id id = config_id_of(name);
    struct peer *peer = find(p, id);

    if (peer == NULL) {
        if (p->count == PEERS_MAX || strlen(name) > PX_NODE_ID_BYTES_MAX)
            return NULL;
        peer = &p->list[p->count++];
        *peer = (struct peer){.id = id};
        strcpy(peer->name, name); /* just measured */
    }
    if (address[0] != '\0' && strlen(address) <= PX_ADDRESS_BYTES_MAX)
        strcpy(peer->address, address); /* likewise */
    return peer;
}

void peers_know(struct peers *p, const char *name, const char *address)
{
    (void)know(p, name, address); /* or it is as if nobody had named it */
}

static void want(struct peers *p, struct peer *peer)
{
    if (peer->is_wanted)
        return;
    px_assert(p->wanted < NET_PEERS_MAX);
    peer->is_wanted = true;
    p->wanted++;
}

void peers_want(struct peers *p, const struct raft_config *config, raft_id self)
{
    for (size_t i = 0; i < config->count; i++) {
        struct peer *peer = find(p, config->members[i].id);

        if (peer != NULL && peer->id != self)
            want(p, peer);
    }
}

static bool is_living(const struct swim_member_info *m)
{
    return m->state == SWIM_ALIVE || m->state == SWIM_SUSPECT;
}

/* Who is on the loopback itself finds others there. */
static bool is_own_here(const struct swim_member_info *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].is_self)
            return swim_addr_is_loopback(&members[i].gossip);
    }
    return false;
}

static bool is_at_loopback(const char *address)
{
    struct net_addr addr;

    return net_addr_parse(address, &addr) == 0 && config_is_loopback(addr.host);
}

/* What it says of itself is an address, or nothing: nothing, too, if that is the
 * loopback, a better one is @known (or NULL), and we are not @here ourselves. It
 * does not know where it is yet, and we would reach ourselves. */
static const char *address_of(const struct swim_member_info *m,
                              const struct peer *known, bool here)
{
    struct net_addr addr;

    if (net_addr_parse(m->peer, &addr) < 0 || addr.host[0] == '\0')
        return "";
    if (!here && config_is_loopback(addr.host) && known != NULL &&
        known->address[0] != '\0' && !is_at_loopback(known->address))
        return "";
    return m->peer;
}

/* One that we know of may not have said yet that it is of this cluster, when it
 * has just been founded; were its disk empty, it would refuse us. */
static bool may_move(const struct swim_member_info *m, uint64_t cluster,
                     bool is_known)
{
    return m->cluster == cluster || (m->cluster == 0 && is_known);
}

void peers_hear(struct peers *p, const struct swim_member_info *members,
                size_t count, uint64_t cluster, raft_id self,
                bool (*was_removed)(void *ctx, raft_id id), void *ctx)
{
    const bool here = is_own_here(members, count);

    for (size_t i = 0; i < count; i++) {
        const struct swim_member_info *m = &members[i];
        raft_id id = config_id_of(m->id);
        struct peer *peer = find(p, id);
        bool is_known = peer != NULL;
        bool is_welcome;

        if (cluster == 0 || !may_move(m, cluster, is_known))
            continue;
        is_welcome = m->cluster == cluster && id != self && is_living(m) &&
                     p->wanted < NET_PEERS_MAX - RAFT_MEMBERS_MAX &&
                     (was_removed == NULL || !was_removed(ctx, id));
        if (!is_known && !is_welcome)
            continue;
        peer = know(p, m->id, address_of(m, peer, here));
        if (peer != NULL && is_welcome)
            want(p, peer);
    }
}

/* ---- Addresses as text ---- */

static void join(const char *host, uint16_t port,
                 char address_out[PX_ADDRESS_BYTES_MAX + 1])
{
    bool is_v6 = strchr(host, ':') != NULL;
    int n = snprintf(address_out, PX_ADDRESS_BYTES_MAX + 1, "%s%s%s:%u",
                     is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);

    if (n < 0 || n > (int)PX_ADDRESS_BYTES_MAX)
        address_out[0] = '\0'; /* better none than half of one */
}

static void ip_text(const struct swim_addr *addr, char out[INET6_ADDRSTRLEN])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(addr->ip, mapped, sizeof mapped) == 0;
    const char *text =
        is_v4 ? inet_ntop(AF_INET, addr->ip + sizeof mapped, out,
                          INET6_ADDRSTRLEN)
              : inet_ntop(AF_INET6, addr->ip, out, INET6_ADDRSTRLEN);

    px_assert(text != NULL); /* every address has one, and it fits */
}

void peers_gossip_text(const struct swim_addr *addr,
                       char text_out[PX_ADDRESS_BYTES_MAX + 1])
{
    char ip[INET6_ADDRSTRLEN];

    ip_text(addr, ip);
    join(ip, addr->port, text_out);
}

/* ---- Ourselves ---- */

static bool is_any(const char *host)
{
    return host[0] == '\0' || strcmp(host, "::") == 0 ||
           strcmp(host, "0.0.0.0") == 0;
}

/* What PEERS says of us, if that is another host than the one at which we listen,
 * else NULL. Between the two is a router that translates addresses, or a name; on
 * the same host, the port at which we listen is the newer word. */
static const char *address_elsewhere(const struct config *config,
                                     const char *listens_at)
{
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *own = &config->peers[i];
        struct net_addr addr;

        if (own->id == config->id && net_addr_parse(own->address, &addr) == 0 &&
            strcmp(addr.host, listens_at) != 0)
            return own->address;
    }
    return NULL;
}

bool peers_are_here(const struct swim_member_info *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!members[i].is_self && swim_addr_is_loopback(&members[i].gossip))
            return true;
    }
    return false;
}

/* Bound to any address, gossip is at the loopback for want of a better one. */
static bool is_stopgap(const struct config *config,
                       const struct swim_addr *gossip)
{
    struct swim_addr bound;

    return swim_addr_is_loopback(gossip) &&
           (swim_addr_parse(config->bind_addr, &bound) < 0 ||
            swim_addr_is_any(&bound));
}

void peers_own_address(const struct config *config, uint16_t port,
                       const struct swim_addr *gossip, bool are_here,
                       char address_out[PX_ADDRESS_BYTES_MAX + 1])
{
    const char *elsewhere;
    char ip[INET6_ADDRSTRLEN];
    struct net_addr grpc;
    int rc = net_addr_parse(config->grpc_addr, &grpc);

    px_assert(rc == 0); /* the configuration was checked */
    if (config->advertise[0] != '\0') {
        join(config->advertise, port, address_out);
        return;
    }
    elsewhere = address_elsewhere(config, grpc.host);
    if (elsewhere != NULL) {
        strcpy(address_out, elsewhere); /* of that size */
        return;
    }
    if (!is_any(grpc.host)) {
        join(grpc.host, port, address_out);
        return;
    }
    address_out[0] = '\0';
    if (gossip->port == 0 || (is_stopgap(config, gossip) && !are_here))
        return; /* not found out yet */
    ip_text(gossip, ip);
    join(ip, port, address_out);
}
