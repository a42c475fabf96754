#include "tests/lib/history_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX (256u + 21u * HISTORY_FILE_TOKENS_MAX)
#define VERBS (HISTORY_LOOKUP + 1)
#define OUTCOMES (HISTORY_UNKNOWN + 1)

static const char *const outcomes[OUTCOMES] = {
    [HISTORY_ANSWERED] = "answered",
    [HISTORY_NO_EFFECT] = "none",
    [HISTORY_UNKNOWN] = "unknown",
};

/* ---- Out ---- */

int history_file_append(int fd, const struct history_line *line)
{
    const struct history_result *r = &line->result;
    char text[LINE_BYTES_MAX];
    size_t used;
    ssize_t n;

    if (r->token_count > HISTORY_FILE_TOKENS_MAX)
        return -EMSGSIZE;
    used = (size_t)snprintf(
        text, sizeof text,
        "%d %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %" PRIu64 " %u %u %s %d "
        "%" PRIu64,
        line->client, line->call, line->done, history_verb_text(line->op.verb),
        line->op.object, line->op.value, line->op.name, line->op.to,
        outcomes[line->outcome], r->rc, r->value);
    for (size_t i = 0; i < r->token_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %" PRIu64,
                                 r->tokens[i]);
    text[used++] = '\n'; /* in the place of the end that snprintf set */
    n = write(fd, text, used);
    if (n < 0)
        return -errno;
    return (size_t)n == used ? 0 : -ENOSPC;
}

/* ---- In ---- */

static bool parse_verb(const char *name, enum history_verb *verb_out)
{
    for (int i = 0; i < VERBS; i++) {
        *verb_out = (enum history_verb)i;
        if (strcmp(history_verb_text(*verb_out), name) == 0)
            return true;
    }
    return false;
}

static bool parse_outcome(const char *name, enum history_outcome *outcome_out)
{
    for (int i = 0; i < OUTCOMES; i++) {
        *outcome_out = (enum history_outcome)i;
        if (strcmp(outcomes[i], name) == 0)
            return true;
    }
    return false;
}

/* The tokens, up to the end of the line. */
static bool parse_tokens(const char *text, struct history_result *r,
                         uint64_t *tokens)
{
    char *end;

    while (*text == ' ') {
        if (r->token_count == HISTORY_FILE_TOKENS_MAX)
            return false;
        tokens[r->token_count] = strtoull(text + 1, &end, 10);
        if (end == text + 1)
            return false;
        r->token_count++;
        text = end;
    }
    r->tokens = tokens;
    return strcmp(text, "\n") == 0;
}

static bool has_sense(const struct history_line *l)
{
    const struct history_op *op = &l->op;
    bool brings = op->verb == HISTORY_WRITE || op->verb == HISTORY_APPEND ||
                  op->verb == HISTORY_CREATE || op->verb == HISTORY_MKDIR;

    return op->name < HISTORY_NAMES_MAX && op->to < HISTORY_NAMES_MAX &&
           op->value <= HISTORY_ID_MAX && (!brings || op->value != 0) &&
           l->done >= l->call && l->done < PX_NS_NEVER;
}

static bool parse(const char *text, struct history_line *l, uint64_t *tokens)
{
    char verb[16];
    char outcome[16];
    int at = 0;

    *l = (struct history_line){0};
    if (sscanf(text,
               "%d %" SCNu64 " %" SCNu64 " %15s %" SCNu64 " %" SCNu64
               " %u %u %15s %d %" SCNu64 "%n",
               &l->client, &l->call, &l->done, verb, &l->op.object,
               &l->op.value, &l->op.name, &l->op.to, outcome, &l->result.rc,
               &l->result.value, &at) != 11)
        return false;
    if (!parse_verb(verb, &l->op.verb) || !parse_outcome(outcome, &l->outcome))
        return false;
    return has_sense(l) && parse_tokens(text + at, &l->result, tokens);
}

static void add(struct history *h, const struct history_line *l)
{
    size_t id = history_call(h, l->client, &l->op, l->call);

    switch (l->outcome) {
    case HISTORY_ANSWERED:
        history_return(h, id, &l->result, l->done);
        break;
    case HISTORY_NO_EFFECT:
        history_fail(h, id);
        break;
    case HISTORY_UNKNOWN:
        break; /* stays open */
    }
}

int history_file_read(FILE *file, struct history *h, unsigned *line_out)
{
    uint64_t tokens[HISTORY_FILE_TOKENS_MAX];
    struct history_line line;
    size_t capacity = 0;
    char *text = NULL;
    int rc = 0;

    *line_out = 0;
    while (rc == 0 && getline(&text, &capacity, file) > 0) {
        ++*line_out;
        if (parse(text, &line, tokens))
            add(h, &line);
        else
            rc = -EBADMSG;
    }
    if (rc == 0 && ferror(file))
        rc = -EIO;
    free(text);
    return rc;
}
