/* Frames out of a stream.
 *
 *   room ─▶ read(2) into it ─▶ advance, which calls back for each whole,
 *                              verified frame
 *
 * A frame that fits in the reader's chunk is parsed there, and only its body,
 * which may be kept, moves to a px_buf of its own size. A longer one gets one
 * px_buf as soon as its header is known and found to be within the limits; the
 * rest of it is read straight to where it stays.
 *
 * Thread: loop. */
#ifndef NET_READER_H
#define NET_READER_H

#include <uv.h>

#include "net/frame.h"

/* Below 0: no further frame is wanted, and net_reader_advance returns it. */
typedef int net_frame_fn(void *ctx, const struct net_frame_in *frame);

struct net_reader {
    net_frame_fn *on_frame;
    void *ctx;
    /* What a frame may hold, checked before anything is allocated. The owner
     * may change them between frames, also in the callback. */
    uint32_t head_bytes_max;
    uint32_t body_bytes_max;
    size_t chunk_bytes;
    uint8_t *chunk;
    size_t used;          /* bytes in the chunk, from its start */
    struct px_buf *large; /* a frame that does not fit in the chunk */
    size_t large_used;
};

/* Starts with the limits of a hello. -ENOMEM. */
int net_reader_init(struct net_reader *r, size_t chunk_bytes,
                    net_frame_fn *on_frame, void *ctx);
/* Harmless on a reader that is all zero. */
void net_reader_fini(struct net_reader *r);
/* Where the next bytes of the stream belong; never empty. */
uv_buf_t net_reader_room(struct net_reader *r);
/* @bytes were put there.
 * Errors: -EPROTO  not our magic, a field out of range, a wrong checksum
 *         -ENOMEM; or what the callback returned. The stream is then of no
 *         further use. */
int net_reader_advance(struct net_reader *r, size_t bytes);

#endif
