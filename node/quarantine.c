/* The state here is not what a majority of the voters has (hashes.c): from then
 * on nothing of it is shown, and another one takes its place, without a person.
 *
 *   begun ──▶ requests end with EIO, raft is passive, nothing more is applied
 *     │       MARK ─▶ the mark is durable: a restart comes back to here
 *     ├─────▶ ASK the leader ─▶ its snapshot comes in (transfer_in.c)
 *     └───────────────────────────────────────▶ adopted: healthy again
 *
 * The log is not in doubt. So the node goes on voting and acknowledging, and
 * what it lets go of in memory it reads back from disk later.
 *
 * The snapshot that replaces the state has to be one of the index where it was
 * found to differ, or later: what this node applied wrongly is then not applied
 * here again. And of the log's base or later, so that the log can follow on it:
 * the snapshots made here may be as wrong as the state, and are not used. Where
 * the leader has none that is new enough, it makes one. */
#include <stdlib.h>

#include "base/mutant.h"
#include "base/note.h"
#include "node/replica_core.h"

bool replica_is_quarantined(const struct replica *r)
{
    return r->quarantine.of.index != 0;
}

bool replica_is_healing(const struct replica *r)
{
    return r->applied < r->quarantine.let_go;
}

void replica_get_divergence(const struct replica *r,
                            struct replica_divergence *out)
{
    *out = r->quarantine.of;
}

/* ---- In ---- */

/* A start that does not know of it would serve until the next comparison. */
static void start_mark(struct replica *r)
{
    struct replica_snapshot_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return; /* so it is, then, if it is restarted */
    job->what = REPLICA_MARK;
    job->divergence = r->quarantine.of;
    r->quarantine.is_marking = true;
    r->io.snapshot(r->io.ctx, job);
}

void quarantine_on_marked(struct replica *r)
{
    r->quarantine.is_marking = false; /* an error has been noted */
}

static bool is_to_be_passive(const struct replica *r)
{
    return replica_is_quarantined(r) || replica_is_healing(r);
}

static void tell_raft(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_PASSIVE,
                         .is_passive = is_to_be_passive(r)};

    r->quarantine.is_passive = in.is_passive;
    (void)replica_step(r, &in); /* always taken */
}

static void enter(struct replica *r, const struct replica_divergence *d)
{
    px_note(PX_NOTE_ERROR,
            "node: quarantined, its state differs from the others': "
            "index=%llu own=%016llx others=%016llx",
            (unsigned long long)d->index, (unsigned long long)d->own,
            (unsigned long long)d->others);
    r->quarantine.of = *d;
}

void quarantine_init(struct replica *r, const struct replica_divergence *marked)
{
    if (marked->index > 0)
        enter(r, marked);
}

void quarantine_begin(struct replica *r, const struct replica_divergence *d)
{
    enter(r, d);
    r->quarantine.ask_at = replica_now(r) + r->heartbeat;
    r->counters.divergences++;
    commands_refuse(r);
    reads_refuse(r);
    tell_raft(r);
    snapshots_cancel(
        r); /* of a state that is wrong; and its end is waited for */
    start_mark(r);
}

/* ---- While it lasts ---- */

static raft_index larger(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

static raft_index index_needed(const struct replica *r)
{
    raft_index index =
        px_mutant(REBUILT_FROM_BEFORE) ? 1 : r->quarantine.of.index;

    index = larger(index, r->status.base.index);
    index = larger(index, r->snapshots.saved.pos.index);
    return larger(index, r->snapshots.newest.pos.index);
}

bool quarantine_takes(const struct replica *r, raft_index index)
{
    return replica_is_quarantined(r) && index >= index_needed(r);
}

/* What is committed is not applied, nor is it needed in memory. */
static void let_go_of_log(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_APPLIED, .applied = r->commit};

    if (r->commit > r->status.applied)
        (void)replica_step(r, &in); /* it has no error to report */
}

static void ask(struct replica *r, px_ns now)
{
    const struct net_snapshot s = {
        .what = NET_SNAPSHOT_ASK,
        .from = r->id,
        .term = r->status.term,
        .pos = {.index = index_needed(r)},
    };

    r->quarantine.ask_at = now + r->election;
    if (r->status.leader != 0)
        (void)r->io.transfer(r->io.ctx, r->status.leader, &s); /* or then */
}

void quarantine_turn(struct replica *r, px_ns now)
{
    struct quarantine *q = &r->quarantine;

    if (q->is_passive != is_to_be_passive(r))
        tell_raft(r); /* the state was marked at the start; or is whole again */
    if (!replica_is_quarantined(r))
        return;
    let_go_of_log(r);
    if (r->in.state == TRANSFER_IDLE && now >= q->ask_at)
        ask(r, now);
}

px_ns quarantine_deadline(const struct replica *r)
{
    return replica_is_quarantined(r) && r->in.state == TRANSFER_IDLE
               ? r->quarantine.ask_at
               : PX_NS_NEVER;
}

/* ---- Out ---- */

void quarantine_on_adopted(struct replica *r)
{
    if (!replica_is_quarantined(r))
        return;
    px_note(PX_NOTE_INFO, "node: healthy again, its state is the leader's");
    r->quarantine.of = (struct replica_divergence){0};
    r->snapshots.saved = (struct store_snapshot_info){0}; /* of the wrong one */
}

/* The log's head goes, as after a snapshot of our own: raft has not heard of
 * this one, if it was no news to the log. */
void quarantine_leave(struct replica *r)
{
    struct raft_in in = {.type = RAFT_IN_COMPACTED,
                         .compacted = r->snapshots.newest.pos.index};

    let_go_of_log(r);
    r->quarantine.let_go = r->status.applied;
    if (in.compacted > r->status.base.index)
        (void)replica_step(r, &in); /* it has no error to report */
    tell_raft(r);
}
