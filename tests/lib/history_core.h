/* The inside of the checker, for history*.c alone.
 *
 *   history.c         records
 *   history_model.c   what one copy of each kind of object would do
 *   history_plan.c    an object's operations as calls and returns in order
 *   history_check.c   the search
 *   history_report.c  prints, for a person */
#ifndef TESTS_LIB_HISTORY_CORE_H
#define TESTS_LIB_HISTORY_CORE_H

#include <stdbool.h>

#include "base/text.h"
#include "tests/lib/history.h"

enum history_kind {
    HISTORY_REGISTER,
    HISTORY_TOKENS,
    HISTORY_DIRECTORY,
};

enum history_fate {
    HISTORY_OPEN, /* unknown, for as long as it stays so */
    HISTORY_DONE,
    HISTORY_FAILED,
};

struct history_entry {
    struct history_op op;
    int client;
    enum history_fate fate;
    px_ns call;
    px_ns done; /* PX_NS_NEVER: open */
    int rc;
    uint64_t value;     /* READ, LOOKUP */
    size_t shown;       /* LIST: this many tokens of its list ... */
    bool is_odd;        /* ... or others than another LIST has shown */
    size_t token_count; /* LIST */
};

/* The longest list that anybody was shown. Since a list only grows, all others
 * are its beginnings, or something is wrong: so only their lengths are kept. */
struct history_list {
    uint64_t object;
    uint64_t *tokens;
    size_t count;
};

struct history {
    struct history_entry *entries;
    size_t count;
    size_t capacity;
    struct history_list *lists;
    size_t list_count;
};

/* realloc for @count elements, which ends the test rather than fail. */
void *history_grow(void *memory, size_t count, size_t size);
/* The tokens shown of @object; NULL: none was. */
const struct history_list *history_list_of(const struct history *h,
                                           uint64_t object);

/* ---- history_model.c ---- */

/* One copy of an object. A register holds its value or 0; a list, how many
 * tokens of the longest list are in it, or one more once others are too; a
 * directory, what each name stands for: id * 2 + is it a directory, or 0. */
#define HISTORY_STATE_WORDS_MAX HISTORY_NAMES_MAX

enum history_kind history_kind_of(const struct history_op *op);
size_t history_state_words(enum history_kind kind);
/* What happens to @state if @e takes effect now. False: it could not, or not
 * with the result that it had; @state is as it was. An open operation is taken
 * to succeed: failing, it changes nothing, and need not be looked at. */
bool history_step(const struct history_entry *e,
                  const struct history_list *list, uint64_t *state);
/* A read, or a failure that was answered: it never changes the state. */
bool history_is_without_effect(const struct history_entry *e);
/* The names that it touches, a bit each: two that share none can take effect in
 * either order. A register or list counts as one name. */
uint32_t history_names(const struct history_op *op);
bool history_is_same(const struct history_op *a, const struct history_op *b);

/* ---- history_plan.c ---- */

/* An operation as the search sees it. An optional one may be left out. */
struct history_job {
    size_t id; /* in entries */
    px_ns from;
    px_ns until;
    bool is_optional;
    bool is_blind; /* a write of a value that nobody read: HISTORY_ANY */
    unsigned slot; /* its bit in a set, between from and until */
    size_t twin;   /* the optional one before it that does the same, or NONE */
};
#define HISTORY_NONE SIZE_MAX

/* In this order at the same time: what ends when another begins overlaps it. */
enum history_event_kind {
    HISTORY_BEGIN,
    HISTORY_END,    /* of one that must have taken effect by now */
    HISTORY_EXPIRE, /* of an optional one: too late to be of any use */
};

struct history_event {
    px_ns time;
    enum history_event_kind kind;
    size_t job;
};

struct history_plan {
    const struct history *history;
    enum history_kind kind;
    uint64_t object;
    const struct history_list *list;
    struct history_job *jobs; /* in the order of their calls */
    size_t job_count;
    struct history_event *events;
    size_t event_count;
    unsigned slot_count;
};

/* Plans the @count operations @ids, which are all of one object's. */
void history_plan_init(struct history_plan *plan, const struct history *h,
                       const size_t *ids, size_t count);
void history_plan_fini(struct history_plan *plan);

/* ---- history_report.c ---- */

void history_entry_text(const struct history *h, size_t id, struct px_text *t);
void history_state_text(enum history_kind kind, const uint64_t *state,
                        struct px_text *t);
const char *history_kind_text(enum history_kind kind);

#endif
