/* The quota: how much the state may hold, the same on every replica.
 *
 * What counts is what the records cost, so that a million empty files or a
 * hole with a byte in each page can't fill a disk unseen:
 *
 *   an inode    STORE_INODE_COST      a name   STORE_NAME_COST
 *   a chunk     its bytes, and STORE_CHUNK_COST
 *
 * The costs are what LMDB takes for such records, rounded up, in pages that are
 * half full; of a name, whatever its length, so that a rename is never refused.
 * Inodes without a name and garbage count until they are gone. Sessions and
 * their results are bounded, and don't; nor do members, of which there are few.
 *
 * A command that would grow the state beyond its quota is refused, with
 * -ENOSPC, before it changes anything. One that grows nothing is applied at any
 * fill: removing, cutting, overwriting with no more, renaming.
 * docs/decisions/0006-quota.md weighs it. */
#ifndef STORE_ROOM_H
#define STORE_ROOM_H

#include "store/kv.h"

#define STORE_INODE_COST 512u
#define STORE_NAME_COST 512u
#define STORE_CHUNK_COST 128u

struct store_room {
    uint64_t quota; /* 0: none is set, everything fits */
    uint64_t used;
};

uint64_t store_record_cost(const MDB_val *key, const MDB_val *value);

/* Would @c take the state in @kv beyond its quota? False for a command that
 * will be refused for another reason. */
bool store_room_is_lacking(struct store_kv *kv, struct store_room room,
                           const struct command *c);

#endif
