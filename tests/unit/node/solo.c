#include "tests/unit/node/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"

#define SNAPSHOT_BYTES PX_MIB

/* ---- The world as the replica sees it ---- */

static px_ns io_now(void *ctx)
{
    return ((struct solo *)ctx)->now;
}

static int64_t io_wall_time(void *ctx)
{
    return (int64_t)((struct solo *)ctx)->now;
}

static int io_send(void *ctx, const struct raft_msg *msg)
{
    struct solo *s = ctx;

    s->sent[msg->type][msg->to] = *msg; /* its entries are not looked at */
    return 0;
}

static int io_forward(void *ctx, raft_id to, const struct net_forward *f)
{
    (void)ctx;
    (void)to;
    (void)f;
    return 0; /* of no interest here */
}

static void io_refuse(void *ctx, raft_id to,
                      const struct net_forward_refused *f)
{
    (void)ctx;
    (void)to;
    (void)f;
}

static int io_transfer(void *ctx, raft_id to, const struct net_snapshot *said)
{
    struct solo *s = ctx;

    if (s->is_deaf)
        return -EAGAIN;
    assert_true(s->said_count < SOLO_SAID_MAX);
    s->said[s->said_count] = *said;
    s->said[s->said_count].data.data = NULL; /* goes with its job */
    s->said_to[s->said_count++] = to;
    return 0;
}

static void io_flush(void *ctx)
{
    (void)ctx;
}

static void io_write(void *ctx, struct px_list *writes)
{
    px_list_splice_back(&((struct solo *)ctx)->writes, writes);
}

static void io_recovered(void *ctx)
{
    struct solo *s = ctx;

    s->is_recovered = true;
    px_list_for_each (it, &s->writes)
        s->is_reset_by_then |=
            px_list_entry(it, struct replica_write, link)->has_reset;
}

static void apply_now(struct solo *s, struct replica_apply *job)
{
    int rc = store_apply_some(s->states[s->adopted], job->entries, job->count,
                              UINT64_MAX, job->results, &job->orphans);

    assert_true(rc > 0);
    job->applied = (size_t)rc;
    replica_on_applied(s->r, job, rc);
}

static void io_apply(void *ctx, struct replica_apply *job)
{
    struct solo *s = ctx;

    assert_false(job->from_log);
    if (s->holds_apply)
        s->apply = job;
    else
        apply_now(s, job);
}

static void io_fetch(void *ctx, struct replica_fetch *job)
{
    (void)ctx;
    (void)job;
    fail_msg("the tail in memory is enough here");
}

static void io_snapshot(void *ctx, struct replica_snapshot_job *job)
{
    struct solo *s = ctx;

    px_list_init(&job->link);
    px_list_push_back(&s->jobs, &job->link);
    s->job_count++;
}

static uint64_t io_log_bytes(void *ctx)
{
    return ((struct solo *)ctx)->log_bytes;
}

static uint64_t io_snapshot_room(void *ctx)
{
    struct solo *s = ctx;

    s->room_looks++;
    return s->snapshot_room;
}

static void io_cut_log(void *ctx, raft_index index)
{
    ((struct solo *)ctx)->cut = index;
}

static bool io_is_open(void *ctx, uint64_t inode)
{
    (void)ctx;
    (void)inode;
    return false;
}

static void io_fail(void *ctx, const char *why, int rc)
{
    (void)rc;
    ((struct solo *)ctx)->failed = why;
}

/* ---- States ---- */

static void apply_noops(struct store_state *state, raft_index last)
{
    struct store_orphans orphans = {.count = 0};
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP, .pos.term = 1};
    struct store_result result;

    for (raft_index i = 1; i <= last; i++) {
        e.pos.index = i;
        assert_int_equal(store_apply(state, &e, 1, &result, &orphans), 0);
    }
    free(orphans.inodes);
}

/* Without anything in it, at entry @last. */
static void open_state(struct solo *s, unsigned i, raft_index last)
{
    struct store_state_options options = {
        .dir = s->dir[i], .boot_id = "one-boot", .map_bytes = 16 * PX_MIB};
    enum store_state_origin origin;
    char why[256];

    (void)snprintf(s->dir[i], sizeof s->dir[i], "/tmp/phalanx-solo-XXXXXX");
    assert_non_null(mkdtemp(s->dir[i]));
    assert_int_equal(
        store_state_open(&options, &s->states[i], &origin, why, sizeof why), 0);
    apply_noops(s->states[i], last);
}

static void close_state(struct solo *s, unsigned i)
{
    char command[128];

    if (s->states[i] == NULL)
        return;
    store_state_abandon(s->states[i]);
    (void)snprintf(command, sizeof command, "rm -r '%s'", s->dir[i]);
    assert_int_equal(system(command), 0);
}

static struct store_view *io_adopt(void *ctx)
{
    struct solo *s = ctx;

    assert_int_equal(s->adopted, 0);
    store_view_free(s->view);
    s->adopted = 1;
    open_state(s, 1, s->r->in.info.pos.index);
    assert_int_equal(store_view_new(s->states[1], &s->view), 0);
    return s->view;
}

/* ---- Life ---- */

void solo_open(struct solo *s, const struct solo_options *options)
{
    struct replica_options o = {.node = "node-1",
                                .incarnation = 1,
                                .start = 1,
                                .request_timeout = PX_NS_PER_S,
                                .snapshot_bytes = PX_MIB};
    struct replica_io io = {
        .ctx = s,
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
        .snapshot_room = io_snapshot_room,
        .cut_log = io_cut_log,
        .recovered = io_recovered,
        .adopt = io_adopt,
        .is_open = io_is_open,
        .fail = io_fail,
    };
    struct raft_pos base = {options->snapshot > 0 ? 1 : 0, options->snapshot};

    *s = (struct solo){.now = PX_NS_PER_S, .snapshot_room = UINT64_MAX};
    px_list_init(&s->writes);
    px_list_init(&s->jobs);
    open_state(s, 0, base.index);
    assert_int_equal(store_view_new(s->states[0], &s->view), 0);
    o.view = s->view;
    o.raft.id = 1;
    o.raft.seed = 1;
    o.raft.config = (struct raft_config){
        .count = 3,
        .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};
    o.raft.election = SOLO_ELECTION;
    o.raft.heartbeat = SOLO_HEARTBEAT;
    o.raft.clock_drift_ppm = 10000;
    o.raft.hard.term = base.term;
    o.raft.base = base;
    o.raft.last = base.index;
    o.raft.applied = base.index;
    o.raft.is_faulty = options->is_faulty;
    o.raft.is_first_boot = base.index == 0 && !options->is_faulty;
    if (base.index > 0)
        o.snapshot = (struct store_snapshot_info){
            .pos = base, .config = o.raft.config, .bytes = SNAPSHOT_BYTES};
    assert_int_equal(replica_open(&o, &io, &s->r), 0);
    solo_turn(s);
}

static void drop_job(struct replica_snapshot_job *job)
{
    px_slice_unref(&job->data);
    free(job);
}

void solo_close(struct solo *s)
{
    replica_stop(s->r);
    while (!px_list_empty(&s->jobs))
        drop_job(px_list_entry(px_list_pop_front(&s->jobs),
                               struct replica_snapshot_job, link));
    px_list_init(&s->writes); /* freed by the replica */
    replica_close(s->r);
    store_view_free(s->view);
    close_state(s, 0);
    close_state(s, 1);
}

/* ---- Time ---- */

/* So that it goes on leading. */
static void answer_heartbeat(struct solo *s)
{
    const struct raft_msg *h = &s->sent[RAFT_MSG_HEARTBEAT][3];
    struct raft_msg m = {.type = RAFT_MSG_HEARTBEAT_REPLY,
                         .from = 3,
                         .to = 1,
                         .term = h->term,
                         .heartbeat_reply = {.stamp = h->heartbeat.stamp,
                                             .round = h->heartbeat.round}};

    if (h->term > 0)
        replica_on_message(s->r, &m);
}

void solo_turn(struct solo *s)
{
    replica_turn(s->r);
}

void solo_wait(struct solo *s, px_ns duration)
{
    px_ns end = s->now + duration;

    for (unsigned turns = 0; s->now < end; turns++) {
        px_ns deadline = replica_deadline(s->r);

        assert_true(turns < 10000); /* it does not spin */
        s->now = deadline < end ? deadline : end;
        solo_turn(s);
        answer_heartbeat(s);
        assert_true(s->failed != NULL || replica_deadline(s->r) > s->now);
    }
}

void solo_sync(struct solo *s)
{
    while (!px_list_empty(&s->writes)) {
        struct replica_write *w = px_list_entry(px_list_pop_front(&s->writes),
                                                struct replica_write, link);

        px_list_init(&w->link);
        s->is_reset |= w->has_reset;
        replica_on_durable(s->r, w);
    }
    solo_turn(s);
}

void solo_apply(struct solo *s)
{
    struct replica_apply *job = s->apply;

    assert_non_null(job);
    s->apply = NULL;
    apply_now(s, job);
    solo_turn(s);
}

/* ---- Peers ---- */

void solo_follow(struct solo *s, raft_id leader, raft_term term)
{
    struct raft_msg m = {.type = RAFT_MSG_HEARTBEAT,
                         .from = leader,
                         .to = 1,
                         .term = term,
                         .heartbeat = {.stamp = s->now, .round = 1}};

    replica_on_message(s->r, &m);
    solo_turn(s);
}

void solo_append(struct solo *s, raft_id leader, raft_term term,
                 struct raft_pos prev, size_t count, raft_index commit)
{
    struct raft_entry entries[16];
    struct raft_msg m = {.type = RAFT_MSG_APPEND,
                         .from = leader,
                         .to = 1,
                         .term = term,
                         .append = {.prev = prev,
                                    .commit = commit,
                                    .count = count,
                                    .entries = entries}};

    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct raft_entry){.pos = {term, prev.index + 1 + i},
                                         .kind = RAFT_ENTRY_NOOP};
    replica_on_message(s->r, &m);
    solo_turn(s);
}

static void grant(struct solo *s, enum raft_msg_type asked,
                  enum raft_msg_type answer)
{
    const struct raft_msg *ask = &s->sent[asked][3];
    struct raft_msg m = {.type = answer,
                         .from = 3,
                         .to = 1,
                         .term = ask->term,
                         .vote_reply.is_granted = true};

    assert_true(ask->term > 0);
    replica_on_message(s->r, &m);
    solo_turn(s);
    solo_sync(s);
}

void solo_lead(struct solo *s)
{
    struct raft_status status;

    solo_wait(s, 4 * SOLO_ELECTION);
    grant(s, RAFT_MSG_PRE_VOTE, RAFT_MSG_PRE_VOTE_REPLY);
    grant(s, RAFT_MSG_VOTE, RAFT_MSG_VOTE_REPLY);
    replica_get_status(s->r, &status);
    assert_int_equal(status.role, RAFT_LEADER);
}

void solo_lack_base(struct solo *s, raft_id peer)
{
    const struct raft_msg *a = &s->sent[RAFT_MSG_APPEND][peer];
    struct raft_msg m = {
        .type = RAFT_MSG_APPEND_REPLY, .from = peer, .to = 1, .term = a->term};

    assert_true(a->term > 0);
    m.append_reply.match = a->append.prev.index;
    m.append_reply.conflict.index = 1;
    replica_on_message(s->r, &m);
    solo_turn(s);
}

void solo_hear(struct solo *s, raft_id from, enum net_snapshot_what what,
               struct raft_pos pos, uint64_t bytes, uint64_t offset,
               size_t size)
{
    struct net_snapshot said = {.what = what,
                                .from = from,
                                .term = s->r->status.term,
                                .pos = pos,
                                .bytes = bytes,
                                .offset = offset};
    struct px_buf *buf = size > 0 ? px_buf_new(size) : NULL;

    if (buf != NULL) {
        memset(buf->data, 'p', size);
        said.data = px_slice_of(buf, 0, size);
    }
    replica_on_transfer(s->r, &said);
    px_slice_unref(&said.data);
    solo_turn(s);
}

const struct net_snapshot *solo_said(const struct solo *s)
{
    return s->said_count > 0 ? &s->said[s->said_count - 1] : NULL;
}

size_t solo_said_count(const struct solo *s, enum net_snapshot_what what)
{
    size_t count = 0;

    for (size_t i = 0; i < s->said_count; i++)
        count += s->said[i].what == what;
    return count;
}

/* ---- Jobs ---- */

struct replica_snapshot_job *solo_job(struct solo *s)
{
    return px_list_empty(&s->jobs)
               ? NULL
               : px_list_entry(s->jobs.next, struct replica_snapshot_job, link);
}

static void fill_in(struct solo *s, struct replica_snapshot_job *job)
{
    if (job->what == REPLICA_READ) {
        struct px_buf *buf = px_buf_new(job->size);

        assert_non_null(buf);
        memset(buf->data, 'p', job->size);
        job->data = px_slice_of(buf, 0, job->size);
    } else if (job->what == REPLICA_SAVE) {
        job->info.pos = store_state_applied(s->states[s->adopted]);
        job->info.bytes = SNAPSHOT_BYTES;
    } else if (job->what == REPLICA_STORE) {
        job->info.config = s->r->config;
    }
}

void solo_job_done(struct solo *s, int rc)
{
    struct replica_snapshot_job *job = solo_job(s);

    assert_non_null(job);
    (void)px_list_pop_front(&s->jobs);
    s->job_count--;
    if (rc == 0)
        fill_in(s, job);
    replica_on_snapshot(s->r, job, rc);
    solo_turn(s);
}
