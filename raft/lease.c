/* Time on the leader: heartbeat rounds, what their echoes prove, and when to
 * give up.
 *
 *   S ─────────────┬──────────────────────────────▶ our clock
 *   round sent     │ echoes of S from a majority
 *   └──── E (1-rho)/(1+rho) ────┘ lease end
 *
 * Whoever echoes S received it after S and votes for no one else for E on its
 * own clock. With a majority of such promises no other leader can arise before
 * the fastest of these clocks has counted E; ours may be the slowest: hence
 * the factor (6.4). The end rests on the newest S that a majority has echoed,
 * each peer by its own newest echo, so that two of one peer are one.
 *
 * The E of a promise is the follower's, that of the lease ours: all voters run
 * with the same one. A restart with a shorter one does not shorten what was
 * promised before (raft_options.promise). */
#include "base/mutant.h"
#include "raft/core.h"

static uint64_t heard_of(const struct raft_peer *p)
{
    return p->heard;
}

static uint64_t stamp_of(const struct raft_peer *p)
{
    return p->stamp;
}

void raft_heartbeat_round(struct raft *r)
{
    r->round++;
    r->round_stamp = r->now;
    r->heartbeat_at = r->now + r->heartbeat;
    for (size_t i = 0; i < r->config.count; i++) {
        struct raft_peer *p = &r->peers[i];
        struct raft_pos match = raft_peer_match(r, p);
        raft_index reach = match.index < r->commit ? match.index : r->commit;
        struct raft_msg *m;

        if (p->id == r->id || raft_is_silent(r))
            continue;
        m = raft_msg_now(r, p->id, RAFT_MSG_HEARTBEAT);
        m->heartbeat.match = match;
        m->heartbeat.commit = r->commit;
        m->heartbeat.stamp = r->round_stamp;
        m->heartbeat.round = r->round;
        if (p->told < reach)
            p->told = reach;
    }
}

void raft_lease_recount(struct raft *r)
{
    /* A sole voter needs no echo, and its lease no end. */
    r->lease_stamp = raft_majority(r, stamp_of, PX_NS_NEVER);
}

void raft_on_heartbeat_reply(struct raft *r, struct raft_peer *p,
                             const struct raft_msg *m)
{
    const struct raft_msg_heartbeat_reply *h = &m->heartbeat_reply;

    if (h->round == 0 || h->round > r->round || h->stamp > r->round_stamp ||
        (h->stamp < r->elected_at && !px_mutant(ECHO_OLD_TERM))) {
        r->refused++; /* we never sent that */
        return;
    }
    if (h->round >= p->round) {
        p->round = h->round;
        p->is_fit = !h->is_unfit || px_mutant(UNFIT_ASKED);
        p->is_faulty = h->is_faulty;
    }
    if (h->stamp > p->stamp) {
        p->stamp = px_mutant(LEASE_AT_RECEIPT) ? r->now : h->stamp;
        raft_lease_recount(r);
        if (px_mutant(LEASE_ONE_PEER))
            r->lease_stamp = p->stamp;
    }
    raft_reads_advance(r);
    raft_resend_if_stuck(r, p, h->last);
}

void raft_check_quorum(struct raft *r)
{
    px_ns heard = raft_majority(r, heard_of, r->now);

    if (heard < r->elected_at)
        heard = r->elected_at;
    r->quorum_at = heard + r->election;
    if (r->quorum_at <= r->now && !px_mutant(QUORUM_UNCHECKED))
        raft_become_follower(r, r->hard.term);
}

px_ns raft_lease_end(const struct raft *r)
{
    if (!raft_can_serve(r))
        return 0;
    if (r->voter_count == 1)
        return PX_NS_NEVER; /* nobody else can be elected */
    if (r->is_lease_over || r->lease_stamp == 0)
        return 0;
    return r->lease_stamp + r->lease;
}

bool raft_lease_read(const struct raft *r, px_ns now, raft_index *index_out)
{
    if (px_mutant(LEASE_TIME_CACHED))
        now = r->now;
    if (px_mutant(LEASE_ENDLESS) ? raft_lease_end(r) == 0
                                 : now >= raft_lease_end(r))
        return false;
    *index_out = r->commit;
    return true;
}
