/* A flush that lied: it said that it was done, and after a crash the last batch
 * of the log is not there, or only in part, as if it had been torn.
 *
 * What is promised then is what raft/fault.c says: who counts on what was lost
 * tells, as long as it leads; and the start tells, where more was written
 * behind it. From then on the server knows, and whatever happens it gives no
 * vote before it holds all again. Until then it knows nothing, and votes as if
 * nothing were missing. When the leader that counts on it ends meanwhile, such a
 * vote may elect one that lacks what was committed: no member of a majority can
 * forget, and not know it. So that is left out here. Votes of one that has a
 * loss that is
 *
 *   unseen     it has not yet told a leader of it (LOST), which then counts on
 *              it no more, and will not tell it again
 *   not over   it does not hold again what it lost, nor a snapshot of as much,
 *              nor an entry that was committed in a later term: the leader of
 *              that one was elected without its vote, and so held what of it
 *              may have been committed
 *   harmful    something at the place of what it lost is committed, or who led in
 *              its term then is still there, and may count on it
 *
 * never arrive. All else goes on: it acknowledges, follows, is told to take over,
 * and its votes count again from the message on that says what it has lost, even
 * if that message is lost, and whatever becomes of the server in the next
 * moment. */
#include <inttypes.h>

#include "tests/sim/check_core.h"
#include "tests/sim/faults.h"

#define TOLD_MAX 30u

void check_on_lost_flush(struct server *s)
{
    struct record *r = record_of(s);
    raft_index last = r->durable.last;

    r->loss = (struct loss){
        .end = {last > 0 ? r->durable.terms[last] : 0, last},
        .term = r->durable.hard.term,
        .is_fresh = true,
    };
}

static bool found_holds(const struct server *s, struct raft_pos pos)
{
    const struct store_log_info *info = &s->storage.found;
    raft_term term = 0;

    if (pos.index < info->first || pos.index > info->last)
        return pos.index == info->base.index && pos.term == info->base.term;
    for (size_t i = 0; i < info->run_count; i++) {
        if (info->runs[i].first <= pos.index)
            term = info->runs[i].term;
    }
    return term == pos.term;
}

/* From here on it is not there, or as it was before. */
static raft_index first_lost(struct server *s)
{
    const struct store_log_info *info = &s->storage.found;
    const struct image *before = &record_of(s)->durable;
    raft_index i = info->first;

    while (i <= info->last && i <= before->last &&
           found_holds(s, (struct raft_pos){before->terms[i], i}))
        i++;
    return i;
}

void check_loss_on_open(struct server *s)
{
    struct loss *l = &record_of(s)->loss;
    uint64_t *counts = s->world->counts;
    bool was_fresh = l->is_fresh;

    l->is_fresh = false;
    if (l->end.index == 0)
        return;
    if (was_fresh && found_holds(s, l->end)) {
        l->end.index = 0; /* nothing that anybody was told of */
        return;
    }
    counts[COUNT_LOSSES] += was_fresh;
    if (was_fresh)
        l->first = first_lost(s);
    if (s->storage.found.fault == NULL)
        return;
    counts[COUNT_LOSSES_FOUND]++;
    l->end.index = 0;
}

/* Does it hold something that was committed later? */
static bool has_later(const struct server *s, const struct loss *l)
{
    const struct check *c = s->world->check;
    const struct image *im = &record_of(s)->durable;
    raft_index i = c->commit < im->last ? c->commit : im->last;

    return i > 0 && im->terms[i] > l->term &&
           im->terms[i] == c->places[i].committed;
}

/* Nobody was told that it is committed, and nobody will be: who leads from now on
 * counts anew. */
static bool is_harmless(const struct server *s, const struct loss *l)
{
    const struct world *w = s->world;

    if (w->check->commit >= l->first)
        return false;
    for (size_t i = 0; i < w->server_count; i++) {
        const struct server *other = w->servers[i];

        if (server_is_up(other) && raft_of(other)->role == RAFT_LEADER &&
            raft_of(other)->hard.term <= l->term)
            return false;
    }
    return true;
}

bool check_has_unseen_loss(const struct server *s)
{
    struct record *r = record_of(s);
    struct loss *l = &r->loss;

    if (l->is_fresh)
        return true; /* if of no entry, then of a vote */
    if (l->end.index == 0)
        return false;
    if (!check_holds(s, l->end) && r->snapshot < l->end.index &&
        !has_later(s, l) && !is_harmless(s, l))
        return true;
    s->world->counts[COUNT_LOSSES_HEALED]++;
    l->end.index = 0;
    return false;
}

static bool is_vote(const struct raft_msg *msg)
{
    return msg->type == RAFT_MSG_VOTE ||
           (msg->type == RAFT_MSG_VOTE_REPLY && msg->vote_reply.is_granted);
}

static void see(struct server *s)
{
    struct loss *l = &record_of(s)->loss;

    s->world->counts[COUNT_LOSSES_NOTICED]++;
    world_trace(s->world, s, "has noticed that it lacks %" PRIu64 "/%" PRIu64,
                l->end.term, l->end.index);
    faults_on_noticed(s, l->end);
    l->end.index = 0;
}

/* Does who leads it believe that it holds what it does not? */
static bool is_counted_on(const struct server *s)
{
    const struct world *w = s->world;
    const struct raft *r = raft_of(s);
    const struct server *l = r->leader != 0 ? w->servers[r->leader - 1] : NULL;
    const struct raft *of = l != NULL && server_is_up(l) ? raft_of(l) : NULL;

    if (of == NULL || of->role != RAFT_LEADER || of->hard.term != r->hard.term)
        return false;
    for (size_t i = 0; i < of->config.count; i++) {
        raft_index match = of->peers[i].match;

        if (of->peers[i].id == r->id)
            return match >= of->log.base.index && match > r->log.base.index &&
                   !raft_log_holds(&r->log,
                                   (struct raft_pos){
                                       raft_log_term(&of->log, match), match});
    }
    return false;
}

/* It answers a heartbeat. Some were sent before the leader heard that it holds
 * so much. */
static void count_told(struct server *s)
{
    struct loss *l = &record_of(s)->loss;

    l->told = is_counted_on(s) ? l->told + 1 : 0;
    if (l->told > TOLD_MAX)
        world_fail(s->world,
                   "%s does not notice that it lacks %" PRIu64 "/%" PRIu64,
                   s->name, l->end.term, l->end.index);
}

bool check_may_send(struct server *s, const struct raft_msg *msg)
{
    if (record_of(s)->loss.end.index == 0 || !check_has_unseen_loss(s))
        return true;
    if (msg->type == RAFT_MSG_LOST)
        see(s);
    if (msg->type == RAFT_MSG_HEARTBEAT_REPLY && !raft_of(s)->fault.is_faulty)
        count_told(s);
    if (!is_vote(msg))
        return true;
    s->world->counts[COUNT_VOTES_WITHHELD]++;
    return false;
}
