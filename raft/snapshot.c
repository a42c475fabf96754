/* The log's head is gone, and a snapshot stands for it (chapter 5): the leader's
 * side. The other one is in install.c.
 *
 * Entries up to the base can't be sent any more. A follower is asked for the
 * base itself, by an APPEND whose prev is the base; only if it refuses that one
 * is it sent a snapshot. So none is sent to a peer that is down, or that holds
 * enough already.
 *
 *   base moves past next ─┐
 *   unreachable ──────────┼─▶ PROBE at the base ──accepted──▶ STREAM
 *   sent, failed ─────────┘        │ refused         ▲
 *                                  ▼                 │ it holds the base
 *                               SNAPSHOT ────────────┘ after all */
#include "raft/core.h"

void raft_probe_later(struct raft *r, struct raft_peer *p)
{
    raft_index from =
        p->match > r->log.base.index ? p->match : r->log.base.index;

    raft_progress_probe(p, from + 1);
    p->is_waiting = true; /* until it answers a heartbeat */
}

void raft_on_compacted(struct raft *r, raft_index index)
{
    px_assert(index <= r->log.applied);
    px_assert(!r->draft.is_log_shown); /* R11 */
    raft_log_compact(&r->log, index);
    if (r->role != RAFT_LEADER)
        return;
    for (size_t i = 0; i < r->config.count; i++) {
        struct raft_peer *p = &r->peers[i];

        if (p->id == r->id || p->next > r->log.base.index)
            continue;
        if (p->state == RAFT_SNAPSHOT)
            p->next = r->log.base.index + 1; /* P7 */
        else
            raft_probe_later(r, p);
    }
}

void raft_send_snapshot(struct raft *r, struct raft_peer *p)
{
    struct raft_draft *d = &r->draft;

    px_assert(p->match < r->log.base.index); /* P7 */
    px_assert(d->snapshot_count < RAFT_MEMBERS_MAX);
    raft_progress_snapshot(p, r->log.base.index + 1, r->now);
    d->snapshots[d->snapshot_count++] = (struct raft_snapshot){
        .peer = p->id, .term = r->hard.term, .base = r->log.base.index};
}

void raft_on_snapshot_sent(struct raft *r, raft_id peer, bool is_ok,
                           raft_index index)
{
    int i = raft_member_find(r, peer);
    struct raft_peer *p;

    if (r->role != RAFT_LEADER || i < 0 || peer == r->id)
        return;
    p = &r->peers[i];
    if (p->state != RAFT_SNAPSHOT)
        return; /* asked for by an earlier leader, or already answered for */
    if (is_ok && index > r->log.applied) {
        r->refused++; /* no snapshot of ours reaches so far */
        is_ok = false;
    }
    raft_probe_later(r, p);
    if (!is_ok) {
        p->sent_at = r->now; /* a heartbeat's time from now at least */
        return;
    }
    /* Its word is taken for where to look, not for what it holds. */
    if (p->next <= index)
        p->next = index + 1;
    p->is_waiting = false;
    raft_send_entries(r, p);
}
