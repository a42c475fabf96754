/* What the nemesis does to five hosts: kinds of faults that may pile up, each
 * on its own or on top of others, and the end of them all.
 *
 *   faults_prepare ─▶ work begins
 *   faults_begin ... faults_begin ─▶ faults_end_one, each of FAULTS_ENDS
 *                                 ─▶ faults_wait_ready
 *
 * Everything is written into the story, with the history's clock. */
#ifndef TESTS_CLUSTER_FAULTS_H
#define TESTS_CLUSTER_FAULTS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/netns.h"
#include "tests/lib/workload.h"

#define FAULTS_NODES 5
#define FAULTS_KINDS 16
#define FAULTS_ENDS 5

struct faults {
    /* The caller's. */
    struct cluster *cluster;
    struct netns *hosts;
    struct workload *workload;
    struct px_rand *rand;
    FILE *story;
    int leader; /* as far as is known */

    struct netns_cuts cuts;
    bool is_down[FAULTS_NODES];
    bool is_paused[FAULTS_NODES];
    bool is_full[FAULTS_NODES]; /* its disk */
    pid_t tracer;               /* 0: none */
    unsigned counts[FAULTS_KINDS];
};

/* "cut-leader" */
const char *faults_name(int kind);
/* What this kind needs and can't be had here; NULL: nothing. */
const char *faults_lacks(int kind);
/* By how much its begin may last longer than that of others: it waits until the
 * fault has had its effect. */
unsigned faults_seconds_more(int kind);
/* Before the work begins, with all nodes ready: what @kind needs of them. */
void faults_prepare(struct faults *f, int kind);
void faults_begin(struct faults *f, int kind);

/* The faults of one group, cuts, pauses, kills, slow or full disks, end. What was
 * killed is started again. */
void faults_end_one(struct faults *f, int group);
/* Waits until all nodes are ready, and tells the workload of those that had
 * been down. All groups have ended. */
void faults_wait_ready(struct faults *f);
/* For a teardown: whatever else the guard does not end. */
void faults_abandon(struct faults *f);

/* A line of the story. */
void faults_tell(struct faults *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
