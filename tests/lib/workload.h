/* Clients that do what programs do with a mount, all at the same few files, and
 * write down what they asked and what they were told: a history.
 *
 *   files     written whole as `echo` does (O_TRUNC) or in place; read whole
 *   values    written aside and renamed into place; read; unlinked
 *   lists     appended to with O_APPEND; read whole
 *   folders   mkdir, create-exclusive, unlink, rmdir, rename, stat of a few
 *             names, so that they race
 *
 * Each is one operation of history.h, with one instant at which it takes
 * effect. A client works on one mount, now and then on another, and goes to
 * another when it is refused or not answered; what it does then is a new
 * operation. EAGAIN and EINTR say "no effect", ETIMEDOUT and a server that died
 * "unknown"; anything else that isn't the answer of a filesystem that works is
 * a failure, or a violation.
 *
 *   workload_start ─▶ workload_down / kill / restart / workload_up ...
 *                  ─▶ workload_stop ─▶ check the history ─▶ workload_free
 *
 * Not recorded, because no single instant could explain it and none is
 * promised: a read of the empty file between a staged truncation that had to be
 * published and its write; and why a rename between a file and a directory
 * fails, which the kernel finds by two looks. */
#ifndef TESTS_LIB_WORKLOAD_H
#define TESTS_LIB_WORKLOAD_H

#include <stdint.h>

#define WORKLOAD_MOUNTS_MAX 9
#define WORKLOAD_CLIENTS_MAX 12

struct workload;

struct workload_options {
    const char *mounts[WORKLOAD_MOUNTS_MAX];
    int mount_count;
    int clients;
    uint64_t seed;
    unsigned think_ms_max; /* between two operations of a client */
    unsigned timeout_ms;   /* the servers' REQUEST_TIMEOUT_MS */
    const char *history;   /* a new file, for history_file.h */
    uint32_t down;         /* mounts that are not there yet, as bits */
};

/* All mounts are up, but for those that are down. */
struct workload *workload_start(const struct workload_options *options);

/* To be called before a server is killed, and when it is ready again: its mount
 * may go away in between, and only then. */
void workload_down(struct workload *w, int mount);
void workload_up(struct workload *w, int mount);

/* How many operations have been answered so far. */
uint64_t workload_answered(const struct workload *w);
/* Waits until @count more are; fails the test after 30 s. */
void workload_wait(const struct workload *w, uint64_t count);
/* Fails the test if anything was wrong so far. */
void workload_check_so_far(const struct workload *w);
/* Ends the clients; fails the test if one hangs, or anything was wrong. */
void workload_stop(struct workload *w);
/* How many were refused, or not answered in time, by mounts that were up. */
uint64_t workload_refused(const struct workload *w);
/* Fails the test unless the history in the file @path is linearizable. */
void workload_check_history(const char *path);
/* Prints what was done, in a few lines. */
void workload_print(const struct workload *w);
void workload_free(struct workload *w);

#endif
