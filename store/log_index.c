/* What is kept in memory of the entries: where each lies, and the terms. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/log_core.h"

#define PLACES_MIN 1024

int log_index_reserve(struct log_index *x, size_t more)
{
    size_t capacity = x->capacity > 0 ? x->capacity : PLACES_MIN;
    struct log_place *places;

    while (capacity - x->last < more)
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
    return x->run_count > 0 ? x->runs[x->run_count - 1].term : 0;
}

static const char *add(struct log_index *x, const struct log_record *r)
{
    raft_term last_term = log_index_last_term(x);

    if (r->index != x->last + 1)
        return "the entry's index does not follow the one before";
    if (r->term < last_term || r->term == 0)
        return "the entry's term is older than the one before";
    px_assert(x->last < x->capacity);
    px_assert(x->run_count < x->run_capacity);
    if (r->term > last_term)
        x->runs[x->run_count++] = (struct raft_term_run){r->term, r->index};
    x->places[x->last++] =
        (struct log_place){r->sequence, r->offset, r->body_size};
    x->bytes += log_record_bytes(r->body_size);
    return NULL;
}

static const char *cut(struct log_index *x, raft_index from)
{
    if (from == 0 || from > x->last)
        return "a cut from an index that is not in the log";
    while (x->last >= from) {
        x->last--;
        x->bytes -= log_record_bytes(x->places[x->last].body_size);
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
