/* Other programs, run by a test, and never waited for without end. */
#ifndef TESTS_LIB_PROCESS_H
#define TESTS_LIB_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC, in milliseconds. */
uint64_t now_ms(void);
/* Waits without a condition: between two looks at one. */
void pause_ms(unsigned ms);

struct process_options {
    const char *const *argv;
    char *const *environment; /* NULL: ours */
    const char *cwd;          /* NULL: ours */
    int out_fd;               /* 0: ours, as are the others */
    int err_fd;
    int net_fd; /* a network namespace to run in (netns.h); 0: ours */
};

/* Starts a program that gets SIGKILL when this process dies. -1: it could not
 * be forked; a program that can't be run ends with status 127. */
pid_t process_start(const struct process_options *options);

/* Waits for a child, at most @ms. Its exit status, 128 + signal, or
 * -ETIMEDOUT: it still runs. */
int process_wait(pid_t pid, unsigned ms);

/* For a child that does not end: what each of its threads does, to stderr; and
 * SIGABRT, upon which a server with AddressSanitizer (handle_abort=1) writes
 * its stack among its notes. True: it has ended. */
bool process_show_stuck(pid_t pid);

struct process_result {
    int status;     /* as of process_wait; -ETIMEDOUT: it had to be killed */
    unsigned ms;    /* how long it ran */
    char out[4096]; /* what it wrote, cut, terminated */
    char err[4096];
};

/* Runs a program to its end, at most @ms. */
void process_run(const struct process_options *options, unsigned ms,
                 struct process_result *result_out);

/* process_run in our own environment; fails the test unless it ends with
 * status 0. The arguments end with NULL. */
void run_ok(unsigned ms, const char *program, ...) __attribute__((sentinel));

#endif
