/* What is on the disks: of each log what is there for sure, and what may be; it
 * follows from what was written and synced. A snapshot stands in for what it
 * covers. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/sim/check_core.h"

static void image_set(struct image *im, raft_index index, raft_term term)
{
    im->terms =
        check_grow(im->terms, &im->capacity, (size_t)index, sizeof *im->terms);
    im->terms[index] = term;
    im->last = index;
}

static raft_term image_term(const struct image *im, raft_index index)
{
    return index == 0 || index > im->last ? 0 : im->terms[index];
}

/* Log matching: index and term name one entry, and all before it. */
static void check_matching(struct server *s, const struct raft_entry *e,
                           raft_term prev_term)
{
    struct place *p = check_place(s->world->check, e->pos.index);
    struct known now = {e->pos.term, prev_term, check_sum(e)};

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

        check_count_cut(s, i, term);
        if (term == raft_of(s)->hard.term &&
            check_election(c, term)->leader == s->number + 1)
            world_fail(s->world,
                       "leader append-only: %s cuts %" PRIu64 "/%" PRIu64,
                       s->name, term, i);
    }
}

void check_on_try(struct server *s, const struct replica_write *write)
{
    struct record *r = record_of(s);

    if (write->count == 0)
        return;
    if (write->first <= r->kept)
        r->kept = write->first - 1; /* it may have been cut, and no more */
    for (size_t i = 0; i < write->count; i++) {
        const struct raft_entry *e = &write->entries[i];
        raft_term prev = i > 0 ? write->entries[i - 1].pos.term
                               : image_term(&r->written, e->pos.index - 1);

        check_matching(s, e, prev);
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
    for (size_t i = 0; i < write->count; i++)
        image_set(&r->written, write->entries[i].pos.index,
                  write->entries[i].pos.term);
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
    const struct place *p = check_place(c, index);

    for (size_t i = 0; i < p->known_count; i++) {
        if (p->known[i].term == term)
            return true;
    }
    return false;
}

/* A log that does not hold the newest snapshot's position is emptied: it was
 * shorter, or of another history. */
static bool is_reset(const struct record *r, const struct storage *st)
{
    struct raft_pos base = st->found.base;

    return base.index > 0 && base.index == st->snapshot.pos.index &&
           (base.index > r->kept || r->durable.terms[base.index] != base.term);
}

static void check_kept(const struct server *s)
{
    const struct record *r = record_of(s);
    const struct store_log_info *info = &s->storage.found;

    if (is_hard_lost(&info->hard, &r->durable.hard))
        world_fail(s->world,
                   "%s: its disk has lost term %" PRIu64 ", vote %" PRIu64,
                   s->name, r->durable.hard.term, r->durable.hard.voted_for);
    if (s->storage.snapshot.pos.index < r->snapshot && !s->has_flips)
        world_fail(s->world, "%s: its disk has lost snapshot %" PRIu64, s->name,
                   r->snapshot);
    if (info->last < r->kept && info->fault == NULL && !r->loss.is_fresh &&
        !is_reset(r, &s->storage))
        world_fail(s->world,
                   "%s: its disk has lost entries: %" PRIu64 " of %" PRIu64,
                   s->name, info->last, r->kept);
}

static void check_base(const struct server *s, struct raft_pos base)
{
    if (base.index > 0 &&
        check_place(s->world->check, base.index)->committed != base.term)
        world_fail(s->world,
                   "%s: its log begins behind %" PRIu64 "/%" PRIu64
                   ", which is not committed",
                   s->name, base.term, base.index);
}

static void check_entries(const struct server *s)
{
    const struct record *r = record_of(s);
    const struct store_log_info *info = &s->storage.found;
    /* What is left of a damaged log is one that it was once. */
    raft_index kept = info->fault == NULL && !r->loss.is_fresh ? r->kept : 0;
    size_t run = 0;

    for (raft_index i = info->first; i <= info->last; i++) {
        raft_term term;

        while (run + 1 < info->run_count && info->runs[run + 1].first <= i)
            run++;
        term = info->runs[run].term;
        if (i <= kept ? term != r->durable.terms[i]
                      : !is_known(s->world->check, i, term))
            world_fail(s->world,
                       "%s: its disk has %" PRIu64 "/%" PRIu64
                       ", which nobody wrote",
                       s->name, term, i);
    }
}

static void note_found(struct server *s)
{
    struct record *r = record_of(s);
    const struct store_log_info *info = &s->storage.found;
    size_t run = 0;

    if ((info->fault != NULL || r->loss.is_fresh) &&
        r->durable.last > r->damaged)
        r->damaged = r->durable.last;
    check_loss_on_open(s);
    image_set(&r->written, info->base.index, info->base.term);
    for (raft_index i = info->first; i <= info->last; i++) {
        while (run + 1 < info->run_count && info->runs[run + 1].first <= i)
            run++;
        image_set(&r->written, i, info->runs[run].term);
    }
    r->written.last = info->last;
    r->written.hard = info->hard;
    copy_image(&r->durable, &r->written, 0);
    r->kept = info->last;
    r->snapshot = s->storage.snapshot.pos.index;
    r->commit = 0;
    r->seen = (struct raft_pos){0};
}

/* What was durable is there; what is there besides was written. */
void check_on_open(struct server *s)
{
    check_kept(s);
    check_base(s, s->storage.found.base);
    check_entries(s);
    note_found(s);
    check_on_adopt(s);
}

void check_on_reset(struct server *s, struct raft_pos pos)
{
    struct record *r = record_of(s);

    s->world->counts[COUNT_LOG_RESETS]++;
    check_base(s, pos);
    image_set(&r->written, pos.index, pos.term);
    image_set(&r->durable, pos.index, pos.term);
    r->kept = pos.index;
}

void check_on_saved(struct server *s, const struct store_snapshot_info *info)
{
    struct record *r = record_of(s);

    if (info->pos.index > r->snapshot)
        r->snapshot = info->pos.index;
}

bool check_holds(const struct server *s, struct raft_pos pos)
{
    return image_term(&record_of(s)->durable, pos.index) == pos.term;
}

bool check_is_durable(const struct record *r, raft_index index, raft_term term)
{
    return index <= r->snapshot || index <= r->damaged ||
           image_term(&r->durable, index) == term;
}
