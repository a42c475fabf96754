/* The identity, made durable while the loop goes on.
 *
 *   keep_identity ─▶ libuv's pool writes a copy ─▶ on_kept: what waited for it
 *        ▲                                            │
 *        └── changed meanwhile: once more ────────────┘
 *
 * One write at a time. The loop changes n->identity as it likes, and what rests
 * on a change happens when n->keep.durable has it: later where the disk is full,
 * which ends no node that runs. */
#include <errno.h>

#include "base/assert.h"
#include "node/node_core.h"

static void start(struct node *n);

static void work(uv_work_t *work)
{
    struct node *n = work->data;
    struct keep *k = &n->keep;

    k->rc = k->has_identity ? store_folder_update(n->folder, &k->writing)
                            : store_folder_begin(n->folder, &k->writing);
}

static void take_over(struct node *n)
{
    struct keep *k = &n->keep;

    k->durable = k->writing;
    k->has_identity = true;
    n->identity.incarnation = k->durable.incarnation;
}

static void on_failed(struct node *n, int rc)
{
    struct keep *k = &n->keep;

    if (rc != -ENOSPC) {
        node_fail(n, "the identity can't be written", rc);
        return;
    }
    if (!k->is_disk_full)
        px_note(PX_NOTE_WARN, "node: the identity waits for room: disk full");
    k->is_disk_full = true;
    k->is_wanted = true; /* keep_second */
}

static void done(uv_work_t *work, int status)
{
    struct node *n = work->data;
    struct keep *k = &n->keep;
    int rc = status < 0 ? status : k->rc;

    n->pool_jobs--;
    k->is_busy = false;
    if (rc < 0) {
        on_failed(n, rc);
        return;
    }
    k->is_disk_full = false;
    take_over(n);
    if (n->is_closing)
        return;
    if (k->is_wanted)
        start(n);
    gossip_on_kept(n);
    if (!k->is_busy)
        begin_on_kept(n);
}

static void start(struct node *n)
{
    struct keep *k = &n->keep;
    int rc;

    k->is_wanted = false;
    k->writing = n->identity;
    k->work.data = n;
    rc = uv_queue_work(&n->loop, &k->work, work, done);
    px_assert(rc == 0); /* it fails without a callback only */
    k->is_busy = true;
    n->pool_jobs++;
}

void keep_identity(struct node *n)
{
    if (n->keep.is_busy)
        n->keep.is_wanted = true;
    else
        start(n);
}

void keep_second(struct node *n)
{
    if (n->keep.is_disk_full && !n->keep.is_busy)
        start(n);
}

int keep_identity_now(struct node *n)
{
    struct keep *k = &n->keep;
    int rc;

    px_assert(!k->is_busy); /* two writers would be in each other's way */
    k->writing = n->identity;
    rc = k->has_identity ? store_folder_update(n->folder, &k->writing)
                         : store_folder_begin(n->folder, &k->writing);
    if (rc == 0)
        take_over(n);
    return rc;
}
