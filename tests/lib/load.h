/* Writers that know what was acknowledged to them, and readers that hold the
 * cluster to it while it is being broken.
 *
 * Each writer counts in a file of its own, written whole (open with O_CREAT and
 * O_TRUNC, write, close), and appends a line to one file that all share. A call
 * that succeeds is acknowledged; one that fails with EAGAIN or EINTR did not
 * happen; after any other allowed error nobody knows, and the writer goes on
 * with a new file, so that a late effect of the old write can't be mistaken
 * for a lost one. What is held, at every moment and at the end:
 *
 *   - a counter is never read older than acknowledged before the read began,
 *     nor older than another read has shown, nor newer than begun
 *   - what was refused never shows
 *   - a file is never empty, short or mixed
 *   - an acknowledged line is there once, whole, in its writer's order; an
 *     unknown one at most once; a refused one never
 *   - no call takes longer than its deadline
 *
 *   load_start ─▶ load_down / kill / restart / load_up ... ─▶ load_stop
 *              ─▶ load_check on a mount ─▶ load_free */
#ifndef TESTS_LIB_LOAD_H
#define TESTS_LIB_LOAD_H

#include <stdint.h>

#define LOAD_MOUNTS_MAX 9
#define LOAD_WRITERS_MAX 16
#define LOAD_READERS_MAX 8

struct load;

struct load_options {
    const char *mounts[LOAD_MOUNTS_MAX];
    int mount_count;
    int writers;
    int readers;
    unsigned call_ms_max; /* the deadline of a call, with slack */
};

struct load *load_start(const struct load_options *options);

/* To be called before a server is stopped, and when it is ready again: calls on
 * its mount may fail in between, and only then. Not sooner, when it is mounted:
 * a call is several requests of the kernel, each of which may wait for as long
 * as one deadline there. */
void load_down(struct load *l, int mount);
void load_up(struct load *l, int mount);

/* Returns when no call is under way; none begins before load_resume. */
void load_pause(struct load *l);
void load_resume(struct load *l);

/* How many writes have been acknowledged so far. */
uint64_t load_acked(const struct load *l);
/* How many calls were refused (EAGAIN) by a mount that was up. */
uint64_t load_refused(const struct load *l);
/* How many calls were told that their outcome is not known (ETIMEDOUT). */
uint64_t load_timeouts(const struct load *l);
/* Waits until @count more are; fails the test after 30 s. */
void load_wait_writes(const struct load *l, uint64_t count);
/* Fails the test if anything was wrong so far. */
void load_check_so_far(const struct load *l);
/* Ends the workers; fails the test if one hangs, or anything was wrong. */
void load_stop(struct load *l);
/* Reads all files and lines through @mount, an openat(2) descriptor. */
void load_check(const struct load *l, int mount);
/* The slowest call since this was asked last, of those that have ended. */
unsigned load_take_slowest_ms(struct load *l);
/* Prints what was done, in one line. */
void load_print(const struct load *l);
void load_free(struct load *l);

#endif
