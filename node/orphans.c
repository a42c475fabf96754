/* Unlinked inodes: released when they are not open here, reaped by the leader.
 *
 * The state machine keeps an inode without names until every session has said
 * that it holds it no more (COMMAND_RELEASE). This node says so at once for
 * what is not open through its mount, and at the last close for what is; what
 * its kernel was just shown, and may be about to open, it keeps for a moment. In
 * batches, a little later, so that removing a tree costs a command for
 * hundreds of files. What nobody holds any more but was too large to delete
 * in one command, or was held by a session that has ended, the leader reaps in
 * steps (COMMAND_REAP). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/replica_core.h"

#define RELEASE_DELAY (50 * PX_NS_PER_MS)
#define REAP_INTERVAL PX_NS_PER_S

static void add(struct replica *r, struct store_orphans *list, uint64_t inode)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        uint64_t *grown = realloc(list->inodes, capacity * sizeof *grown);

        if (grown == NULL) {
            replica_fail(r, "no memory for unlinked inodes", -ENOMEM);
            return;
        }
        list->inodes = grown;
        list->capacity = capacity;
    }
    list->inodes[list->count++] = inode;
}

static void wait_to_release(struct replica *r, uint64_t inode)
{
    add(r, &r->orphans.waiting, inode);
    if (r->orphans.release_at == PX_NS_NEVER)
        r->orphans.release_at = replica_now(r) + RELEASE_DELAY;
}

void orphans_add(struct replica *r, const struct store_orphans *found)
{
    for (size_t i = 0; i < found->count; i++) {
        if (!r->io.is_open(r->io.ctx, found->inodes[i]))
            wait_to_release(r, found->inodes[i]);
    }
}

void orphans_add_held(struct replica *r)
{
    uint64_t held[PX_RELEASE_INODES_MAX];
    uint64_t from = 0;
    int count;

    if (r->commands.session == 0 || store_view_begin(r->view) < 0)
        return;
    do {
        count = store_view_held(r->view, r->commands.session, from, held,
                                PX_RELEASE_INODES_MAX);
        for (int i = 0; i < count; i++) {
            if (!r->io.is_open(r->io.ctx, held[i]))
                wait_to_release(r, held[i]);
            from = held[i] + 1;
        }
    } while (count == PX_RELEASE_INODES_MAX);
    store_view_end(r->view);
}

/* A view may be under way, so the look at the inode waits for the turn. */
void replica_released(struct replica *r, uint64_t inode)
{
    if (!r->is_stopping)
        add(r, &r->orphans.closed, inode);
}

static bool has(const struct store_orphans *list, uint64_t inode)
{
    for (size_t i = list->count; i > 0; i--) {
        if (list->inodes[i - 1] == inode)
            return true;
    }
    return false;
}

/* Until its release is proposed, nobody deletes an inode that we don't hold. */
bool replica_may_open(const struct replica *r, uint64_t inode)
{
    return has(&r->orphans.waiting, inode) || has(&r->orphans.shown, inode);
}

/* Those whose last handle closed: have they lost their names? */
static void look_at_closed(struct replica *r)
{
    struct store_orphans *closed = &r->orphans.closed;

    if (closed->count == 0 || store_view_begin(r->view) < 0)
        return; /* a broken state shows up at the next apply */
    for (size_t i = 0; i < closed->count; i++) {
        struct store_inode attributes;

        if (store_view_inode(r->view, closed->inodes[i], &attributes) == 0 &&
            attributes.links == 0)
            wait_to_release(r, closed->inodes[i]);
    }
    store_view_end(r->view);
    closed->count = 0;
}

/* ---- Release ---- */

static void on_released(struct fs_wait *w, int rc,
                        const struct store_result *result)
{
    struct orphans *o = px_list_entry(w, struct orphans, release);

    (void)result; /* releasing what is gone does no harm */
    o->is_releasing = false;
    if (rc == 0)
        o->batch_count = 0;
    else
        o->release_at = 0; /* the batch goes again */
}

static bool is_shown(const struct replica *r, uint64_t inode)
{
    return r->io.is_shown != NULL && r->io.is_shown(r->io.ctx, inode);
}

/* What might have been opened a moment ago: opened by now, or not? */
static void wait_again(struct replica *r)
{
    struct orphans *o = &r->orphans;

    for (size_t i = 0; i < o->shown.count; i++)
        add(r, &o->waiting, o->shown.inodes[i]);
    o->shown.count = 0;
}

/* From the waiting into the batch; what has been opened again since is left
 * out, and comes back when it is closed. */
static void fill_batch(struct replica *r)
{
    struct orphans *o = &r->orphans;

    while (o->waiting.count > 0 && o->batch_count < PX_RELEASE_INODES_MAX) {
        uint64_t inode = o->waiting.inodes[--o->waiting.count];

        if (r->io.is_open(r->io.ctx, inode))
            continue;
        if (is_shown(r, inode))
            add(r, &o->shown, inode);
        else
            o->batch[o->batch_count++] = inode;
    }
}

static void send_release(struct replica *r, px_ns now)
{
    struct orphans *o = &r->orphans;
    struct command c = {.op = COMMAND_RELEASE, .inodes = o->batch};

    if (now >= o->release_at)
        wait_again(r);
    if (o->batch_count == 0)
        fill_batch(r);
    o->release_at = o->waiting.count + o->shown.count > 0 ? now + RELEASE_DELAY
                                                          : PX_NS_NEVER;
    if (o->batch_count == 0)
        return;
    c.inode_count = o->batch_count;
    o->is_releasing = true;
    o->release.deadline = now + r->request_timeout;
    replica_propose(r, &o->release, &c);
}

/* ---- Reap ---- */

static void on_reaped(struct fs_wait *w, int rc,
                      const struct store_result *result)
{
    struct orphans *o = px_list_entry(w, struct orphans, reap);

    o->is_reaping = false;
    if (rc == 0 && result->rc == 0)
        o->reap_at = 0; /* there may be more: look at once */
}

static void send_reap(struct replica *r, px_ns now)
{
    struct orphans *o = &r->orphans;
    uint64_t inodes[PX_RELEASE_INODES_MAX];
    struct command c = {.op = COMMAND_REAP, .inodes = inodes};
    int count;

    o->reap_at = now + REAP_INTERVAL;
    if (store_view_begin(r->view) < 0)
        return;
    count = store_view_reapable(r->view, inodes, PX_RELEASE_INODES_MAX);
    store_view_end(r->view);
    if (count <= 0)
        return;
    c.inode_count = (size_t)count;
    o->is_reaping = true;
    o->reap.deadline = now + r->request_timeout;
    replica_propose(r, &o->reap, &c);
}

/* ---- Time ---- */

void orphans_turn(struct replica *r, px_ns now)
{
    struct orphans *o = &r->orphans;

    if (replica_is_quarantined(r))
        return; /* what its state says of them may be wrong */
    look_at_closed(r);
    if (r->commands.session == 0)
        return;
    if (!o->is_releasing &&
        (now >= o->release_at || o->waiting.count >= PX_RELEASE_INODES_MAX))
        send_release(r, now);
    if (!o->is_reaping && r->status.role == RAFT_LEADER &&
        r->status.can_serve && now >= o->reap_at)
        send_reap(r, now);
}

px_ns orphans_deadline(const struct replica *r)
{
    const struct orphans *o = &r->orphans;
    px_ns deadline = PX_NS_NEVER;

    if (r->commands.session == 0 || replica_is_quarantined(r))
        return deadline;
    if (!o->is_releasing)
        deadline = o->release_at;
    if (!o->is_reaping && r->status.role == RAFT_LEADER &&
        r->status.can_serve && o->reap_at < deadline)
        deadline = o->reap_at;
    return deadline;
}

void orphans_init(struct replica *r)
{
    r->orphans.release.done = on_released;
    r->orphans.reap.done = on_reaped;
    r->orphans.release_at = PX_NS_NEVER;
}

void orphans_fini(struct replica *r)
{
    free(r->orphans.waiting.inodes);
    free(r->orphans.shown.inodes);
    free(r->orphans.closed.inodes);
}
