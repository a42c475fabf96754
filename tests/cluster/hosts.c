/* The network that other tests cut, tested itself: in every shape, who is cut
 * off hears nothing, and everybody else hears. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/netns.h"

#define HOSTS 5
#define PORT 9000
#define ARRIVE_MS_MAX 10000

static struct netns *net;
static int sockets[HOSTS];

static struct sockaddr_in address_of(int host)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(PORT)};
    char text[NETNS_ADDRESS_BYTES];

    netns_address(host, text);
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

static void send_to(int from, int to, unsigned round)
{
    struct sockaddr_in address = address_of(to);
    unsigned message[2] = {round, (unsigned)from};

    assert_int_equal(sendto(sockets[from], message, sizeof message, 0,
                            (struct sockaddr *)&address, sizeof address),
                     sizeof message);
}

/* Bits of those that @to hears in this round, until it has heard @wanted. What
 * comes from others has been sent before. */
static uint32_t hear(int to, unsigned round, uint32_t wanted)
{
    struct pollfd readable = {.fd = sockets[to], .events = POLLIN};
    uint32_t heard = 0;
    unsigned message[2];

    while ((heard & wanted) != wanted) {
        assert_int_equal(poll(&readable, 1, ARRIVE_MS_MAX), 1);
        assert_int_equal(recv(sockets[to], message, sizeof message, 0),
                         sizeof message);
        if (message[0] == round)
            heard |= UINT32_C(1) << message[1];
    }
    return heard;
}

/* First those that must not arrive. Each sends to itself as well. */
static void check(const struct netns_cuts *cuts)
{
    static unsigned round;

    round++;
    netns_cut(net, cuts);
    for (int cut = 1; cut >= 0; cut--)
        for (int from = 0; from < HOSTS; from++)
            for (int to = 0; to < HOSTS; to++)
                if (cuts->drops[from][to] == (cut == 1))
                    send_to(from, to, round);
    for (int to = 0; to < HOSTS; to++) {
        uint32_t wanted = 0;

        for (int from = 0; from < HOSTS; from++)
            if (!cuts->drops[from][to])
                wanted |= UINT32_C(1) << from;
        assert_int_equal(hear(to, round, wanted), wanted);
    }
}

/* How many hosts @host hears and is heard by, itself included. */
static int reached(const struct netns_cuts *cuts, int host)
{
    int count = 0;

    for (int i = 0; i < HOSTS; i++)
        count += !cuts->drops[host][i] && !cuts->drops[i][host];
    return count;
}

static void whoever_is_cut_off_hears_nothing_and_the_others_hear(void **state)
{
    static const int order[HOSTS] = {2, 0, 3, 1, 4};
    const struct netns_cuts whole = {0};
    struct netns_cuts part = {0};
    struct netns_cuts parts = {0};
    struct netns_cuts deaf = {0};
    struct netns_cuts bridge = {0};
    struct netns_cuts ring = {0};

    (void)state;
    cuts_part(&part, HOSTS, 0x3);
    cuts_part(&parts, HOSTS, 0x3);
    cuts_part(&parts, HOSTS, 0x4);
    cuts_deafen(&deaf, HOSTS, 1, 0x19);
    cuts_bridge(&bridge, HOSTS, 3);
    cuts_ring(&ring, HOSTS, order);
    assert_int_equal(reached(&part, 0), 2);
    assert_int_equal(reached(&part, 4), 3);
    assert_int_equal(reached(&parts, 2), 1);
    assert_int_equal(reached(&parts, 3), 2);
    assert_true(deaf.drops[1][0] && !deaf.drops[0][1]);
    assert_int_equal(reached(&deaf, 1), 2);
    assert_int_equal(reached(&bridge, 3), HOSTS);
    assert_int_equal(reached(&bridge, 4), 3);
    assert_int_equal(reached(&bridge, 1), 3);
    assert_true(bridge.drops[0][1] && !bridge.drops[0][4]);
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(reached(&ring, i), 3);
    assert_true(ring.drops[2][3] && !ring.drops[2][4]);
    check(&whole);
    check(&part);
    check(&parts);
    check(&deaf);
    check(&bridge);
    check(&ring);
    check(&whole);
}

static int open_sockets(void **state)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    (void)state;
    for (int i = 0; i < HOSTS; i++) {
        sockets[i] = netns_socket(net, i, SOCK_DGRAM);
        if (bind(sockets[i], (struct sockaddr *)&any, sizeof any) < 0)
            return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < HOSTS; i++)
        (void)close(sockets[i]);
    netns_free(net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_cut_off_hears_nothing_and_the_others_hear),
    };

    net = netns_new(HOSTS);
    return cmocka_run_group_tests(tests, open_sockets, close_all);
}
