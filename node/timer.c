#include "node/timer.h"

static void on_timer(uv_timer_t *handle)
{
    struct node_timer *t = handle->data;

    t->at = PX_NS_NEVER;
    t->due(t->ctx);
}

int node_timer_init(struct node_timer *t, uv_loop_t *loop,
                    void (*due)(void *ctx), void *ctx)
{
    t->at = PX_NS_NEVER;
    t->due = due;
    t->ctx = ctx;
    t->handle.data = t;
    return uv_timer_init(loop, &t->handle);
}

void node_timer_set(struct node_timer *t, px_ns deadline)
{
    px_ns now;
    px_ns wait;

    if (t->at <= deadline)
        return; /* it rings early enough, and is set anew then */
    now = px_now();
    wait = deadline > now ? deadline - now : 0;
    t->at = deadline;
    /* Fails while closing, when there is nothing to wait for. */
    (void)uv_timer_start(&t->handle, on_timer, wait / PX_NS_PER_MS + 1, 0);
}

void node_timer_stop(struct node_timer *t)
{
    t->at = PX_NS_NEVER;
    (void)uv_timer_stop(&t->handle); /* always succeeds */
}
