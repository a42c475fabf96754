/* A cluster of one: no configuration, one mount, the same promises.
 *
 * CLUSTER_ROUNDS: how often it is stopped under load, 4. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/server.h"
#include "tests/lib/skip.h"
#include "tests/lib/worker.h"

#define SECONDS_MAX 300
#define RUN_MS_MAX 20000
#define WRITES_PER_ROUND 1000

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
    workers_kill();
    if (!has_passed && guard != NULL)
        guard_print_notes(guard);
    guard_end(guard);
    return 0;
}

static void check_is_unmounted(const char *path)
{
    int fd = mount_open(path);

    if (fd >= 0)
        fail_msg("%s is still mounted", path);
    assert_int_equal(fd, -ENOTCONN); /* an ordinary folder again */
}

static void a_stop_by_control_c_unmounts_and_the_data_stays(void **state)
{
    struct server s;
    char key[512];

    (void)state;
    server_init(&s, guard, 0);
    (void)snprintf(key, sizeof key, "%s/a/b", s.mount);
    server_start(&s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c",
           "mkdir $0/a && echo hello > $0/a/b && test \"$(cat $0/a/b)\" = "
           "hello && ls $0/a | grep -qx b",
           s.mount, NULL);
    assert_int_equal(server_stop(&s, SIGINT), 0);
    check_is_unmounted(s.mount);
    server_start(&s, NULL);
    run_ok(RUN_MS_MAX, "sh", "-c", "test \"$(cat $0)\" = hello", key, NULL);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    check_is_unmounted(s.mount);
    has_passed = true;
}

/* With nothing but a mount point, and two ports that are free here. */
static void without_a_data_folder_the_data_lies_beside_us(void **state)
{
    const char *server = getenv("PHALANX_SERVER");
    struct server s;
    struct stat st;
    char data[512];
    const char *const argv[] = {server,        "--mount",   s.mount,
                                "--grpc-addr", s.grpc_addr, "--debug-addr",
                                s.debug_addr,  NULL};
    char health[1024];
    int notes;

    (void)state;
    if (stat("/data", &st) == 0)
        skip_as("/data is there: it would be used, and is not ours");
    assert_non_null(server);
    server_init(&s, guard, 0);
    notes = open(s.notes, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_return_code(notes, errno);
    s.pid = process_start(&(struct process_options){
        .argv = argv, .cwd = guard_dir(guard), .err_fd = notes});
    (void)close(notes);
    assert_true(s.pid > 0);
    guard_set_pid(guard, 0, s.pid);
    while (http_get(s.debug_port, "/health", health, sizeof health) != 200)
        assert_int_equal(process_wait(s.pid, 20), -ETIMEDOUT);
    run_ok(RUN_MS_MAX, "sh", "-c", "echo 1 > $0/k && grep -qx 1 $0/k", s.mount,
           NULL);
    (void)snprintf(data, sizeof data, "%s/phalanx-data", guard_dir(guard));
    assert_return_code(access(data, F_OK), errno);
    assert_int_equal(server_stop(&s, SIGINT), 0);
    check_is_unmounted(s.mount);
    has_passed = true;
}

static void check_load(const struct load *l, const char *path)
{
    int mount = mount_open(path);

    assert_return_code(mount, -mount);
    load_check(l, mount);
    (void)close(mount);
}

static void stopped_under_load_by(int sig, int status)
{
    struct load_options options = {
        .mount_count = 1, .writers = 4, .readers = 2};
    unsigned rounds = env_number("CLUSTER_ROUNDS", 4);
    struct server s;
    struct load *l;

    server_init(&s, guard, 0);
    server_start(&s, NULL);
    options.mounts[0] = s.mount;
    options.call_ms_max = 5000 + env_number("CLUSTER_SLACK_MS", 1000);
    l = load_start(&options);
    for (unsigned r = 0; r < rounds; r++) {
        load_wait_writes(l, WRITES_PER_ROUND);
        load_down(l, 0);
        assert_int_equal(server_stop(&s, sig), status);
        server_start(&s, NULL);
        load_up(l, 0);
    }
    load_wait_writes(l, WRITES_PER_ROUND);
    load_stop(l);
    load_print(l);
    check_load(l, s.mount);
    assert_int_equal(server_stop(&s, SIGTERM), 0);
    load_free(l);
    has_passed = true;
}

static void a_stop_under_load_loses_nothing(void **state)
{
    (void)state;
    stopped_under_load_by(SIGTERM, 0);
}

static void a_kill_under_load_loses_nothing(void **state)
{
    (void)state;
    stopped_under_load_by(SIGKILL, 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_stop_by_control_c_unmounts_and_the_data_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(
            without_a_data_folder_the_data_lies_beside_us, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_under_load_loses_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_kill_under_load_loses_nothing, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
