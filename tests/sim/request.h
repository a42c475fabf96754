/* One operation on one node, as the mount would carry it out: a verified look
 * at the state, or a command. */
#ifndef TESTS_SIM_REQUEST_H
#define TESTS_SIM_REQUEST_H

#include "fs/fs.h"
#include "tests/lib/history.h"
#include "tests/sim/server.h"

enum request_outcome {
    REQUEST_ANSWERED,
    REQUEST_NO_EFFECT,
    REQUEST_UNKNOWN,
};

struct request {
    struct fs_wait wait; /* first */
    struct history_op op;
    void (*answer)(struct request *q);
    struct server *server;
    raft_index commit; /* what a read must show at least */
    bool is_waiting;   /* for its answer */
    enum request_outcome outcome;
    struct history_result result;
    uint64_t *tokens; /* that result shows; freed by request_fini */
};

/* Calls q->answer once, perhaps before it returns, or when the server ends. */
void request_ask(struct request *q, struct server *s);
/* FUSE_INTERRUPT, of one that waits: it is answered at once if nothing was
 * proposed yet. */
bool request_interrupt(struct request *q);
void request_fini(struct request *q);

#endif
