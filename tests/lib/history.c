/* Recording: what was called, and what came back. */
#include "tests/lib/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/history_core.h"

#define ENTRIES_MIN 1024u

void *history_grow(void *memory, size_t count, size_t size)
{
    void *grown = reallocarray(memory, count > 0 ? count : 1, size);

    px_assert(grown != NULL);
    return grown;
}

struct history *history_new(void)
{
    struct history *h = history_grow(NULL, 1, sizeof *h);

    *h = (struct history){0};
    return h;
}

void history_free(struct history *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->list_count; i++)
        free(h->lists[i].tokens);
    free(h->lists);
    free(h->entries);
    free(h);
}

static bool has_value(enum history_verb verb)
{
    return verb == HISTORY_WRITE || verb == HISTORY_APPEND ||
           verb == HISTORY_CREATE || verb == HISTORY_MKDIR;
}

size_t history_call(struct history *h, int client, const struct history_op *op,
                    px_ns time)
{
    px_assert(op->name < HISTORY_NAMES_MAX);
    px_assert(op->to < HISTORY_NAMES_MAX);
    px_assert(px_implies(has_value(op->verb), op->value != 0));
    px_assert(op->value <= HISTORY_ID_MAX);
    if (h->count == h->capacity) {
        h->capacity = h->capacity > 0 ? 2 * h->capacity : ENTRIES_MIN;
        h->entries = history_grow(h->entries, h->capacity, sizeof *h->entries);
    }
    h->entries[h->count] = (struct history_entry){
        .op = *op,
        .client = client,
        .fate = HISTORY_OPEN,
        .call = time,
        .done = PX_NS_NEVER,
    };
    return h->count++;
}

static struct history_list *find_list(const struct history *h, uint64_t object)
{
    for (size_t i = 0; i < h->list_count; i++)
        if (h->lists[i].object == object)
            return &h->lists[i];
    return NULL;
}

const struct history_list *history_list_of(const struct history *h,
                                           uint64_t object)
{
    return find_list(h, object);
}

static struct history_list *make_list(struct history *h, uint64_t object)
{
    struct history_list *list = find_list(h, object);

    if (list != NULL)
        return list;
    h->lists = history_grow(h->lists, h->list_count + 1, sizeof *h->lists);
    list = &h->lists[h->list_count++];
    *list = (struct history_list){.object = object};
    return list;
}

static void note_tokens(struct history *h, struct history_entry *e,
                        const struct history_result *result)
{
    struct history_list *list = make_list(h, e->op.object);
    size_t both =
        result->token_count < list->count ? result->token_count : list->count;

    e->token_count = result->token_count;
    e->shown = result->token_count;
    if (both > 0 && memcmp(list->tokens, result->tokens,
                           both * sizeof *list->tokens) != 0) {
        e->is_odd = true;
        return;
    }
    if (result->token_count <= list->count)
        return;
    list->tokens =
        history_grow(list->tokens, result->token_count, sizeof *list->tokens);
    memcpy(list->tokens, result->tokens,
           result->token_count * sizeof *list->tokens);
    list->count = result->token_count;
}

void history_return(struct history *h, size_t id,
                    const struct history_result *result, px_ns time)
{
    struct history_entry *e;

    px_assert(id < h->count);
    e = &h->entries[id];
    px_assert(e->fate == HISTORY_OPEN);
    px_assert(time >= e->call);
    px_assert(time < PX_NS_NEVER);
    e->fate = HISTORY_DONE;
    e->done = time;
    e->rc = result->rc;
    e->value = result->value;
    if (e->op.verb == HISTORY_LIST && result->rc == 0)
        note_tokens(h, e, result);
}

void history_fail(struct history *h, size_t id)
{
    px_assert(id < h->count);
    px_assert(h->entries[id].fate == HISTORY_OPEN);
    h->entries[id].fate = HISTORY_FAILED;
}
