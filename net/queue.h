/* Frames that wait for a socket, bounded by NET_PEER_QUEUE_*.
 *
 *   push* ─▶ gather ─▶ write ─▶ drop what was written
 *
 * Thread: loop. */
#ifndef NET_QUEUE_H
#define NET_QUEUE_H

#include <uv.h>

#include "net/frame.h"

struct net_queue {
    struct px_list frames;
    size_t count;
    size_t bytes;      /* of whole frames */
    size_t first_sent; /* bytes of the first frame that are gone */
};

void net_queue_init(struct net_queue *q);
/* Takes @f. -EAGAIN when the queue is full; @f then stays the caller's. */
int net_queue_push(struct net_queue *q, struct net_frame *f);
/* The bytes at the front as at most @max pieces: how many, and their sum. They
 * are good until they are dropped. */
unsigned net_queue_gather(const struct net_queue *q, uv_buf_t *pieces,
                          unsigned max, size_t *bytes_out);
/* The first @bytes have been sent; frames that are gone are freed. Returns how
 * many those were. */
size_t net_queue_drop(struct net_queue *q, size_t bytes);
/* Frees all; returns how many. */
size_t net_queue_clear(struct net_queue *q);

#endif
