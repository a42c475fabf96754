#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

static int connect_v4(uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (const struct sockaddr *)&to, sizeof to);

    (void)close(fd);
    return rc;
}

static int connect_v6(uint16_t port)
{
    const struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                                    .sin6_port = htons(port),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&to, sizeof to);

    (void)close(fd);
    return rc;
}

static bool has_ipv6(void)
{
    char why[256];
    int fd;

    if (net_socket_listen("[::1]:0", &fd, why, sizeof why) < 0)
        return false;
    (void)close(fd);
    return true;
}

static void any_address_is_listened_to_on_both_families(void **state)
{
    const char *const texts[] = {":0", "[::]:0"};
    char why[256];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd;

        assert_int_equal(net_socket_listen(texts[i], &fd, why, sizeof why), 0);
        assert_int_not_equal(net_socket_port(fd), 0);
        assert_int_equal(connect_v4(net_socket_port(fd)), 0);
        if (has_ipv6())
            assert_int_equal(connect_v6(net_socket_port(fd)), 0);
        (void)close(fd);
    }
}

static void a_name_is_looked_up(void **state)
{
    char why[256];
    int fd;

    (void)state;
    assert_int_equal(net_socket_listen("localhost:0", &fd, why, sizeof why), 0);
    (void)close(fd);
    assert_true(
        net_socket_listen("no-such-host.invalid:0", &fd, why, sizeof why) < 0);
    assert_non_null(strstr(why, "no-such-host.invalid"));
}

static void a_port_in_use_is_one_clear_sentence(void **state)
{
    char text[32];
    char why[256];
    int first;
    int second = -1;

    (void)state;
    assert_int_equal(net_socket_listen("127.0.0.1:0", &first, why, sizeof why),
                     0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", net_socket_port(first));
    assert_int_equal(net_socket_listen(text, &second, why, sizeof why),
                     -EADDRINUSE);
    assert_int_equal(second, -1);
    assert_non_null(strstr(why, text));
    assert_non_null(strstr(why, "in use"));
    (void)close(first);
}

static void a_bad_address_says_what_to_write_instead(void **state)
{
    char why[256];
    int fd;

    (void)state;
    assert_int_equal(net_socket_listen("9000", &fd, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "\"9000\""));
    assert_non_null(strstr(why, "host:port"));
}

static void a_listening_socket_is_not_inherited_and_does_not_block(void **state)
{
    char why[256];
    int fd;

    (void)state;
    assert_int_equal(net_socket_listen("127.0.0.1:0", &fd, why, sizeof why), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    (void)close(fd);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void a_tuned_socket_neither_waits_nor_trusts_silence(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    net_socket_tune(fd, 3 * PX_NS_PER_S);
    assert_int_not_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 3000);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_address_is_listened_to_on_both_families),
        cmocka_unit_test(a_name_is_looked_up),
        cmocka_unit_test(a_port_in_use_is_one_clear_sentence),
        cmocka_unit_test(a_bad_address_says_what_to_write_instead),
        cmocka_unit_test(
            a_listening_socket_is_not_inherited_and_does_not_block),
        cmocka_unit_test(a_tuned_socket_neither_waits_nor_trusts_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
