/* Frames out of a stream that may be cut anywhere.
 *
 *   chunk  [ frame | frame | fra        ]  small frames are handed out where
 *                                          they lie; the rest moves to the start
 *   large  [ a frame longer than chunk  ]  is read in place, and handed out
 *                                          as it lies */
#include "net/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

int net_reader_init(struct net_reader *r, size_t chunk_bytes,
                    net_frame_fn *on_frame, void *ctx)
{
    px_assert(chunk_bytes >= NET_FRAME_HEADER_BYTES);
    *r = (struct net_reader){.on_frame = on_frame,
                             .ctx = ctx,
                             .head_bytes_max = NET_HELLO_HEAD_BYTES_MAX,
                             .body_bytes_max = 0,
                             .chunk_bytes = chunk_bytes,
                             .chunk = malloc(chunk_bytes)};
    return r->chunk != NULL ? 0 : -ENOMEM;
}

void net_reader_fini(struct net_reader *r)
{
    free(r->chunk);
    px_buf_unref(r->large);
    *r = (struct net_reader){0};
}

uv_buf_t net_reader_room(struct net_reader *r)
{
    uint8_t *at = r->chunk + r->used;
    size_t size = r->chunk_bytes - r->used;

    if (r->large != NULL) {
        at = r->large->data + r->large_used;
        size = r->large->size - r->large_used;
    }
    px_assert(size > 0); /* what is whole has been handed out */
    return (uv_buf_t){.base = (char *)at, .len = size};
}

/* A whole frame lies at @at: in @large, or, when that is NULL, in the chunk,
 * from where a body has to move out to be kept. */
static int hand_out(struct net_reader *r, const struct net_frame_header *h,
                    const uint8_t *at, struct px_buf *large)
{
    const uint8_t *body = at + NET_FRAME_HEADER_BYTES + h->head_bytes;
    struct net_frame_in frame = {.type = h->type,
                                 .bytes = net_frame_header_bytes(h),
                                 .head = at + NET_FRAME_HEADER_BYTES,
                                 .head_bytes = h->head_bytes};
    int rc;

    if (!net_frame_is_intact(h, at))
        return -EPROTO;
    if (h->body_bytes > 0) {
        frame.body =
            large != NULL
                ? px_slice_ref((struct px_slice){large, body, h->body_bytes})
                : px_slice_copy(body, h->body_bytes);
        if (frame.body.owner == NULL)
            return -ENOMEM;
    }
    rc = r->on_frame(r->ctx, &frame);
    px_slice_unref(&frame.body);
    return rc;
}

/* Moves the start of a frame that won't fit in the chunk to a px_buf. */
static int begin_large(struct net_reader *r, const struct net_frame_header *h,
                       const uint8_t *at, size_t size)
{
    r->large = px_buf_new(net_frame_header_bytes(h));
    if (r->large == NULL)
        return -ENOMEM;
    px_assert(size < r->large->size);
    memcpy(r->large->data, at, size);
    r->large_used = size;
    return 0;
}

/* Takes what it can of the @size bytes at @at in the chunk: one frame; all, if
 * they begin a long one; nothing, if a short one isn't whole yet. */
static int take_frame(struct net_reader *r, const uint8_t *at, size_t size,
                      size_t *taken_out)
{
    struct net_frame_header h;
    size_t bytes;
    int rc;

    *taken_out = 0;
    if (!net_frame_is_magic(at, size))
        return -EPROTO;
    if (size < NET_FRAME_HEADER_BYTES)
        return 0;
    rc = net_frame_header_decode(at, &h);
    if (rc < 0)
        return rc;
    if (h.head_bytes > r->head_bytes_max || h.body_bytes > r->body_bytes_max)
        return -EPROTO;
    bytes = net_frame_header_bytes(&h);
    if (bytes > r->chunk_bytes) {
        *taken_out = size;
        return begin_large(r, &h, at, size);
    }
    if (bytes > size)
        return 0;
    *taken_out = bytes;
    return hand_out(r, &h, at, NULL);
}

static int advance_chunk(struct net_reader *r, size_t bytes)
{
    size_t start = 0;
    size_t taken = 1;

    px_assert(bytes <= r->chunk_bytes - r->used);
    r->used += bytes;
    while (start < r->used && taken > 0) {
        int rc = take_frame(r, r->chunk + start, r->used - start, &taken);

        if (rc < 0)
            return rc;
        start += taken;
    }
    if (start > 0)
        memmove(r->chunk, r->chunk + start, r->used - start);
    r->used -= start;
    return 0;
}

static int advance_large(struct net_reader *r, size_t bytes)
{
    struct px_buf *large = r->large;
    struct net_frame_header h;
    int rc;

    px_assert(bytes <= large->size - r->large_used);
    r->large_used += bytes;
    if (r->large_used < large->size)
        return 0;
    r->large = NULL;
    rc = net_frame_header_decode(large->data, &h);
    px_assert(rc == 0); /* it was, before the buffer was made for it */
    rc = hand_out(r, &h, large->data, large);
    px_buf_unref(large);
    return rc;
}

int net_reader_advance(struct net_reader *r, size_t bytes)
{
    return r->large != NULL ? advance_large(r, bytes) : advance_chunk(r, bytes);
}
