/* Who is who, and where: names and addresses of all that this node knows, from
 * five sources, the later the better:
 *
 *   the file `peers`           what this node kept of the others (known.c)
 *   PEERS, the first voters    what a person wrote, once
 *   the members in the state   as of the last change of members
 *   gossip                     what each says of itself: now
 *
 * and with whom it keeps connections: the members of the configuration in force,
 * whether gossip knows them or not, and what lives in our cluster besides, to be
 * taken in, or to be told that it was removed.
 *
 * Thread: any; nothing here is shared. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "gossip/types.h"
#include "node/config.h"
#include "raft/types.h"

static_assert(NET_PEERS_MAX > RAFT_MEMBERS_MAX,
              "others than members are there");
#define PEERS_MAX (4 * RAFT_MEMBERS_MAX + NET_PEERS_MAX)

struct peer {
    raft_id id;
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: not known */
    bool is_wanted;                         /* a connection with it is */
};

struct peers {
    size_t count;
    size_t wanted; /* <= NET_PEERS_MAX */
    struct peer list[PEERS_MAX];
};

/* A name that is known, and its address, or "". Of what is beyond PEERS_MAX
 * nothing is known. */
void peers_know(struct peers *p, const char *name, const char *address);
/* All that gossip has of @cluster: new ones if they live, were not removed
 * (@was_removed may be NULL), and leave room for the members; of those that are
 * known the address, unless it is the loopback, where another was known, and we
 * are not there ourselves. */
void peers_hear(struct peers *p, const struct swim_member_info *members,
                size_t count, uint64_t cluster, raft_id self,
                bool (*was_removed)(void *ctx, raft_id id), void *ctx);
/* The members of @config whose names are known. Once. */
void peers_want(struct peers *p, const struct raft_config *config,
                raft_id self);
/* NULL: not known. */
const struct peer *peers_find(const struct peers *p, raft_id id);

/* An address of gossip: IP:port, the IP of version 6 in brackets. */
void peers_gossip_text(const struct swim_addr *addr,
                       char text_out[PX_ADDRESS_BYTES_MAX + 1]);

/* Has gossip found others on the loopback? Then they are on this machine. */
bool peers_are_here(const struct swim_member_info *members, size_t count);
/* Where others are to dial us: ADVERTISE, or what PEERS says of us if that is
 * another host than GRPC_ADDR's, or the host of GRPC_ADDR if it is one, or the
 * address at which gossip is reached. Empty while that is not known: the loopback
 * in its place is an answer only where the others are on this machine (@are_here).
 * @port: where we listen. */
void peers_own_address(const struct config *config, uint16_t port,
                       const struct swim_addr *gossip, bool are_here,
                       char address_out[PX_ADDRESS_BYTES_MAX + 1]);

#endif
