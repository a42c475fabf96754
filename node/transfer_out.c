/* Snapshots to followers, by the leader.
 *
 *   raft: "this one needs a snapshot"
 *        │
 *        ▼       WANT offset                       DONE
 *   OFFER again ────────────▶ PIECE, PIECE, ... ─────────▶ raft: "it has it"
 *   and again                   ▲     │           REFUSED, or silence
 *                               └─────┘           ───────▶ raft: "it has not"
 *                             WANT offset
 *
 * A WANT says that all before its offset is on the follower's disk; so many
 * pieces are sent ahead of it. One that says the same twice means that pieces
 * were lost with a connection: they are sent again from there. The follower
 * repeats its WANT while it builds its state, so silence means that it is
 * gone. When raft asks again meanwhile, the connection was broken, and the
 * follower may have forgotten all of it: it is offered anew.
 *
 * A piece is read, sent, checked and stored on processors and disks that have
 * requests to serve, so there are only so many a second.
 *
 * A snapshot that is replaced by a newer one meanwhile can't be read any more:
 * the transfer ends, and raft asks for the next. One that is the newest, and
 * can't be read, or arrives damaged though every piece of it did arrive, is
 * itself in doubt: another is made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/replica_core.h"
#include "raft/config.h"

#define AHEAD_BYTES (NET_SNAPSHOT_PIECES_AHEAD * NET_SNAPSHOT_PIECE_BYTES_MAX)
/* Election timeouts without a word. */
#define SILENCE_FACTOR 8u
/* To one follower. A fraction of what a disk does; 1 GiB in 16 s. */
#define BYTES_PER_S (64u * PX_MIB)

static struct transfer_out *find(struct replica *r, raft_id peer)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (r->out[i].peer == peer)
            return &r->out[i];
    }
    return NULL;
}

static bool is_of(const struct transfer_out *t, const struct net_snapshot *s)
{
    return t->info.pos.index == s->pos.index &&
           t->info.pos.term == s->pos.term && t->info.bytes == s->bytes;
}

static int tell(struct replica *r, const struct transfer_out *t,
                enum net_snapshot_what what, uint64_t offset,
                struct px_slice data)
{
    const struct net_snapshot s = {
        .what = what,
        .from = r->id,
        .term = r->status.term,
        .pos = t->info.pos,
        .bytes = t->info.bytes,
        .offset = offset,
        .data = data,
    };

    return r->io.transfer(r->io.ctx, t->peer, &s);
}

static void end(struct replica *r, struct transfer_out *t, bool is_ok)
{
    struct raft_in in = {.type = RAFT_IN_SNAPSHOT_SENT};

    in.sent.peer = t->peer;
    in.sent.index = t->info.pos.index;
    in.sent.is_ok = is_ok;
    if (is_ok)
        r->counters.snapshots_sent++;
    *t = (struct transfer_out){0};
    (void)replica_step(r, &in); /* it has no error to report */
}

/* From within a step: nothing is stepped here. */
void transfer_out_start(struct replica *r, raft_id peer)
{
    struct transfer_out *t = find(r, peer);

    if (t == NULL)
        t = find(r, 0);
    px_assert(t != NULL);  /* there are no more peers than that */
    if (t->peer == peer) { /* under way */
        t->is_wanted = false;
        t->offer_at = 0;
        return;
    }
    px_assert(r->snapshots.newest.pos.index >= r->status.base.index);
    *t = (struct transfer_out){
        .peer = peer, .info = r->snapshots.newest, .moved_at = replica_now(r)};
}

void transfer_out_on_config(struct replica *r)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct transfer_out *t = &r->out[i];

        if (t->peer != 0 && raft_config_find(&r->config, t->peer) < 0)
            *t = (struct transfer_out){0};
    }
}

/* A peer's own state is not good, though its log may be: raft knows nothing of
 * this transfer. If what there is lies before what it can use, one is made; it
 * asks again. */
void transfer_out_on_ask(struct replica *r, const struct net_snapshot *s)
{
    const struct transfer_out *t = find(r, s->from);

    if (r->status.role != RAFT_LEADER ||
        raft_config_find(&r->config, s->from) < 0)
        return;
    if ((t != NULL ? t->info : r->snapshots.newest).pos.index >= s->pos.index)
        transfer_out_start(r, s->from);
    else if (r->applied >= s->pos.index && r->snapshots.saving == NULL)
        snapshots_want(r);
}

/* ---- Pieces ---- */

static bool has_piece(const struct transfer_out *t)
{
    return t->peer != 0 && t->is_wanted && !t->is_reading &&
           t->sent < t->info.bytes && t->sent - t->acked < AHEAD_BYTES;
}

static void read_piece(struct replica *r, struct transfer_out *t, px_ns now)
{
    struct replica_snapshot_job *job = calloc(1, sizeof *job);
    uint64_t left = t->info.bytes - t->sent;

    t->piece_at = now + r->heartbeat;
    if (job == NULL)
        return; /* tried again then */
    job->what = REPLICA_READ;
    job->peer = t->peer;
    job->info = t->info;
    job->offset = t->sent;
    job->size = left < NET_SNAPSHOT_PIECE_BYTES_MAX
                    ? (size_t)left
                    : NET_SNAPSHOT_PIECE_BYTES_MAX;
    t->piece_at = now + job->size * PX_NS_PER_S / BYTES_PER_S;
    t->is_reading = true;
    r->io.snapshot(r->io.ctx, job);
}

void transfer_out_on_read(struct replica *r, struct replica_snapshot_job *job,
                          int rc)
{
    struct transfer_out *t = find(r, job->peer);

    if (t == NULL || job->info.pos.index != t->info.pos.index)
        return; /* it has ended meanwhile */
    t->is_reading = false;
    if (rc < 0) {
        if (t->info.pos.index == r->snapshots.newest.pos.index)
            snapshots_want(r);
        end(r, t, false);
        return;
    }
    if (job->offset != t->sent)
        return; /* it was set back meanwhile */
    if (tell(r, t, NET_SNAPSHOT_PIECE, job->offset, job->data) == 0)
        t->sent += job->data.size;
    else /* no room, or no connection */
        t->piece_at = replica_now(r) + r->heartbeat;
}

void transfer_out_on_want(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_out *t = find(r, s->from);

    if (t == NULL || !is_of(t, s))
        return;
    t->is_wanted = true;
    t->moved_at = replica_now(r);
    if (s->offset <= t->acked)
        t->sent = s->offset;
    t->acked = s->offset;
    if (t->sent < t->acked)
        t->sent = t->acked;
}

/* A refusal that names the end is of a snapshot that had arrived whole, and
 * damaged. */
void transfer_out_on_end(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_out *t = find(r, s->from);

    if (t == NULL || !is_of(t, s))
        return;
    if (s->what == NET_SNAPSHOT_REFUSED && s->offset == s->bytes)
        snapshots_want(r);
    end(r, t, s->what == NET_SNAPSHOT_DONE);
}

/* ---- Time ---- */

bool transfer_out_is_busy(const struct replica *r)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (r->out[i].peer != 0)
            return true;
    }
    return false;
}

static void move(struct replica *r, struct transfer_out *t, px_ns now)
{
    if (!t->is_wanted && now >= t->offer_at) {
        t->offer_at = now + r->heartbeat;
        /* If it fails: again then. */
        (void)tell(r, t, NET_SNAPSHOT_OFFER, 0, (struct px_slice){0});
    }
    if (has_piece(t) && now >= t->piece_at)
        read_piece(r, t, now);
}

void transfer_out_turn(struct replica *r, px_ns now)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct transfer_out *t = &r->out[i];

        if (t->peer == 0)
            continue;
        if (r->status.role != RAFT_LEADER)
            *t = (struct transfer_out){0};
        else if (now - t->moved_at > SILENCE_FACTOR * r->election)
            end(r, t, false);
        else
            move(r, t, now);
    }
}

static px_ns deadline_of(const struct replica *r, const struct transfer_out *t)
{
    px_ns silence = t->moved_at + SILENCE_FACTOR * r->election + 1;
    px_ns next = PX_NS_NEVER;

    if (!t->is_wanted)
        next = t->offer_at;
    else if (has_piece(t))
        next = t->piece_at;
    return next < silence ? next : silence;
}

px_ns transfer_out_deadline(const struct replica *r)
{
    px_ns deadline = PX_NS_NEVER;

    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        const struct transfer_out *t = &r->out[i];

        if (t->peer != 0 && deadline_of(r, t) < deadline)
            deadline = deadline_of(r, t);
    }
    return deadline;
}
