/* The first thing a server does: from environment and arguments to one checked
 * struct config.
 *
 *   arguments ─┐
 *              ├─▶ one text for each setting ─▶ take_*: one value each
 *   environ  ──┘                            └─▶ check_*: values that must fit
 *                                                together
 *
 * Every text is looked at, and one that is not understood is never replaced by
 * a default. */
#include "node/config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "net/addr.h"
#include "node/config_core.h"

#define ELECTION_PER_HEARTBEAT 4

static const struct {
    struct config_setting row;
    int (*take)(struct config_draft *d, enum config_set s);
} settings[SETTINGS] = {
    [SET_NODE_ID] = {{"NODE_ID", "node-id", "NAME", "the host name",
                      "this node's name, unique in the cluster"},
                     config_take_node_id},
    [SET_PEERS] = {{"PEERS", "peers", "LIST", "this node alone",
                    "the initial voters, the same on all of them: name, or "
                    "name=host:port, with commas between"},
                   config_take_peers},
    [SET_CLUSTER] = {{"CLUSTER", "cluster", "NAME", "phalanx",
                      "the cluster's name; nodes of another are refused"},
                     config_take_cluster},
    [SET_DATA_DIR] = {{"DATA_DIR", "data-dir", "FOLDER",
                       "/data if it exists, else ./phalanx-data",
                       "where the log and the state are kept"},
                      config_take_data_dir},
    [SET_MOUNT] = {{"MOUNT", "mount", "FOLDER", "no mount",
                    "where to mount: an empty folder"},
                   config_take_mount},
    [SET_MOUNT_OPTIONS] = {{"MOUNT_OPTIONS", "mount-options", "LIST",
                            "trunc=staged",
                            "trunc=strict empties a file at open(O_TRUNC), "
                            "trunc=staged together with the first write"},
                           config_take_mount_options},
    [SET_GRPC_ADDR] = {{"GRPC_ADDR", "grpc-addr", "HOST:PORT", "[::]:9000",
                        "where peers and clients connect; without it, the "
                        "port that PEERS gives this node"},
                       config_take_grpc_addr},
    [SET_DEBUG_ADDR] = {{"DEBUG_ADDR", "debug-addr", "HOST:PORT", "[::]:8080",
                         "status and health over HTTP; off for none"},
                        config_take_debug_addr},
    [SET_BIND_ADDR] = {{"BIND_ADDR", "bind-addr", "ADDRESS",
                        "the host of GRPC_ADDR if that is an IP address, "
                        "else ::",
                        "the IP address where gossip listens, UDP and TCP"},
                       config_take_bind_addr},
    [SET_BIND_PORT] = {{"BIND_PORT", "bind-port", "PORT", "7946",
                        "its port; a busy one gives way to the next free one "
                        "of sixteen"},
                       config_take_bind_port},
    [SET_BOOTSTRAP_EXPECT] = {{"BOOTSTRAP_EXPECT", "bootstrap-expect", "NUMBER",
                               "0",
                               "found a cluster once so many nodes without "
                               "data, 2 at least, see each other; 0: join one, "
                               "and wait until there is one"},
                              config_take_bootstrap_expect},
    [SET_SEEDS] = {{"SEEDS", "seeds", "LIST", "the hosts in PEERS",
                    "where gossip finds others: host or host:port, with "
                    "commas between, a name standing for all its addresses"},
                   config_take_seeds},
    [SET_ADVERTISE] = {{"ADVERTISE", "advertise", "HOST", "found out",
                        "the name or IP address by which others reach this "
                        "node"},
                       config_take_advertise},
    [SET_REGION] = {{"REGION", "region", "NAME", "none",
                     "where this node is, shown as its zone"},
                    config_take_region},
    [SET_AUTO_JOIN] = {{"AUTO_JOIN", "auto-join", "WORD", "on",
                        "on: a node that gossip brings becomes a member by "
                        "itself; off: by phalanx member add"},
                       config_take_auto_join},
    [SET_MAX_VOTERS] = {{"MAX_VOTERS", "max-voters", "NUMBER", "5",
                         "of the nodes that join by themselves, up to so many "
                         "voters are made; the others stay learners"},
                        config_take_max_voters},
    [SET_AUTO_REMOVE_AFTER] = {{"AUTO_REMOVE_AFTER", "auto-remove-after",
                                "SECONDS", "0",
                                "remove a member that was dead for so long, "
                                "if a majority remains; 0: never"},
                               config_take_auto_remove_after},
    [SET_TICK_MS] = {{"TICK_MS", "tick-ms", "NUMBER", "200",
                      "the unit of the two that follow, in milliseconds"},
                     config_take_tick_ms},
    [SET_ELECTION] = {{"ELECTION", "election", "NUMBER", "20",
                       "ticks without a leader before an election, up to "
                       "twice as many; at least 4 heartbeats"},
                      config_take_election},
    [SET_HEARTBEAT] = {{"HEARTBEAT", "heartbeat", "NUMBER", "5",
                        "ticks between the leader's heartbeats"},
                       config_take_heartbeat},
    [SET_REQUEST_TIMEOUT_MS] = {{"REQUEST_TIMEOUT_MS", "request-timeout-ms",
                                 "NUMBER",
                                 "4 * ELECTION * TICK_MS, at least 5000",
                                 "a request that takes longer fails; at least "
                                 "1000"},
                                config_take_request_timeout_ms},
    [SET_SNAPSHOT_MIB] = {{"SNAPSHOT_MIB", "snapshot-mib", "NUMBER", "64",
                           "a snapshot is made when the log has grown by so "
                           "many MiB, and by half the last one's size"},
                          config_take_snapshot_mib},
    [SET_QUOTA_BYTES] = {{"QUOTA_BYTES", "quota-bytes", "SIZE", "8G",
                          "what a new cluster may hold; later changed by "
                          "writing to .phalanx/quota"},
                         config_take_quota_bytes},
    [SET_LOG_LEVEL] = {{"LOG_LEVEL", "log-level", "WORD", "info",
                        "notes on standard error: error, warn, info or "
                        "debug"},
                       config_take_log_level},
    [SET_DISTRUST_STATE] = {{NULL, "distrust-state", NULL, "off",
                             "build the state anew from the log"},
                            config_take_distrust_state},
    [SET_HELP] = {{NULL, "help", NULL, "off", "print this, and end"}, NULL},
    [SET_VERSION] = {{NULL, "version", NULL, "off",
                      "print the version, and end"},
                     NULL},
};

const struct config_setting *config_setting(size_t index)
{
    return index < SETTINGS ? &settings[index].row : NULL;
}

struct config_quote config_quote(const char *text)
{
    struct config_quote q;
    size_t n = 0;

    for (; text[n] != '\0' && n < QUOTE_BYTES_MAX; n++)
        q.text[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    (void)snprintf(q.text + n, sizeof q.text - n, "%s",
                   text[n] == '\0' ? "" : "..."); /* fits by its size */
    return q;
}

struct config_quote config_name_of(const struct config_draft *d,
                                   enum config_set s)
{
    struct config_quote q;
    const struct config_setting *row = &settings[s].row;

    if (d->is_flag[s])
        (void)snprintf(q.text, sizeof q.text, "--%s", row->flag);
    else
        (void)snprintf(q.text, sizeof q.text, "%s", row->variable);
    return q;
}

int config_refuse_value(struct config_draft *d, enum config_set s,
                        const char *advice)
{
    return config_refuse(d, "%s is \"%s\": write %s", config_name_of(d, s).text,
                         config_quote(d->text[s]).text, advice);
}

static int check_timing(struct config_draft *d)
{
    const struct config *c = d->config;

    if (c->election_ticks < ELECTION_PER_HEARTBEAT * c->heartbeat_ticks)
        return config_refuse(d,
                             "ELECTION is %" PRIu32 " and HEARTBEAT %" PRIu32
                             ": write an ELECTION of at least %" PRIu32
                             ", %d times HEARTBEAT",
                             c->election_ticks, c->heartbeat_ticks,
                             ELECTION_PER_HEARTBEAT * c->heartbeat_ticks,
                             ELECTION_PER_HEARTBEAT);
    return 0;
}

static bool is_any(const char *host)
{
    return host[0] == '\0' || strcmp(host, "::") == 0 ||
           strcmp(host, "0.0.0.0") == 0;
}

static int check_addresses(struct config_draft *d)
{
    struct net_addr grpc;
    struct net_addr debug;
    int rc;

    if (d->config->debug_addr[0] == '\0')
        return 0;
    rc = net_addr_parse(d->config->grpc_addr, &grpc);
    px_assert(rc == 0); /* both have been parsed when they were taken */
    rc = net_addr_parse(d->config->debug_addr, &debug);
    px_assert(rc == 0);
    if (grpc.port != debug.port)
        return 0;
    if (!is_any(grpc.host) && !is_any(debug.host) &&
        strcmp(grpc.host, debug.host) != 0)
        return 0;
    return config_refuse(d,
                         "GRPC_ADDR and DEBUG_ADDR both use port %u: write two "
                         "different ports",
                         grpc.port);
}

/* An empty value is none: compose files and scripts pass what is unset so. */
static const char *lookup(char *const *environment, const char *name)
{
    size_t size = strlen(name);

    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, size) == 0 &&
            (*environment)[size] == '=' && (*environment)[size + 1] != '\0')
            return *environment + size + 1;
    }
    return NULL;
}

static void read_environment(struct config_draft *d, char *const *environment)
{
    for (unsigned s = 0; s < SETTINGS; s++) {
        if (d->text[s] == NULL && settings[s].row.variable != NULL)
            d->text[s] = lookup(environment, settings[s].row.variable);
    }
}

/* @word: what getopt_long looked at last; for a short flag it may be the one
 * before, and optopt is the letter. */
static int refuse_flag(struct config_draft *d, const char *word)
{
    char letter[] = {'-', (char)optopt, '\0'};

    return config_refuse(
        d, "%s is not a flag, or takes no value: --help lists them",
        config_quote(optopt != 0 ? letter : word).text);
}

static int read_arguments(struct config_draft *d, int argc, char **argv)
{
    struct option options[SETTINGS + 1] = {0};
    int which = 0;
    int c;

    for (unsigned s = 0; s < SETTINGS; s++) {
        options[s].name = settings[s].row.flag;
        options[s].has_arg =
            settings[s].row.argument != NULL ? required_argument : no_argument;
    }
    optind = 0; /* glibc: begin anew, whatever was parsed before */
    opterr = 0;
    while ((c = getopt_long(argc, argv, "+:", options, &which)) == 0) {
        d->text[which] = optarg == NULL      ? "on"
                         : optarg[0] == '\0' ? NULL
                                             : optarg;
        d->is_flag[which] = d->text[which] != NULL;
    }
    if (c == ':')
        return config_refuse(d, "%s takes a value: write it after the flag",
                             config_quote(argv[optind - 1]).text);
    if (c == '?')
        return refuse_flag(d, argv[optind - 1]);
    if (optind < argc)
        return config_refuse(
            d,
            "\"%s\" is left over: write each value after its flag, "
            "as --mount FOLDER",
            config_quote(argv[optind]).text);
    return 0;
}

static void print_help(void)
{
    (void)printf(
        "phalanx-server: one node of a replicated filesystem.\n"
        "\n"
        "Usage: phalanx-server [--flag VALUE]...\n"
        "\n"
        "Settings come from the environment, or from flags, which win.\n"
        "Without any, it is a cluster of one; --mount FOLDER mounts it.\n");
    for (size_t s = 0; s < SETTINGS; s++) {
        const struct config_setting *row = &settings[s].row;

        (void)printf("\n  --%s%s%s", row->flag,
                     row->argument != NULL ? " " : "",
                     row->argument != NULL ? row->argument : "");
        if (row->variable != NULL)
            (void)printf(", %s\n      default: %s", row->variable,
                         row->fallback);
        (void)printf("\n      %s\n", row->meaning);
    }
}

static int take_all(struct config_draft *d)
{
    int rc;

    for (unsigned s = 0; s < SETTINGS; s++) {
        rc = settings[s].take != NULL ? settings[s].take(d, s) : 0;
        if (rc < 0)
            return rc;
    }
    rc = check_timing(d);
    if (rc == 0)
        rc = check_addresses(d);
    return rc < 0 ? rc : config_check_gossip(d);
}

static void set_cluster(struct config *c)
{
    const char *voters[RAFT_MEMBERS_MAX];

    for (size_t i = 0; i < c->peer_count; i++)
        voters[i] = c->peers[i].name;
    if (c->peer_count > 0)
        c->cluster = config_cluster_id(c->cluster_name, voters, c->peer_count);
}

enum config_verdict config_load(int argc, char **argv, char *const *environment,
                                struct config *config_out, char *why,
                                size_t why_size)
{
    struct px_text sentence;
    struct config_draft d = {.config = config_out, .why = &sentence};

    px_text_init(&sentence, why, why_size);
    memset(config_out, 0, sizeof *config_out);
    if (read_arguments(&d, argc, argv) < 0)
        return CONFIG_BAD;
    if (d.text[SET_HELP] != NULL) {
        print_help();
        return CONFIG_EXIT_OK;
    }
    if (d.text[SET_VERSION] != NULL) {
        (void)printf("phalanx-server %s\n", PX_VERSION);
        return CONFIG_EXIT_OK;
    }
    read_environment(&d, environment);
    if (take_all(&d) < 0)
        return CONFIG_BAD;
    set_cluster(config_out);
    return CONFIG_RUN;
}
