/* Snapshots on their way: net_snapshot <-> peer.proto. */
#include <errno.h>

#include "base/assert.h"
#include "net/codec.h"
#include "net/codec_head.h"

/* Of what we send: pieces, and only they, carry bytes; all lies in the file. */
static bool is_sound(const struct net_snapshot *s)
{
    if (s->what == NET_SNAPSHOT_ASK)
        return s->pos.index > 0 && s->data.size == 0;
    if (s->pos.index == 0 || s->pos.term == 0 || s->bytes == 0)
        return false;
    if (s->offset > s->bytes)
        return false;
    if (s->what != NET_SNAPSHOT_PIECE)
        return s->data.size == 0;
    return s->data.size > 0 && s->data.size <= NET_SNAPSHOT_PIECE_BYTES_MAX &&
           s->data.size <= s->bytes - s->offset;
}

struct net_frame *net_encode_snapshot(const struct net_snapshot *s)
{
    Net__Snapshot head = NET__SNAPSHOT__INIT;
    struct net_frame *frame;

    px_assert(is_sound(s));
    head.what = s->what;
    head.from = s->from;
    head.term = s->term;
    head.pos_term = s->pos.term;
    head.pos_index = s->pos.index;
    head.bytes = s->bytes;
    head.offset = s->offset;
    frame = net_head_encode(NET_FRAME_SNAPSHOT, &head.base, 1);
    if (frame == NULL)
        return NULL;
    if (s->data.size > 0 && net_frame_add(frame, s->data) < 0) {
        net_frame_free(frame);
        return NULL;
    }
    net_frame_seal(frame);
    return frame;
}

int net_decode_snapshot(const struct net_frame_in *frame,
                        struct net_snapshot *out)
{
    struct net_arena arena;
    const Net__Snapshot *head =
        net_head_decode(frame, &net__snapshot__descriptor, &arena);
    struct net_snapshot s;

    if (head == NULL || head->what < NET_SNAPSHOT_OFFER ||
        head->what > NET_SNAPSHOT_ASK)
        return -EPROTO;
    s = (struct net_snapshot){.what = (enum net_snapshot_what)head->what,
                              .from = head->from,
                              .term = head->term,
                              .pos = {head->pos_term, head->pos_index},
                              .bytes = head->bytes,
                              .offset = head->offset,
                              .data = frame->body};
    if (!is_sound(&s))
        return -EPROTO;
    *out = s;
    return 0;
}
