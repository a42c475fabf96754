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
 * gone.
 *
 * A snapshot that is replaced by a newer one meanwhile can't be read any more:
 * the transfer ends, and raft asks for the next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "node/replica_core.h"

#define AHEAD_BYTES (NET_SNAPSHOT_PIECES_AHEAD * NET_SNAPSHOT_PIECE_BYTES_MAX)
/* Election timeouts without a word. */
#define SILENCE_FACTOR 8u

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
    px_assert(t != NULL); /* there are no more peers than that */
    if (t->peer == peer)
        return; /* under way */
    px_assert(r->snapshots.newest.pos.index >= r->status.base.index);
    *t = (struct transfer_out){
        .peer = peer, .info = r->snapshots.newest, .moved_at = replica_now(r)};
}

/* ---- Pieces ---- */

static void pump(struct replica *r, struct transfer_out *t)
{
    struct replica_snapshot_job *job;
    uint64_t left = t->info.bytes - t->sent;

    if (t->is_reading || left == 0 || t->sent - t->acked >= AHEAD_BYTES)
        return;
    job = calloc(1, sizeof *job);
    if (job == NULL)
        return; /* again_at */
    job->what = REPLICA_READ;
    job->peer = t->peer;
    job->info = t->info;
    job->offset = t->sent;
    job->size = left < NET_SNAPSHOT_PIECE_BYTES_MAX
                    ? (size_t)left
                    : NET_SNAPSHOT_PIECE_BYTES_MAX;
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
        end(r, t, false);
        return;
    }
    if (job->offset != t->sent)
        return; /* it was set back meanwhile */
    if (tell(r, t, NET_SNAPSHOT_PIECE, job->offset, job->data) < 0)
        return; /* no room, or no connection: again_at */
    t->sent += job->data.size;
    pump(r, t);
}

void transfer_out_on_want(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_out *t = find(r, s->from);

    if (t == NULL || !is_of(t, s))
        return;
    t->moved_at = replica_now(r);
    t->again_at = t->moved_at + r->election;
    if (s->offset <= t->acked)
        t->sent = s->offset;
    t->acked = s->offset;
    if (t->sent < t->acked)
        t->sent = t->acked;
    pump(r, t);
}

void transfer_out_on_end(struct replica *r, const struct net_snapshot *s)
{
    struct transfer_out *t = find(r, s->from);

    if (t != NULL && is_of(t, s))
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

static void again(struct replica *r, struct transfer_out *t, px_ns now)
{
    t->again_at = now + r->heartbeat;
    if (t->acked == 0 && t->sent == 0) /* if it fails: again then */
        (void)tell(r, t, NET_SNAPSHOT_OFFER, 0, (struct px_slice){0});
    else
        pump(r, t);
}

void transfer_out_turn(struct replica *r, px_ns now)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct transfer_out *t = &r->out[i];

        if (t->peer == 0)
            continue;
        if (r->status.role != RAFT_LEADER) {
            *t = (struct transfer_out){0};
            continue;
        }
        if (now - t->moved_at > SILENCE_FACTOR * r->election)
            end(r, t, false);
        else if (now >= t->again_at)
            again(r, t, now);
    }
}

px_ns transfer_out_deadline(const struct replica *r)
{
    px_ns deadline = PX_NS_NEVER;

    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (r->out[i].peer != 0 && r->out[i].again_at < deadline)
            deadline = r->out[i].again_at;
    }
    return deadline;
}
