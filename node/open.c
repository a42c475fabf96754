/* Opens the parts in order, and wires them to the loop.
 *
 *   node_open ─▶ folder ─▶ its cluster is known  ─▶ storage ─▶ replica ─▶ net
 *                  │                                    ─▶ gossip ─▶ mount
 *                  └─▶ is to be found by gossip  ─▶ net ─▶ gossip
 *                         ... node_begin ─▶ storage ─▶ replica ─▶ mount */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/rand.h"
#include "node/node_core.h"
#include "store/boot.h"

#define ADMIN_GRACE (5 * PX_NS_PER_S) /* for an answer at its deadline */
#define CLOCK_DRIFT_PPM 10000u
#define SEGMENTS_PER_SNAPSHOT 4u
#define SEGMENT_BYTES_MIN ((uint64_t)PX_BATCH_BYTES_MAX + PX_MIB)
#define SEGMENT_BYTES_MAX (64u * PX_MIB)

/* Never 0. */
static uint64_t draw(void)
{
    uint64_t drawn = 0;

    while (drawn == 0)
        px_assert(getrandom(&drawn, sizeof drawn, 0) == sizeof drawn);
    return drawn;
}

/* After a sentence about an address: what to write instead. */
static void add_advice(char *why, size_t why_size, const char *advice)
{
    size_t used = strlen(why);

    if (used > 0)
        (void)snprintf(why + used, why_size - used, ": %s",
                       advice); /* may be cut */
}

static void open_why(char *why, size_t why_size, const char *what, int rc)
{
    (void)snprintf(why, why_size, "%s: %s", what, px_strerror(rc));
}

static int open_disk(const char *dir, struct store_disk **disk_out, char *why,
                     size_t why_size)
{
    int rc = store_disk_open(dir, disk_out);

    if (rc < 0)
        open_why(why, why_size, dir, rc);
    return rc;
}

/* The log goes by whole segments, so they are small beside what a snapshot
 * covers. */
static uint64_t segment_bytes(const struct config *c)
{
    uint64_t bytes = c->snapshot_bytes / SEGMENTS_PER_SNAPSHOT;

    if (bytes < SEGMENT_BYTES_MIN)
        return SEGMENT_BYTES_MIN;
    return bytes > SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX : bytes;
}

static int open_storage(struct node *n, char *why, size_t why_size)
{
    const char *log_dir = store_folder_log(n->folder);
    char boot_id[STORE_BOOT_ID_BYTES_MAX + 1] = "";
    struct storage_options options = {
        .log_dir = log_dir,
        .state_dir = store_folder_state(n->folder),
        .boot_id = boot_id,
        .cluster = n->identity.cluster,
        .id = n->config.id,
        .segment_bytes = segment_bytes(&n->config),
        .distrust_state = n->config.distrust_state,
        .is_begun = n->identity.has_log,
        .term_disk = store_folder_disk(n->folder),
    };
    int rc = store_boot_id(boot_id);

    bootstrap_config(&n->identity, &options.initial);
    if (rc < 0) {
        open_why(why, why_size, "can't read " STORE_BOOT_ID_FILE, rc);
        return rc;
    }
    rc = open_disk(log_dir, &n->log_disk, why, why_size);
    if (rc == 0)
        rc = open_disk(store_folder_snapshot(n->folder), &n->snapshot_disk, why,
                       why_size);
    options.log_disk = n->log_disk;
    options.snapshot_disk = n->snapshot_disk;
    return rc < 0 ? rc : storage_open(&n->storage, &options, why, why_size);
}

/* What later starts have to know of this one: that there is a log, how long a
 * promise to a leader may last, and the incarnation of gossip. */
static int note_start(struct node *n, char *why, size_t why_size)
{
    px_ns election = n->config.election_ticks * n->config.tick;
    int rc;

    n->identity.has_log = true;
    if (n->identity.promise < election)
        n->identity.promise = election;
    rc = keep_identity_now(n);
    if (rc < 0)
        open_why(why, why_size, n->config.data_dir, rc);
    return rc;
}

/* A node without an identity can't know what it has said: the clock on the wall
 * is above it, unless it was set back; then others take it for another until
 * they hold it for dead. In nanoseconds, for two of one name that are started
 * together are told apart by it. */
static swim_incarnation first_incarnation(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* can't fail on Linux */
    return (swim_incarnation)t.tv_sec * PX_NS_PER_S +
           (swim_incarnation)t.tv_nsec;
}

/* There is none above the last, to which somebody's lie may have driven us: then
 * others may take us for dead until they have forgotten that, but we start. */
static swim_incarnation next_incarnation(swim_incarnation reserved)
{
    return reserved < SWIM_INCARNATION_MAX - 1 ? reserved + 1
                                               : SWIM_INCARNATION_MAX - 1;
}

/* The folder, and from it or for it an identity, if it is known by now. */
static int open_folder(struct node *n, enum bootstrap_start *start_out,
                       char *why, size_t why_size)
{
    const struct config *c = &n->config;
    const struct store_folder_options options = {
        .dir = c->data_dir, .node = c->node, .cluster_name = c->cluster_name};
    bool is_new;
    int rc = store_folder_open(&options, &n->folder, &n->identity, &is_new, why,
                               why_size);

    if (rc < 0)
        return rc;
    if (why[0] != '\0')
        px_note(PX_NOTE_WARN, "node: the identity is made whole: %s", why);
    why[0] = '\0';
    n->keep.has_identity = !is_new;
    known_open(n);
    if (is_new)
        n->identity.gossip_reserve = first_incarnation();
    else
        n->identity.gossip_reserve =
            next_incarnation(n->identity.gossip_reserve);
    rc = bootstrap_start(c, is_new, draw(), &n->identity, start_out, why,
                         why_size);
    if (rc < 0 || (*start_out == BOOTSTRAP_WAIT && is_new) ||
        *start_out == BOOTSTRAP_RUN)
        return rc; /* there is none to be written; or note_start does */
    rc = keep_identity_now(n);
    if (rc < 0)
        open_why(why, why_size, c->data_dir, rc);
    return rc;
}

static int open_replica(struct node *n, bool is_first_boot)
{
    const struct config *c = &n->config;
    struct replica_io io = port_for_replica(n);
    struct replica_options options = {
        .node = c->node,
        .incarnation = n->identity.incarnation,
        .start = draw(),
        .request_timeout = c->request_timeout,
        .quota_bytes = c->quota_bytes,
        .view = n->view,
        .snapshot = n->storage.snapshot,
        .snapshot_bytes = c->snapshot_bytes,
        .hash_every = STORE_HASH_EVERY,
        .divergence = n->storage.divergence,
    };
    struct raft_options *raft = &options.raft;

    raft->id = c->id;
    raft->seed = px_djb2(c->node, strlen(c->node)) ^ n->identity.incarnation;
    bootstrap_config(&n->identity, &n->fault.initial);
    raft->config = n->fault.initial;
    raft->election = c->election_ticks * c->tick;
    raft->heartbeat = c->heartbeat_ticks * c->tick;
    raft->promise = n->identity.promise;
    raft->clock_drift_ppm = CLOCK_DRIFT_PPM;
    storage_to_raft(&n->storage, raft);
    if (!n->identity.is_begun)
        raft->is_faulty = true; /* its disk may have been emptied */
    raft->is_first_boot = is_first_boot && raft->last == 0 &&
                          raft->hard.term == 0 && !raft->is_faulty;
    return replica_open(&options, &io, &n->replica);
}

/* All that needs the cluster to be known, but the mount. */
static int open_data(struct node *n, char *why, size_t why_size)
{
    bool is_first_boot = !n->identity.has_log;
    int rc = open_storage(n, why, why_size);

    n->fault.has_note = rc == 0 && n->storage.found.fault != NULL;
    if (rc == 0)
        rc = note_start(n, why, why_size);
    if (rc == 0)
        rc = store_view_new(n->storage.state, &n->view);
    if (rc == 0)
        rc = disk_start(n);
    if (rc == 0)
        rc = open_replica(n, is_first_boot);
    n->fault.replica = n->replica;
    return rc;
}

/* A log that was lost by damage is another thing: it has a note. */
static bool is_blank(const struct node *n)
{
    struct raft_status status;

    if (n->replica == NULL)
        return true;
    replica_get_status(n->replica, &status);
    return !n->fault.has_note &&
           bootstrap_is_blank(&n->identity, status.term,
                              replica_is_log_empty(n->replica));
}

static int open_net(struct node *n, char *why, size_t why_size)
{
    const struct config *c = &n->config;
    struct net_handler handler = port_for_net(n);
    struct net_options options = {
        .loop = &n->loop,
        .id = c->id,
        .name = c->node,
        .cluster = n->replica != NULL ? n->identity.cluster : 0,
        .listen = c->grpc_addr,
        .election = c->election_ticks * c->tick,
        .dial_timeout = c->election_ticks * c->tick,
        .admin_timeout = c->request_timeout + ADMIN_GRACE,
        .redial_min = c->tick,
        .redial_max = c->election_ticks * c->tick,
    };
    int rc;

    n->is_log_empty = is_blank(n);
    options.is_empty = n->is_log_empty;
    rc = net_open(&options, &handler, &n->net, why, why_size);
    if (rc < 0)
        add_advice(why, why_size,
                   "write another in GRPC_ADDR, or after --grpc-addr");
    return rc;
}

static void on_fs_readable(uv_poll_t *poll, int status, int events)
{
    struct node *n = poll->data;
    int rc;

    (void)events; /* only reading was asked for */
    rc = status < 0 ? status : fs_receive(n->fs, FS_REQUESTS_PER_TURN);
    if (rc >= 0)
        return;
    (void)uv_poll_stop(poll); /* always succeeds */
    node_fail(n, "the mount is gone", rc);
}

static int open_mount(struct node *n, char *why, size_t why_size)
{
    struct fs_port port = port_for_fs(n);
    struct fs_options options = {
        .mountpoint = n->config.mount,
        .request_timeout = n->config.request_timeout,
        .strict_truncate = n->config.strict_truncate,
    };
    int rc;

    if (n->config.mount[0] == '\0')
        return 0;
    rc = fs_open(&options, &port, &n->fs, why, why_size);
    if (rc < 0)
        return rc;
    rc = uv_poll_init(&n->loop, &n->fs_poll, fs_fd(n->fs));
    if (rc < 0) {
        open_why(why, why_size, "can't poll the mount", rc);
        return rc;
    }
    n->fs_poll.data = n;
    n->has_fs_poll = true;
    return uv_poll_start(&n->fs_poll, UV_READABLE, on_fs_readable);
}

/* The loop's own handles; none of these calls fails on an open loop. */
static int open_handles(struct node *n)
{
    int rc = node_timer_init(&n->timer, &n->loop, node_on_due, n);

    leave_init(n);
    if (rc == 0)
        rc = uv_prepare_init(&n->loop, &n->prepare);
    n->prepare.data = n;
    if (rc == 0)
        rc = uv_timer_init(&n->loop, &n->second);
    n->second.data = n;
    if (rc == 0)
        rc = uv_check_init(&n->loop, &n->check);
    n->check.data = n;
    if (rc == 0)
        rc = uv_signal_init(&n->loop, &n->sigint);
    n->sigint.data = n;
    if (rc == 0)
        rc = uv_signal_init(&n->loop, &n->sigterm);
    n->sigterm.data = n;
    if (rc == 0)
        rc = uv_signal_init(&n->loop, &n->sigusr1);
    n->sigusr1.data = n;
    return rc;
}

static int open_http(struct node *n, char *why, size_t why_size)
{
    struct http_handler handler = port_for_http(n);
    int rc;

    if (n->config.debug_addr[0] == '\0')
        return 0;
    rc = http_open(&n->loop, n->config.debug_addr, &handler, &n->http, why,
                   why_size);
    if (rc < 0)
        add_advice(
            why, why_size,
            "write another in DEBUG_ADDR, or after --debug-addr, or off");
    return rc;
}

static int open_gossip(struct node *n, char *why, size_t why_size)
{
    int rc = gossip_open(n, why, why_size);

    if (rc < 0)
        add_advice(why, why_size,
                   "write another in BIND_ADDR or BIND_PORT, or after "
                   "--bind-addr or --bind-port");
    return rc;
}

int node_begin(struct node *n, char *why, size_t why_size)
{
    int rc = open_data(n, why, why_size);

    if (rc == 0) {
        net_set_cluster(n->net, n->identity.cluster);
        gossip_turn(n); /* peers, and whose we are */
        rc = open_mount(n, why, why_size);
    }
    if (rc < 0 && why[0] == '\0')
        open_why(why, why_size, "the server can't start", rc);
    return rc;
}

/* Of a node whose cluster is known, or is to be found. */
static int open_parts(struct node *n, bool is_known, char *why, size_t why_size)
{
    int rc = is_known ? open_data(n, why, why_size) : 0;

    if (rc == 0)
        rc = open_net(n, why, why_size);
    if (rc == 0)
        rc = open_gossip(n, why, why_size);
    if (rc == 0)
        rc = open_http(n, why, why_size);
    if (rc == 0 && is_known)
        rc = open_mount(n, why, why_size);
    return rc;
}

static void keep(void *ctx)
{
    keep_identity(ctx);
}

/* As long as nothing is known of a cluster. */
static struct fault fault_of(struct node *n)
{
    return (struct fault){
        .io = {n, keep, disk_note_loss, disk_forget_loss},
        .self = n->config.id,
        .identity = &n->identity,
        .durable = &n->keep.durable,
    };
}

int node_open(const struct config *config, struct node **node_out, char *why,
              size_t why_size)
{
    struct node *n = calloc(1, sizeof *n);
    enum bootstrap_start start;
    int rc;

    *node_out = n;
    if (n == NULL)
        return -ENOMEM;
    n->config = *config;
    log_writer_init(&n->log_writer, &n->storage);
    n->fault = fault_of(n);
    why[0] = '\0';
    rc = uv_loop_init(&n->loop);
    if (rc < 0)
        goto fail;
    n->has_loop = true;
    rc = open_handles(n);
    if (rc < 0)
        goto fail;
    rc = open_folder(n, &start, why, why_size);
    if (rc < 0)
        goto fail;
    rc = open_parts(n, start != BOOTSTRAP_WAIT, why, why_size);
    if (rc < 0)
        goto fail;
    rc = node_start_handles(n);
    if (rc < 0)
        goto fail;
    return 0;
fail:
    if (why[0] == '\0')
        open_why(why, why_size, "the server can't start", rc);
    return rc;
}
