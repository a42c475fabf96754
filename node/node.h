/* The parts made one process: phalanx-server.
 *
 *   node_open ─▶ node_run, until a signal or a failure ─▶ node_close
 *
 * Thread: the caller's becomes the loop. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <stddef.h>

#include "node/config.h"

struct node;

/* Opens in order: data folder, log, state, replica, listeners, mount. Errors:
 * -errno, one sentence in @why; what was opened by then is to be closed, after
 * @why was said: that may wait for a name that is looked up. */
int node_open(const struct config *config, struct node **node_out, char *why,
              size_t why_size);
/* Returns the exit status: 0 after SIGTERM or SIGINT, 1 after a failure. */
int node_run(struct node *n);
/* Unmounts, stops the threads, syncs and closes. NULL is accepted. Once it is
 * unmounted, SIGTERM and SIGINT end the process as they do any. */
void node_close(struct node *n);

#endif
