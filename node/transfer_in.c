/* A snapshot from the leader.
 *
 *   IDLE ──OFFER──▶ RECEIVING ──the last piece is durable──▶ LOADING
 *    ▲                │  ▲                                      │ a new state
 *    │   silence      │  └─ a piece is stored ─▶ WANT           │ is built
 *    ├────────────────┘                                         ▼
 *    └──────────────────── adopted between two applies ──── LOADED ─▶ DONE
 *
 * From RECEIVING on raft neither campaigns nor takes leadership over. Pieces
 * are stored one after the other; what comes meanwhile waits in a ring, and
 * what doesn't fit, or doesn't follow, is dropped: where we stand is said again
 * after a while, and the leader goes on from there. Who offers the same
 * snapshot later, after a silence or as another leader (replicas write the same
 * bytes at the same index), goes on where the last one ended; any other offer
 * begins anew, and so does that of one that had come whole: it was loaded in vain,
 * or the state made of it was found to be wrong later. What can't be stored, or is
 * damaged, is forgotten, and no other is begun for a while.
 *
 * The log may bring meanwhile what the snapshot would, from a leader that has
 * more of it: then it is no news, and dropped.
 *
 * Crash windows: until the last piece is durable, nothing has happened. Then
 * the snapshot is the newest here, and the start does what is left: the log is
 * reset to it if it does not hold its position, and the state is built from
 * it. So the state may be adopted before the log's reset is durable. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/replica_core.h"

/* Election timeouts: without a piece; until another one after a failure. */
#define SILENCE_FACTOR 8u
#define PAUSE_FACTOR 8u

static bool is_same(const struct transfer_in *t, const struct net_snapshot *s)
{
    return t->info.pos.index == s->pos.index &&
           t->info.pos.term == s->pos.term && t->info.bytes == s->bytes;
}

static void say(struct replica *r, raft_id to, enum net_snapshot_what what,
                struct raft_pos pos, uint64_t bytes, uint64_t offset)
{
    const struct net_snapshot s = {
        .what = what,
        .from = r->id,
        .term = r->status.term,
        .pos = pos,
        .bytes = bytes,
        .offset = offset,
    };

    (void)r->io.transfer(r->io.ctx, to, &s); /* said again, or asked again */
}

static void say_where(struct replica *r)
{
    struct transfer_in *t = &r->in;

    t->again_at = replica_now(r) + r->election;
    say(r, t->from, NET_SNAPSHOT_WANT, t->info.pos, t->info.bytes, t->stored);
}

/* From here on, of a sender in @term; 0: it is over. */
static int set_installing(struct replica *r, raft_term term)
{
    struct raft_in in = {.type = RAFT_IN_INSTALLING, .installing = term};

    return replica_step(r, &in);
}

static void drop_ahead(struct transfer_in *t)
{
    for (; t->ahead_count > 0; t->ahead_count--) {
        px_slice_unref(&t->ahead[t->ahead_first]);
        t->ahead_first = (t->ahead_first + 1) % NET_SNAPSHOT_PIECES_AHEAD;
    }
}

static void stop(struct replica *r)
{
    struct transfer_in *t = &r->in;

    drop_ahead(t);
    t->state = TRANSFER_IDLE;
    (void)set_installing(r, 0); /* always taken */
}

/* ---- Offers ---- */

/* Then nothing of it is still to come; and the file may be gone. */
static bool is_complete(const struct transfer_in *t)
{
    return t->stored == t->info.bytes;
}

static void begin(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_in *t = &r->in;

    px_assert(!t->is_storing);
    drop_ahead(t);
    t->from = s->from;
    if (!is_same(t, s) || is_complete(t)) {
        t->info =
            (struct store_snapshot_info){.pos = s->pos, .bytes = s->bytes};
        t->stored = 0;
        px_note(PX_NOTE_INFO,
                "snapshot: comes from the leader: index=%llu bytes=%llu",
                (unsigned long long)s->pos.index, (unsigned long long)s->bytes);
    }
    t->expected = t->stored;
    t->moved_at = replica_now(r);
    t->state = TRANSFER_RECEIVING;
    if (set_installing(r, s->term) < 0) {
        stop(r);
        return;
    }
    t->term_seq = r->listed_seq;
    say_where(r);
}

/* To the log; or, where the state is wrong, to that alone. */
static bool is_wanted(const struct replica *r, raft_index index)
{
    return index > r->commit || quarantine_takes(r, index);
}

void transfer_in_on_offer(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_in *t = &r->in;

    if (s->from != r->status.leader || s->term != r->status.term)
        return; /* who leads will offer again */
    if (!is_wanted(r, s->pos.index)) {
        say(r, s->from, NET_SNAPSHOT_DONE, s->pos, s->bytes, s->bytes);
        return;
    }
    if (t->is_storing || replica_now(r) < t->begin_after)
        return; /* later: it is offered again */
    switch (t->state) {
    case TRANSFER_IDLE:
    case TRANSFER_RECEIVING:
        begin(r, s);
        break;
    case TRANSFER_LOADING:
    case TRANSFER_LOADED:
        t->from = s->from;
        if (is_same(t, s))
            say_where(r);
        break; /* what is here comes first */
    }
}

/* ---- Pieces ---- */

/* The sender's term must not be forgotten where the snapshot is not: its last
 * piece, which makes it durable, waits for that. */
static bool may_store(const struct replica *r)
{
    const struct transfer_in *t = &r->in;

    if (t->is_storing || t->ahead_count == 0)
        return false;
    return t->stored + t->ahead[t->ahead_first].size < t->info.bytes ||
           r->durable_seq >= t->term_seq || px_mutant(SNAPSHOT_TERM_LOST);
}

static void store_next(struct replica *r)
{
    struct transfer_in *t = &r->in;
    struct replica_snapshot_job *job;

    if (!may_store(r))
        return;
    job = calloc(1, sizeof *job);
    if (job == NULL) {
        drop_ahead(t);
        t->expected = t->stored;
        return; /* asked for again */
    }
    job->what = REPLICA_STORE;
    job->info = t->info;
    job->offset = t->stored;
    job->data = t->ahead[t->ahead_first]; /* with its reference */
    t->ahead_first = (t->ahead_first + 1) % NET_SNAPSHOT_PIECES_AHEAD;
    t->ahead_count--;
    t->is_storing = true;
    r->io.snapshot(r->io.ctx, job);
}

void transfer_in_on_piece(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_in *t = &r->in;
    unsigned last = t->ahead_first + t->ahead_count;

    if (t->state != TRANSFER_RECEIVING || s->from != t->from ||
        !is_same(t, s) || s->offset != t->expected ||
        t->ahead_count == NET_SNAPSHOT_PIECES_AHEAD)
        return;
    t->ahead[last % NET_SNAPSHOT_PIECES_AHEAD] = px_slice_ref(s->data);
    t->ahead_count++;
    t->expected += s->data.size;
    t->moved_at = replica_now(r);
    store_next(r);
}

static void start_load(struct replica *r)
{
    struct transfer_in *t = &r->in;
    struct replica_snapshot_job *job = calloc(1, sizeof *job);

    if (job == NULL) {
        replica_fail(r, "no memory to load a snapshot", -ENOMEM);
        return;
    }
    job->what = REPLICA_LOAD;
    job->info = t->info;
    job->divergence = r->quarantine.of;
    t->state = TRANSFER_LOADING;
    r->io.snapshot(r->io.ctx, job);
}

/* Damaged, no room, or dropped to make some: whoever stores has noted it. Only of
 * one that came whole and is damaged the end is named: the leader makes another. */
static void refuse(struct replica *r, const struct replica_snapshot_job *job,
                   int rc)
{
    struct transfer_in *t = &r->in;

    say(r, t->from, NET_SNAPSHOT_REFUSED, t->info.pos, t->info.bytes,
        rc == -PX_ECORRUPT ? job->offset + job->data.size : job->offset);
    t->stored = 0; /* nothing to go on from */
    t->begin_after = replica_now(r) + PAUSE_FACTOR * r->election;
    stop(r);
}

void transfer_in_on_stored(struct replica *r,
                           const struct replica_snapshot_job *job, int rc)
{
    struct transfer_in *t = &r->in;

    t->is_storing = false;
    if (t->state != TRANSFER_RECEIVING)
        return;
    if (rc < 0) {
        refuse(r, job, rc);
        return;
    }
    t->stored += job->data.size;
    if (is_complete(t)) {
        t->info = job->info;
        start_load(r);
    } else {
        store_next(r);
    }
    say_where(r);
}

/* ---- A new state ---- */

static bool is_news(const struct replica *r)
{
    return is_wanted(r, r->in.info.pos.index);
}

/* Of what was loaded, in place of what there was or in vain. */
static void start_clean(struct replica *r)
{
    struct replica_snapshot_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return; /* the next save does it, or the next start */
    job->what = REPLICA_CLEAN;
    job->info.pos = r->snapshots.newest.pos;
    r->io.snapshot(r->io.ctx, job);
}

static void no_news(struct replica *r)
{
    const struct transfer_in *t = &r->in;

    say(r, t->from, NET_SNAPSHOT_DONE, t->info.pos, t->info.bytes,
        t->info.bytes);
    stop(r);
}

void transfer_in_on_loaded(struct replica *r, int rc)
{
    if (rc < 0 && !is_news(r)) { /* perhaps it made room for a newer one */
        no_news(r);
        start_clean(r);
        return;
    }
    if (rc < 0) {
        replica_fail(r, "building the state from a snapshot failed", rc);
        return;
    }
    r->in.state = TRANSFER_LOADED;
}

/* N1: what raft has committed, but the disk here does not hold yet, is neither
 * news to raft, nor may the state stand there: in quarantine, where the snapshot
 * is to be adopted in any case, it waits for the log. */
static bool is_between(const struct replica *r)
{
    raft_index index = r->in.info.pos.index;

    return replica_is_quarantined(r) && index > r->commit &&
           index <= r->status.commit && !px_mutant(STATE_AHEAD_OF_LOG);
}

/* N6: nothing is being applied, and no snapshot made of the old state. Whether
 * it is news is raft's to say: transfer_in_adopt is called from the step. */
static void install(struct replica *r)
{
    struct transfer_in *t = &r->in;
    struct raft_in in = {.type = RAFT_IN_INSTALLED};
    bool was_quarantined = replica_is_quarantined(r);

    in.installed.pos = t->info.pos;
    in.installed.config = &t->info.config;
    if (replica_step(r, &in) < 0) {
        replica_fail(r, "the leader's snapshot contradicts what is here",
                     -PX_ECORRUPT);
        return;
    }
    if (quarantine_takes(r, t->info.pos.index))
        transfer_in_adopt(r, false); /* no news to the log, but to the state */
    t->state = TRANSFER_IDLE;
    (void)set_installing(r, 0); /* always taken */
    if (was_quarantined && !replica_is_quarantined(r))
        quarantine_leave(r);
    start_clean(r);
    say(r, t->from, NET_SNAPSHOT_DONE, t->info.pos, t->info.bytes,
        t->info.bytes);
}

void transfer_in_adopt(struct replica *r, bool is_log_reset)
{
    struct transfer_in *t = &r->in;

    px_assert(t->state == TRANSFER_LOADED && !r->is_applying); /* N6 */
    px_assert(t->info.pos.index <= r->commit);                 /* N1 */
    r->view = r->io.adopt(r->io.ctx);
    if (r->view == NULL) {
        r->has_failed = true; /* whoever adopts has said why */
        return;
    }
    r->applied = t->info.pos.index;
    r->snapshots.newest = t->info;
    r->snapshots.grown = 0;
    r->snapshots.looked = 0;
    if (!is_log_reset) /* which must not be overtaken by a cut */
        r->io.cut_log(r->io.ctx, t->info.pos.index);
    r->counters.snapshots_installed++;
    px_note(PX_NOTE_INFO, "snapshot: installed: index=%llu",
            (unsigned long long)t->info.pos.index);
    quarantine_on_adopted(r);
    hashes_on_adopted(r);
    commands_send_again(r); /* their answers are in the new state */
    orphans_add_held(r);
}

/* ---- Time ---- */

/* What is being stored, or waits for it, is progress of its own. */
static bool waits_for_pieces(const struct transfer_in *t)
{
    return t->state == TRANSFER_RECEIVING && !t->is_storing &&
           t->ahead_count == 0;
}

/* The leader hears of us, even while the last piece is being checked. */
static bool is_under_way(const struct transfer_in *t)
{
    return t->state != TRANSFER_IDLE;
}

void transfer_in_turn(struct replica *r, px_ns now)
{
    struct transfer_in *t = &r->in;

    if (t->state == TRANSFER_LOADED && !r->is_applying &&
        r->snapshots.saving == NULL && !r->quarantine.is_marking &&
        !is_between(r))
        install(r);
    if (t->state == TRANSFER_RECEIVING && !t->is_storing && !is_news(r))
        no_news(r);
    store_next(r);
    if (waits_for_pieces(t) &&
        now - t->moved_at > SILENCE_FACTOR * r->election) {
        px_note(PX_NOTE_WARN, "snapshot: nothing comes any more: index=%llu",
                (unsigned long long)t->info.pos.index);
        stop(r);
    }
    if (is_under_way(t) && now >= t->again_at)
        say_where(r);
}

px_ns transfer_in_deadline(const struct replica *r)
{
    const struct transfer_in *t = &r->in;

    return is_under_way(t) ? t->again_at : PX_NS_NEVER;
}

void transfer_in_fini(struct replica *r)
{
    drop_ahead(&r->in);
}
