/* Operations and states, as a person reads them. */
#include <errno.h>
#include <string.h>

#include "tests/lib/history_core.h"

const char *history_kind_text(enum history_kind kind)
{
    static const char *const texts[] = {
        [HISTORY_REGISTER] = "register",
        [HISTORY_TOKENS] = "list",
        [HISTORY_DIRECTORY] = "directory",
    };

    return texts[kind];
}

const char *history_verb_text(enum history_verb verb)
{
    static const char *const texts[] = {
        [HISTORY_WRITE] = "write",   [HISTORY_READ] = "read",
        [HISTORY_DELETE] = "delete", [HISTORY_APPEND] = "append",
        [HISTORY_LIST] = "list",     [HISTORY_CREATE] = "create",
        [HISTORY_MKDIR] = "mkdir",   [HISTORY_UNLINK] = "unlink",
        [HISTORY_RMDIR] = "rmdir",   [HISTORY_RENAME] = "rename",
        [HISTORY_LOOKUP] = "lookup",
    };

    return texts[verb];
}

static void add_arguments(const struct history_op *op, struct px_text *t)
{
    bool is_named = history_kind_of(op) == HISTORY_DIRECTORY;

    px_text_add(t, " %s(", history_verb_text(op->verb));
    if (is_named)
        px_text_add(t, "n%u", op->name);
    if (op->verb == HISTORY_RENAME)
        px_text_add(t, " to n%u", op->to);
    if (op->value != 0)
        px_text_add(t, "%s%llu", is_named ? ": " : "",
                    (unsigned long long)op->value);
    px_text_add(t, ")");
}

static void add_outcome(const struct history_entry *e, struct px_text *t)
{
    bool is_read = e->op.verb == HISTORY_READ || e->op.verb == HISTORY_LOOKUP;

    if (e->fate == HISTORY_OPEN)
        px_text_add(t, " -> unknown");
    else if (e->fate == HISTORY_FAILED)
        px_text_add(t, " -> no effect");
    else if (e->rc != 0)
        px_text_add(t, " -> %s",
                    strerrorname_np(-e->rc) != NULL ? strerrorname_np(-e->rc)
                                                    : "?");
    else if (e->op.verb == HISTORY_LIST)
        px_text_add(t, " -> %zu tokens%s", e->token_count,
                    e->is_odd ? ", not as in another list" : "");
    else if (is_read && e->value == HISTORY_ANY)
        px_text_add(t, " -> there");
    else if (is_read)
        px_text_add(t, " -> %llu", (unsigned long long)e->value);
    else
        px_text_add(t, " -> ok");
}

void history_entry_text(const struct history *h, size_t id, struct px_text *t)
{
    const struct history_entry *e = &h->entries[id];

    px_text_add(t, "c%d #%zu [%llu, ", e->client, id,
                (unsigned long long)e->call);
    if (e->fate == HISTORY_DONE)
        px_text_add(t, "%llu]", (unsigned long long)e->done);
    else
        px_text_add(t, "...");
    add_arguments(&e->op, t);
    add_outcome(e, t);
}

void history_state_text(enum history_kind kind, const uint64_t *state,
                        struct px_text *t)
{
    const char *comma = "";

    if (kind == HISTORY_TOKENS) {
        px_text_add(t, "%llu tokens", (unsigned long long)state[0]);
        return;
    }
    if (kind == HISTORY_REGISTER) {
        if (state[0] == HISTORY_ANY)
            px_text_add(t, "a value that nobody read");
        else if (state[0] != 0)
            px_text_add(t, "%llu", (unsigned long long)state[0]);
        else
            px_text_add(t, "nothing");
        return;
    }
    px_text_add(t, "{");
    for (size_t i = 0; i < HISTORY_NAMES_MAX; i++) {
        if (state[i] == 0)
            continue;
        px_text_add(t, "%sn%zu: %s %llu", comma, i,
                    state[i] & 1 ? "directory" : "file",
                    (unsigned long long)(state[i] >> 1));
        comma = ", ";
    }
    px_text_add(t, "}");
}

void history_text(const struct history *h, size_t id, char *text, size_t size)
{
    struct px_text t;

    px_text_init(&t, text, size);
    history_entry_text(h, id, &t);
}
