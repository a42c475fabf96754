/* fs/mountpoint.c and fs/session.c: where the mount may go, and its end. */
#include "tests/unit/fs/fixture.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static int try_open(const char *mountpoint, char *why, size_t why_size)
{
    struct local_port_options options = {
        .state_dir = state_dir,
        .mountpoint = mountpoint,
    };
    struct local_port *p;
    int rc = local_port_open(&options, &p, why, why_size);

    if (rc == 0)
        local_port_close(p);
    return rc;
}

/* Refused with @rc, and with a sentence that names the place and @word. */
static void assert_refused(const char *mountpoint, int rc, const char *word)
{
    char why[512] = "";

    assert_int_equal(try_open(mountpoint, why, sizeof why), rc);
    if (strstr(why, word) == NULL || strstr(why, mountpoint) == NULL)
        fail_msg("no \"%s\" in: %s", word, why);
}

static void a_missing_mount_point_is_refused(void **state)
{
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/missing", mount_dir);
    assert_refused(path, -ENOENT, "does not exist");
}

static void a_file_is_no_mount_point(void **state)
{
    char path[256];
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/file", state_dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_refused(path, -ENOTDIR, "not a directory");
}

static void a_mount_point_with_files_is_refused(void **state)
{
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/sub", mount_dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_refused(mount_dir, -ENOTEMPTY, "not empty");
    assert_true(access(path, F_OK) == 0); /* nothing was hidden */
}

static void a_mount_is_not_mounted_on(void **state)
{
    struct local_port_options options = {.mountpoint = mount_dir};
    struct local_port *p;
    char why[512];
    char dir[256];

    (void)state;
    (void)snprintf(dir, sizeof dir, "%s/other", state_dir);
    assert_int_equal(mkdir(dir, 0755), 0);
    options.state_dir = dir;
    assert_int_equal(local_port_open(&options, &p, why, sizeof why), -EBUSY);
    assert_non_null(strstr(why, "mounted already"));
    assert_int_equal(mkdir("still-served", 0755), 0);
}

/* A server of its own, ready when this returns. */
static pid_t serve(void)
{
    struct local_port_options options = {
        .state_dir = state_dir,
        .mountpoint = mount_dir,
    };
    const volatile int never = 0;
    struct local_port *p;
    char why[512];
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        if (local_port_open(&options, &p, why, sizeof why) < 0 ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        local_port_run(p, &never);
        local_port_close(p);
        _exit(0);
    }
    assert_int_equal(close(ready[1]), 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(close(ready[0]), 0);
    return pid;
}

static void a_stale_mount_is_taken_away(void **state)
{
    char why[512] = "";
    struct stat st;
    pid_t pid = serve();

    (void)state;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(stat(mount_dir, &st), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_int_equal(try_open(mount_dir, why, sizeof why), 0);
    assert_int_equal(stat(mount_dir, &st), 0);
}

static void an_unmount_from_outside_ends_the_server(void **state)
{
    int status;
    pid_t pid = serve();

    (void)state;
    assert_int_equal(umount2(mount_dir, 0), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_busy_mount_is_left_lazily(void **state)
{
    int fd = open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    (void)state;
    assert_true(fd >= 0);
    write_text(fd, "x");
    local_port_stop(port);
    local_port_close(port);
    assert_int_equal(write(fd, "y", 1), -1); /* fails, and does not hang */
    assert_int_equal(close(fd), -1);
    assert_int_equal(chdir("/"), 0);
}

static void who_waits_for_a_first_write_is_let_go(void **state)
{
    struct actor *writer = actor_new(0);
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", O_WRONLY | O_TRUNC).error,
                     0);
    before = requests_begun();
    actor_tell(reader, ACT_STAT, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    assert_int_equal(chdir("/"), 0);
    local_port_stop(port);
    local_port_close(port);
    assert_int_not_equal(actor_answer(reader).error, 0);
    actor_free(reader);
    actor_free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folders_test(a_missing_mount_point_is_refused),
        folders_test(a_file_is_no_mount_point),
        folders_test(a_mount_point_with_files_is_refused),
        mount_test(a_mount_is_not_mounted_on),
        folders_test(a_stale_mount_is_taken_away),
        folders_test(an_unmount_from_outside_ends_the_server),
        cmocka_unit_test_setup_teardown(a_busy_mount_is_left_lazily,
                                        mount_setup, folders_teardown),
        cmocka_unit_test_setup_teardown(who_waits_for_a_first_write_is_let_go,
                                        mount_setup, folders_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
