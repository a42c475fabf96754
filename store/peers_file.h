/* Where the other members were last: names and addresses for a start that knows
 * them by their numbers alone, because the state has to be built anew from the
 * log, and that nobody who is left tells of the others.
 *
 * Advice: it says nothing of who is a member, and may be old, or missing.
 *
 * Thread: any; one writer at a time. */
#ifndef STORE_PEERS_FILE_H
#define STORE_PEERS_FILE_H

#include "base/limits.h"
#include "store/disk.h"

#define STORE_PEERS_FORMAT 1

struct store_peer {
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* host:port; empty: not known */
    char gossip[PX_ADDRESS_BYTES_MAX + 1];  /* IP:port; empty: not known */
};

struct store_peers {
    uint64_t cluster; /* whose members they are; never 0 */
    size_t count;
    struct store_peer list[RAFT_MEMBERS_MAX];
};

/* -ENOENT: there is none. -PX_EFORMAT: not the one that we know. -PX_ECORRUPT.
 * -errno. */
int peers_file_read(struct store_disk *disk, struct store_peers *out);
/* Replaces the file by one that peers_file_read would take. Durable on return.
 * -errno: there is the old one, or the new one. */
int peers_file_write(struct store_disk *disk, const struct store_peers *p);

#endif
