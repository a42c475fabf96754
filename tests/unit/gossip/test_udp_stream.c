/* gossip/udp_stream.c: connections of strangers, and what is made of them. */
#include "tests/unit/gossip/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/gossip/udp_world.h"

static int tcp_to(uint16_t port)
{
    const struct sockaddr_in to = udp_address_of(port);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int stranger; /* a connection of ours to the node */

static bool is_closed_by_node(struct udp_world *w)
{
    char byte;

    (void)w;
    return recv(stranger, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

static bool is_one_malformed(struct udp_world *w)
{
    return udp_status(w, 0).counters.malformed == 1;
}

static uint8_t heard[SWIM_PACKET_BYTES_MAX];
static ssize_t heard_size;

static bool is_answered(struct udp_world *w)
{
    (void)w;
    heard_size = recv(stranger, heard, sizeof heard, MSG_DONTWAIT);
    return heard_size >= 0;
}

/* Which waits for as long as a test may last. */
static uint16_t open_patient(struct udp_world *w)
{
    struct swim_udp_options o;

    udp_world_open(w);
    o = udp_options_of(w, 0);
    o.stream_timeout = 3600 * PX_NS_PER_S;
    return udp_open_node(w, &o);
}

/* Nothing has come of so many bytes, but that they are counted. */
static void one_is_malformed(const struct udp_world *w, size_t bytes)
{
    const struct swim_status now = udp_status(w, 0);

    assert_int_equal(now.members, 1);
    assert_int_equal(now.counters.packets_in, 1);
    assert_int_equal(now.counters.bytes_in, bytes);
    assert_int_equal(now.counters.malformed, 1);
    assert_int_equal(now.counters.corrupt, 0);
    assert_int_equal(now.counters.syncs, 0);
}

/* The node closes a connection with that head by itself, and counts it. */
static void is_no_head(const void *bytes, size_t size)
{
    struct udp_world w;

    stranger = tcp_to(open_patient(&w));
    assert_int_equal(send(stranger, bytes, size, 0), size);
    udp_run_until(&w, is_closed_by_node);
    one_is_malformed(&w, SWIM_LENGTH_BYTES);
    assert_int_equal(close(stranger), 0);
    udp_world_close(&w);
}

static void a_connection_of_any_bytes_is_closed_and_counted(void **s)
{
    (void)s;
    is_no_head("GET / HTTP/1.1\r\n\r\n", 18);
}

static void a_packet_that_would_be_too_long_is_not_waited_for(void **s)
{
    const uint32_t bytes = SWIM_STATE_BYTES_MAX + 1;
    uint8_t head[SWIM_LENGTH_BYTES] = "\xf2PHX\x01\x06";

    (void)s;
    for (unsigned i = 0; i < 4; i++)
        head[SWIM_AT_BYTES + i] = (uint8_t)(bytes >> 8 * i);
    is_no_head(head, sizeof head);
    assert_int_equal(swim_stream_bytes(head, sizeof head), -EPROTO);
    head[SWIM_AT_BYTES]--; /* 1 to 0: it would be taken */
    assert_int_equal(swim_stream_bytes(head, sizeof head), bytes - 1);
}

/* From "z" to whoever is there: "what do you know?" */
static size_t sound_question(uint8_t bytes[SWIM_PACKET_BYTES_MAX])
{
    const struct swim_head head = {.type = SWIM_STATE_ASK,
                                   .run = 1,
                                   .number = 1,
                                   .seq = 1,
                                   .label = udp_label(),
                                   .from = "z",
                                   .to = "",
                                   .target = ""};
    struct swim_writer w;

    swim_write_head(&w, &head, bytes, SWIM_PACKET_BYTES_MAX);
    return swim_write_end(&w);
}

static size_t awaited;

static bool is_read(struct udp_world *w)
{
    const struct px_list *streams = &w->nodes[0].udp->streams;

    return !px_list_empty(streams) &&
           px_list_entry(streams->next, struct swim_stream, link)->in_used ==
               awaited;
}

/* The time of the only connection is up. */
static void expire(struct udp_world *w)
{
    struct swim_udp *u = w->nodes[0].udp;

    px_list_entry(u->streams.next, struct swim_stream, link)->deadline_ms = 0;
    swim_streams_expire(u);
}

/* By its sender, or by the time. */
static void a_packet_that_is_cut_short_is_counted(void **s)
{
    uint8_t bytes[SWIM_PACKET_BYTES_MAX];
    const size_t whole = sound_question(bytes);
    const size_t sizes[] = {1, SWIM_LENGTH_BYTES - 1, SWIM_LENGTH_BYTES,
                            whole - 1};

    (void)s;
    for (size_t i = 0; i < 8; i++) {
        const bool is_ended = i % 2 != 0;
        struct udp_world w;

        awaited = sizes[i / 2];
        stranger = tcp_to(open_patient(&w));
        assert_int_equal(send(stranger, bytes, awaited, 0), awaited);
        udp_run_until(&w, is_read);
        if (is_ended)
            assert_int_equal(shutdown(stranger, SHUT_WR), 0);
        else
            expire(&w);
        udp_run_until(&w, is_closed_by_node);
        one_is_malformed(&w, awaited);
        assert_int_equal(close(stranger), 0);
        udp_world_close(&w);
    }
}

static void a_connection_that_says_nothing_is_closed_in_time(void **s)
{
    struct swim_udp_options o;
    struct udp_world w;

    (void)s;
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.stream_timeout = 10 * PX_NS_PER_MS;
    stranger = tcp_to(udp_open_node(&w, &o));
    udp_run_until(&w, is_closed_by_node);
    assert_int_equal(udp_status(&w, 0).counters.packets_in, 0);
    assert_int_equal(close(stranger), 0);
    udp_world_close(&w);
}

/* The answer took the whole of the question, which is counted once. */
static void a_whole_question_is_answered_and_counted_once(void **s)
{
    uint8_t bytes[SWIM_PACKET_BYTES_MAX];
    const size_t size = sound_question(bytes);
    struct swim_reader r;
    struct udp_world w;

    (void)s;
    stranger = tcp_to(open_patient(&w));
    assert_int_equal(send(stranger, bytes, size, 0), size);
    udp_run_until(&w, is_answered);
    assert_int_equal(swim_read_packet(&r, heard, (size_t)heard_size), 0);
    assert_int_equal(r.head.type, SWIM_STATE);
    udp_run_until(&w, is_closed_by_node);
    assert_int_equal(udp_status(&w, 0).counters.packets_in, 1);
    assert_int_equal(udp_status(&w, 0).counters.malformed, 0);
    assert_int_equal(close(stranger), 0);
    udp_world_close(&w);
}

/* Who is asked, and ends in the midst of its answer. */
static void an_answer_that_is_cut_short_is_counted(void **s)
{
    struct sockaddr_in at = udp_address_of(0);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof at;
    uint8_t bytes[SWIM_PACKET_BYTES_MAX];
    const size_t half = sound_question(bytes) / 2;
    struct swim_udp_options o;
    struct swim_addr known;
    struct udp_world w;

    (void)s;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    known = swim_addr_of((struct sockaddr *)&at);
    udp_world_open(&w);
    o = udp_options_of(&w, 0);
    o.known = &known;
    o.known_count = 1;
    o.stream_timeout = 3600 * PX_NS_PER_S;
    (void)udp_open_node(&w, &o);
    stranger = accept(fd, NULL, NULL); /* it was dialled when it was opened */
    assert_true(stranger >= 0);
    assert_int_equal(send(stranger, bytes, half, 0), half);
    assert_int_equal(shutdown(stranger, SHUT_WR), 0);
    udp_run_until(&w, is_one_malformed);
    one_is_malformed(&w, half);
    assert_int_equal(close(stranger), 0);
    assert_int_equal(close(fd), 0);
    udp_world_close(&w);
}

/* And what it had sent is counted. */
static void of_too_many_connections_the_oldest_makes_way(void **s)
{
    int fds[SWIM_STREAMS_MAX];
    struct udp_world w;
    uint16_t port;

    (void)s;
    port = open_patient(&w);
    stranger = tcp_to(port);
    awaited = 1;
    assert_int_equal(send(stranger, "\xf2", awaited, 0), awaited);
    udp_run_until(&w, is_read);
    for (unsigned i = 0; i < SWIM_STREAMS_MAX; i++)
        fds[i] = tcp_to(port);
    udp_run_until(&w, is_closed_by_node);
    assert_int_equal(w.nodes[0].udp->in_count, SWIM_STREAMS_MAX);
    one_is_malformed(&w, awaited);
    for (unsigned i = 0; i < SWIM_STREAMS_MAX; i++)
        assert_int_equal(close(fds[i]), 0);
    assert_int_equal(close(stranger), 0);
    udp_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_connection_of_any_bytes_is_closed_and_counted),
        unit(a_packet_that_would_be_too_long_is_not_waited_for),
        unit(a_packet_that_is_cut_short_is_counted),
        unit(a_connection_that_says_nothing_is_closed_in_time),
        unit(a_whole_question_is_answered_and_counted_once),
        unit(an_answer_that_is_cut_short_is_counted),
        unit(of_too_many_connections_the_oldest_makes_way),
    };

    return cmocka_run_group_tests_name("gossip/udp_stream", tests, NULL, NULL);
}
