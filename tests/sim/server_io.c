/* What node/port.c and node/disk.c do for the server process: messages go to
 * the wire, and writes to the log in groups.
 *
 *   io_write ─▶ writes ─▶ begin_writing: log_writer_do    } as the log thread
 *                 ▲                │ after a while         } does: one group
 *                 └── end_writing: store_log_sync          } under way */
#include "tests/sim/server_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/sim/check.h"
#include "tests/sim/hello.h"
#include "tests/sim/server_open.h"
#include "tests/sim/state.h"
#include "tests/sim/wire.h"

void server_die(struct server *s, const char *why, int rc)
{
    world_trace(s->world, s, "%s: %s", why, px_strerror(rc));
    if (s->failed == NULL)
        s->failed = why;
}

/* ---- Clocks and messages ---- */

/* Never back, as when its end comes during a pause within a step, or its clock
 * gets another rate. */
static px_ns io_now(void *ctx)
{
    struct server *s = ctx;
    px_ns now;

    server_on_call(s);
    now = server_now(s);
    if (now > s->now_seen)
        s->now_seen = now;
    return s->now_seen;
}

static int64_t io_wall_time(void *ctx)
{
    struct server *s = ctx;

    return (int64_t)server_true_now(s) + s->wall_offset;
}

static int io_send(void *ctx, const struct raft_msg *msg)
{
    struct server *s = ctx;

    if (s->is_ending)
        return -ENOTCONN;
    server_on_call(s);
    if (!check_may_send(s, msg))
        return 0; /* as if it were lost on its way */
    check_on_send(s, msg);
    return wire_send_raft(s, msg);
}

static int io_forward(void *ctx, raft_id to, const struct net_forward *f)
{
    struct server *s = ctx;

    return s->is_ending ? -ENOTCONN : wire_send_forward(s, to, f);
}

static int io_transfer(void *ctx, raft_id to, const struct net_snapshot *n)
{
    struct server *s = ctx;

    if (s->is_ending || (n->what == NET_SNAPSHOT_OFFER && !state_may_offer(s)))
        return -ENOTCONN;
    return wire_send_snapshot(s, to, n);
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

static int sync_group(struct server *s)
{
    int rc = store_log_sync(s->storage.log);

    if (rc < 0)
        return rc;
    check_on_sync(s);
    rc = log_writer_cut_head(&s->log_writer);
    if (rc > 0)
        s->world->counts[COUNT_HEADS_CUT]++;
    return rc < 0 ? rc : 0;
}

static void give_back(struct server *s, struct px_list *job)
{
    const struct log_writer *l = &s->log_writer;

    if (job == &l->loss)
        world_trace(s->world, s, "loss of %" PRIu64 " noted", s->fault.lost);
    if (job == &l->recovered)
        world_trace(s->world, s, "log whole again");
    log_writer_done(l, &s->fault, job);
}

static void end_writing(struct world *w, struct event *e)
{
    struct server *s = e->server;
    int rc = sync_group(s);

    (void)w;
    free(e);
    if (rc < 0) {
        server_die(s, "flushing the log failed", rc);
        return;
    }
    while (!px_list_empty(&s->writing))
        give_back(s, px_list_pop_front(&s->writing));
    s->is_writing = false;
    if (!px_list_empty(&s->writes))
        begin_writing(s);
}

static int write_one(struct server *s, struct px_list *job)
{
    struct replica_write *w = log_writer_write_of(&s->log_writer, job);
    bool had_reset = w != NULL && w->has_reset;
    int rc;

    if (w != NULL)
        check_on_try(s, w);
    rc = log_writer_do(&s->log_writer, job);
    if (had_reset && !w->has_reset)
        check_on_reset(s, w->reset);
    if (w != NULL && rc == 0)
        check_on_write(s, w);
    return rc;
}

/* As much as there is room for. */
static int write_group(struct server *s)
{
    int rc = 0;

    while (rc == 0 && !px_list_empty(&s->writes)) {
        rc = write_one(s, s->writes.next);
        if (rc == 0)
            px_list_push_back(&s->writing, px_list_pop_front(&s->writes));
    }
    return rc;
}

static void run_write_again(struct world *w, struct event *e)
{
    struct server *s = e->server;

    (void)w;
    free(e);
    begin_writing(s);
}

static void begin_writing(struct server *s)
{
    struct world *w = s->world;
    struct event *e;
    int rc;

    s->is_writing = true;
    rc = write_group(s);
    if (rc < 0 && rc != -ENOSPC) {
        server_die(s, "writing the log failed", rc);
        return;
    }
    e = event_new(sizeof *e);
    e->drop = event_drop;
    if (rc == -ENOSPC && px_list_empty(&s->writing)) {
        w->counts[COUNT_LOG_WAITS]++;
        e->run = run_write_again;
        server_plan(s, e, world_draw(w, PX_NS_PER_MS, w->heartbeat));
        return;
    }
    e->run = end_writing;
    server_plan(s, e, world_draw(w, 20 * PX_NS_PER_US, s->sync_time));
}

static void io_write(void *ctx, struct px_list *writes)
{
    struct server *s = ctx;

    server_on_call(s);
    px_list_splice_back(&s->writes, writes);
    if (!s->is_writing && s->failed == NULL)
        begin_writing(s);
}

static void give_one(struct server *s, struct px_list *job)
{
    px_list_push_back(&s->writes, job);
    if (!s->is_writing && s->failed == NULL)
        begin_writing(s);
}

static uint64_t io_log_bytes(void *ctx)
{
    const struct server *s = ctx;

    return store_log_bytes(s->storage.log);
}

static uint64_t io_snapshot_room(void *ctx)
{
    const struct server *s = ctx;

    return storage_snapshot_room(&s->storage);
}

static void io_on_config(void *ctx)
{
    hello_on_members(ctx);
}

static void io_cut_log(void *ctx, raft_index index)
{
    struct server *s = ctx;

    log_writer_allow_cut(&s->log_writer, index);
}

/* ---- What says that it may have forgotten something: node/fault.h ---- */

static void keep_later(struct server *s, px_ns delay);

static void run_keep(struct world *w, struct event *e)
{
    struct server *s = e->server;
    bool was_begun = s->durable.is_begun;
    int rc = server_write_identity(s);

    free(e);
    if (rc == -ENOSPC) {
        keep_later(s, w->heartbeat);
        return;
    }
    if (rc < 0) {
        server_die(s, "writing the identity failed", rc);
        return;
    }
    if (!was_begun && s->durable.is_begun)
        w->counts[s->fault.is_cluster_new ? COUNT_BEGUN_NEW
                                          : COUNT_BEGUN_LATER]++;
    fault_on_kept(&s->fault);
}

static void keep_later(struct server *s, px_ns delay)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_keep;
    e->drop = event_drop;
    server_plan(s, e, delay);
}

static void fault_keep(void *ctx)
{
    struct server *s = ctx;

    keep_later(s, world_draw(s->world, 0, s->sync_time));
}

static void fault_note_loss(void *ctx, raft_index index)
{
    struct server *s = ctx;

    give_one(s, log_writer_loss(&s->log_writer, index));
}

static void fault_forget_loss(void *ctx)
{
    struct server *s = ctx;

    give_one(s, log_writer_recovered(&s->log_writer));
}

struct fault server_fault(struct server *s)
{
    return (struct fault){
        .io = {s, fault_keep, fault_note_loss, fault_forget_loss},
        .self = s->number + 1,
        .identity = &s->identity,
        .durable = &s->durable,
    };
}

static void io_lost(void *ctx, raft_index index)
{
    struct server *s = ctx;

    fault_on_lost(&s->fault, index);
}

static void io_recovered(void *ctx)
{
    struct server *s = ctx;

    fault_on_recovered(&s->fault);
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

    if (!server_has_failed_disk(s))
        world_fail(s->world, "%s: %s: %s", s->name, why, px_strerror(rc));
    server_die(s, why, rc);
}

struct replica_io server_io(struct server *s)
{
    return (struct replica_io){
        .ctx = s,
        .now = io_now,
        .wall_time = io_wall_time,
        .send = io_send,
        .forward = io_forward,
        .transfer = io_transfer,
        .refuse = io_refuse,
        .flush = io_flush,
        .write = io_write,
        .apply = server_apply,
        .fetch = server_fetch,
        .snapshot = server_snapshot,
        .log_bytes = io_log_bytes,
        .snapshot_room = io_snapshot_room,
        .cut_log = io_cut_log,
        .lost = io_lost,
        .recovered = io_recovered,
        .adopt = server_adopt,
        .is_open = io_is_open,
        .on_config = io_on_config,
        .fail = io_fail,
    };
}
