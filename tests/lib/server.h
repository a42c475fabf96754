/* One server, a cluster of its own, configured by flags alone; under a guard.
 *
 * For clusters, cluster.h. */
#ifndef TESTS_LIB_SERVER_H
#define TESTS_LIB_SERVER_H

#include <sys/types.h>

#include "tests/lib/guard.h"
#include "tests/lib/process.h"

#define SERVER_ARGUMENTS_MAX 40

struct server {
    struct guard *guard;
    int slot; /* the guard's */
    pid_t pid;
    char name[24];
    char cluster[40]; /* unlike that of any other on this machine */
    char gossip_port[8];
    char grpc_addr[32];
    char debug_addr[32];
    unsigned grpc_port;
    unsigned debug_port;
    char mount[GUARD_PATH_MAX]; /* made; empty */
    char data[GUARD_PATH_MAX];  /* not made */
    char notes[GUARD_PATH_MAX];
};

/* Free ports and new paths in the guard's folder. */
void server_init(struct server *s, struct guard *g, int slot);

/* Starts it with flags for all that s says, and @extra after them (they win;
 * NULL-terminated, or NULL). Returns when it answers and is mounted. */
void server_start(struct server *s, const char *const *extra);
/* @sig, then its end; the exit status. */
int server_stop(struct server *s, int sig);
/* The same of one that ends by itself. */
int server_wait_end(struct server *s);

/* Runs it with the same flags and waits for its end: for starts that fail. */
void server_run(const struct server *s, const char *const *extra,
                struct process_result *result_out);

#endif
