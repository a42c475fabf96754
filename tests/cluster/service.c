/* A server under a service manager: it says when it is up, and when it ends. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/server.h"

#define SECONDS_MAX 120
#define WAIT_MS_MAX 20000

static struct guard *guard;
static bool has_passed;

static int setup(void **state)
{
    (void)state;
    has_passed = false;
    guard = guard_start(SECONDS_MAX);
    return guard != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET"); /* fails for a bad name only */
    if (!has_passed && guard != NULL)
        guard_print_notes(guard);
    guard_end(guard);
    return 0;
}

/* The manager's socket; the servers that are started next know of it. */
static int manager_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/notify",
                     guard_dir(guard));

    assert_true(fd >= 0);
    assert_true(n > 0 && (size_t)n < sizeof address.sun_path);
    assert_return_code(
        bind(fd, (const struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(setenv("NOTIFY_SOCKET", address.sun_path, 1), errno);
    return fd;
}

static void receives(int fd, const char *expected)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    char text[128] = "";

    if (poll(&look, 1, WAIT_MS_MAX) != 1)
        fail_msg("no %s within %d ms", expected, WAIT_MS_MAX);
    assert_true(recv(fd, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, expected);
}

static bool has_more(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) != 0;
}

/* A peer that never comes: no leader, and so no answer but from .phalanx. */
static void a_node_is_up_when_it_is_mounted_with_or_without_a_leader(void **s)
{
    struct process_result r;
    struct server server;
    int manager;
    char peers[128];
    const char *const argv[] = {getenv("PHALANX_SERVER"),
                                "--node-id",
                                server.name,
                                "--peers",
                                peers,
                                "--data-dir",
                                server.data,
                                "--mount",
                                server.mount,
                                "--debug-addr",
                                server.debug_addr,
                                NULL};
    const char *const look[] = {"sh", "-c", "cat $0/.phalanx/health",
                                server.mount, NULL};

    (void)s;
    manager = manager_open();
    server_init(&server, guard, 0);
    (void)snprintf(peers, sizeof peers, "%s=%s,absent=127.0.0.1:1", server.name,
                   server.grpc_addr);
    server.pid = process_start(&(struct process_options){.argv = argv});
    assert_true(server.pid > 0);
    guard_set_pid(guard, 0, server.pid);
    receives(manager, "READY=1");
    process_run(&(struct process_options){.argv = look}, WAIT_MS_MAX, &r);
    assert_int_equal(r.status, 0);
    assert_int_equal(strncmp(r.out, "waiting: for a leader", 21), 0);
    assert_int_equal(server_stop(&server, SIGTERM), 0);
    receives(manager, "STOPPING=1");
    assert_false(has_more(manager));
    (void)close(manager);
    has_passed = true;
}

static void a_start_that_fails_is_never_ready(void **state)
{
    struct process_result r;
    struct server s;
    int manager;

    (void)state;
    manager = manager_open();
    server_init(&s, guard, 0);
    server_run(&s, (const char *const[]){"--mount", "/nowhere", NULL}, &r);
    assert_int_equal(r.status, 1);
    assert_false(has_more(manager));
    (void)close(manager);
    has_passed = true;
}

static void a_manager_that_is_gone_is_no_reason_to_stop(void **state)
{
    struct server s;

    (void)state;
    (void)close(manager_open());
    server_init(&s, guard, 0);
    server_start(&s, NULL);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_node_is_up_when_it_is_mounted_with_or_without_a_leader, setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_start_that_fails_is_never_ready,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_manager_that_is_gone_is_no_reason_to_stop, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
