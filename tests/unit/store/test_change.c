/* store/change.c: what a leader adds to a change of the members, to bytes and
 * back; other bytes are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rand.h"
#include "store/change.h"

static struct command_scratch *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = command_scratch_new();
    return scratch == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    command_scratch_free(scratch);
    return 0;
}

/* As much as there can be. */
static struct store_change full(void)
{
    struct store_change c = {.removed = UINT64_MAX, .count = RAFT_MEMBERS_MAX};

    for (size_t i = 0; i < c.count; i++) {
        c.list[i].id = UINT64_MAX - i;
        memset(c.list[i].name, 'a' + (int)i, PX_NODE_ID_BYTES_MAX);
        memset(c.list[i].address, 'A' + (int)i, PX_ADDRESS_BYTES_MAX);
    }
    return c;
}

static void expect_same(const struct store_change *a,
                        const struct store_change *b)
{
    assert_int_equal(a->removed, b->removed);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->list[i].id, b->list[i].id);
        assert_string_equal(a->list[i].name, b->list[i].name);
        assert_string_equal(a->list[i].address, b->list[i].address);
    }
}

static void expect_back(const struct store_change *c)
{
    struct store_change got;
    struct px_slice bytes;

    assert_int_equal(store_change_encode(c, &bytes), 0);
    assert_int_equal(store_change_decode(bytes, scratch, &got), 0);
    expect_same(c, &got);
    px_slice_unref(&bytes);
}

static void a_change_comes_back_as_it_was(void **state)
{
    struct store_change c = {0};

    (void)state;
    expect_back(&c);
    c.removed = 7;
    expect_back(&c);
    c.count = 2;
    c.list[0].id = 9;
    c.list[1].id = 8;
    (void)strcpy(c.list[1].name, "node-8");
    expect_back(&c);
    (void)strcpy(c.list[0].address, "[::1]:9000");
    expect_back(&c);
    c = full();
    expect_back(&c);
}

static void expect_refused(const struct store_change *c)
{
    struct px_slice bytes;

    assert_int_equal(store_change_encode(c, &bytes), -EINVAL);
}

static void nonsense_is_not_encoded(void **state)
{
    struct store_change c;

    (void)state;
    c = full();
    c.count = RAFT_MEMBERS_MAX + 1;
    expect_refused(&c);
    c = full();
    c.list[3].id = 0;
    expect_refused(&c);
    c = full();
    c.list[3].id = c.list[5].id;
    expect_refused(&c);
    c = full();
    c.list[3].name[PX_NODE_ID_BYTES_MAX] = 'x'; /* it does not end */
    expect_refused(&c);
    c = full();
    c.list[3].name[2] = '\n';
    expect_refused(&c);
    c = full();
    c.list[3].address[2] = ' ';
    expect_refused(&c);
    c = full();
    c.list[3].address[2] = (char)0xc3;
    expect_refused(&c);
}

/* Whatever the bytes, a change or none; and never one that could not be
 * encoded. Cut off anywhere, a whole one can be another. */
static void expect_sound(const uint8_t *bytes, size_t size)
{
    struct px_slice slice = {.data = bytes, .size = size};
    struct store_change c;
    int rc = store_change_decode(slice, scratch, &c);

    if (rc == 0)
        expect_back(&c);
    else
        assert_int_equal(rc, -PX_EFORMAT);
}

static void damaged_bytes_are_refused_or_are_another_change(void **state)
{
    struct store_change c = full();
    struct px_slice bytes;
    struct px_rand rand;
    uint8_t *copy;

    (void)state;
    px_rand_init(&rand, 1);
    assert_int_equal(store_change_encode(&c, &bytes), 0);
    copy = malloc(bytes.size);
    assert_non_null(copy);
    for (size_t i = 0; i < bytes.size; i++) {
        memcpy(copy, bytes.data, bytes.size);
        copy[i] ^= (uint8_t)(1 + px_rand_next(&rand) % 255);
        expect_sound(copy, bytes.size);
        expect_sound(bytes.data, i);
    }
    free(copy);
    px_slice_unref(&bytes);
}

static void expect_bad(const char *bytes, size_t size)
{
    struct px_slice slice = {.data = (const uint8_t *)bytes, .size = size};
    struct store_change c = {.removed = 77};

    assert_int_equal(store_change_decode(slice, scratch, &c), -PX_EFORMAT);
    assert_int_equal(c.removed, 77);
}

/* By hand: a member of id 5 is 12 09 09 05 00 .. 00. */
static void what_is_not_known_here_makes_all_of_it_nothing(void **state)
{
    static uint8_t large[STORE_CHANGE_BYTES_MAX + 1];

    (void)state;
    expect_bad("\x18\x01", 2);                                /* a field 3 */
    expect_bad("\x12\x0b\x09\x05\0\0\0\0\0\0\0\x20\x01", 13); /* in a member */
    expect_bad("\x12\x00", 2); /* without an id */
    expect_bad("\x12\x0c\x09\x05\0\0\0\0\0\0\0\x12\x01\x07", 14); /* a bell */
    expect_bad("\x12\x09\x09\x05\0\0\0\0\0\0\0"
               "\x12\x09\x09\x05\0\0\0\0\0\0\0",
               22); /* twice */
    expect_bad((const char *)large, sizeof large);
    for (size_t at = 0; at + 11 <= sizeof large; at += 11) {
        memcpy(large + at, "\x12\x09\x09\x05\0\0\0\0\0\0\0", 11);
        large[at + 3] = (uint8_t)(1 + at / 11);
        large[at + 4] = (uint8_t)(1 + at / 11 / 256);
    }
    expect_bad((const char *)large, 17 * 11); /* one too many */
    expect_bad((const char *)large, sizeof large / 11 * 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_comes_back_as_it_was),
        cmocka_unit_test(nonsense_is_not_encoded),
        cmocka_unit_test(damaged_bytes_are_refused_or_are_another_change),
        cmocka_unit_test(what_is_not_known_here_makes_all_of_it_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
