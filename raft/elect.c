/* Who leads: timeouts, pre-votes, votes. The roles are drawn in core.h.
 *
 * An election asks twice. A pre-vote (9.6) asks whether one would be voted
 * for, and changes no term, here or there: a node that reaches no majority
 * keeps its term for ever, and disturbs nobody when it comes back. Then terms
 * grow and votes are cast, each durable before it is sent.
 *
 * Two things keep the lease safe (lease.c): who has heard a leader within E
 * votes for no one else, whatever the term (4.2.3, 6.4), and who was restarted
 * neither votes nor campaigns for as long as a promise made before could hold.
 *
 * A transfer waives both (transfer.c). The leader that asked for it, of the term
 * before the candidate's, has no lease in that term any more. Older leases were
 * over when it was elected: a majority voted for it, and each voter in it had
 * kept its promises first. And whoever has supported a newer lease is in a newer
 * term than the candidate's, durably, or in the same one with that leader. So a
 * vote for it breaks no promise that anybody still counts on. */
#include "base/mutant.h"
#include "raft/core.h"

void raft_election_defer(struct raft *r)
{
    r->election_at = r->now + r->timeout;
    if (r->election_at < r->quiet_until)
        r->election_at = r->quiet_until;
}

void raft_election_restart(struct raft *r)
{
    r->timeout = r->election;
    if (!px_mutant(TIMEOUT_FIXED))
        r->timeout += px_rand_below(&r->rand, r->election);
    raft_election_defer(r);
}

bool raft_is_sticky(const struct raft *r)
{
    /* By time alone: a change of term or role does not take the promise back. */
    return r->role == RAFT_LEADER || r->now < r->sticky_until;
}

/* ---- Roles ---- */

void raft_become_follower(struct raft *r, raft_term term)
{
    bool was_leader = r->role == RAFT_LEADER;

    px_assert(term >= r->hard.term); /* R1 */
    if (term > r->hard.term) {
        raft_set_hard(r, term, 0);
        raft_fault_term(r); /* R15 */
    }
    r->role = RAFT_FOLLOWER;
    r->leader = 0;
    r->granted = 0;
    r->is_transfer = false;
    r->lease_stamp = 0; /* R8 */
    r->is_lease_over = false;
    r->transfer = RAFT_TRANSFER_NONE;
    r->has_made_way = false;
    raft_reads_forget(r);
    if (was_leader)
        raft_election_restart(r);
}

/* Each member once, however often it answers. */
static void count_grant(struct raft *r, raft_id from)
{
    int i = raft_member_find(r, from);

    if (i >= 0 && raft_is_peer_voter(r, (size_t)i))
        r->granted |= UINT32_C(1) << i;
}

static bool has_majority(const struct raft *r)
{
    return (size_t)__builtin_popcount(r->granted) > r->voter_count / 2;
}

static void ask_for_votes(struct raft *r, enum raft_msg_type type,
                          raft_term term)
{
    for (size_t i = 0; i < r->config.count; i++) {
        struct raft_msg *m;

        if (r->config.members[i].id == r->id || !raft_is_peer_voter(r, i))
            continue;
        m = raft_msg_settled(r, r->config.members[i].id, type);
        m->term = term;
        m->vote.last = raft_log_last(&r->log);
        m->vote.is_transfer = r->is_transfer;
    }
}

static void become_candidate(struct raft *r, bool is_transfer)
{
    raft_election_restart(r);
    if (raft_reserve(r, 1) < 0) /* for the no-op, if elected */
        return;
    raft_set_hard(r, r->hard.term + 1, r->id);
    r->role = RAFT_CANDIDATE;
    r->leader = 0;
    r->granted = 0; /* not even our own, until it is durable */
    r->is_transfer = is_transfer;
    raft_reads_forget(r);
    ask_for_votes(r, RAFT_MSG_VOTE, r->hard.term);
}

static void become_pre_candidate(struct raft *r)
{
    raft_election_restart(r);
    r->role = RAFT_PRE_CANDIDATE;
    if (!px_mutant(PRE_VOTE_KEEPS_LEADER))
        r->leader = 0;
    r->granted = 0;
    r->is_transfer = false;
    raft_reads_forget(r);
    count_grant(r, r->id);
    if (has_majority(r)) {
        become_candidate(r, false);
        return;
    }
    ask_for_votes(r, RAFT_MSG_PRE_VOTE, r->hard.term + 1);
}

/* R12, R14, R19; and who is stuck (disk.c) could not keep its own vote. */
bool raft_may_campaign(const struct raft *r)
{
    return r->installing == 0 && !r->is_passive && !raft_is_stuck(r) &&
           (!r->fault.is_faulty || px_mutant(FAULTY_CAMPAIGNS));
}

void raft_on_election_timeout(struct raft *r)
{
    px_assert(r->role != RAFT_LEADER);
    px_assert(r->is_voter);
    px_assert(r->now >= r->quiet_until);
    if (!raft_may_campaign(r)) {
        raft_election_restart(r);
        return;
    }
    if (px_mutant(PRE_VOTE_SKIPPED))
        become_candidate(r, false);
    else
        become_pre_candidate(r);
}

void raft_on_timeout_now(struct raft *r, const struct raft_msg *m)
{
    if (r->role == RAFT_FOLLOWER && m->from == r->leader && r->is_voter &&
        raft_may_campaign(r))
        become_candidate(r, true);
}

void raft_on_passive(struct raft *r, bool is_passive)
{
    r->is_passive = is_passive;
    if (is_passive && r->role != RAFT_FOLLOWER)
        raft_become_follower(r, r->hard.term);
}

/* ---- Voting for others ---- */

/* Do our promises allow to vote for the sender of @m at this time? */
static bool may_vote(const struct raft *r, const struct raft_msg *m)
{
    if (r->fault.is_faulty && !px_mutant(FAULTY_VOTES))
        return false; /* a vote stands for what was acknowledged (fault.c) */
    if (m->vote.is_transfer && !px_mutant(STICKY_IN_TRANSFER))
        return true;
    if (r->now < r->quiet_until)
        return false;
    if (px_mutant(STICKY_NOT) ||
        (px_mutant(STICKY_SAME_TERM) && m->term > r->hard.term))
        return true;
    return !raft_is_sticky(r);
}

void raft_on_pre_vote(struct raft *r, const struct raft_msg *m)
{
    struct raft_msg *reply =
        raft_msg_settled(r, m->from, RAFT_MSG_PRE_VOTE_REPLY);

    /* Granting promises nothing and refreshes nothing. A pre-candidate of an
     * older term is refused, and learns of ours. */
    if (m->term <= r->hard.term || !may_vote(r, m) ||
        !raft_log_is_covered(&r->log, m->vote.last))
        return;
    if (px_mutant(PRE_VOTE_REFRESHES))
        raft_election_restart(r);
    reply->vote_reply.is_granted = true;
    reply->term = m->term;
}

/* Could we still vote for the sender of @m, in our term? */
static bool is_free_for(const struct raft *r, const struct raft_msg *m)
{
    return m->term == r->hard.term &&
           (r->hard.voted_for == 0 || r->hard.voted_for == m->from ||
            px_mutant(VOTE_TWICE)) &&
           (raft_log_is_covered(&r->log, m->vote.last) ||
            px_mutant(VOTE_BEHIND_LOG));
}

static void grant(struct raft *r, raft_id candidate)
{
    if (r->role != RAFT_FOLLOWER)
        raft_become_follower(r, r->hard.term);
    if (r->hard.voted_for == 0)
        raft_set_hard(r, r->hard.term, candidate);
    raft_election_restart(r);
}

void raft_on_vote(struct raft *r, const struct raft_msg *m)
{
    bool is_granted = false;

    /* Who may not be voted for now does not even bring its term. */
    if (may_vote(r, m)) {
        if (m->term > r->hard.term)
            raft_become_follower(r, m->term);
        is_granted = is_free_for(r, m);
        if (is_granted)
            grant(r, m->from);
    }
    raft_msg_settled(r, m->from, RAFT_MSG_VOTE_REPLY)->vote_reply.is_granted =
        is_granted;
}

/* ---- Being voted for ---- */

void raft_on_vote_reply(struct raft *r, const struct raft_msg *m)
{
    if (!m->vote_reply.is_granted)
        return; /* its term, if it is higher, has been taken note of */
    if (m->type == RAFT_MSG_PRE_VOTE_REPLY) {
        if (r->role != RAFT_PRE_CANDIDATE || m->term != r->hard.term + 1)
            return; /* of an earlier attempt */
        count_grant(r, m->from);
        if (has_majority(r))
            become_candidate(r, false);
        return;
    }
    if (r->role != RAFT_CANDIDATE || m->term != r->hard.term)
        return;
    count_grant(r, m->from);
    if (raft_is_hard_durable(r) && has_majority(r))
        raft_become_leader(r);
}

void raft_on_own_vote_durable(struct raft *r)
{
    px_assert(r->role == RAFT_CANDIDATE);
    px_assert(raft_is_hard_durable(r));
    count_grant(r, r->id);
    if (has_majority(r))
        raft_become_leader(r);
}
