/* Every invariant of core.h, looked at: the state first, then what changed
 * since the last look. */
#include "raft/core.h"

static void check_runs(const struct raft_log *log)
{
    raft_term term = log->base.term;
    raft_index first = log->base.index;

    px_assert((log->base.index == 0) == (log->base.term == 0));
    px_assert((log->run_count == 0) == (log->last == log->base.index));
    for (size_t i = 0; i < log->run_count; i++) {
        if (i == 0) { /* L5; its term may be that of the base */
            px_assert(log->runs[i].term >= term);
            px_assert(log->runs[i].first == first + 1);
        } else {
            px_assert(log->runs[i].term > term); /* L1 */
            px_assert(log->runs[i].first > first);
        }
        term = log->runs[i].term;
        first = log->runs[i].first;
    }
    px_assert(first <= log->last);
}

void raft_log_check(const struct raft_log *log)
{
    uint64_t tail_bytes = 0;
    uint64_t unapplied_bytes = 0;

    check_runs(log);
    px_assert(log->durable <= log->last);                    /* L2 */
    px_assert(log->applied <= log->durable);                 /* L2, R3 */
    px_assert(log->applied >= log->base.index);              /* L5 */
    px_assert(raft_log_tail_first(log) > log->base.index);   /* L5 */
    px_assert(raft_log_tail_first(log) <= log->durable + 1); /* L3 */
    for (raft_index i = raft_log_tail_first(log); i <= log->last; i++) {
        const struct raft_entry *e = raft_log_entry(log, i);

        px_assert(e->pos.index == i);
        px_assert(e->pos.term == raft_log_term(log, i));
        tail_bytes += e->data.size + sizeof *e;
        if (i > log->applied)
            unapplied_bytes += e->data.size;
    }
    px_assert(tail_bytes == log->tail_bytes);           /* L4 */
    px_assert(unapplied_bytes == log->unapplied_bytes); /* L4 */
}

void raft_progress_check(const struct raft_peer *p)
{
    uint64_t bytes = 0;
    raft_index last = 0;

    px_assert(p->match < p->next); /* P1 */
    px_assert(p->inflight_count <= RAFT_INFLIGHT_MSGS_MAX);
    for (unsigned i = 0; i < p->inflight_count; i++) {
        unsigned at = (p->inflight_first + i) % RAFT_INFLIGHT_MSGS_MAX;

        px_assert(p->inflight[at].last > last);
        last = p->inflight[at].last;
        bytes += p->inflight[at].bytes;
    }
    px_assert(bytes == p->inflight_bytes); /* P2 */
    px_assert(bytes <= RAFT_INFLIGHT_BYTES_MAX);
    px_assert(last < p->next);
    px_assert(px_implies(p->state != RAFT_STREAM, p->inflight_count == 0));
}

static void check_leader(const struct raft *r)
{
    px_assert(r->is_voter); /* R5 */
    px_assert(r->leader == r->id);
    px_assert(raft_is_hard_durable(r));                     /* R6 */
    px_assert(raft_log_last(&r->log).term == r->hard.term); /* R7 */
    px_assert(px_implies(r->noop >= r->log.base.index,
                         raft_log_term(&r->log, r->noop) == r->hard.term));
    px_assert(px_implies(r->noop > r->log.base.index,
                         raft_log_term(&r->log, r->noop - 1) < r->hard.term));
    px_assert(r->reads.round <= r->round);
    px_assert((r->transfer.to == 0) == (r->transfer.until == PX_NS_NEVER));
    px_assert(
        px_implies(r->transfer.to == 0, r->transfer.next_at == PX_NS_NEVER));
    px_assert(
        px_implies(r->transfer.is_sent, raft_lease_end(r) == 0)); /* R16 */
    px_assert(r->lease_stamp <= r->round_stamp ||
              r->lease_stamp == PX_NS_NEVER);
    for (size_t i = 0; i < r->config.count; i++) {
        const struct raft_peer *p = &r->peers[i];

        if (p->id == r->id)
            continue;
        raft_progress_check(p);
        px_assert(p->match <= r->log.last);             /* P3 */
        px_assert(p->next <= r->log.last + 1);          /* P3 */
        px_assert(p->next > r->log.base.index);         /* P6 */
        px_assert(px_implies(p->state == RAFT_SNAPSHOT, /* P7 */
                             p->match < r->log.base.index &&
                                 p->next == r->log.base.index + 1));
        px_assert(p->told <= r->commit);       /* P4 */
        px_assert(p->round <= r->round);       /* P5 */
        px_assert(p->stamp <= r->round_stamp); /* P5 */
    }
}

static void check_role(const struct raft *r)
{
    px_assert(
        px_implies(r->installing != 0, r->role == RAFT_FOLLOWER)); /* R12 */
    px_assert(r->installing <= r->hard.term);                      /* R12 */
    px_assert(
        px_implies(r->fault.is_faulty, r->role == RAFT_FOLLOWER));  /* R14 */
    px_assert(px_implies(r->is_passive, r->role == RAFT_FOLLOWER)); /* R19 */
    px_assert(px_implies(r->role != RAFT_FOLLOWER, r->is_voter));   /* R5 */
    px_assert(px_implies(r->role == RAFT_CANDIDATE || r->role == RAFT_LEADER,
                         r->hard.voted_for == r->id)); /* R5 */
    px_assert(
        px_implies(r->role == RAFT_PRE_CANDIDATE || r->role == RAFT_CANDIDATE,
                   r->leader == 0));
    if (r->role == RAFT_LEADER) {
        check_leader(r);
        return;
    }
    px_assert(r->transfer.to == 0 && !r->is_lease_over); /* R16 */
    px_assert(!r->has_made_way);
    px_assert(r->leader != r->id);
    px_assert(r->lease_stamp == 0); /* R8 */
    px_assert(r->reads.round == 0); /* R8 */
    px_assert(r->election_at >= r->quiet_until);
}

static void check_fault(const struct raft *r)
{
    const struct raft_fault *f = &r->fault;
    const struct raft_fault *seen = &r->seen_fault;

    px_assert(f->is_faulty == (f->id != 0));
    px_assert(px_implies(!f->is_faulty, f->verified == 0 && f->barrier == 0));
    px_assert(px_implies(!f->is_faulty, !f->is_noted));
    px_assert(px_implies(f->barrier != 0, f->is_noted)); /* R20 */
    px_assert(f->verified <= r->log.last);
    px_assert(
        px_implies(f->is_faulty && seen->is_faulty, /* R15 */
                   (f->id == seen->id) == (r->hard.term == r->seen_hard.term)));
    px_assert(px_implies(f->is_faulty && f->id == seen->id,
                         f->verified >= seen->verified &&
                             f->barrier >= seen->barrier));
}

static void check_change(struct raft *r)
{
    px_assert(r->hard.term >= r->seen_hard.term); /* R1 */
    px_assert(px_implies(r->hard.term == r->seen_hard.term &&
                             r->seen_hard.voted_for != 0,
                         r->hard.voted_for == r->seen_hard.voted_for));
    px_assert(r->commit >= r->seen_commit);       /* R2 */
    px_assert(r->log.base.index >= r->seen_base); /* R13 */
    r->seen_fault = r->fault;
    r->seen_hard = r->hard;
    r->seen_commit = r->commit;
    r->seen_base = r->log.base.index;
}

static void check_configs(const struct raft *r)
{
    const struct raft_configs *c = &r->configs;

    px_assert(c->count > 0);
    px_assert(c->list[c->count - 1].index <= r->log.last); /* R17 */
    px_assert(c->list[0].index <= r->log.applied);
    for (size_t i = 1; i < c->count; i++) {
        px_assert(c->list[i].index > c->list[i - 1].index);
        px_assert(c->list[i].index > r->log.applied);
    }
    px_assert(r->config.count == c->list[c->count - 1].config.count);
    for (size_t i = 0; i < r->config.count; i++) /* R17 */
        px_assert(r->peers[i].id == c->list[c->count - 1].config.members[i].id);
    px_assert(px_implies(raft_can_serve(r) && c->count > 1, /* R18 */
                         c->list[c->count - 2].index <= r->commit));
}

void raft_check(struct raft *r)
{
    raft_log_check(&r->log);
    check_configs(r);
    px_assert(r->commit <= r->log.last);    /* R2 */
    px_assert(r->log.applied <= r->commit); /* R3 */
    px_assert(raft_log_last(&r->log).term <= r->hard.term);
    px_assert(r->hard_seq <= r->write_seq);      /* R9 */
    px_assert(r->log.cut_seq <= r->write_seq);   /* R9 */
    px_assert(r->durable_seq <= r->write_seq);   /* R9 */
    px_assert(r->reads.done <= r->reads.wanted); /* R10 */
    px_assert(px_implies(r->reads.attempt != 0, r->leader != 0));
    check_role(r);
    check_fault(r);
    check_change(r);
}
