/* What is compared: each a set of processes that this run started. */
#ifndef BENCH_SYSTEMS_H
#define BENCH_SYSTEMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NODES_MAX 5

struct system {
    const char *name;
    int nodes; /* processes; 0: there is no such system in this run */
    pid_t pids[NODES_MAX];
    const char *mounts[NODES_MAX]; /* NULL: none */
    uint16_t ports[NODES_MAX];     /* clients', or the status page's */
    /* Which node leads now; -1: none. NULL: node 0 is the front for ever. */
    int (*ask_leader)(const struct system *s);
    int leader;              /* -1: not asked yet */
    unsigned leader_changes; /* seen by system_await_leader */
};

/* Each starts its processes and returns when an operation can be served, or
 * ends the run. @bin: the folder of null_fuse and floor. */
void system_start_null(struct system *s, const char *bin);
void system_start_floor(struct system *s, const char *bin, int nodes);
void system_start_etcd(struct system *s, int nodes);
/* @name also names its folders. */
void system_start_phalanx(struct system *s, const char *name,
                          const char *server, int nodes);

/* Is there an etcd on this machine? */
bool system_has_etcd(void);

/* Asks who leads now, and waits while nobody does; ends the run if that takes
 * long. */
void system_await_leader(struct system *s);

void system_stop(struct system *s);

/* Voluntary context switches so far, of one process and of all. */
struct system_switches {
    uint64_t front;
    uint64_t all;
};
void system_switches(const struct system *s, int front,
                     struct system_switches *out);

#endif
