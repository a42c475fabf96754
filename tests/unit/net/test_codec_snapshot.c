#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/codec.h"

/* What a receiver would be shown of @f. */
static struct net_frame_in shown(struct net_frame *f)
{
    struct net_frame_in in = {.type = f->type,
                              .bytes = f->bytes,
                              .head = net_frame_head(f),
                              .head_bytes =
                                  f->lead_bytes - NET_FRAME_HEADER_BYTES};

    if (f->slice_count > 0)
        in.body = f->slices[0];
    return in;
}

static const struct net_snapshot sample = {.from = UINT64_MAX,
                                           .term = UINT64_MAX - 1,
                                           .pos = {UINT64_MAX - 2, 7},
                                           .bytes = UINT64_MAX,
                                           .offset = 1000};

static void every_message_of_a_transfer_round_trips(void **state)
{
    struct px_slice data = px_slice_copy("snapshot", 8);

    (void)state;
    for (int what = NET_SNAPSHOT_OFFER; what <= NET_SNAPSHOT_ASK; what++) {
        struct net_snapshot s = sample;
        struct net_snapshot back;
        struct net_frame_in in;
        struct net_frame *f;

        s.what = (enum net_snapshot_what)what;
        if (what == NET_SNAPSHOT_PIECE)
            s.data = data;
        f = net_encode_snapshot(&s);
        in = shown(f);
        assert_int_equal(in.type, NET_FRAME_SNAPSHOT);
        assert_int_equal(net_decode_snapshot(&in, &back), 0);
        assert_int_equal(back.what, what);
        assert_true(back.from == s.from && back.term == s.term);
        assert_true(back.pos.term == s.pos.term);
        assert_true(back.pos.index == s.pos.index);
        assert_true(back.bytes == s.bytes && back.offset == s.offset);
        assert_ptr_equal(back.data.data, s.data.data);
        assert_int_equal(back.data.size, s.data.size);
        net_frame_free(f);
    }
    px_slice_unref(&data);
}

/* Each is the sample with one number changed, on the wire: fields are found by
 * their tags, and small numbers take one byte. */
static void expect_refused(const struct net_snapshot *s, uint8_t tag,
                           uint8_t value, struct px_slice body)
{
    struct net_frame *f = net_encode_snapshot(s);
    struct net_frame_in in = shown(f);
    uint8_t *at = memchr(net_frame_head(f), tag, in.head_bytes);
    struct net_snapshot back;

    assert_non_null(at);
    at[1] = value;
    in.body = body;
    assert_int_equal(net_decode_snapshot(&in, &back), -EPROTO);
    net_frame_free(f);
}

static void what_no_node_would_send_is_refused(void **state)
{
    enum { TAG_WHAT = 1 << 3, TAG_INDEX = 5 << 3, TAG_BYTES = 6 << 3 };
    const struct net_snapshot small = {.what = NET_SNAPSHOT_PIECE,
                                       .from = 2,
                                       .term = 3,
                                       .pos = {3, 4},
                                       .bytes = 8,
                                       .data = px_slice_copy("snapshot", 8)};
    const struct net_snapshot offer = {.what = NET_SNAPSHOT_OFFER,
                                       .from = 2,
                                       .term = 3,
                                       .pos = {3, 4},
                                       .bytes = 8};
    const struct net_snapshot ask = {
        .what = NET_SNAPSHOT_ASK, .from = 2, .term = 3, .pos = {0, 4}};
    struct px_slice data = small.data;
    struct px_slice none = {0};

    (void)state;
    expect_refused(&offer, TAG_WHAT, 0, none);
    expect_refused(&offer, TAG_WHAT, NET_SNAPSHOT_ASK + 1, none);
    expect_refused(&ask, TAG_INDEX, 0, none);
    expect_refused(&ask, TAG_INDEX, 4, data);
    expect_refused(&offer, TAG_INDEX, 0, none);
    expect_refused(&offer, TAG_BYTES, 0, none);
    expect_refused(&offer, TAG_BYTES, 8, data); /* an offer with bytes */
    expect_refused(&small, TAG_BYTES, 8, none); /* a piece without */
    expect_refused(&small, TAG_BYTES, 7, data); /* beyond the file's end */
    px_slice_unref(&data);
}

static void a_piece_is_bounded(void **state)
{
    const size_t size = NET_SNAPSHOT_PIECE_BYTES_MAX;
    struct px_slice body = px_slice_of(px_buf_new(size + 1), 0, size + 1);
    struct net_snapshot s = {.what = NET_SNAPSHOT_PIECE,
                             .from = 1,
                             .term = 1,
                             .pos = {1, 1},
                             .bytes = 2 * size,
                             .data = {body.owner, body.data, size}};
    struct net_snapshot back;
    struct net_frame *f = net_encode_snapshot(&s);
    struct net_frame_in in = shown(f);

    (void)state;
    assert_int_equal(net_decode_snapshot(&in, &back), 0);
    in.body = body;
    assert_int_equal(net_decode_snapshot(&in, &back), -EPROTO);
    net_frame_free(f);
    px_slice_unref(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_of_a_transfer_round_trips),
        cmocka_unit_test(what_no_node_would_send_is_refused),
        cmocka_unit_test(a_piece_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
