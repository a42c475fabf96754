/* protobuf-c without its allocations: what codec.c and codec_raft.c share. */
#ifndef NET_CODEC_HEAD_H
#define NET_CODEC_HEAD_H

#include <assert.h>
#include <stddef.h>

#include "base/limits.h"
#include "net/frame.h"
#include "net/peer.pb-c.h"

/* Where a decoded head lives: the largest is an append with its three lists.
 * A head that needs more (lists too long, unknown fields by the thousand) was
 * not made by us, and fails to decode. */
#define NET_ARENA_BYTES (16u * PX_KIB)
static_assert(PX_BATCH_ENTRIES_MAX * (sizeof(uint64_t) + 2 * sizeof(uint32_t)) +
                      2048 <=
                  NET_ARENA_BYTES,
              "the largest head that we send can be decoded");
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
