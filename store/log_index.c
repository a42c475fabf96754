/* What is kept in memory of the entries: where each lies, and the terms. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/log_core.h"

#define PLACES_MIN 1024

static size_t log_index_count(const struct log_index *x)
{
    return (size_t)(x->last - x->base.index);
}

int log_index_reserve(struct log_index *x, size_t more)
{
    size_t capacity = x->capacity > 0 ? x->capacity : PLACES_MIN;
    struct log_place *places;

    while (capacity - log_index_count(x) < more)
        capacity *= 2;
    if (capacity != x->capacity) {
        places = realloc(x->places, capacity * sizeof *places);
        if (places == NULL)
            return -ENOMEM;
        x->places = places;
        x->capacity = capacity;
    }
    if (x->run_capacity - x->run_count < more) {
        size_t run_capacity = 2 * x->run_capacity + more;
        struct raft_term_run *runs =
            realloc(x->runs, run_capacity * sizeof *runs);

        if (runs == NULL)
            return -ENOMEM;
        x->runs = runs;
        x->run_capacity = run_capacity;
    }
    return 0;
}

void log_index_fini(struct log_index *x)
{
    free(x->places);
    free(x->runs);
    *x = (struct log_index){0};
}

raft_term log_index_last_term(const struct log_index *x)
{
    return x->run_count > 0 ? x->runs[x->run_count - 1].term : x->base.term;
}

raft_term log_index_term(const struct log_index *x, raft_index index)
{
    raft_term term = x->base.term;

    px_assert(index >= x->base.index && index <= x->last);
    for (size_t i = 0; i < x->run_count && x->runs[i].first <= index; i++)
        term = x->runs[i].term;
    return term;
}

bool log_index_holds(const struct log_index *x, struct raft_pos pos)
{
    return pos.index >= x->base.index && pos.index <= x->last &&
           log_index_term(x, pos.index) == pos.term;
}

/* Gives memory back; what can't be given stays. */
static void shrink(struct log_index *x)
{
    size_t wanted = 2 * log_index_count(x);
    struct log_place *places;

    if (wanted < PLACES_MIN)
        wanted = PLACES_MIN;
    if (x->capacity < 2 * wanted)
        return;
    places = realloc(x->places, wanted * sizeof *places);
    if (places == NULL)
        return;
    x->places = places;
    x->capacity = wanted;
}

void log_index_drop(struct log_index *x, struct raft_pos pos)
{
    size_t gone = (size_t)(pos.index - x->base.index);
    size_t runs = 0;

    px_assert(log_index_holds(x, pos));
    if (gone == 0)
        return;
    for (size_t i = 0; i < gone; i++)
        x->bytes -= log_record_bytes(x->places[i].body_size);
    memmove(x->places, x->places + gone,
            (log_index_count(x) - gone) * sizeof *x->places);
    /* A run goes where the next one begins no later than what is left. */
    while (runs < x->run_count &&
           (runs + 1 < x->run_count ? x->runs[runs + 1].first : x->last + 1) <=
               pos.index + 1)
        runs++;
    x->run_count -= runs;
    memmove(x->runs, x->runs + runs, x->run_count * sizeof *x->runs);
    if (x->run_count > 0 && x->runs[0].first <= pos.index)
        x->runs[0].first = pos.index + 1;
    x->base = pos;
    shrink(x);
}

void log_index_clear(struct log_index *x, struct raft_pos pos)
{
    x->base = pos;
    x->last = pos.index;
    x->bytes = 0;
    x->run_count = 0;
    shrink(x);
}

static const char *add(struct log_index *x, const struct log_record *r)
{
    raft_term last_term = log_index_last_term(x);

    if (r->index != x->last + 1)
        return "the entry's index does not follow the one before";
    if (r->term < last_term || r->term == 0)
        return "the entry's term is older than the one before";
    px_assert(log_index_count(x) < x->capacity);
    px_assert(x->run_count < x->run_capacity);
    if (r->term > last_term || x->run_count == 0)
        x->runs[x->run_count++] = (struct raft_term_run){r->term, r->index};
    x->places[log_index_count(x)] =
        (struct log_place){r->sequence, r->offset, r->body_size};
    x->last++;
    x->bytes += log_record_bytes(r->body_size);
    return NULL;
}

static const char *cut(struct log_index *x, raft_index from)
{
    if (from == 0 || from > x->last)
        return "a cut from an index that is not in the log";
    if (from <= x->base.index) {
        /* Only in recovery: what was cut lay in segments that are gone, and so
         * does the new base. */
        log_index_clear(x, (struct raft_pos){0, from - 1});
        return NULL;
    }
    while (x->last >= from) {
        x->last--;
        x->bytes -= log_record_bytes(x->places[log_index_count(x)].body_size);
    }
    while (x->run_count > 0 && x->runs[x->run_count - 1].first > x->last)
        x->run_count--;
    return NULL;
}

const char *log_index_apply(struct log_index *x, const struct log_record *r)
{
    switch (r->type) {
    case LOG_ENTRY:
        return add(x, r);
    case LOG_CUT:
        return cut(x, r->index);
    case LOG_HARD:
    case LOG_END:
        break;
    }
    return NULL;
}
