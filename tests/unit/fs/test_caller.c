/* fs/caller.c: kinship of real processes and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/caller.h"

static void a_process_is_the_same_as_itself(void **state)
{
    (void)state;
    assert_int_equal(fs_kinship(getpid(), getpid()), FS_SAME);
    assert_int_equal(fs_kinship(0, 0), FS_SAME); /* of another namespace */
}

static void *thread_kinship(void *ctx)
{
    enum fs_kinship *kinships = ctx;
    pid_t thread = (pid_t)syscall(SYS_gettid);

    kinships[0] = fs_kinship(thread, getpid());
    kinships[1] = fs_kinship(getpid(), thread);
    return NULL;
}

static void a_thread_is_the_same_as_its_process(void **state)
{
    enum fs_kinship kinships[2] = {FS_STRANGER, FS_STRANGER};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, thread_kinship, kinships),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(kinships[0], FS_SAME);
    assert_int_equal(kinships[1], FS_SAME);
}

/* The status that a child exits with: what @relation is to us. */
static int in_a_grandchild(enum fs_kinship (*relation)(pid_t self, pid_t us))
{
    pid_t us = getpid();
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            _exit((int)relation(getpid(), us));
        _exit(waitpid(pid, &status, 0) < 0 ? 99 : WEXITSTATUS(status));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static enum fs_kinship down(pid_t self, pid_t us)
{
    return fs_kinship(self, us);
}

static enum fs_kinship up(pid_t self, pid_t us)
{
    return fs_kinship(us, self);
}

static void a_child_of_a_child_is_a_child(void **state)
{
    (void)state;
    assert_int_equal(in_a_grandchild(down), FS_CHILD);
}

static void a_parent_is_a_stranger(void **state)
{
    (void)state;
    assert_int_equal(in_a_grandchild(up), FS_STRANGER);
}

static void who_has_ended_is_a_stranger(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(fs_kinship(pid, getpid()), FS_STRANGER);
    assert_int_equal(fs_kinship(getpid(), pid), FS_STRANGER);
    assert_int_equal(fs_kinship(getpid(), 0), FS_STRANGER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_the_same_as_itself),
        cmocka_unit_test(a_thread_is_the_same_as_its_process),
        cmocka_unit_test(a_child_of_a_child_is_a_child),
        cmocka_unit_test(a_parent_is_a_stranger),
        cmocka_unit_test(who_has_ended_is_a_stranger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
