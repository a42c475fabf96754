/* Delay, order, loss and room on the way between two hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/wire.h"

#define MS PX_NS_PER_MS
#define PACKETS 1000u

/* 10 ms from 0 to 1, 50 ms back. */
static struct wire *new_wire(unsigned jitter_percent, unsigned loss_permille)
{
    struct wire_options options = {.jitter_percent = jitter_percent,
                                   .udp_loss_permille = loss_permille,
                                   .seed = 7};

    options.delays[0][1] = 10 * MS;
    options.delays[1][0] = 50 * MS;
    return wire_new(&options);
}

static void put(struct wire *w, px_ns now, int from, int to, bool is_udp,
                unsigned number)
{
    assert_int_equal(wire_put(w, now, from, to, is_udp, &number, sizeof number),
                     WIRE_CARRIED);
}

static unsigned number_of(const struct wire_packet *p)
{
    unsigned number;

    assert_non_null(p);
    assert_int_equal(p->size, sizeof number);
    memcpy(&number, p->bytes, sizeof number);
    return number;
}

static void a_packet_takes_its_way_and_no_less(void **state)
{
    struct wire *w = new_wire(0, 0);
    const struct wire_packet *p;

    (void)state;
    assert_true(wire_next(w) == PX_NS_NEVER);
    assert_null(wire_take(w, PX_NS_NEVER - 1));
    put(w, 3 * MS, 0, 1, false, 42);
    assert_true(wire_next(w) == 13 * MS);
    assert_null(wire_take(w, 13 * MS - 1));
    p = wire_take(w, 13 * MS);
    assert_int_equal(number_of(p), 42);
    assert_int_equal(p->to, 1);
    assert_null(wire_take(w, 13 * MS));
    wire_free(w);
}

static void the_two_ways_between_hosts_are_two(void **state)
{
    struct wire *w = new_wire(0, 0);

    (void)state;
    put(w, 0, 1, 0, false, 1);
    put(w, 1 * MS, 0, 1, false, 2);
    assert_int_equal(number_of(wire_take(w, 60 * MS)), 2);
    assert_int_equal(number_of(wire_take(w, 60 * MS)), 1);
    wire_free(w);
}

/* Sends PACKETS, one each ms; how many arrive before one that was sent before
 * them. Each takes 10 to 20 ms. */
static unsigned count_overtakers(bool is_udp)
{
    struct wire *w = new_wire(100, 0);
    unsigned newest = 0;
    unsigned overtaken = 0;

    for (unsigned i = 0; i < PACKETS; i++)
        put(w, i * MS, 0, 1, is_udp, i);
    for (unsigned i = 0; i < PACKETS; i++) {
        const struct wire_packet *p = wire_take(w, (PACKETS + 20) * MS);
        unsigned number = number_of(p);

        assert_true(p->due >= (number + 10) * MS);
        assert_true(p->due <= (number + 20) * MS);
        overtaken += number < newest;
        newest = number > newest ? number : newest;
    }
    wire_free(w);
    return overtaken;
}

static void tcp_keeps_its_order_and_udp_does_not(void **state)
{
    (void)state;
    assert_int_equal(count_overtakers(false), 0);
    assert_true(count_overtakers(true) > PACKETS / 10);
}

static void only_datagrams_are_lost_as_many_as_asked_for(void **state)
{
    struct wire *w = new_wire(0, 250);
    unsigned lost = 0;
    uint8_t byte = 1;

    (void)state;
    for (unsigned i = 0; i < PACKETS; i++) {
        put(w, 0, 0, 1, false, i);
        lost += wire_put(w, 0, 0, 1, true, &byte, 1) == WIRE_LOST;
    }
    assert_in_range(lost, PACKETS / 5, 3 * PACKETS / 10);
    for (unsigned i = 0; i < 2 * PACKETS - lost; i++)
        assert_non_null(wire_take(w, 10 * MS));
    assert_null(wire_take(w, 10 * MS));
    wire_free(w);
}

static void a_wire_that_is_full_drops(void **state)
{
    struct wire *w = new_wire(0, 0);
    uint8_t packet[WIRE_PACKET_BYTES_MAX + 1] = {0};

    (void)state;
    assert_int_equal(wire_put(w, 0, 0, 1, false, packet, sizeof packet),
                     WIRE_OVERSIZED);
    for (unsigned i = 0; i < WIRE_PACKETS_MAX; i++)
        put(w, 0, 0, 1, false, i);
    assert_int_equal(wire_put(w, 0, 0, 1, false, packet, 1), WIRE_FULL);
    for (unsigned i = 0; i < WIRE_PACKETS_MAX; i++)
        assert_int_equal(number_of(wire_take(w, 10 * MS)), i);
    put(w, 0, 0, 1, false, 1);
    wire_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_takes_its_way_and_no_less),
        cmocka_unit_test(the_two_ways_between_hosts_are_two),
        cmocka_unit_test(tcp_keeps_its_order_and_udp_does_not),
        cmocka_unit_test(only_datagrams_are_lost_as_many_as_asked_for),
        cmocka_unit_test(a_wire_that_is_full_drops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
