/* examples/: each script does what its head says, on a real mount. The folder
 * of the scripts is in EXAMPLES. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/server.h"
#include "tests/lib/worker.h"

#define SECONDS_MAX 120
#define RUN_MS_MAX 60000

static struct guard *guard;
static struct server server;
static bool has_passed;

static int setup(void **state)
{
    (void)state;
    has_passed = false;
    guard = guard_start(SECONDS_MAX);
    if (guard == NULL)
        return -1;
    server_init(&server, guard, 0);
    server_start(&server, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!has_passed && guard != NULL)
        guard_print_notes(guard);
    guard_end(guard);
    return 0;
}

static const char *examples(void)
{
    const char *dir = getenv("EXAMPLES");

    assert_non_null(dir);
    return dir;
}

/* Ten add one to a number by reading and writing it; the lock makes it ten. */
static void the_lock_lets_one_in_at_a_time(void **state)
{
    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c",
           "cd $0 && echo 0 >n && for i in 1 2 3 4 5 6 7 8 9 10; do "
           "$1/lock.sh locks/n 50 sh -c 'v=$(cat n); sleep 0.1; "
           "echo $((v + 1)) >n' & done; wait; "
           "test \"$(cat n)\" = 10 && test ! -e locks/n",
           server.mount, examples(), NULL);
    has_passed = true;
}

static void a_held_lock_is_waited_for_and_then_given_up(void **state)
{
    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c",
           "cd $0 && mkdir locks locks/held && echo me >locks/held/holder; "
           "$1/lock.sh locks/held 1 touch ran 2>why; test $? = 75 && "
           "grep -q 'held by me' why && test ! -e ran",
           server.mount, examples(), NULL);
    has_passed = true;
}

static void a_job_runs_once_a_slot_whoever_starts_it(void **state)
{
    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c",
           "cd $0 && for slot in 1 2; do for i in 1 2 3 4 5 6; do "
           "$1/once.sh cron/job $slot sh -c 'echo run >>runs; exit 3' & "
           "done; wait; done; test $(wc -l <runs) = 2 && "
           "test $(cat cron/job/1/status) = 3",
           server.mount, examples(), NULL);
    has_passed = true;
}

static void a_change_is_handed_over_once(void **state)
{
    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c",
           "cd $0 && echo one >config && "
           "{ $1/reload.sh config 0.1 sh -c 'cat >>seen' & pid=$!; } && "
           "until grep -qx one seen 2>/dev/null; do sleep 0.05; done; "
           "echo two >config; until grep -qx two seen; do sleep 0.05; done; "
           "kill $pid; test $(wc -l <seen) = 2",
           server.mount, examples(), NULL);
    has_passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lock_lets_one_in_at_a_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_held_lock_is_waited_for_and_then_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_job_runs_once_a_slot_whoever_starts_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_handed_over_once, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
