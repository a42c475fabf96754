/* One input at a time into raft, and its outputs carried out in their order;
 * at the end of a turn, what has gathered leaves together:
 *
 *   inputs ─▶ replica_step ─▶ carry_out ─▶ messages queued, writes listed,
 *                                          commit moved
 *   turn   ─▶ commands_send, reads_ask ─▶ flush, write ─▶ apply ─▶ answers
 *                      ▲                                     │
 *                      └──────── while something was applied ┘ */
#include "node/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "base/text.h"
#include "node/replica_core.h"

px_ns replica_now(const struct replica *r)
{
    return r->io.now(r->io.ctx);
}

void replica_fail(struct replica *r, const char *why, int rc)
{
    r->has_failed = true;
    r->io.fail(r->io.ctx, why, rc);
}

static px_ns min_ns(px_ns a, px_ns b)
{
    return a < b ? a : b;
}

struct fs_wait *replica_first_due(const struct px_list *waits, px_ns now)
{
    px_list_for_each (it, waits) {
        struct fs_wait *w = px_list_entry(it, struct fs_wait, link);

        if (w->deadline <= now)
            return w;
    }
    return NULL;
}

px_ns replica_earliest(const struct px_list *waits)
{
    px_ns earliest = PX_NS_NEVER;

    px_list_for_each (it, waits)
        earliest =
            min_ns(earliest, px_list_entry(it, struct fs_wait, link)->deadline);
    return earliest;
}

/* ---- What a step asks for ---- */

/* An APPEND that did not leave is lost: raft hears of it at the next turn. */
static void send_message(struct replica *r, const struct raft_msg *msg)
{
    if (r->io.send(r->io.ctx, msg) == 0 || msg->type != RAFT_MSG_APPEND)
        return;
    for (size_t i = 0; i < r->missed_count; i++) {
        if (r->missed[i] == msg->to)
            return;
    }
    if (r->missed_count < RAFT_MEMBERS_MAX) /* else raft notices it later */
        r->missed[r->missed_count++] = msg->to;
}

/* The write of @out as one job, listed for the end of the turn. */
static int list_write(struct replica *r, const struct raft_out *out)
{
    size_t count = out->append_count;
    struct replica_write *w;

    w = malloc(sizeof *w + count * sizeof w->entries[0]);
    if (w == NULL)
        return -ENOMEM;
    px_list_init(&w->link);
    px_list_init(&w->track);
    w->write = out->write;
    r->listed_seq = out->write.seq;
    w->has_hard = out->hard != NULL;
    if (w->has_hard)
        w->hard = *out->hard;
    w->has_reset = out->reset != NULL;
    if (w->has_reset)
        w->reset = *out->reset;
    w->first = count > 0 ? out->append[0].pos.index : 0;
    w->count = count;
    for (size_t i = 0; i < count; i++) {
        w->entries[i] = out->append[i];
        if (!px_mutant(ENTRIES_NOT_HELD))
            (void)px_slice_ref(w->entries[i].data); /* held by the copy */
    }
    px_list_push_back(&r->writes, &w->link);
    px_list_push_back(&r->under_way, &w->track);
    r->counters.log_writes++;
    return 0;
}

static void write_free(struct replica_write *w)
{
    px_list_remove(&w->link);
    px_list_remove(&w->track);
    for (size_t i = 0; i < w->count && !px_mutant(ENTRIES_NOT_HELD); i++)
        px_slice_unref(&w->entries[i].data);
    free(w);
}

/* N5. A full queue drops, as a network may. */
static void hold_messages(struct replica *r, const struct raft_out *out)
{
    bool is_durable = out->after_seq <= r->durable_seq;

    for (size_t i = 0; i < out->after.count; i++) {
        if (is_durable || px_mutant(HELD_MSGS_EARLY))
            send_message(r, &out->after.list[i]);
        else if (r->held_count < HELD_MSGS_MAX)
            r->held[r->held_count++] =
                (struct held_msg){out->after_seq, out->after.list[i]};
    }
}

static void release_messages(struct replica *r)
{
    size_t kept = 0;

    if (r->is_stopping || r->has_failed)
        return;
    for (size_t i = 0; i < r->held_count; i++) {
        if (r->held[i].seq <= r->durable_seq)
            send_message(r, &r->held[i].msg);
        else
            r->held[kept++] = r->held[i];
    }
    r->held_count = kept;
}

static void start_fetch(struct replica *r, const struct raft_fetch *want)
{
    struct replica_fetch *job = calloc(1, sizeof *job);

    if (job == NULL) {
        replica_fail(r, "no memory to read the log", -ENOMEM);
        return;
    }
    job->want = *want;
    r->io.fetch(r->io.ctx, job);
}

static void carry_out(struct replica *r, const struct raft_out *out)
{
    for (size_t i = 0; i < out->now.count; i++)
        send_message(r, &out->now.list[i]);
    if (out->write.seq != 0 && list_write(r, out) < 0)
        replica_fail(r, "no memory for a write of the log", -ENOMEM);
    hold_messages(r, out);
    px_assert(out->commit >= r->commit);
    r->commit = out->commit;
    if (out->is_installed)
        transfer_in_adopt(r, out->reset != NULL);
    px_assert(r->applied <= r->commit); /* N1 */
    if (out->lost != 0) {
        r->is_recovered = false;
        r->counters.losses_noticed++;
        r->io.lost(r->io.ctx, out->lost);
    }
    if (out->is_recovered) {
        r->counters.log_repairs++;
        r->is_recovered = !px_mutant(NOTE_GONE_EARLY);
        if (!r->is_recovered)
            r->io.recovered(r->io.ctx);
    }
    if (out->reads.id != 0)
        reads_on_ready(r, out->reads);
    for (size_t i = 0; i < out->fetch_count; i++)
        start_fetch(r, &out->fetches[i]);
    for (size_t i = 0; i < out->snapshot_count; i++)
        transfer_out_start(r, out->snapshots[i].peer);
    r->raft_deadline = out->deadline;
}

int replica_step(struct replica *r, struct raft_in *in)
{
    raft_term term = r->status.term;
    raft_id leader = r->status.leader;
    enum raft_role role = r->status.role;
    struct raft_out out;
    int rc;

    if (r->is_stopping || r->has_failed)
        return -EAGAIN; /* nothing leaves any more */
    in->now = replica_now(r);
    rc = raft_step(r->raft, in, &out);
    carry_out(r, &out);
    raft_get_status(r->raft, &r->status);
    changes_look(r);
    if (r->status.role == RAFT_LEADER && role != RAFT_LEADER)
        r->counters.elections++;
    if (r->status.term != term || r->status.leader != leader)
        commands_send_again(r);
    return rc;
}

/* ---- Inputs ---- */

void replica_on_message(struct replica *r, const struct raft_msg *msg)
{
    struct raft_in in = {.type = RAFT_IN_MSG, .msg = msg};

    (void)replica_step(r, &in); /* a message has no error to report */
}

void replica_on_peer_down(struct replica *r, raft_id peer)
{
    struct raft_in in = {.type = RAFT_IN_UNREACHABLE, .unreachable = peer};

    (void)replica_step(r, &in); /* nor has this */
}

void replica_on_durable(struct replica *r, struct replica_write *w)
{
    struct raft_in in = {.type = RAFT_IN_DURABLE, .durable = w->write};

    px_assert(w->write.seq > r->durable_seq);
    r->durable_seq = w->write.seq;
    write_free(w);
    (void)replica_step(r, &in); /* nor has this */
    release_messages(r);
}

/* Entries that have left the log meanwhile are not needed, and memory may come
 * back; damage ends the process, and its start mends it. */
static bool is_unreadable(int rc)
{
    return rc < 0 && rc != -ENOENT && rc != -ENOMEM && rc != -PX_ECORRUPT;
}

void replica_on_fetched(struct replica *r, struct replica_fetch *job, int rc)
{
    struct raft_in in = {.type = RAFT_IN_FETCHED};

    px_assert(rc <= (int)PX_BATCH_ENTRIES_MAX);
    job->count = rc > 0 ? (size_t)rc : 0;
    in.fetched.peer = job->want.peer;
    in.fetched.first = job->want.first;
    in.fetched.entries = job->entries;
    in.fetched.count = job->count;
    (void)replica_step(r, &in); /* nor has this */
    for (size_t i = 0; i < job->count; i++)
        px_slice_unref(&job->entries[i].data);
    if (is_unreadable(rc))
        snapshots_on_unreadable(r, job->want.first, rc);
    free(job);
}

void replica_on_loss_noted(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_NOTED};

    (void)replica_step(r, &in); /* it has no error to report */
}

void replica_on_recovered(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_RECOVERED};

    (void)replica_step(r, &in); /* it has no error to report */
}

int replica_hand_over(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_TRANSFER};

    return replica_step(r, &in);
}

/* ---- Applying ---- */

/* The next batch into the job: from raft's memory, or to be read. */
static void fill_job(struct replica *r)
{
    struct replica_apply *job = r->apply_job;
    raft_index limit = hashes_limit(r);
    size_t max = PX_BATCH_ENTRIES_MAX;

    job->first = r->applied + 1;
    job->last = r->commit < limit ? r->commit : limit;
    if (job->last - r->applied < max)
        max = (size_t)(job->last - r->applied);
    job->count = raft_committed(r->raft, job->first, job->entries, max);
    job->from_log = job->count == 0;
    job->bytes = 0;
    job->applied = 0;
    job->orphans.count = 0;
    for (size_t i = 0; i < job->count; i++) {
        (void)px_slice_ref(job->entries[i].data); /* until it is applied */
        job->bytes += job->entries[i].data.size;
    }
}

static void drop_job(struct replica_apply *job)
{
    for (size_t i = 0; i < job->count; i++)
        px_slice_unref(&job->entries[i].data);
    job->count = 0;
}

/* Starts applying; true if something has been applied by the time it is back.*/
static bool apply_some(struct replica *r)
{
    raft_index before = r->applied;

    if (r->is_applying || r->applied >= r->commit ||
        r->in.state == TRANSFER_LOADED || replica_is_quarantined(r)) /* N7 */
        return false;
    fill_job(r);
    r->is_applying = true;
    r->io.apply(r->io.ctx, r->apply_job);
    return r->applied > before;
}

void replica_on_applied(struct replica *r, struct replica_apply *job, int rc)
{
    struct raft_in in = {.type = RAFT_IN_APPLIED};
    bool had_session = r->commands.session != 0;

    px_assert(r->is_applying && job == r->apply_job); /* N4 */
    r->is_applying = false;
    if (rc >= 0) {
        px_assert(job->applied > 0 && job->applied <= job->count);
        px_assert(job->entries[0].pos.index == r->applied + 1);
        r->applied += job->applied;
        px_assert(r->applied <= r->commit);
        r->counters.entries_applied += job->applied;
        r->counters.batches_applied++;
        in.applied = r->applied;
        if (in.applied > r->status.applied) /* not again, after a quarantine */
            (void)replica_step(r, &in);     /* it has no error to report */
        hashes_on_applied(r, job);
    }
    if (rc >= 0 && !replica_is_quarantined(r)) { /* N7 */
        for (size_t i = 0; i < job->applied; i++)
            commands_on_result(r, &job->results[i]);
        if (had_session)
            orphans_add(r, &job->orphans);
        else
            orphans_add_held(r); /* one opened before a snapshot, perhaps */
        reads_on_applied(r);
    }
    drop_job(job);
    /* Without room it comes again, perhaps elsewhere. */
    if (rc < 0 && rc != -ENOSPC && !px_mutant(APPLY_FAILURE_IGNORED))
        replica_fail(r, "applying the log failed", rc);
}

/* ---- The turn ---- */

static void tell_missed(struct replica *r)
{
    size_t count = r->missed_count;
    raft_id missed[RAFT_MEMBERS_MAX];

    memcpy(missed, r->missed, count * sizeof missed[0]);
    r->missed_count = 0;
    for (size_t i = 0; i < count; i++)
        replica_on_peer_down(r, missed[i]);
}

/* That the log is whole may rest on its reset to a snapshot. */
static void hand_over(struct replica *r)
{
    bool is_recovered = r->is_recovered;

    if (!px_list_empty(&r->writes))
        r->io.write(r->io.ctx, &r->writes);
    r->is_recovered = false;
    if (is_recovered && !r->has_failed)
        r->io.recovered(r->io.ctx);
}

void replica_turn(struct replica *r)
{
    px_ns now = replica_now(r);

    if (r->is_stopping || r->has_failed)
        return;
    if (now >= r->raft_deadline) {
        struct raft_in in = {.type = RAFT_IN_TICK};

        (void)replica_step(r, &in); /* it has no error to report */
    }
    commands_expire(r, now);
    reads_expire(r, now);
    transfer_in_turn(r, now);
    transfer_out_turn(r, now);
    snapshots_turn(r, now);
    quarantine_turn(r, now);
    changes_turn(r, now);
    do {
        reads_on_applied(r);
        orphans_turn(r, now);
        quota_turn(r, now);
        hashes_turn(r, now);
        tell_missed(r);
        commands_send(r);
        reads_ask(r);
        r->io.flush(r->io.ctx);
        hand_over(r);
    } while (apply_some(r) && !r->has_failed);
}

px_ns replica_deadline(const struct replica *r)
{
    px_ns deadline = r->raft_deadline;

    deadline = min_ns(deadline, commands_deadline(r));
    deadline = min_ns(deadline, reads_deadline(r));
    deadline = min_ns(deadline, snapshots_deadline(r));
    deadline = min_ns(deadline, transfer_out_deadline(r));
    deadline = min_ns(deadline, transfer_in_deadline(r));
    deadline = min_ns(deadline, quota_deadline(r));
    deadline = min_ns(deadline, quarantine_deadline(r));
    deadline = min_ns(deadline, changes_deadline(r));
    return min_ns(deadline, orphans_deadline(r));
}

/* ---- Life ---- */

int replica_open(const struct replica_options *options,
                 const struct replica_io *io, struct replica **replica_out)
{
    struct raft_options raft = options->raft;
    struct replica *r = calloc(1, sizeof *r);
    struct px_text name;
    int rc = -ENOMEM;

    if (r == NULL)
        return -ENOMEM;
    r->io = *io;
    px_list_init(&r->writes);
    px_list_init(&r->under_way);
    px_list_init(&r->changes);
    px_text_init(&name, r->node, sizeof r->node);
    px_text_add(&name, "%s", options->node);
    r->id = raft.id;
    r->incarnation = options->incarnation;
    r->start = options->start;
    r->election = raft.election;
    r->heartbeat = raft.heartbeat;
    r->request_timeout = options->request_timeout;
    r->view = options->view;
    r->snapshots.newest = options->snapshot;
    r->snapshots.bytes_min = options->snapshot_bytes;
    r->applied = raft.applied;
    r->commit = raft.applied;
    quarantine_init(r, &options->divergence);
    reads_init(r);
    orphans_init(r);
    quota_init(r, options->quota_bytes);
    hashes_init(r, options->hash_every);
    rc = commands_init(r);
    if (rc < 0)
        goto fail;
    rc = -ENOMEM;
    r->held = calloc(HELD_MSGS_MAX, sizeof *r->held);
    r->apply_job = calloc(1, sizeof *r->apply_job);
    if (r->held == NULL || r->apply_job == NULL)
        goto fail;
    raft.now = replica_now(r);
    rc = raft_new(&raft, &r->raft);
    if (rc < 0)
        goto fail;
    raft_get_status(r->raft, &r->status);
    r->config_changes = UINT64_MAX; /* not looked at yet */
    changes_look(r);
    r->raft_deadline = raft.now; /* the first tick says when to come again */
    *replica_out = r;
    return 0;
fail:
    replica_close(r);
    return rc;
}

void replica_stop(struct replica *r)
{
    r->is_stopping = true;
    commands_stop(r);
    reads_stop(r);
    changes_stop(r);
}

void replica_close(struct replica *r)
{
    if (r == NULL)
        return;
    while (!px_list_empty(&r->under_way))
        write_free(
            px_list_entry(r->under_way.next, struct replica_write, track));
    commands_fini(r);
    orphans_fini(r);
    transfer_in_fini(r);
    if (r->apply_job != NULL) {
        drop_job(r->apply_job); /* one that never came back */
        free(r->apply_job->orphans.inodes);
    }
    free(r->apply_job);
    free(r->held);
    raft_free(r->raft);
    free(r);
}

/* ---- To look at ---- */

void replica_get_status(const struct replica *r, struct raft_status *out)
{
    raft_get_status(r->raft, out);
    out->applied = r->applied;
}

size_t replica_get_peers(const struct replica *r,
                         struct raft_peer_status *peers, size_t max)
{
    return raft_get_peers(r->raft, peers, max);
}

void replica_get_counters(const struct replica *r, struct replica_counters *out)
{
    *out = r->counters;
}

bool replica_has_requests(const struct replica *r)
{
    const struct commands *cs = &r->commands;

    return cs->floor < cs->next_sequence || !px_list_empty(&cs->queue) ||
           !px_list_empty(&r->reads.list);
}

bool replica_is_ready(const struct replica *r)
{
    if (r->commands.session == 0 || r->status.is_installing ||
        replica_is_quarantined(r) || replica_is_healing(r))
        return false;
    if (r->status.role == RAFT_LEADER)
        return r->status.can_serve;
    return r->status.leader != 0;
}

int replica_percent_installed(const struct replica *r)
{
    const struct store_snapshot_info *info = &r->in.info;

    return info->bytes > 0 ? (int)(100 * r->in.stored / info->bytes) : 0;
}

uint64_t replica_session(const struct replica *r)
{
    return r->commands.session;
}
