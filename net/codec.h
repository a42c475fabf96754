/* Messages to frames and back: struct raft_msg, forwarded commands, hellos
 * <-> peer.proto.
 *
 * Encoding refers to the data of entries and commands, it doesn't copy them.
 * Decoding believes nothing: every number that another node could have got
 * wrong is checked, and nothing is allocated beyond a fixed arena on the stack.
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
};
#define NET_CLASSES 2

struct net_hello {
    uint32_t version;
    uint64_t cluster;
    raft_id from;
    raft_id to; /* whom the dialler believes to have reached */
    enum net_class class;
    px_ns election;
    char name[PX_NODE_ID_BYTES_MAX + 1]; /* printable, without spaces */
};

struct net_hello_ok {
    uint32_t version;
    raft_id from;
};

/* Why a hello was refused; numbers are on the wire. */
enum net_refusal {
    NET_REFUSED_VERSION = 1,
    NET_REFUSED_CLUSTER = 2,
    NET_REFUSED_WRONG_NODE = 3,
    NET_REFUSED_UNKNOWN_NODE = 4,
    NET_REFUSED_ELECTION = 5,
};
/* For notes. */
const char *net_refusal_text(enum net_refusal reason);

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

#endif
