/* Opens the parts in order, wires them to the loop, and closes in reverse.
 *
 *   loop:  timers ─▶ prepare: turn, arm timer ─▶ poll: FUSE, peers, HTTP,
 *            ▲                                   the workers' async ─▶ check: turn
 *            └────────────────────────────────────────────────────────────┘
 *
 * Nothing on the loop waits: what may wait for a disk is in disk.c. */
#include "node/node.h"

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

#define FS_REQUESTS_PER_TURN 64
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define CLOCK_DRIFT_PPM 10000u
#define SEGMENTS_PER_SNAPSHOT 4u
#define SEGMENT_BYTES_MIN ((uint64_t)PX_BATCH_BYTES_MAX + PX_MIB)
#define SEGMENT_BYTES_MAX (64u * PX_MIB)

px_ns node_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t); /* can't fail on Linux >= 2.6.39 */
    return (px_ns)t.tv_sec * PX_NS_PER_S + (px_ns)t.tv_nsec;
}

void node_fail(struct node *n, const char *why, int rc)
{
    if (n->exit_status != 0)
        return; /* the first reason is the one that counts */
    px_note(PX_NOTE_ERROR, "node: stops: %s: %s", why, px_strerror(rc));
    n->exit_status = 1;
    uv_stop(&n->loop);
}

/* ---- Turns ---- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct node *n)
{
    px_ns deadline = replica_deadline(n->replica);
    px_ns now;
    uint64_t ms = 0;

    if (n->timer_at <= deadline)
        return; /* it fires early enough, and is armed anew then */
    now = node_now();
    if (deadline > now)
        ms = (deadline - now + PX_NS_PER_MS - 1) / PX_NS_PER_MS;
    n->timer_at = deadline;
    (void)uv_timer_start(&n->timer, on_timer, ms, 0); /* the handle is open */
}

static void turn(struct node *n)
{
    struct raft_status status;

    if (n->exit_status != 0)
        return; /* the loop is about to end */
    replica_turn(n->replica);
    if (store_state_is_damaged(
            n->storage.state)) /* the next start builds it anew */
        node_fail(n, "the state is damaged", -PX_ECORRUPT);
    replica_get_status(n->replica, &status);
    node_note_changes(n, &status);
    leave_turn(n, &status);
    arm_timer(n);
}

static void on_timer(uv_timer_t *timer)
{
    struct node *n = timer->data;

    n->timer_at = PX_NS_NEVER;
    turn(n);
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn(prepare->data);
}

static void on_check(uv_check_t *check)
{
    turn(check->data);
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
    replica_want_snapshot(n->replica);
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

/* ---- Opening ---- */

static int read_boot_id(char *id, size_t size)
{
    FILE *f = fopen(BOOT_ID_FILE, "re");
    int rc = 0;

    if (f == NULL)
        return -errno;
    if (fgets(id, (int)size, f) == NULL)
        rc = -EIO;
    (void)fclose(f); /* it was only read */
    id[strcspn(id, "\n")] = '\0';
    return rc;
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
    char boot_id[64];
    struct storage_options options = {
        .log_dir = log_dir,
        .state_dir = store_folder_state(n->folder),
        .boot_id = boot_id,
        .cluster = n->config.cluster,
        .id = n->config.id,
        .segment_bytes = segment_bytes(&n->config),
        .distrust_state = n->config.distrust_state,
        .is_begun = n->identity.has_log,
        .term_disk = store_folder_disk(n->folder),
    };
    int rc = read_boot_id(boot_id, sizeof boot_id);

    if (rc < 0) {
        open_why(why, why_size, "can't read " BOOT_ID_FILE, rc);
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

/* What later starts have to know of this one: that there is a log, and how
 * long a promise to a leader may last. */
static int note_start(struct node *n, char *why, size_t why_size)
{
    px_ns election = n->config.election_ticks * n->config.tick;
    int rc;

    if (n->identity.has_log && n->identity.promise >= election)
        return 0;
    n->identity.has_log = true;
    if (n->identity.promise < election)
        n->identity.promise = election;
    rc = store_folder_update(n->folder, &n->identity);
    if (rc < 0)
        open_why(why, why_size, n->config.data_dir, rc);
    return rc;
}

/* A new one is of the cluster that the settings name. */
static int open_folder(struct node *n, bool *is_new_out, char *why,
                       size_t why_size)
{
    const struct config *c = &n->config;
    const struct store_folder_options options = {.dir = c->data_dir,
                                                 .node = c->node,
                                                 .cluster_name =
                                                     c->cluster_name,
                                                 .cluster = c->cluster};
    int rc = store_folder_open(&options, &n->folder, &n->identity, is_new_out,
                               why, why_size);

    if (rc < 0 || !*is_new_out)
        return rc;
    n->identity.is_begun = true;
    n->identity.voter_count = c->peer_count;
    for (size_t i = 0; i < c->peer_count; i++)
        (void)strcpy(n->identity.voters[i], c->peers[i].name); /* it fits */
    rc = store_folder_begin(n->folder, &n->identity);
    if (rc < 0)
        open_why(why, why_size, c->data_dir, rc);
    return rc;
}

static int open_store(struct node *n, bool *is_new_out, char *why,
                      size_t why_size)
{
    int rc = open_folder(n, is_new_out, why, why_size);

    if (rc == 0)
        rc = open_storage(n, why, why_size);
    if (rc == 0)
        rc = note_start(n, why, why_size);
    return rc;
}

/* Never 0. */
static uint64_t draw_start(void)
{
    uint64_t start = 0;

    while (start == 0)
        px_assert(getrandom(&start, sizeof start, 0) == sizeof start);
    return start;
}

static int open_replica(struct node *n, bool is_new)
{
    const struct config *c = &n->config;
    struct replica_io io = port_for_replica(n);
    struct replica_options options = {
        .node = c->node,
        .incarnation = n->identity.incarnation,
        .start = draw_start(),
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
    raft->config.count = c->peer_count;
    for (size_t i = 0; i < c->peer_count; i++)
        raft->config.members[i] =
            (struct raft_member){c->peers[i].id, RAFT_VOTER};
    raft->election = c->election_ticks * c->tick;
    raft->heartbeat = c->heartbeat_ticks * c->tick;
    raft->promise = n->identity.promise;
    raft->clock_drift_ppm = CLOCK_DRIFT_PPM;
    storage_to_raft(&n->storage, raft);
    raft->is_first_boot =
        is_new && raft->last == 0 && raft->hard.term == 0 && !raft->is_faulty;
    return replica_open(&options, &io, &n->replica);
}

static int open_peers(struct node *n, char *why, size_t why_size)
{
    const struct config *c = &n->config;
    struct net_handler handler = port_for_net(n);
    struct net_options options = {
        .loop = &n->loop,
        .id = c->id,
        .name = c->node,
        .cluster = c->cluster,
        .listen = c->grpc_addr,
        .election = c->election_ticks * c->tick,
        .dial_timeout = c->election_ticks * c->tick,
        .redial_min = c->tick,
        .redial_max = c->election_ticks * c->tick,
    };
    int rc = net_open(&options, &handler, &n->net, why, why_size);

    if (rc < 0)
        add_advice(why, why_size,
                   "write another in GRPC_ADDR, or after --grpc-addr");
    for (size_t i = 0; rc == 0 && i < c->peer_count; i++) {
        const struct config_peer *p = &c->peers[i];

        if (p->id == c->id)
            continue;
        rc = net_add_peer(n->net, p->id, p->name, p->address);
        if (rc < 0)
            open_why(why, why_size, p->address, rc);
    }
    return rc;
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
    int rc = uv_timer_init(&n->loop, &n->timer);

    n->timer.data = n;
    n->timer_at = PX_NS_NEVER;
    leave_init(n);
    if (rc == 0)
        rc = uv_prepare_init(&n->loop, &n->prepare);
    n->prepare.data = n;
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

static int start_handles(struct node *n)
{
    int rc = uv_prepare_start(&n->prepare, on_prepare);

    if (rc == 0)
        rc = uv_check_start(&n->check, on_check);
    if (rc == 0)
        rc = uv_signal_start(&n->sigint, on_signal, SIGINT);
    if (rc == 0)
        rc = uv_signal_start(&n->sigterm, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&n->sigusr1, on_sigusr1, SIGUSR1);
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

int node_open(const struct config *config, struct node **node_out, char *why,
              size_t why_size)
{
    struct node *n = calloc(1, sizeof *n);
    bool is_new = false;
    int rc;

    if (n == NULL)
        return -ENOMEM;
    n->config = *config;
    px_list_init(&n->recovered_job);
    why[0] = '\0';
    rc = uv_loop_init(&n->loop);
    if (rc < 0)
        goto fail;
    n->has_loop = true;
    rc = open_handles(n);
    if (rc < 0)
        goto fail;
    rc = open_store(n, &is_new, why, why_size);
    if (rc < 0)
        goto fail;
    rc = store_view_new(n->storage.state, &n->view);
    if (rc < 0)
        goto fail;
    rc = disk_start(n);
    if (rc < 0)
        goto fail;
    rc = open_replica(n, is_new);
    if (rc < 0)
        goto fail;
    rc = open_peers(n, why, why_size);
    if (rc < 0)
        goto fail;
    rc = open_http(n, why, why_size);
    if (rc < 0)
        goto fail;
    rc = open_mount(n, why, why_size);
    if (rc < 0)
        goto fail;
    rc = start_handles(n);
    if (rc < 0)
        goto fail;
    *node_out = n;
    return 0;
fail:
    if (why[0] == '\0')
        open_why(why, why_size, "the server can't start", rc);
    node_close(n);
    return rc;
}

int node_run(struct node *n)
{
    px_note(PX_NOTE_INFO,
            "node: runs: version=%s cluster=%016llx peers=%zu data=%s "
            "mount=%s grpc=%s debug=%s",
            PX_VERSION, (unsigned long long)n->config.cluster,
            n->config.peer_count, n->config.data_dir,
            n->config.mount[0] != '\0' ? n->config.mount : "-",
            n->config.grpc_addr, n->config.debug_addr);
    (void)uv_run(&n->loop, UV_RUN_DEFAULT); /* says what is left: closed next */
    return n->exit_status;
}

/* ---- Closing ---- */

static void on_part_closed(void *ctx)
{
    struct node *n = ctx;

    px_assert(n->closing > 0);
    n->closing--;
}

static void close_listeners(struct node *n)
{
    if (n->http != NULL) {
        n->closing++;
        http_close(n->http, on_part_closed, n);
        n->http = NULL;
    }
    if (n->net != NULL) {
        n->closing++;
        net_close(n->net, on_part_closed, n);
        n->net = NULL;
    }
}

static void close_if_open(uv_handle_t *handle, void *arg)
{
    (void)arg; /* no context is needed */
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* After the parts: what is left is our own. Reads of old entries that run on
 * the pool come back first. */
static void close_loop(struct node *n)
{
    if (!n->has_loop)
        return;
    while (n->closing > 0 || n->fetches > 0)
        (void)uv_run(&n->loop, UV_RUN_ONCE);
    uv_walk(&n->loop, close_if_open, NULL);
    (void)uv_run(&n->loop, UV_RUN_DEFAULT); /* until all are closed */
    px_assert(uv_loop_close(&n->loop) == 0);
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
    if (n->has_loop) {
        (void)uv_prepare_stop(&n->prepare); /* always succeeds */
        (void)uv_check_stop(&n->check);     /* likewise */
        (void)uv_timer_stop(&n->timer);     /* likewise */
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
    close_listeners(n);
    disk_stop(n);
    close_loop(n);
    replica_close(n->replica);
    close_store(n);
    free(n);
}
