/* One frame: its header, and a frame on its way out (the bytes:
 * frame_format.h).
 *
 * net_frame_new ─▶ fill net_frame_head, net_frame_add* ─▶ net_frame_seal ─▶
 * into a net_queue (queue.h), which hands it to writev as it lies: bodies are
 * referenced, never copied. Frames that come in: reader.h.
 *
 * Thread: any; a frame has one holder. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/frame_format.h"

struct net_frame {
    struct px_list link;
    enum net_frame_type type;
    size_t bytes;      /* on the wire */
    size_t lead_bytes; /* header and head */
    uint8_t *lead;     /* behind the slices, in the same allocation */
    size_t slice_count;
    size_t slice_max;
    struct px_slice slices[]; /* the body */
};

/* Room for a head of @head_bytes and a body of @slice_max slices; NULL without
 * memory. */
struct net_frame *net_frame_new(enum net_frame_type type, size_t head_bytes,
                                size_t slice_max);
/* NULL is accepted. */
void net_frame_free(struct net_frame *f);
/* Where the head goes. */
uint8_t *net_frame_head(struct net_frame *f);
/* References @s; copies it if nobody owns it. -ENOMEM. */
int net_frame_add(struct net_frame *f, struct px_slice s);
/* Writes the header, once head and body are complete. */
void net_frame_seal(struct net_frame *f);

struct net_frame_header {
    enum net_frame_type type;
    uint32_t head_bytes;
    uint32_t body_bytes;
    uint64_t checksum;
};

/* Could a stream of ours begin with these @size bytes? To be asked from the
 * first byte on. */
bool net_frame_is_magic(const uint8_t *at, size_t size);
/* The header at @at; -EPROTO for one that we would not have written. Its sizes
 * are not judged. */
int net_frame_header_decode(const uint8_t *at, struct net_frame_header *out);
/* On the wire. */
size_t net_frame_header_bytes(const struct net_frame_header *h);
/* Does the whole frame at @at have the checksum that its header @h says? */
bool net_frame_is_intact(const struct net_frame_header *h, const uint8_t *at);

/* A frame that came in. Good during the call that shows it; the body may be
 * referenced. */
struct net_frame_in {
    enum net_frame_type type;
    size_t bytes; /* on the wire */
    const uint8_t *head;
    size_t head_bytes;
    struct px_slice body;
};

#endif
