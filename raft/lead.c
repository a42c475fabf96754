/* The part of a write on the leader: a proposal is appended, goes to the
 * followers and to the disk at once (10.2.1), and their answers are taken.
 *
 *   propose ─▶ append ─▶ send to each follower that has room
 *                                 │
 *   answers ─▶ progress ─▶ commit ─▶ send what waited for room ─▶ tell
 *
 * Messages point into the log's tail: nothing is copied, and nothing is
 * changed before the next step. Entries older than the tail are asked for from
 * disk, one batch for each peer at a time. */
#include <errno.h>

#include "base/err.h"
#include "base/mutant.h"
#include "raft/core.h"

/* So many election timeouts without a sign of life from what is on the wire
 * to a peer, and it is asked whether that was lost. */
#define PATIENCE_ELECTIONS 4

/* ---- Sending ---- */

/* R21 */
static raft_index last_for(const struct raft *r, const struct raft_peer *p)
{
    return p->role == RAFT_VOTER || px_mutant(LEARNER_AHEAD) ? r->log.last
                                                             : r->commit;
}

static void send_append(struct raft *r, struct raft_peer *p,
                        const struct raft_entry *entries, size_t count,
                        uint64_t bytes)
{
    struct raft_msg *m = raft_msg_now(r, p->id, RAFT_MSG_APPEND);
    raft_index verified = p->next - 1 + count;
    raft_index commit = verified < r->commit ? verified : r->commit;

    px_assert(count == 0 || verified <= last_for(r, p)); /* R21 */
    m->append.prev = raft_log_pos(&r->log, p->next - 1);
    m->append.commit = r->commit;
    m->append.count = count;
    m->append.entries = entries;
    if (count > 0)
        r->draft.is_log_shown = true;
    if (p->told < commit)
        p->told = commit;
    if (count > 0 || p->state != RAFT_STREAM)
        raft_progress_sent(p, verified, bytes, r->now);
}

/* How many entries of the tail, from p->next on, go into one message. */
static size_t pick_batch(const struct raft *r, const struct raft_peer *p,
                         uint64_t room, uint64_t *bytes_out)
{
    raft_index last = last_for(r, p);
    raft_index count_max = last < p->next ? 0 : last + 1 - p->next;
    const struct raft_entry *e;
    size_t count = 0;

    *bytes_out = 0;
    if (count_max == 0 || p->next < raft_log_tail_first(&r->log))
        return 0;
    if (count_max > PX_BATCH_ENTRIES_MAX)
        count_max = PX_BATCH_ENTRIES_MAX;
    e = raft_log_entry(&r->log, p->next);
    while (count < count_max && *bytes_out + e[count].data.size <= room)
        *bytes_out += e[count++].data.size;
    return count;
}

static void fetch(struct raft *r, struct raft_peer *p, uint64_t room)
{
    raft_index last = p->next + PX_BATCH_ENTRIES_MAX - 1;

    /* Room for whatever is read: nothing else is sent meanwhile. */
    if (p->fetching != 0 || room < PX_BATCH_BYTES_MAX ||
        p->next > last_for(r, p))
        return;
    if (last >= raft_log_tail_first(&r->log))
        last = raft_log_tail_first(&r->log) - 1;
    if (last > last_for(r, p))
        last = last_for(r, p);
    p->fetching = p->next;
    r->draft.fetches[r->draft.fetch_count++] =
        (struct raft_fetch){.peer = p->id, .first = p->next, .last = last};
}

void raft_send_entries(struct raft *r, struct raft_peer *p)
{
    uint64_t room;

    while (!raft_is_silent(r) && raft_progress_has_room(p, &room)) {
        uint64_t bytes;
        size_t count = pick_batch(r, p, room, &bytes);

        if (count > 0 || p->state == RAFT_PROBE) {
            /* A probe goes without entries when these are on disk only. */
            send_append(r, p,
                        count > 0 ? raft_log_entry(&r->log, p->next) : NULL,
                        count, bytes);
            continue;
        }
        if (p->next < raft_log_tail_first(&r->log))
            fetch(r, p, room);
        return;
    }
}

void raft_send_to_all(struct raft *r)
{
    for (size_t i = 0; i < r->config.count; i++)
        if (r->peers[i].id != r->id)
            raft_send_entries(r, &r->peers[i]);
}

void raft_speak_again(struct raft *r)
{
    raft_heartbeat_round(r);
    raft_send_to_all(r);
}

/* ---- Leading ---- */

void raft_become_leader(struct raft *r)
{
    px_assert(r->role == RAFT_CANDIDATE);
    px_assert(r->hard.voted_for == r->id); /* R5 */
    px_assert(raft_is_hard_durable(r));    /* R6 */
    r->role = RAFT_LEADER;
    r->leader = r->id;
    r->elected_at = r->now;
    r->quorum_at = r->now + r->election;
    r->round = 0;
    r->lease_stamp = 0;
    r->is_lease_over = false;
    r->transfer = RAFT_TRANSFER_NONE;
    for (size_t i = 0; i < r->config.count; i++)
        raft_progress_reset(&r->peers[i], r->log.last + 1);
    raft_append_entry(r, r->hard.term, RAFT_ENTRY_NOOP, (struct px_slice){0});
    r->noop = r->log.last;
    raft_heartbeat_round(r);
    raft_send_to_all(r);
}

static bool is_over(const struct raft *r, const struct raft_proposal *list,
                    size_t count)
{
    uint64_t bytes = r->log.unapplied_bytes;

    for (size_t i = 0; i < count; i++)
        bytes += list[i].data.size;
    return bytes > RAFT_UNAPPLIED_BYTES_MAX ||
           r->log.last - r->log.applied + count > RAFT_UNAPPLIED_ENTRIES_MAX;
}

int raft_on_propose(struct raft *r, const struct raft_proposal *list,
                    size_t count)
{
    int rc;

    px_assert(count > 0);
    px_assert(count <= PX_BATCH_ENTRIES_MAX);
    if (r->role != RAFT_LEADER)
        return -PX_ENOTLEADER;
    if (is_over(r, list, count) ||
        (r->transfer.to != 0 && !px_mutant(TRANSFER_UNPAUSED)) ||
        raft_is_silent(r))
        return -EAGAIN;
    rc = raft_reserve(r, count);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        int origin = raft_member_find(r, list[i].origin);

        px_assert(list[i].data.size <= PX_ENTRY_BYTES_MAX);
        px_assert(list[i].kind != RAFT_ENTRY_CONFIG);
        raft_append_entry(r, r->hard.term, list[i].kind, list[i].data);
        r->origins[r->log.last % RAFT_UNAPPLIED_ENTRIES_MAX] =
            (uint8_t)(origin + 1);
    }
    r->draft.proposed = raft_log_pos(&r->log, r->log.last + 1 - count);
    raft_send_to_all(r);
    return 0;
}

/* ---- Answers ---- */

/* Where the follower's log may meet ours, from what its refusal says: a whole
 * term is skipped in one round trip. */
static raft_index next_after_refusal(const struct raft *r,
                                     const struct raft_peer *p,
                                     const struct raft_msg_append_reply *a)
{
    raft_index next = a->conflict.index;

    if (a->conflict.term != 0) {
        raft_index mine =
            raft_log_last_of_term(&r->log, a->conflict.term, a->match - 1);

        if (raft_log_term(&r->log, mine) == a->conflict.term || mine + 1 < next)
            next = mine + 1;
    }
    if (next > a->match)
        next = a->match; /* each refusal takes us back */
    return next > p->match ? next : p->match + 1;
}

static void on_refusal(struct raft *r, struct raft_peer *p,
                       const struct raft_msg_append_reply *a)
{
    raft_index base = r->log.base.index;
    raft_index next;

    /* Delayed or doubled: by now more is known. */
    if (a->match <= p->match || a->match >= p->next ||
        p->state == RAFT_SNAPSHOT)
        return;
    if (a->match < base) { /* asked before the base moved: ask there */
        raft_probe_later(r, p);
        return;
    }
    next = a->match > base ? next_after_refusal(r, p, a) : base;
    if (next <= base) {
        raft_send_snapshot(r, p);
        return;
    }
    raft_progress_probe(p, next);
    raft_send_entries(r, p);
}

void raft_on_append_reply(struct raft *r, struct raft_peer *p,
                          const struct raft_msg *m)
{
    const struct raft_msg_append_reply *a = &m->append_reply;
    bool is_commit = false;

    if (!a->is_accepted) {
        on_refusal(r, p, a);
        return;
    }
    if (a->match > r->log.last) {
        r->refused++; /* we never sent so much */
        return;
    }
    if (raft_progress_accepted(p, a->match, r->now) && a->match > r->commit)
        is_commit = raft_commit_advance(r);
    if (p->next <= r->log.base.index)
        raft_probe_later(r, p); /* P6: the answer to what is gone by now */
    raft_send_entries(r, p);    /* they carry the commit, where there are any */
    raft_transfer_advance(r, p);
    if (is_commit)
        raft_commit_tell_all(r);
    else
        raft_commit_tell(r, p);
}

/* How long a peer may owe an answer. Does it hold all that was sent, the answer
 * waits for a slow disk or was lost: ask at each heartbeat. Does it not, the
 * rest is in all likelihood still on the wire, for heartbeats overtake bulk;
 * what was lost for certain, RAFT_IN_UNREACHABLE has told. */
static px_ns patience(const struct raft *r, const struct raft_peer *p,
                      raft_index last)
{
    bool is_on_wire = p->state == RAFT_STREAM && last < p->next - 1;

    return is_on_wire ? PATIENCE_ELECTIONS * r->election : r->heartbeat;
}

void raft_resend_if_stuck(struct raft *r, struct raft_peer *p, raft_index last)
{
    px_ns wait = patience(r, p, last);

    /* Its snapshot is on its way; or is there, and the word of it was lost:
     * then its log has grown, and the empty APPEND asks at our base. */
    if (p->state == RAFT_SNAPSHOT && last < r->log.base.index)
        return;
    raft_progress_shown(p, last, r->now);
    if (!raft_is_silent(r) &&
        raft_progress_is_stuck(p, r->now > wait ? r->now - wait : 0)) {
        /* An empty APPEND asks at no cost, behind all that was sent: it is
         * accepted if this arrived, and refused if some of it was lost. Only
         * a refusal makes us send entries again. */
        p->moved_at = r->now;
        send_append(r, p, NULL, 0, 0);
    }
    raft_send_entries(r, p);
}

/* ---- From the caller ---- */

/* Are these the entries of our log from @first on? It may have been cut, and
 * another leader's put there, while they were read. */
static bool are_ours(const struct raft *r, raft_index first,
                     const struct raft_entry *entries, size_t count)
{
    if (count > PX_BATCH_ENTRIES_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (entries[i].pos.index != first + i ||
            !raft_log_holds(&r->log, entries[i].pos))
            return false;
    return true;
}

static void send_fetched(struct raft *r, struct raft_peer *p,
                         const struct raft_entry *entries, size_t count)
{
    struct raft_draft *d = &r->draft;
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        d->fetched[i] = entries[i];
        (void)px_slice_ref(entries[i].data); /* dropped by the next step */
        bytes += entries[i].data.size;
    }
    d->fetched_count = count;
    send_append(r, p, d->fetched, count, bytes);
}

void raft_on_fetched(struct raft *r, raft_id peer, raft_index first,
                     const struct raft_entry *entries, size_t count)
{
    int i = raft_member_find(r, peer);
    struct raft_peer *p;
    uint64_t room;

    if (i < 0 || r->peers[i].fetching != first)
        return; /* it is no member any more, or is one anew */
    p = &r->peers[i];
    p->fetching = 0;
    if (r->role != RAFT_LEADER || count == 0 || raft_is_silent(r) ||
        first + count - 1 > last_for(r, p)) /* it was a voter then */
        return; /* the next heartbeat's answer asks again */
    if (p->state == RAFT_STREAM && p->next == first &&
        raft_progress_has_room(p, &room) && are_ours(r, first, entries, count))
        send_fetched(r, p, entries, count);
    raft_send_entries(r, p);
}

void raft_on_unreachable(struct raft *r, raft_id peer)
{
    int i = raft_member_find(r, peer);
    struct raft_peer *p;

    if (r->role != RAFT_LEADER || i < 0 || peer == r->id)
        return;
    p = &r->peers[i];
    p->is_lost = true;
    raft_probe_later(r, p);
}
