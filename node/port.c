/* The ports between the parts, one function each, on the loop thread. */
#include <errno.h>
#include <time.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "node/node_core.h"
#include "node/status.h"
#include "store/members.h"

/* ---- What fs asks ---- */

static px_ns fs_now(void *ctx)
{
    (void)ctx; /* there is one clock */
    return px_now();
}

static int fs_try_read(void *ctx)
{
    struct node *n = ctx;

    return replica_try_read(n->replica);
}

static void fs_read(void *ctx, struct fs_wait *w)
{
    struct node *n = ctx;

    replica_read(n->replica, w);
}

static void fs_propose(void *ctx, struct fs_wait *w, struct command *c)
{
    struct node *n = ctx;

    replica_propose(n->replica, w, c);
}

static bool fs_cancel(void *ctx, struct fs_wait *w)
{
    struct node *n = ctx;

    return replica_cancel(n->replica, w);
}

static struct store_view *fs_view(void *ctx)
{
    struct node *n = ctx;

    if (n->view == NULL || store_view_begin(n->view) < 0)
        return NULL;
    return n->view;
}

static uint64_t fs_new_inode(void *ctx)
{
    struct node *n = ctx;

    return replica_new_inode(n->replica);
}

static void fs_released(void *ctx, uint64_t inode)
{
    struct node *n = ctx;

    replica_released(n->replica, inode);
}

static ssize_t fs_status(void *ctx, enum fs_status_file file, char **text_out)
{
    struct node *n = ctx;

    return status_file(n, file, text_out);
}

static bool fs_is_ready(void *ctx)
{
    struct node *n = ctx;

    return replica_is_ready(n->replica) && !disk_is_stuck(n);
}

static bool fs_may_open_orphan(void *ctx, uint64_t inode)
{
    struct node *n = ctx;

    return replica_may_open(n->replica, inode);
}

static bool fs_is_quarantined(void *ctx)
{
    struct node *n = ctx;

    return replica_is_quarantined(n->replica);
}

struct fs_port port_for_fs(struct node *n)
{
    return (struct fs_port){
        .ctx = n,
        .now = fs_now,
        .try_read = fs_try_read,
        .read = fs_read,
        .propose = fs_propose,
        .cancel = fs_cancel,
        .view = fs_view,
        .new_inode = fs_new_inode,
        .released = fs_released,
        .status = fs_status,
        .is_ready = fs_is_ready,
        .may_open = fs_may_open_orphan,
        .is_quarantined = fs_is_quarantined,
    };
}

/* ---- What replica asks ---- */

static px_ns io_now(void *ctx)
{
    (void)ctx; /* there is one clock */
    return px_now();
}

static int64_t io_wall_time(void *ctx)
{
    struct timespec t;

    (void)ctx;                               /* there is one clock */
    (void)clock_gettime(CLOCK_REALTIME, &t); /* can't fail on Linux */
    return (int64_t)t.tv_sec * (int64_t)PX_NS_PER_S + t.tv_nsec;
}

static int io_send(void *ctx, const struct raft_msg *msg)
{
    struct node *n = ctx;

    return net_send_raft(n->net, msg);
}

static int io_forward(void *ctx, raft_id to, const struct net_forward *f)
{
    struct node *n = ctx;

    return net_send_forward(n->net, to, f);
}

static void io_refuse(void *ctx, raft_id to,
                      const struct net_forward_refused *f)
{
    struct node *n = ctx;

    (void)net_send_forward_refused(n->net, to, f); /* then it times out */
}

static int io_transfer(void *ctx, raft_id to, const struct net_snapshot *s)
{
    struct node *n = ctx;

    return net_send_snapshot(n->net, to, s);
}

static struct store_view *io_adopt(void *ctx)
{
    struct node *n = ctx;
    int rc;

    store_view_free(n->view);
    n->view = NULL;
    rc = storage_adopt(&n->storage);
    if (rc == 0)
        rc = store_view_new(n->storage.state, &n->view);
    if (rc < 0)
        node_fail(n, "a new state could not be put in place", rc);
    return n->view;
}

static void io_flush(void *ctx)
{
    struct node *n = ctx;

    net_flush(n->net);
}

static bool io_is_open(void *ctx, uint64_t inode)
{
    struct node *n = ctx;

    return n->fs != NULL && fs_is_open(n->fs, inode);
}

static bool io_is_shown(void *ctx, uint64_t inode)
{
    struct node *n = ctx;

    return n->fs != NULL && fs_is_shown(n->fs, inode);
}

static void io_lost(void *ctx, raft_index index)
{
    struct node *n = ctx;

    fault_on_lost(&n->fault, index);
}

static void io_recovered(void *ctx)
{
    struct node *n = ctx;

    fault_on_recovered(&n->fault);
}

static void io_on_config(void *ctx)
{
    struct node *n = ctx;

    n->gossip.is_changed = true; /* whom we dial, and what we say that we are */
}

static void io_fail(void *ctx, const char *why, int rc)
{
    node_fail(ctx, why, rc);
}

struct replica_io port_for_replica(struct node *n)
{
    return (struct replica_io){
        .ctx = n,
        .now = io_now,
        .wall_time = io_wall_time,
        .send = io_send,
        .forward = io_forward,
        .refuse = io_refuse,
        .transfer = io_transfer,
        .flush = io_flush,
        .write = disk_write,
        .apply = disk_apply,
        .fetch = disk_fetch,
        .snapshot = disk_snapshot,
        .log_bytes = disk_log_bytes,
        .snapshot_room = disk_snapshot_room,
        .cut_log = disk_cut_log,
        .lost = io_lost,
        .recovered = io_recovered,
        .adopt = io_adopt,
        .is_open = io_is_open,
        .is_shown = io_is_shown,
        .on_config = io_on_config,
        .fail = io_fail,
    };
}

/* ---- What net tells ---- */

static void on_raft(void *ctx, const struct raft_msg *msg)
{
    struct node *n = ctx;

    replica_on_message(n->replica, msg);
}

static void on_forward(void *ctx, const struct net_forward *f)
{
    struct node *n = ctx;

    replica_on_forward(n->replica, f);
}

static void on_forward_refused(void *ctx, const struct net_forward_refused *f)
{
    struct node *n = ctx;

    replica_on_refused(n->replica, f);
}

static void on_snapshot(void *ctx, const struct net_snapshot *s)
{
    struct node *n = ctx;

    replica_on_transfer(n->replica, s);
}

static void on_peer_up(void *ctx, raft_id peer)
{
    struct node *n = ctx;

    replica_on_peer_up(n->replica, peer);
}

static void on_peer_down(void *ctx, raft_id peer)
{
    struct node *n = ctx;

    replica_on_peer_down(n->replica, peer);
}

/* A node that the cluster has had, and should not have again as it is. */
static enum net_refusal judge(void *ctx, const struct net_hello_info *hello)
{
    struct node *n = ctx;
    enum net_refusal verdict = 0;

    /* Nothing to judge by yet, or nothing to be trusted: its word is final. */
    if (n->view == NULL || replica_is_quarantined(n->replica) ||
        store_view_begin(n->view) < 0)
        return 0;
    if (store_view_was_removed(n->view, hello->id) == 1)
        verdict = NET_REFUSED_REMOVED;
    else if (hello->is_empty && !px_mutant(WIPED_TAKEN) &&
             store_view_knows_node(n->view, hello->name) == 1)
        verdict = NET_REFUSED_WIPED;
    store_view_end(n->view);
    return verdict;
}

static void on_refused(void *ctx, raft_id peer, enum net_refusal reason)
{
    (void)peer; /* net has noted who, and why */
    begin_on_refused(ctx, reason);
}

static void on_peer_hello(void *ctx, raft_id peer, bool is_empty)
{
    struct node *n = ctx;

    fault_on_hello(&n->fault, peer, is_empty, n->is_log_empty);
}

static void on_admin(void *ctx, uint64_t token, const struct net_admin *a)
{
    membership_ask(ctx, token, a);
}

struct net_handler port_for_net(struct node *n)
{
    return (struct net_handler){
        .ctx = n,
        .on_raft = on_raft,
        .on_forward = on_forward,
        .on_forward_refused = on_forward_refused,
        .on_snapshot = on_snapshot,
        .on_peer_up = on_peer_up,
        .on_peer_down = on_peer_down,
        .judge = judge,
        .on_refused = on_refused,
        .on_peer_hello = on_peer_hello,
        .on_admin = on_admin,
    };
}

/* ---- What HTTP shows ---- */

static char *http_status(void *ctx)
{
    const struct node *n = ctx;

    return begin_is_waiting(n) ? begin_status_json(n) : status_json(n);
}

static char *http_health(void *ctx, bool *is_healthy_out)
{
    const struct node *n = ctx;

    if (!begin_is_waiting(n))
        return status_health_json(n, is_healthy_out);
    *is_healthy_out = false;
    return begin_health_json(n);
}

struct http_handler port_for_http(struct node *n)
{
    return (struct http_handler){
        .ctx = n,
        .status = http_status,
        .health = http_health,
    };
}
