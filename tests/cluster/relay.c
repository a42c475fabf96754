/* The wide network that other tests run on, tested itself: what goes from one
 * host to another and back takes as long as it should, and what is lost is lost
 * on the way. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/relay.h"

#define HOSTS 3
#define PORT 9000
#define ARRIVE_MS_MAX 10000
#define TO_LOSE 20

static struct netns *net;

static struct sockaddr_in address_of(int host)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(PORT)};
    char text[NETNS_ADDRESS_BYTES];

    netns_address(host, text);
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

static int open_bound(int host, int type)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = netns_socket(net, host, type);

    assert_return_code(bind(fd, (struct sockaddr *)&any, sizeof any), errno);
    return fd;
}

static void wait_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&readable, 1, ARRIVE_MS_MAX), 1);
}

/* A datagram there and back. */
static unsigned udp_round_trip_ms(int from, int to)
{
    struct sockaddr_in there = address_of(to);
    struct sockaddr_in back = address_of(from);
    int sender = open_bound(from, SOCK_DGRAM);
    int echo = open_bound(to, SOCK_DGRAM);
    uint64_t begin = now_ms();
    uint64_t end;
    char byte = 1;

    assert_int_equal(
        sendto(sender, &byte, 1, 0, (struct sockaddr *)&there, sizeof there),
        1);
    wait_readable(echo);
    assert_int_equal(recv(echo, &byte, 1, 0), 1);
    assert_int_equal(
        sendto(echo, &byte, 1, 0, (struct sockaddr *)&back, sizeof back), 1);
    wait_readable(sender);
    end = now_ms();
    (void)close(echo);
    (void)close(sender);
    return (unsigned)(end - begin);
}

/* A connection is there after one round trip. */
static unsigned tcp_round_trip_ms(int from, int to)
{
    struct sockaddr_in there = address_of(to);
    int listener = open_bound(to, SOCK_STREAM);
    int fd = netns_socket(net, from, SOCK_STREAM);
    uint64_t begin;
    uint64_t end;

    assert_return_code(listen(listener, 1), errno);
    begin = now_ms();
    assert_return_code(connect(fd, (struct sockaddr *)&there, sizeof there),
                       errno);
    end = now_ms();
    (void)close(fd);
    (void)close(listener);
    return (unsigned)(end - begin);
}

static void a_round_trip_takes_both_ways(void **state)
{
    struct wire_options options = {.jitter_percent = 10, .seed = 1};
    struct relay_counters counters;
    struct relay *relay;

    (void)state;
    for (int i = 0; i < HOSTS; i++)
        for (int j = 0; j < HOSTS; j++)
            options.delays[i][j] = (px_ns)(20 * (i + j) + 3 * i) * PX_NS_PER_MS;
    relay = relay_start(net, &options);
    for (int i = 0; i < HOSTS; i++) {
        for (int j = 0; j < HOSTS; j++) {
            unsigned ms =
                (unsigned)((options.delays[i][j] + options.delays[j][i]) /
                           PX_NS_PER_MS);

            if (i == j)
                continue; /* that is loopback's */
            assert_in_range(udp_round_trip_ms(i, j), ms - 1, ARRIVE_MS_MAX);
            assert_in_range(tcp_round_trip_ms(i, j), ms - 1, ARRIVE_MS_MAX);
        }
    }
    relay_get_counters(relay, &counters);
    assert_int_equal(counters.datagrams, 2 * HOSTS * (HOSTS - 1));
    assert_int_equal(counters.lost, 0);
    relay_stop(relay);
}

static void what_is_lost_does_not_arrive(void **state)
{
    struct wire_options options = {.udp_loss_permille = 1000, .seed = 1};
    struct sockaddr_in there = address_of(1);
    struct relay *relay = relay_start(net, &options);
    int sender = open_bound(0, SOCK_DGRAM);
    int receiver = open_bound(1, SOCK_DGRAM);
    struct relay_counters counters = {0};
    char byte = 1;

    (void)state;
    for (int i = 0; i < TO_LOSE; i++)
        assert_int_equal(sendto(sender, &byte, 1, 0, (struct sockaddr *)&there,
                                sizeof there),
                         1);
    while (counters.datagrams < TO_LOSE) {
        relay_get_counters(relay, &counters);
        pause_ms(5);
    }
    (void)tcp_round_trip_ms(0, 1); /* is behind them, and not lost */
    assert_int_equal(recv(receiver, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    relay_get_counters(relay, &counters);
    assert_int_equal(counters.lost, TO_LOSE);
    (void)close(sender);
    (void)close(receiver);
    relay_stop(relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_takes_both_ways),
        cmocka_unit_test(what_is_lost_does_not_arrive),
    };
    int rc;

    net = netns_new_apart(HOSTS);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(net);
    return rc;
}
