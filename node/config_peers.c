/* Who the members are: names, the ids made of them, PEERS. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/assert.h"
#include "net/addr.h"
#include "node/config_core.h"

bool config_is_name(const char *text, size_t size)
{
    if (size == 0 || size > PX_NODE_ID_BYTES_MAX ||
        strchr("-_.", text[0]) != NULL)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool is_ascii_alnum = (c >= 'a' && c <= 'z') ||
                              (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_ascii_alnum && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static int take_name(struct config_draft *d, enum config_set s,
                     const char *text, char out[PX_NODE_ID_BYTES_MAX + 1])
{
    size_t size = strlen(text);

    if (!config_is_name(text, size))
        return config_refuse_value(d, s, CONFIG_NAME_ADVICE);
    memcpy(out, text, size + 1);
    return 0;
}

raft_id config_id_of(const char *name)
{
    raft_id id = XXH64(name, strlen(name), 0);

    return id != 0 ? id : 1; /* 0 is nobody */
}

int config_take_node_id(struct config_draft *d, enum config_set s)
{
    char host[PX_NODE_ID_BYTES_MAX + 2] = "";
    int rc;

    if (d->text[s] != NULL) {
        rc = take_name(d, s, d->text[s], d->config->node);
    } else {
        if (gethostname(host, sizeof host - 1) < 0 ||
            !config_is_name(host, strlen(host)))
            return config_refuse(
                d,
                "the host name \"%s\" can't name this node: set "
                "NODE_ID to " CONFIG_NAME_ADVICE,
                config_quote(host).text);
        rc = take_name(d, s, host, d->config->node);
    }
    if (rc == 0)
        d->config->id = config_id_of(d->config->node);
    return rc;
}

int config_take_cluster(struct config_draft *d, enum config_set s)
{
    return take_name(d, s, config_text_of(d, s), d->config->cluster_name);
}

const struct config_peer *config_find_peer(const struct config *c, raft_id id)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].id == id)
            return &c->peers[i];
    }
    return NULL;
}

/* One item, name or name=host:port, to @peer. */
static int parse_peer(struct config_draft *d, const char *item, size_t size,
                      struct config_peer *peer)
{
    const char *equals = memchr(item, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - item) : size;
    size_t address_size = equals != NULL ? size - name_size - 1 : 0;
    struct net_addr addr;

    if (!config_is_name(item, name_size))
        return config_refuse_value(d, SET_PEERS,
                                   "name or name=host:port with commas "
                                   "between, a name being " CONFIG_NAME_ADVICE);
    memcpy(peer->name, item, name_size);
    peer->name[name_size] = '\0';
    peer->id = config_id_of(peer->name);
    peer->address[0] = '\0';
    if (equals == NULL)
        return 0;
    if (address_size <= PX_ADDRESS_BYTES_MAX) {
        memcpy(peer->address, equals + 1, address_size);
        peer->address[address_size] = '\0';
    }
    /* Others dial it, so it needs a host. */
    if (address_size > PX_ADDRESS_BYTES_MAX ||
        net_addr_parse(peer->address, &addr) < 0 || addr.host[0] == '\0')
        return config_refuse(
            d, "%s gives \"%s\" a bad address: write %s=host:port",
            config_name_of(d, SET_PEERS).text, peer->name, peer->name);
    return 0;
}

static int check_peer_is_new(struct config_draft *d,
                             const struct config_peer *peer)
{
    const struct config_peer *same = config_find_peer(d->config, peer->id);

    if (same != NULL && strcmp(same->name, peer->name) == 0)
        return config_refuse(d, "%s names \"%s\" twice: write each node once",
                             config_name_of(d, SET_PEERS).text, peer->name);
    if (same != NULL)
        return config_refuse(d,
                             "\"%s\" and \"%s\" have the same hash: rename one",
                             same->name, peer->name);
    for (size_t i = 0; i < d->config->peer_count && peer->address[0] != '\0';
         i++) {
        if (strcmp(d->config->peers[i].address, peer->address) == 0)
            return config_refuse(
                d,
                "%s gives \"%s\" and \"%s\" the same address: write "
                "one for each",
                config_name_of(d, SET_PEERS).text, d->config->peers[i].name,
                peer->name);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct config_peer *)a)->name,
                  ((const struct config_peer *)b)->name);
}

static int check_peers_complete(struct config_draft *d)
{
    const struct config *c = d->config;

    if (config_find_peer(c, c->id) == NULL)
        return config_refuse(
            d,
            "PEERS does not name this node, \"%s\": add it, or set "
            "NODE_ID to one of those that PEERS names",
            c->node);
    return 0;
}

int config_take_peers(struct config_draft *d, enum config_set s)
{
    const char *rest = d->text[s];
    const char *item;
    struct config_peer peer;
    size_t size;
    int rc;

    if (rest == NULL)
        return 0; /* alone, or gossip says with whom: config_gossip.c */
    d->config->has_peers = true;
    while (config_next_item(&rest, &item, &size)) {
        rc = parse_peer(d, item, size, &peer);
        if (rc < 0)
            return rc;
        rc = check_peer_is_new(d, &peer);
        if (rc < 0)
            return rc;
        if (d->config->peer_count == RAFT_MEMBERS_MAX)
            return config_refuse(
                d, "%s names more than %u nodes: write at most that",
                config_name_of(d, s).text, RAFT_MEMBERS_MAX);
        d->config->peers[d->config->peer_count++] = peer;
    }
    qsort(d->config->peers, d->config->peer_count, sizeof peer, by_name);
    return check_peers_complete(d);
}

/* Names hold no NUL. */
uint64_t config_cluster_id(const char *cluster_name, const char *const *voters,
                           size_t count)
{
    XXH64_state_t *state = XXH64_createState();
    uint64_t id;

    px_assert(state != NULL);
    (void)XXH64_reset(state, 0); /* these fail only for NULL */
    (void)XXH64_update(state, cluster_name, strlen(cluster_name) + 1);
    for (size_t i = 0; i < count; i++)
        (void)XXH64_update(state, voters[i], strlen(voters[i]) + 1);
    id = XXH64_digest(state);
    (void)XXH64_freeState(state);
    return id != 0 ? id : 1; /* 0 is none */
}
