/* protobuf-c without its allocations: what the codec*.c share. */
#ifndef NET_CODEC_HEAD_H
#define NET_CODEC_HEAD_H

#include <assert.h>
#include <stddef.h>

#include "base/limits.h"
#include "net/frame.h"
#include "net/peer.pb-c.h"

/* Where a decoded head lives: the largest is an admin's answer, then an append
 * with its three lists. A head that needs more (lists too long, unknown fields
 * by the thousand) was not made by us, and fails to decode. */
#define NET_ARENA_BYTES (48u * PX_KIB)
static_assert(PX_BATCH_ENTRIES_MAX * (sizeof(uint64_t) + 2 * sizeof(uint32_t)) +
                      2048 <=
                  NET_ARENA_BYTES,
              "the largest append can be decoded");
/* A member's texts, each rounded up, and its place in the list. */
#define NET_ADMIN_MEMBER_BYTES                                               \
    (sizeof(Net__AdminMember) + 16 + sizeof(void *) + PX_ADDRESS_BYTES_MAX + \
     16 + 2 * (PX_NODE_ID_BYTES_MAX + 16))
static_assert(NET_ADMIN_MEMBERS_MAX * NET_ADMIN_MEMBER_BYTES + 8192 <=
                  NET_ARENA_BYTES,
              "the largest answer can be decoded");
static_assert(NET_ADMIN_MEMBERS_MAX * (PX_ADDRESS_BYTES_MAX +
                                       2 * PX_NODE_ID_BYTES_MAX + 48) +
                      NET_ADMIN_TEXT_BYTES_MAX + 1024 <=
                  PX_FRAME_HEAD_BYTES_MAX,
              "the head of the largest answer fits");
static_assert(PX_NODE_ID_BYTES_MAX + PX_ADDRESS_BYTES_MAX + 16 <=
                  NET_ADMIN_HEAD_BYTES_MAX,
              "the head of the longest question fits");
/* A varint of 64 bits takes 10 bytes, one of 32 bits takes 5. */
static_assert(PX_BATCH_ENTRIES_MAX * (10 + 5 + 5) + 256 <=
                  PX_FRAME_HEAD_BYTES_MAX,
              "the head of the largest batch fits");

struct net_arena {
    ProtobufCAllocator allocator;
    size_t used;
    _Alignas(max_align_t) uint8_t bytes[NET_ARENA_BYTES];
};

/* A frame with @head packed into it, neither with a body nor sealed yet. */
struct net_frame *net_head_encode(enum net_frame_type type,
                                  const ProtobufCMessage *head,
                                  size_t slice_max);
/* The head as a message of type @what, in @arena, which needs no clearing and
 * no freeing; NULL if it isn't one. */
void *net_head_decode(const struct net_frame_in *frame,
                      const ProtobufCMessageDescriptor *what,
                      struct net_arena *arena);

#endif
