#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
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

static struct net_hello hello_of(const char *name)
{
    struct net_hello hello = {.version = UINT32_MAX,
                              .cluster = UINT64_MAX,
                              .from = UINT64_MAX - 1,
                              .to = 1,
                              .class = NET_BULK,
                              .is_empty = true};

    (void)strcpy(hello.name, name);
    return hello;
}

static void a_hello_round_trips(void **state)
{
    char longest[PX_NODE_ID_BYTES_MAX + 1];
    const char *const names[] = {"", "n", "node-1.eu_west", longest};

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct net_hello hello = hello_of(names[i]);
        struct net_frame *f = net_encode_hello(&hello);
        struct net_frame_in in = shown(f);
        struct net_hello back;

        assert_int_equal(in.type, NET_FRAME_HELLO);
        assert_true(in.head_bytes <= NET_HELLO_HEAD_BYTES_MAX);
        assert_int_equal(net_decode_hello(&in, &back), 0);
        assert_int_equal(back.version, UINT32_MAX);
        assert_true(back.cluster == UINT64_MAX);
        assert_true(back.from == UINT64_MAX - 1);
        assert_int_equal(back.to, 1);
        assert_int_equal(back.class, NET_BULK);
        assert_true(back.is_empty);
        assert_string_equal(back.name, names[i]);
        net_frame_free(f);
    }
}

/* Names end up in notes, one line each, fields separated by spaces. */
static void a_hello_whose_name_could_forge_a_note_is_refused(void **state)
{
    const char *const names[] = {"a b", "a\nb", "a\tb", "\x1b[31m", "\x7f"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct net_hello hello = hello_of(names[i]);
        struct net_frame *f = net_encode_hello(&hello);
        struct net_frame_in in = shown(f);
        struct net_hello back;

        assert_int_equal(net_decode_hello(&in, &back), -EPROTO);
        net_frame_free(f);
    }
}

static void a_hello_with_a_name_too_long_is_refused(void **state)
{
    uint8_t head[80] = {5 << 3 | 2, PX_NODE_ID_BYTES_MAX + 1};
    const struct net_frame_in in = {
        .head = head, .head_bytes = 2 + PX_NODE_ID_BYTES_MAX + 1 + 2};
    struct net_hello back;

    (void)state;
    memset(head + 2, 'x', PX_NODE_ID_BYTES_MAX + 1);
    head[in.head_bytes - 2] = 6 << 3;
    head[in.head_bytes - 1] = NET_BULK;
    assert_int_equal(net_decode_hello(&in, &back), -EPROTO);
    /* The same, one shorter, is a hello. */
    memmove(head + 2 + PX_NODE_ID_BYTES_MAX,
            head + 2 + PX_NODE_ID_BYTES_MAX + 1, 2);
    head[1] = PX_NODE_ID_BYTES_MAX;
    {
        struct net_frame_in shorter = in;

        shorter.head_bytes--;
        assert_int_equal(net_decode_hello(&shorter, &back), 0);
    }
}

static void a_hello_without_a_class_is_refused(void **state)
{
    uint8_t head[2] = {6 << 3, 0};
    const struct net_frame_in in = {.head = head, .head_bytes = 2};
    const struct net_frame_in empty = {.head = head};
    struct net_hello back;

    (void)state;
    assert_int_equal(net_decode_hello(&empty, &back), -EPROTO);
    for (uint8_t class = 0; class < 100; class ++) {
        const int expected = class >= 1 && class <= 3 ? 0 : -EPROTO;

        head[1] = class;
        assert_int_equal(net_decode_hello(&in, &back), expected);
    }
}

/* Who is no node has no id, and can't borrow one. */
static void an_admin_with_an_id_is_refused(void **state)
{
    struct net_hello hello = {.class = NET_ADMIN, .name = "phalanx"};
    struct net_frame *f;
    struct net_frame_in in;
    struct net_hello back;

    (void)state;
    for (raft_id from = 0; from < 2; from++) {
        hello.from = from;
        f = net_encode_hello(&hello);
        in = shown(f);
        assert_int_equal(net_decode_hello(&in, &back), from == 0 ? 0 : -EPROTO);
        net_frame_free(f);
    }
}

static void answers_to_a_hello_round_trip(void **state)
{
    const struct net_hello_ok ok = {
        .version = 7, .from = UINT64_MAX, .is_empty = true};
    struct net_frame *f = net_encode_hello_ok(&ok);
    struct net_frame_in in = shown(f);
    struct net_hello_ok ok_back;

    (void)state;
    assert_int_equal(in.type, NET_FRAME_HELLO_OK);
    assert_int_equal(net_decode_hello_ok(&in, &ok_back), 0);
    assert_int_equal(ok_back.version, 7);
    assert_true(ok_back.from == UINT64_MAX);
    assert_true(ok_back.is_empty);
    net_frame_free(f);

    for (int reason = NET_REFUSED_VERSION; reason <= NET_REFUSED_BUSY;
         reason++) {
        enum net_refusal back;

        f = net_encode_hello_refused((enum net_refusal)reason);
        in = shown(f);
        assert_int_equal(in.type, NET_FRAME_HELLO_REFUSED);
        assert_int_equal(net_decode_hello_refused(&in, &back), 0);
        assert_int_equal(back, reason);
        net_frame_free(f);
    }
}

static void a_refusal_without_a_known_reason_is_refused(void **state)
{
    uint8_t head[2] = {1 << 3, 0};
    const struct net_frame_in in = {.head = head, .head_bytes = 2};
    enum net_refusal back;

    (void)state;
    assert_int_equal(net_decode_hello_refused(&in, &back), -EPROTO);
    head[1] = NET_REFUSED_BUSY + 1;
    assert_int_equal(net_decode_hello_refused(&in, &back), -EPROTO);
}

static void a_forward_round_trips_by_reference(void **state)
{
    struct px_slice command = px_slice_copy("command", 7);
    const struct net_forward f = {.from = UINT64_MAX,
                                  .session = 1,
                                  .sequence = UINT64_MAX,
                                  .command = command};
    struct net_frame *frame = net_encode_forward(&f);
    struct net_frame_in in = shown(frame);
    struct net_forward back;

    (void)state;
    assert_int_equal(in.type, NET_FRAME_FORWARD);
    assert_int_equal(net_decode_forward(&in, &back), 0);
    assert_true(back.from == UINT64_MAX);
    assert_int_equal(back.session, 1);
    assert_true(back.sequence == UINT64_MAX);
    assert_ptr_equal(back.command.data, command.data);
    assert_int_equal(back.command.size, 7);
    net_frame_free(frame);
    px_slice_unref(&command);
}

static void a_forward_larger_than_an_entry_is_refused(void **state)
{
    const size_t size = PX_ENTRY_BYTES_MAX + 1;
    struct px_slice body = px_slice_of(px_buf_new(size), 0, size);
    struct net_frame_in in = {.head = (const uint8_t *)"", .body = body};
    struct net_forward back;

    (void)state;
    assert_int_equal(net_decode_forward(&in, &back), -EPROTO);
    in.body.size--;
    assert_int_equal(net_decode_forward(&in, &back), 0);
    px_slice_unref(&body);
}

static void a_refused_forward_round_trips(void **state)
{
    const int reasons[] = {-PX_ENOTLEADER, -EAGAIN};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct net_forward_refused f = {
            .from = 1, .session = UINT64_MAX, .sequence = 3, .rc = reasons[i]};
        struct net_frame *frame = net_encode_forward_refused(&f);
        struct net_frame_in in = shown(frame);
        struct net_forward_refused back;

        assert_int_equal(in.type, NET_FRAME_FORWARD_REFUSED);
        assert_int_equal(net_decode_forward_refused(&in, &back), 0);
        assert_int_equal(back.from, 1);
        assert_true(back.session == UINT64_MAX);
        assert_int_equal(back.sequence, 3);
        assert_int_equal(back.rc, reasons[i]);
        net_frame_free(frame);
    }
}

static void a_refused_forward_without_a_known_reason_is_refused(void **state)
{
    uint8_t head[2] = {4 << 3, 0};
    const struct net_frame_in in = {.head = head, .head_bytes = 2};
    struct net_forward_refused back;

    (void)state;
    assert_int_equal(net_decode_forward_refused(&in, &back), -EPROTO);
    head[1] = 3;
    assert_int_equal(net_decode_forward_refused(&in, &back), -EPROTO);
}

static void a_body_where_none_belongs_is_refused(void **state)
{
    uint8_t class[2] = {6 << 3, NET_BULK};
    uint8_t reason[2] = {1 << 3, NET_REFUSED_CLUSTER};
    uint8_t why[2] = {4 << 3, 1};
    struct net_frame_in in = {.head_bytes = 2,
                              .body = {NULL, (const uint8_t *)"x", 1}};
    struct net_forward_refused refused;
    enum net_refusal refusal;
    struct net_hello hello;
    struct net_hello_ok ok;

    (void)state;
    in.head = class;
    assert_int_equal(net_decode_hello(&in, &hello), -EPROTO);
    in.head = reason;
    assert_int_equal(net_decode_hello_ok(&in, &ok), -EPROTO);
    assert_int_equal(net_decode_hello_refused(&in, &refusal), -EPROTO);
    in.head = why;
    assert_int_equal(net_decode_forward_refused(&in, &refused), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_round_trips),
        cmocka_unit_test(a_hello_whose_name_could_forge_a_note_is_refused),
        cmocka_unit_test(a_hello_with_a_name_too_long_is_refused),
        cmocka_unit_test(a_hello_without_a_class_is_refused),
        cmocka_unit_test(an_admin_with_an_id_is_refused),
        cmocka_unit_test(answers_to_a_hello_round_trip),
        cmocka_unit_test(a_refusal_without_a_known_reason_is_refused),
        cmocka_unit_test(a_forward_round_trips_by_reference),
        cmocka_unit_test(a_forward_larger_than_an_entry_is_refused),
        cmocka_unit_test(a_refused_forward_round_trips),
        cmocka_unit_test(a_refused_forward_without_a_known_reason_is_refused),
        cmocka_unit_test(a_body_where_none_belongs_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
