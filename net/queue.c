/* What waits for a socket, as pieces that writev takes. */
#include "net/queue.h"

#include <errno.h>
#include <stdbool.h>

#include "base/assert.h"
#include "base/limits.h"

void net_queue_init(struct net_queue *q)
{
    *q = (struct net_queue){0};
    px_list_init(&q->frames);
}

int net_queue_push(struct net_queue *q, struct net_frame *f)
{
    if (q->count >= NET_PEER_QUEUE_FRAMES_MAX)
        return -EAGAIN;
    if (f->bytes > NET_PEER_QUEUE_BYTES_MAX - q->bytes)
        return -EAGAIN;
    px_list_push_back(&q->frames, &f->link);
    q->count++;
    q->bytes += f->bytes;
    return 0;
}

/* Adds a piece without its first *@skip bytes; false when there is no room. */
static bool add_piece(uv_buf_t *pieces, unsigned max, unsigned *count,
                      const uint8_t *data, size_t size, size_t *skip,
                      size_t *bytes)
{
    if (*skip >= size) {
        *skip -= size;
        return true;
    }
    if (*count == max)
        return false;
    pieces[*count].base = (char *)(uintptr_t)data + *skip; /* only read */
    pieces[*count].len = size - *skip;
    *bytes += size - *skip;
    *skip = 0;
    (*count)++;
    return true;
}

unsigned net_queue_gather(const struct net_queue *q, uv_buf_t *pieces,
                          unsigned max, size_t *bytes_out)
{
    size_t skip = q->first_sent;
    unsigned count = 0;
    size_t bytes = 0;
    bool has_room = true;

    for (const struct px_list *it = q->frames.next;
         it != &q->frames && has_room; it = it->next) {
        const struct net_frame *f = px_list_entry(it, struct net_frame, link);

        has_room = add_piece(pieces, max, &count, f->lead, f->lead_bytes, &skip,
                             &bytes);
        for (size_t i = 0; i < f->slice_count && has_room; i++)
            has_room = add_piece(pieces, max, &count, f->slices[i].data,
                                 f->slices[i].size, &skip, &bytes);
    }
    *bytes_out = bytes;
    return count;
}

static void free_first(struct net_queue *q)
{
    struct net_frame *f =
        px_list_entry(px_list_pop_front(&q->frames), struct net_frame, link);

    px_assert(q->count > 0);
    px_assert(q->bytes >= f->bytes);
    q->count--;
    q->bytes -= f->bytes;
    q->first_sent = 0;
    net_frame_free(f);
}

size_t net_queue_drop(struct net_queue *q, size_t bytes)
{
    const size_t before = q->count;

    while (bytes > 0) {
        const struct net_frame *f =
            px_list_entry(q->frames.next, struct net_frame, link);
        size_t left;

        px_assert(!px_list_empty(&q->frames));
        left = f->bytes - q->first_sent;
        if (bytes < left) {
            q->first_sent += bytes;
            break;
        }
        bytes -= left;
        free_first(q);
    }
    return before - q->count;
}

size_t net_queue_clear(struct net_queue *q)
{
    const size_t before = q->count;

    while (!px_list_empty(&q->frames))
        free_first(q);
    px_assert(q->count == 0);
    px_assert(q->bytes == 0);
    return before;
}
