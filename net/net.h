/* Bytes between nodes, on libuv.
 *
 *   net_open ─▶ net_add_peer* ─▶ net_send_*, then net_flush once a turn
 *          │    net_set_address, net_remove_peer, as members come and go
 *          └─▶ net_close, then run the loop until `closed` is called
 *
 * Each node dials each peer twice: a connection for small urgent messages
 * (heartbeats, votes, reads) and one for bulk (appends, forwarded commands), so
 * that a heartbeat never waits behind a mebibyte. What a node dials it sends
 * on; what it accepts it receives on. A hello opens each connection: protocol
 * version, cluster id, who dials; a mismatch is refused with a reason that both
 * sides note. A broken connection is dialled again with back-off; frames queued
 * for it are dropped (Raft repeats what matters), and the handler is told.
 *
 * Ids and addresses are two things: a peer may be known before its address is,
 * or before it is known which cluster this is; it is dialled when both are.
 *
 * The same port takes connections of admins, who are no nodes: one question at
 * a time, and its answer (codec.h has their side of it).
 *
 * Frames: frame_format.h. Messages: peer.proto.
 * Thread: loop. */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "raft/types.h"

#define NET_PROTOCOL_VERSION 3

struct net;

/* A command that a follower hands to the leader. */
struct net_forward {
    raft_id from;
    uint64_t session;
    uint64_t sequence;
    struct px_slice command; /* reference it to keep it */
};

/* The leader's refusal: the sender tries again elsewhere. There is no answer
 * on success: the sender sees its command applied. */
struct net_forward_refused {
    raft_id from;
    uint64_t session;
    uint64_t sequence;
    int rc; /* -PX_ENOTLEADER or -EAGAIN: it was not proposed */
};

/* A snapshot on its way to a follower (node/transfer.h has the conversation);
 * numbers are on the wire. */
enum net_snapshot_what {
    NET_SNAPSHOT_OFFER = 1, /* the sender has one, of @bytes */
    NET_SNAPSHOT_WANT = 2,  /* all before @offset is here: send from there on */
    NET_SNAPSHOT_PIECE = 3, /* @data lies at @offset */
    NET_SNAPSHOT_DONE = 4,  /* it is installed, or not needed any more */
    NET_SNAPSHOT_REFUSED = 5, /* not now: offer it again later */
    NET_SNAPSHOT_ASK = 6, /* offer one of pos.index or later; what else there is
                             to say of one is left out */
};

struct net_snapshot {
    enum net_snapshot_what what;
    raft_id from;
    raft_term term;      /* the sender's */
    struct raft_pos pos; /* which one: the position it was made at */
    uint64_t bytes;      /* of the file; in all, so that a mixture is noticed */
    uint64_t offset;
    struct px_slice data; /* at most NET_SNAPSHOT_PIECE_BYTES_MAX; reference it
                             to keep it */
};

/* Why a hello was refused; numbers are on the wire. */
enum net_refusal {
    NET_REFUSED_VERSION = 1,
    NET_REFUSED_CLUSTER = 2,
    NET_REFUSED_WRONG_NODE = 3,
    NET_REFUSED_UNKNOWN_NODE = 4,
    NET_REFUSED_ELECTION = 5,
    NET_REFUSED_REMOVED = 6, /* it was a member, and must not be one again */
    NET_REFUSED_WIPED = 7,   /* its log is empty, and was not always */
    NET_REFUSED_NOT_YET = 8, /* we don't know yet which cluster this is */
    NET_REFUSED_BUSY = 9,    /* NET_ADMINS_MAX others ask already */
};
/* For notes. */
const char *net_refusal_text(enum net_refusal reason);

/* Who says hello to us. */
struct net_hello_info {
    raft_id id;
    const char *name;
    bool is_empty; /* nothing is durable in its log yet */
};

/* What an admin asks; numbers are on the wire. */
enum net_admin_what {
    NET_ADMIN_LIST = 1,
    NET_ADMIN_ADD = 2,
    NET_ADMIN_PROMOTE = 3,
    NET_ADMIN_REMOVE = 4,
    NET_ADMIN_TRANSFER = 5,
};

/* Words, without spaces; either may be empty. Whether they make sense is not
 * looked at here. */
struct net_admin {
    enum net_admin_what what;
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1];
};

struct net_admin_member {
    char name[PX_NODE_ID_BYTES_MAX + 1];
    char address[PX_ADDRESS_BYTES_MAX + 1]; /* empty: not known */
    char zone[PX_NODE_ID_BYTES_MAX + 1];
    uint8_t role; /* enum raft_member_role; 0: not a member, but there */
    bool is_leader;
    bool is_alive;
    bool is_self; /* the one that answers */
    uint64_t match;
};

struct net_admin_reply {
    int rc; /* 0, or of the errors that have a number on the wire */
    char text[NET_ADMIN_TEXT_BYTES_MAX + 1]; /* for a person */
    char leader[PX_NODE_ID_BYTES_MAX + 1];   /* empty: not known */
    char leader_address[PX_ADDRESS_BYTES_MAX + 1];
    uint64_t cluster;
    size_t count;
    struct net_admin_member list[NET_ADMIN_MEMBERS_MAX];
};

/* Called from the loop, never from within a call of this header, and free to
 * make any; but judge only looks. Messages are good during the call; slices may
 * be referenced. What says so may be NULL. */
struct net_handler {
    void *ctx;
    void (*on_raft)(void *ctx, const struct raft_msg *msg);
    void (*on_forward)(void *ctx, const struct net_forward *f);
    void (*on_forward_refused)(void *ctx, const struct net_forward_refused *f);
    void (*on_snapshot)(void *ctx, const struct net_snapshot *s);
    /* The bulk connection to @peer has been made, or has broken: what was
     * queued or in flight may be lost. */
    void (*on_peer_up)(void *ctx, raft_id peer);
    void (*on_peer_down)(void *ctx, raft_id peer);
    /* May this node of our cluster, known here or not, talk to us, or be talked
     * to? Asked of its hello, and of its answer to ours. 0, or why not. NULL: it
     * may. A node that is no peer is refused in any case. */
    enum net_refusal (*judge)(void *ctx, const struct net_hello_info *hello);
    /* @peer has refused us: each time that we dial it. NULL: no matter. */
    void (*on_refused)(void *ctx, raft_id peer, enum net_refusal reason);
    /* The hello of @peer, or its answer to ours: for each connection, and, for
     * ours, before on_peer_up. NULL: no matter. */
    void (*on_peer_hello)(void *ctx, raft_id peer, bool is_empty);
    /* Answer with net_admin_reply, now or later. NULL: admins are refused. */
    void (*on_admin)(void *ctx, uint64_t token, const struct net_admin *a);
};

struct net_options {
    uv_loop_t *loop;
    raft_id id;
    const char *name;
    uint64_t cluster;   /* 0: not known yet, see net_set_cluster */
    bool is_empty;      /* see net_set_empty */
    const char *listen; /* host:port, [v6]:port, :port; empty: don't listen */
    px_ns election; /* the same on all nodes, as leases rest on it: a peer with
                       another one is refused */
    px_ns dial_timeout;  /* also for a hello */
    px_ns redial_min;    /* back-off doubles from here ... */
    px_ns redial_max;    /* ... to here */
    px_ns admin_timeout; /* of an admin's silence, and for an answer; 0: 30 s */
};

/* Binds and listens at once, so that a port in use ends the start.
 * Ignores SIGPIPE for the process. Port 0: any free one, see net_port.
 * Errors: -EADDRINUSE and the like, -EINVAL for a bad address; one sentence in
 *         @why. What is left to close, the loop closes. */
int net_open(const struct net_options *options,
             const struct net_handler *handler, struct net **net_out, char *why,
             size_t why_size);
/* The port that is listened on; 0: none. */
uint16_t net_port(const struct net *n);
/* Which cluster this is, if it was not known at net_open: until now all hellos
 * were refused as NET_REFUSED_NOT_YET, and nobody was dialled. */
void net_set_cluster(struct net *n, uint64_t cluster);
/* Whether our hellos, and answers to hellos, say from now on that nothing is
 * durable in our log yet. */
void net_set_empty(struct net *n, bool is_empty);

/* @address: host:port, where host is IPv4, [IPv6] or a name that is looked up
 * anew at each dial; NULL or "": not known yet. Begins to dial. What is not a
 * peer is not listened to.
 * Errors: -EINVAL, -EEXIST, -ENOMEM; -ENOSPC: NET_PEERS_MAX peers, or as many
 *         that were removed and are not closed yet. */
int net_add_peer(struct net *n, raft_id id, const char *name,
                 const char *address);
/* Dials @address from now on, at once if it is another than before: what is
 * connected breaks then, on_peer_down included, as if the network did it.
 * Errors, without effect: -EINVAL, -ENOENT. */
int net_set_address(struct net *n, raft_id id, const char *address);
/* Closes all connections with it, both ways. Nothing of it is called back any
 * more, on_peer_down neither. It may be added again at once. Harmless if it is
 * no peer. */
void net_remove_peer(struct net *n, raft_id id);
bool net_has_peer(const struct net *n, raft_id id);

/* Queues a frame; it leaves at net_flush. References what it keeps.
 * Errors: -EAGAIN  the queue is full, -ENOTCONN  no connection: in both cases
 *         the message is dropped and counted. */
int net_send_raft(struct net *n, const struct raft_msg *msg);
int net_send_forward(struct net *n, raft_id to, const struct net_forward *f);
int net_send_forward_refused(struct net *n, raft_id to,
                             const struct net_forward_refused *f);
/* In order with each other, behind what else is bulk. */
int net_send_snapshot(struct net *n, raft_id to, const struct net_snapshot *s);
/* Hands what is queued to the kernel, one writev a connection. */
void net_flush(struct net *n);
/* Answers the question that @token was given for; ignored if who asked has
 * gone, or was answered. */
void net_admin_reply(struct net *n, uint64_t token,
                     const struct net_admin_reply *r);

struct net_peer_info {
    raft_id id;
    const char *name;
    const char *address; /* empty: not known */
    bool is_connected;   /* both connections out */
    uint64_t frames_out;
    uint64_t bytes_out;
    uint64_t frames_in;
    uint64_t bytes_in;
    uint64_t dropped; /* frames not sent: queue full, or no connection */
    uint64_t dials;
};
/* Fills at most @max; returns how many there are: at most NET_PEERS_MAX. The
 * texts are the net's, good until the peer is changed. */
size_t net_get_peers(const struct net *n, struct net_peer_info *out,
                     size_t max);

struct net_counters {
    uint64_t frames_bad; /* checksum, type, size, malformed: closes it */
    uint64_t hellos_refused;
};
void net_get_counters(const struct net *n, struct net_counters *out);

/* Closes all handles; the handler is not called any more. @closed (or NULL) is
 * called from the loop when they are, and @n has been freed by then. A lookup
 * of a name that is running can't be interrupted: it ends first. */
void net_close(struct net *n, void (*closed)(void *ctx), void *ctx);

#endif
