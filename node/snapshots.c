/* When a snapshot is made, and what follows from having one.
 *
 *   the log has grown ─▶ SAVE, in the background ─▶ durable here
 *                                                     ├─▶ raft moves its base
 *                                                     └─▶ the log's head goes
 *
 * One is made when the log has grown, since the last one was begun, by more than
 * bytes_min and than half that snapshot: what is written for snapshots is then
 * at most twice what is written anyway, and a node keeps a state, two snapshots
 * (the next one, too, while it is made) and a log of half as much. None is made
 * while one travels: a follower that is far behind would be sent one that is
 * replaced before it has arrived, again and again. A log that has grown by four
 * times as much goes first all the same.
 *
 * One is made sooner where the disk would have no room for it any more by then,
 * if there is a segment of the log, about, that it may free. And at any size
 * where somebody wants it: a person, a peer that can use no older one, or the
 * leader itself, whose disk does not give what a peer lacks. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/replica_core.h"

#define SAVE_RETRY (10 * PX_NS_PER_S)
#define UNREADABLE_NOTE_INTERVAL (10 * PX_NS_PER_S)
#define PATIENCE_FACTOR 4u
/* Of bytes_min: the log's growth that is worth a snapshot where room is short;
 * and how much more there is when that is looked at again. */
#define SHORT_PART 4u
#define LOOK_PART 64u
/* What the log takes while one is made, at a guess: such a part of it, and of
 * bytes_min. */
#define MARGIN_PART 8u

static uint64_t due_bytes(const struct snapshots *s)
{
    uint64_t half = s->newest.bytes / 2;

    return half > s->bytes_min ? half : s->bytes_min;
}

/* The log goes by whole segments, and some time after the snapshot, so its
 * length does not tell. What is cut and written between two looks is missed. */
static void watch_log(struct replica *r)
{
    struct snapshots *s = &r->snapshots;
    uint64_t bytes = r->io.log_bytes(r->io.ctx);

    if (bytes > s->log_bytes)
        s->grown += bytes - s->log_bytes;
    s->log_bytes = bytes;
}

/* Asks the disk, so not at each turn. */
static bool is_room_short(struct replica *r)
{
    struct snapshots *s = &r->snapshots;
    uint64_t needed =
        s->newest.bytes + (s->newest.bytes + s->bytes_min) / MARGIN_PART;

    if (r->io.snapshot_room == NULL || s->grown < s->bytes_min / SHORT_PART ||
        s->grown < s->looked + s->bytes_min / LOOK_PART)
        return false;
    s->looked = s->grown;
    return r->io.snapshot_room(r->io.ctx) < needed;
}

static bool is_due(struct replica *r)
{
    const struct snapshots *s = &r->snapshots;
    unsigned patience;

    if (s->is_wanted)
        return r->applied > 0; /* perhaps in place of one that is damaged */
    if (r->applied <= s->newest.pos.index)
        return false; /* there is nothing new */
    /* What travels is to arrive; but without room for the next one, nothing will
     * be cut any more. */
    patience = transfer_out_is_busy(r) ? PATIENCE_FACTOR : 1;
    return s->grown > patience * due_bytes(s) || is_room_short(r);
}

static void start_save(struct replica *r)
{
    struct replica_snapshot_job *job = calloc(1, sizeof *job);

    r->snapshots.save_after = replica_now(r) + SAVE_RETRY;
    if (job == NULL)
        return; /* tried again then */
    job->what = REPLICA_SAVE;
    raft_get_config_applied(r->raft, &job->info.config);
    job->info.bytes = r->snapshots.newest.bytes;
    r->snapshots.saving = job;
    r->snapshots.grown_before = r->snapshots.grown;
    r->snapshots.grown = 0;
    r->snapshots.looked = 0;
    if (px_mutant(LOG_CUT_EARLY))
        r->io.cut_log(r->io.ctx, r->applied);
    r->io.snapshot(r->io.ctx, job);
}

/* A state is seen to hold an entry a moment before it is said to be applied:
 * till then the snapshot waits, for raft would not believe it. */
static void take_saved(struct replica *r)
{
    struct snapshots *s = &r->snapshots;
    struct raft_in in = {.type = RAFT_IN_COMPACTED};

    if (s->saved.pos.index == 0 || s->saved.pos.index > r->applied)
        return;
    if (s->saved.pos.index >= s->newest.pos.index) { /* else one was installed
                                                        meanwhile */
        s->newest = s->saved;
        in.compacted = s->saved.pos.index;
        (void)replica_step(r, &in); /* it has no error to report */
        r->io.cut_log(r->io.ctx, s->saved.pos.index);
    }
    s->saved = (struct store_snapshot_info){0};
}

static void on_saved(struct replica *r, const struct store_snapshot_info *info,
                     int rc)
{
    struct snapshots *s = &r->snapshots;

    s->saving = NULL;
    if (rc < 0) { /* whoever saves has noted why; SAVE_RETRY later again */
        s->grown += s->grown_before;
        return;
    }
    r->counters.snapshots_saved++;
    s->is_wanted = false;
    s->save_after = 0;
    s->saved = *info;
    take_saved(r);
}

void replica_on_snapshot(struct replica *r, struct replica_snapshot_job *job,
                         int rc)
{
    switch (job->what) {
    case REPLICA_SAVE:
        on_saved(r, &job->info, rc);
        break;
    case REPLICA_READ:
        transfer_out_on_read(r, job, rc);
        break;
    case REPLICA_STORE:
        transfer_in_on_stored(r, job, rc);
        break;
    case REPLICA_LOAD:
        transfer_in_on_loaded(r, rc);
        break;
    case REPLICA_MARK:
        quarantine_on_marked(r);
        break;
    case REPLICA_CLEAN:
        break; /* an error has been noted; the next save tries again */
    }
    px_slice_unref(&job->data);
    free(job);
}

void replica_on_transfer(struct replica *r, const struct net_snapshot *s)
{
    if (r->is_stopping || r->has_failed)
        return;
    switch (s->what) {
    case NET_SNAPSHOT_OFFER:
        transfer_in_on_offer(r, s);
        break;
    case NET_SNAPSHOT_PIECE:
        transfer_in_on_piece(r, s);
        break;
    case NET_SNAPSHOT_WANT:
        transfer_out_on_want(r, s);
        break;
    case NET_SNAPSHOT_DONE:
    case NET_SNAPSHOT_REFUSED:
        transfer_out_on_end(r, s);
        break;
    case NET_SNAPSHOT_ASK:
        transfer_out_on_ask(r, s);
        break;
    }
}

void replica_want_snapshot(struct replica *r)
{
    snapshots_want(r);
    r->snapshots.save_after = 0;
}

void snapshots_want(struct replica *r)
{
    r->snapshots.is_wanted = true;
}

/* To ask again would end the same way, and the peer would lack them for ever.
 * Raft's base moves past what is applied, and the peer gets a snapshot for it.
 * What is not applied yet ends the process when it is to be, or is never
 * committed. */
void snapshots_on_unreadable(struct replica *r, raft_index index, int rc)
{
    struct snapshots *s = &r->snapshots;
    px_ns now = replica_now(r);

    r->counters.fetches_failed++;
    if (index <= r->status.base.index)
        return; /* one has been made meanwhile */
    if (now >= s->unreadable_note_at) {
        s->unreadable_note_at = now + UNREADABLE_NOTE_INTERVAL;
        px_note(PX_NOTE_WARN, "log: can't be read for a peer: entry=%llu: %s",
                (unsigned long long)index, px_strerror(rc));
    }
    if (index <= r->applied)
        snapshots_want(r);
}

void snapshots_cancel(struct replica *r)
{
    if (r->snapshots.saving != NULL)
        atomic_store(&r->snapshots.saving->is_cancelled, true);
}

void snapshots_turn(struct replica *r, px_ns now)
{
    struct snapshots *s = &r->snapshots;

    take_saved(r);
    watch_log(r);
    if (now >= s->save_after)
        s->save_after = 0;
    /* Of a state that is about to be replaced none is made. */
    if (s->saving == NULL && s->save_after == 0 &&
        r->in.state == TRANSFER_IDLE && !replica_is_quarantined(r) && is_due(r))
        start_save(r);
}

px_ns snapshots_deadline(const struct replica *r)
{
    const struct snapshots *s = &r->snapshots;

    /* Growth comes with turns of its own. */
    return s->saving != NULL || s->save_after == 0 ? PX_NS_NEVER
                                                   : s->save_after;
}
