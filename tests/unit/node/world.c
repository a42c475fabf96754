#include "tests/unit/node/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "raft/config.h"
#include "tests/unit/node/world_disk.h"

#define ELECTION (240 * PX_NS_PER_MS)
#define HEARTBEAT (60 * PX_NS_PER_MS)
#define REQUEST_TIMEOUT (5 * PX_NS_PER_S)
#define CONFIGS_MAX 64
#define TURN_NS (50 * PX_NS_PER_US)

/* ---- The world as a replica sees it ---- */

static px_ns io_now(void *ctx)
{
    return ((struct world_node *)ctx)->world->now;
}

static int64_t io_wall_time(void *ctx)
{
    return (int64_t)((struct world_node *)ctx)->world->now;
}

static struct world_msg *new_msg(struct world_node *n, raft_id to)
{
    struct world_msg *m = calloc(1, sizeof *m);

    assert_non_null(m);
    m->from = n->number;
    m->to = (size_t)to - 1;
    px_list_push_back(&n->world->wire, &m->link);
    return m;
}

static void free_msg(struct world_msg *m)
{
    px_list_remove(&m->link);
    if (m->type == WORLD_RAFT && m->raft.type == RAFT_MSG_APPEND) {
        for (size_t i = 0; i < m->raft.append.count; i++)
            px_slice_unref(&m->entries[i].data);
    }
    free(m->entries);
    px_slice_unref(&m->forward.command);
    px_slice_unref(&m->transfer.data);
    free(m);
}

static int io_send(void *ctx, const struct raft_msg *msg)
{
    struct world_msg *m = new_msg(ctx, msg->to);
    size_t count = msg->type == RAFT_MSG_APPEND ? msg->append.count : 0;

    m->raft = *msg;
    if (count == 0)
        return 0;
    m->entries = calloc(count, sizeof *m->entries);
    assert_non_null(m->entries);
    for (size_t i = 0; i < count; i++) {
        m->entries[i] = msg->append.entries[i];
        (void)px_slice_ref(m->entries[i].data);
    }
    m->raft.append.entries = m->entries;
    return 0;
}

static int io_forward(void *ctx, raft_id to, const struct net_forward *f)
{
    struct world_msg *m;

    if (((struct world_node *)ctx)->is_unreachable)
        return -EAGAIN;
    m = new_msg(ctx, to);
    m->type = WORLD_FORWARD;
    m->forward = *f;
    (void)px_slice_ref(m->forward.command);
    return 0;
}

static void io_refuse(void *ctx, raft_id to,
                      const struct net_forward_refused *f)
{
    struct world_msg *m = new_msg(ctx, to);

    m->type = WORLD_REFUSED;
    m->refused = *f;
}

static void io_flush(void *ctx)
{
    (void)ctx;
}

static void io_write(void *ctx, struct px_list *writes)
{
    px_list_splice_back(&((struct world_node *)ctx)->writes, writes);
}

static void io_apply(void *ctx, struct replica_apply *job)
{
    struct world_node *n = ctx;
    int rc;

    if (job->from_log) {
        for (raft_index i = job->first;
             i <= job->last && job->count < PX_BATCH_ENTRIES_MAX; i++) {
            assert_true(i <= n->count);
            job->entries[job->count] = n->log[i - 1];
            (void)px_slice_ref(job->entries[job->count++].data);
        }
    }
    /* In the smallest parts that there are. */
    rc = n->apply_rc;
    if (rc == 0) {
        rc = store_apply_some(n->storage.state, job->entries, job->count, 1,
                              job->results, &job->orphans);
        assert_true(rc > 0);
        job->applied = (size_t)rc;
    }
    replica_on_applied(n->replica, job, rc);
}

static void io_fetch(void *ctx, struct replica_fetch *job)
{
    world_disk_fetch(ctx, job);
}

/* No log is ever long enough for a snapshot: one is made when it is wanted. The
 * log stays whole. */
static uint64_t io_log_bytes(void *ctx)
{
    (void)ctx;
    return 0;
}

static void io_cut_log(void *ctx, raft_index index)
{
    (void)ctx;
    (void)index;
}

static void io_snapshot(void *ctx, struct replica_snapshot_job *job)
{
    px_list_push_back(&((struct world_node *)ctx)->jobs, &job->link);
}

static int io_transfer(void *ctx, raft_id to, const struct net_snapshot *s)
{
    struct world_msg *m = new_msg(ctx, to);

    m->type = WORLD_TRANSFER;
    m->transfer = *s;
    (void)px_slice_ref(m->transfer.data);
    return 0;
}

static void io_lost(void *ctx, raft_index index)
{
    (void)index;
    ((struct world_node *)ctx)->is_faulty = true;
    ((struct world_node *)ctx)->has_lost = true;
}

static void io_recovered(void *ctx)
{
    ((struct world_node *)ctx)->is_faulty = false;
    ((struct world_node *)ctx)->is_recovered = true;
}

static struct store_view *io_adopt(void *ctx)
{
    return world_disk_adopt(ctx);
}

static bool io_is_open(void *ctx, uint64_t inode)
{
    return inode != 0 && ((struct world_node *)ctx)->open_inode == inode;
}

static bool io_is_shown(void *ctx, uint64_t inode)
{
    return inode != 0 && ((struct world_node *)ctx)->shown_inode == inode;
}

static void io_on_config(void *ctx)
{
    ((struct world_node *)ctx)->configs_told++;
}

static void io_fail(void *ctx, const char *why, int rc)
{
    (void)rc;
    ((struct world_node *)ctx)->failed = why;
}

/* ---- Starting and killing ---- */

static size_t log_runs(const struct world_node *n, struct raft_term_run *runs)
{
    size_t count = 0;

    for (size_t i = (size_t)n->base.index; i < n->count; i++) {
        if (count == 0 || runs[count - 1].term != n->log[i].pos.term)
            runs[count++] = (struct raft_term_run){n->log[i].pos.term, i + 1};
    }
    return count;
}

static size_t log_configs(const struct world_node *n,
                          struct raft_config_at configs[CONFIGS_MAX])
{
    size_t count = 0;

    for (size_t i = (size_t)n->base.index; i < n->count; i++) {
        if (n->log[i].kind != RAFT_ENTRY_CONFIG)
            continue;
        assert_true(count < CONFIGS_MAX);
        configs[count].index = i + 1;
        assert_true(
            raft_config_decode(n->log[i].data, &configs[count++].config) > 0);
    }
    return count;
}

void world_start(struct world *w, size_t number)
{
    static struct raft_term_run runs[WORLD_LOG_MAX];
    struct raft_config_at configs[CONFIGS_MAX];
    struct world_node *n = &w->nodes[number];
    char name[16];
    struct replica_options options = {.node = name,
                                      .incarnation = ++n->incarnation,
                                      .start = px_rand_next(&w->rand),
                                      .request_timeout = REQUEST_TIMEOUT,
                                      .quota_bytes = w->quota_bytes,
                                      .hash_every = w->hash_every};
    struct replica_io io = {
        .ctx = n,
        .now = io_now,
        .wall_time = io_wall_time,
        .send = io_send,
        .forward = io_forward,
        .transfer = io_transfer,
        .refuse = io_refuse,
        .flush = io_flush,
        .write = io_write,
        .apply = io_apply,
        .fetch = io_fetch,
        .snapshot = io_snapshot,
        .log_bytes = io_log_bytes,
        .cut_log = io_cut_log,
        .lost = io_lost,
        .recovered = io_recovered,
        .adopt = io_adopt,
        .is_open = io_is_open,
        .is_shown = io_is_shown,
        .on_config = io_on_config,
        .fail = io_fail,
    };

    (void)snprintf(name, sizeof name, "node-%zu", number);
    world_disk_start(n, &options);
    options.raft.id = number + 1;
    options.raft.seed = px_rand_next(&w->rand);
    options.raft.config.count = number < w->voter_count ? w->voter_count : 0;
    for (size_t i = 0; i < options.raft.config.count; i++)
        options.raft.config.members[i] =
            (struct raft_member){i + 1, RAFT_VOTER};
    options.raft.configs = configs;
    options.raft.config_count = log_configs(n, configs);
    options.raft.election = ELECTION;
    options.raft.heartbeat = HEARTBEAT;
    options.raft.clock_drift_ppm = 10000;
    options.raft.hard = n->hard;
    options.raft.base = n->base;
    options.raft.runs = runs;
    options.raft.run_count = log_runs(n, runs);
    options.raft.last = n->count;
    options.raft.applied = store_state_applied(n->storage.state).index;
    options.raft.is_first_boot = !n->has_booted;
    options.raft.is_faulty = n->is_faulty;
    n->has_booted = true;
    assert_int_equal(replica_open(&options, &io, &n->replica), 0);
}

static void open_node(struct world *w, size_t number)
{
    struct world_node *n = &w->nodes[number];

    n->world = w;
    n->number = number;
    px_list_init(&n->writes);
    (void)snprintf(n->dir, sizeof n->dir, "/tmp/phalanx-world-XXXXXX");
    assert_non_null(mkdtemp(n->dir));
    (void)snprintf(n->saved.dir, sizeof n->saved.dir, "%s.saved", n->dir);
    px_list_init(&n->jobs);
    world_disk_open(n);
    n->log = calloc(WORLD_LOG_MAX, sizeof *n->log);
    assert_non_null(n->log);
}

static struct world *open_world(size_t node_count, size_t voter_count,
                                uint64_t seed, raft_index every)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    px_list_init(&w->wire);
    px_rand_init(&w->rand, seed);
    w->now = PX_NS_PER_S;
    w->request_timeout = REQUEST_TIMEOUT;
    w->node_count = node_count;
    w->voter_count = voter_count;
    w->hash_every = every;
    for (size_t i = 0; i < node_count; i++) {
        open_node(w, i);
        world_start(w, i);
    }
    return w;
}

struct world *world_open(size_t node_count, uint64_t seed)
{
    return open_world(node_count, node_count, seed, 0);
}

struct world *world_open_voters(size_t node_count, size_t voter_count,
                                uint64_t seed)
{
    return open_world(node_count, voter_count, seed, 0);
}

struct world *world_open_comparing(size_t node_count, uint64_t seed,
                                   raft_index every)
{
    return open_world(node_count, node_count, seed, every);
}

void world_kill(struct world *w, size_t number)
{
    struct world_node *n = &w->nodes[number];

    if (n->replica == NULL)
        return;
    replica_stop(n->replica);
    px_list_init(&n->writes); /* freed by the replica */
    world_disk_kill(n);
    replica_close(n->replica);
    n->replica = NULL;
}

static void remove_folder(const char *path)
{
    char command[160];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static void copy_folder(const char *from, const char *to)
{
    char command[320];

    remove_folder(to);
    (void)snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

void world_lose_state(struct world *w, size_t number)
{
    struct world_node *n = &w->nodes[number];
    char path[128];

    assert_null(n->replica);
    world_disk_close(n);
    (void)snprintf(path, sizeof path, "%s/state", n->dir);
    remove_folder(path);
    world_disk_open(n);
}

/* Closed for the copy, so that all of it is in the files. */
void world_save(struct world *w, size_t number)
{
    struct world_node *n = &w->nodes[number];

    assert_null(n->replica);
    world_disk_close(n);
    copy_folder(n->dir, n->saved.dir);
    world_disk_open(n);
    n->saved.incarnation = n->incarnation;
    n->saved.count = n->count;
    assert_int_equal(n->base.index, 0);
    n->saved.hard = n->hard;
}

void world_restore(struct world *w, size_t number)
{
    struct world_node *n = &w->nodes[number];

    assert_null(n->replica);
    world_disk_close(n);
    copy_folder(n->saved.dir, n->dir);
    world_disk_open(n);
    n->incarnation = n->saved.incarnation;
    n->hard = n->saved.hard;
    while (n->count > n->saved.count)
        px_slice_unref(&n->log[--n->count].data);
}

void world_close(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct world_node *n = &w->nodes[i];

        world_kill(w, i);
        world_disk_close(n);
        for (size_t k = 0; k < n->count; k++)
            px_slice_unref(&n->log[k].data);
        free(n->log);
        remove_folder(n->dir);
        remove_folder(n->saved.dir);
    }
    while (!px_list_empty(&w->wire))
        free_msg(px_list_entry(w->wire.next, struct world_msg, link));
    free(w);
}

void world_cut(struct world *w, size_t node, bool is_cut)
{
    for (size_t i = 0; i < w->node_count; i++) {
        w->cut[node][i] = is_cut;
        w->cut[i][node] = is_cut;
    }
}

/* ---- Running ---- */

static void append_entry(struct world_node *n, const struct raft_entry *e)
{
    size_t at = (size_t)e->pos.index - 1;

    assert_true(at <= n->count && at < WORLD_LOG_MAX);
    while (n->count > at)
        px_slice_unref(&n->log[--n->count].data);
    n->log[at] = *e;
    (void)px_slice_ref(n->log[at].data);
    n->count = at + 1;
}

/* All before @base is gone. */
static void reset_log(struct world_node *n, struct raft_pos base)
{
    for (size_t i = 0; i < n->count; i++)
        px_slice_unref(&n->log[i].data);
    n->base = base;
    n->count = (size_t)base.index;
    assert_true(n->count < WORLD_LOG_MAX);
}

static bool complete_write(struct world_node *n)
{
    struct replica_write *write;

    if (n->replica == NULL || n->is_disk_stuck || px_list_empty(&n->writes))
        return false;
    write = px_list_entry(px_list_pop_front(&n->writes), struct replica_write,
                          link);
    if (write->has_hard)
        n->hard = write->hard;
    if (write->has_reset)
        reset_log(n, write->reset);
    for (size_t i = 0; i < write->count; i++)
        append_entry(n, &write->entries[i]);
    replica_on_durable(n->replica, write);
    return true;
}

static void refuse_forward(const struct world_msg *m, struct world_node *by)
{
    struct net_forward_refused answer = {
        .from = by->number + 1,
        .session = m->forward.session,
        .sequence = m->forward.sequence,
        .rc = -EAGAIN,
    };

    io_refuse(by, m->from + 1, &answer);
}

static void hand_over(struct world *w, const struct world_msg *m)
{
    struct replica *to = w->nodes[m->to].replica;

    switch (m->type) {
    case WORLD_RAFT:
        replica_on_message(to, &m->raft);
        break;
    case WORLD_FORWARD:
        if (w->refuses)
            refuse_forward(m, &w->nodes[m->to]);
        else
            replica_on_forward(to, &m->forward);
        break;
    case WORLD_REFUSED:
        replica_on_refused(to, &m->refused);
        break;
    case WORLD_TRANSFER:
        replica_on_transfer(to, &m->transfer);
        break;
    }
}

/* There is no such node: a member that never came. */
static bool is_to_nobody(const struct world *w, const struct world_msg *m)
{
    return m->to >= w->node_count || w->nodes[m->to].replica == NULL;
}

static bool deliver(struct world *w)
{
    struct world_msg *m;
    bool is_lost;

    if (px_list_empty(&w->wire))
        return false;
    m = px_list_entry(w->wire.next, struct world_msg, link);
    if (px_rand_below(&w->rand, 100) < w->shuffle_percent) {
        px_list_remove(&m->link);
        px_list_push_back(&w->wire, &m->link);
        m = px_list_entry(w->wire.next, struct world_msg, link);
    }
    is_lost = is_to_nobody(w, m) || w->cut[m->from][m->to] ||
              px_rand_below(&w->rand, 100) < w->lose_percent ||
              (w->loses != NULL && w->loses(m));
    if (!is_lost)
        hand_over(w, m);
    free_msg(m);
    return true;
}

/* A turn leaves nothing that is already due: else a node would spin. */
static void turns(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].replica == NULL)
            continue;
        if (w->nodes[i].is_recovered)
            replica_on_recovered(w->nodes[i].replica);
        w->nodes[i].is_recovered = false;
        if (w->nodes[i].has_lost)
            replica_on_loss_noted(w->nodes[i].replica);
        w->nodes[i].has_lost = false;
        replica_turn(w->nodes[i].replica);
        assert_true(w->nodes[i].failed != NULL ||
                    replica_deadline(w->nodes[i].replica) > w->now);
    }
}

static px_ns next_deadline(const struct world *w)
{
    px_ns next = PX_NS_NEVER;

    for (size_t i = 0; i < w->node_count; i++) {
        px_ns d = w->nodes[i].replica != NULL
                      ? replica_deadline(w->nodes[i].replica)
                      : PX_NS_NEVER;

        next = d < next ? d : next;
    }
    return next;
}

bool world_run(struct world *w, px_ns limit,
               bool (*until)(struct world *w, void *ctx), void *ctx)
{
    px_ns end = w->now + limit;

    while (w->now < end) {
        bool is_busy;

        turns(w);
        if (until != NULL && until(w, ctx))
            return true;
        is_busy = deliver(w);
        for (size_t i = 0; i < w->node_count; i++)
            is_busy |=
                complete_write(&w->nodes[i]) || world_disk_work(&w->nodes[i]);
        w->now += TURN_NS;
        if (!is_busy && next_deadline(w) > w->now)
            w->now = next_deadline(w);
    }
    return false;
}

bool world_settle(struct world *w, px_ns duration)
{
    return !world_run(w, duration, NULL, NULL);
}

static bool all_ready(struct world *w, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].replica != NULL &&
            !replica_is_ready(w->nodes[i].replica))
            return false;
    }
    return world_leader(w) < w->node_count;
}

bool world_ready(struct world *w)
{
    return world_run(w, 60 * PX_NS_PER_S, all_ready, NULL);
}

size_t world_leader(const struct world *w)
{
    size_t leader = w->node_count;
    raft_term term = 0;

    for (size_t i = 0; i < w->node_count; i++) {
        struct raft_status s;

        if (w->nodes[i].replica == NULL)
            continue;
        replica_get_status(w->nodes[i].replica, &s);
        if (s.role == RAFT_LEADER && s.term > term) {
            leader = i;
            term = s.term;
        }
    }
    return leader;
}

static bool is_done(struct world *w, void *ctx)
{
    (void)w;
    return ((struct world_request *)ctx)->is_done;
}

bool world_wait(struct world *w, struct world_request *q)
{
    return world_run(w, 20 * PX_NS_PER_S, is_done, q);
}

/* ---- Requests ---- */

static void on_done(struct fs_wait *wait, int rc,
                    const struct store_result *result)
{
    struct world_request *q = px_list_entry(wait, struct world_request, wait);

    assert_false(q->is_done);
    q->is_done = true;
    q->rc = rc;
    if (result != NULL)
        q->result = *result;
}

void world_propose(struct world *w, size_t node, struct command *c,
                   struct world_request *q)
{
    memset(q, 0, sizeof *q);
    q->wait.done = on_done;
    q->wait.deadline = w->now + w->request_timeout;
    replica_propose(w->nodes[node].replica, &q->wait, c);
}

void world_mkdir(struct world *w, size_t node, const char *name,
                 struct world_request *q)
{
    struct command c = {
        .op = COMMAND_MKDIR,
        .parent = STORE_ROOT_INODE,
        .name = {name, strlen(name)},
        .mode = S_IFDIR | 0755,
        .inode = replica_new_inode(w->nodes[node].replica),
    };

    world_propose(w, node, &c, q);
}

void world_read(struct world *w, size_t node, struct world_request *q)
{
    memset(q, 0, sizeof *q);
    q->wait.done = on_done;
    q->wait.deadline = w->now + w->request_timeout;
    replica_read(w->nodes[node].replica, &q->wait);
}

bool world_has_name(struct world *w, size_t node, const char *name)
{
    struct store_view *v = w->nodes[node].view;
    struct store_inode found;
    int rc;

    assert_int_equal(store_view_begin(v), 0);
    rc = store_view_lookup(v, STORE_ROOT_INODE,
                           (struct command_name){name, strlen(name)}, &found);
    store_view_end(v);
    assert_true(rc == 0 || rc == -ENOENT);
    return rc == 0;
}

uint64_t world_hash(struct world *w, size_t node)
{
    struct store_view *v = w->nodes[node].view;
    uint64_t hash;

    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_hash(v, &hash), 0);
    store_view_end(v);
    return hash;
}
