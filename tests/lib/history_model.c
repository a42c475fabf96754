/* What one single copy of each kind of object would do. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/history_core.h"

enum history_kind history_kind_of(const struct history_op *op)
{
    switch (op->verb) {
    case HISTORY_WRITE:
    case HISTORY_READ:
    case HISTORY_DELETE:
        return HISTORY_REGISTER;
    case HISTORY_APPEND:
    case HISTORY_LIST:
        return HISTORY_TOKENS;
    case HISTORY_CREATE:
    case HISTORY_MKDIR:
    case HISTORY_UNLINK:
    case HISTORY_RMDIR:
    case HISTORY_RENAME:
    case HISTORY_LOOKUP:
        return HISTORY_DIRECTORY;
    }
    px_assert(false);
    return HISTORY_REGISTER;
}

size_t history_state_words(enum history_kind kind)
{
    return kind == HISTORY_DIRECTORY ? HISTORY_NAMES_MAX : 1;
}

bool history_is_without_effect(const struct history_entry *e)
{
    return e->op.verb == HISTORY_READ || e->op.verb == HISTORY_LIST ||
           e->op.verb == HISTORY_LOOKUP ||
           (e->fate == HISTORY_DONE && e->rc != 0);
}

uint32_t history_names(const struct history_op *op)
{
    uint32_t names = UINT32_C(1) << op->name;

    if (history_kind_of(op) != HISTORY_DIRECTORY)
        return 1; /* whatever it calls itself */
    return op->verb == HISTORY_RENAME ? names | UINT32_C(1) << op->to : names;
}

bool history_is_same(const struct history_op *a, const struct history_op *b)
{
    return a->verb == b->verb && a->value == b->value && a->name == b->name &&
           a->to == b->to;
}

static bool step_register(const struct history_entry *e, int rc,
                          uint64_t *state)
{
    if (e->op.verb == HISTORY_WRITE) {
        if (rc == 0)
            *state = e->op.value;
        return rc == 0;
    }
    if (rc != (*state != 0 ? 0 : -ENOENT))
        return false;
    if (e->op.verb == HISTORY_DELETE)
        *state = 0;
    return e->op.verb == HISTORY_DELETE || rc != 0 ||
           (*state == e->value && e->value != HISTORY_ANY);
}

static bool step_list(const struct history_entry *e,
                      const struct history_list *list, int rc, uint64_t *state)
{
    size_t seen = list != NULL ? list->count : 0;

    if (rc != 0)
        return false;
    if (e->op.verb == HISTORY_LIST)
        return !e->is_odd && *state == e->shown;
    /* What nobody was shown comes behind all that somebody was, in an order
     * that nobody can tell; and nobody was shown the list then. */
    if (*state >= seen) {
        *state = seen + 1;
        return true;
    }
    if (list->tokens[*state] != e->op.value)
        return false;
    ++*state;
    return true;
}

static bool is_directory(uint64_t node)
{
    return node & 1;
}

static int make(uint64_t *at, uint64_t node)
{
    if (*at != 0)
        return -EEXIST;
    *at = node;
    return 0;
}

static int drop(uint64_t *at, bool want_directory)
{
    if (*at == 0)
        return -ENOENT;
    if (is_directory(*at) != want_directory)
        return want_directory ? -ENOTDIR : -EISDIR;
    *at = 0;
    return 0;
}

static int move(uint64_t *from, uint64_t *to)
{
    uint64_t node = *from;

    if (node == 0)
        return -ENOENT;
    if (from == to)
        return 0;
    if (*to != 0 && is_directory(*to) != is_directory(node))
        return is_directory(node) ? -ENOTDIR : -EISDIR;
    *from = 0;
    *to = node;
    return 0;
}

static int look(uint64_t node, const struct history_entry *e)
{
    if (node == 0)
        return -ENOENT;
    if (e->rc == 0 && e->value != HISTORY_ANY && e->value != node >> 1)
        return -ESTALE; /* another one: no lookup says so */
    return 0;
}

/* All of these change @state only where they succeed. */
static bool step_directory(const struct history_entry *e, int rc,
                           uint64_t *state)
{
    uint64_t *at = &state[e->op.name];

    switch (e->op.verb) {
    case HISTORY_CREATE:
        return rc == make(at, e->op.value << 1);
    case HISTORY_MKDIR:
        return rc == make(at, e->op.value << 1 | 1);
    case HISTORY_UNLINK:
        return rc == drop(at, false);
    case HISTORY_RMDIR:
        return rc == drop(at, true);
    case HISTORY_RENAME:
        return rc == move(at, &state[e->op.to]);
    case HISTORY_LOOKUP:
        return rc == look(*at, e);
    case HISTORY_WRITE:
    case HISTORY_READ:
    case HISTORY_DELETE:
    case HISTORY_APPEND:
    case HISTORY_LIST:
        break;
    }
    return false;
}

bool history_step(const struct history_entry *e,
                  const struct history_list *list, uint64_t *state)
{
    enum history_kind kind = history_kind_of(&e->op);
    uint64_t next[HISTORY_STATE_WORDS_MAX];
    size_t bytes = history_state_words(kind) * sizeof *state;
    int rc = e->fate == HISTORY_DONE ? e->rc : 0;
    bool is_legal = false;

    memcpy(next, state, bytes);
    switch (kind) {
    case HISTORY_REGISTER:
        is_legal = step_register(e, rc, next);
        break;
    case HISTORY_TOKENS:
        is_legal = step_list(e, list, rc, next);
        break;
    case HISTORY_DIRECTORY:
        is_legal = step_directory(e, rc, next);
        break;
    }
    if (is_legal)
        memcpy(state, next, bytes);
    return is_legal;
}
