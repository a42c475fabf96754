/* The loop's turns, signals, and the end.
 *
 *   loop:  timers ─▶ prepare: turn, arm timer ─▶ poll: FUSE, peers, HTTP,
 *            ▲                                   the workers' async ─▶ check: turn
 *            └────────────────────────────────────────────────────────────┘
 *
 * Nothing on the loop waits: what may wait for a disk is in disk.c. */
#include "node/node.h"

#include <signal.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"
#include "node/node_core.h"

#define SECOND_MS 1000

void node_fail(struct node *n, const char *why, int rc)
{
    if (n->exit_status != 0)
        return; /* the first reason is the one that counts */
    px_note(PX_NOTE_ERROR, "node: stops: %s: %s", why, px_strerror(rc));
    n->exit_status = 1;
    uv_stop(&n->loop);
}

void node_end(struct node *n, const char *why)
{
    if (n->exit_status != 0)
        return;
    px_note(PX_NOTE_ERROR, "node: stops: %s", why);
    n->exit_status = 1;
    uv_stop(&n->loop);
}

/* ---- Turns ---- */

static px_ns next_deadline(const struct node *n)
{
    px_ns deadline =
        n->replica != NULL ? replica_deadline(n->replica) : PX_NS_NEVER;

    return deadline < n->leave_by ? deadline : n->leave_by;
}

/* What our log holds is no longer nothing: peers may count on it. */
static void tell_log(struct node *n)
{
    if (!n->is_log_empty || replica_is_log_empty(n->replica))
        return;
    n->is_log_empty = false;
    net_set_empty(n->net, false);
}

static void look_around(struct node *n)
{
    if (!leave_is_begun(n)) /* who has said goodbye founds nothing */
        begin_turn(n);
    if (n->exit_status == 0)
        gossip_turn(n);
}

static void turn_waiting(struct node *n)
{
    if (n->gossip.is_changed)
        look_around(n);
    leave_turn_waiting(n);
    node_timer_set(&n->timer, next_deadline(n));
}

static void turn(struct node *n)
{
    struct raft_status status;

    if (n->exit_status != 0)
        return; /* the loop is about to end */
    if (begin_is_waiting(n)) {
        turn_waiting(n);
        return;
    }
    if (n->gossip.is_changed)
        gossip_turn(n);
    replica_turn(n->replica);
    if (n->is_log_empty)
        tell_log(n);
    if (store_state_is_damaged(
            n->storage.state)) /* the next start builds it anew */
        node_fail(n, "the state is damaged", -PX_ECORRUPT);
    replica_get_status(n->replica, &status);
    node_note_changes(n, &status);
    leave_turn(n, &status);
    node_timer_set(&n->timer, next_deadline(n));
}

void node_on_due(void *ctx)
{
    turn(ctx);
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn(prepare->data);
}

static void on_check(uv_check_t *check)
{
    turn(check->data);
}

/* Once a second: what has no event of its own. */
static void on_second(uv_timer_t *timer)
{
    struct node *n = timer->data;

    if (n->exit_status != 0)
        return;
    keep_second(n);
    gossip_second(n);
    policy_turn(n, px_now());
}

static void on_signal(uv_signal_t *signal, int number)
{
    px_note(PX_NOTE_INFO, "node: stops: signal=%d", number);
    leave_begin(signal->data);
}

static void on_sigusr1(uv_signal_t *signal, int number)
{
    struct node *n = signal->data;

    (void)number; /* of one only */
    if (!begin_is_waiting(n))
        replica_want_snapshot(n->replica);
}

int node_start_handles(struct node *n)
{
    int rc = uv_prepare_start(&n->prepare, on_prepare);

    if (rc == 0)
        rc = uv_check_start(&n->check, on_check);
    if (rc == 0)
        rc = uv_timer_start(&n->second, on_second, SECOND_MS, SECOND_MS);
    if (rc == 0)
        rc = uv_signal_start(&n->sigint, on_signal, SIGINT);
    if (rc == 0)
        rc = uv_signal_start(&n->sigterm, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&n->sigusr1, on_sigusr1, SIGUSR1);
    return rc;
}

/* ---- Life ---- */

int node_run(struct node *n)
{
    px_note(PX_NOTE_INFO,
            "node: runs: version=%s cluster=%016llx data=%s mount=%s grpc=%s "
            "debug=%s gossip=%s:%u",
            PX_VERSION, (unsigned long long)n->identity.cluster,
            n->config.data_dir,
            n->config.mount[0] != '\0' ? n->config.mount : "-",
            n->config.grpc_addr, n->config.debug_addr, n->config.bind_addr,
            swim_udp_port(n->gossip.udp));
    (void)uv_run(&n->loop, UV_RUN_DEFAULT); /* says what is left: closed next */
    return n->exit_status;
}

/* ---- Closing ---- */

void node_on_part_closed(void *ctx)
{
    struct node *n = ctx;

    px_assert(n->closing > 0);
    n->closing--;
}

static void close_listeners(struct node *n)
{
    if (n->http != NULL) {
        n->closing++;
        http_close(n->http, node_on_part_closed, n);
        n->http = NULL;
    }
    gossip_close(n);
    if (n->net != NULL) {
        n->closing++;
        net_close(n->net, node_on_part_closed, n);
        n->net = NULL;
    }
}

static void close_if_open(uv_handle_t *handle, void *arg)
{
    (void)arg; /* no context is needed */
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* After the parts: what is left is our own. Jobs that run on the pool come back
 * first. */
static void close_loop(struct node *n)
{
    if (!n->has_loop)
        return;
    while (n->closing > 0 || n->pool_jobs > 0)
        (void)uv_run(&n->loop, UV_RUN_ONCE);
    uv_walk(&n->loop, close_if_open, NULL);
    (void)uv_run(&n->loop, UV_RUN_DEFAULT); /* until all are closed */
    px_assert(uv_loop_close(&n->loop) == 0);
}

/* Nobody waits for us any more: who asks again need not wait for a disk or a
 * name either. Whatever is cut short, a start mends. */
static void let_signals_end_it(struct node *n)
{
    (void)uv_signal_stop(&n->sigint);  /* never fails, nor where it was not */
    (void)uv_signal_stop(&n->sigterm); /* started; as these */
    (void)uv_signal_stop(&n->sigusr1);
    (void)signal(SIGUSR1, SIG_IGN); /* libuv has made it deadly again */
}

static void close_store(struct node *n)
{
    store_view_free(n->view);
    storage_close(&n->storage);
    store_disk_close(n->log_disk);
    store_disk_close(n->snapshot_disk);
    if (n->folder != NULL)
        store_folder_close(n->folder);
}

void node_close(struct node *n)
{
    if (n == NULL)
        return;
    n->is_closing = true;
    if (n->has_loop) {
        (void)uv_prepare_stop(&n->prepare); /* always succeeds */
        (void)uv_check_stop(&n->check);     /* likewise */
        (void)uv_timer_stop(&n->second);    /* likewise */
        node_timer_stop(&n->timer);
    }
    if (n->replica != NULL)
        replica_stop(n->replica);
    if (n->fs != NULL && n->exit_status == 0)
        /* What came last is told that it had no effect, if it can be. */
        (void)fs_receive(n->fs, FS_REQUESTS_PER_TURN);
    if (n->has_fs_poll)
        uv_close((uv_handle_t *)&n->fs_poll, NULL);
    fs_close(n->fs);
    n->fs = NULL;
    let_signals_end_it(n);
    close_listeners(n);
    disk_stop(n);
    close_loop(n);
    replica_close(n->replica);
    close_store(n);
    membership_close(n);
    free(n->gossip.members);
    free(n);
}
