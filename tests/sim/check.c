#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "node/replica_core.h"
#include "raft/core.h"

/* raft_check walks the tail of the log in memory: a long one is looked at less
 * often. */
#define TAIL_PER_LOOK 64u

/* An entry by the name that log matching gives it. */
struct known {
    raft_term term;
    raft_term prev_term;
    uint64_t sum; /* of kind and data */
};

/* All that was ever in a log at one index, and what was committed there. */
struct place {
    struct known *known;
    size_t known_count;
    raft_term committed; /* its term; 0: not yet */
    uint64_t result;     /* of applying it; 0: not yet applied */
};

struct image {
    raft_term *terms; /* by index; [0] is 0 */
    size_t capacity;
    raft_index last;
    struct raft_hard_state hard;
};

/* What a server has on its disk: for sure, and perhaps. */
struct record {
    struct image durable;
    struct image written;
    raft_index kept;   /* both hold the same up to here */
    raft_index commit; /* looked at up to here */
    raft_term led;     /* the newest term that it was seen to lead */
    uint64_t looks;
};

struct check {
    struct world *world;
    struct record records[SERVERS_MAX];
    raft_id *leaders; /* by term */
    size_t leader_capacity;
    struct vote {
        raft_id for_whom[SERVERS_MAX]; /* by voter */
    } * votes;                         /* by term */
    size_t vote_capacity;
    struct place *places; /* by index */
    size_t place_capacity;
    raft_index commit; /* of the cluster */
};

static void *grow(void *old, size_t *capacity, size_t want, size_t size)
{
    size_t have = *capacity;
    uint8_t *p = old;

    if (want < have)
        return old;
    *capacity = want + 1 > 2 * have ? want + 1 : 2 * have;
    p = realloc(old, *capacity * size);
    px_assert(p != NULL);
    memset(p + have * size, 0, (*capacity - have) * size);
    return p;
}

static struct place *place_at(struct check *c, raft_index index)
{
    c->places =
        grow(c->places, &c->place_capacity, (size_t)index, sizeof *c->places);
    return &c->places[index];
}

static raft_id *leader_of(struct check *c, raft_term term)
{
    c->leaders =
        grow(c->leaders, &c->leader_capacity, (size_t)term, sizeof *c->leaders);
    return &c->leaders[term];
}

static struct raft *raft_of(const struct server *s)
{
    return s->replica->raft;
}

static struct record *record_of(const struct server *s)
{
    return &s->world->check->records[s->number];
}

/* ---- What is on the disks ---- */

static void image_set(struct image *im, raft_index index, raft_term term)
{
    im->terms =
        grow(im->terms, &im->capacity, (size_t)index, sizeof *im->terms);
    im->terms[index] = term;
    im->last = index;
}

static raft_term image_term(const struct image *im, raft_index index)
{
    return index == 0 || index > im->last ? 0 : im->terms[index];
}

static uint64_t sum_of(const struct raft_entry *e)
{
    return XXH3_64bits_withSeed(e->data.data, e->data.size, (uint64_t)e->kind) |
           1;
}

/* Log matching: index and term name one entry, and all before it. */
static void check_matching(struct server *s, const struct raft_entry *e,
                           raft_term prev_term)
{
    struct place *p = place_at(s->world->check, e->pos.index);
    struct known now = {e->pos.term, prev_term, sum_of(e)};

    for (size_t i = 0; i < p->known_count; i++) {
        if (p->known[i].term != now.term)
            continue;
        if (p->known[i].prev_term != prev_term || p->known[i].sum != now.sum)
            world_fail(s->world,
                       "log matching: %s has another entry at %" PRIu64
                       "/%" PRIu64,
                       s->name, now.term, e->pos.index);
        return;
    }
    p->known = realloc(p->known, (p->known_count + 1) * sizeof now);
    px_assert(p->known != NULL);
    p->known[p->known_count++] = now;
}

/* A leader never cuts entries of its own term. */
static void check_append_only(struct server *s, raft_index first)
{
    struct check *c = s->world->check;
    const struct record *r = record_of(s);

    if (first > r->written.last)
        return;
    s->world->counts[COUNT_LOG_CUTS]++;
    world_trace(s->world, s, "cuts its log from %" PRIu64, first);
    for (raft_index i = first; i <= r->written.last; i++) {
        raft_term term = r->written.terms[i];

        if (term == raft_of(s)->hard.term &&
            *leader_of(c, term) == s->number + 1)
            world_fail(s->world,
                       "leader append-only: %s cuts %" PRIu64 "/%" PRIu64,
                       s->name, term, i);
    }
}

void check_on_write(struct server *s, const struct replica_write *write)
{
    struct record *r = record_of(s);

    if (write->has_hard)
        r->written.hard = write->hard;
    if (write->count == 0)
        return;
    check_append_only(s, write->first);
    if (write->first <= r->kept)
        r->kept = write->first - 1;
    for (size_t i = 0; i < write->count; i++) {
        const struct raft_entry *e = &write->entries[i];

        check_matching(s, e, image_term(&r->written, e->pos.index - 1));
        image_set(&r->written, e->pos.index, e->pos.term);
    }
}

static void copy_image(struct image *to, const struct image *from,
                       raft_index kept)
{
    to->hard = from->hard;
    for (raft_index i = kept + 1; i <= from->last; i++)
        image_set(to, i, from->terms[i]);
    to->last = from->last;
}

void check_on_sync(struct server *s)
{
    struct record *r = record_of(s);

    copy_image(&r->durable, &r->written, r->kept);
    r->kept = r->durable.last;
}

static bool is_hard_lost(const struct raft_hard_state *found,
                         const struct raft_hard_state *durable)
{
    if (found->term != durable->term)
        return found->term < durable->term;
    return durable->voted_for != 0 && found->voted_for != durable->voted_for;
}

static bool is_known(struct check *c, raft_index index, raft_term term)
{
    const struct place *p = place_at(c, index);

    for (size_t i = 0; i < p->known_count; i++) {
        if (p->known[i].term == term)
            return true;
    }
    return false;
}

/* What was durable is there; what is there besides was written. */
void check_on_log_open(struct server *s, const struct store_log_info *info)
{
    struct record *r = record_of(s);
    size_t run = 0;

    if (is_hard_lost(&info->hard, &r->durable.hard))
        world_fail(s->world,
                   "%s: its disk has lost term %" PRIu64 ", vote %" PRIu64,
                   s->name, r->durable.hard.term, r->durable.hard.voted_for);
    if (info->last < r->kept)
        world_fail(s->world,
                   "%s: its disk has lost entries: %" PRIu64 " of %" PRIu64,
                   s->name, info->last, r->kept);
    for (raft_index i = 1; i <= info->last; i++) {
        raft_term term;

        while (run + 1 < info->run_count && info->runs[run + 1].first <= i)
            run++;
        term = info->runs[run].term;
        if (i <= r->kept ? term != r->durable.terms[i]
                         : !is_known(s->world->check, i, term))
            world_fail(s->world,
                       "%s: its disk has %" PRIu64 "/%" PRIu64
                       ", which nobody wrote",
                       s->name, term, i);
        image_set(&r->written, i, term);
    }
    r->written.last = info->last;
    r->written.hard = info->hard;
    copy_image(&r->durable, &r->written, 0);
    r->kept = info->last;
}

static bool is_on_majority(const struct check *c, raft_index index,
                           raft_term term)
{
    size_t count = 0;

    for (size_t i = 0; i < c->world->server_count; i++)
        count += image_term(&c->records[i].durable, index) == term;
    return count > c->world->server_count / 2;
}

/* ---- What leaves ---- */

static void check_vote(struct server *s, raft_term term, raft_id candidate)
{
    struct check *c = s->world->check;
    const struct raft_hard_state *hard = &record_of(s)->durable.hard;
    raft_id *vote;

    c->votes =
        grow(c->votes, &c->vote_capacity, (size_t)term, sizeof *c->votes);
    vote = &c->votes[term].for_whom[s->number];
    if (*vote != 0 && *vote != candidate)
        world_fail(s->world, "%s votes twice in term %" PRIu64, s->name, term);
    *vote = candidate;
    if (hard->term < term ||
        (hard->term == term && hard->voted_for != candidate))
        world_fail(s->world,
                   "%s: a vote in term %" PRIu64 " leaves before it is durable",
                   s->name, term);
}

void check_on_send(struct server *s, const struct raft_msg *msg)
{
    if (msg->type == RAFT_MSG_VOTE_REPLY && msg->vote_reply.is_granted)
        check_vote(s, msg->term, msg->to);
    if (msg->type == RAFT_MSG_VOTE)
        check_vote(s, msg->term, s->number + 1);
    if (msg->type == RAFT_MSG_APPEND_REPLY && msg->append_reply.is_accepted &&
        msg->append_reply.match > record_of(s)->durable.last)
        world_fail(s->world, "%s acknowledges %" PRIu64 " before it is durable",
                   s->name, msg->append_reply.match);
}

/* ---- Steps ---- */

static void check_leader(struct server *s)
{
    struct check *c = s->world->check;
    const struct raft *r = raft_of(s);
    raft_id *leader;

    if (r->role != RAFT_LEADER)
        return;
    leader = leader_of(c, r->hard.term);
    if (*leader != 0 && *leader != r->id)
        world_fail(s->world,
                   "election safety: n%" PRIu64 " and %s lead term %" PRIu64,
                   *leader, s->name, r->hard.term);
    if (*leader != 0)
        return;
    *leader = r->id;
    s->world->counts[COUNT_TERMS]++;
    world_trace(s->world, s, "leads term %" PRIu64, r->hard.term);
    for (raft_index i = 1; i <= c->commit; i++) {
        struct raft_pos pos = {c->places[i].committed, i};

        if (!raft_log_holds(&r->log, pos))
            world_fail(s->world,
                       "leader completeness: %s leads term %" PRIu64
                       " without %" PRIu64 "/%" PRIu64,
                       s->name, r->hard.term, pos.term, i);
    }
}

static void check_commit(struct server *s)
{
    struct check *c = s->world->check;
    struct record *rec = record_of(s);
    const struct raft *r = raft_of(s);

    for (raft_index i = rec->commit + 1; i <= r->commit; i++) {
        struct place *p = place_at(c, i);
        raft_term term = raft_log_term(&r->log, i);

        if (p->committed != 0 && p->committed != term)
            world_fail(s->world,
                       "state machine safety: %s commits %" PRIu64 "/%" PRIu64
                       ", not %" PRIu64,
                       s->name, term, i, p->committed);
        if (p->committed == 0 && !is_on_majority(c, i, term))
            world_fail(s->world,
                       "%s commits %" PRIu64 "/%" PRIu64
                       ", which a majority does not hold durably",
                       s->name, term, i);
        p->committed = term;
    }
    if (r->commit > rec->commit)
        rec->commit = r->commit;
    if (r->commit > c->commit) {
        s->world->counts[COUNT_ENTRIES] += r->commit - c->commit;
        c->commit = r->commit;
    }
}

void check_server(struct server *s)
{
    struct record *rec = record_of(s);
    struct raft *r = raft_of(s);

    if (rec->looks++ % (r->log.count / TAIL_PER_LOOK + 1) == 0)
        raft_check(r);
    check_commit(s);
    check_leader(s);
}

/* ---- Applying ---- */

static uint64_t result_sum(const struct raft_entry *e,
                           const struct store_result *r)
{
    uint64_t fields[] = {sum_of(e),       r->index, r->session, r->sequence,
                         (uint64_t)r->rc, r->inode, r->value};

    return XXH3_64bits(fields, sizeof fields) | 1;
}

void check_on_apply(struct server *s, const struct replica_apply *job)
{
    struct check *c = s->world->check;

    check_commit(s);
    s->world->counts[COUNT_APPLIED] += job->applied;
    for (size_t i = 0; i < job->applied; i++) {
        const struct raft_entry *e = &job->entries[i];
        struct place *p = place_at(c, e->pos.index);
        uint64_t sum = result_sum(e, &job->results[i]);

        if (p->committed != e->pos.term)
            world_fail(s->world,
                       "state machine safety: %s applies %" PRIu64 "/%" PRIu64
                       ", committed is %" PRIu64,
                       s->name, e->pos.term, e->pos.index, p->committed);
        if (p->result != 0 && p->result != sum)
            world_fail(s->world,
                       "%s applies %" PRIu64 "/%" PRIu64
                       " with another result than others",
                       s->name, e->pos.term, e->pos.index);
        if (p->result == 0 && job->results[i].index != 0 &&
            job->results[i].index < e->pos.index)
            s->world->counts[COUNT_DUPLICATES]++;
        p->result = sum;
    }
}

void check_states(struct world *w)
{
    uint64_t first = 0;

    for (size_t i = 0; i < w->server_count; i++) {
        struct server *s = w->servers[i];
        uint64_t hash;

        px_assert(store_view_begin(s->view) == 0);
        if (store_view_check(s->view) != 0)
            world_fail(w, "%s: its state contradicts itself", s->name);
        px_assert(store_view_hash(s->view, &hash) == 0);
        world_trace(w, s, "state at %" PRIu64 ": %016" PRIx64,
                    store_view_index(s->view), hash);
        store_view_end(s->view);
        if (i == 0)
            first = hash;
        if (hash != first)
            world_fail(w, "%s has another state than n1", s->name);
    }
}

/* ---- Life ---- */

void check_on_start(struct server *s)
{
    record_of(s)->commit = 0;
}

struct check *check_new(struct world *w)
{
    struct check *c = calloc(1, sizeof *c);

    px_assert(c != NULL);
    c->world = w;
    return c;
}

void check_free(struct check *c)
{
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        free(c->records[i].durable.terms);
        free(c->records[i].written.terms);
    }
    for (size_t i = 0; i < c->place_capacity; i++)
        free(c->places[i].known);
    free(c->places);
    free(c->leaders);
    free(c->votes);
    free(c);
}
