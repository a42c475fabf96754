/* The net as a whole: opened, flushed, closed. lane.c has the way out,
 * listen.c the way in, peer.c what is known of each peer, admin.c those who are
 * none. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "net/core.h"

uint64_t net_ms(px_ns duration)
{
    const uint64_t ms = duration / PX_NS_PER_MS;

    return ms > 0 ? ms : 1;
}

void net_hold(struct net *n)
{
    n->handles++;
}

static void net_free(struct net *n)
{
    px_assert(n->leaving_count == 0); /* L1: their handles were ours too */
    for (size_t i = 0; i < n->peer_count; i++)
        net_peer_free(n->peers[i]);
    free(n);
}

void net_release(struct net *n)
{
    void (*closed)(void *ctx) = n->closed;
    void *closed_ctx = n->closed_ctx;

    px_assert(n->handles > 0);
    if (--n->handles > 0 || !n->is_closing)
        return;
    net_free(n);
    if (closed != NULL)
        closed(closed_ctx);
}

int net_open(const struct net_options *options,
             const struct net_handler *handler, struct net **net_out, char *why,
             size_t why_size)
{
    struct net *n = calloc(1, sizeof *n);
    int rc;

    px_assert(options->redial_min <= options->redial_max);
    px_assert(strlen(options->name) < sizeof n->name);
    if (n == NULL)
        return -ENOMEM;
    n->options = *options;
    n->options.listen = NULL;
    n->options.name = NULL;
    (void)strcpy(n->name, options->name); /* asserted to fit */
    n->handler = *handler;
    px_rand_init(&n->rand, px_djb2(n->name, strlen(n->name)));
    px_list_init(&n->strangers);
    px_list_init(&n->accepted);
    px_list_init(&n->admins);
    /* A peer that dies must not take us along: writev would raise it. */
    (void)signal(SIGPIPE, SIG_IGN);
    rc = net_listen_open(n, options->listen, why, why_size);
    if (rc == 0)
        *net_out = n;
    else if (n->handles == 0)
        free(n);
    else
        net_close(n, NULL, NULL);
    return rc;
}

void net_set_cluster(struct net *n, uint64_t cluster)
{
    px_assert(!n->is_judging); /* L5 */
    px_assert(cluster != 0);
    if (cluster == n->options.cluster)
        return;
    px_assert(n->options.cluster == 0); /* nobody moves to another one */
    n->options.cluster = cluster;
    for (size_t i = 0; i < n->peer_count; i++) {
        net_lane_redial(net_peer_lane(n->peers[i], NET_URGENT));
        net_lane_redial(net_peer_lane(n->peers[i], NET_BULK));
    }
}

void net_set_empty(struct net *n, bool is_empty)
{
    n->options.is_empty = is_empty;
}

enum net_refusal net_ask_handler(struct net *n,
                                 const struct net_hello_info *hello)
{
    enum net_refusal reason;

    if (n->handler.judge == NULL)
        return (enum net_refusal)0;
    n->is_judging = true;
    reason = n->handler.judge(n->handler.ctx, hello);
    n->is_judging = false;
    return reason;
}

uint16_t net_port(const struct net *n)
{
    return n->port;
}

void net_flush(struct net *n)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        net_lane_flush(net_peer_lane(n->peers[i], NET_URGENT));
        net_lane_flush(net_peer_lane(n->peers[i], NET_BULK));
    }
}

void net_get_counters(const struct net *n, struct net_counters *out)
{
    *out = n->counters;
}

void net_close(struct net *n, void (*closed)(void *ctx), void *ctx)
{
    px_assert(!n->is_closing);
    px_assert(!n->is_judging); /* L5 */
    n->is_closing = true;
    n->closed = closed;
    n->closed_ctx = ctx;
    net_listen_close(n); /* holds a timer, so that n is freed by the loop */
    for (size_t i = 0; i < n->peer_count; i++) {
        net_lane_close(net_peer_lane(n->peers[i], NET_URGENT));
        net_lane_close(net_peer_lane(n->peers[i], NET_BULK));
    }
}
