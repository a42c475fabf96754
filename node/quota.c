/* The quota, as this node meets it: a new cluster is given one, and what has no
 * room is refused before it gets into the log.
 *
 *   replica_propose ─ fits, by the state here ─▶ the window, the log
 *        │ does not                                    ▲
 *        ▼                                             │ fits by now
 *      WAIT_ROOM ── a verified look at the state ──────┤
 *        ▲                                             │ does not
 *        └── something is about to be freed ───────────┴──▶ -ENOSPC
 *
 * The state here may be behind: another node has made room, and has been told
 * so. Hence the verified look before anything is refused. And what was just
 * removed is freed a moment later, when no node holds it open: a command waits
 * for that as long as PATIENCE, so that `rm old; cp new .` works on a full
 * mount.
 *
 * The state machine looks again when it applies a command (store/room.h), so
 * that commands of several nodes together don't go beyond the quota either. */
#include <errno.h>

#include "base/assert.h"
#include "node/replica_core.h"

#define LOOK_INTERVAL (20 * PX_NS_PER_MS)
#define PATIENCE (2 * PX_NS_PER_S)
#define SET_INTERVAL PX_NS_PER_S

static struct replica *replica_of(struct quota *q)
{
    return px_list_entry(q, struct replica, quota);
}

/* ---- The first quota ---- */

static void on_set(struct fs_wait *w, int rc, const struct store_result *result)
{
    struct quota *q = px_list_entry(w, struct quota, set);

    (void)rc; /* the state says whether there is one now */
    (void)result;
    q->is_setting = false;
}

/* Who leads a cluster without one proposes its own. */
static void set_initial(struct replica *r, px_ns now)
{
    struct quota *q = &r->quota;
    struct command c = {.op = COMMAND_SET_QUOTA,
                        .flags = COMMAND_EXCLUSIVE,
                        .offset = q->initial};
    struct store_usage usage;

    q->set_at = now + SET_INTERVAL;
    if (store_view_begin(r->view) < 0)
        return; /* a broken state shows up at the next apply */
    store_view_usage(r->view, &usage);
    store_view_end(r->view);
    if (usage.quota != 0) {
        q->initial = 0; /* nothing more to do */
        return;
    }
    q->is_setting = true;
    q->set.deadline = now + r->request_timeout;
    replica_propose(r, &q->set, &c);
}

static bool may_set_initial(const struct replica *r)
{
    return r->quota.initial != 0 && !r->quota.is_setting &&
           r->status.role == RAFT_LEADER && r->status.can_serve &&
           r->commands.session != 0;
}

/* ---- Without room ---- */

bool quota_refuses(struct replica *r, const struct command *c)
{
    bool lacks;

    if (store_view_begin(r->view) < 0)
        return false;
    lacks = store_view_lacks_room(r->view, c);
    store_view_end(r->view);
    return lacks;
}

/* An answer at the deadline would be -EAGAIN, which says less. */
static px_ns patience(const struct replica *r)
{
    px_ns half = r->request_timeout / 2;

    return half < PATIENCE ? half : PATIENCE;
}

void quota_wait(struct replica *r, struct fs_wait *w)
{
    struct quota *q = &r->quota;
    px_ns now = replica_now(r);

    w->state = WAIT_ROOM;
    w->id = now + patience(r);
    w->attempts = 0; /* not looked at yet */
    px_list_push_back(&q->waiting, &w->link);
    if (q->look_at > now)
        q->look_at = now;
}

/* What is to become of @w, by a view that is newer than its arrival. */
static void settle_one(struct replica *r, struct fs_wait *w, bool is_patient,
                       struct px_list *refused)
{
    struct command c;
    int rc = command_decode(w->command, r->commands.scratch, &c);

    px_assert(rc == 0); /* we encoded it */
    if (!store_view_lacks_room(r->view, &c)) {
        px_list_remove(&w->link);
        w->state = WAIT_QUEUED;
        px_list_push_back(&r->commands.queue, &w->link);
    } else if (!is_patient || replica_now(r) >= w->id) {
        px_list_remove(&w->link);
        px_list_push_back(refused, &w->link);
    }
}

static void settle(struct replica *r, struct px_list *refused)
{
    struct px_list *waiting = &r->quota.waiting;
    struct px_list *next;
    struct store_usage usage;

    store_view_usage(r->view, &usage);
    for (struct px_list *it = waiting->next; it != waiting; it = next) {
        struct fs_wait *w = px_list_entry(it, struct fs_wait, link);

        next = it->next;
        if (w->attempts > 0) /* it was there when the look was asked for */
            settle_one(r, w, usage.orphans > 0, refused);
        else
            r->quota.look_at = 0; /* it needs another one */
    }
}

static void on_looked(struct fs_wait *look, int rc,
                      const struct store_result *result)
{
    struct quota *q = px_list_entry(look, struct quota, look);
    struct replica *r = replica_of(q);
    struct px_list refused;

    (void)result; /* of a command; this is a look */
    q->is_looking = false;
    if (rc < 0 || store_view_begin(r->view) < 0)
        return; /* whoever waits ends at his deadline */
    px_list_init(&refused);
    settle(r, &refused);
    store_view_end(r->view);
    while (!px_list_empty(&refused)) { /* a view may be begun by each answer */
        struct fs_wait *w =
            px_list_entry(px_list_pop_front(&refused), struct fs_wait, link);

        px_slice_unref(&w->command);
        r->counters.without_room++;
        w->done(w, -ENOSPC, NULL);
    }
}

static void look(struct replica *r, px_ns now)
{
    struct quota *q = &r->quota;

    px_list_for_each (it, &q->waiting)
        px_list_entry(it, struct fs_wait, link)->attempts = 1;
    q->is_looking = true;
    q->look_at = now + LOOK_INTERVAL;
    q->look.deadline = now + r->request_timeout;
    replica_read(r, &q->look);
}

/* ---- Time ---- */

void quota_turn(struct replica *r, px_ns now)
{
    struct quota *q = &r->quota;

    if (may_set_initial(r) && now >= q->set_at)
        set_initial(r, now);
    if (!px_list_empty(&q->waiting) && !q->is_looking && now >= q->look_at)
        look(r, now);
}

px_ns quota_deadline(const struct replica *r)
{
    const struct quota *q = &r->quota;
    px_ns deadline = PX_NS_NEVER;

    if (may_set_initial(r))
        deadline = q->set_at;
    if (!px_list_empty(&q->waiting) && !q->is_looking && q->look_at < deadline)
        deadline = q->look_at;
    return deadline;
}

void quota_init(struct replica *r, uint64_t initial)
{
    r->quota.initial = initial;
    r->quota.set.done = on_set;
    r->quota.look.done = on_looked;
    px_list_init(&r->quota.waiting);
}
