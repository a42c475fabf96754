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
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: gossip finds it */
};

struct config_seed {
    char host[PX_ADDRESS_BYTES_MAX + 1]; /* without brackets */
    uint16_t port;
};

struct config {
    char node[PX_NODE_ID_BYTES_MAX + 1]; /* NODE_ID, --node-id */
    raft_id id;
    bool has_peers;    /* PEERS was given */
    size_t peer_count; /* PEERS: the initial voters with ourselves; without
                          PEERS, SEEDS and BOOTSTRAP_EXPECT: ourselves alone;
                          0: gossip finds a cluster, or founds one */
    struct config_peer peers[RAFT_MEMBERS_MAX]; /* sorted by name: the same
                                                   on all nodes */
    uint64_t cluster; /* config_cluster_id of peers; 0: there are none */
    char cluster_name[PX_NODE_ID_BYTES_MAX + 1];
    char data_dir[CONFIG_TEXT_MAX]; /* absolute */
    char mount[CONFIG_TEXT_MAX];    /* absolute; empty: no mount */
    bool strict_truncate;           /* MOUNT_OPTIONS trunc=strict */
    char grpc_addr[PX_ADDRESS_BYTES_MAX + 1];
    char debug_addr[PX_ADDRESS_BYTES_MAX + 1]; /* empty: no HTTP */
    size_t seed_count; /* SEEDS, or the hosts of PEERS; 0: gossip asks its ports
                          of this machine */
    struct config_seed seeds[SWIM_SEED_NAMES_MAX];
    char bind_addr[PX_ADDRESS_BYTES_MAX + 1]; /* of gossip: an IP address */
    uint16_t bind_port;
    uint32_t bootstrap_expect; /* 0: joins a cluster, founds none */
    char advertise[PX_ADDRESS_BYTES_MAX + 1]; /* a host; empty: found out */
    char region[PX_NODE_ID_BYTES_MAX + 1];
    bool auto_join;
    uint32_t max_voters;     /* of those that join by themselves */
    px_ns auto_remove_after; /* 0: never */
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

/* Members are hashes of their names, so that no one hands out numbers. */
raft_id config_id_of(const char *name);

/* Is this host 127.x.y.z, ::1 or localhost? */
bool config_is_loopback(const char *host);

/* 1 to 63 letters, digits, dots, dashes, underscores, the first one a letter or
 * a digit. */
bool config_is_name(const char *text, size_t size);
#define CONFIG_NAME_ADVICE                                                    \
    "1 to 63 letters, digits, dots, dashes or underscores, beginning with a " \
    "letter or a digit"

/* The id of a cluster that begins with these voters, two at least (bootstrap.h):
 * a hash of its name and of theirs, sorted. Nodes of different clusters, or of different ideas of the
 * same, must not talk. */
uint64_t config_cluster_id(const char *cluster_name, const char *const *voters,
                           size_t count);

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
