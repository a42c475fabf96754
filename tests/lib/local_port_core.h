/* What the two files of the local port share. */
#ifndef TESTS_LIB_LOCAL_PORT_CORE_H
#define TESTS_LIB_LOCAL_PORT_CORE_H

#include <pthread.h>

#include "tests/lib/local_port.h"

#define LOCAL_TRACE_BYTES 4096

struct local_session {
    uint64_t number;
    uint64_t sequence;
    uint64_t inodes;
};

struct local_port {
    struct fs *fs;
    struct store_state *state;
    struct store_view *view;
    struct raft_pos last;
    struct local_session own;
    struct local_session remote;
    struct store_orphans orphans;
    bool has_session;
    enum local_reads reads;
    enum local_commands commands;
    enum local_orphans orphans_are;
    struct px_list stuck_reads;    /* fs_wait.link */
    struct px_list stuck_commands; /* and its command encoded */
    unsigned cancelled;
    px_ns now;            /* moves when it is told to */
    px_ns asked_deadline; /* of what was asked last */
    char trace[LOCAL_TRACE_BYTES];

    pthread_t thread;
    int wake_fd;
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t done;
    void (*call)(void *ctx);
    void *call_ctx;
    bool stops; /* guarded by lock */
};

/* A command of @s, applied. Returns its rc. */
int local_apply(struct local_port *p, struct local_session *s,
                struct command *c, struct store_result *result);
/* A number for an inode that @s makes. */
uint64_t local_number(struct local_session *s);
/* The first queued command: applied, or refused with -EAGAIN. */
void local_finish_command(struct local_port *p, bool is_applied);
/* Has the loop look up from its poll. */
void local_wake(struct local_port *p);

#endif
