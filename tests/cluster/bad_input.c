/* A start that can't work ends at once, with one sentence that says why and a
 * status other than 0, and damages nothing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/server.h"

#define SECONDS_MAX 240
#define BAD_MS_MAX 5000

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})

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
    if (!has_passed && guard != NULL)
        guard_print_notes(guard);
    guard_end(guard);
    return 0;
}

static void path_in(char path[512], const char *dir, const char *name)
{
    int n = snprintf(path, 512, "%s/%s", dir, name);

    assert_true(n > 0 && n < 512);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[512];
    int fd;

    path_in(path, dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_return_code(close(fd), errno);
}

static void check_holds(const char *dir, const char *name, const char *expected)
{
    char text[64] = "";
    char path[512];
    int fd;

    path_in(path, dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(read(fd, text, sizeof text - 1), strlen(expected));
    assert_string_equal(text, expected);
    (void)close(fd);
}

/* @part: something that the sentence must name. */
static void refuses(const struct server *s, const char *part,
                    const char *const *flags)
{
    const char *last = flags[0];
    struct process_result r;
    size_t size;

    for (size_t i = 0; flags[i] != NULL; i++)
        last = flags[i];
    server_run(s, flags, &r);
    size = strlen(r.err);
    if (r.status <= 0 || r.status > 125)
        fail_msg("%s: ended with status %d: %s", last, r.status, r.err);
    if (r.ms > BAD_MS_MAX)
        fail_msg("%s: ended after %u ms", last, r.ms);
    if (size == 0 || strchr(r.err, '\n') != r.err + size - 1)
        fail_msg("%s: not one line: \"%s\"", last, r.err);
    if (strstr(r.err, part) == NULL)
        fail_msg("%s: \"%s\" is not in: %s", last, part, r.err);
    assert_string_equal(r.out, "");
}

/* A server with one key on its disk, stopped. */
static void prepare(struct server *s)
{
    server_init(s, guard, 0);
    server_start(s, NULL);
    put(s->mount, "key", "kept\n");
    assert_int_equal(server_stop(s, SIGTERM), 0);
}

static void check_undamaged(struct server *s)
{
    server_start(s, NULL);
    check_holds(s->mount, "key", "kept\n");
    put(s->mount, "key2", "more\n");
    check_holds(s->mount, "key2", "more\n");
    assert_int_equal(server_stop(s, SIGTERM), 0);
}

static void wrong_values_are_named(void **state)
{
    struct server s;

    (void)state;
    prepare(&s);
    refuses(&s, "--log-level", FLAGS("--log-level", "verbose"));
    refuses(&s, "--tick-ms", FLAGS("--tick-ms", "fast"));
    refuses(&s, "ELECTION", FLAGS("--election", "4", "--heartbeat", "4"));
    refuses(&s, "--grpc-addr", FLAGS("--grpc-addr", "nonsense"));
    refuses(&s, "--debug-addr", FLAGS("--debug-addr", "localhost:99999"));
    refuses(&s, "PEERS", FLAGS("--peers", "x=127.0.0.1:1,y=127.0.0.1:2"));
    refuses(&s, "--bogus", FLAGS("--bogus"));
    refuses(&s, "left over", FLAGS("stray"));
    check_undamaged(&s);
    has_passed = true;
}

static void addresses_that_are_not_ours_are_named(void **state)
{
    struct server s;

    (void)state;
    prepare(&s);
    refuses(&s, "192.0.2.1:9000", FLAGS("--grpc-addr", "192.0.2.1:9000"));
    refuses(&s, "GRPC_ADDR", FLAGS("--grpc-addr", "192.0.2.1:9000"));
    refuses(&s, "192.0.2.1:8080", FLAGS("--debug-addr", "192.0.2.1:8080"));
    check_undamaged(&s);
    has_passed = true;
}

static void unusable_mount_points_are_named_and_left_alone(void **state)
{
    struct server s;
    char full[512];
    char file[512];
    char absent[512];

    (void)state;
    prepare(&s);
    path_in(absent, guard_dir(guard), "absent");
    path_in(full, guard_dir(guard), "full");
    assert_return_code(mkdir(full, 0755), errno);
    put(full, "precious", "mine\n");
    path_in(file, full, "precious");
    refuses(&s, absent, FLAGS("--mount", absent));
    refuses(&s, full, FLAGS("--mount", full));
    refuses(&s, file, FLAGS("--mount", file));
    assert_int_equal(access(absent, F_OK), -1);
    check_holds(full, "precious", "mine\n");
    check_undamaged(&s);
    has_passed = true;
}

static void a_data_folder_of_others_is_named_and_left_alone(void **state)
{
    struct server s;
    char file[512];

    (void)state;
    prepare(&s);
    refuses(&s, s.data, FLAGS("--cluster", "another"));
    refuses(&s, s.data, FLAGS("--node-id", "another"));
    path_in(file, guard_dir(guard), "file");
    put(guard_dir(guard), "file", "mine\n");
    refuses(&s, file, FLAGS("--data-dir", file));
    check_holds(guard_dir(guard), "file", "mine\n");
    check_undamaged(&s);
    has_passed = true;
}

static void what_another_server_uses_is_named(void **state)
{
    struct server a;
    struct server b;

    (void)state;
    prepare(&a);
    server_init(&b, guard, 1);
    server_start(&a, NULL);
    refuses(&b, a.data, FLAGS("--node-id", a.name, "--data-dir", a.data));
    refuses(&b, a.grpc_addr, FLAGS("--grpc-addr", a.grpc_addr));
    refuses(&b, "GRPC_ADDR, or after --grpc-addr",
            FLAGS("--grpc-addr", a.grpc_addr));
    refuses(&b, a.debug_addr, FLAGS("--debug-addr", a.debug_addr));
    refuses(&b, "DEBUG_ADDR, or after --debug-addr",
            FLAGS("--debug-addr", a.debug_addr));
    refuses(&b, a.mount, FLAGS("--mount", a.mount));
    check_holds(a.mount, "key", "kept\n"); /* and it goes on undisturbed */
    assert_int_equal(server_stop(&a, SIGTERM), 0);
    check_undamaged(&a);
    server_start(&b, NULL);
    assert_int_equal(server_stop(&b, SIGTERM), 0);
    has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_values_are_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(addresses_that_are_not_ours_are_named,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            unusable_mount_points_are_named_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_data_folder_of_others_is_named_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_another_server_uses_is_named,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
