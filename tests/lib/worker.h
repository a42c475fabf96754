/* Processes that load a cluster while the test looks on: forked, so that one
 * that is stuck in a mount stops nobody else. They share memory with the test,
 * and report instead of asserting. */
#ifndef TESTS_LIB_WORKER_H
#define TESTS_LIB_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeroed memory that processes forked from now on share; unmapped when the
 * test's process ends. Fails the test without memory. */
void *shared_new(size_t size);

/* The first thing that went wrong, and whether to go on. In shared memory. */
struct report {
    _Atomic bool stop; /* asks the workers to end */
    _Atomic int failures;
    char first[512];
};

/* Thread: any process. Tells the others to stop, too. */
void report_failure(struct report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Fails the test with the first failure, if there is any. */
void report_check(const struct report *r);

/* Runs @run(@arg, @number) in a process of its own, which ends after it. */
pid_t worker_start(void (*run)(void *arg, int number), void *arg, int number);
/* Waits for @count workers, each at most @ms from now; fails the test for one
 * that hangs or crashed. */
void workers_wait(const pid_t *pids, int count, unsigned ms);

/* Kills those that nobody has waited for: a failed test leaves them behind. */
void workers_kill(void);

/* The number in this environment variable, or @fallback. */
unsigned env_number(const char *name, unsigned fallback);

#endif
