#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/addr.h"

static void parses(const char *text, const char *host, uint16_t port)
{
    struct net_addr addr;

    assert_int_equal(net_addr_parse(text, &addr), 0);
    assert_string_equal(addr.host, host);
    assert_int_equal(addr.port, port);
}

static void is_refused(const char *text)
{
    struct net_addr addr = {.port = 7};

    assert_int_equal(net_addr_parse(text, &addr), -EINVAL);
    assert_int_equal(addr.port, 7); /* written on success only */
}

static void addresses_and_names_are_parsed(void **state)
{
    (void)state;
    parses("10.0.0.1:9000", "10.0.0.1", 9000);
    parses("[::1]:9000", "::1", 9000);
    parses("[fe80::1%eth0]:1", "fe80::1%eth0", 1);
    parses("node-1.my_local:65535", "node-1.my_local", 65535);
    parses(":9000", "", 9000);
    parses("[::]:9000", "::", 9000);
}

static void what_is_not_an_address_is_refused(void **state)
{
    (void)state;
    is_refused("");
    is_refused("9000");
    is_refused("host");
    is_refused("host:");
    is_refused("host:0");
    is_refused("host:65536");
    is_refused("host:99999999999999999999");
    is_refused("host:-1");
    is_refused("host:+1");
    is_refused("host: 1");
    is_refused("host:1x");
    is_refused("host:1:2");
    is_refused("http://host:1");
    is_refused("ho st:1");
    is_refused("::1:9000");
    is_refused("[::1]");
    is_refused("[::1]9000");
    is_refused("[::1:9000");
    is_refused("[]:9000");
    is_refused("[host]:9000");
    is_refused("[10.0.0.1]:9000");
    is_refused("[fe80::1%]:9000");
}

/* Who is told of it takes words alone: codec_admin.c, gossip/packet.c. */
static void a_zone_is_a_word(void **state)
{
    (void)state;
    is_refused("[fe80::1%a b]:9000");
    is_refused("[fe80::1%a\n]:9000");
    is_refused("[fe80::1%\x7f]:9000");
    is_refused("[fe80::1%\xc3\xa9]:9000");
    parses("[fe80::1%br-a.1_b]:9000", "fe80::1%br-a.1_b", 9000);
}

static void a_host_too_long_is_refused(void **state)
{
    char text[PX_ADDRESS_BYTES_MAX + 1 + sizeof ":1"];

    (void)state;
    memset(text, 'a', sizeof text);
    (void)strcpy(text + PX_ADDRESS_BYTES_MAX + 1, ":1");
    is_refused(text);
    (void)strcpy(text + PX_ADDRESS_BYTES_MAX, ":1");
    text[PX_ADDRESS_BYTES_MAX] = '\0';
    (void)strcat(text, ":1");
    {
        struct net_addr addr;

        assert_int_equal(net_addr_parse(text, &addr), 0);
        assert_int_equal(strlen(addr.host), PX_ADDRESS_BYTES_MAX);
    }
}

static void port_zero_is_for_listening_only(void **state)
{
    struct net_addr addr;

    (void)state;
    is_refused("127.0.0.1:0");
    assert_int_equal(net_addr_parse_listen("127.0.0.1:0", &addr), 0);
    assert_int_equal(addr.port, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_names_are_parsed),
        cmocka_unit_test(what_is_not_an_address_is_refused),
        cmocka_unit_test(a_zone_is_a_word),
        cmocka_unit_test(a_host_too_long_is_refused),
        cmocka_unit_test(port_zero_is_for_listening_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
