/* Messages to frames and back: struct raft_msg, forwarded commands, hellos,
 * admin's questions and answers <-> peer.proto.
 *
 * Encoding refers to the data of entries and commands, it doesn't copy them.
 * Decoding believes nothing: every number that another node could have got
 * wrong is checked, and nothing is allocated beyond a fixed arena on the stack.
 *
 * Whoever only asks a node (class NET_ADMIN) needs no struct net, nor a loop: a
 * socket, frames (frame.h) out of this header's functions, and a reader
 * (reader.h) for what comes back.
 *
 *   hello {version, class NET_ADMIN, name} ─▶
 *                                          ◀─ HELLO_OK, or HELLO_REFUSED
 *   ADMIN                                  ─▶
 *                                          ◀─ ADMIN_REPLY; then ask again, or
 *                                             close
 *
 * Thread: any; no state. */
#ifndef NET_CODEC_H
#define NET_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "net/frame.h"
#include "net/net.h"

/* What a connection is for; numbers are on the wire. */
enum net_class {
    NET_URGENT = 1, /* small, and never behind bulk */
    NET_BULK = 2,
    NET_ADMIN = 3, /* of somebody who is no node, and asks one */
};
#define NET_CLASSES 2 /* between peers */

struct net_hello {
    uint32_t version;
    uint64_t cluster;
    raft_id from; /* 0: an admin, whose cluster, to and election are 0 too */
    raft_id to;   /* whom the dialler believes to have reached */
    enum net_class class;
    px_ns election;
    bool is_empty;                       /* nothing is durable in its log yet */
    char name[PX_NODE_ID_BYTES_MAX + 1]; /* printable, without spaces */
};

struct net_hello_ok {
    uint32_t version;
    raft_id from;
    bool is_empty;
};

/* A sealed frame, or NULL without memory. What they are given is our own, and
 * asserted to be in range. */
struct net_frame *net_encode_hello(const struct net_hello *hello);
struct net_frame *net_encode_hello_ok(const struct net_hello_ok *ok);
struct net_frame *net_encode_hello_refused(enum net_refusal reason);
struct net_frame *net_encode_raft(const struct raft_msg *msg);
struct net_frame *net_encode_forward(const struct net_forward *f);
/* @f->rc is -PX_ENOTLEADER or -EAGAIN. */
struct net_frame *
net_encode_forward_refused(const struct net_forward_refused *f);
/* @s->data is empty but in a PIECE. */
struct net_frame *net_encode_snapshot(const struct net_snapshot *s);
struct net_frame *net_encode_admin(const struct net_admin *a);
/* Some of what is shown came from other nodes: characters that don't belong in
 * a name or a text leave as '?'. An rc without a number on the wire leaves as
 * -EIO. */
struct net_frame *net_encode_admin_reply(const struct net_admin_reply *r);

/* All: the frame's type has been looked at. -EPROTO for what we would not have
 * sent; results are written on success only. */
int net_decode_hello(const struct net_frame_in *frame, struct net_hello *out);
int net_decode_hello_ok(const struct net_frame_in *frame,
                        struct net_hello_ok *out);
int net_decode_hello_refused(const struct net_frame_in *frame,
                             enum net_refusal *out);
/* @entries has room for PX_BATCH_ENTRIES_MAX; an append's entries are put
 * there, as slices of the frame's body, without references of their own. */
int net_decode_raft(const struct net_frame_in *frame,
                    struct raft_entry *entries, struct raft_msg *out);
int net_decode_forward(const struct net_frame_in *frame,
                       struct net_forward *out);
int net_decode_forward_refused(const struct net_frame_in *frame,
                               struct net_forward_refused *out);
int net_decode_snapshot(const struct net_frame_in *frame,
                        struct net_snapshot *out);
int net_decode_admin(const struct net_frame_in *frame, struct net_admin *out);
/* All texts are fit for a terminal. */
int net_decode_admin_reply(const struct net_frame_in *frame,
                           struct net_admin_reply *out);

#endif
