/* What the disk owes. Writes are handed out and come back in order; while one
 * is out and none has come back for E/2, the disk is stuck: it has hung, or is
 * full, and the caller tries the write again and again.
 *
 *   write ──▶ durable ──▶ ...          within E/2: nothing happens
 *   write ──────── E/2 ──▶ stuck ──▶ durable: the leader speaks again
 *                            ├──▶ a voter holds all of the log: it is told to
 *                            │    take over (transfer.c)
 *                            └──▶ E later: others have elected another
 *
 * The state machine is on that disk, too. Where nothing was applied for E,
 * although something could be, it is the same: a full disk may have room for the
 * log, which is allocated ahead, and none for the state.
 *
 * A leader that is stuck goes silent: it sends neither heartbeats nor entries,
 * and takes no proposal. Its followers could commit without it, but not for
 * long, as what it can't apply piles up; and who asks at its node waits for its
 * own disk. All that it says is TIMEOUT_NOW, to a voter that holds all it has
 * sent: that one leads a round trip later. Where there is none, or it does not,
 * silence does it: if the disk comes back before they have lost patience, nothing
 * has happened. Otherwise it steps down, hearing from nobody (lease.c), and does
 * not campaign before it has got on: it could not even vote for itself.
 *
 * It votes for others as ever: votes wait for the disk anyway, and a pre-vote
 * promises nothing. A sole voter just waits: there is nobody to lead instead. */
#include "base/mutant.h"
#include "raft/core.h"

static bool can_apply(const struct raft *r)
{
    return r->log.applied < raft_ready_index(r);
}

bool raft_is_stuck(const struct raft *r)
{
    if (r->voter_count == 1)
        return false;
    if (r->durable_seq < r->write_seq &&
        r->now >= r->disk_moved_at + r->election / 2)
        return true;
    return can_apply(r) && r->now >= r->applied_moved_at + r->election;
}

bool raft_is_silent(const struct raft *r)
{
    return r->role == RAFT_LEADER && raft_is_stuck(r) &&
           !px_mutant(STUCK_LEADER_SPEAKS);
}

uint64_t raft_disk_next(struct raft *r)
{
    if (r->durable_seq == r->write_seq)
        r->disk_moved_at = r->now; /* it owed nothing until now */
    return ++r->write_seq;
}

void raft_disk_done(struct raft *r, uint64_t seq)
{
    px_assert(seq > 0);
    px_assert(seq <= r->write_seq);
    if (seq <= r->durable_seq)
        return;
    r->durable_seq = seq;
    r->disk_moved_at = r->now;
}

void raft_disk_applied(struct raft *r, raft_index index)
{
    if (index <= r->log.applied)
        return;
    raft_log_on_applied(&r->log, index);
    r->applied_moved_at = r->now;
}

void raft_disk_look(struct raft *r)
{
    if (!can_apply(r))
        r->applied_moved_at = r->now;
}
