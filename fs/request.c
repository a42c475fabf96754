/* A request's way through fs/: from the stack to the heap where it must wait,
 * and back into its handler when what it waited for is there.
 *
 *             fs_start                fs_resume
 *                │                        │
 *                ▼                        ▼
 *   ┌───────▶  run ──── fs_park ───▶ waits at a handle's stage ── interrupted ─┐
 *   │            │                                                             │
 *   │            ├───── fs_look ────▶ try_read says yes ──▶ look ──▶ next      │
 *   │            │                └─▶ waits for port.read ─▶ look ──▶ next     │
 *   │            └───── fs_propose ─▶ waits for the log ───▶ finish            │
 *   └── next or finish may start the call again               │                │
 *                                                         answered ◀───────────┘
 *
 * The port may call back before its function returns, so a request is held
 * while any code of this file works on it, and freed by the last holder. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "fs/core.h"
#include "fs/stage.h"

enum fs_waits { WAITS_NOT, WAITS_FOR_PORT, WAITS_FOR_STAGE };

struct fs_request {
    struct fs_wait wait;
    struct px_list link; /* in a handle's waiters */
    struct fs_call call;
    fs_look_fn look; /* one of these two while it waits for the port */
    fs_finish_fn finish;
    enum fs_waits waits;
    unsigned holds;
    bool is_interrupted; /* while it waited for nothing */
    char bytes[];        /* names and data of the call */
};

px_ns fs_deadline(const struct fs *fs)
{
    return fs->port.now(fs->port.ctx) + fs->request_timeout;
}

px_ns fs_deadline_of(const struct fs_call *c)
{
    return c->request != NULL ? c->request->wait.deadline : fs_deadline(c->fs);
}

static void hold(struct fs_request *r)
{
    r->holds++;
}

static void drop(struct fs_request *r)
{
    px_assert(r->holds > 0);
    if (--r->holds > 0 || r->waits != WAITS_NOT)
        return;
    px_assert(r->call.req == NULL); /* F1 */
    free(r);
}

static void on_interrupt(fuse_req_t req, void *data)
{
    struct fs_request *r = data;
    struct fs *fs = r->call.fs;

    (void)req; /* the same as in the call */
    fs->counters.interrupts++;
    switch (r->waits) {
    case WAITS_NOT:
        r->is_interrupted = true;
        break;
    case WAITS_FOR_PORT:
        /* False: it was proposed, and runs to its end or deadline. */
        (void)fs->port.cancel(fs->port.ctx, &r->wait);
        break;
    case WAITS_FOR_STAGE:
        px_list_remove(&r->link);
        r->waits = WAITS_NOT;
        fs_resume(&r->call, -EINTR);
        break;
    }
}

static void copy_bytes(char **at, const void **data, size_t size)
{
    if (size > 0)
        memcpy(*at, *data, size);
    *data = *at;
    *at += size;
}

/* @c's home on the heap, made now if it is still on the stack; @c is then an
 * empty shell. NULL: no memory. What is on the stack has just arrived: its time
 * runs from here, however often it waits (F5). */
static struct fs_request *request_of(struct fs_call *c, bool keeps_data)
{
    size_t data_size = keeps_data && c->data != NULL ? c->size : 0;
    struct fs_request *r = c->request;
    char *at;

    if (r != NULL)
        return r;
    r = calloc(1, sizeof *r + c->name.size + c->new_name.size + data_size);
    if (r == NULL)
        return NULL;
    px_list_init(&r->link);
    r->call = *c;
    r->call.request = r;
    r->wait.deadline = fs_deadline(c->fs);
    at = r->bytes;
    copy_bytes(&at, (const void **)&r->call.name.data, c->name.size);
    copy_bytes(&at, (const void **)&r->call.new_name.data, c->new_name.size);
    if (data_size > 0)
        copy_bytes(&at, &r->call.data, data_size);
    else
        r->call.data = NULL;
    c->req = NULL;
    /* Calls on_interrupt at once if the interrupt came first. */
    fuse_req_interrupt_func(r->call.req, on_interrupt, r);
    return r;
}

/* The end of a call that waited in vain, or can't. */
static void refuse(struct fs_call *c, int rc)
{
    if (c->run == fs_run_lookup && rc == -EAGAIN)
        fs_lookup_unanswered(c);
    if (c->run == fs_run_write)
        fs_stage_refused(c->handle);
    fs_reply_err(c, rc);
}

/* As request_of, for a call that is about to wait; with a hold on it. NULL: it
 * can't, and has been answered. */
static struct fs_request *about_to_wait(struct fs_call *c)
{
    struct fs_request *r = request_of(c, true);

    if (r == NULL) {
        refuse(c, -ENOMEM);
        return NULL;
    }
    hold(r);
    if (!r->is_interrupted)
        return r;
    refuse(&r->call, -EINTR);
    drop(r);
    return NULL;
}

static void look_now(struct fs_call *c, fs_look_fn look)
{
    struct store_view *v = c->fs->port.view(c->fs->port.ctx);

    if (v == NULL) {
        fs_reply_err(c, -EIO);
        return;
    }
    c->next = NULL;
    look(c, v);
    store_view_end(v); /* F4 */
    if (c->next != NULL)
        c->next(c);
}

static void on_port_done(struct fs_wait *w, int rc,
                         const struct store_result *result)
{
    struct fs_request *r = px_list_entry(w, struct fs_request, wait);

    px_assert(r->waits == WAITS_FOR_PORT);
    r->waits = WAITS_NOT;
    hold(r);
    if (r->finish != NULL)
        r->finish(&r->call, rc, result);
    else if (rc < 0)
        refuse(&r->call, rc);
    else
        look_now(&r->call, r->look);
    drop(r);
}

void fs_rerun(struct fs_call *c)
{
    /* What it waited for may have led the kernel's number elsewhere. */
    c->inode = fs_inodes_resolve(&c->fs->inodes, c->node);
    c->run(c);
}

void fs_start(struct fs_call *c, fs_run_fn run)
{
    c->fs->counters.requests++;
    c->stagings = c->fs->stagings;
    c->run = run;
    fs_rerun(c);
    px_assert(c->req == NULL); /* F1: answered, or moved to the heap */
}

static bool is_quarantined(const struct fs *fs)
{
    return fs->port.is_quarantined != NULL &&
           fs->port.is_quarantined(fs->port.ctx);
}

void fs_look_locally(struct fs_call *c, fs_look_fn look)
{
    if (is_quarantined(c->fs))
        fs_reply_err(c, -EIO);
    else
        look_now(c, look);
}

void fs_look_at_root(struct fs_call *c, fs_look_fn look)
{
    px_assert(c->inode == STORE_ROOT_INODE);
    look_now(c, look);
}

void fs_look(struct fs_call *c, fs_look_fn look)
{
    struct fs *fs = c->fs;
    struct fs_request *r;

    if (fs->port.try_read(fs->port.ctx) == 0) {
        fs->counters.reads_direct++;
        look_now(c, look);
        return;
    }
    r = about_to_wait(c);
    if (r == NULL)
        return;
    fs->counters.reads_waited++;
    r->look = look;
    r->finish = NULL;
    r->waits = WAITS_FOR_PORT;
    r->wait.done = on_port_done;
    fs->port.read(fs->port.ctx, &r->wait);
    drop(r);
}

void fs_propose(struct fs_call *c, struct command *cmd, fs_finish_fn finish,
                bool keeps_data)
{
    struct fs *fs = c->fs;
    /* @cmd may point into libfuse's buffer, or into the stack's call, still:
     * the port copies it before either is gone. */
    struct fs_request *r = request_of(c, keeps_data);

    if (r == NULL) {
        finish(c, -ENOMEM, NULL);
        return;
    }
    hold(r);
    if (r->is_interrupted) {
        finish(&r->call, -EINTR, NULL);
    } else {
        fs->counters.commands++;
        r->finish = finish;
        r->waits = WAITS_FOR_PORT;
        r->wait.done = on_port_done;
        fs->port.propose(fs->port.ctx, &r->wait, cmd);
    }
    drop(r);
}

bool fs_park(struct fs_call *c, struct px_list *queue)
{
    struct fs_request *r = about_to_wait(c);

    if (r == NULL)
        return false;
    r->waits = WAITS_FOR_STAGE;
    px_list_push_back(queue, &r->link);
    drop(r);
    return true;
}

static struct fs_call *unpark(struct fs_request *r)
{
    px_assert(r->waits == WAITS_FOR_STAGE); /* F3 */
    px_list_remove(&r->link);
    r->waits = WAITS_NOT;
    return &r->call;
}

struct fs_call *fs_unpark(struct px_list *queue)
{
    if (px_list_empty(queue))
        return NULL;
    return unpark(px_list_entry(queue->next, struct fs_request, link));
}

static bool is_due(const struct fs_request *r, const struct fs_handle *h,
                   px_ns now)
{
    if (h->stage == FS_STAGE_PUBLISHING && r->call.handle == h &&
        r->wait.deadline >= h->wait.deadline)
        return false;
    return r->wait.deadline <= now;
}

struct fs_call *fs_unpark_due(struct fs_handle *h, px_ns now)
{
    px_list_for_each (it, &h->waiters) {
        struct fs_request *r = px_list_entry(it, struct fs_request, link);

        /* Not in their order: one may have waited elsewhere first. */
        if (is_due(r, h, now))
            return unpark(r);
    }
    return NULL;
}

void fs_resume(struct fs_call *c, int rc)
{
    struct fs_request *r = c->request;

    hold(r);
    if (rc < 0)
        refuse(c, rc);
    else
        fs_rerun(c);
    drop(r);
}
