#include "node/worker.h"

#include <signal.h>

#include "base/assert.h"

/* With the mutex held. */
static void hand_back(struct worker *w, struct px_list *jobs)
{
    px_list_splice_back(&w->out, jobs);
    (void)uv_async_send(&w->async); /* fails only on a closed handle */
}

static void run(void *arg)
{
    struct worker *w = arg;
    struct px_list jobs;

    px_list_init(&jobs);
    uv_mutex_lock(&w->mutex);
    for (;;) {
        while (px_list_empty(&w->in) && !w->is_stopping)
            uv_cond_wait(&w->wake, &w->mutex);
        if (w->is_stopping)
            break;
        px_list_splice_back(&jobs, &w->in);
        uv_mutex_unlock(&w->mutex);
        w->work(w->ctx, &jobs);
        uv_mutex_lock(&w->mutex);
        hand_back(w, &jobs);
    }
    uv_mutex_unlock(&w->mutex);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    struct px_list jobs;

    px_list_init(&jobs);
    uv_mutex_lock(&w->mutex);
    px_list_splice_back(&jobs, &w->out);
    uv_mutex_unlock(&w->mutex);
    if (!px_list_empty(&jobs))
        w->done(w->ctx, &jobs);
    px_assert(px_list_empty(&jobs));
}

int worker_start(struct worker *w, uv_loop_t *loop, void *ctx,
                 void (*work)(void *ctx, struct px_list *jobs),
                 void (*done)(void *ctx, struct px_list *jobs))
{
    int rc;

    w->ctx = ctx;
    w->work = work;
    w->done = done;
    px_list_init(&w->in);
    px_list_init(&w->out);
    rc = uv_mutex_init(&w->mutex);
    if (rc < 0)
        return rc;
    rc = uv_cond_init(&w->wake);
    if (rc < 0)
        goto no_cond;
    rc = uv_async_init(loop, &w->async, on_async);
    if (rc < 0)
        goto no_async;
    w->async.data = w;
    rc = uv_thread_create(&w->thread, run, w);
    if (rc < 0)
        goto no_thread;
    w->is_started = true;
    return 0;
no_thread:
    uv_close((uv_handle_t *)&w->async, NULL);
no_async:
    uv_cond_destroy(&w->wake);
no_cond:
    uv_mutex_destroy(&w->mutex);
    return rc;
}

void worker_give(struct worker *w, struct px_list *jobs)
{
    uv_mutex_lock(&w->mutex);
    px_list_splice_back(&w->in, jobs);
    uv_mutex_unlock(&w->mutex);
    uv_cond_signal(&w->wake); /* outside: who wakes finds the mutex free */
}

void worker_give_back(struct worker *w, struct px_list *jobs)
{
    uv_mutex_lock(&w->mutex);
    hand_back(w, jobs);
    uv_mutex_unlock(&w->mutex);
}

bool worker_pause(struct worker *w, px_ns duration)
{
    uint64_t end = uv_hrtime() + duration;
    bool goes_on;

    uv_mutex_lock(&w->mutex);
    for (uint64_t now = uv_hrtime(); !w->is_stopping && now < end;
         now = uv_hrtime()) /* new jobs wake it, too */
        (void)uv_cond_timedwait(&w->wake, &w->mutex, end - now);
    goes_on = !w->is_stopping;
    uv_mutex_unlock(&w->mutex);
    return goes_on;
}

bool worker_is_waiting(struct worker *w)
{
    bool is_waiting;

    uv_mutex_lock(&w->mutex);
    is_waiting = !px_list_empty(&w->in);
    uv_mutex_unlock(&w->mutex);
    return is_waiting;
}

void worker_stop(struct worker *w)
{
    if (!w->is_started)
        return;
    uv_mutex_lock(&w->mutex);
    w->is_stopping = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->mutex);
    (void)uv_thread_join(&w->thread); /* it was started, and not joined yet */
    uv_close((uv_handle_t *)&w->async, NULL);
    uv_cond_destroy(&w->wake);
    uv_mutex_destroy(&w->mutex);
    w->is_started = false;
}
