#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "net/queue.h"

static struct net_frame *frame_of(struct px_slice a, struct px_slice b)
{
    struct net_frame *f = net_frame_new(NET_FRAME_FORWARD, 3, 2);

    assert_non_null(f);
    memcpy(net_frame_head(f), "hhh", 3);
    assert_int_equal(net_frame_add(f, a), 0);
    assert_int_equal(net_frame_add(f, b), 0);
    net_frame_seal(f);
    return f;
}

static size_t write_out(const uv_buf_t *pieces, unsigned count, uint8_t *out)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        memcpy(out + bytes, pieces[i].base, pieces[i].len);
        bytes += pieces[i].len;
    }
    return bytes;
}

static void fill(struct net_queue *q)
{
    struct px_slice a = px_slice_copy("aaaa", 4);
    struct px_slice b = px_slice_copy("bbbbb", 5);
    struct px_slice none = {0};

    net_queue_init(q);
    assert_int_equal(net_queue_push(q, frame_of(a, b)), 0);
    assert_int_equal(net_queue_push(q, frame_of(none, none)), 0);
    assert_int_equal(net_queue_push(q, frame_of(b, a)), 0);
    px_slice_unref(&a);
    px_slice_unref(&b);
}

/* Whatever a socket takes at a time, and however few pieces a write may have,
 * the same bytes come out in the same order. */
static void any_partial_write_yields_the_same_bytes(void **state)
{
    uint8_t whole[256];
    uint8_t pieced[256];
    uv_buf_t pieces[16];
    struct net_queue q;
    size_t whole_bytes;
    size_t sum;

    (void)state;
    fill(&q);
    whole_bytes =
        write_out(pieces, net_queue_gather(&q, pieces, 16, &sum), whole);
    assert_int_equal(whole_bytes, 3 * (24 + 3) + 2 * (4 + 5));
    assert_int_equal(sum, whole_bytes);
    assert_int_equal(net_queue_clear(&q), 3);

    for (size_t step = 1; step <= whole_bytes; step++) {
        for (unsigned max = 1; max <= 16; max++) {
            size_t at = 0;
            size_t frames = 0;

            fill(&q);
            while (q.count > 0) {
                unsigned count = net_queue_gather(&q, pieces, max, &sum);
                size_t taken = sum < step ? sum : step;

                assert_true(count >= 1 && count <= max);
                assert_int_equal(write_out(pieces, count, pieced + at), sum);
                frames += net_queue_drop(&q, taken);
                at += taken;
            }
            assert_int_equal(frames, 3);
            assert_int_equal(at, whole_bytes);
            assert_memory_equal(whole, pieced, whole_bytes);
        }
    }
}

static void a_queue_full_of_frames_refuses(void **state)
{
    struct px_slice none = {0};
    struct net_frame *f = frame_of(none, none);
    struct net_queue q;

    (void)state;
    net_queue_init(&q);
    for (size_t i = 0; i < NET_PEER_QUEUE_FRAMES_MAX; i++)
        assert_int_equal(net_queue_push(&q, frame_of(none, none)), 0);
    assert_int_equal(net_queue_push(&q, f), -EAGAIN);
    assert_int_equal(net_queue_drop(&q, f->bytes), 1);
    assert_int_equal(net_queue_push(&q, f), 0);
    assert_int_equal(net_queue_clear(&q), NET_PEER_QUEUE_FRAMES_MAX);
}

static void a_queue_full_of_bytes_refuses(void **state)
{
    struct px_slice mebibyte = px_slice_of(px_buf_new(PX_MIB), 0, PX_MIB);
    struct px_slice none = {0};
    struct net_queue q;
    size_t pushed = 0;
    int rc;

    (void)state;
    memset(mebibyte.owner->data, 0, PX_MIB);
    net_queue_init(&q);
    do {
        struct net_frame *f = frame_of(mebibyte, none);

        rc = net_queue_push(&q, f);
        if (rc < 0)
            net_frame_free(f);
        else
            pushed++;
    } while (rc == 0);
    assert_int_equal(rc, -EAGAIN);
    /* 32 MiB hold 31 of them, as each is a little more than one. */
    assert_int_equal(pushed, NET_PEER_QUEUE_BYTES_MAX / PX_MIB - 1);
    assert_int_equal(mebibyte.owner->refs, pushed + 1);
    assert_int_equal(net_queue_clear(&q), pushed);
    assert_int_equal(mebibyte.owner->refs, 1);
    px_slice_unref(&mebibyte);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_partial_write_yields_the_same_bytes),
        cmocka_unit_test(a_queue_full_of_frames_refuses),
        cmocka_unit_test(a_queue_full_of_bytes_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
