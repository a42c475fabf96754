#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/rand.h"
#include "net/reader.h"

#define CHUNK_BYTES 256
#define FRAMES_MAX 16

struct seen {
    size_t count;
    int rc; /* what to return */
    enum net_frame_type types[FRAMES_MAX];
    struct px_slice bodies[FRAMES_MAX]; /* referenced */
    size_t head_bytes;                  /* of the last */
};

static int on_frame(void *ctx, const struct net_frame_in *frame)
{
    struct seen *seen = ctx;

    if (seen->count < FRAMES_MAX) {
        seen->types[seen->count] = frame->type;
        seen->bodies[seen->count] = px_slice_ref(frame->body);
    }
    seen->count++;
    seen->head_bytes = frame->head_bytes;
    return seen->rc;
}

static void seen_forget(struct seen *seen)
{
    for (size_t i = 0; i < FRAMES_MAX; i++)
        px_slice_unref(&seen->bodies[i]);
    *seen = (struct seen){0};
}

static void reader_start(struct net_reader *r, struct seen *seen)
{
    *seen = (struct seen){0};
    assert_int_equal(net_reader_init(r, CHUNK_BYTES, on_frame, seen), 0);
    r->head_bytes_max = PX_FRAME_HEAD_BYTES_MAX;
    r->body_bytes_max = PX_FRAME_BODY_BYTES_MAX;
}

/* As a socket would: at most @step bytes at a time, and never beyond the room.
 */
static int feed(struct net_reader *r, const uint8_t *data, size_t size,
                size_t step)
{
    while (size > 0) {
        const uv_buf_t room = net_reader_room(r);
        size_t n = size < step ? size : step;
        int rc;

        assert_true(room.len > 0);
        if (n > room.len)
            n = room.len;
        memcpy(room.base, data, n);
        rc = net_reader_advance(r, n);
        if (rc < 0)
            return rc;
        data += n;
        size -= n;
    }
    return 0;
}

static size_t put_frame(uint8_t *at, enum net_frame_type type,
                        size_t head_bytes, size_t body_bytes)
{
    struct px_slice body = px_slice_of(px_buf_new(body_bytes), 0, body_bytes);
    struct net_frame *f = net_frame_new(type, head_bytes, 1);
    size_t bytes;

    assert_non_null(f);
    for (size_t i = 0; i < body_bytes; i++)
        body.owner->data[i] = (uint8_t)(i * 31);
    memset(net_frame_head(f), 'h', head_bytes);
    assert_int_equal(net_frame_add(f, body), 0);
    net_frame_seal(f);
    bytes = f->bytes;
    memcpy(at, f->lead, f->lead_bytes);
    if (body_bytes > 0)
        memcpy(at + f->lead_bytes, body.data, body_bytes);
    net_frame_free(f);
    px_slice_unref(&body);
    return bytes;
}

/* Small, without anything, as large as the chunk, larger, small again. */
static const size_t body_sizes[] = {
    10, 0, 0, CHUNK_BYTES - 24 - 5, CHUNK_BYTES - 24 - 4, 1000, 3};
#define BODIES (sizeof body_sizes / sizeof body_sizes[0])

static size_t put_stream(uint8_t *out)
{
    size_t bytes = 0;

    for (size_t i = 0; i < BODIES; i++)
        bytes += put_frame(out + bytes, NET_FRAME_RAFT, i == 2 ? 0 : 5,
                           body_sizes[i]);
    return bytes;
}

static void check_stream(const struct seen *seen)
{
    assert_int_equal(seen->count, BODIES);
    for (size_t i = 0; i < BODIES; i++) {
        assert_int_equal(seen->bodies[i].size, body_sizes[i]);
        for (size_t k = 0; k < body_sizes[i]; k++)
            assert_int_equal(seen->bodies[i].data[k], (uint8_t)(k * 31));
    }
}

static void a_stream_cut_into_equal_parts_of_any_size_is_whole(void **state)
{
    uint8_t bytes[4096];
    const size_t size = put_stream(bytes);

    (void)state;
    for (size_t step = 1; step <= size; step++) {
        struct net_reader r;
        struct seen seen;

        reader_start(&r, &seen);
        assert_int_equal(feed(&r, bytes, size, step), 0);
        check_stream(&seen);
        net_reader_fini(&r);
        seen_forget(&seen);
    }
}

static void a_stream_cut_in_two_anywhere_is_whole(void **state)
{
    uint8_t bytes[4096];
    const size_t size = put_stream(bytes);

    (void)state;
    for (size_t cut = 0; cut <= size; cut++) {
        struct net_reader r;
        struct seen seen;

        reader_start(&r, &seen);
        assert_int_equal(feed(&r, bytes, cut, size), 0);
        assert_int_equal(feed(&r, bytes + cut, size - cut, size), 0);
        check_stream(&seen);
        net_reader_fini(&r);
        seen_forget(&seen);
    }
}

static void
a_stream_that_ends_anywhere_hands_out_whole_frames_only(void **state)
{
    uint8_t bytes[4096];
    const size_t size = put_stream(bytes);

    (void)state;
    for (size_t end = 0; end < size; end++) {
        struct net_reader r;
        struct seen seen;
        size_t whole = 0;

        for (size_t at = 0; whole < BODIES; whole++) {
            at += 24u + (whole == 2 ? 0u : 5u) + body_sizes[whole];
            if (at > end)
                break;
        }
        reader_start(&r, &seen);
        assert_int_equal(feed(&r, bytes, end, 100), 0);
        assert_int_equal(seen.count, whole);
        net_reader_fini(&r); /* and nothing leaks */
        seen_forget(&seen);
    }
}

/* A kept body must not pin, nor share, the chunk that is read into again. */
static void a_small_body_that_is_kept_outlives_the_chunk(void **state)
{
    uint8_t bytes[256];
    const size_t size = put_frame(bytes, NET_FRAME_FORWARD, 1, 100);
    struct net_reader r;
    struct seen seen;

    (void)state;
    reader_start(&r, &seen);
    assert_int_equal(feed(&r, bytes, size, size), 0);
    assert_int_equal(seen.bodies[0].owner->size, 100);
    assert_int_equal(seen.bodies[0].owner->refs, 1);
    memset(r.chunk, 0xff, r.chunk_bytes);
    assert_int_equal(seen.bodies[0].data[1], 31);
    net_reader_fini(&r);
    seen_forget(&seen);
}

static void a_large_frame_is_read_into_one_buffer(void **state)
{
    uint8_t *bytes = malloc(PX_MIB + 100);
    size_t size;
    struct net_reader r;
    struct seen seen;

    (void)state;
    assert_non_null(bytes);
    size = put_frame(bytes, NET_FRAME_FORWARD, 7, PX_MIB);
    reader_start(&r, &seen);
    assert_int_equal(feed(&r, bytes, size, 65536), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.bodies[0].owner->size, 24 + 7 + PX_MIB);
    assert_int_equal(seen.bodies[0].owner->refs, 1);
    assert_memory_equal(seen.bodies[0].data, bytes + 24 + 7, PX_MIB);
    net_reader_fini(&r);
    seen_forget(&seen);
    free(bytes);
}

static void
a_size_above_the_limit_is_refused_before_memory_is_asked(void **state)
{
    uint8_t header[24] = {0xf1, 'P', 'H', 'X', NET_FRAME_RAFT};
    struct net_reader r;
    struct seen seen;

    (void)state;
    memset(header + 12, 0xff, 4); /* a body of 4 GiB */
    reader_start(&r, &seen);
    assert_int_equal(feed(&r, header, sizeof header, 24), -EPROTO);
    assert_null(r.large);
    net_reader_fini(&r);

    memset(header + 12, 0, 4);
    memset(header + 8, 0xff, 4); /* a head of 4 GiB */
    reader_start(&r, &seen);
    assert_int_equal(feed(&r, header, sizeof header, 24), -EPROTO);
    assert_null(r.large);
    net_reader_fini(&r);
}

static void a_reader_starts_with_the_limits_of_a_hello(void **state)
{
    uint8_t bytes[1024];
    size_t size =
        put_frame(bytes, NET_FRAME_HELLO, NET_HELLO_HEAD_BYTES_MAX, 0);
    struct net_reader r;
    struct seen seen = {0};

    (void)state;
    assert_int_equal(net_reader_init(&r, 512, on_frame, &seen), 0);
    assert_int_equal(feed(&r, bytes, size, size), 0);
    assert_int_equal(seen.count, 1);
    size = put_frame(bytes, NET_FRAME_HELLO, NET_HELLO_HEAD_BYTES_MAX + 1, 0);
    assert_int_equal(feed(&r, bytes, size, size), -EPROTO);
    net_reader_fini(&r);

    assert_int_equal(net_reader_init(&r, 512, on_frame, &seen), 0);
    size = put_frame(bytes, NET_FRAME_HELLO, 1, 1);
    assert_int_equal(feed(&r, bytes, size, size), -EPROTO);
    net_reader_fini(&r);
}

static void another_protocol_is_refused_at_its_first_byte(void **state)
{
    struct net_reader r;
    struct seen seen;

    (void)state;
    reader_start(&r, &seen);
    assert_int_equal(feed(&r, (const uint8_t *)"P", 1, 1), -EPROTO);
    net_reader_fini(&r);
}

static void the_callback_can_stop_the_reader(void **state)
{
    uint8_t bytes[4096];
    const size_t size = put_stream(bytes);
    struct net_reader r;
    struct seen seen;

    (void)state;
    reader_start(&r, &seen);
    seen.rc = -ECANCELED;
    assert_int_equal(feed(&r, bytes, size, 200), -ECANCELED);
    assert_int_equal(seen.count, 1);
    net_reader_fini(&r);
    seen_forget(&seen);
}

/* The checksum notices; whatever else a mutation makes the stream look like,
 * nothing is read out of bounds (as the sanitizers see), and only frames that
 * were really sent are handed out. */
static void mutated_streams_are_survived(void **state)
{
    uint8_t bytes[4096];
    const size_t size = put_stream(bytes);
    struct px_rand rand;

    (void)state;
    px_rand_init(&rand, 42);
    for (int round = 0; round < 20000; round++) {
        uint8_t mutated[4096];
        struct net_reader r;
        struct seen seen;

        memcpy(mutated, bytes, size);
        for (uint64_t i = px_rand_below(&rand, 4) + 1; i > 0; i--)
            mutated[px_rand_below(&rand, size)] ^=
                (uint8_t)(1 + px_rand_below(&rand, 255));
        reader_start(&r, &seen);
        (void)feed(&r, mutated, size, 1 + px_rand_below(&rand, 300));
        assert_true(seen.count <= BODIES);
        net_reader_fini(&r);
        for (size_t i = 0; i < seen.count; i++)
            assert_int_equal(seen.bodies[i].size, body_sizes[i]);
        seen_forget(&seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_cut_into_equal_parts_of_any_size_is_whole),
        cmocka_unit_test(a_stream_cut_in_two_anywhere_is_whole),
        cmocka_unit_test(
            a_stream_that_ends_anywhere_hands_out_whole_frames_only),
        cmocka_unit_test(a_small_body_that_is_kept_outlives_the_chunk),
        cmocka_unit_test(a_large_frame_is_read_into_one_buffer),
        cmocka_unit_test(
            a_size_above_the_limit_is_refused_before_memory_is_asked),
        cmocka_unit_test(a_reader_starts_with_the_limits_of_a_hello),
        cmocka_unit_test(another_protocol_is_refused_at_its_first_byte),
        cmocka_unit_test(the_callback_can_stop_the_reader),
        cmocka_unit_test(mutated_streams_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
