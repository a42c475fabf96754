/* Reads that must be verified before they look at the local state.
 *
 * A leader with a lease serves at once (try_read). Otherwise a read takes an
 * id and waits; raft is told of the newest id once a turn, and answers "up to
 * this id, at this index": a batch. Ids and indexes grow together along the
 * list, so its head is always the next to be answered.
 *
 *   replica_read ─▶ [id, index 0] ─reads_on_ready▶ [id, index]
 *                                   ─reads_on_applied▶ done(0) */
#include <errno.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "node/replica_core.h"

int replica_try_read(struct replica *r)
{
    raft_index index;

    if (r->is_stopping || r->commands.session == 0 || replica_is_quarantined(r))
        return -EAGAIN;
    if (!raft_lease_read(r->raft, replica_now(r), &index))
        return -EAGAIN;
    if (index > r->applied)
        return -EAGAIN;
    r->counters.reads_local++;
    return 0;
}

void replica_read(struct replica *r, struct fs_wait *w)
{
    if (r->is_stopping || r->has_failed || w->deadline <= replica_now(r)) {
        w->done(w, -EAGAIN, NULL);
        return;
    }
    if (replica_is_quarantined(r)) {
        w->done(w, -EIO, NULL);
        return;
    }
    w->state = WAIT_READ;
    w->id = ++r->reads.next_id;
    w->index = 0;
    px_list_push_back(&r->reads.list, &w->link);
    if (w->deadline < r->reads.expire_at)
        r->reads.expire_at = w->deadline;
    r->counters.reads_asked++;
}

/* Once a turn: raft batches what is new with what it already waits for. */
void reads_ask(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_READ};

    if (r->reads.asked_id == r->reads.next_id)
        return;
    r->reads.asked_id = r->reads.next_id;
    in.read_id = r->reads.next_id;
    (void)replica_step(r, &in); /* without a leader it waits: no error */
    reads_on_applied(r);
}

void reads_on_ready(struct replica *r, struct raft_read_ready ready)
{
    px_list_for_each (it, &r->reads.list) {
        struct fs_wait *w = px_list_entry(it, struct fs_wait, link);

        if (w->id > ready.id)
            break;
        if (w->index == 0)
            w->index = ready.index;
    }
}

/* Answering a read may queue another: it goes to the end, with index 0. An
 * index of 0 can't be ready: a leader serves after its no-op, index 1. */
void reads_on_applied(struct replica *r)
{
    if (r->commands.session == 0)
        return; /* what it opens could not be held against an unlink */
    while (!px_list_empty(&r->reads.list)) {
        struct fs_wait *w =
            px_list_entry(r->reads.list.next, struct fs_wait, link);

        if (w->index == 0 ||
            (w->index > r->applied && !px_mutant(READ_BEFORE_APPLIED)))
            return;
        px_list_remove(&w->link);
        w->done(w, 0, NULL);
    }
}

/* Some have waited elsewhere before they came, so the list is not in the order
 * of deadlines; it is looked through when the earliest may have come. */
void reads_expire(struct replica *r, px_ns now)
{
    struct fs_wait *w;

    if (now < r->reads.expire_at)
        return;
    while ((w = replica_first_due(&r->reads.list, now)) != NULL) {
        px_list_remove(&w->link);
        r->counters.expired++;
        w->done(w, -EAGAIN, NULL);
    }
    r->reads.expire_at = replica_earliest(&r->reads.list);
}

void reads_refuse(struct replica *r)
{
    struct px_list *link;

    while ((link = px_list_pop_front(&r->reads.list)) != NULL) {
        struct fs_wait *w = px_list_entry(link, struct fs_wait, link);

        w->done(w, -EIO, NULL);
    }
    r->reads.expire_at = PX_NS_NEVER;
}

px_ns reads_deadline(const struct replica *r)
{
    return r->reads.expire_at;
}

void reads_init(struct replica *r)
{
    px_list_init(&r->reads.list);
    r->reads.expire_at = PX_NS_NEVER;
}

void reads_stop(struct replica *r)
{
    reads_expire(r, PX_NS_NEVER);
}
