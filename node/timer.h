/* One deadline on the loop, from which a turn is never far: the node's.
 *
 * Late rather than early, by a millisecond at most while the machine runs; early
 * by what the loop's own clock lags behind. Who is called looks at the clock, and
 * sets it anew.
 *
 * Never at once, though the deadline be past: libuv up to 1.47 runs a timer of
 * 0 that its own callback has started before anything else, a stop of the loop
 * included (github.com/libuv/libuv/issues/4245). A deadline that its turn can't
 * move would hold the loop for ever; so each ring is followed by one poll. */
#ifndef NODE_TIMER_H
#define NODE_TIMER_H

#include <uv.h>

#include "base/time.h"

struct node_timer {
    uv_timer_t handle;
    px_ns at; /* what it is set to; PX_NS_NEVER: it has rung, or never was */
    void (*due)(void *ctx);
    void *ctx;
};

/* Closed with the loop's other handles. 0, or libuv's error. */
int node_timer_init(struct node_timer *t, uv_loop_t *loop,
                    void (*due)(void *ctx), void *ctx);
/* Rings at @deadline; or before, where it was set to an earlier one. */
void node_timer_set(struct node_timer *t, px_ns deadline);
void node_timer_stop(struct node_timer *t);

#endif
