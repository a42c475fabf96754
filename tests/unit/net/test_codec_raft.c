#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "net/codec.h"

#define MAX64 UINT64_MAX

static struct raft_entry decoded[PX_BATCH_ENTRIES_MAX];

/* A frame as it would be received: the head as it is, the body in one buf. */
struct received {
    struct net_frame *frame;
    struct px_buf *body;
    struct net_frame_in in;
};

static struct received transmit(const struct raft_msg *msg)
{
    struct received r = {.frame = net_encode_raft(msg)};
    size_t at = 0;

    assert_non_null(r.frame);
    assert_int_equal(r.frame->type, NET_FRAME_RAFT);
    r.body = px_buf_new(r.frame->bytes - r.frame->lead_bytes);
    for (size_t i = 0; i < r.frame->slice_count; i++) {
        const struct px_slice s = r.frame->slices[i];

        memcpy(r.body->data + at, s.data, s.size);
        at += s.size;
    }
    r.in = (struct net_frame_in){.type = r.frame->type,
                                 .bytes = r.frame->bytes,
                                 .head = net_frame_head(r.frame),
                                 .head_bytes = r.frame->lead_bytes -
                                               NET_FRAME_HEADER_BYTES,
                                 .body = px_slice_of(r.body, 0, at)};
    return r;
}

static void received_free(struct received *r)
{
    net_frame_free(r->frame);
    px_buf_unref(r->body);
}

/* Both are all zero where their type has no field, so a field that gets lost,
 * or mixed up with another, shows. */
static void round_trips(struct raft_msg msg)
{
    struct received r = transmit(&msg);
    struct raft_msg back;

    memset(&back, 0xee, sizeof back);
    assert_int_equal(net_decode_raft(&r.in, decoded, &back), 0);
    assert_int_equal(back.type, msg.type);
    assert_true(back.from == msg.from);
    assert_true(back.to == msg.to);
    assert_true(back.term == msg.term);
    switch (msg.type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE:
        assert_true(back.vote.last.term == msg.vote.last.term);
        assert_true(back.vote.last.index == msg.vote.last.index);
        assert_true(back.vote.is_transfer == msg.vote.is_transfer);
        break;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        assert_true(back.vote_reply.is_granted == msg.vote_reply.is_granted);
        break;
    case RAFT_MSG_APPEND:
        assert_true(back.append.prev.term == msg.append.prev.term);
        assert_true(back.append.prev.index == msg.append.prev.index);
        assert_true(back.append.commit == msg.append.commit);
        assert_int_equal(back.append.count, msg.append.count);
        break;
    case RAFT_MSG_APPEND_REPLY:
        assert_true(back.append_reply.is_accepted ==
                    msg.append_reply.is_accepted);
        assert_true(back.append_reply.match == msg.append_reply.match);
        assert_true(back.append_reply.conflict.term ==
                    msg.append_reply.conflict.term);
        assert_true(back.append_reply.conflict.index ==
                    msg.append_reply.conflict.index);
        break;
    case RAFT_MSG_HEARTBEAT:
        assert_true(back.heartbeat.match.term == msg.heartbeat.match.term);
        assert_true(back.heartbeat.match.index == msg.heartbeat.match.index);
        assert_true(back.heartbeat.commit == msg.heartbeat.commit);
        assert_true(back.heartbeat.stamp == msg.heartbeat.stamp);
        assert_true(back.heartbeat.round == msg.heartbeat.round);
        break;
    case RAFT_MSG_HEARTBEAT_REPLY:
        assert_true(back.heartbeat_reply.stamp == msg.heartbeat_reply.stamp);
        assert_true(back.heartbeat_reply.round == msg.heartbeat_reply.round);
        assert_true(back.heartbeat_reply.last == msg.heartbeat_reply.last);
        assert_true(back.heartbeat_reply.is_faulty ==
                    msg.heartbeat_reply.is_faulty);
        assert_true(back.heartbeat_reply.is_unfit ==
                    msg.heartbeat_reply.is_unfit);
        break;
    case RAFT_MSG_READ:
        assert_true(back.read.id == msg.read.id);
        break;
    case RAFT_MSG_READ_REPLY:
        assert_true(back.read_reply.id == msg.read_reply.id);
        assert_true(back.read_reply.index == msg.read_reply.index);
        break;
    case RAFT_MSG_LOST:
        assert_true(back.lost.id == msg.lost.id);
        assert_true(back.lost.match == msg.lost.match);
        assert_true(back.lost.last == msg.lost.last);
        break;
    case RAFT_MSG_LOST_REPLY:
        assert_true(back.lost_reply.id == msg.lost_reply.id);
        assert_true(back.lost_reply.index == msg.lost_reply.index);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        break;
    }
    received_free(&r);
}

#define MSG(which, ...) \
    ((struct raft_msg){ \
        .type = (which), .from = 1, .to = 2, .term = 3, __VA_ARGS__})
#define EDGE(which, ...)                  \
    ((struct raft_msg){.type = (which),   \
                       .from = MAX64,     \
                       .to = MAX64 - 1,   \
                       .term = MAX64 - 2, \
                       __VA_ARGS__})

static void every_type_round_trips(void **state)
{
    (void)state;
    round_trips(MSG(RAFT_MSG_PRE_VOTE, .vote = {{4, 5}, false}));
    round_trips(MSG(RAFT_MSG_VOTE, .vote = {{4, 5}, true}));
    round_trips(MSG(RAFT_MSG_PRE_VOTE_REPLY, .vote_reply = {true}));
    round_trips(MSG(RAFT_MSG_VOTE_REPLY, .vote_reply = {true}));
    round_trips(MSG(RAFT_MSG_APPEND, .append = {{2, 5}, 6, 0, NULL}));
    round_trips(MSG(RAFT_MSG_APPEND_REPLY, .append_reply = {true, 4, {5, 6}}));
    round_trips(MSG(RAFT_MSG_HEARTBEAT, .heartbeat = {{4, 5}, 6, 7, 8}));
    round_trips(MSG(RAFT_MSG_HEARTBEAT_REPLY,
                    .heartbeat_reply = {4, 5, 6, false, false}));
    round_trips(MSG(RAFT_MSG_HEARTBEAT_REPLY,
                    .heartbeat_reply = {4, 5, 6, true, false}));
    round_trips(MSG(RAFT_MSG_HEARTBEAT_REPLY,
                    .heartbeat_reply = {4, 5, 6, false, true}));
    round_trips(MSG(RAFT_MSG_READ, .read = {4}));
    round_trips(MSG(RAFT_MSG_READ_REPLY, .read_reply = {4, 5}));
    round_trips(MSG(RAFT_MSG_TIMEOUT_NOW, .read = {0}));
    round_trips(MSG(RAFT_MSG_LOST, .lost = {4, 5, 6}));
    round_trips(MSG(RAFT_MSG_LOST_REPLY, .lost_reply = {4, 5}));
}

static void every_type_round_trips_with_nothing_but_zeros(void **state)
{
    (void)state;
    for (int type = RAFT_MSG_PRE_VOTE; type <= RAFT_MSG_LOST_REPLY; type++)
        round_trips((struct raft_msg){.type = (enum raft_msg_type)type});
}

static void every_type_round_trips_with_the_largest_numbers(void **state)
{
    const raft_index last = MAX64 - PX_BATCH_ENTRIES_MAX;

    (void)state;
    round_trips(EDGE(RAFT_MSG_PRE_VOTE, .vote = {{MAX64, MAX64}, true}));
    round_trips(EDGE(RAFT_MSG_VOTE, .vote = {{MAX64, MAX64}, true}));
    round_trips(
        EDGE(RAFT_MSG_APPEND, .append = {{MAX64, last}, MAX64, 0, NULL}));
    round_trips(EDGE(RAFT_MSG_APPEND_REPLY,
                     .append_reply = {false, MAX64, {MAX64, MAX64}}));
    round_trips(EDGE(RAFT_MSG_HEARTBEAT,
                     .heartbeat = {{MAX64, MAX64}, MAX64, MAX64, MAX64}));
    round_trips(EDGE(RAFT_MSG_HEARTBEAT_REPLY,
                     .heartbeat_reply = {MAX64, MAX64, MAX64, true, true}));
    round_trips(EDGE(RAFT_MSG_READ, .read = {MAX64}));
    round_trips(EDGE(RAFT_MSG_READ_REPLY, .read_reply = {MAX64, MAX64}));
    round_trips(EDGE(RAFT_MSG_LOST, .lost = {MAX64, MAX64, MAX64}));
    round_trips(EDGE(RAFT_MSG_LOST_REPLY, .lost_reply = {MAX64, MAX64}));
}

static struct raft_msg append_of(const struct raft_entry *entries, size_t count)
{
    return MSG(RAFT_MSG_APPEND, .append = {.prev = {1, 9},
                                           .commit = 8,
                                           .count = count,
                                           .entries = entries});
}

static void entries_arrive_as_slices_of_the_one_body(void **state)
{
    struct px_slice a = px_slice_copy("first", 5);
    struct px_slice b = px_slice_copy("second!", 7);
    const struct raft_entry sent[] = {
        {{1, 10}, RAFT_ENTRY_COMMAND, a},
        {{2, 11}, RAFT_ENTRY_NOOP, {0}},
        {{3, 12}, RAFT_ENTRY_CONFIG, b},
    };
    const struct raft_msg msg = append_of(sent, 3);
    struct received r = transmit(&msg);
    struct raft_msg back;

    (void)state;
    assert_int_equal(net_decode_raft(&r.in, decoded, &back), 0);
    assert_int_equal(back.append.count, 3);
    assert_ptr_equal(back.append.entries, decoded);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(decoded[i].pos.term, sent[i].pos.term);
        assert_int_equal(decoded[i].pos.index, sent[i].pos.index);
        assert_int_equal(decoded[i].kind, sent[i].kind);
        assert_int_equal(decoded[i].data.size, sent[i].data.size);
        assert_ptr_equal(decoded[i].data.owner, r.body);
    }
    assert_ptr_equal(decoded[0].data.data, r.body->data);
    assert_ptr_equal(decoded[2].data.data, r.body->data + 5);
    assert_memory_equal(decoded[2].data.data, "second!", 7);
    received_free(&r);
    px_slice_unref(&a);
    px_slice_unref(&b);
}

static void the_largest_batch_fits(void **state)
{
    static struct raft_entry sent[PX_BATCH_ENTRIES_MAX];
    struct px_slice data = px_slice_copy("0123456789", 10);
    struct raft_msg msg = EDGE(RAFT_MSG_APPEND, .append = {.count = 0});
    struct received r;
    struct raft_msg back;

    (void)state;
    msg.append.prev = (struct raft_pos){msg.term, MAX64 - PX_BATCH_ENTRIES_MAX};
    msg.append.commit = MAX64;
    msg.append.count = PX_BATCH_ENTRIES_MAX;
    msg.append.entries = sent;
    for (size_t i = 0; i < PX_BATCH_ENTRIES_MAX; i++)
        sent[i] = (struct raft_entry){
            .pos = {msg.term, msg.append.prev.index + i + 1},
            .kind = RAFT_ENTRY_COMMAND,
            .data = data};
    r = transmit(&msg);
    assert_true(r.in.head_bytes <= PX_FRAME_HEAD_BYTES_MAX);
    assert_int_equal(net_decode_raft(&r.in, decoded, &back), 0);
    assert_int_equal(back.append.count, PX_BATCH_ENTRIES_MAX);
    assert_true(decoded[PX_BATCH_ENTRIES_MAX - 1].pos.index == MAX64);
    received_free(&r);
    px_slice_unref(&data);
}

/* ---- What a peer might send by mistake or malice ---- */

struct varints {
    uint8_t bytes[64];
    size_t size;
};

/* Tag and value, both below 128. */
static void put(struct varints *v, unsigned field, uint8_t value)
{
    v->bytes[v->size++] = (uint8_t)(field << 3);
    v->bytes[v->size++] = value;
}

static void put_bytes(struct varints *v, unsigned field, const void *bytes,
                      size_t size)
{
    v->bytes[v->size++] = (uint8_t)(field << 3 | 2);
    v->bytes[v->size++] = (uint8_t)size;
    memcpy(v->bytes + v->size, bytes, size);
    v->size += size;
}

/* An append in term 3 after (1, 9), by hand. */
static int decode_append(const char *terms, const char *kinds,
                         const char *sizes, size_t body_bytes)
{
    struct varints append = {0};
    struct varints head = {0};
    struct px_slice body = px_slice_of(px_buf_new(body_bytes), 0, body_bytes);
    struct net_frame_in in = {.body = body};
    struct raft_msg back;
    int rc;

    put(&append, 1, 1);
    put(&append, 2, 9);
    put_bytes(&append, 4, terms, strlen(terms));
    put_bytes(&append, 5, kinds, strlen(kinds));
    put_bytes(&append, 6, sizes, strlen(sizes));
    put(&head, 1, RAFT_MSG_APPEND);
    put(&head, 4, 3);
    put_bytes(&head, 7, append.bytes, append.size);
    in.head = head.bytes;
    in.head_bytes = head.size;
    rc = net_decode_raft(&in, decoded, &back);
    px_slice_unref(&body);
    return rc;
}

static void an_append_that_is_not_one_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_append("\1\3", "\2\2", "\4\5", 9), 0);
    /* sizes that are not the body's */
    assert_int_equal(decode_append("\1\3", "\2\2", "\4\5", 8), -EPROTO);
    assert_int_equal(decode_append("\1\3", "\2\2", "\4\5", 10), -EPROTO);
    assert_int_equal(decode_append("", "", "", 1), -EPROTO);
    /* lists of different lengths */
    assert_int_equal(decode_append("\1", "\2\2", "\4\5", 9), -EPROTO);
    assert_int_equal(decode_append("\1\3", "\2", "\4\5", 9), -EPROTO);
    assert_int_equal(decode_append("\1\3", "\2\2", "\11", 9), -EPROTO);
    /* kinds that there aren't */
    assert_int_equal(decode_append("\1\3", "\2\4", "\4\5", 9), -EPROTO);
    /* a term that falls, and one above the leader's */
    assert_int_equal(decode_append("\3\1", "\2\2", "\4\5", 9), -EPROTO);
    assert_int_equal(decode_append("\1\4", "\2\2", "\4\5", 9), -EPROTO);
}

static void sizes_that_wrap_around_are_refused(void **state)
{
    (void)state;
    /* 0xffffffff and 10: 9, in 32 bits */
    assert_int_equal(
        decode_append("\1\3", "\2\2", "\xff\xff\xff\xff\x0f\x0a", 9), -EPROTO);
}

/* Bytes of a length-delimited field of two-byte length. */
static size_t put_long(uint8_t *at, unsigned field, const uint8_t *bytes,
                       size_t size)
{
    at[0] = (uint8_t)(field << 3 | 2);
    at[1] = (uint8_t)(size | 0x80);
    at[2] = (uint8_t)(size >> 7);
    memcpy(at + 3, bytes, size);
    return 3;
}

/* An append in term 3 of @count no-ops of term 1, by hand. */
static int decode_noops(size_t count)
{
    uint8_t ones[PX_BATCH_ENTRIES_MAX + 1];
    uint8_t zeros[PX_BATCH_ENTRIES_MAX + 1] = {0};
    uint8_t append[3 * (3 + sizeof ones)];
    uint8_t head[sizeof append + 16];
    struct net_frame_in in = {.head = head};
    struct raft_msg back;
    size_t size = 0;

    memset(ones, 1, sizeof ones);
    size += put_long(append + size, 4, ones, count) + count;
    size += put_long(append + size, 5, ones, count) + count;
    size += put_long(append + size, 6, zeros, count) + count;
    memcpy(head, "\x08\x05\x20\x03", 4); /* type, term */
    in.head_bytes = 4 + put_long(head + 4, 7, append, size) + size;
    return net_decode_raft(&in, decoded, &back);
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_noops(PX_BATCH_ENTRIES_MAX), 0);
    assert_int_equal(decode_noops(PX_BATCH_ENTRIES_MAX + 1), -EPROTO);
}

static void an_index_at_the_end_of_numbers_is_refused(void **state)
{
    struct raft_msg msg = MSG(RAFT_MSG_APPEND, .append = {.prev = {1, MAX64}});
    struct received r = transmit(&msg);
    struct raft_msg back;

    (void)state;
    assert_int_equal(net_decode_raft(&r.in, decoded, &back), -EPROTO);
    received_free(&r);
}

static void a_type_and_a_part_that_differ_are_refused(void **state)
{
    (void)state;
    for (uint8_t type = 0; type < 20; type++) {
        for (unsigned part = 4; part <= 15; part++) {
            static const unsigned expected[] = {0, 5,  6,  5,  6, 7,  8,
                                                9, 10, 11, 12, 4, 13, 14};
            struct varints head = {0};
            struct net_frame_in in = {.head = head.bytes};
            struct raft_msg back;
            int rc = -EPROTO;

            put(&head, 1, type);
            if (part != 4 && part != 15) /* 4: none, 15: not known here */
                put_bytes(&head, part, "", 0);
            else if (part == 15)
                put_bytes(&head, part, "x", 1);
            in.head_bytes = head.size;
            if (type >= 1 && type <= 13 &&
                (expected[type] == part || (expected[type] == 4 && part == 15)))
                rc = 0;
            assert_int_equal(net_decode_raft(&in, decoded, &back), rc);
        }
    }
}

static void a_body_without_an_append_is_refused(void **state)
{
    struct raft_msg msg = MSG(RAFT_MSG_READ, .read = {4});
    struct received r = transmit(&msg);
    struct raft_msg back;

    (void)state;
    r.in.body = (struct px_slice){NULL, (const uint8_t *)"x", 1};
    assert_int_equal(net_decode_raft(&r.in, decoded, &back), -EPROTO);
    received_free(&r);
}

/* A head of unknown fields only would make protobuf-c keep each of them; the
 * arena is all that it gets. */
static void unknown_fields_by_the_thousand_are_refused(void **state)
{
    static uint8_t head[PX_FRAME_HEAD_BYTES_MAX];
    struct net_frame_in in = {.head = head, .head_bytes = sizeof head};
    struct raft_msg back;

    (void)state;
    for (size_t i = 0; i < sizeof head; i += 2)
        head[i] = 15 << 3;
    assert_int_equal(net_decode_raft(&in, decoded, &back), -EPROTO);
}

/* Truncated or mutated anywhere: refused, or decoded to something in range;
 * the sanitizers see the rest. */
static void check_in_range(const struct raft_msg *msg, struct px_slice body)
{
    size_t at = 0;

    assert_true(msg->type >= RAFT_MSG_PRE_VOTE);
    assert_true(msg->type <= RAFT_MSG_LOST_REPLY);
    if (msg->type != RAFT_MSG_APPEND)
        return;
    assert_true(msg->append.count <= PX_BATCH_ENTRIES_MAX);
    for (size_t i = 0; i < msg->append.count; i++) {
        const struct raft_entry *e = &msg->append.entries[i];

        assert_true(e->kind >= RAFT_ENTRY_NOOP);
        assert_true(e->kind <= RAFT_ENTRY_CONFIG);
        assert_true(e->pos.index == msg->append.prev.index + i + 1);
        assert_true(e->pos.term <= msg->term);
        at += e->data.size;
    }
    assert_int_equal(at, body.size);
}

static void mutated_heads_are_survived(void **state)
{
    struct px_slice data = px_slice_copy("0123456789", 10);
    const struct raft_entry sent[] = {
        {{1, 10}, RAFT_ENTRY_COMMAND, data},
        {{2, 11}, RAFT_ENTRY_NOOP, {0}},
        {{3, 12}, RAFT_ENTRY_COMMAND, data},
    };
    const struct raft_msg msgs[] = {
        append_of(sent, 3),
        MSG(RAFT_MSG_HEARTBEAT, .heartbeat = {{4, 5}, 6, 7, 8}),
        EDGE(RAFT_MSG_APPEND_REPLY,
             .append_reply = {false, MAX64, {MAX64, MAX64}}),
    };
    struct px_rand rand;

    (void)state;
    px_rand_init(&rand, 43);
    for (size_t m = 0; m < 3; m++) {
        struct received r = transmit(&msgs[m]);

        for (int round = 0; round < 50000; round++) {
            uint8_t head[256];
            struct net_frame_in in = r.in;
            struct raft_msg back;

            assert_true(in.head_bytes <= sizeof head);
            memcpy(head, in.head, in.head_bytes);
            for (uint64_t i = px_rand_below(&rand, 4) + 1; i > 0; i--)
                head[px_rand_below(&rand, in.head_bytes)] ^=
                    (uint8_t)(1 << px_rand_below(&rand, 8));
            in.head = head;
            in.head_bytes = px_rand_below(&rand, in.head_bytes + 1);
            if (net_decode_raft(&in, decoded, &back) == 0)
                check_in_range(&back, in.body);
        }
        received_free(&r);
    }
    px_slice_unref(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_round_trips),
        cmocka_unit_test(every_type_round_trips_with_nothing_but_zeros),
        cmocka_unit_test(every_type_round_trips_with_the_largest_numbers),
        cmocka_unit_test(entries_arrive_as_slices_of_the_one_body),
        cmocka_unit_test(the_largest_batch_fits),
        cmocka_unit_test(an_append_that_is_not_one_is_refused),
        cmocka_unit_test(sizes_that_wrap_around_are_refused),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(an_index_at_the_end_of_numbers_is_refused),
        cmocka_unit_test(a_type_and_a_part_that_differ_are_refused),
        cmocka_unit_test(a_body_without_an_append_is_refused),
        cmocka_unit_test(unknown_fields_by_the_thousand_are_refused),
        cmocka_unit_test(mutated_heads_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
