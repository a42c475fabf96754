/* Three of five nodes down: the two that are left say so, in every shell,
 * within the deadline; and go on by themselves once a third is back.
 *
 * CLUSTER_SLACK_MS: as for kill_storm. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define TIMEOUT_MS 2000
#define RUN_MS_MAX 20000
#define BACK_MS_MAX 20000

static const char *const shells[][3] = {
    {"bash", "-c", NULL},
    {"dash", "-c", NULL},
    {"busybox", "ash", "-c"},
};
#define SHELLS (sizeof shells / sizeof shells[0])

/* Runs @script, in which $0 is @node's mount. Not inside it: a shell's own look
 * around would count. */
static void run_shell(struct cluster *c, const char *const shell[3],
                      const char *script, int node, struct process_result *r)
{
    const char *argv[6] = {shell[0], shell[1], shell[2]};
    size_t n = shell[2] == NULL ? 2 : 3;

    argv[n] = script;
    argv[n + 1] = cluster_mount(c, node);
    process_run(&(struct process_options){.argv = argv, .cwd = cluster_dir(c)},
                RUN_MS_MAX, r);
}

static void check_fails(struct cluster *c, const char *const shell[3], int node,
                        const char *script)
{
    unsigned ms_max = TIMEOUT_MS + env_number("CLUSTER_SLACK_MS", 1000);
    struct process_result r;

    run_shell(c, shell, script, node, &r);
    if (r.status <= 0 || r.status >= 128)
        fail_msg("%s: \"%s\" ended with status %d, not with a failure",
                 shell[0], script, r.status);
    if (r.err[0] == '\0')
        fail_msg("%s: \"%s\" failed without a message", shell[0], script);
    if (strstr(r.err, "No such file") != NULL) /* who could know? */
        fail_msg("%s: \"%s\" said %s", shell[0], script, r.err);
    if (r.out[0] != '\0')
        fail_msg("%s: \"%s\" showed \"%s\"", shell[0], script, r.out);
    if (r.ms > ms_max)
        fail_msg("%s: \"%s\" took %u ms, more than %u", shell[0], script, r.ms,
                 ms_max);
}

static void check_shows(struct cluster *c, int node, const char *name,
                        const char *expected)
{
    struct process_result r;
    char path[512];
    const char *const argv[] = {"cat", path, NULL};

    (void)snprintf(path, sizeof path, "%s/%s", cluster_mount(c, node), name);
    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    if (r.status != 0 || strcmp(r.out, expected) != 0)
        fail_msg("%s is \"%s\", not \"%s\" (status %d) %s", path, r.out,
                 expected, r.status, r.err);
}

static void put_old(struct cluster *c, int node)
{
    struct process_result r;

    run_shell(c, shells[0], "echo old > $0/key", node, &r);
    if (r.status != 0)
        fail_msg("echo: status %d %s", r.status, r.err);
}

/* Two nodes are left that once agreed with a leader; which of them led, and
 * whether it still does for a moment, must not matter. */
static void kill_three(struct cluster *c)
{
    for (int i = 2; i < NODES; i++)
        cluster_kill(c, i);
}

/* `echo x > key` by hand until it works again: nothing else is restarted. */
static void wait_until_writable(struct cluster *c, int node)
{
    uint64_t deadline = now_ms() + BACK_MS_MAX;
    struct process_result r = {.err = ""};

    do {
        if (now_ms() > deadline)
            fail_msg("not writable %d ms after a majority is back: %s",
                     BACK_MS_MAX, r.err);
        run_shell(c, shells[0], "echo back > $0/key", node, &r);
    } while (r.status != 0);
}

static struct cluster *start(void)
{
    return cluster_start(&(struct cluster_options){
        .nodes = NODES, .request_timeout_ms = TIMEOUT_MS});
}

static void without_a_majority_shells_fail_in_time_and_with_one_go_on(void **s)
{
    struct cluster *c = start();

    (void)s;
    put_old(c, 0);
    check_shows(c, 1, "key", "old\n");
    kill_three(c);
    for (size_t i = 0; i < SHELLS; i++) {
        check_fails(c, shells[i], 0, "echo x > $0/key");
        check_fails(c, shells[i], 1, "echo x > $0/new");
        check_fails(c, shells[i], 1, "echo x >> $0/key");
        check_fails(c, shells[i], 0, "cat $0/key");
        check_fails(c, shells[i], 1, "cat $0/absent");
    }
    cluster_restart(c, 3);
    wait_until_writable(c, 1);
    check_shows(c, 0, "key", "back\n");
    check_shows(c, 1, "key", "back\n");
    check_shows(c, 3, "key", "back\n");
    cluster_restart(c, 2);
    cluster_restart(c, 4);
    cluster_wait_all_ready(c);
    check_shows(c, 4, "key", "back\n");
    cluster_stop(c);
}

/* After "nothing happened" the old value is there, although the file was opened
 * with O_TRUNC; after "unknown" the old or the new one; a mixture never. */
static void a_write_that_fails_never_leaves_an_empty_file(void **state)
{
    struct cluster *c = start();
    char path[512];
    char text[64] = "";
    int error;
    int fd;

    (void)state;
    put_old(c, 0);
    (void)snprintf(path, sizeof path, "%s/key", cluster_mount(c, 0));
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_return_code(fd, errno);
    kill_three(c);
    errno = 0;
    assert_int_equal(write(fd, "new\n", 4), -1);
    error = errno;
    assert_true(error == EAGAIN || error == ETIMEDOUT);
    (void)close(fd); /* write has said all there is to say */
    cluster_restart(c, 2);
    cluster_wait_ready(c, 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(read(fd, text, sizeof text - 1), 4);
    (void)close(fd);
    if (error == EAGAIN || strcmp(text, "new\n") != 0)
        assert_string_equal(text, "old\n");
    cluster_stop(c);
}

/* What an operator looks at when nothing else works. */
static void status_files_answer_without_a_majority(void **state)
{
    static const char *const names[] = {"status", "leader", "members",
                                        "health"};
    struct cluster *c = start();
    uint64_t deadline = now_ms() + BACK_MS_MAX;
    struct process_result r;
    char path[512];
    const char *const argv[] = {"cat", path, NULL};

    (void)state;
    kill_three(c);
    while (cluster_is_ready(c, 0) && now_ms() < deadline)
        pause_ms(20); /* until it knows */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/.phalanx/%s", cluster_mount(c, 0),
                       names[i]);
        process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
        if (r.status != 0 || r.out[0] == '\0' || r.ms > TIMEOUT_MS / 2)
            fail_msg("cat %s: status %d after %u ms, \"%s\" %s", path, r.status,
                     r.ms, r.out, r.err);
    }
    if (strncmp(r.out, "waiting: ", 9) != 0)
        fail_msg("health says \"%s\"", r.out);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            without_a_majority_shells_fail_in_time_and_with_one_go_on,
            cluster_teardown),
        cmocka_unit_test_teardown(a_write_that_fails_never_leaves_an_empty_file,
                                  cluster_teardown),
        cmocka_unit_test_teardown(status_files_answer_without_a_majority,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
