/* A thread with a queue in and a queue out: the loop's way to have something
 * done that may wait for a disk.
 *
 * Jobs are taken all at once (so that a group of writes shares one flush),
 * done in order, and come back to the loop in order, all at once too unless
 * @work gives some of them back before. The queue is bounded by
 * those who feed it: raft bounds what is not yet durable, and one apply job
 * exists at a time. */
#ifndef NODE_WORKER_H
#define NODE_WORKER_H

#include <uv.h>

#include "base/list.h"
#include "base/time.h"

struct worker {
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards in, out, is_stopping */
    uv_cond_t wake;
    uv_async_t async;
    struct px_list in;
    struct px_list out;
    bool is_stopping;
    bool is_started;
    void *ctx;
    void (*work)(void *ctx, struct px_list *jobs);
    void (*done)(void *ctx, struct px_list *jobs);
};

/* @work gets all waiting jobs, on the thread, and leaves them in the list;
 * @done gets them back, on the loop, and empties the list. -errno. */
int worker_start(struct worker *w, uv_loop_t *loop, void *ctx,
                 void (*work)(void *ctx, struct px_list *jobs),
                 void (*done)(void *ctx, struct px_list *jobs));
/* Takes all of @jobs. Thread: loop. */
void worker_give(struct worker *w, struct px_list *jobs);
/* Are there jobs that the thread has not taken up yet? Thread: loop. */
bool worker_is_waiting(struct worker *w);
/* All of @jobs go back to the loop at once, before the work that they were part of
 * has ended. Thread: its own, within @work. */
void worker_give_back(struct worker *w, struct px_list *jobs);
/* Waits for @duration. False: at once, because the thread is to end. Thread: its
 * own, within @work. */
bool worker_pause(struct worker *w, px_ns duration);
/* Ends the thread after the jobs it is at; what it had not begun stays in the
 * list `in`, what it has done in `out`. The async handle is being closed: run
 * the loop once more. Thread: loop. */
void worker_stop(struct worker *w);

#endif
