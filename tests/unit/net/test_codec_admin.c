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
    assert_non_null(f);
    return (struct net_frame_in){.type = f->type,
                                 .bytes = f->bytes,
                                 .head = net_frame_head(f),
                                 .head_bytes =
                                     f->lead_bytes - NET_FRAME_HEADER_BYTES};
}

/* Of the greatest length that fits in @text of @size. */
static void fill(char *text, size_t size, char c)
{
    memset(text, c, size - 1);
    text[size - 1] = '\0';
}

static struct net_admin question_of(const char *name, const char *address)
{
    struct net_admin a = {.what = NET_ADMIN_ADD};

    (void)strcpy(a.name, name);
    (void)strcpy(a.address, address);
    return a;
}

static void a_question_round_trips(void **state)
{
    (void)state;
    for (int what = NET_ADMIN_LIST; what <= NET_ADMIN_TRANSFER; what++) {
        struct net_admin a = {.what = (enum net_admin_what)what};
        struct net_admin back;
        struct net_frame_in in;
        struct net_frame *f;

        if (what == NET_ADMIN_ADD) {
            fill(a.name, sizeof a.name, 'n');
            fill(a.address, sizeof a.address, 'a');
        }
        f = net_encode_admin(&a);
        in = shown(f);
        assert_int_equal(in.type, NET_FRAME_ADMIN);
        assert_true(in.head_bytes <= NET_ADMIN_HEAD_BYTES_MAX);
        assert_int_equal(net_decode_admin(&in, &back), 0);
        assert_int_equal(back.what, what);
        assert_string_equal(back.name, a.name);
        assert_string_equal(back.address, a.address);
        net_frame_free(f);
    }
}

static void a_question_that_could_forge_a_note_is_refused(void **state)
{
    const char *const bad[] = {"a b", "a\nb", "\x1b[31m", "\x7f", "\xc3\xa4"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct net_admin both[] = {question_of(bad[i], "h:1"),
                                         question_of("n", bad[i])};

        for (size_t k = 0; k < 2; k++) {
            struct net_frame *f = net_encode_admin(&both[k]);
            struct net_frame_in in = shown(f);
            struct net_admin back;

            assert_int_equal(net_decode_admin(&in, &back), -EPROTO);
            net_frame_free(f);
        }
    }
}

static void a_question_with_a_name_too_long_is_refused(void **state)
{
    uint8_t head[80] = {1 << 3, NET_ADMIN_LIST, 2 << 3 | 2};
    struct net_frame_in in = {.head = head};
    struct net_admin back;

    (void)state;
    memset(head + 4, 'x', sizeof head - 4);
    head[3] = PX_NODE_ID_BYTES_MAX + 1;
    in.head_bytes = 4u + head[3];
    assert_int_equal(net_decode_admin(&in, &back), -EPROTO);
    head[3] = PX_NODE_ID_BYTES_MAX;
    in.head_bytes = 4u + head[3];
    assert_int_equal(net_decode_admin(&in, &back), 0);
}

static void a_question_that_is_none_is_refused(void **state)
{
    uint8_t head[2] = {1 << 3, 0};
    const struct net_frame_in in = {.head = head, .head_bytes = 2};
    const struct net_frame_in empty = {.head = head};
    struct net_frame_in with_body = in;
    struct net_admin back;

    (void)state;
    assert_int_equal(net_decode_admin(&empty, &back), -EPROTO);
    for (uint8_t what = 0; what < 100; what++) {
        head[1] = what;
        assert_int_equal(net_decode_admin(&in, &back),
                         what >= 1 && what <= 5 ? 0 : -EPROTO);
    }
    head[1] = NET_ADMIN_LIST;
    with_body.body = (struct px_slice){NULL, (const uint8_t *)"x", 1};
    assert_int_equal(net_decode_admin(&with_body, &back), -EPROTO);
}

/* Static: too large for a stack that is looked after. */
static struct net_admin_reply reply;
static struct net_admin_reply back;

static int decode(struct net_frame *f)
{
    struct net_frame_in in = shown(f);
    int rc;

    assert_int_equal(in.type, NET_FRAME_ADMIN_REPLY);
    assert_true(in.head_bytes <= PX_FRAME_HEAD_BYTES_MAX);
    rc = net_decode_admin_reply(&in, &back);
    net_frame_free(f);
    return rc;
}

static void an_empty_answer_round_trips(void **state)
{
    (void)state;
    reply = (struct net_admin_reply){0};
    memset(&back, 0xff, sizeof back);
    assert_int_equal(decode(net_encode_admin_reply(&reply)), 0);
    assert_int_equal(back.rc, 0);
    assert_string_equal(back.text, "");
    assert_string_equal(back.leader, "");
    assert_string_equal(back.leader_address, "");
    assert_int_equal(back.cluster, 0);
    assert_int_equal(back.count, 0);
}

/* All that is bounded at its bound. */
static void the_largest_answer_round_trips(void **state)
{
    (void)state;
    reply = (struct net_admin_reply){
        .rc = -EBUSY, .cluster = UINT64_MAX, .count = NET_ADMIN_MEMBERS_MAX};
    fill(reply.text, sizeof reply.text, 't');
    fill(reply.leader, sizeof reply.leader, 'l');
    fill(reply.leader_address, sizeof reply.leader_address, 'L');
    for (size_t i = 0; i < reply.count; i++) {
        struct net_admin_member *m = &reply.list[i];

        fill(m->name, sizeof m->name, (char)('0' + i));
        fill(m->address, sizeof m->address, 'a');
        fill(m->zone, sizeof m->zone, 'z');
        m->role = RAFT_LEARNER;
        m->is_leader = i % 2 == 0;
        m->is_alive = i % 3 == 0;
        m->is_self = i % 5 == 0;
        m->match = UINT64_MAX - i;
    }
    assert_int_equal(decode(net_encode_admin_reply(&reply)), 0);
    assert_int_equal(back.rc, -EBUSY);
    assert_string_equal(back.text, reply.text);
    assert_string_equal(back.leader, reply.leader);
    assert_string_equal(back.leader_address, reply.leader_address);
    assert_true(back.cluster == UINT64_MAX);
    assert_int_equal(back.count, NET_ADMIN_MEMBERS_MAX);
    for (size_t i = 0; i < back.count; i++) {
        assert_string_equal(back.list[i].name, reply.list[i].name);
        assert_string_equal(back.list[i].address, reply.list[i].address);
        assert_string_equal(back.list[i].zone, reply.list[i].zone);
        assert_int_equal(back.list[i].role, RAFT_LEARNER);
        assert_int_equal(back.list[i].is_leader, i % 2 == 0);
        assert_int_equal(back.list[i].is_alive, i % 3 == 0);
        assert_int_equal(back.list[i].is_self, i % 5 == 0);
        assert_true(back.list[i].match == UINT64_MAX - i);
    }
}

static void an_error_without_a_number_arrives_as_eio(void **state)
{
    const int known[] = {0,       -EIO,         -PX_ENOTLEADER, -EAGAIN,
                         -EBUSY,  -EEXIST,      -ENOENT,        -ENOSPC,
                         -EINVAL, -PX_EUNKNOWN, -PX_ENOQUORUM,  -ETIMEDOUT};

    (void)state;
    reply = (struct net_admin_reply){0};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        reply.rc = known[i];
        assert_int_equal(decode(net_encode_admin_reply(&reply)), 0);
        assert_int_equal(back.rc, known[i]);
    }
    reply.rc = -EXDEV;
    assert_int_equal(decode(net_encode_admin_reply(&reply)), 0);
    assert_int_equal(back.rc, -EIO);
}

static void what_a_terminal_would_act_on_does_not_leave(void **state)
{
    (void)state;
    reply = (struct net_admin_reply){
        .text = "two\nlines, \x1b[31mred\x7f", .leader = "a b", .count = 1};
    (void)strcpy(reply.leader_address, "h\n:1");
    (void)strcpy(reply.list[0].name, "\xc3\xa4");
    (void)strcpy(reply.list[0].address, "\t");
    (void)strcpy(reply.list[0].zone, "eu west");
    assert_int_equal(decode(net_encode_admin_reply(&reply)), 0);
    assert_string_equal(back.text, "two\nlines, ?[31mred?");
    assert_string_equal(back.leader, "a?b");
    assert_string_equal(back.leader_address, "h?:1");
    assert_string_equal(back.list[0].name, "??");
    assert_string_equal(back.list[0].address, "?");
    assert_string_equal(back.list[0].zone, "eu?west");
}

/* The fields of AdminReply by number, and of AdminMember within. */
static int decode_head(const void *head, size_t size)
{
    const struct net_frame_in in = {.head = head, .head_bytes = size};

    return net_decode_admin_reply(&in, &back);
}

static void an_answer_that_we_would_not_have_sent_is_refused(void **state)
{
    const uint8_t unknown_code[] = {1 << 3, 99};
    const uint8_t escape_in_text[] = {2 << 3 | 2, 1, 0x1b};
    const uint8_t space_in_leader[] = {3 << 3 | 2, 1, ' '};
    const uint8_t newline_in_address[] = {4 << 3 | 2, 1, '\n'};
    const uint8_t third_role[] = {6 << 3 | 2, 2, 4 << 3, RAFT_LEARNER + 1};
    const uint8_t space_in_name[] = {6 << 3 | 2, 3, 1 << 3 | 2, 1, ' '};
    const uint8_t space_in_member[] = {6 << 3 | 2, 3, 2 << 3 | 2, 1, ' '};
    const uint8_t space_in_zone[] = {6 << 3 | 2, 3, 3 << 3 | 2, 1, ' '};
    const uint8_t sound[] = {6 << 3 | 2, 3, 3 << 3 | 2, 1, 'z'};
    uint8_t text[3 + NET_ADMIN_TEXT_BYTES_MAX + 1];
    const struct net_frame_in with_body = {
        .head = sound,
        .head_bytes = sizeof sound,
        .body = {NULL, (const uint8_t *)"x", 1}};

    (void)state;
    assert_int_equal(decode_head(unknown_code, 2), -EPROTO);
    assert_int_equal(decode_head(escape_in_text, 3), -EPROTO);
    assert_int_equal(decode_head(space_in_leader, 3), -EPROTO);
    assert_int_equal(decode_head(newline_in_address, 3), -EPROTO);
    assert_int_equal(decode_head(third_role, 4), -EPROTO);
    assert_int_equal(decode_head(space_in_name, 5), -EPROTO);
    assert_int_equal(decode_head(space_in_member, 5), -EPROTO);
    assert_int_equal(decode_head(space_in_zone, 5), -EPROTO);
    assert_int_equal(net_decode_admin_reply(&with_body, &back), -EPROTO);
    assert_int_equal(decode_head(sound, 5), 0);
    assert_string_equal(back.list[0].zone, "z");

    memset(text, 'x', sizeof text);
    text[0] = 2 << 3 | 2;
    text[1] = (NET_ADMIN_TEXT_BYTES_MAX + 1) % 128 | 128;
    text[2] = (NET_ADMIN_TEXT_BYTES_MAX + 1) / 128;
    assert_int_equal(decode_head(text, sizeof text), -EPROTO);
    text[1] = NET_ADMIN_TEXT_BYTES_MAX % 128 | 128;
    text[2] = NET_ADMIN_TEXT_BYTES_MAX / 128;
    assert_int_equal(decode_head(text, sizeof text - 1), 0);
}

static void an_answer_with_too_many_members_is_refused(void **state)
{
    uint8_t head[2 * (NET_ADMIN_MEMBERS_MAX + 1)];

    (void)state;
    for (size_t i = 0; i <= NET_ADMIN_MEMBERS_MAX; i++) {
        head[2 * i] = 6 << 3 | 2;
        head[2 * i + 1] = 0;
    }
    assert_int_equal(decode_head(head, sizeof head), -EPROTO);
    assert_int_equal(decode_head(head, sizeof head - 2), 0);
    assert_int_equal(back.count, NET_ADMIN_MEMBERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_round_trips),
        cmocka_unit_test(a_question_that_could_forge_a_note_is_refused),
        cmocka_unit_test(a_question_with_a_name_too_long_is_refused),
        cmocka_unit_test(a_question_that_is_none_is_refused),
        cmocka_unit_test(an_empty_answer_round_trips),
        cmocka_unit_test(the_largest_answer_round_trips),
        cmocka_unit_test(an_error_without_a_number_arrives_as_eio),
        cmocka_unit_test(what_a_terminal_would_act_on_does_not_leave),
        cmocka_unit_test(an_answer_that_we_would_not_have_sent_is_refused),
        cmocka_unit_test(an_answer_with_too_many_members_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
