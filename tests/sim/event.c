/* A binary heap. */
#include "tests/sim/event.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/assert.h"

void *event_new(size_t size)
{
    void *e = calloc(1, size);

    px_assert(e != NULL);
    return e;
}

void event_drop(struct world *w, struct event *e)
{
    (void)w; /* nothing else is held */
    free(e);
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct events *q, size_t a, size_t b)
{
    struct event *e = q->heap[a];

    q->heap[a] = q->heap[b];
    q->heap[b] = e;
}

static void insert(struct events *q, struct event *e)
{
    size_t i = q->count++;

    if (q->count > q->capacity) {
        q->capacity = q->capacity == 0 ? 1024 : 2 * q->capacity;
        q->heap = realloc(q->heap, q->capacity * sizeof *q->heap);
        px_assert(q->heap != NULL);
    }
    q->heap[i] = e;
    for (; i > 0 && is_before(q->heap[i], q->heap[(i - 1) / 2]);
         i = (i - 1) / 2)
        swap(q, i, (i - 1) / 2);
}

void events_add(struct events *q, struct event *e)
{
    e->order = q->planned++;
    insert(q, e);
}

void events_delay(struct events *q, struct event *e, px_ns at)
{
    e->at = at;
    insert(q, e);
}

struct event *events_first(const struct events *q)
{
    return q->count > 0 ? q->heap[0] : NULL;
}

struct event *events_take(struct events *q)
{
    struct event *first = events_first(q);
    size_t i = 0;

    if (first == NULL)
        return NULL;
    q->heap[0] = q->heap[--q->count];
    for (;;) {
        size_t least = 2 * i + 1;

        if (least >= q->count)
            return first;
        if (least + 1 < q->count &&
            is_before(q->heap[least + 1], q->heap[least]))
            least++;
        if (!is_before(q->heap[least], q->heap[i]))
            return first;
        swap(q, i, least);
        i = least;
    }
}

void events_fini(struct events *q, struct world *w)
{
    struct event *e;

    while ((e = events_take(q)) != NULL)
        e->drop(w, e); /* which may plan others */
    free(q->heap);
}
