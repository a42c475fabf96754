/* The search: could one copy have answered so?
 *
 * The events of one object are walked in order. What is known at any moment is
 * a set of configurations, each a way that things may have gone so far:
 *
 *   the state of the copy  +  which of the operations under way took effect
 *
 *   BEGIN    one more is under way
 *   END      it must have taken effect by now. In each configuration where it
 *            has not, first others under way may, in any order, then it does
 *            (just in time, Lowe 2017): each way is a configuration. No way in
 *            any of them: a violation, and this is the place.
 *   EXPIRE   an optional one that has not taken effect won't any more
 *
 * Configurations are memoised, so different orders that come to the same are
 * looked at once. Three more rules keep them few, without losing an answer:
 *
 *   - what changes nothing takes effect as soon as it can: the others can then
 *     go on just as without it
 *   - optional operations may be left out, so a configuration that has used
 *     some of them is of no use beside one that is equal but has not
 *   - what touches other names can as well take effect later */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/history_core.h"

#define RECENT_MAX 8   /* answers before the violation, in the report */
#define SHOWN_MAX 4    /* states, in the report */
#define PENDING_MAX 12 /* operations under way, in the report */
#define TABLE_MIN 64u

/* Configurations, each @width words: the state, then the set; and a hash table
 * over them, whose cells of an older @age are empty. */
struct configs {
    uint64_t *words;
    size_t count;
    size_t capacity;
    struct {
        uint64_t age;
        size_t at;
    } * cells;
    size_t cell_count; /* a power of two */
    uint64_t age;
};

struct search {
    const struct history_plan *plan;
    size_t state_words;
    size_t set_words;
    size_t width;
    uint64_t *optional; /* a set: the slots of optional jobs under way */
    size_t *under_way;  /* jobs */
    size_t under_way_count;
    uint32_t names;       /* a bit each: those that matter at this END */
    struct configs now;   /* before the event */
    struct configs ways;  /* at an END: being looked at, in order */
    struct configs after; /* the event */
    uint64_t config_count;
    uint64_t config_max;
    size_t recent[RECENT_MAX]; /* a ring of jobs that ended */
    size_t recent_count;
};

/* ---- Sets of configurations ---- */

static bool has(const struct search *s, const uint64_t *config, unsigned slot)
{
    return config[s->state_words + slot / 64] >> slot % 64 & 1;
}

static void put(const struct search *s, uint64_t *config, unsigned slot)
{
    config[s->state_words + slot / 64] |= UINT64_C(1) << slot % 64;
}

static void take(const struct search *s, uint64_t *config, unsigned slot)
{
    config[s->state_words + slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

static uint64_t *config_at(const struct search *s, const struct configs *c,
                           size_t at)
{
    return &c->words[at * s->width];
}

/* Of everything but the optional operations. */
static uint64_t hash_of(const struct search *s, const uint64_t *config)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < s->width; i++) {
        uint64_t word = config[i];

        if (i >= s->state_words)
            word &= ~s->optional[i - s->state_words];
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash;
}

/* Equal, but that @a has used no other optional operations than @b. */
static bool is_as_good(const struct search *s, const uint64_t *a,
                       const uint64_t *b)
{
    if (memcmp(a, b, s->state_words * sizeof *a) != 0)
        return false;
    for (size_t i = 0; i < s->set_words; i++) {
        uint64_t x = a[s->state_words + i];
        uint64_t y = b[s->state_words + i];

        if ((x & ~y) != 0 || (y & ~x & ~s->optional[i]) != 0)
            return false;
    }
    return true;
}

static void configs_clear(struct configs *c)
{
    c->count = 0;
    c->age++;
}

static void configs_fini(struct configs *c)
{
    free(c->words);
    free(c->cells);
}

/* The cell of @config, or of one that is as good; or the empty one for it. */
static size_t find_cell(struct search *s, const struct configs *c,
                        const uint64_t *config)
{
    size_t i = hash_of(s, config) & (c->cell_count - 1);

    while (c->cells[i].age == c->age &&
           !is_as_good(s, config_at(s, c, c->cells[i].at), config)) {
        s->config_count++; /* a chain of them costs as much as new ones */
        i = (i + 1) & (c->cell_count - 1);
    }
    return i;
}

static void configs_grow(const struct search *s, struct configs *c)
{
    size_t capacity = c->capacity > 0 ? 2 * c->capacity : TABLE_MIN;

    c->words = history_grow(c->words, capacity * s->width, sizeof *c->words);
    c->capacity = capacity;
    c->cell_count = 4 * capacity;
    free(c->cells);
    c->cells = calloc(c->cell_count, sizeof *c->cells);
    px_assert(c->cells != NULL);
    c->age = 1;
    for (size_t at = 0; at < c->count; at++) {
        size_t i = hash_of(s, config_at(s, c, at)) & (c->cell_count - 1);

        while (c->cells[i].age == c->age)
            i = (i + 1) & (c->cell_count - 1);
        c->cells[i].age = c->age;
        c->cells[i].at = at;
    }
}

/* Unless one that is as good is there. Pointers into @c may end here. */
static void configs_add(struct search *s, struct configs *c,
                        const uint64_t *config)
{
    size_t cell;

    if (c->count == c->capacity)
        configs_grow(s, c);
    s->config_count++;
    cell = find_cell(s, c, config);
    if (c->cells[cell].age == c->age)
        return;
    c->cells[cell].age = c->age;
    c->cells[cell].at = c->count;
    memcpy(config_at(s, c, c->count++), config, s->width * sizeof *config);
}

/* ---- One END ---- */

static const struct history_entry *entry_of(const struct search *s,
                                            const struct history_job *job)
{
    return &s->plan->history->entries[job->id];
}

/* Lets @job take effect in @config. */
static bool take_effect(const struct search *s, const struct history_job *job,
                        uint64_t *config)
{
    if (!history_step(entry_of(s, job), s->plan->list, config))
        return false;
    if (job->is_blind)
        config[0] = HISTORY_ANY; /* which one makes no difference */
    put(s, config, job->slot);
    return true;
}

/* One that does the same, and was there before it, comes first. */
static bool is_after_twin(const struct search *s, const struct history_job *job,
                          const uint64_t *config)
{
    return job->twin != HISTORY_NONE &&
           !has(s, config, s->plan->jobs[job->twin].slot);
}

/* What changes nothing, whenever it takes effect, does so as soon as it can. */
static void absorb(const struct search *s, uint64_t *config)
{
    for (size_t i = 0; i < s->under_way_count; i++) {
        const struct history_job *job = &s->plan->jobs[s->under_way[i]];

        if (!job->is_optional && !has(s, config, job->slot) &&
            history_is_without_effect(entry_of(s, job)))
            (void)take_effect(s, job, config); /* or it can't yet */
    }
}

/* Does @job touch any of the names that matter at this END? */
static bool is_related(const struct search *s, const struct history_job *job)
{
    return (history_names(&entry_of(s, job)->op) & s->names) != 0;
}

/* The names that @goal depends on, by way of what else is under way. */
static void find_names(struct search *s, const struct history_job *goal)
{
    uint32_t before;

    s->names = history_names(&entry_of(s, goal)->op);
    do {
        before = s->names;
        for (size_t i = 0; i < s->under_way_count; i++) {
            const struct history_job *job = &s->plan->jobs[s->under_way[i]];

            if (is_related(s, job))
                s->names |= history_names(&entry_of(s, job)->op);
        }
    } while (s->names != before);
}

/* All that can come of the way numbered @at, towards @goal's end. */
static void follow_way(struct search *s, size_t at,
                       const struct history_job *goal, uint64_t *config,
                       uint64_t *next)
{
    size_t bytes = s->width * sizeof *config;

    memcpy(config, config_at(s, &s->ways, at), bytes);
    absorb(s, config);
    if (has(s, config, goal->slot)) {
        take(s, config, goal->slot);
        configs_add(s, &s->after, config);
        return;
    }
    for (size_t i = 0; i < s->under_way_count; i++) {
        const struct history_job *job = &s->plan->jobs[s->under_way[i]];

        if (has(s, config, job->slot) || is_after_twin(s, job, config) ||
            !is_related(s, job))
            continue;
        memcpy(next, config, bytes);
        if (!take_effect(s, job, next))
            continue;
        if (job == goal) {
            take(s, next, goal->slot);
            configs_add(s, &s->after, next);
        } else {
            configs_add(s, &s->ways, next);
        }
    }
}

static void start_ways(struct search *s, const struct history_job *goal,
                       uint64_t *config)
{
    configs_clear(&s->ways);
    configs_clear(&s->after);
    for (size_t i = 0; i < s->now.count; i++) {
        memcpy(config, config_at(s, &s->now, i), s->width * sizeof *config);
        if (has(s, config, goal->slot)) {
            take(s, config, goal->slot);
            configs_add(s, &s->after, config);
        } else {
            configs_add(s, &s->ways, config);
        }
    }
}

static unsigned optional_used(const struct search *s, const uint64_t *config)
{
    unsigned count = 0;

    for (size_t i = 0; i < s->set_words; i++)
        count += (unsigned)__builtin_popcountll(config[s->state_words + i] &
                                                s->optional[i]);
    return count;
}

/* What has come of the event is what is known now: those that have used the
 * fewest optional operations first, so that they keep out the others. */
static void settle(struct search *s)
{
    size_t left = s->after.count;

    configs_clear(&s->now);
    for (unsigned used = 0; left > 0; used++) {
        for (size_t i = 0; i < s->after.count; i++) {
            const uint64_t *config = config_at(s, &s->after, i);

            if (optional_used(s, config) != used)
                continue;
            configs_add(s, &s->now, config);
            left--;
        }
    }
}

static enum history_verdict on_end(struct search *s,
                                   const struct history_job *goal)
{
    uint64_t *scratch = history_grow(NULL, 2 * s->width, sizeof *scratch);

    find_names(s, goal);
    start_ways(s, goal, scratch);
    for (size_t i = 0; i < s->ways.count && s->config_count <= s->config_max;
         i++)
        follow_way(s, i, goal, scratch, scratch + s->width);
    free(scratch);
    if (s->config_count > s->config_max)
        return HISTORY_GAVE_UP;
    if (s->after.count == 0)
        return HISTORY_VIOLATION;
    settle(s);
    return HISTORY_OK;
}

/* ---- The walk ---- */

static void on_begin(struct search *s, size_t at)
{
    const struct history_job *job = &s->plan->jobs[at];

    s->under_way[s->under_way_count++] = at;
    if (job->is_optional)
        s->optional[job->slot / 64] |= UINT64_C(1) << job->slot % 64;
}

static void on_over(struct search *s, size_t at)
{
    const struct history_job *job = &s->plan->jobs[at];
    size_t i = 0;

    while (s->under_way[i] != at)
        i++;
    s->under_way[i] = s->under_way[--s->under_way_count];
    s->optional[job->slot / 64] &= ~(UINT64_C(1) << job->slot % 64);
    if (entry_of(s, job)->fate == HISTORY_DONE)
        s->recent[s->recent_count++ % RECENT_MAX] = at;
}

static void on_expire(struct search *s, const struct history_job *job)
{
    for (size_t i = 0; i < s->now.count; i++)
        take(s, config_at(s, &s->now, i), job->slot);
}

static void search_init(struct search *s, const struct history_plan *plan,
                        uint64_t config_max)
{
    uint64_t *first;

    *s = (struct search){.plan = plan, .config_max = config_max};
    s->state_words = history_state_words(plan->kind);
    s->set_words = plan->slot_count / 64 + 1;
    s->width = s->state_words + s->set_words;
    s->under_way = history_grow(NULL, plan->slot_count, sizeof *s->under_way);
    s->optional = calloc(s->set_words, sizeof *s->optional);
    first = calloc(s->width, sizeof *first);
    px_assert(s->optional != NULL);
    px_assert(first != NULL);
    configs_clear(&s->now);
    configs_add(s, &s->now, first);
    free(first);
}

static void search_fini(struct search *s)
{
    configs_fini(&s->now);
    configs_fini(&s->ways);
    configs_fini(&s->after);
    free(s->under_way);
    free(s->optional);
}

/* Up to the event where it ends: *@at_out, or all of them. */
static enum history_verdict search_run(struct search *s, size_t *at_out)
{
    enum history_verdict verdict = HISTORY_OK;

    for (size_t i = 0; i < s->plan->event_count; i++) {
        const struct history_event *event = &s->plan->events[i];

        *at_out = i;
        switch (event->kind) {
        case HISTORY_BEGIN:
            on_begin(s, event->job);
            continue;
        case HISTORY_END:
            verdict = on_end(s, &s->plan->jobs[event->job]);
            break;
        case HISTORY_EXPIRE:
            on_expire(s, &s->plan->jobs[event->job]);
            break;
        }
        if (verdict != HISTORY_OK)
            return verdict;
        on_over(s, event->job);
    }
    return HISTORY_OK;
}

/* ---- The report ---- */

static void add_entry(const struct search *s, size_t job, struct px_text *t)
{
    px_text_add(t, "    ");
    history_entry_text(s->plan->history, s->plan->jobs[job].id, t);
    px_text_add(t, "\n");
}

static void add_state(const struct search *s, const uint64_t *config,
                      struct px_text *t)
{
    px_text_add(t, "    ");
    history_state_text(s->plan->kind, config, t);
    for (size_t i = 0; i < s->under_way_count; i++) {
        const struct history_job *job = &s->plan->jobs[s->under_way[i]];

        if (has(s, config, job->slot))
            px_text_add(t, ", #%zu done", job->id);
    }
    px_text_add(t, "\n");
}

static void add_surroundings(const struct search *s, size_t goal,
                             struct px_text *t)
{
    size_t recent = s->recent_count < RECENT_MAX ? s->recent_count : RECENT_MAX;

    px_text_add(t, "  it may have held, in %zu ways:\n", s->now.count);
    for (size_t i = 0; i < s->now.count && i < SHOWN_MAX; i++)
        add_state(s, config_at(s, &s->now, i), t);
    if (s->under_way_count > 1)
        px_text_add(t, "  also under way, of %zu:\n", s->under_way_count - 1);
    for (size_t i = 0, shown = 0; i < s->under_way_count && shown < PENDING_MAX;
         i++) {
        if (s->under_way[i] == goal)
            continue;
        add_entry(s, s->under_way[i], t);
        shown++;
    }
    if (recent > 0)
        px_text_add(t, "  answered before, the newest first:\n");
    for (size_t i = 1; i <= recent; i++)
        add_entry(s, s->recent[(s->recent_count - i) % RECENT_MAX], t);
}

static void report(const struct search *s, enum history_verdict verdict,
                   size_t at, char *text, size_t size)
{
    const struct history_plan *plan = s->plan;
    size_t goal = plan->events[at].job;
    struct px_text t;

    px_text_init(&t, text, size);
    px_text_add(&t, "%s %llu: ", history_kind_text(plan->kind),
                (unsigned long long)plan->object);
    if (verdict == HISTORY_VIOLATION)
        px_text_add(&t, "not linearizable. No order allows\n");
    else
        px_text_add(&t, "gave up after %llu configurations, at\n",
                    (unsigned long long)s->config_count);
    add_entry(s, goal, &t);
    add_surroundings(s, goal, &t);
}

/* ---- All objects ---- */

static enum history_verdict check_object(const struct history *h,
                                         const size_t *ids, size_t count,
                                         uint64_t config_max,
                                         struct history_report *out,
                                         enum history_verdict worst)
{
    struct history_plan plan;
    struct search search;
    enum history_verdict verdict;
    size_t at = 0;

    history_plan_init(&plan, h, ids, count);
    search_init(&search, &plan, config_max);
    verdict = search_run(&search, &at);
    out->config_count += search.config_count;
    out->object_count++;
    if (verdict == HISTORY_GAVE_UP)
        out->gave_up_count++;
    if (verdict != HISTORY_OK && worst != HISTORY_VIOLATION && verdict != worst)
        report(&search, verdict, at, out->text, sizeof out->text);
    search_fini(&search);
    history_plan_fini(&plan);
    return verdict;
}

struct object_id {
    enum history_kind kind;
    uint64_t object;
    size_t id;
};

static int object_order(const void *a, const void *b)
{
    const struct object_id *x = a;
    const struct object_id *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Those that did not fail, by object. */
static size_t sort_by_object(const struct history *h, struct object_id *all,
                             struct history_report *out)
{
    size_t count = 0;

    for (size_t id = 0; id < h->count; id++) {
        const struct history_entry *e = &h->entries[id];

        if (e->fate == HISTORY_FAILED)
            continue;
        if (e->fate == HISTORY_OPEN)
            out->unknown_count++;
        all[count++] = (struct object_id){
            .kind = history_kind_of(&e->op),
            .object = e->op.object,
            .id = id,
        };
    }
    qsort(all, count, sizeof *all, object_order);
    out->op_count = count;
    return count;
}

enum history_verdict history_check(const struct history *h,
                                   uint64_t configs_max,
                                   struct history_report *report_out)
{
    struct object_id *all = history_grow(NULL, h->count, sizeof *all);
    size_t *ids = history_grow(NULL, h->count, sizeof *ids);
    enum history_verdict worst = HISTORY_OK;
    size_t count;

    *report_out = (struct history_report){0};
    count = sort_by_object(h, all, report_out);
    for (size_t first = 0, end; first < count; first = end) {
        enum history_verdict verdict;

        for (end = first; end < count && all[end].kind == all[first].kind &&
                          all[end].object == all[first].object;
             end++)
            ids[end - first] = all[end].id;
        verdict =
            check_object(h, ids, end - first,
                         configs_max > 0 ? configs_max : HISTORY_CONFIGS_MAX,
                         report_out, worst);
        if (verdict == HISTORY_VIOLATION || worst == HISTORY_OK)
            worst = verdict;
    }
    free(all);
    free(ids);
    return worst;
}
