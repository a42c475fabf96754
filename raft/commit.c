/* The part of a write: a majority holds it, so it is committed, and whoever
 * waits for it is told.
 *
 * The leader's own copy counts when it is durable, like any other (10.2.1).
 * Only entries of the leader's own term are committed by counting (3.6.2);
 * older ones with them.
 *
 * Followers learn of commits with the next APPEND or heartbeat. Only one that
 * somebody waits at is told at once, by a heartbeat that asks for no answer:
 * waking a peer costs more than the message. Learners get what is committed. */
#include "base/mutant.h"
#include "raft/core.h"

uint64_t raft_majority(const struct raft *r,
                       uint64_t (*value)(const struct raft_peer *p),
                       uint64_t own)
{
    uint64_t sorted[RAFT_MEMBERS_MAX]; /* descending */
    size_t count = 0;

    for (size_t i = 0; i < r->config.count; i++) {
        uint64_t v;
        size_t at = count;

        if (!raft_is_peer_voter(r, i))
            continue;
        v = r->peers[i].id == r->id ? own : value(&r->peers[i]);
        for (; at > 0 && sorted[at - 1] < v; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = v;
        count++;
    }
    px_assert(count > 0);
    return sorted[count / 2];
}

raft_index raft_ready_index(const struct raft *r)
{
    if (px_mutant(APPLY_NOT_DURABLE))
        return r->commit;
    return r->commit < r->log.durable ? r->commit : r->log.durable;
}

bool raft_can_serve(const struct raft *r)
{
    return r->role == RAFT_LEADER &&
           (r->commit >= r->noop || px_mutant(NOOP_MISSING));
}

void raft_commit_to(struct raft *r, raft_index index)
{
    if (index <= r->commit)
        return;
    px_assert(index <= r->log.last);             /* R2 */
    px_assert(px_implies(r->role == RAFT_LEADER, /* R4 */
                         raft_log_term(&r->log, index) == r->hard.term));
    r->commit = index;
}

/* Members that wait for one of our own entries in (@from, @to]. */
static uint32_t waiting_members(const struct raft *r, raft_index from,
                                raft_index to)
{
    uint32_t members = 0;

    if (from < r->noop)
        from = r->noop; /* nobody waits for a no-op, or for what is older */
    for (raft_index i = from + 1; i <= to; i++)
        members |= UINT32_C(1) << r->origins[i % RAFT_UNAPPLIED_ENTRIES_MAX];
    return members >> 1;
}

void raft_commit_tell(struct raft *r, struct raft_peer *p)
{
    struct raft_pos match;
    raft_index reach;
    struct raft_msg *m;

    if (p->owed <= p->told || raft_is_silent(r))
        return;
    match = raft_peer_match(r, p);
    reach = match.index < r->commit ? match.index : r->commit;
    if (reach <= p->told)
        return;
    m = raft_msg_now(r, p->id, RAFT_MSG_HEARTBEAT);
    m->heartbeat.match = match;
    m->heartbeat.commit = r->commit;
    p->told = reach;
}

void raft_commit_tell_all(struct raft *r)
{
    for (size_t i = 0; i < r->config.count; i++) {
        if (r->peers[i].role == RAFT_LEARNER)
            raft_send_entries(r, &r->peers[i]);
        raft_commit_tell(r, &r->peers[i]);
    }
}

static uint64_t match_of(const struct raft_peer *p)
{
    return p->match;
}

bool raft_commit_advance(struct raft *r)
{
    raft_index from = r->commit;
    raft_index own =
        px_mutant(OWN_COPY_NOT_DURABLE) ? r->log.last : r->log.durable;
    raft_index to = raft_majority(r, match_of, own);
    uint32_t waiting;

    px_assert(r->role == RAFT_LEADER);
    if (to <= from)
        return false;
    if (raft_log_term(&r->log, to) != r->hard.term &&
        !px_mutant(COMMIT_OLD_TERM))
        return false;
    raft_commit_to(r, to);
    waiting = waiting_members(r, from, to);
    for (size_t i = 0; waiting != 0; i++, waiting >>= 1)
        if (waiting & 1)
            r->peers[i].owed = to;
    if (from < r->noop)
        raft_reads_advance(r); /* reads have waited for this, too */
    return true;
}
