/* The part of a write on a follower: entries arrive, are checked against the
 * log, kept, written, and acknowledged once they are durable.
 *
 *   APPEND ─▶ is prev held? ─no─▶ refuse: the conflicting term and its start
 *                  │ yes
 *                  ▼
 *             skip what is held, cut from the first conflict on, append
 *                  │
 *                  ▼
 *             commit up to min(leader's, what this message verified)
 *                  │
 *                  ▼
 *             acknowledge prev + count, when durable
 *
 * An acknowledgement speaks of the very message that it answers, never of our
 * own tail, which another leader may have left there (3.5).
 *
 * Except for what lies below the base of our log, where there are no terms to
 * compare with. It is committed, in our term or before (install.c), so every
 * leader that we heed holds the same (leader completeness): a message is
 * clipped to what lies behind the base, and verifies all up to the base, be it
 * that it ends below. */
#include <errno.h>

#include "base/mutant.h"
#include "raft/core.h"

/* Everything that the rest relies on; the message is from a peer. */
static bool is_sound(const struct raft_msg *m)
{
    const struct raft_msg_append *a = &m->append;
    raft_term term = a->prev.term;
    struct raft_config config;

    if ((a->prev.index == 0) != (a->prev.term == 0) || term > m->term)
        return false;
    if (a->count > PX_BATCH_ENTRIES_MAX ||
        a->prev.index > UINT64_MAX - PX_BATCH_ENTRIES_MAX)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct raft_entry *e = &a->entries[i];

        if (e->pos.index != a->prev.index + 1 + i || e->pos.term == 0 ||
            e->pos.term < term || e->pos.term > m->term)
            return false;
        if (e->kind < RAFT_ENTRY_NOOP || e->kind > RAFT_ENTRY_CONFIG ||
            e->data.size > PX_ENTRY_BYTES_MAX)
            return false;
        if (e->kind == RAFT_ENTRY_CONFIG &&
            raft_config_decode(e->data, &config) < 0)
            return false;
        term = e->pos.term;
    }
    return true;
}

/* A leader of our term speaks. False if there can be no such leader. */
static bool heed_leader(struct raft *r, raft_id from)
{
    px_assert(r->hard.term > 0);
    if (r->role == RAFT_LEADER || (r->leader != 0 && r->leader != from)) {
        r->refused++; /* two leaders in one term: not of one configuration */
        return false;
    }
    if (r->role != RAFT_FOLLOWER)
        raft_become_follower(r, r->hard.term);
    r->sticky_until = r->now + r->election;
    raft_election_defer(r);
    if (r->leader == 0) {
        r->leader = from;
        raft_reads_advance(r);
    }
    return true;
}

static void acknowledge(struct raft *r, const struct raft_msg *m,
                        raft_index match)
{
    struct raft_msg *reply = raft_msg_after(r, m->from, RAFT_MSG_APPEND_REPLY);

    reply->append_reply.is_accepted = true;
    reply->append_reply.match = match;
}

static void refuse(struct raft *r, const struct raft_msg *m)
{
    struct raft_msg *reply =
        raft_msg_settled(r, m->from, RAFT_MSG_APPEND_REPLY);

    reply->append_reply.is_accepted = false;
    reply->append_reply.match = m->append.prev.index;
    if (px_mutant(CONFLICT_ONE_BY_ONE))
        return;
    reply->append_reply.conflict =
        raft_log_conflict(&r->log, m->append.prev.index);
}

/* Clips @a to what lies behind our base; false if it contradicts the base,
 * which no leader does. */
static bool clip(struct raft_msg_append *a, struct raft_pos base)
{
    raft_index below = base.index - a->prev.index;

    if (below == 0)
        return a->prev.term == base.term;
    if (below > a->count)
        below = a->count;
    else if (a->entries[below - 1].pos.term != base.term)
        return false;
    a->prev = base;
    a->count -= below;
    a->entries = a->count > 0 ? a->entries + below : NULL;
    return true;
}

/* How many of the entries are in the log already. */
static size_t count_held(const struct raft *r, const struct raft_msg_append *a)
{
    size_t i = 0;

    if (px_mutant(CUT_MATCHING))
        return 0;
    while (i < a->count &&
           (raft_log_holds(&r->log, a->entries[i].pos) ||
            (px_mutant(CONFLICT_KEPT) && a->prev.index + i < r->log.last)))
        i++;
    return i;
}

static size_t count_configs(const struct raft_msg_append *a, size_t from)
{
    size_t count = 0;

    for (size_t i = from; i < a->count; i++)
        count += a->entries[i].kind == RAFT_ENTRY_CONFIG;
    return count;
}

/* Keeps a->entries[held..], which the log lacks or contradicts. */
static int keep(struct raft *r, const struct raft_msg_append *a, size_t held)
{
    raft_index first = a->entries[held].pos.index;
    int rc = raft_reserve(r, a->count - held);

    if (rc == 0)
        rc = raft_configs_reserve(r, count_configs(a, held));
    if (rc < 0)
        return rc;
    if (first <= r->log.last) {
        raft_log_cut(&r->log, first, r->write_seq + 1);
        raft_configs_cut(r, first);
    }
    for (size_t i = held; i < a->count; i++)
        raft_append_entry(r, a->entries[i].pos.term, a->entries[i].kind,
                          a->entries[i].data);
    return 0;
}

int raft_on_append(struct raft *r, const struct raft_msg *m)
{
    const struct raft_msg_append *a = &m->append;
    struct raft_msg_append clipped;
    raft_index verified;
    size_t held;

    if (!is_sound(m)) {
        r->refused++;
        return 0;
    }
    if (!heed_leader(r, m->from))
        return 0;
    if (a->prev.index <= r->log.base.index) {
        clipped = *a;
        if (!clip(&clipped, r->log.base)) {
            r->refused++; /* contradicts what is committed */
            return 0;
        }
        a = &clipped;
    }
    if (!raft_log_holds(&r->log, a->prev)) {
        refuse(r, m);
        return 0;
    }
    verified = a->prev.index + a->count;
    held = count_held(r, a);
    if (held < a->count) {
        int rc;

        if (a->entries[held].pos.index <= r->commit) {
            r->refused++; /* contradicts what is committed */
            return 0;
        }
        rc = keep(r, a, held);
        if (rc < 0)
            return rc;
    }
    if (px_mutant(ACK_OWN_TAIL) && a->count == 0)
        verified = r->log.last;
    if (px_mutant(COMMIT_BEYOND_APPEND))
        raft_commit_to(r, a->commit < r->log.last ? a->commit : r->log.last);
    raft_commit_to(r, a->commit < verified ? a->commit : verified);
    raft_fault_verified(r, verified);
    acknowledge(r, m, verified);
    return 0;
}

void raft_on_heartbeat(struct raft *r, const struct raft_msg *m)
{
    const struct raft_msg_heartbeat *h = &m->heartbeat;
    struct raft_msg *reply;

    if (!heed_leader(r, m->from))
        return;
    if (px_mutant(COMMIT_BEYOND_HEARTBEAT))
        raft_commit_to(r, h->commit < r->log.last ? h->commit : r->log.last);
    if (raft_log_holds(&r->log, h->match))
        raft_commit_to(r,
                       h->commit < h->match.index ? h->commit : h->match.index);
    if (h->round == 0)
        return; /* a notice of commits; nobody waits for an answer */
    raft_fault_notice(r, h->match);
    reply = raft_msg_settled(r, m->from, RAFT_MSG_HEARTBEAT_REPLY);
    reply->heartbeat_reply.stamp = h->stamp;
    reply->heartbeat_reply.round = h->round;
    reply->heartbeat_reply.last = r->log.last;
    reply->heartbeat_reply.is_faulty =
        r->fault.is_faulty || (r->is_recovering && !px_mutant(RECOVERED_EARLY));
    reply->heartbeat_reply.is_unfit = !raft_may_campaign(r);
    raft_fault_ask(r, h->match.index);
}

void raft_refuse_stale_leader(struct raft *r, const struct raft_msg *m)
{
    struct raft_msg *reply =
        raft_msg_settled(r, m->from, RAFT_MSG_APPEND_REPLY);

    reply->append_reply.is_accepted = false;
}
