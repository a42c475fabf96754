/* What node/port.c and node/disk.c do for the server process: messages go to
 * the wire, and writes to the log in groups.
 *
 *   io_write ─▶ writes ─▶ begin_writing: store_log_write  } as the log thread
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

    return s->is_ending ? -ENOTCONN : wire_send_snapshot(s, to, n);
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
    return 0;
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
        replica_on_durable(s->replica,
                           px_list_entry(px_list_pop_front(&s->writing),
                                         struct replica_write, link));
    s->is_writing = false;
    if (!px_list_empty(&s->writes))
        begin_writing(s);
}

static int reset_log(struct server *s, struct raft_pos pos)
{
    int rc = store_log_reset(s->storage.log, pos);

    if (rc == 0)
        check_on_reset(s, pos);
    return rc;
}

/* What snapshots cover goes with the next write: there is no hurry. */
static int cut_head(struct server *s)
{
    raft_index index = s->log_cut;
    int rc;

    s->log_cut = 0;
    if (index == 0)
        return 0;
    rc = store_log_cut_head(s->storage.log, index);
    if (rc > 0)
        s->world->counts[COUNT_HEADS_CUT]++;
    return rc;
}

static void run_recovered(struct world *w, struct event *e)
{
    (void)w;
    replica_on_recovered(e->server->replica);
    free(e);
}

static void tell_recovered_later(struct server *s)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_recovered;
    e->drop = event_drop;
    server_plan(s, e, world_draw(s->world, 0, s->sync_time));
}

static int tell_recovered(struct server *s)
{
    int rc;

    if (!s->is_recovered)
        return 0;
    s->is_recovered = false;
    world_trace(s->world, s, "log whole again");
    if (!s->identity.is_begun) {
        s->world->counts[COUNT_BEGUN_LATER]++;
        if (hello_begun(s) < 0)
            return 0; /* it ends */
    }
    rc = storage_recovered(&s->storage);
    if (rc == 0)
        tell_recovered_later(s);
    return rc;
}

static void run_loss_noted(struct world *w, struct event *e)
{
    (void)w;
    replica_on_loss_noted(e->server->replica);
    free(e);
}

static int note_loss(struct server *s)
{
    raft_index lost = s->lost;
    struct event *e;
    int rc;

    if (lost == 0)
        return 0;
    rc = storage_note_loss(&s->storage, lost);
    if (rc < 0)
        return rc;
    s->lost = 0;
    world_trace(s->world, s, "loss of %llu noted", (unsigned long long)lost);
    e = event_new(sizeof *e);
    e->run = run_loss_noted;
    e->drop = event_drop;
    server_plan(s, e, world_draw(s->world, 0, s->sync_time));
    return 0;
}

static int write_one(struct server *s, struct replica_write *w)
{
    int rc = w->has_reset ? reset_log(s, w->reset) : 0;

    if (rc < 0)
        return rc;
    w->has_reset = false; /* not twice, should what follows find no room */
    check_on_try(s, w);
    rc = store_log_write(s->storage.log, w->has_hard ? &w->hard : NULL,
                         w->entries, w->count);
    if (rc == 0)
        check_on_write(s, w);
    return rc;
}

/* As much as there is room for. */
static int write_group(struct server *s)
{
    int rc = tell_recovered(s);

    if (rc == 0)
        rc = note_loss(s);
    if (rc == 0)
        rc = cut_head(s);
    while (rc == 0 && !px_list_empty(&s->writes)) {
        struct px_list *first = s->writes.next;

        rc = write_one(s, px_list_entry(first, struct replica_write, link));
        if (rc < 0)
            break;
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

static void io_recovered(void *ctx)
{
    struct server *s = ctx;

    s->is_recovered = true;
    if (!s->is_writing && s->failed == NULL)
        begin_writing(s);
}

static void io_lost(void *ctx, raft_index index)
{
    struct server *s = ctx;

    s->lost = index;
    if (!s->is_writing && s->failed == NULL)
        begin_writing(s);
}

static uint64_t io_log_bytes(void *ctx)
{
    const struct server *s = ctx;

    return store_log_bytes(s->storage.log);
}

static void io_on_config(void *ctx)
{
    hello_on_members(ctx);
}

static void io_cut_log(void *ctx, raft_index index)
{
    struct server *s = ctx;

    s->log_cut = index;
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
        .cut_log = io_cut_log,
        .lost = io_lost,
        .recovered = io_recovered,
        .adopt = server_adopt,
        .is_open = io_is_open,
        .on_config = io_on_config,
        .fail = io_fail,
    };
}
