/* A configuration as the data of an entry: who is a member, and as what.
 *
 *   count 1 │ count × (id 8, role 1) │ whatever the proposer has added
 *
 * Little-endian. What was added is the state machine's (a member's name and
 * address, say); raft keeps it and never looks. */
#ifndef RAFT_CONFIG_H
#define RAFT_CONFIG_H

#include "raft/types.h"

#define RAFT_CONFIG_BYTES_MAX (1 + RAFT_MEMBERS_MAX * 9)

/* At most RAFT_MEMBERS_MAX, each once, with a role that there is. */
bool raft_config_is_sound(const struct raft_config *config);
size_t raft_config_voters(const struct raft_config *config);
/* Its place in @config; -1: not a member. */
int raft_config_find(const struct raft_config *config, raft_id id);

/* How many bytes it takes. */
size_t raft_config_encode(const struct raft_config *config,
                          uint8_t bytes[RAFT_CONFIG_BYTES_MAX]);
/* How many bytes it took: what is left was added. -EINVAL: not a configuration
 * that could be in force, which has a voter. */
int raft_config_decode(struct px_slice data, struct raft_config *config_out);

#endif
