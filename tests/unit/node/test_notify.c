/* node/notify.c, against real datagram sockets, as a service manager's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/notify.h"

static char dir[] = "/tmp/phalanx-notify-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

/* The manager's end, at the @size bytes of @name as the kernel takes them. */
static int listen_at(const char *name, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_true(size <= sizeof address.sun_path);
    memcpy(address.sun_path, name, size);
    assert_return_code(
        bind(fd, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
        errno);
    return fd;
}

static void receives(int fd, const char *expected)
{
    char text[128] = "";

    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT),
                     strlen(expected));
    assert_string_equal(text, expected);
}

static void a_datagram_reaches_a_socket_at_a_path(void **state)
{
    char path[64];
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    fd = listen_at(path, strlen(path) + 1);
    assert_int_equal(notify_send(path, "READY=1"), 0);
    assert_int_equal(notify_send(path, "STOPPING=1"), 0);
    receives(fd, "READY=1");
    receives(fd, "STOPPING=1");
    (void)close(fd);
    assert_int_equal(notify_send(path, "READY=1"), -ECONNREFUSED);
    assert_return_code(unlink(path), errno);
    assert_int_equal(notify_send(path, "READY=1"), -ENOENT);
}

static void a_datagram_reaches_an_abstract_socket(void **state)
{
    char name[64];
    int size =
        snprintf(name, sizeof name, "@phalanx-notify-%ld/x", (long)getpid());
    int fd;

    (void)state;
    name[0] = '\0';
    fd = listen_at(name, (size_t)size);
    name[0] = '@';
    assert_int_equal(notify_send(name, "READY=1"), 0);
    receives(fd, "READY=1");
    (void)close(fd);
    assert_int_equal(notify_send(name, "READY=1"), -ECONNREFUSED);
}

/* A send that waits would hang here, until the test's time is over. */
static void a_manager_that_reads_nothing_is_not_waited_for(void **state)
{
    char path[64];
    int rc = 0;
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    fd = listen_at(path, strlen(path) + 1);
    for (size_t i = 0; rc == 0 && i < 1000000; i++)
        rc = notify_send(path, "READY=1");
    assert_int_equal(rc, -EAGAIN);
    (void)close(fd);
    assert_return_code(unlink(path), errno);
}

static void without_a_manager_there_is_nobody_to_tell(void **state)
{
    (void)state;
    assert_int_equal(notify_send(NULL, "READY=1"), 0);
    assert_int_equal(notify_send("", "READY=1"), 0);
}

static void a_name_that_is_no_socket_is_refused(void **state)
{
    char longest[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];

    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(notify_send(longest, "READY=1"), -EINVAL);
    longest[sizeof longest - 2] = '\0'; /* fits, and is not there */
    assert_int_equal(notify_send(longest, "READY=1"), -ENOENT);
    assert_int_equal(notify_send("relative", "READY=1"), -EINVAL);
    assert_int_equal(notify_send("vsock:2:1", "READY=1"), -EINVAL);
    assert_int_equal(notify_send("@", "READY=1"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_reaches_a_socket_at_a_path),
        cmocka_unit_test(a_datagram_reaches_an_abstract_socket),
        cmocka_unit_test(a_manager_that_reads_nothing_is_not_waited_for),
        cmocka_unit_test(without_a_manager_there_is_nobody_to_tell),
        cmocka_unit_test(a_name_that_is_no_socket_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
