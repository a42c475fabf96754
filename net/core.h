/* What the folder's own files share: the net, its peers, their lanes out and
 * their connections in. The door is net.h.
 *
 *   struct net ─┬─ struct net_peer ─┬─ struct net_lane urgent ─▶ the peer
 *               │  (one each)       ├─ struct net_lane bulk   ─▶ the peer
 *               │                   └─ in[2]: points to two of ─┐
 *               ├─ accepted: struct net_in, a list  ◀───────────┘ ◀─ the peer
 *               └─ admins, strangers: likewise                      ◀─ others
 *
 * Lifetimes. Peers and connections go while messages of theirs are being
 * handed out, and while libuv works for them. So whatever libuv holds (a
 * handle, open or closing; a lookup) is counted while it does, in peer.handles
 * if it is a lane's, and in net.handles.
 *   L1  A peer that was removed, or a net that is closing, is freed by the
 *       release that brings its count to 0, and by nothing else. A net_in is
 *       freed in its handle's close callback.
 *   L2  Close callbacks come in a later step of the loop than uv_close. Each
 *       peer has two timers, and the net has its own, that are open until it
 *       is removed or closed: so a callback of libuv's in which that happens still
 *       finds lane, peer and net when the handler returns.
 *   L3  A peer that was removed is in no table: net_peer_find finds another
 *       one under its id, or none; no net_in points to it; it dials nobody, and
 *       the handler hears nothing of it.
 *   L4  A connection that is being closed stays so until its close callback,
 *       whatever is called meanwhile: another address only makes the lane dial
 *       that one then. Whoever returns from the handler looks at the state anew.
 *   L5  The handler is called from libuv's callbacks only, never from within a
 *       call of net.h, and it may call anything: remove the peer it is told
 *       of, or close the net. But judge, in the middle of a hello, may not.
 *   L6  A token names one question, not a connection, and is never used again:
 *       an answer that comes when who asked has gone, finds nobody.
 *
 * Invariants:
 *   I1  a lane's queue is empty unless the lane is GREETING, UP or CLOSING
 *   I2  is_writing: bytes at the queue's front belong to libuv, until its
 *       callback
 *   I3  peer.in[c] is an accepted, open connection of class c, or NULL; and
 *       each that is a peer's is there
 *   I4  strangers are open connections whose hello is awaited, oldest first
 *   I5  admins are open connections of class NET_ADMIN; the one that has been in
 *       its state for longest is first */
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

#define NET_ADDRESSES_MAX 8 /* of one name, that are tried */
/* Remembered, so that each is noted once; and of others as many in this time,
 * so that no stranger fills a disk with notes. */
#define NET_REFUSALS_NOTED_MAX 16
#define NET_REFUSALS_NOTED_MS 60000u
#define NET_ADMIN_TIMEOUT (30 * PX_NS_PER_S)

enum net_lane_state {
    NET_LANE_IDLE,       /* for an address, or to know the cluster */
    NET_LANE_WAITING,    /* for the time to dial again */
    NET_LANE_RESOLVING,  /* looking the name up */
    NET_LANE_CONNECTING, /* to one of its addresses */
    NET_LANE_GREETING,   /* hello sent, no answer yet */
    NET_LANE_UP,
    NET_LANE_CLOSING, /* a socket; then the next address, or WAITING, or the
                         first of redials */
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
    bool redials;      /* while RESOLVING, CLOSING: the addresses are of old */
    int trouble;       /* why it isn't up: -errno, or enum net_refusal; 0 */
    int trouble_told;  /* the last one noted */
    uint32_t failures; /* dials in a row */
};

struct net_peer {
    struct net *net;
    raft_id id;
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: not known */
    struct net_addr addr;                   /* port 0: likewise */
    size_t handles;                         /* of libuv, of both lanes */
    bool is_leaving;                        /* removed; L3 */
    struct net_lane lanes[NET_CLASSES];     /* by class - 1 */
    struct net_in *in[NET_CLASSES];         /* by class - 1 */
    uint64_t frames_out;
    uint64_t bytes_out;
    uint64_t frames_in;
    uint64_t bytes_in;
    uint64_t dropped;
    uint64_t dials;
};

/* One connection in (listen.c; an admin's: admin.c). */
struct net_in {
    struct px_list link; /* in strangers, accepted or admins */
    struct net *net;
    struct net_peer *peer; /* of an open one that is accepted, else NULL */
    bool is_accepted;
    enum net_class class; /* once accepted */
    uint64_t deadline_ms; /* of strangers and admins, on the loop's clock */
    uv_tcp_t tcp;
    struct net_reader reader;
    /* An admin's: */
    uint64_t token;          /* of its question, until that is answered; or 0 */
    struct net_frame *reply; /* which libuv is writing; or NULL */
    uv_write_t write;
};

struct net_noted {
    raft_id from;
    enum net_refusal reason;
    uint64_t at_ms; /* on the loop's clock */
};

struct net {
    struct net_options options; /* name and listen point to nothing */
    char name[PX_NODE_ID_BYTES_MAX + 1];
    struct net_handler handler;
    struct net_counters counters;
    struct px_rand rand;

    struct net_peer *peers[NET_PEERS_MAX];
    size_t peer_count;
    size_t leaving_count; /* removed, and not freed yet */

    bool is_listening;
    bool is_accept_late; /* a connection waits for memory */
    uint16_t port;
    uv_tcp_t listener;
    uv_timer_t hello_timer; /* for the oldest stranger */
    struct px_list strangers;
    size_t stranger_count;
    struct px_list accepted;
    struct px_list admins;
    size_t admin_count;
    uint64_t token_last;
    uv_timer_t admin_timer; /* for the first of admins */
    struct net_noted noted[NET_REFUSALS_NOTED_MAX]; /* a ring */
    size_t noted_count;

    /* An append's entries, while the handler looks at them. */
    struct raft_entry entries[PX_BATCH_ENTRIES_MAX];

    size_t handles;  /* of libuv: open or closing, and lookups under way */
    bool is_judging; /* the handler's judge is being asked: L5 */
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
/* Was it removed, or is the net closing? Then nothing begins any more. */
bool net_peer_is_over(const struct net_peer *p);
/* As net_hold and net_release, for what is a lane's; may free @p and its net.
 */
void net_peer_hold(struct net_peer *p);
void net_peer_release(struct net_peer *p);
/* Once libuv holds nothing of it. */
void net_peer_free(struct net_peer *p);

/* lane.c */
void net_lane_init(struct net_lane *l, struct net_peer *p,
                   enum net_class class);
/* Begins to dial. */
void net_lane_start(struct net_lane *l);
/* Address or cluster are others than before, or known at last: what is
 * connected, or on its way, breaks, and the lane dials at once. */
void net_lane_redial(struct net_lane *l);
/* The peer is alive, it dialled us: no reason to wait any longer. */
void net_lane_hurry(struct net_lane *l);
/* Takes @f, whatever it returns: 0, -EAGAIN, -ENOTCONN. */
int net_lane_send(struct net_lane *l, struct net_frame *f);
void net_lane_flush(struct net_lane *l);
/* The peer is removed, or the net closed: closes what is open. */
void net_lane_close(struct net_lane *l);
/* Once libuv holds nothing of it. */
void net_lane_fini(struct net_lane *l);

/* net.c: what those above say to a hello, or to an answer to ours, who know what
 * became of its id. 0, or why not. */
enum net_refusal net_ask_handler(struct net *n,
                                 const struct net_hello_info *hello);

/* listen.c: binds and listens; -errno with a sentence in @why, and nothing is
 * held. */
int net_listen_open(struct net *n, const char *listen, char *why,
                    size_t why_size);
void net_listen_close(struct net *n);
/* Closes what @p has dialled. */
void net_listen_drop(struct net_peer *p);
/* Harmless on one that is closing. */
void net_in_close(struct net_in *in);

/* admin.c */
void net_admin_open(struct net *n);
/* When all of admins are closing. */
void net_admin_close(struct net *n);
/* May one more ask? 0, or why not. */
enum net_refusal net_admin_judge(const struct net *n);
/* @in was a stranger, and has been told that its hello is accepted. */
void net_admin_accept(struct net_in *in);
/* @in is no longer in admins. */
void net_admin_gone(struct net_in *in);
int net_admin_on_frame(struct net_in *in, const struct net_frame_in *frame);

#endif
