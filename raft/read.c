/* Reads that wait for an index (6.4). A read may be served from the state once
 * this has applied the index that was committed when the read arrived, as seen
 * by whoever was leader then.
 *
 * On the leader: at once under a lease. Else a round of heartbeats, sent after
 * the read was queued, has to be echoed by a majority; the commit index is
 * noted when the round starts. One round at a time: reads that arrive meanwhile
 * go with the next.
 *
 *   wanted ───▶ round ───▶ a majority echoed it, or a lease ───▶ done
 *
 * On a follower: one batch at a time asks the leader, under an id that is fresh
 * for each attempt, so that a late answer to another attempt says nothing.
 *
 *   wanted ───▶ attempt ───▶ READ, READ_REPLY ───▶ done
 *                  ▲                 │ no answer, or another leader
 *                  └─────────────────┘
 *
 * No path is open before the leader has committed in its own term: until then
 * its commit index may be behind what an earlier leader has acknowledged. */
#include "base/mutant.h"
#include "raft/core.h"

static void ready(struct raft *r, uint64_t id, raft_index index)
{
    px_assert(id > r->reads.done); /* R10 */
    px_assert(index >= r->draft.reads.index);
    r->reads.done = id;
    r->draft.reads = (struct raft_read_ready){.id = id, .index = index};
}

void raft_reads_forget(struct raft *r)
{
    r->reads.attempt = 0;
    r->reads.round = 0;
}

/* ---- Leader ---- */

static void reply(struct raft *r, struct raft_peer *p, uint64_t id,
                  raft_index index)
{
    struct raft_msg *m;

    if (p->owed < index)
        p->owed = index;
    raft_commit_tell(r, p);
    m = raft_msg_now(r, p->id, RAFT_MSG_READ_REPLY);
    m->read_reply.id = id;
    m->read_reply.index = index;
}

static void answer_all(struct raft *r)
{
    r->reads.round = 0;
    if (r->reads.wanted > r->reads.done)
        ready(r, r->reads.wanted, r->commit);
    for (size_t i = 0; i < r->config.count; i++) {
        struct raft_peer *p = &r->peers[i];
        uint64_t id = p->read_waiting != 0 ? p->read_waiting : p->read_asked;

        if (id != 0)
            reply(r, p, id, r->commit);
        p->read_waiting = 0;
        p->read_asked = 0;
    }
}

static void answer_round(struct raft *r)
{
    r->reads.round = 0;
    if (r->reads.round_last > r->reads.done)
        ready(r, r->reads.round_last, r->reads.round_index);
    for (size_t i = 0; i < r->config.count; i++) {
        struct raft_peer *p = &r->peers[i];

        if (p->read_asked != 0)
            reply(r, p, p->read_asked, r->reads.round_index);
        p->read_asked = 0;
    }
}

static bool is_any_waiting(const struct raft *r)
{
    if (r->reads.wanted > r->reads.done)
        return true;
    for (size_t i = 0; i < r->config.count; i++)
        if (r->peers[i].read_waiting != 0)
            return true;
    return false;
}

/* A fresh round counts for all that waits now, and for nothing later. */
static void start_round(struct raft *r)
{
    if (!px_mutant(READ_OLD_ROUND))
        raft_heartbeat_round(r);
    r->reads.round = r->round;
    r->reads.round_last = r->reads.wanted;
    r->reads.round_index = r->commit;
    for (size_t i = 0; i < r->config.count; i++) {
        r->peers[i].read_asked = r->peers[i].read_waiting;
        r->peers[i].read_waiting = 0;
    }
}

static uint64_t round_of(const struct raft_peer *p)
{
    return p->round;
}

static void advance_leader(struct raft *r)
{
    raft_index index;

    if (!raft_can_serve(r))
        return;
    if (raft_lease_read(r, r->now, &index)) {
        answer_all(r);
        return;
    }
    if (r->reads.round != 0 &&
        raft_majority(r, round_of, r->round) >= r->reads.round)
        answer_round(r);
    if (r->reads.round == 0 && is_any_waiting(r))
        start_round(r);
}

void raft_on_read_request(struct raft *r, struct raft_peer *p,
                          const struct raft_msg *m)
{
    if (m->read.id == 0) {
        r->refused++;
        return;
    }
    p->read_waiting = m->read.id; /* the attempt before it was given up */
    p->read_asked = 0;
    if (px_mutant(READ_ROUND_JOINED) && r->reads.round != 0) {
        p->read_asked = p->read_waiting;
        p->read_waiting = 0;
    }
    raft_reads_advance(r);
}

/* ---- Follower ---- */

static void advance_follower(struct raft *r)
{
    struct raft_reads *q = &r->reads;

    if (r->leader == 0 || q->attempt != 0 || q->wanted <= q->done)
        return;
    q->attempt = q->attempt_next;
    if (!px_mutant(READ_ID_REUSED))
        q->attempt_next++;
    q->attempt_last = q->wanted;
    q->attempt_at = r->now;
    raft_msg_settled(r, r->leader, RAFT_MSG_READ)->read.id = q->attempt;
}

void raft_on_read_reply(struct raft *r, const struct raft_msg *m)
{
    struct raft_reads *q = &r->reads;

    if (m->from != r->leader || q->attempt == 0 ||
        m->read_reply.id != q->attempt)
        return; /* to an attempt that was given up */
    q->attempt = 0;
    ready(r, q->attempt_last, m->read_reply.index);
    advance_follower(r);
}

/* An attempt made anew voids the answer that may be on its way: patience has
 * to outlast the round trip. Where this is longer than E no leader lasts. */
px_ns raft_reads_retry_at(const struct raft *r)
{
    return r->reads.attempt == 0 ? PX_NS_NEVER
                                 : r->reads.attempt_at + r->election;
}

void raft_reads_retry(struct raft *r)
{
    r->reads.attempt = 0;
    raft_reads_advance(r);
}

/* ---- Both ---- */

void raft_reads_advance(struct raft *r)
{
    if (r->role == RAFT_LEADER)
        advance_leader(r);
    else
        advance_follower(r);
}

void raft_on_read(struct raft *r, uint64_t id)
{
    px_assert(id >= r->reads.wanted);
    r->reads.wanted = id;
    raft_reads_advance(r);
}
