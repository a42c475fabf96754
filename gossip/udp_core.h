/* What udp*.c share: the sockets of one member. The door is udp.h.
 *
 * Lifetimes: what libuv holds (a handle, a lookup) is counted in handles while
 * it does; a closing swim_udp is freed when that comes to 0. A stream is freed
 * in its handle's close callback.
 *
 * Invariants:
 *   U1  while a step's output is being looked at, no other step is made
 *   U2  streams hold all that are open, oldest first; each closes by itself
 *   U3  at most one lookup is under way
 *   U4  while our address is not found, nothing leaves this machine */
#ifndef GOSSIP_UDP_CORE_H
#define GOSSIP_UDP_CORE_H

#include <netinet/in.h>

#include "base/assert.h"
#include "base/list.h"
#include "gossip/udp.h"

#define SEED_HOST_BYTES_MAX 255u
/* Of one name: as many as of all, in which names take turns. */
#define SEED_ADDRS_MAX SWIM_SEEDS_MAX
static_assert(2 * SWIM_KNOWN_MAX <= SWIM_SEEDS_MAX,
              "half of those that are asked are the names'");

/* A connection: one packet there, one back, the end. */
struct swim_stream {
    struct px_list link; /* in swim_udp.streams; alone: it closes */
    struct swim_udp *udp;
    bool is_dialled;
    uint64_t deadline_ms; /* on the loop's clock */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t *out; /* what is written */
    size_t out_size;
    uint8_t length[SWIM_LENGTH_BYTES]; /* the first bytes */
    uint8_t *in;                       /* all, once the length is known */
    size_t in_size;
    size_t in_used;
};

struct swim_seed_name {
    char host[SEED_HOST_BYTES_MAX + 1];
    uint16_t port;
    struct swim_addr addrs[SEED_ADDRS_MAX]; /* as last looked up */
    size_t addr_count;
    size_t left_count; /* that there was no room for */
};

struct swim_udp {
    uv_loop_t *loop;
    struct swim_udp_handler handler;
    uint64_t stream_timeout_ms;
    struct swim *swim;
    bool is_stepping; /* U1 */
    bool is_left;

    struct swim_addr bound; /* its IP may be any */
    int family;             /* of the sockets */
    bool is_any;            /* bound to any address */
    bool is_addr_given;     /* about.gossip is the caller's word */
    struct swim_about about;
    struct swim_addr
        kept_from; /* who was not sent something: U4; port 0: none */

    uv_udp_t udp;
    uv_tcp_t listener;
    uv_timer_t timer; /* the core's deadline */
    uv_timer_t stream_timer;
    uint8_t datagram[SWIM_PACKET_BYTES_MAX + 1]; /* one more: it is too long */
    struct px_list streams;
    bool is_accept_late; /* a connection waits for memory */
    size_t in_count;
    size_t out_count;

    struct swim_seed_name seeds[SWIM_SEED_NAMES_MAX];
    size_t seed_count;
    size_t seed_next; /* that is looked up, or is to be */
    bool is_looking;  /* U3 */
    uv_getaddrinfo_t lookup;
    struct swim_addr known[SWIM_KNOWN_MAX];
    size_t known_count;

    size_t handles;
    bool is_closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* ---- udp.c ---- */

/* One input, and all that follows. @asker: the stream it came on, or NULL. */
int swim_udp_step(struct swim_udp *u, struct swim_in *in,
                  struct swim_stream *asker);
void swim_udp_hold(struct swim_udp *u);
void swim_udp_release(struct swim_udp *u); /* may free @u */
/* Others may find us at the IP address of @addr: takes it over, unless it is
 * known better. */
void swim_udp_found_at(struct swim_udp *u, const struct swim_addr *addr);
/* Nothing better is known than the loopback. */
bool swim_udp_is_lost(const struct swim_udp *u);

/* ---- udp_bind.c ---- */

/* Two bound sockets, UDP and TCP, of one port: at @addr, from its port on.
 * Errors: -errno of the last that was tried. */
int swim_bind(struct swim_addr *addr, int *family_out, int *udp_out,
              int *tcp_out);
struct swim_addr swim_addr_of(const struct sockaddr *sockaddr);
/* For a socket of @family. False: it can't go there. */
bool swim_addr_to(const struct swim_addr *addr, int family,
                  struct sockaddr_storage *sockaddr_out);
/* From which address of ours the way to @to leads. Nothing is sent.
 * Errors: -errno. */
int swim_addr_towards(const struct swim_addr *to, struct swim_addr *addr_out);

/* ---- udp_stream.c ---- */

/* Fails without a word: a connection that can't be made is no news. */
void swim_stream_dial(struct swim_udp *u, const struct swim_addr *to,
                      const uint8_t *data, size_t size);
void swim_stream_answer(struct swim_stream *t, const uint8_t *data,
                        size_t size);
void swim_stream_accept(struct swim_udp *u);
void swim_stream_close_all(struct swim_udp *u);
void swim_streams_expire(struct swim_udp *u);

/* ---- udp_seeds.c ---- */

/* What @found says of @seed, in place of what was known: the addresses that a
 * socket of ours can go to, and a note if there is no room for all any more. */
void swim_seed_take(struct swim_udp *u, struct swim_seed_name *seed,
                    const struct addrinfo *found);
/* The first address of each name, then the second ...; then where others were
 * once, for which there is always room: names may lead to where nobody is any
 * more. Returns how many. */
size_t swim_seeds_collect(const struct swim_udp *u,
                          struct swim_addr list[SWIM_SEEDS_MAX]);
/* What is known without a lookup. */
void swim_seeds_known(struct swim_udp *u);
/* Begins with the first name, unless a lookup is under way. */
void swim_seeds_look_up(struct swim_udp *u);
/* Without names: the ports of this machine, and what is known. */
void swim_seeds_local(struct swim_udp *u, uint16_t first_port);
void swim_seeds_cancel(struct swim_udp *u);

#endif
