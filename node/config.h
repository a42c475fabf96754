/* What a server is told: the environment first, then flags, which win; each
 * value is checked, and a wrong one ends the start with a sentence that says
 * what to write instead. One table in config.c names every variable, flag,
 * default and meaning: --help prints it, and docs/deployment.md is checked
 * against it by a test. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/note.h"
#include "base/time.h"
#include "raft/types.h"

#define CONFIG_TEXT_MAX 4096

struct config_peer {
    raft_id id; /* hash of the name */
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: our own may be */
};

struct config {
    char node[PX_NODE_ID_BYTES_MAX + 1]; /* NODE_ID, --node-id */
    raft_id id;
    size_t peer_count; /* PEERS: the initial voters with ourselves; without
                          PEERS, ourselves alone */
    struct config_peer peers[RAFT_MEMBERS_MAX]; /* sorted by name: the same
                                                   on all nodes */
    uint64_t cluster; /* id: a hash of CLUSTER (a name, default "phalanx") and
                         the sorted names of the initial voters */
    char cluster_name[PX_NODE_ID_BYTES_MAX + 1];
    char data_dir[CONFIG_TEXT_MAX]; /* absolute */
    char mount[CONFIG_TEXT_MAX];    /* absolute; empty: no mount */
    bool strict_truncate;           /* MOUNT_OPTIONS trunc=strict */
    char grpc_addr[PX_ADDRESS_BYTES_MAX + 1];
    char debug_addr[PX_ADDRESS_BYTES_MAX + 1]; /* empty: no HTTP */
    px_ns tick;
    uint32_t election_ticks;
    uint32_t heartbeat_ticks;
    px_ns request_timeout;
    uint64_t snapshot_bytes; /* the log's growth after which one is made */
    uint64_t quota_bytes;    /* of a cluster that begins with us */
    enum px_note_level log_level;
    bool distrust_state;
};

enum config_verdict {
    CONFIG_RUN,
    CONFIG_EXIT_OK, /* --help, --version: printed, done */
    CONFIG_BAD,     /* @why holds the sentence; exit status 2 */
};

/* Reads @environment (as environ) and @argv. Touches nothing but standard
 * output, for --help and --version; whether a folder or an address can be used
 * is for those who open it to say.
 *
 * Errors: CONFIG_BAD, and one sentence without a newline in @why. @config_out
 *         is complete only with CONFIG_RUN.
 * Thread: one, before others start (getopt_long keeps its place in globals).*/
enum config_verdict config_load(int argc, char **argv, char *const *environment,
                                struct config *config_out, char *why,
                                size_t why_size);

/* One row of the table, for help and for documents. */
struct config_setting {
    const char *variable; /* NULL: there is only a flag */
    const char *flag;     /* without the dashes */
    const char *argument; /* what --help calls the value; NULL: takes none */
    const char *fallback; /* what holds when it is not given */
    const char *meaning;
};

/* The row @index, from 0; NULL after the last. */
const struct config_setting *config_setting(size_t index);

#endif
