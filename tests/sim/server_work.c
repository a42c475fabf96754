/* What the other threads of the server process do (node/disk.c), as events.
 *
 * A batch is applied at once, or later: then it may show in the state before
 * the replica hears of it, as with the apply thread.
 *
 * Work on snapshots is storage_do itself. Saves and loads come one after the
 * other, and so do pieces. A save is of the state as it is when the save begins
 * or when it ends: so what is applied meanwhile is in it, or not. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/sim/check.h"
#include "tests/sim/server_io.h"
#include "tests/sim/state.h"
#include "tests/sim/wire.h"

#define APPLY_HERE_BYTES_MAX (64u * PX_KIB)

/* ---- Applying ---- */

struct apply_event {
    struct event event;
    struct replica_apply *job;
    bool is_applied;
    int rc;
};

static int read_job(struct server *s, struct replica_apply *job)
{
    int count = storage_read(&s->storage, job->first, job->last, job->entries);

    s->world->counts[COUNT_REPLAYS]++;
    if (count > 0)
        job->count = (size_t)count;
    return count;
}

static bool has_config(const struct replica_apply *job)
{
    for (size_t i = 0; i < job->applied; i++) {
        if (job->entries[i].kind == RAFT_ENTRY_CONFIG)
            return true;
    }
    return false;
}

/* With little patience at times, so that batches are applied in parts. */
static int apply_job(struct server *s, struct replica_apply *job)
{
    struct world *w = s->world;
    uint64_t work_max = world_chance(w, 20) ? world_draw(w, 1, 30) : UINT64_MAX;
    int rc = job->from_log ? read_job(s, job) : 0;

    if (rc < 0)
        return rc;
    rc = store_apply_some(s->storage.state, job->entries, job->count, work_max,
                          job->results, &job->orphans);
    if (rc <= 0)
        return rc;
    job->applied = (size_t)rc;
    s->has_new_members |= has_config(job);
    w->counts[COUNT_APPLIED_IN_PART] += job->applied < job->count;
    check_on_apply(s, job);
    return rc;
}

static void end_apply(struct world *w, struct event *e)
{
    struct apply_event *a = (struct apply_event *)e;
    struct server *s = e->server;

    (void)w;
    if (!a->is_applied)
        a->rc = apply_job(s, a->job);
    replica_on_applied(s->replica, a->job, a->rc);
    free(a);
}

void server_apply(void *ctx, struct replica_apply *job)
{
    struct server *s = ctx;
    struct world *w = s->world;
    struct apply_event *a;

    if (!job->from_log && job->bytes <= APPLY_HERE_BYTES_MAX &&
        world_chance(w, 80)) {
        replica_on_applied(s->replica, job, apply_job(s, job));
        return;
    }
    a = event_new(sizeof *a);
    a->event.run = end_apply;
    a->event.drop = event_drop;
    a->job = job;
    a->is_applied = world_chance(w, 50);
    if (a->is_applied)
        a->rc = apply_job(s, job);
    server_plan(s, &a->event,
                world_draw(w, 10 * PX_NS_PER_US, 5 * PX_NS_PER_MS));
}

/* ---- Old entries ---- */

struct fetch_event {
    struct event event;
    struct replica_fetch *job;
};

static void drop_fetch(struct world *w, struct event *e)
{
    (void)w;
    free(((struct fetch_event *)e)->job);
    free(e);
}

static void end_fetch(struct world *w, struct event *e)
{
    struct replica_fetch *job = ((struct fetch_event *)e)->job;
    struct server *s = e->server;
    int rc = storage_read(&s->storage, job->want.first, job->want.last,
                          job->entries);

    free(e);
    w->counts[COUNT_FETCHES]++;
    replica_on_fetched(s->replica, job, rc);
    if (rc == -PX_ECORRUPT && !s->has_flips)
        world_fail(w, "%s: an entry in the log is damaged", s->name);
    if (rc == -PX_ECORRUPT)
        server_die(s, "reading the log failed", rc);
}

void server_fetch(void *ctx, struct replica_fetch *job)
{
    struct server *s = ctx;
    struct world *w = s->world;
    struct fetch_event *f = event_new(sizeof *f);

    f->event.run = end_fetch;
    f->event.drop = drop_fetch;
    f->job = job;
    server_plan(s, &f->event,
                world_draw(w, 10 * PX_NS_PER_US, 5 * PX_NS_PER_MS));
}

/* ---- Snapshots ---- */

struct snapshot_event {
    struct event event;
    struct replica_snapshot_job *job;
    bool is_done; /* it was done when it was begun */
    int rc;
};

static void drop_snapshot(struct world *w, struct event *e)
{
    struct replica_snapshot_job *job = ((struct snapshot_event *)e)->job;

    w->counts[COUNT_CRASH_IN_SNAPSHOT]++;
    px_slice_unref(&job->data);
    free(job);
    free(e);
}

static void count_job(struct server *s, const struct replica_snapshot_job *job,
                      int rc)
{
    static const char *const texts[] = {
        [REPLICA_SAVE] = "saves",
        [REPLICA_READ] = "reads a piece of",
        [REPLICA_STORE] = "stores a piece of",
        [REPLICA_LOAD] = "loads",
        [REPLICA_MARK] = "marks its state as wrong, beside",
        [REPLICA_CLEAN] = "keeps nothing older than",
    };
    uint64_t *counts = s->world->counts;

    counts[COUNT_PIECES] += job->what == REPLICA_STORE && rc == 0;
    counts[COUNT_PIECES_LATER] +=
        job->what == REPLICA_STORE && rc == 0 && job->offset > 0;
    counts[COUNT_SNAPSHOT_ERRORS] += rc < 0;
    world_trace(s->world, s, "%s snapshot %" PRIu64 ", at %" PRIu64 ": %s",
                texts[job->what], job->info.pos.index, job->offset,
                rc < 0 ? px_strerror(rc) : "ok");
}

static int do_job(struct server *s, struct replica_snapshot_job *job)
{
    int rc = storage_do(&s->storage, job);

    count_job(s, job, rc);
    if (rc == 0 && job->what == REPLICA_SAVE)
        check_on_saved(s, &job->info);
    return rc;
}

static void end_snapshot(struct world *w, struct event *e)
{
    struct snapshot_event *n = (struct snapshot_event *)e;
    struct server *s = e->server;
    int rc = n->is_done ? n->rc : do_job(s, n->job);

    (void)w;
    replica_on_snapshot(s->replica, n->job, rc);
    free(n);
}

void server_snapshot(void *ctx, struct replica_snapshot_job *job)
{
    struct server *s = ctx;
    struct world *w = s->world;
    bool is_piece = job->what == REPLICA_READ || job->what == REPLICA_STORE;
    px_ns *busy_until = is_piece ? &s->pieces_busy_until : &s->saves_busy_until;
    px_ns begin = server_true_now(s);
    struct snapshot_event *n = event_new(sizeof *n);

    if (*busy_until > begin)
        begin = *busy_until;
    else
        n->is_done = world_chance(w, 50);
    *busy_until = begin + world_draw(w, 100 * PX_NS_PER_US,
                                     is_piece ? 4 * PX_NS_PER_MS : w->election);
    n->event.run = end_snapshot;
    n->event.drop = drop_snapshot;
    n->job = job;
    if (n->is_done)
        n->rc = do_job(s, job);
    world_plan(w, &n->event, s, *busy_until);
}

static void count_install(struct server *s)
{
    struct world *w = s->world;

    w->counts[COUNT_SNAPSHOTS_INSTALLED]++;
    for (size_t i = 0; i < w->server_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (wire_is_cut(w, i, k) || wire_is_cut(w, k, i)) {
                w->counts[COUNT_INSTALLED_PARTITIONED]++;
                return;
            }
        }
    }
}

struct store_view *server_adopt(void *ctx)
{
    struct server *s = ctx;

    store_view_free(s->view);
    s->view = NULL;
    px_assert(storage_adopt(&s->storage) == 0);
    px_assert(store_view_new(s->storage.state, &s->view) == 0);
    world_trace(s->world, s, "adopts the state at %" PRIu64,
                store_state_applied(s->storage.state).index);
    count_install(s);
    state_on_adopt(s);
    check_on_adopt(s);
    check_state(s);
    return s->view;
}
