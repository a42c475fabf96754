/* Who may lead: votes and pre-votes as they leave, leaders as they arise. */
#include <inttypes.h>

#include "tests/sim/check_core.h"
#include "tests/sim/members.h"

struct election *check_election(struct check *c, raft_term term)
{
    c->elections = check_grow(c->elections, &c->election_capacity, (size_t)term,
                              sizeof *c->elections);
    return &c->elections[term];
}

/* ---- Votes ---- */

/* One in a term, and durable before it leaves. */
static void check_vote(struct server *s, raft_term term, raft_id candidate)
{
    const struct raft_hard_state *hard = &record_of(s)->durable.hard;
    raft_id *vote = &check_election(s->world->check, term)->votes[s->number];

    if (*vote != 0 && *vote != candidate)
        world_fail(s->world, "%s votes twice in term %" PRIu64, s->name, term);
    *vote = candidate;
    if (hard->term < term ||
        (hard->term == term && hard->voted_for != candidate))
        world_fail(s->world,
                   "%s: a vote in term %" PRIu64 " leaves before it is durable",
                   s->name, term);
}

static bool is_behind(struct raft_pos a, struct raft_pos b)
{
    return a.term != b.term ? a.term < b.term : a.index < b.index;
}

/* The election restriction (3.6.1). Once there is a leader of that term or a
 * later one, its entries may have come here since the vote was given. */
static void check_covered(struct server *s, const struct raft_msg *msg)
{
    const struct election *e = check_election(s->world->check, msg->term);
    const struct image *im = &record_of(s)->durable;
    struct raft_pos last = {im->terms != NULL ? im->terms[im->last] : 0,
                            im->last};

    if (e->leader == 0 && raft_of(s)->hard.term == msg->term &&
        is_behind(e->last[msg->to - 1], last))
        world_fail(s->world,
                   "%s votes for n%" PRIu64 " in term %" PRIu64
                   ", whose log ends before its own",
                   s->name, msg->to, msg->term);
}

/* Who may lack entries that it has acknowledged has no say in who leads. */
static void check_sound(struct server *s, const struct raft_msg *msg)
{
    if (raft_of(s)->fault.is_faulty)
        world_fail(s->world,
                   "%s votes in term %" PRIu64 ", and has lost entries",
                   s->name, msg->term);
}

/* No term grows but with a majority's leave (9.6), or a leader's. What a slow
 * disk has held back may leave when it is over, with other members in force. */
static void check_pre_votes(struct server *s, const struct raft_msg *msg)
{
    const struct election *e = check_election(s->world->check, msg->term);
    bool has[SERVERS_MAX];

    if (raft_of(s)->role != RAFT_CANDIDATE ||
        raft_of(s)->hard.term != msg->term)
        return;
    for (size_t i = 0; i < SERVERS_MAX; i++)
        has[i] = i == s->number || (e->pre_votes[s->number] >> i & 1) != 0;
    if (!msg->vote.is_transfer && !check_has_majority(check_config(s), has))
        world_fail(s->world,
                   "%s campaigns in term %" PRIu64 " without pre-votes",
                   s->name, msg->term);
}

void check_vote_sent(struct server *s, const struct raft_msg *msg)
{
    struct check *c = s->world->check;

    s->world->counts[COUNT_TIMEOUT_NOWS] += msg->type == RAFT_MSG_TIMEOUT_NOW;
    s->world->counts[COUNT_LEADERS_GAVE_WAY] +=
        msg->type == RAFT_MSG_TIMEOUT_NOW && raft_of(s)->has_made_way;
    if (msg->type == RAFT_MSG_PRE_VOTE_REPLY && msg->vote_reply.is_granted) {
        check_sound(s, msg);
        check_election(c, msg->term)->pre_votes[msg->to - 1] |=
            (uint16_t)(1u << s->number);
    } else if (msg->type == RAFT_MSG_VOTE_REPLY && msg->vote_reply.is_granted) {
        check_sound(s, msg);
        check_vote(s, msg->term, msg->to);
        check_covered(s, msg);
    } else if (msg->type == RAFT_MSG_VOTE) {
        check_vote(s, msg->term, s->number + 1);
        check_pre_votes(s, msg);
        check_election(c, msg->term)->last[s->number] = msg->vote.last;
    }
}

/* ---- Leaders ---- */

/* Whatever the clocks and the network do: who reads by a lease now may not be
 * behind another leader. */
static void check_leases(const struct server *s)
{
    const struct world *w = s->world;
    raft_index index;

    for (size_t i = 0; i < w->server_count; i++) {
        const struct server *old = w->servers[i];

        if (old != s && server_is_up(old) &&
            raft_of(old)->role == RAFT_LEADER &&
            raft_of(old)->hard.term < raft_of(s)->hard.term &&
            raft_lease_read(raft_of(old), server_now(old), &index))
            world_fail(w,
                       "%s leads term %" PRIu64
                       ", while %s holds a lease of term %" PRIu64,
                       s->name, raft_of(s)->hard.term, old->name,
                       raft_of(old)->hard.term);
    }
}

/* Of what was committed in earlier terms: a leader whose time is over already
 * may be seen late. */
static void check_complete(const struct server *s)
{
    const struct check *c = s->world->check;
    const struct raft *r = raft_of(s);

    for (raft_index i = r->log.base.index + 1; i <= c->commit; i++) {
        struct raft_pos pos = {c->places[i].committed, i};

        if (c->places[i].seen_in < r->hard.term &&
            !raft_log_holds(&r->log, pos))
            world_fail(s->world,
                       "leader completeness: %s leads term %" PRIu64
                       " without %" PRIu64 "/%" PRIu64,
                       s->name, r->hard.term, pos.term, i);
    }
}

/* A majority of the voters that its log tells of has voted for it. */
static void check_elected(const struct server *s, const struct election *e)
{
    bool has[SERVERS_MAX];

    for (size_t i = 0; i < SERVERS_MAX; i++)
        has[i] = i == s->number || e->votes[i] == s->number + 1;
    if (!check_has_majority(check_config(s), has) ||
        !check_is_voter(s, s->number))
        world_fail(s->world, "%s leads term %" PRIu64 " without a majority",
                   s->name, raft_of(s)->hard.term);
}

void check_leader(struct server *s)
{
    struct raft *r = raft_of(s);
    struct election *e;

    if (r->role != RAFT_LEADER)
        return;
    e = check_election(s->world->check, r->hard.term);
    if (e->leader == r->id)
        return;
    if (e->leader != 0)
        world_fail(s->world,
                   "election safety: n%" PRIu64 " and %s lead term %" PRIu64,
                   e->leader, s->name, r->hard.term);
    e->leader = r->id;
    s->world->counts[COUNT_TERMS]++;
    world_trace(s->world, s, "leads term %" PRIu64, r->hard.term);
    check_elected(s, e);
    check_complete(s);
    check_leases(s);
    members_on_leader(s);
}
