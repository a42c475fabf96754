/* Is the state here the one that the others have?
 *
 *   applied up to a multiple of hash_every ─▶ the state's hash there: a point
 *          └─▶ HASH, proposed by every voter for itself ─▶ in the log
 *   a HASH is applied ─▶ a claim ─▶ the point's tally ─▶ a majority claims one
 *                                                     value, and ours is another:
 *                                                     quarantine.c
 *
 * All nodes see the same claims, and each judges itself alone, by what a
 * majority of the voters says. The leader's word counts as much as another's:
 * where it is the leader that differs, it is the one that goes, and no node can
 * be talked into quarantine by one that is wrong.
 *
 * What there is no majority for is noted, and nothing else: which of two nodes
 * is wrong, their hashes don't say. So it is in a cluster of two, and where so
 * many are down that those that differ decide nothing.
 *
 * A state that another node gave us is no second witness of what it holds. So
 * a node that was given one takes its own value and is judged by it, but claims
 * nothing until it is plain that nobody differs: a majority has its value
 * without it; or another voter has claimed the last point, and no other voter's
 * claim is different, of all the points that are remembered. Where nobody has
 * claimed any of those, all were given their states, and all speak again. A
 * restart forgets this, since no disk says where its state came from; were all
 * that start silent, two that differ would wait for the third in vain.
 *
 * A node has no value of its own for a point that it did not pass in this life,
 * or over which it was given a snapshot: it says nothing then, and is not
 * judged. A claim is about what was applied long before it, so a node that
 * replays its log meets no claim before it has its own value. One that fails
 * to reach the log is proposed again, until there is a newer one; in a cluster
 * that nobody writes to there are no points, and no claims. */
#include "base/assert.h"
#include "base/mutant.h"
#include "base/note.h"
#include "node/replica_core.h"
#include "raft/config.h"

/* ---- Points ---- */

raft_index hashes_limit(const struct replica *r)
{
    raft_index every = r->hashes.every;

    return every == 0 ? UINT64_MAX : (r->applied / every + 1) * every;
}

static struct hash_point *slot_of(struct replica *r, raft_index index)
{
    return &r->hashes.points[index / r->hashes.every % HASH_POINTS];
}

/* The point at @index, begun if it is news; NULL if it is too old. */
static struct hash_point *point_at(struct replica *r, raft_index index)
{
    struct hash_point *p = slot_of(r, index);

    if (p->index > index)
        return NULL;
    if (p->index < index)
        *p = (struct hash_point){.index = index};
    return p;
}

/* ---- The tally ---- */

static bool is_voter(const struct replica *r, raft_id id)
{
    int i = raft_config_find(&r->config, id);

    return i >= 0 && r->config.members[i].role == RAFT_VOTER;
}

/* Of those who are voters now: members may have come and gone since. */
static size_t claims_by_voters(const struct replica *r,
                               const struct hash_point *p)
{
    size_t count = 0;

    for (size_t i = 0; i < p->claim_count; i++)
        count += is_voter(r, p->claims[i].voter);
    return count;
}

static size_t count_of(const struct replica *r, const struct hash_point *p,
                       uint64_t hash)
{
    size_t count = 0;

    for (size_t i = 0; i < p->claim_count; i++)
        count += p->claims[i].hash == hash && is_voter(r, p->claims[i].voter);
    return count;
}

/* What a majority of the voters claims; false: there is no such value. */
static bool find_common(const struct replica *r, const struct hash_point *p,
                        uint64_t *common_out)
{
    size_t needed = raft_config_voters(&r->config) / 2 + 1;

    if (px_mutant(DIVERGENCE_BY_ONE))
        needed = 1;
    for (size_t i = 0; i < p->claim_count; i++) {
        if (count_of(r, p, p->claims[i].hash) >= needed) {
            *common_out = p->claims[i].hash;
            return true;
        }
    }
    return false;
}

/* Once for a point. A claim that comes late may settle it yet. */
static void note_undecided(struct replica *r, struct hash_point *p)
{
    if (p->is_settled || p->is_noted || !p->has_own ||
        count_of(r, p, p->own) == claims_by_voters(r, p))
        return;
    p->is_noted = true;
    r->counters.hashes_undecided++;
    px_note(PX_NOTE_ERROR,
            "node: states differ, and no majority says which is right: "
            "index=%llu own=%016llx claims=%zu",
            (unsigned long long)p->index, (unsigned long long)p->own,
            claims_by_voters(r, p));
}

static void judge(struct replica *r, struct hash_point *p)
{
    uint64_t common;

    if (!p->has_own || p->is_settled)
        return;
    if (!find_common(r, p, &common)) {
        if (claims_by_voters(r, p) == raft_config_voters(&r->config))
            note_undecided(r, p);
        return;
    }
    p->is_settled = true;
    if (common == p->own) {
        r->counters.hashes_equal++;
        r->hashes.is_silent = false;
    } else if (!px_mutant(DIVERGENCE_SERVED)) {
        quarantine_begin(
            r, &(struct replica_divergence){p->index, p->own, common});
    }
}

static void add_claim(struct hash_point *p, const struct store_claim *claim)
{
    for (size_t i = 0; i < p->claim_count; i++) {
        if (p->claims[i].voter == claim->voter)
            return; /* it said so before, and may have been replaced since */
    }
    if (p->claim_count < RAFT_MEMBERS_MAX)
        p->claims[p->claim_count++] = *claim;
}

static void on_claim(struct replica *r, const struct store_result *result)
{
    const struct store_claim *claim = &result->claim;
    struct hash_point *p;

    if (claim->index == 0 || r->hashes.every == 0)
        return;
    /* Of nobody who counts; of no such place; of what is not applied yet. */
    if (!is_voter(r, claim->voter) || claim->index % r->hashes.every != 0 ||
        claim->index >= result->index)
        return;
    p = point_at(r, claim->index);
    if (p == NULL)
        return;
    add_claim(p, claim);
    judge(r, p);
}

/* ---- A state of another node's ---- */

struct others {
    size_t claims; /* of the point, by voters that we are not */
    size_t different;
};

static struct others others_of(const struct replica *r,
                               const struct hash_point *p)
{
    struct others o = {0, 0};

    for (size_t i = 0; i < p->claim_count; i++) {
        if (p->claims[i].voter == r->id || !is_voter(r, p->claims[i].voter))
            continue;
        o.claims++;
        o.different += p->claims[i].hash != p->own;
    }
    return o;
}

/* By all that is remembered, as the next point is reached. */
static bool is_undisputed(struct replica *r)
{
    const struct hash_point *last = slot_of(r, r->applied - r->hashes.every);
    size_t own = 0;

    for (size_t i = 0; i < HASH_POINTS; i++) {
        const struct hash_point *p = &r->hashes.points[i];

        if (p->has_own && others_of(r, p).different > 0)
            return false;
        own += p->has_own;
    }
    return own == HASH_POINTS ||
           (last->has_own && others_of(r, last).claims > 0);
}

/* ---- Our own value ---- */

static void take_own(struct replica *r)
{
    struct hashes *h = &r->hashes;
    struct hash_point *p;
    raft_index index;

    h->is_silent = h->is_silent && !is_undisputed(r);
    p = point_at(r, r->applied); /* in place of the oldest */
    if (p == NULL || store_view_begin(r->view) < 0)
        return; /* a broken state shows up at the next apply */
    store_view_state_hash(r->view, &index, &p->own);
    store_view_end(r->view);
    px_assert(index == r->applied);
    p->has_own = true;
    if (!h->is_silent)
        h->to_claim = (struct store_claim){index, p->own, r->id};
    if (r->applied > h->every)
        note_undecided(r, slot_of(r, r->applied - h->every));
    judge(r, p); /* where the log is replayed from before it */
}

void hashes_on_applied(struct replica *r, const struct replica_apply *job)
{
    for (size_t i = 0; i < job->applied && !replica_is_quarantined(r); i++)
        on_claim(r, &job->results[i]);
    if (r->hashes.every != 0 && r->applied % r->hashes.every == 0 &&
        !replica_is_quarantined(r))
        take_own(r);
}

/* What was taken was of another state. */
void hashes_on_adopted(struct replica *r)
{
    for (size_t i = 0; i < HASH_POINTS; i++) {
        r->hashes.points[i].has_own = false;
        r->hashes.points[i].is_settled = false;
        r->hashes.points[i].is_noted = false;
    }
    r->hashes.to_claim = (struct store_claim){0};
    r->hashes.is_silent = !px_mutant(GIVEN_STATE_CLAIMED);
}

/* ---- Claims of ours ---- */

static void on_claimed(struct fs_wait *w, int rc,
                       const struct store_result *result)
{
    struct hashes *h = px_list_entry(w, struct hashes, claim);

    (void)result; /* it can't be refused */
    h->is_claiming = false;
    if (rc == 0 && h->to_claim.index == h->claimed)
        h->to_claim = (struct store_claim){0};
}

void hashes_turn(struct replica *r, px_ns now)
{
    struct hashes *h = &r->hashes;
    struct command c = {.op = COMMAND_HASH,
                        .hashed_index = h->to_claim.index,
                        .state_hash = h->to_claim.hash,
                        .voter = h->to_claim.voter};

    if (h->to_claim.index == 0 || h->is_claiming || r->commands.session == 0 ||
        !is_voter(r, r->id) || replica_is_quarantined(r))
        return;
    h->claimed = h->to_claim.index;
    h->is_claiming = true;
    h->claim.deadline = now + r->request_timeout;
    replica_propose(r, &h->claim, &c);
}

void hashes_init(struct replica *r, raft_index every)
{
    r->hashes.every = every;
    r->hashes.claim.done = on_claimed;
}
