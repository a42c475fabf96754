/* How nodes find each other: SEEDS, BIND_*, BOOTSTRAP_EXPECT, and what of them
 * contradicts what.
 *
 *   PEERS, SEEDS, BOOTSTRAP_EXPECT not given   a cluster of one
 *   PEERS                                      a cluster of these
 *   SEEDS, BOOTSTRAP_EXPECT=n                  founds one with n - 1 others, and
 *                                              n is 2 at least
 *   SEEDS                                      joins one
 *
 * With PEERS, SEEDS only say where gossip looks; without SEEDS it looks where
 * PEERS says that nodes are. On a machine of its own (a loopback address) gossip
 * finds others without any seeds. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "net/addr.h"
#include "node/config_core.h"

#define SEED_PORT 7946
#define AUTO_REMOVE_S_MAX 31536000u /* a year */

static bool is_ip(const char *host)
{
    struct in6_addr binary;

    return inet_pton(AF_INET, host, &binary) == 1 ||
           inet_pton(AF_INET6, host, &binary) == 1;
}

bool config_is_loopback(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Names are not looked at. An address that is none of one node, or that means
 * another one elsewhere (link-local), is nothing to tell others. */
static bool is_of_one_node(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return v4.s_addr != INADDR_ANY && !IN_MULTICAST(ntohl(v4.s_addr)) &&
               !IN_BADCLASS(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, host, &v6) != 1 ||
           (!IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_MULTICAST(&v6) &&
            !IN6_IS_ADDR_LINKLOCAL(&v6));
}

/* ---- Where gossip listens ---- */

int config_take_bind_addr(struct config_draft *d, enum config_set s)
{
    struct net_addr grpc;
    const char *text = d->text[s];
    int rc;

    if (text == NULL) {
        rc = net_addr_parse(d->config->grpc_addr, &grpc);
        px_assert(rc == 0); /* it was parsed when it was taken */
        text = is_ip(grpc.host) ? grpc.host : "::";
    } else if (!is_ip(text)) {
        return config_refuse_value(
            d, s, "an IP address of this machine, or :: for all of them");
    }
    memcpy(d->config->bind_addr, text, strlen(text) + 1); /* an IP fits */
    return 0;
}

int config_take_bind_port(struct config_draft *d, enum config_set s)
{
    uint32_t port = 0;
    int rc = config_take_number(d, s, 1, UINT16_MAX, &port);

    if (rc == 0)
        d->config->bind_port = (uint16_t)port;
    return rc;
}

/* One waits for nobody: two nodes with the same seeds, started at once, would
 * found a cluster each. */
int config_take_bootstrap_expect(struct config_draft *d, enum config_set s)
{
    int rc = config_take_number(d, s, 0, RAFT_MEMBERS_MAX,
                                &d->config->bootstrap_expect);

    if (rc == 0 && d->config->bootstrap_expect == 1)
        return config_refuse(
            d,
            "%s is 1, which waits for nobody: for a cluster of one write "
            "neither it nor SEEDS (others join it by their SEEDS), else how "
            "many nodes found the cluster together",
            config_name_of(d, s).text);
    return rc;
}

/* ---- Where it looks ---- */

/* host, host:port, [IPv6], [IPv6]:port, or IPv6. */
static int parse_seed(const char *item, size_t size, struct config_seed *seed)
{
    char text[PX_ADDRESS_BYTES_MAX + 16];
    char host[PX_ADDRESS_BYTES_MAX + 1];
    struct net_addr addr;
    bool is_v6;
    int n;

    if (size == 0 || size > PX_ADDRESS_BYTES_MAX)
        return -EINVAL;
    memcpy(host, item, size);
    host[size] = '\0';
    is_v6 = host[0] != '[' && is_ip(host) && strchr(host, ':') != NULL;
    if (is_v6)
        n = snprintf(text, sizeof text, "[%s]:%d", host, SEED_PORT);
    else if (host[size - 1] == ']' || strchr(host, ':') == NULL)
        n = snprintf(text, sizeof text, "%s:%d", host, SEED_PORT);
    else
        n = snprintf(text, sizeof text, "%s", host);
    if (n < 0 || (size_t)n >= sizeof text || net_addr_parse(text, &addr) < 0 ||
        addr.host[0] == '\0')
        return -EINVAL;
    memcpy(seed->host, addr.host, sizeof seed->host);
    seed->port = addr.port;
    return 0;
}

static int take_list(struct config_draft *d, enum config_set s)
{
    struct config *c = d->config;
    const char *rest = d->text[s];
    const char *item;
    size_t size;

    while (config_next_item(&rest, &item, &size)) {
        if (c->seed_count == SWIM_SEED_NAMES_MAX)
            return config_refuse(d,
                                 "%s has more than %u hosts: write at most "
                                 "that",
                                 config_name_of(d, s).text,
                                 SWIM_SEED_NAMES_MAX);
        if (parse_seed(item, size, &c->seeds[c->seed_count]) < 0)
            return config_refuse_value(
                d, s,
                "host or host:port with commas between, as 10.0.0.1 or "
                "node-1.local:7946");
        c->seed_count++;
    }
    return 0;
}

static void add_seed(struct config *c, const char *host)
{
    struct config_seed *seed = &c->seeds[c->seed_count];

    for (size_t i = 0; i < c->seed_count; i++) {
        if (strcmp(c->seeds[i].host, host) == 0)
            return; /* several nodes on one machine */
    }
    px_assert(c->seed_count < SWIM_SEED_NAMES_MAX);
    (void)snprintf(seed->host, sizeof seed->host, "%s", host); /* it fits */
    seed->port = c->bind_port;
    c->seed_count++;
}

/* The machines of PEERS, ourselves too: it may stand for several nodes. Where
 * all is on this one, its ports are asked instead, as a busy one moves. */
static void take_hosts_of_peers(struct config *c)
{
    bool is_local = true;

    for (size_t i = 0; i < c->peer_count; i++) {
        struct net_addr addr;

        if (c->peers[i].address[0] == '\0')
            continue;
        px_assert(net_addr_parse(c->peers[i].address, &addr) == 0);
        is_local = is_local && config_is_loopback(addr.host);
        add_seed(c, addr.host);
    }
    if (is_local)
        c->seed_count = 0;
}

int config_take_seeds(struct config_draft *d, enum config_set s)
{
    struct config *c = d->config;

    if (d->text[s] != NULL)
        return take_list(d, s);
    take_hosts_of_peers(c);
    if (c->peer_count == 0 && c->bootstrap_expect == 0) {
        c->peers[0].id = c->id;
        memcpy(c->peers[0].name, c->node, sizeof c->node);
        c->peer_count = 1;
    }
    return 0;
}

/* ---- What others are told ---- */

int config_take_advertise(struct config_draft *d, enum config_set s)
{
    struct config_seed host;
    const char *text = d->text[s];

    if (text == NULL)
        return 0;
    if (parse_seed(text, strlen(text), &host) < 0 ||
        (strchr(text, ':') != NULL && !is_ip(host.host)) ||
        strncmp(text, "[", 1) == 0)
        return config_refuse_value(
            d, s, "a name or an IP address without a port, as 10.0.0.1");
    if (!is_of_one_node(host.host))
        return config_refuse_value(
            d, s,
            "an address of this node alone, which others can dial, or a name");
    memcpy(d->config->advertise, host.host, sizeof host.host);
    return 0;
}

int config_take_region(struct config_draft *d, enum config_set s)
{
    const char *text = d->text[s];

    if (text == NULL)
        return 0;
    if (!config_is_name(text, strlen(text)))
        return config_refuse_value(d, s, CONFIG_NAME_ADVICE);
    memcpy(d->config->region, text, strlen(text) + 1);
    return 0;
}

/* ---- What a leader does about others ---- */

int config_take_auto_join(struct config_draft *d, enum config_set s)
{
    const char *text = config_text_of(d, s);

    d->config->auto_join = strcmp(text, "on") == 0;
    if (!d->config->auto_join && strcmp(text, "off") != 0)
        return config_refuse_value(d, s, "on or off");
    return 0;
}

int config_take_max_voters(struct config_draft *d, enum config_set s)
{
    return config_take_number(d, s, 1, RAFT_MEMBERS_MAX,
                              &d->config->max_voters);
}

int config_take_auto_remove_after(struct config_draft *d, enum config_set s)
{
    uint32_t seconds = 0;
    int rc = config_take_number(d, s, 0, AUTO_REMOVE_S_MAX, &seconds);

    if (rc == 0)
        d->config->auto_remove_after = seconds * PX_NS_PER_S;
    return rc;
}

/* ---- As a whole ---- */

/* PEERS without an address for anybody else. */
static const struct config_peer *find_hidden(const struct config *c)
{
    const struct config_peer *hidden = NULL;

    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].id == c->id)
            continue;
        if (c->peers[i].address[0] != '\0')
            return NULL; /* gossip asks that one */
        hidden = &c->peers[i];
    }
    return hidden;
}

int config_check_gossip(struct config_draft *d)
{
    const struct config *c = d->config;
    const struct config_peer *hidden = find_hidden(c);
    bool finds_nobody =
        d->text[SET_SEEDS] == NULL && !config_is_loopback(c->bind_addr);

    if (d->text[SET_PEERS] != NULL && c->bootstrap_expect > 0)
        return config_refuse(
            d, "PEERS and BOOTSTRAP_EXPECT are both set: write PEERS, which "
               "names the first voters, or BOOTSTRAP_EXPECT, which finds them");
    if (c->bootstrap_expect > 0 && finds_nobody)
        return config_refuse(
            d,
            "BOOTSTRAP_EXPECT is %u, but nothing says where the others "
            "are: write SEEDS=host,host,...",
            c->bootstrap_expect);
    if (hidden != NULL && finds_nobody)
        return config_refuse(
            d,
            "PEERS names \"%s\" without an address, and nothing says where "
            "to look for it: write %s=host:port, or SEEDS=host,host,...",
            hidden->name, hidden->name);
    return 0;
}
