/* Gossip on sockets: a member (swim.h) on a libuv loop.
 *
 *   swim_udp_open ─▶ the loop runs; events come
 *                    on_reserve ─▶ made durable ─▶ swim_udp_reserved
 *                    swim_udp_say, when what others should know has changed
 *                    swim_udp_leave ─▶ on_left
 *   swim_udp_close, then run the loop until `closed` is called
 *
 * Where it listens: UDP and TCP on one port of bind_addr. A busy bind_port gives
 * way to the next free one of SWIM_PORTS, so that several nodes of one machine
 * need no configuration; without seeds all of those are asked, on the loopback,
 * or on bind_addr if that is one address.
 *
 * Where others find it: options.swim.about.gossip if that has an IP address (its
 * port 0: the one that was bound). Otherwise
 * bind_addr and the port; and if bind_addr is any ("::", "0.0.0.0"), the address
 * from which the way to the first seed leads, or to whom we heard from first, or
 * at which we were reached. It is looked at again whenever seeds are, and changes
 * when no way to any of them leads from it any more. Until one is found it is the
 * loopback, which is said on this machine alone: nothing is sent to another before.
 *
 * Seeds' names are looked up in libuv's pool, one after another, to all AAAA and
 * A records that the sockets can go to, up to SWIM_SEEDS_MAX in all, less those
 * known, of which each name has its share; again while we are alone, and while
 * nobody is where they led.
 *
 * Datagrams that the kernel has no room for are lost, as on any network.
 * Connections are bounded in number and time; the oldest makes way.
 *
 * Thread: loop. */
#ifndef GOSSIP_UDP_H
#define GOSSIP_UDP_H

#include <uv.h>

#include "gossip/swim.h"

struct swim_udp;

struct swim_seed {
    const char *host; /* a name or an address, without brackets */
    uint16_t port;
};

/* Called from the loop. on_reserve and on_left may call anything; on_event and
 * on_found only swim_udp_swim. */
struct swim_udp_handler {
    void *ctx;
    px_ns (*now)(void *ctx); /* CLOCK_BOOTTIME */
    void (*on_event)(void *ctx, const struct swim_event *event);
    /* Others find us at @about->gossip from now on: puts right whatever else
     * follows from that, before anybody is told. */
    void (*on_found)(void *ctx, struct swim_about *about);
    void (*on_reserve)(void *ctx, swim_incarnation incarnation);
    void (*on_left)(void *ctx);
};

struct swim_udp_options {
    uv_loop_t *loop;
    const char *bind_addr; /* an IP address; "::" is both families */
    uint16_t bind_port;    /* 0: any free one, and no others are tried */
    const struct swim_seed *seeds; /* copied */
    size_t seed_count;             /* at most SWIM_SEED_NAMES_MAX */
    /* Where others were once: asked besides the seeds, or the ports. Copied. */
    const struct swim_addr *known;
    size_t known_count;       /* at most SWIM_KNOWN_MAX */
    struct swim_options swim; /* now is filled in; about.gossip is found out if
                                 it is all 0 */
    struct swim_udp_handler handler;
    px_ns stream_timeout; /* for a whole connection */
};

/* The handler may be called before this returns; @udp_out is set by then.
 * Errors, each with a sentence in @why; what was opened is closed in the loop's
 * next turns:
 * -EINVAL  bind_addr is no address, too many seeds or known, or as swim_new.
 * -EADDRINUSE  none of the ports is free; and other errors of bind(2).
 * -ENOMEM */
int swim_udp_open(const struct swim_udp_options *options,
                  struct swim_udp **udp_out, char *why, size_t why_size);
/* Closes all; @closed is called from the loop, and nothing else from now on.
 * swim_udp_reserved may still come before that: a disk ends when it does. */
void swim_udp_close(struct swim_udp *u, void (*closed)(void *ctx), void *ctx);

/* The core, to be asked (swim_get_status, swim_find ...), not to be stepped. */
const struct swim *swim_udp_swim(const struct swim_udp *u);
uint16_t swim_udp_port(const struct swim_udp *u);

void swim_udp_reserved(struct swim_udp *u, swim_incarnation incarnation);
/* @about->gossip with port 0: as it is. Errors: -EINVAL, no effect. */
int swim_udp_say(struct swim_udp *u, const struct swim_about *about);
void swim_udp_leave(struct swim_udp *u);

/* An IP address as text, without brackets; its port is 0. Errors: -EINVAL. */
int swim_addr_parse(const char *text, struct swim_addr *addr_out);
bool swim_addr_is_any(const struct swim_addr *addr);
bool swim_addr_is_loopback(const struct swim_addr *addr);

#endif
