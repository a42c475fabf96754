/* Hellos and forwarded commands, and the two ends of protobuf-c that all
 * messages share; codec_raft.c has Raft's own, codec_admin.c the admin's. */
#include "net/codec.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/codec_head.h"

/* ForwardRefused.why */
#define WHY_NOT_LEADER 1u
#define WHY_AGAIN 2u

const char *net_refusal_text(enum net_refusal reason)
{
    switch (reason) {
    case NET_REFUSED_VERSION:
        return "another protocol version";
    case NET_REFUSED_CLUSTER:
        return "another cluster";
    case NET_REFUSED_WRONG_NODE:
        return "the address belongs to another node";
    case NET_REFUSED_UNKNOWN_NODE:
        return "unknown node";
    case NET_REFUSED_ELECTION:
        return "another election timeout: TICK_MS and ELECTION must be the "
               "same on all nodes";
    case NET_REFUSED_REMOVED:
        return "the node was removed from the cluster, and its id is not used "
               "again";
    case NET_REFUSED_WIPED:
        return "the node comes with an empty disk, and has had another one: it "
               "needs a new NODE_ID";
    case NET_REFUSED_NOT_YET:
        return "the node that was dialled is in no cluster yet";
    case NET_REFUSED_BUSY:
        return "too many at a time";
    }
    return "no reason";
}

/* ---- Heads ---- */

struct net_frame *net_head_encode(enum net_frame_type type,
                                  const ProtobufCMessage *head,
                                  size_t slice_max)
{
    const size_t bytes = protobuf_c_message_get_packed_size(head);
    struct net_frame *f = net_frame_new(type, bytes, slice_max);

    if (f != NULL)
        (void)protobuf_c_message_pack(head, net_frame_head(f)); /* is @bytes */
    return f;
}

static void *arena_alloc(void *ctx, size_t size)
{
    struct net_arena *a = ctx;
    const size_t align = _Alignof(max_align_t);
    size_t at = a->used;

    if (size > sizeof a->bytes - at)
        return NULL;
    a->used = at + (size + align - 1) / align * align;
    if (a->used > sizeof a->bytes)
        a->used = sizeof a->bytes;
    return a->bytes + at;
}

static void arena_free(void *ctx, void *block)
{
    (void)ctx; /* all goes at once, with the arena */
    (void)block;
}

void *net_head_decode(const struct net_frame_in *frame,
                      const ProtobufCMessageDescriptor *what,
                      struct net_arena *arena)
{
    arena->used = 0;
    arena->allocator = (ProtobufCAllocator){
        .alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
    return protobuf_c_message_unpack(what, &arena->allocator, frame->head_bytes,
                                     frame->head);
}

/* ---- Hellos ---- */

struct net_frame *net_encode_hello(const struct net_hello *hello)
{
    Net__Hello head = NET__HELLO__INIT;
    struct net_frame *f;

    head.version = hello->version;
    head.cluster = hello->cluster;
    head.from = hello->from;
    head.to = hello->to;
    head.name = (char *)(uintptr_t)hello->name; /* only read */
    head.class_ = hello->class;
    head.election = hello->election;
    head.is_empty = hello->is_empty;
    f = net_head_encode(NET_FRAME_HELLO, &head.base, 0);
    if (f == NULL)
        return NULL;
    px_assert(f->bytes <= NET_FRAME_HEADER_BYTES + NET_HELLO_HEAD_BYTES_MAX);
    net_frame_seal(f);
    return f;
}

/* A name goes into notes: nothing in it may look like another field. */
static bool is_name(const char *name)
{
    const size_t size = strlen(name);

    if (size > PX_NODE_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!isgraph((unsigned char)name[i]))
            return false;
    }
    return true;
}

int net_decode_hello(const struct net_frame_in *frame, struct net_hello *out)
{
    struct net_arena arena;
    const Net__Hello *head =
        net_head_decode(frame, &net__hello__descriptor, &arena);

    if (head == NULL || frame->body.size > 0 || !is_name(head->name))
        return -EPROTO;
    if (head->class_ < NET_URGENT || head->class_ > NET_ADMIN)
        return -EPROTO;
    if (head->class_ == NET_ADMIN && head->from != 0)
        return -EPROTO;
    *out = (struct net_hello){.version = head->version,
                              .cluster = head->cluster,
                              .from = head->from,
                              .to = head->to,
                              .class = (enum net_class)head->class_,
                              .election = head->election,
                              .is_empty = head->is_empty != 0};
    memcpy(out->name, head->name, strlen(head->name));
    return 0;
}

struct net_frame *net_encode_hello_ok(const struct net_hello_ok *ok)
{
    Net__HelloOk head = NET__HELLO_OK__INIT;
    struct net_frame *f;

    head.version = ok->version;
    head.from = ok->from;
    head.is_empty = ok->is_empty;
    f = net_head_encode(NET_FRAME_HELLO_OK, &head.base, 0);
    if (f != NULL)
        net_frame_seal(f);
    return f;
}

int net_decode_hello_ok(const struct net_frame_in *frame,
                        struct net_hello_ok *out)
{
    struct net_arena arena;
    const Net__HelloOk *head =
        net_head_decode(frame, &net__hello_ok__descriptor, &arena);

    if (head == NULL || frame->body.size > 0)
        return -EPROTO;
    *out = (struct net_hello_ok){.version = head->version,
                                 .from = head->from,
                                 .is_empty = head->is_empty != 0};
    return 0;
}

struct net_frame *net_encode_hello_refused(enum net_refusal reason)
{
    Net__HelloRefused head = NET__HELLO_REFUSED__INIT;
    struct net_frame *f;

    head.reason = reason;
    f = net_head_encode(NET_FRAME_HELLO_REFUSED, &head.base, 0);
    if (f != NULL)
        net_frame_seal(f);
    return f;
}

int net_decode_hello_refused(const struct net_frame_in *frame,
                             enum net_refusal *out)
{
    struct net_arena arena;
    const Net__HelloRefused *head =
        net_head_decode(frame, &net__hello_refused__descriptor, &arena);

    if (head == NULL || frame->body.size > 0)
        return -EPROTO;
    if (head->reason < NET_REFUSED_VERSION || head->reason > NET_REFUSED_BUSY)
        return -EPROTO;
    *out = (enum net_refusal)head->reason;
    return 0;
}

/* ---- Forwarded commands ---- */

struct net_frame *net_encode_forward(const struct net_forward *f)
{
    Net__Forward head = NET__FORWARD__INIT;
    struct net_frame *frame;

    px_assert(f->command.size <= PX_ENTRY_BYTES_MAX);
    head.from = f->from;
    head.session = f->session;
    head.sequence = f->sequence;
    frame = net_head_encode(NET_FRAME_FORWARD, &head.base, 1);
    if (frame == NULL)
        return NULL;
    if (net_frame_add(frame, f->command) < 0) {
        net_frame_free(frame);
        return NULL;
    }
    net_frame_seal(frame);
    return frame;
}

int net_decode_forward(const struct net_frame_in *frame,
                       struct net_forward *out)
{
    struct net_arena arena;
    const Net__Forward *head =
        net_head_decode(frame, &net__forward__descriptor, &arena);

    if (head == NULL || frame->body.size > PX_ENTRY_BYTES_MAX)
        return -EPROTO;
    *out = (struct net_forward){.from = head->from,
                                .session = head->session,
                                .sequence = head->sequence,
                                .command = frame->body};
    return 0;
}

struct net_frame *
net_encode_forward_refused(const struct net_forward_refused *f)
{
    Net__ForwardRefused head = NET__FORWARD_REFUSED__INIT;
    struct net_frame *frame;

    px_assert(f->rc == -PX_ENOTLEADER || f->rc == -EAGAIN);
    head.from = f->from;
    head.session = f->session;
    head.sequence = f->sequence;
    head.why = f->rc == -PX_ENOTLEADER ? WHY_NOT_LEADER : WHY_AGAIN;
    frame = net_head_encode(NET_FRAME_FORWARD_REFUSED, &head.base, 0);
    if (frame != NULL)
        net_frame_seal(frame);
    return frame;
}

int net_decode_forward_refused(const struct net_frame_in *frame,
                               struct net_forward_refused *out)
{
    struct net_arena arena;
    const Net__ForwardRefused *head =
        net_head_decode(frame, &net__forward_refused__descriptor, &arena);

    if (head == NULL || frame->body.size > 0)
        return -EPROTO;
    if (head->why != WHY_NOT_LEADER && head->why != WHY_AGAIN)
        return -EPROTO;
    *out = (struct net_forward_refused){
        .from = head->from,
        .session = head->session,
        .sequence = head->sequence,
        .rc = head->why == WHY_NOT_LEADER ? -PX_ENOTLEADER : -EAGAIN};
    return 0;
}
