/* What node/port.c and node/disk.c do for the server process: messages go to
 * the wire, writes to the log in groups, entries to the state machine.
 *
 *   io_write ─▶ writes ─▶ begin_writing: store_log_write  } as the log thread
 *                 ▲                │ after a while         } does: one group
 *                 └── end_writing: store_log_sync          } under way
 *
 * A batch is applied at once, or later: then it may show in the state before
 * the replica hears of it, as with the apply thread. */
#include "tests/sim/server_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/sim/check.h"
#include "tests/sim/wire.h"

#define APPLY_HERE_BYTES_MAX (64u * PX_KIB)

static void die(struct server *s, const char *why, int rc)
{
    world_trace(s->world, s, "%s: %s", why, px_strerror(rc));
    if (s->failed == NULL)
        s->failed = why;
}

/* ---- Clocks and messages ---- */

static px_ns io_now(void *ctx)
{
    return server_now(ctx);
}

static int64_t io_wall_time(void *ctx)
{
    struct server *s = ctx;

    return (int64_t)s->world->now + s->wall_offset;
}

static int io_send(void *ctx, const struct raft_msg *msg)
{
    struct server *s = ctx;

    if (s->is_ending)
        return -ENOTCONN;
    check_on_send(s, msg);
    return wire_send_raft(s, msg);
}

static int io_forward(void *ctx, raft_id to, const struct net_forward *f)
{
    struct server *s = ctx;

    return s->is_ending ? -ENOTCONN : wire_send_forward(s, to, f);
}

static void io_refuse(void *ctx, raft_id to,
                      const struct net_forward_refused *f)
{
    struct server *s = ctx;

    if (!s->is_ending)
        (void)wire_send_refused(s, to, f); /* then it times out */
}

static void io_flush(void *ctx)
{
    (void)ctx; /* the wire holds nothing back */
}

/* ---- The log ---- */

static void begin_writing(struct server *s);

static void end_writing(struct world *w, struct event *e)
{
    struct server *s = e->server;
    int rc = store_log_sync(s->log);

    (void)w;
    free(e);
    if (rc < 0) {
        die(s, "flushing the log failed", rc);
        return;
    }
    check_on_sync(s);
    while (!px_list_empty(&s->writing))
        replica_on_durable(s->replica,
                           px_list_entry(px_list_pop_front(&s->writing),
                                         struct replica_write, link));
    s->is_writing = false;
    if (!px_list_empty(&s->writes))
        begin_writing(s);
}

static int write_group(struct server *s)
{
    int rc = 0;

    px_list_for_each (it, &s->writing) {
        struct replica_write *w = px_list_entry(it, struct replica_write, link);

        check_on_write(s, w);
        rc = store_log_write(s->log, w->has_hard ? &w->hard : NULL, w->entries,
                             w->count);
        if (rc < 0)
            break;
    }
    return rc;
}

static void begin_writing(struct server *s)
{
    struct world *w = s->world;
    struct event *e;
    int rc;

    s->is_writing = true;
    px_list_splice_back(&s->writing, &s->writes);
    rc = write_group(s);
    if (rc < 0) {
        die(s, "writing the log failed", rc);
        return;
    }
    e = event_new(sizeof *e);
    e->run = end_writing;
    e->drop = event_drop;
    world_plan(w, e, s,
               w->now + world_draw(w, 20 * PX_NS_PER_US, s->sync_time));
}

static void io_write(void *ctx, struct px_list *writes)
{
    struct server *s = ctx;

    px_list_splice_back(&s->writes, writes);
    if (!s->is_writing && s->failed == NULL)
        begin_writing(s);
}

/* ---- Applying ---- */

struct apply_event {
    struct event event;
    struct replica_apply *job;
    bool is_applied;
    int rc;
};

static int read_job(struct server *s, struct replica_apply *job)
{
    raft_index left = job->last - job->first + 1;
    size_t max =
        left < PX_BATCH_ENTRIES_MAX ? (size_t)left : PX_BATCH_ENTRIES_MAX;
    int count = store_log_read(s->log, job->first, max, PX_BATCH_BYTES_MAX,
                               job->entries);

    s->world->counts[COUNT_REPLAYS]++;
    if (count <= 0)
        return count < 0 ? count : -ENOENT;
    job->count = (size_t)count;
    return 0;
}

/* With little patience at times, so that batches are applied in parts. */
static int apply_job(struct server *s, struct replica_apply *job)
{
    struct world *w = s->world;
    uint64_t work_max = world_chance(w, 20) ? world_draw(w, 1, 30) : UINT64_MAX;
    int rc = job->from_log ? read_job(s, job) : 0;

    if (rc < 0)
        return rc;
    rc = store_apply_some(s->state, job->entries, job->count, work_max,
                          job->results, &job->orphans);
    if (rc <= 0)
        return rc;
    job->applied = (size_t)rc;
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

static void io_apply(void *ctx, struct replica_apply *job)
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
    world_plan(w, &a->event, s,
               w->now + world_draw(w, 10 * PX_NS_PER_US, 5 * PX_NS_PER_MS));
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
    raft_index left = job->want.last - job->want.first + 1;
    size_t max =
        left < PX_BATCH_ENTRIES_MAX ? (size_t)left : PX_BATCH_ENTRIES_MAX;
    int rc = store_log_read(s->log, job->want.first, max, PX_BATCH_BYTES_MAX,
                            job->entries);

    free(e);
    w->counts[COUNT_FETCHES]++;
    replica_on_fetched(s->replica, job, rc);
    if (rc == -PX_ECORRUPT)
        world_fail(w, "%s: an entry in the log is damaged", s->name);
}

static void io_fetch(void *ctx, struct replica_fetch *job)
{
    struct server *s = ctx;
    struct world *w = s->world;
    struct fetch_event *f = event_new(sizeof *f);

    f->event.run = end_fetch;
    f->event.drop = drop_fetch;
    f->job = job;
    world_plan(w, &f->event, s,
               w->now + world_draw(w, 10 * PX_NS_PER_US, 5 * PX_NS_PER_MS));
}

/* ---- The rest ---- */

static bool io_is_open(void *ctx, uint64_t inode)
{
    (void)ctx; /* clients name files, they hold none open */
    (void)inode;
    return false;
}

/* A replica gives up for reasons that no fault of a disk explains: never here,
 * where each name has one process. */
static void io_fail(void *ctx, const char *why, int rc)
{
    struct server *s = ctx;

    if (!sim_disk_faults(s->disk)->has_crashed)
        world_fail(s->world, "%s: %s: %s", s->name, why, px_strerror(rc));
    die(s, why, rc);
}

struct replica_io server_io(struct server *s)
{
    return (struct replica_io){
        .ctx = s,
        .now = io_now,
        .wall_time = io_wall_time,
        .send = io_send,
        .forward = io_forward,
        .refuse = io_refuse,
        .flush = io_flush,
        .write = io_write,
        .apply = io_apply,
        .fetch = io_fetch,
        .is_open = io_is_open,
        .fail = io_fail,
    };
}
