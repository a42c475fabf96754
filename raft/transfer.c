/* Leadership is handed over (3.10), so that a leader can leave without the
 * pause that an election timeout is.
 *
 *   TRANSFER ─▶ proposals pause ─▶ the target holds all of our log
 *                     │  ▲                     │
 *                     │  │ a part of E passes: ▼
 *                     │  │ the next best  TIMEOUT_NOW ─▶ it campaigns at once
 *                     │  └─────────────────────┤
 *                     ▼                        │
 *               all goes on ◀── E passes ──────┘
 *
 * Who would not campaign, being told to, says so in its answers to heartbeats,
 * and is not asked. The next best is tried where the target was ours to choose;
 * the first may campaign all the same, and both in one term: one wins, or none,
 * as in any election.
 *
 * A leader whose disk is stuck (disk.c) hands over by itself, once, to a voter
 * that has acknowledged all that is in its log, so that nothing has to be sent
 * but the word. That is as safe as any hand-over, and asks nothing of the disk:
 *
 *   entries   those that are not durable here are, there; our own copy counts
 *             for no majority before it is. What we committed, the other holds
 *   votes     our own waits for the disk, as ever: the other needs a majority
 *             without us
 *   terms     that we lead in this one is durable (R6); a later one we act in
 *             only when it is
 *   lease     over, as below, in the step that says the word
 *
 * If the disk comes back meanwhile, it may be for nothing; it leads on then, with
 * reads that ask the others, until the other one's vote reaches it.
 *
 * Voters waive their promise to us for a candidate that we have asked (elect.c).
 * So the lease, which rests on these promises, is over for the rest of the term
 * in the step that sends TIMEOUT_NOW: the message may arrive at any time. */
#include <errno.h>

#include "base/err.h"
#include "base/mutant.h"
#include "raft/core.h"

/* Each that is tried has this part of E. */
#define PARTS 3u

static bool can_take_over(const struct raft *r, size_t i)
{
    const struct raft_peer *p = &r->peers[i];

    return p->id != r->id && raft_is_peer_voter(r, i) && p->is_fit &&
           p->heard != 0 && r->now - p->heard <= r->election;
}

/* Of those not tried yet, the one that lacks least; NULL: there is none. To one
 * that lacks something a silent leader sends nothing. */
static struct raft_peer *best(struct raft *r)
{
    raft_index least = raft_is_stuck(r) ? r->log.last : 0;
    struct raft_peer *found = NULL;

    for (size_t i = 0; i < r->config.count; i++)
        if (can_take_over(r, i) &&
            (r->transfer.tried & UINT32_C(1) << i) == 0 &&
            r->peers[i].match >= least &&
            (found == NULL || r->peers[i].match > found->match))
            found = &r->peers[i];
    return found;
}

static void aim_at(struct raft *r, struct raft_peer *p)
{
    r->transfer.to = p->id;
    r->transfer.tried |= UINT32_C(1) << (p - r->peers);
    r->transfer.is_sent = false;
    raft_transfer_advance(r, p);
}

/* To @p; if it was ours to choose, others are tried after it. */
static void begin(struct raft *r, struct raft_peer *p, bool is_chosen)
{
    r->transfer.until = r->now + r->election;
    if (is_chosen)
        r->transfer.next_at = r->now + r->election / PARTS;
    aim_at(r, p);
}

int raft_on_transfer(struct raft *r, raft_id to)
{
    struct raft_peer *p;
    int i = raft_member_find(r, to);

    if (r->role != RAFT_LEADER)
        return -PX_ENOTLEADER;
    if (r->transfer.to != 0)
        return to == 0 || to == r->transfer.to ? 0 : -EBUSY;
    if (to == r->id ||
        (to != 0 && (i < 0 || !raft_is_peer_voter(r, (size_t)i))))
        return -EINVAL;
    if (to == 0)
        p = best(r);
    else
        p = can_take_over(r, (size_t)i) ? &r->peers[i] : NULL;
    if (p == NULL)
        return -EAGAIN;
    begin(r, p, to == 0);
    return 0;
}

void raft_transfer_advance(struct raft *r, struct raft_peer *p)
{
    if (p->id != r->transfer.to || r->transfer.is_sent ||
        (p->match < r->log.last && !px_mutant(TRANSFER_BEHIND)))
        return;
    (void)raft_msg_now(r, p->id, RAFT_MSG_TIMEOUT_NOW); /* says it all */
    r->transfer.is_sent = true;
    if (!px_mutant(LEASE_AFTER_TIMEOUT_NOW))
        r->is_lease_over = true;
}

void raft_transfer_make_way(struct raft *r)
{
    struct raft_peer *p;

    if (!raft_is_stuck(r)) {
        r->has_made_way = false;
        return;
    }
    if (r->has_made_way || r->transfer.to != 0)
        return;
    p = best(r);
    if (p == NULL)
        return; /* as soon as one has acknowledged what it was sent */
    r->has_made_way = true;
    begin(r, p, true);
}

void raft_transfer_expire(struct raft *r)
{
    struct raft_peer *p;

    if (r->now >= r->transfer.until && !px_mutant(TRANSFER_ENDLESS)) {
        r->transfer = RAFT_TRANSFER_NONE;
        return;
    }
    if (r->now < r->transfer.next_at)
        return;
    p = best(r);
    r->transfer.next_at =
        p != NULL ? r->now + r->election / PARTS : PX_NS_NEVER;
    if (p != NULL)
        aim_at(r, p);
}
