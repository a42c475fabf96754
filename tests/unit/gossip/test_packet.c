/* gossip/packet.c: bytes, and what is refused. */
#include "tests/unit/gossip/unit.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "tests/unit/gossip/rig.h"

static struct swim_head ping_head(void)
{
    return (struct swim_head){.type = SWIM_PING,
                              .run = 7,
                              .number = 8,
                              .seq = 9,
                              .label = "label",
                              .from = "from",
                              .to = "to",
                              .target = ""};
}

static struct swim_news suspect_news(void)
{
    struct swim_news n = rig_news("a", 5, SWIM_SUSPECT);

    n.cluster = UINT64_C(0x0123456789abcdef);
    n.view = UINT64_C(0xfedcba9876543210);
    n.role = SWIM_ROLE_LEARNER;
    n.expect = 5;
    n.accuser_count = 2;
    n.accusers[1] = 77;
    return n;
}

/* A ping with a living and a suspect member; returns its size. */
static size_t sample(uint8_t *data)
{
    const struct swim_head head = ping_head();
    const struct swim_news alive = rig_news("b", 3, SWIM_ALIVE);
    const struct swim_news suspect = suspect_news();
    struct swim_writer w;

    swim_write_head(&w, &head, data, SWIM_PACKET_BYTES_MAX);
    assert_true(swim_write_news(&w, &suspect));
    assert_true(swim_write_news(&w, &alive));
    return swim_write_end(&w);
}

/* Where the first piece of news of the sample begins. */
#define AT_NEWS (SWIM_AT_TEXTS + 6u + 5u + 3u + 1u)

static void a_packet_read_back_says_the_same(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const struct swim_news suspect = suspect_news();
    struct swim_reader r;
    struct swim_news n;

    (void)s;
    assert_int_equal(swim_read_packet(&r, data, sample(data)), 0);
    assert_int_equal(r.head.type, SWIM_PING);
    assert_int_equal(r.head.run, 7);
    assert_int_equal(r.head.number, 8);
    assert_int_equal(r.head.seq, 9);
    assert_string_equal(r.head.label, "label");
    assert_string_equal(r.head.from, "from");
    assert_string_equal(r.head.to, "to");
    assert_string_equal(r.head.target, "");
    assert_true(swim_read_news(&r, &n));
    assert_string_equal(n.id, "a");
    assert_string_equal(n.peer, suspect.peer);
    assert_string_equal(n.zone, suspect.zone);
    assert_int_equal(n.incarnation, 5);
    assert_true(n.cluster == suspect.cluster);
    assert_true(n.view == suspect.view);
    assert_memory_equal(&n.gossip, &suspect.gossip, sizeof n.gossip);
    assert_int_equal(n.state, SWIM_SUSPECT);
    assert_int_equal(n.role, SWIM_ROLE_LEARNER);
    assert_int_equal(n.protocol, 1);
    assert_int_equal(n.expect, 5);
    assert_int_equal(n.accuser_count, 2);
    assert_true(n.accusers[0] == px_djb2("z", 1));
    assert_int_equal(n.accusers[1], 77);
    assert_true(swim_read_news(&r, &n));
    assert_string_equal(n.id, "b");
    assert_false(swim_read_news(&r, &n));
}

static void a_packet_cut_short_anywhere_is_refused(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const size_t size = sample(data);
    struct swim_reader r;

    (void)s;
    for (size_t i = 0; i < size; i++) {
        uint8_t cut[SWIM_PACKET_BYTES_MAX];

        memcpy(cut, data, i);
        assert_int_equal(swim_read_packet(&r, cut, i), -EPROTO);
        if (i < SWIM_AT_TEXTS)
            continue;
        rig_seal(cut, i); /* by a sender that means it */
        assert_int_equal(swim_read_packet(&r, cut, i), -EPROTO);
    }
}

static void any_flipped_bit_is_noticed(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const size_t size = sample(data);
    struct swim_reader r;

    (void)s;
    for (size_t i = 0; i < 8 * size; i++) {
        data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_true(swim_read_packet(&r, data, size) < 0);
        data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(swim_read_packet(&r, data, size), 0);
}

static void damage_is_told_from_another_version(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const size_t size = sample(data);
    struct swim_reader r;

    (void)s;
    data[size - 1] ^= 1;
    assert_int_equal(swim_read_packet(&r, data, size), -PX_ECORRUPT);
    data[SWIM_AT_VERSION]++;
    rig_seal(data, size);
    assert_int_equal(swim_read_packet(&r, data, size), -PX_EFORMAT);
}

/* With one byte changed, and a checksum that says it was meant. */
static void refuses(size_t at, uint8_t value)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const size_t size = sample(data);
    struct swim_reader r;

    assert_int_not_equal(data[at], value);
    data[at] = value;
    rig_seal(data, size);
    if (swim_read_packet(&r, data, size) != -EPROTO)
        fail_msg("byte %u = %u is taken", (unsigned)at, value);
}

static void what_no_sound_member_says_is_refused(void **s)
{
    (void)s;
    refuses(0, 0);            /* magic */
    refuses(SWIM_AT_TYPE, 0); /* no such type */
    refuses(SWIM_AT_TYPE, 8);
    refuses(SWIM_AT_TYPE, SWIM_PING_REQ); /* without a target */
    refuses(SWIM_AT_TYPE, SWIM_NEWS);     /* with a seq */
    refuses(SWIM_AT_NEWS, 1);             /* bytes that belong to nothing */
    refuses(SWIM_AT_NEWS, 3);             /* one that isn't there */
    refuses(SWIM_AT_ZERO, 1);
    refuses(SWIM_AT_RUN, 0);
    refuses(SWIM_AT_NUMBER, 0);
    refuses(SWIM_AT_SEQ, 0);         /* a question that has none */
    refuses(SWIM_AT_TEXTS, 64);      /* longer than any text */
    refuses(SWIM_AT_TEXTS + 1, ' '); /* blank, control, not ASCII, NUL */
    refuses(SWIM_AT_TEXTS + 1, '\n');
    refuses(SWIM_AT_TEXTS + 1, 0x80);
    refuses(SWIM_AT_TEXTS + 1, 0);
    refuses(AT_NEWS, 0); /* no such state */
    refuses(AT_NEWS, 5);
    refuses(AT_NEWS, SWIM_ALIVE);                   /* alive, and accused */
    refuses(AT_NEWS + 1, 0);                        /* suspected by nobody */
    refuses(AT_NEWS + 1, 5);                        /* by too many */
    refuses(AT_NEWS + 2, 3);                        /* no such role */
    refuses(AT_NEWS + SWIM_NEWS_AT_IP, 0xff);       /* multicast */
    refuses(AT_NEWS + SWIM_NEWS_AT_INCARNATION, 0); /* none */
    refuses(AT_NEWS + SWIM_NEWS_AT_INCARNATION + 7, 0x80); /* beyond all */
    refuses(AT_NEWS + SWIM_NEWS_AT_TEXTS, 0);              /* an empty id */
}

static struct swim_addr v4(uint8_t a, uint8_t b)
{
    return (struct swim_addr){
        .ip = {[10] = 0xff, [11] = 0xff, [12] = a, [13] = b, [15] = 1},
        .port = 1};
}

static void only_addresses_that_others_can_send_to_are_sound(void **s)
{
    struct swim_addr addr = {.ip = {[15] = 1}, .port = 7946}; /* ::1 */

    (void)s;
    assert_true(swim_addr_is_sound(&addr));
    addr.port = 0;
    assert_false(swim_addr_is_sound(&addr));
    addr = (struct swim_addr){.port = 7946}; /* :: */
    assert_false(swim_addr_is_sound(&addr));
    addr = (struct swim_addr){.ip = {0xfe, 0x80, [15] = 1}, .port = 1};
    assert_false(swim_addr_is_sound(&addr));
    addr = (struct swim_addr){.ip = {0xff, 0x02, [15] = 1}, .port = 1};
    assert_false(swim_addr_is_sound(&addr));
    addr = v4(10, 0);
    assert_true(swim_addr_is_sound(&addr));
    addr = v4(127, 0);
    assert_true(swim_addr_is_sound(&addr));
    addr = v4(0, 0);
    assert_false(swim_addr_is_sound(&addr));
    addr = v4(224, 0);
    assert_false(swim_addr_is_sound(&addr));
    addr = v4(255, 255);
    assert_false(swim_addr_is_sound(&addr));
}

/* ---- Sizes ---- */

static void the_longest_news_fits_behind_the_longest_head(void **s)
{
    char text[SWIM_TEXT_BYTES_MAX];
    char peer[PX_ADDRESS_BYTES_MAX + 1];
    struct swim_head head = ping_head();
    struct swim_news news = rig_news("a", 1, SWIM_SUSPECT);
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_writer w;
    struct swim_reader r;

    (void)s;
    memset(text, 'x', PX_NODE_ID_BYTES_MAX);
    text[PX_NODE_ID_BYTES_MAX] = '\0';
    memset(peer, 'y', PX_ADDRESS_BYTES_MAX);
    peer[PX_ADDRESS_BYTES_MAX] = '\0';
    head.type = SWIM_PING_REQ;
    head.label = head.from = head.to = head.target = text;
    news.id = news.zone = text;
    news.peer = peer;
    news.accuser_count = SWIM_ACCUSERS_MAX;
    swim_write_head(&w, &head, data, sizeof data);
    assert_true(swim_write_news(&w, &news));
    assert_true(swim_news_bytes(&news) <= SWIM_NEWS_BYTES_MAX);
    assert_int_equal(swim_read_packet(&r, data, swim_write_end(&w)), 0);
    assert_true(swim_read_news(&r, &news));
    assert_string_equal(news.peer, peer);
}

static void news_that_does_not_fit_leaves_the_packet_as_it_was(void **s)
{
    const struct swim_news news = suspect_news();
    const struct swim_head head = ping_head();
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    struct swim_writer w;
    struct swim_reader r;
    unsigned count = 0;
    size_t used;

    (void)s;
    swim_write_head(&w, &head, data, sizeof data);
    while (swim_write_news(&w, &news))
        count++;
    used = w.used;
    assert_false(swim_write_news(&w, &news));
    assert_int_equal(w.used, used);
    assert_true(used + swim_news_bytes(&news) > sizeof data);
    assert_int_equal(swim_read_packet(&r, data, swim_write_end(&w)), 0);
    assert_int_equal(r.news, count);
}

static void only_states_are_longer_than_a_packet(void **s)
{
    static uint8_t data[2 * SWIM_PACKET_BYTES_MAX];
    const struct swim_news news = suspect_news();
    struct swim_head head = ping_head();
    struct swim_writer w;
    struct swim_reader r;
    size_t size;

    (void)s;
    head.type = SWIM_STATE;
    swim_write_head(&w, &head, data, sizeof data);
    while (swim_write_news(&w, &news))
        ;
    size = swim_write_end(&w);
    assert_true(size > SWIM_PACKET_BYTES_MAX);
    assert_int_equal(swim_read_packet(&r, data, size), 0);
    data[SWIM_AT_TYPE] = SWIM_PING;
    rig_seal(data, size);
    assert_int_equal(swim_read_packet(&r, data, size), -EPROTO);
}

static void a_state_of_more_than_a_table_holds_is_refused(void **s)
{
    static uint8_t data[SWIM_STATE_BYTES_MAX];
    struct swim_news news = rig_news("a", 1, SWIM_ALIVE);
    struct swim_head head = ping_head();
    struct swim_writer w;
    struct swim_reader r;
    unsigned count = 0;
    size_t bytes;
    size_t size;

    (void)s;
    news.peer = news.zone = "";
    bytes = swim_news_bytes(&news);
    head.type = SWIM_STATE;
    swim_write_head(&w, &head, data, sizeof data);
    while (swim_write_news(&w, &news))
        count++;
    assert_int_equal(count, SWIM_MEMBERS_MAX);
    size = swim_write_end(&w);
    assert_int_equal(swim_read_packet(&r, data, size), 0);
    memcpy(data + size, data + size - bytes, bytes); /* one more */
    data[SWIM_AT_NEWS]++;
    rig_seal(data, size + bytes);
    assert_int_equal(swim_read_packet(&r, data, size + bytes), -EPROTO);
}

static void the_length_on_a_stream_is_in_its_first_bytes(void **s)
{
    uint8_t data[SWIM_PACKET_BYTES_MAX];
    const size_t size = sample(data);

    (void)s;
    for (size_t i = 0; i < SWIM_LENGTH_BYTES; i++)
        assert_int_equal(swim_stream_bytes(data, i), -EAGAIN);
    assert_int_equal(swim_stream_bytes(data, SWIM_LENGTH_BYTES), size);
    data[SWIM_AT_BYTES + 3] = 1; /* 16 MiB */
    assert_int_equal(swim_stream_bytes(data, SWIM_LENGTH_BYTES), -EPROTO);
    memset(data + SWIM_AT_BYTES, 0, 4);
    assert_int_equal(swim_stream_bytes(data, SWIM_LENGTH_BYTES), -EPROTO);
    memcpy(data, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(swim_stream_bytes(data, SWIM_LENGTH_BYTES), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_packet_read_back_says_the_same),
        unit(a_packet_cut_short_anywhere_is_refused),
        unit(any_flipped_bit_is_noticed),
        unit(damage_is_told_from_another_version),
        unit(what_no_sound_member_says_is_refused),
        unit(only_addresses_that_others_can_send_to_are_sound),
        unit(the_longest_news_fits_behind_the_longest_head),
        unit(news_that_does_not_fit_leaves_the_packet_as_it_was),
        unit(only_states_are_longer_than_a_packet),
        unit(a_state_of_more_than_a_table_holds_is_refused),
        unit(the_length_on_a_stream_is_in_its_first_bytes),
    };

    return cmocka_run_group_tests_name("gossip/packet", tests, NULL, NULL);
}
