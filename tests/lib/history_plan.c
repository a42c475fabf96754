/* An object's operations as calls and returns in order, and what of the unknown
 * ones need not be looked at.
 *
 * Each open operation doubles the sets that the search could have to look at,
 * for as long as it may still take effect. Most of them never matter:
 *
 *   a read       changes nothing, and nobody knows its answer: left out
 *   a register   a write that was read took effect before the first read of it
 *                returned: no longer unknown, and its end is known. One that was
 *                not can only have served a delete that found something: it
 *                begins with the first of them, expires with the last, and which
 *                of such writes it was makes no difference. Likewise deletes, and
 *                who found nothing. Without any of them it is left out.
 *   a list       an append that nobody was shown can come last: left out. One
 *                that was shown took effect before the first answer with it.
 *   a directory  all are kept; of those that do the same, the search takes the
 *                earliest first. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/lib/history_core.h"

/* Who saw something: the earliest call, the first and the last return. */
struct sight {
    uint64_t what;
    px_ns from;
    px_ns first;
    px_ns until;
};

struct sights {
    struct sight *all; /* by what, one each */
    size_t count;
};

static int sight_order(const void *a, const void *b)
{
    const struct sight *x = a;
    const struct sight *y = b;

    return (x->what > y->what) - (x->what < y->what);
}

static void sight_join(struct sight *s, const struct sight *other)
{
    if (other->from < s->from)
        s->from = other->from;
    if (other->first < s->first)
        s->first = other->first;
    if (other->until > s->until)
        s->until = other->until;
}

static void sights_merge(struct sights *s)
{
    size_t kept = 0;

    qsort(s->all, s->count, sizeof *s->all, sight_order);
    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && s->all[kept - 1].what == s->all[i].what)
            sight_join(&s->all[kept - 1], &s->all[i]);
        else
            s->all[kept++] = s->all[i];
    }
    s->count = kept;
}

static const struct sight *sights_find(const struct sights *s, uint64_t what)
{
    struct sight key = {.what = what};

    return s->count == 0
               ? NULL
               : bsearch(&key, s->all, s->count, sizeof *s->all, sight_order);
}

/* ---- Registers: who saw which value; 0 is none, PRESENT is any ---- */

#define PRESENT UINT64_MAX

static void sights_of_register(const struct history *h, const size_t *ids,
                               size_t count, struct sights *s)
{
    s->all = history_grow(NULL, count, sizeof *s->all);
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct history_entry *e = &h->entries[ids[i]];
        uint64_t what = e->op.verb == HISTORY_READ ? e->value : PRESENT;

        if (e->fate != HISTORY_DONE || e->op.verb == HISTORY_WRITE)
            continue;
        s->all[s->count++] = (struct sight){
            .what = e->rc == -ENOENT ? 0 : what,
            .from = e->call,
            .first = e->done,
            .until = e->done,
        };
    }
    sights_merge(s);
}

/* It took effect before the first that saw it returned. */
static bool end_at_first(const struct sight *seen, struct history_job *job)
{
    job->is_optional = false;
    job->until = seen->first > job->from ? seen->first : job->from;
    return true;
}

/* False: nobody could have seen it. */
static bool narrow_register(const struct history_entry *e,
                            const struct sights *s, struct history_job *job)
{
    bool is_write = e->op.verb == HISTORY_WRITE;
    const struct sight *read = sights_find(s, e->op.value);
    const struct sight *seen = sights_find(s, is_write ? PRESENT : 0);

    if (is_write && read != NULL)
        return end_at_first(read, job);
    if (seen == NULL || seen->until < job->from)
        return false;
    if (seen->from > job->from)
        job->from = seen->from;
    job->until = seen->until;
    return true;
}

/* ---- Lists: when each token was first shown ---- */

static void sights_of_list(const struct history *h, const size_t *ids,
                           size_t count, const struct history_list *list,
                           struct sights *s)
{
    px_ns earliest = PX_NS_NEVER;

    s->count = list != NULL ? list->count : 0;
    s->all = history_grow(NULL, s->count, sizeof *s->all);
    for (size_t i = 0; i < s->count; i++)
        s->all[i] =
            (struct sight){.what = list->tokens[i], .first = PX_NS_NEVER};
    for (size_t i = 0; i < count; i++) {
        const struct history_entry *e = &h->entries[ids[i]];

        if (e->op.verb != HISTORY_LIST || e->fate != HISTORY_DONE ||
            e->rc != 0 || e->is_odd || e->shown == 0)
            continue;
        if (e->done < s->all[e->shown - 1].first)
            s->all[e->shown - 1].first = e->done;
    }
    /* Whoever was shown a token was shown all before it. */
    for (size_t i = s->count; i > 0; i--) {
        if (s->all[i - 1].first < earliest)
            earliest = s->all[i - 1].first;
        s->all[i - 1].first = earliest;
    }
    sights_merge(s);
}

static bool narrow_list(const struct history_entry *e, const struct sights *s,
                        struct history_job *job)
{
    const struct sight *seen = sights_find(s, e->op.value);

    return seen != NULL && end_at_first(seen, job);
}

/* ---- Jobs ---- */

static bool narrow(const struct history_plan *plan,
                   const struct history_entry *e, const struct sights *s,
                   struct history_job *job)
{
    if (history_is_without_effect(e))
        return false;
    switch (plan->kind) {
    case HISTORY_REGISTER:
        return narrow_register(e, s, job);
    case HISTORY_TOKENS:
        return narrow_list(e, s, job);
    case HISTORY_DIRECTORY:
        return true;
    }
    return true;
}

static void add_jobs(struct history_plan *plan, const size_t *ids, size_t count,
                     const struct sights *sights)
{
    const struct history *h = plan->history;

    plan->jobs = history_grow(NULL, count, sizeof *plan->jobs);
    for (size_t i = 0; i < count; i++) {
        const struct history_entry *e = &h->entries[ids[i]];
        struct history_job *job = &plan->jobs[plan->job_count];

        *job = (struct history_job){
            .id = ids[i],
            .from = e->call,
            .until = e->done,
            .is_optional = e->fate == HISTORY_OPEN,
            .twin = HISTORY_NONE,
        };
        job->is_blind = e->op.verb == HISTORY_WRITE &&
                        sights_find(sights, e->op.value) == NULL;
        if (!job->is_optional || narrow(plan, e, sights, job))
            plan->job_count++;
    }
}

static int job_order(const void *a, const void *b)
{
    const struct history_job *x = a;
    const struct history_job *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool are_twins(const struct history_plan *plan,
                      const struct history_job *a, const struct history_job *b)
{
    const struct history_entry *all = plan->history->entries;

    return (a->is_blind && b->is_blind) ||
           history_is_same(&all[a->id].op, &all[b->id].op);
}

/* Twins expire together, so the earlier is there while the later is. */
static void find_twins(struct history_plan *plan)
{
    size_t *optional = history_grow(NULL, plan->job_count, sizeof *optional);
    size_t count = 0;

    for (size_t i = 0; i < plan->job_count; i++) {
        struct history_job *job = &plan->jobs[i];

        if (!job->is_optional)
            continue;
        for (size_t k = count; k > 0 && job->twin == HISTORY_NONE; k--)
            if (are_twins(plan, &plan->jobs[optional[k - 1]], job))
                job->twin = optional[k - 1];
        optional[count++] = i;
    }
    free(optional);
}

/* ---- Events ---- */

static int event_order(const void *a, const void *b)
{
    const struct history_event *x = a;
    const struct history_event *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static void add_events(struct history_plan *plan)
{
    plan->events =
        history_grow(NULL, 2 * plan->job_count, sizeof *plan->events);
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct history_job *job = &plan->jobs[i];

        plan->events[plan->event_count++] = (struct history_event){
            .time = job->from, .kind = HISTORY_BEGIN, .job = i};
        if (job->until == PX_NS_NEVER)
            continue;
        plan->events[plan->event_count++] = (struct history_event){
            .time = job->until,
            .kind = job->is_optional ? HISTORY_EXPIRE : HISTORY_END,
            .job = i};
    }
    qsort(plan->events, plan->event_count, sizeof *plan->events, event_order);
}

/* Those under way at one time have a slot each. */
static void give_slots(struct history_plan *plan)
{
    unsigned *spare = history_grow(NULL, plan->job_count, sizeof *spare);
    size_t spare_count = 0;

    for (size_t i = 0; i < plan->event_count; i++) {
        struct history_job *job = &plan->jobs[plan->events[i].job];

        if (plan->events[i].kind != HISTORY_BEGIN)
            spare[spare_count++] = job->slot;
        else if (spare_count > 0)
            job->slot = spare[--spare_count];
        else
            job->slot = plan->slot_count++;
    }
    free(spare);
}

void history_plan_init(struct history_plan *plan, const struct history *h,
                       const size_t *ids, size_t count)
{
    const struct history_op *first = &h->entries[ids[0]].op;
    struct sights sights = {0};

    *plan = (struct history_plan){
        .history = h,
        .kind = history_kind_of(first),
        .object = first->object,
    };
    if (plan->kind == HISTORY_REGISTER)
        sights_of_register(h, ids, count, &sights);
    if (plan->kind == HISTORY_TOKENS) {
        plan->list = history_list_of(h, first->object);
        sights_of_list(h, ids, count, plan->list, &sights);
    }
    add_jobs(plan, ids, count, &sights);
    free(sights.all);
    qsort(plan->jobs, plan->job_count, sizeof *plan->jobs, job_order);
    find_twins(plan);
    add_events(plan);
    give_slots(plan);
}

void history_plan_fini(struct history_plan *plan)
{
    free(plan->jobs);
    free(plan->events);
}
