/* A replica whose log has lost entries that it may have acknowledged, and how
 * its leader makes it whole again.
 *
 *   faulty                                         leader
 *     │ ◀────────────────────────── HEARTBEAT ──────│
 *     │── LOST: "of yours I hold `match`, id" ─────▶│ match goes back; what
 *     │ ◀─────────────────── LOST_REPLY: id, last ──│ was in flight is
 *     │ ◀────────── APPEND, or a snapshot ──────────│ forgotten; PROBE
 *     │── APPEND_REPLY: what it really holds ──────▶│
 *     ▼
 *   whole, once it holds that leader's log up to the `last` of the answer,
 *   durably, in the same term
 *
 * Until then it is a follower that does not vote, nor campaign, nor take over.
 * It takes entries and snapshots, and acknowledges what it holds: its word from
 * now on is as good as any, it is only what it said before that it can't stand
 * by. Its term and vote it knows (the caller has kept them elsewhere, or does
 * not start it), so it acts in no older term. What is left of the log may be
 * any earlier state of it: entries that had been cut are back, perhaps.
 *
 * Why this is safe. Raft needs one thing of a voter: when it votes in a term,
 * it holds every entry that it ever acknowledged in an older one and that is
 * committed, or can be yet (leader completeness, 3.6.3: a majority
 * acknowledged, a majority votes, and one did both). Take such an entry j,
 * acknowledged by f to the leader of term t, lost, and a vote of f after it has
 * become whole in term s, by the answer of the leader of s:
 *
 *   s = t   f told the leader of t that it holds j, so j was in that leader's
 *           log before the question came; this log only grows within the term.
 *           So j <= last: f holds j again.
 *   s > t   The leader of s was elected by voters that were whole, or had not
 *           lost anything yet, so by induction over the terms it holds j, and
 *           j <= last: f holds j again.
 *
 * However many are faulty at once, no vote is given by one that lacks what it
 * promised to keep; too many, and there are no votes at all: the cluster waits.
 *
 * What f said before may still be on its way to the leader of t. Should such an
 * acknowledgement arrive behind LOST, match is wrong again, and that harms
 * nobody: j <= last of the answer as above, and f doesn't vote before it holds
 * j. But a leader that believes it would send what lies behind j, for ever
 * refused. Heartbeats say what the leader believes: where that is more than f
 * has seen of its log, f asks again.
 *
 * A loss can stay unseen: the last batch, damaged, looks like a write that was
 * cut short and never acknowledged; and some disks lie about what they have
 * flushed. Then heartbeats tell, if the leader is still the one to whom it was
 * acknowledged: what it believes is more than there is. From then on we are
 * faulty like any other (raft_fault_notice). It asks once the caller's note of
 * that is durable, and not before: the answer to LOST is that the leader counts
 * on less, and would tell nobody again, had we forgotten it in a restart.
 *
 * The id tells the answer from one to an earlier life of f, which may have
 * acknowledged more since, and lost that, too. In another term all is asked
 * anew: the next leader's log may be shorter or longer, and what counts is what
 * that one holds. */
#include "base/mutant.h"
#include "raft/core.h"

void raft_fault_begin(struct raft *r, bool is_noted)
{
    r->fault = (struct raft_fault){
        .is_faulty = true, .is_noted = is_noted, .id = r->fault_next++};
}

/* Within a term, what we have acknowledged to its leader stays in our log, or a
 * snapshot stands for it. */
void raft_fault_notice(struct raft *r, struct raft_pos match)
{
    if (r->fault.is_faulty || match.index <= r->log.base.index ||
        raft_log_holds(&r->log, match) || px_mutant(LOSS_UNNOTICED))
        return;
    raft_fault_begin(r, px_mutant(LOSS_UNNOTED));
    r->draft.lost = match.index;
}

void raft_fault_noted(struct raft *r)
{
    r->fault.is_noted = r->fault.is_faulty;
}

void raft_fault_term(struct raft *r)
{
    struct raft_fault *f = &r->fault;

    if (!f->is_faulty || px_mutant(FAULT_TERM_KEPT))
        return;
    f->id = r->fault_next++;
    f->verified = 0;
    f->barrier = 0;
}

void raft_fault_verified(struct raft *r, raft_index index)
{
    struct raft_fault *f = &r->fault;

    if (f->is_faulty && f->verified < index)
        f->verified = index;
}

/* How far our log is the leader's: what its messages have verified; what is
 * committed, every leader has. */
static raft_index known(const struct raft *r)
{
    return r->fault.verified > r->commit ? r->fault.verified : r->commit;
}

void raft_fault_ask(struct raft *r, raft_index believed)
{
    struct raft_msg *m;

    if (!r->fault.is_noted)
        return;
    if (r->fault.barrier != 0 && believed <= known(r))
        return;
    m = raft_msg_settled(r, r->leader, RAFT_MSG_LOST);
    m->lost.id = r->fault.id;
    m->lost.match = known(r);
    m->lost.last = r->log.last;
}

/* Leader: what @p is believed to hold is no more than it says, and it is asked
 * where its log ends. */
static void take_back(struct raft *r, struct raft_peer *p,
                      const struct raft_msg_lost *l)
{
    raft_index least = l->match;
    raft_index next = l->last < p->next ? l->last + 1 : p->next;

    if (least < r->log.base.index)
        least = r->log.base.index;
    p->match = l->match;
    raft_progress_probe(p, next > least ? next : least + 1);
}

void raft_on_lost(struct raft *r, struct raft_peer *p, const struct raft_msg *m)
{
    const struct raft_msg_lost *l = &m->lost;
    struct raft_msg *reply;

    if (l->id == 0 || l->match > r->log.last || l->match > l->last) {
        r->refused++; /* it can't hold more of ours than there is */
        return;
    }
    reply = raft_msg_now(r, p->id, RAFT_MSG_LOST_REPLY);
    reply->lost_reply.id = l->id;
    reply->lost_reply.index = r->log.last;
    if (l->match < p->match && !px_mutant(FAULT_MATCH_KEPT)) {
        take_back(r, p, l);
        raft_send_entries(r, p);
    }
}

void raft_on_lost_reply(struct raft *r, const struct raft_msg *m)
{
    const struct raft_msg_lost_reply *l = &m->lost_reply;

    if (l->index == 0) {
        r->refused++; /* a leader's log holds its no-op at least */
        return;
    }
    if (!r->fault.is_noted || m->from != r->leader ||
        (l->id != r->fault.id && !px_mutant(FAULT_OLD_ANSWER)))
        return; /* to an earlier question */
    /* Asked twice, answered twice: either will do. */
    if (r->fault.barrier == 0)
        r->fault.barrier = l->index;
}

/* Nothing was ever committed, so there is nothing that our vote could betray,
 * whatever we may have lost. With no term here either, nobody counts on an
 * earlier promise of ours. */
void raft_on_sound(struct raft *r)
{
    if (!r->fault.is_faulty ||
        (r->log.last > 0 && !px_mutant(SOUND_WITH_ENTRIES)))
        return;
    r->fault = (struct raft_fault){0};
    if (r->hard.term == 0)
        r->quiet_until = 0;
    raft_election_restart(r);
}

void raft_fault_settle(struct raft *r)
{
    struct raft_fault *f = &r->fault;

    if (!f->is_faulty || f->barrier == 0)
        return;
    if (!px_mutant(FAULT_BARRIER_SKIPPED) &&
        (known(r) < f->barrier || r->log.durable < f->barrier ||
         !raft_is_hard_durable(r)))
        return;
    *f = (struct raft_fault){0};
    r->draft.is_recovered = true;
    r->is_recovering = true;
}
