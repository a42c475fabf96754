/* What the folder's own files share: the net, its peers, their lanes out and
 * their connections in. The door is net.h.
 *
 *   struct net ─┬─ struct net_peer ─┬─ struct net_lane urgent ─▶ the peer
 *               │  (one each)       ├─ struct net_lane bulk   ─▶ the peer
 *               │                   └─ in[2]: points to two of ─┐
 *               └─ accepted: struct net_in, a list  ◀───────────┘ ◀─ the peer
 *
 * Lifetimes: peers and lanes live as long as the net. Whatever libuv holds (a
 * handle, a lookup) is counted in net.handles while it does; a closing net is
 * freed when the count comes to 0. A net_in is freed in its handle's close
 * callback.
 *
 * The handler is called from libuv's callbacks only, never from within a call
 * of net.h, and always last: it may call anything, net_close included.
 *
 * Invariants:
 *   I1  a lane's queue is empty unless the lane is GREETING, UP or CLOSING
 *   I2  is_writing: bytes at the queue's front belong to libuv, until its
 *       callback
 *   I3  peer.in[c] is an accepted, open connection of class c, or NULL
 *   I4  strangers are open connections whose hello is awaited, oldest first */
#ifndef NET_CORE_H
#define NET_CORE_H

#include "base/list.h"
#include "base/rand.h"
#include "net/addr.h"
#include "net/codec.h"
#include "net/frame.h"
#include "net/net.h"
#include "net/queue.h"
#include "net/reader.h"

#define NET_ADDRESSES_MAX 8       /* of one name, that are tried */
#define NET_REFUSALS_NOTED_MAX 16 /* remembered, so that each is noted once */

enum net_lane_state {
    NET_LANE_WAITING,    /* for the time to dial again */
    NET_LANE_RESOLVING,  /* looking the name up */
    NET_LANE_CONNECTING, /* to one of its addresses */
    NET_LANE_GREETING,   /* hello sent, no answer yet */
    NET_LANE_UP,
    NET_LANE_CLOSING, /* a socket; then the next address, or WAITING */
};

/* One connection out (lane.c). */
struct net_lane {
    struct net_peer *peer;
    enum net_class class;
    enum net_lane_state state;
    uv_timer_t timer; /* dial again; or give this dial up */
    uv_tcp_t tcp;     /* one socket after the other */
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    uv_write_t write;
    struct sockaddr_storage addresses[NET_ADDRESSES_MAX];
    size_t address_count;
    size_t address_next;
    struct net_reader reader; /* of the answer to the hello */
    struct net_queue queue;
    bool is_writing;
    size_t writing_bytes;
    bool was_up;       /* while CLOSING: the socket was UP before */
    int trouble;       /* why it isn't up: -errno, or enum net_refusal; 0 */
    int trouble_told;  /* the last one noted */
    uint32_t failures; /* dials in a row */
};

struct net_peer {
    struct net *net;
    raft_id id;
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1];
    struct net_addr addr;
    struct net_lane lanes[NET_CLASSES]; /* by class - 1 */
    struct net_in *in[NET_CLASSES];     /* by class - 1 */
    uint64_t frames_out;
    uint64_t bytes_out;
    uint64_t frames_in;
    uint64_t bytes_in;
    uint64_t dropped;
    uint64_t dials;
};

/* One connection in (listen.c). */
struct net_in {
    struct px_list link; /* in strangers, or in accepted */
    struct net *net;
    struct net_peer *peer; /* NULL until its hello is accepted */
    enum net_class class;
    uint64_t deadline_ms; /* for the hello, on the loop's clock */
    uv_tcp_t tcp;
    struct net_reader reader;
};

struct net_noted {
    raft_id from;
    enum net_refusal reason;
};

struct net {
    struct net_options options; /* name and listen point to nothing */
    char name[PX_NODE_ID_BYTES_MAX + 1];
    struct net_handler handler;
    struct net_counters counters;
    struct px_rand rand;

    struct net_peer *peers[NET_PEERS_MAX];
    size_t peer_count;

    bool is_listening;
    bool is_accept_late; /* a connection waits for memory */
    uint16_t port;
    uv_tcp_t listener;
    uv_timer_t hello_timer; /* for the oldest stranger */
    struct px_list strangers;
    size_t stranger_count;
    struct px_list accepted;
    struct net_noted noted[NET_REFUSALS_NOTED_MAX]; /* a ring */
    size_t noted_count;

    /* An append's entries, while the handler looks at them. */
    struct raft_entry entries[PX_BATCH_ENTRIES_MAX];

    size_t handles; /* of libuv: open or closing, and lookups under way */
    bool is_closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* net.c: accounts for what libuv holds. */
void net_hold(struct net *n);
/* May free @n. */
void net_release(struct net *n);
/* A duration for libuv's timers: at least 1. */
uint64_t net_ms(px_ns duration);

/* peer.c */
struct net_peer *net_peer_find(const struct net *n, raft_id id);
struct net_lane *net_peer_lane(struct net_peer *p, enum net_class class);

/* lane.c */
void net_lane_init(struct net_lane *l, struct net_peer *p,
                   enum net_class class);
/* Begins to dial. */
void net_lane_start(struct net_lane *l);
/* The peer is alive, it dialled us: no reason to wait any longer. */
void net_lane_hurry(struct net_lane *l);
/* Takes @f, whatever it returns: 0, -EAGAIN, -ENOTCONN. */
int net_lane_send(struct net_lane *l, struct net_frame *f);
void net_lane_flush(struct net_lane *l);
/* net_close: closes what is open. */
void net_lane_close(struct net_lane *l);
/* Once libuv holds nothing of it. */
void net_lane_fini(struct net_lane *l);

/* listen.c: binds and listens; -errno with a sentence in @why, and nothing is
 * held. */
int net_listen_open(struct net *n, const char *listen, char *why,
                    size_t why_size);
void net_listen_close(struct net *n);

#endif
