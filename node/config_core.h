/* How a configuration is put together: for config*.c alone.
 *
 *   config.c         the table, where texts come from, what must fit together
 *   config_value.c   one text, one value
 *   config_peers.c   names, ids, PEERS
 *   config_gossip.c  how nodes find each other: SEEDS and what goes with it */
#ifndef NODE_CONFIG_CORE_H
#define NODE_CONFIG_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "node/config.h"

/* In this order they are taken: a later one may look at an earlier one. */
enum config_set {
    SET_NODE_ID,
    SET_PEERS,
    SET_CLUSTER,
    SET_DATA_DIR,
    SET_MOUNT,
    SET_MOUNT_OPTIONS,
    SET_GRPC_ADDR,
    SET_DEBUG_ADDR,
    SET_BIND_ADDR, /* looks at GRPC_ADDR */
    SET_BIND_PORT,
    SET_BOOTSTRAP_EXPECT,
    SET_SEEDS, /* looks at all before */
    SET_ADVERTISE,
    SET_REGION,
    SET_AUTO_JOIN,
    SET_MAX_VOTERS,
    SET_AUTO_REMOVE_AFTER,
    SET_TICK_MS,
    SET_ELECTION,
    SET_HEARTBEAT,
    SET_REQUEST_TIMEOUT_MS,
    SET_SNAPSHOT_MIB,
    SET_QUOTA_BYTES,
    SET_LOG_LEVEL,
    SET_DISTRUST_STATE,
    SET_HELP,
    SET_VERSION,
    SETTINGS,
};

/* What is being put together. */
struct config_draft {
    struct config *config;
    const char *text[SETTINGS]; /* NULL: not given */
    bool is_flag[SETTINGS];     /* given as a flag, for sentences */
    struct px_text *why;        /* holds a sentence once something failed */
};

/* Each reads its setting's text, or the fallback, into the configuration.
 * Errors: -EINVAL, with the sentence written. */
int config_take_node_id(struct config_draft *d, enum config_set s);
int config_take_peers(struct config_draft *d, enum config_set s);
int config_take_cluster(struct config_draft *d, enum config_set s);
int config_take_data_dir(struct config_draft *d, enum config_set s);
int config_take_mount(struct config_draft *d, enum config_set s);
int config_take_mount_options(struct config_draft *d, enum config_set s);
int config_take_grpc_addr(struct config_draft *d, enum config_set s);
int config_take_debug_addr(struct config_draft *d, enum config_set s);
int config_take_bind_addr(struct config_draft *d, enum config_set s);
int config_take_bind_port(struct config_draft *d, enum config_set s);
int config_take_bootstrap_expect(struct config_draft *d, enum config_set s);
int config_take_seeds(struct config_draft *d, enum config_set s);
int config_take_advertise(struct config_draft *d, enum config_set s);
int config_take_region(struct config_draft *d, enum config_set s);
int config_take_auto_join(struct config_draft *d, enum config_set s);
int config_take_max_voters(struct config_draft *d, enum config_set s);
int config_take_auto_remove_after(struct config_draft *d, enum config_set s);
int config_take_tick_ms(struct config_draft *d, enum config_set s);
int config_take_election(struct config_draft *d, enum config_set s);
int config_take_heartbeat(struct config_draft *d, enum config_set s);
int config_take_request_timeout_ms(struct config_draft *d, enum config_set s);
int config_take_snapshot_mib(struct config_draft *d, enum config_set s);
int config_take_quota_bytes(struct config_draft *d, enum config_set s);
int config_take_log_level(struct config_draft *d, enum config_set s);
int config_take_distrust_state(struct config_draft *d, enum config_set s);

/* The member with this id; NULL: none. */
const struct config_peer *config_find_peer(const struct config *c, raft_id id);
/* How nodes find each other, as a whole. */
int config_check_gossip(struct config_draft *d);

int config_take_number(struct config_draft *d, enum config_set s, uint32_t min,
                       uint32_t max, uint32_t *out);

/* What was given, or the fallback where that is a value itself. */
const char *config_text_of(const struct config_draft *d, enum config_set s);

/* The next item of a list with commas, blanks around it taken off; false after
 * the last. An empty item is an item: its reader refuses it. */
bool config_next_item(const char **rest, const char **item, size_t *size);

/* Sentences. */

#define config_refuse(d, ...) (px_text_add((d)->why, __VA_ARGS__), -EINVAL)

/* Text from outside, shown in a sentence: this much of it. */
#define QUOTE_BYTES_MAX 80

struct config_quote {
    char text[QUOTE_BYTES_MAX + 4];
};

/* @text as it may stand inside a sentence on one line. */
struct config_quote config_quote(const char *text);
/* The setting as its writer knows it: --node-id, or NODE_ID. */
struct config_quote config_name_of(const struct config_draft *d,
                                   enum config_set s);
/* `NAME is "text": write ADVICE`. */
int config_refuse_value(struct config_draft *d, enum config_set s,
                        const char *advice);

#endif
