#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "net/frame.h"

/* "head" and "body": a frame, drawn by hand from frame_format.h. */
static const uint8_t drawn[] = {0xf1, 'P', 'H', 'X', 5,   0,   0,   0,
                                4,    0,   0,   0,   4,   0,   0,   0,
                                'h',  'e', 'a', 'd', 'b', 'o', 'd', 'y'};

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value = 0;

    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static struct net_frame *head_and_body(struct px_slice body)
{
    struct net_frame *f = net_frame_new(NET_FRAME_FORWARD, 4, 1);

    assert_non_null(f);
    memcpy(net_frame_head(f), "head", 4);
    assert_int_equal(net_frame_add(f, body), 0);
    net_frame_seal(f);
    return f;
}

static void a_frame_lies_as_it_is_drawn(void **state)
{
    struct px_slice body = px_slice_copy("body", 4);
    struct net_frame *f = head_and_body(body);

    (void)state;
    assert_int_equal(f->bytes, 24 + 4 + 4);
    assert_int_equal(f->lead_bytes, 24 + 4);
    assert_memory_equal(f->lead, drawn, 16);
    assert_true(get_u64(f->lead + 16) == XXH3_64bits(drawn, sizeof drawn));
    assert_memory_equal(f->lead + 24, "head", 4);
    net_frame_free(f);
    px_slice_unref(&body);
}

static void a_body_is_referenced_and_not_copied(void **state)
{
    struct px_slice body = px_slice_copy("body", 4);
    struct net_frame *f = head_and_body(body);

    (void)state;
    assert_ptr_equal(f->slices[0].data, body.data);
    assert_int_equal(body.owner->refs, 2);
    net_frame_free(f);
    assert_int_equal(body.owner->refs, 1);
    px_slice_unref(&body);
}

static void a_body_that_nobody_owns_is_copied(void **state)
{
    char bytes[] = "body";
    struct net_frame *f =
        head_and_body((struct px_slice){NULL, (const uint8_t *)bytes, 4});

    (void)state;
    memset(bytes, 'x', 4);
    assert_memory_equal(f->slices[0].data, "body", 4);
    net_frame_free(f);
}

static void a_header_is_read_back(void **state)
{
    struct px_slice body = px_slice_copy("body", 4);
    struct net_frame *f = head_and_body(body);
    struct net_frame_header h;

    (void)state;
    assert_int_equal(net_frame_header_decode(f->lead, &h), 0);
    assert_int_equal(h.type, NET_FRAME_FORWARD);
    assert_int_equal(h.head_bytes, 4);
    assert_int_equal(h.body_bytes, 4);
    assert_int_equal(net_frame_header_bytes(&h), 32);
    net_frame_free(f);
    px_slice_unref(&body);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct px_slice body = px_slice_copy("body", 4);
    struct net_frame *f = head_and_body(body);
    uint8_t whole[32];

    (void)state;
    memcpy(whole, f->lead, 28);
    memcpy(whole + 28, "body", 4);
    for (size_t bit = 0; bit < 8 * sizeof whole; bit++) {
        struct net_frame_header h;
        int rc;

        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = net_frame_header_decode(whole, &h);
        /* A changed size is judged, and the bytes for it awaited, elsewhere.*/
        assert_true(rc < 0 || net_frame_header_bytes(&h) != sizeof whole ||
                    !net_frame_is_intact(&h, whole));
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    net_frame_free(f);
    px_slice_unref(&body);
}

static void another_protocol_is_told_from_its_first_byte(void **state)
{
    static const uint8_t tls[] = {0x16, 0x03, 0x01};

    (void)state;
    assert_false(net_frame_is_magic((const uint8_t *)"P", 1));
    assert_false(net_frame_is_magic((const uint8_t *)"PRI * HTTP/2.0", 14));
    assert_false(net_frame_is_magic((const uint8_t *)"GET / HTTP/1.1", 14));
    assert_false(net_frame_is_magic(tls, sizeof tls));
    for (size_t size = 1; size <= sizeof drawn; size++)
        assert_true(net_frame_is_magic(drawn, size));
}

static void unknown_types_are_refused(void **state)
{
    uint8_t header[24] = {0xf1, 'P', 'H', 'X'};
    struct net_frame_header h;

    (void)state;
    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        const int expected = type >= 1 && type <= 9 ? 0 : -EPROTO;

        header[4] = (uint8_t)type;
        header[5] = (uint8_t)(type >> 8);
        assert_int_equal(net_frame_header_decode(header, &h), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_lies_as_it_is_drawn),
        cmocka_unit_test(a_body_is_referenced_and_not_copied),
        cmocka_unit_test(a_body_that_nobody_owns_is_copied),
        cmocka_unit_test(a_header_is_read_back),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(another_protocol_is_told_from_its_first_byte),
        cmocka_unit_test(unknown_types_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
