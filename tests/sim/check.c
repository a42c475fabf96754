/* What is committed, applied and read. */
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "tests/sim/check_core.h"

/* raft_check walks the tail of the log in memory: a long one is looked at less
 * often. */
#define TAIL_PER_LOOK 16u

void *check_grow(void *old, size_t *capacity, size_t want, size_t size)
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

struct place *check_place(struct check *c, raft_index index)
{
    c->places = check_grow(c->places, &c->place_capacity, (size_t)index,
                           sizeof *c->places);
    return &c->places[index];
}

uint64_t check_sum(const struct raft_entry *e)
{
    return XXH3_64bits_withSeed(e->data.data, e->data.size, (uint64_t)e->kind) |
           1;
}

raft_index check_commit(const struct world *w)
{
    return w->check->commit;
}

/* ---- Steps ---- */

static void check_committed(struct server *s)
{
    struct check *c = s->world->check;
    struct record *rec = record_of(s);
    const struct raft *r = raft_of(s);

    raft_index first = rec->commit + 1;

    if (first < r->log.base.index)
        first = r->log.base.index;
    for (raft_index i = first; i <= r->commit; i++) {
        struct place *p = check_place(c, i);
        raft_term term = raft_log_term(&r->log, i);

        if (p->committed != 0 && p->committed != term)
            world_fail(s->world,
                       "state machine safety: %s commits %" PRIu64 "/%" PRIu64
                       ", not %" PRIu64,
                       s->name, term, i, p->committed);
        if (p->committed == 0 && !check_is_on_majority(s, i, term))
            world_fail(s->world,
                       "%s commits %" PRIu64 "/%" PRIu64
                       ", which a majority does not hold durably",
                       s->name, term, i);
        if (p->committed != 0)
            continue;
        p->seen_in = r->hard.term;
        p->committed = term;
        check_settle(c, (struct raft_pos){term, i});
    }
    if (r->commit > rec->commit)
        rec->commit = r->commit;
    if (r->commit > c->commit) {
        s->world->counts[COUNT_ENTRIES] += r->commit - c->commit;
        c->commit = r->commit;
    }
}

void check_on_send(struct server *s, const struct raft_msg *msg)
{
    const struct record *r = record_of(s);
    raft_index durable =
        r->durable.last > r->snapshot ? r->durable.last : r->snapshot;

    check_see_configs(s); /* before others hear of it */
    check_committed(s);
    check_leader(s);
    check_vote_sent(s, msg);
    /* One to an older leader may leave just when another write of the same group
     * has cut, for a newer one, what it acknowledges. It was in the log here
     * before that one's term was, and so no vote went to a log that lacks it. */
    if (msg->type == RAFT_MSG_APPEND_REPLY && msg->append_reply.is_accepted &&
        msg->term >= r->durable.hard.term && msg->append_reply.match > durable)
        world_fail(s->world, "%s acknowledges %" PRIu64 " before it is durable",
                   s->name, msg->append_reply.match);
}

static void count_silence(struct server *s)
{
    struct record *r = record_of(s);
    bool is_silent = raft_is_silent(raft_of(s));

    s->world->counts[COUNT_LEADERS_SILENT] += is_silent && !r->was_silent;
    r->was_silent = is_silent;
}

void check_server(struct server *s)
{
    struct record *rec = record_of(s);
    struct raft *r = raft_of(s);

    if (rec->looks++ % (r->log.count / TAIL_PER_LOOK + 1) == 0)
        raft_check(r);
    check_see_configs(s);
    check_members(s);
    check_committed(s);
    check_leader(s);
    count_silence(s);
}

void check_on_change(struct server *s)
{
    check_see_configs(s);
}

void check_on_end(struct server *s)
{
    check_count_end(s);
}

/* ---- Applying ---- */

static uint64_t result_sum(const struct raft_entry *e,
                           const struct store_result *r)
{
    uint64_t fields[] = {check_sum(e),    r->index, r->session, r->sequence,
                         (uint64_t)r->rc, r->inode, r->value};

    return XXH3_64bits(fields, sizeof fields) | 1;
}

/* The state says of itself what it holds, if nobody has changed that. */
static void check_hash(struct server *s)
{
    uint64_t hash;
    struct raft_pos pos = store_state_hash(s->storage.state, &hash);
    struct place *p = check_place(s->world->check, pos.index);

    if (s->doubt.is_allowed)
        return;
    if (p->hash != 0 && p->hash != hash)
        world_fail(s->world, "%s has another state than others had at %" PRIu64,
                   s->name, pos.index);
    p->hash = hash;
}

void check_on_adopt(struct server *s)
{
    struct raft_pos pos = store_state_applied(s->storage.state);

    check_on_saved(s, &s->storage.snapshot);
    check_snapshot_members(s, &s->storage.snapshot);
    if (pos.index == 0)
        return;
    if (check_place(s->world->check, pos.index)->committed != pos.term)
        world_fail(s->world,
                   "%s has a state of %" PRIu64 "/%" PRIu64
                   ", which is not committed",
                   s->name, pos.term, pos.index);
    check_hash(s);
}

void check_on_apply(struct server *s, const struct replica_apply *job)
{
    struct check *c = s->world->check;

    check_committed(s);
    s->world->counts[COUNT_APPLIED] += job->applied;
    for (size_t i = 0; i < job->applied; i++) {
        const struct raft_entry *e = &job->entries[i];
        struct place *p = check_place(c, e->pos.index);
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
    check_hash(s);
}

static void check_view(const struct server *s)
{
    if (store_view_check(s->view) != 0)
        world_fail(s->world, "%s: its state contradicts itself", s->name);
}

void check_state(struct server *s)
{
    s->world->counts[COUNT_STATES_WALKED]++;
    px_assert(store_view_begin(s->view) == 0);
    check_view(s);
    store_view_end(s->view);
}

void check_states(struct world *w)
{
    const struct server *first = NULL;
    uint64_t wanted = 0;

    for (size_t i = 0; i < w->server_count; i++) {
        struct server *s = w->servers[i];
        uint64_t hash;

        if (s->is_gone || !check_is_member(w, i))
            continue;

        px_assert(store_view_begin(s->view) == 0);
        check_view(s);
        px_assert(store_view_hash(s->view, &hash) == 0);
        world_trace(w, s, "state at %" PRIu64 ": %016" PRIx64,
                    store_view_index(s->view), hash);
        check_state_members(s, s->view);
        store_view_end(s->view);
        if (first == NULL) {
            first = s;
            wanted = hash;
        }
        if (hash != wanted)
            world_fail(w, "%s has another state than %s", s->name, first->name);
    }
}

/* ---- Life ---- */

struct check *check_new(struct world *w)
{
    struct check *c = calloc(1, sizeof *c);

    px_assert(c != NULL);
    c->world = w;
    check_members_init(c);
    c->exchanged = c->configs[0].config;
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
    free(c->elections);
    free(c->configs);
    free(c);
}
