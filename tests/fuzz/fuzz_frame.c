/* Bytes from another node, through reader and decoders.
 *
 *   byte 0   bit 0: mend magic and checksum of each frame first, so that the
 *            decoders are reached; the other bits: how much is read at a time
 *   the rest the stream
 *
 * Whatever is decoded can be encoded, and decodes to the same again. Run as
 *   fuzz_frame -max_len=65536 CORPUS_DIR */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "net/codec.h"
#include "net/reader.h"
#include "tests/fuzz/frames.h"

#define CHUNK_BYTES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct raft_entry entries[PX_BATCH_ENTRIES_MAX];

static void check_raft(const struct net_frame_in *in)
{
    static struct raft_entry again_entries[PX_BATCH_ENTRIES_MAX];
    struct raft_msg msg;
    struct raft_msg again;
    struct net_frame_in back = *in;
    struct net_frame *f;

    if (net_decode_raft(in, entries, &msg) < 0)
        return;
    f = net_encode_raft(&msg);
    px_assert(f != NULL);
    px_assert(f->bytes - f->lead_bytes == in->body.size);
    back.head = net_frame_head(f);
    back.head_bytes = f->lead_bytes - NET_FRAME_HEADER_BYTES;
    px_assert(net_decode_raft(&back, again_entries, &again) == 0);
    px_assert(again.type == msg.type);
    px_assert(again.term == msg.term);
    if (msg.type == RAFT_MSG_APPEND)
        px_assert(again.append.count == msg.append.count);
    if (msg.type == RAFT_MSG_LOST)
        px_assert(again.lost.match == msg.lost.match &&
                  again.lost.last == msg.lost.last);
    if (msg.type == RAFT_MSG_LOST_REPLY)
        px_assert(again.lost_reply.index == msg.lost_reply.index);
    net_frame_free(f);
}

static void check_hello(const struct net_frame_in *in)
{
    struct net_hello hello;

    if (net_decode_hello(in, &hello) == 0)
        net_frame_free(net_encode_hello(&hello));
}

static void check_hello_answers(const struct net_frame_in *in)
{
    enum net_refusal refusal;
    struct net_hello_ok ok;

    if (net_decode_hello_ok(in, &ok) == 0)
        net_frame_free(net_encode_hello_ok(&ok));
    if (net_decode_hello_refused(in, &refusal) == 0)
        net_frame_free(net_encode_hello_refused(refusal));
}

static void check_forwards(const struct net_frame_in *in)
{
    struct net_forward_refused refused;
    struct net_forward forward;

    if (net_decode_forward(in, &forward) == 0)
        net_frame_free(net_encode_forward(&forward));
    if (net_decode_forward_refused(in, &refused) == 0)
        net_frame_free(net_encode_forward_refused(&refused));
}

static void check_snapshot(const struct net_frame_in *in)
{
    struct net_snapshot snapshot;

    if (net_decode_snapshot(in, &snapshot) == 0)
        net_frame_free(net_encode_snapshot(&snapshot));
}

/* What is fit to be shown leaves unchanged. */
static void check_same_reply(const struct net_admin_reply *reply,
                             const struct net_frame_in *in)
{
    static struct net_admin_reply again;
    struct net_frame *f = net_encode_admin_reply(reply);
    struct net_frame_in back = *in;

    px_assert(f != NULL);
    back.head = net_frame_head(f);
    back.head_bytes = f->lead_bytes - NET_FRAME_HEADER_BYTES;
    px_assert(net_decode_admin_reply(&back, &again) == 0);
    px_assert(again.rc == reply->rc);
    px_assert(again.count == reply->count);
    px_assert(strcmp(again.text, reply->text) == 0);
    for (size_t i = 0; i < reply->count; i++)
        px_assert(strcmp(again.list[i].name, reply->list[i].name) == 0);
    net_frame_free(f);
}

static void check_admin(const struct net_frame_in *in)
{
    static struct net_admin_reply reply;
    struct net_admin admin;

    if (net_decode_admin(in, &admin) == 0)
        net_frame_free(net_encode_admin(&admin));
    if (net_decode_admin_reply(in, &reply) == 0)
        check_same_reply(&reply, in);
}

static int on_frame(void *ctx, const struct net_frame_in *in)
{
    (void)ctx;
    check_raft(in);
    check_hello(in);
    check_hello_answers(in);
    check_forwards(in);
    check_snapshot(in);
    check_admin(in);
    return 0;
}

static void feed(struct net_reader *r, const uint8_t *data, size_t size,
                 size_t step)
{
    while (size > 0) {
        const uv_buf_t room = net_reader_room(r);
        size_t n = size < step ? size : step;

        if (n > room.len)
            n = room.len;
        memcpy(room.base, data, n);
        if (net_reader_advance(r, n) < 0)
            return;
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_reader r;
    uint8_t *stream;

    if (size < 2)
        return 0;
    stream = frames_copy(data + 1, size - 1, (data[0] & 1u) != 0);
    px_assert(net_reader_init(&r, CHUNK_BYTES, on_frame, NULL) == 0);
    r.head_bytes_max = PX_FRAME_HEAD_BYTES_MAX;
    r.body_bytes_max = PX_FRAME_BODY_BYTES_MAX;
    feed(&r, stream, size - 1, 1 + (data[0] >> 1) * 16u);
    net_reader_fini(&r);
    free(stream);
    return 0;
}
