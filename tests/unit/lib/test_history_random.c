/* The checker against the definition: a history made by a real run must pass;
 * a small one, whatever was done to it, is judged as by trying all orders. The
 * copy of the data here is written another way than the checker's.
 *
 *   test_history_random [SEED] [ROUNDS]      repeats a failure; or longer */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the four above */
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/lib/history.h"

#define SMALL_MAX 7
#define NAMES 3
#define TOKENS_MAX 64

static uint64_t first_seed = 1;
static uint64_t round_count = 30000;

/* ---- One copy of an object of each kind ---- */

struct copy {
    uint64_t value;
    uint64_t tokens[TOKENS_MAX];
    size_t token_count;
    struct {
        uint64_t id; /* 0: nothing */
        bool is_directory;
    } names[NAMES];
};

/* Room for the answer's own tokens. */
struct answer {
    struct history_result result;
    uint64_t tokens[TOKENS_MAX];
};

static int copy_make(struct copy *c, const struct history_op *op)
{
    if (c->names[op->name].id != 0)
        return -EEXIST;
    c->names[op->name].id = op->value;
    c->names[op->name].is_directory = op->verb == HISTORY_MKDIR;
    return 0;
}

static int copy_remove(struct copy *c, const struct history_op *op)
{
    bool is_rmdir = op->verb == HISTORY_RMDIR;

    if (c->names[op->name].id == 0)
        return -ENOENT;
    if (c->names[op->name].is_directory && !is_rmdir)
        return -EISDIR;
    if (!c->names[op->name].is_directory && is_rmdir)
        return -ENOTDIR;
    c->names[op->name].id = 0;
    return 0;
}

static int copy_rename(struct copy *c, const struct history_op *op)
{
    if (c->names[op->name].id == 0)
        return -ENOENT;
    if (op->name == op->to)
        return 0;
    if (c->names[op->to].id != 0) {
        if (c->names[op->name].is_directory && !c->names[op->to].is_directory)
            return -ENOTDIR;
        if (!c->names[op->name].is_directory && c->names[op->to].is_directory)
            return -EISDIR;
    }
    c->names[op->to] = c->names[op->name];
    c->names[op->name].id = 0;
    return 0;
}

static void copy_run(struct copy *c, const struct history_op *op,
                     struct answer *a)
{
    memset(&a->result, 0, sizeof a->result);
    switch (op->verb) {
    case HISTORY_WRITE:
        c->value = op->value;
        return;
    case HISTORY_READ:
        a->result.rc = c->value == 0 ? -ENOENT : 0;
        a->result.value = c->value;
        return;
    case HISTORY_DELETE:
        a->result.rc = c->value == 0 ? -ENOENT : 0;
        c->value = 0;
        return;
    case HISTORY_APPEND:
        assert_true(c->token_count < TOKENS_MAX);
        c->tokens[c->token_count++] = op->value;
        return;
    case HISTORY_LIST:
        memcpy(a->tokens, c->tokens, sizeof a->tokens);
        a->result.tokens = a->tokens;
        a->result.token_count = c->token_count;
        return;
    case HISTORY_CREATE:
    case HISTORY_MKDIR:
        a->result.rc = copy_make(c, op);
        return;
    case HISTORY_UNLINK:
    case HISTORY_RMDIR:
        a->result.rc = copy_remove(c, op);
        return;
    case HISTORY_RENAME:
        a->result.rc = copy_rename(c, op);
        return;
    case HISTORY_LOOKUP:
        a->result.rc = c->names[op->name].id == 0 ? -ENOENT : 0;
        a->result.value = c->names[op->name].id;
        return;
    }
}

static bool is_same_answer(const struct history_result *a,
                           const struct history_result *b)
{
    return a->rc == b->rc && (a->rc != 0 || a->value == b->value) &&
           a->token_count == b->token_count &&
           (a->token_count == 0 ||
            memcmp(a->tokens, b->tokens, a->token_count * sizeof *a->tokens) ==
                0);
}

/* ---- A run ---- */

struct event {
    struct history_op op;
    px_ns call;
    px_ns done; /* PX_NS_NEVER: unknown */
    struct answer answer;
};

static struct history_op random_op(struct px_rand *rand, int kind,
                                   uint64_t value)
{
    static const enum history_verb verbs[3][6] = {
        {HISTORY_WRITE, HISTORY_WRITE, HISTORY_WRITE, HISTORY_READ,
         HISTORY_READ, HISTORY_DELETE},
        {HISTORY_APPEND, HISTORY_APPEND, HISTORY_APPEND, HISTORY_LIST,
         HISTORY_LIST, HISTORY_LIST},
        {HISTORY_CREATE, HISTORY_MKDIR, HISTORY_UNLINK, HISTORY_RMDIR,
         HISTORY_RENAME, HISTORY_LOOKUP},
    };
    enum history_verb verb = verbs[kind][px_rand_below(rand, 6)];
    struct history_op op = {.verb = verb};

    if (verb == HISTORY_WRITE || verb == HISTORY_APPEND ||
        verb == HISTORY_CREATE || verb == HISTORY_MKDIR)
        op.value = value;
    if (kind == 2)
        op.name = (unsigned)px_rand_below(rand, NAMES);
    if (verb == HISTORY_RENAME)
        op.to = (unsigned)px_rand_below(rand, NAMES);
    return op;
}

/* The operation takes effect at its place in the order, 100 apart, and is
 * called up to @width before and answered up to @width after. One in
 * @unknown_in is never answered, 0: none. */
static void random_event(struct px_rand *rand, struct copy *copy, int kind,
                         uint64_t at, uint64_t width, uint64_t unknown_in,
                         struct event *e)
{
    px_ns point = 10000 + 100 * at;

    e->op = random_op(rand, kind, at + 1);
    e->call = point - px_rand_below(rand, width);
    e->done = point + px_rand_below(rand, width);
    if (unknown_in == 0 || px_rand_below(rand, unknown_in) != 0) {
        copy_run(copy, &e->op, &e->answer);
        return;
    }
    e->done = PX_NS_NEVER;
    if (px_rand_below(rand, 2) == 0)
        copy_run(copy, &e->op, &e->answer);
}

static void change_answer(struct px_rand *rand, struct event *e, size_t count)
{
    static const int codes[] = {0, -ENOENT, -EEXIST, -EISDIR, -ENOTDIR};
    struct history_result *r = &e->answer.result;

    switch (px_rand_below(rand, 3)) {
    case 0:
        r->rc = codes[px_rand_below(rand, 5)];
        break;
    case 1:
        r->value = 1 + px_rand_below(rand, count);
        break;
    default:
        if (r->token_count == 0)
            r->rc = -ENOENT;
        else if (px_rand_below(rand, 2) == 0)
            r->token_count--;
        else
            e->answer.tokens[px_rand_below(rand, r->token_count)] =
                1 + px_rand_below(rand, count);
        break;
    }
    if (e->op.verb != HISTORY_READ && e->op.verb != HISTORY_LOOKUP)
        r->value = 0;
}

static struct history *record(const struct event *events, size_t count)
{
    struct history *h = history_new();

    for (size_t i = 0; i < count; i++) {
        size_t id = history_call(h, (int)i, &events[i].op, events[i].call);

        if (events[i].done != PX_NS_NEVER)
            history_return(h, id, &events[i].answer.result, events[i].done);
    }
    return h;
}

/* ---- All orders ---- */

/* May @i be the next, when those in @used have been? */
static bool is_next(const struct event *events, size_t count, unsigned used,
                    size_t i)
{
    for (size_t k = 0; k < count; k++)
        if (k != i && !(used >> k & 1) && events[k].done < events[i].call)
            return false;
    return !(used >> i & 1);
}

static bool try_orders(const struct event *events, size_t count, unsigned used,
                       const struct copy *copy)
{
    bool is_all = true;

    for (size_t i = 0; i < count; i++)
        is_all = is_all && (used >> i & 1 || events[i].done == PX_NS_NEVER);
    if (is_all)
        return true;
    for (size_t i = 0; i < count; i++) {
        struct copy next = *copy;
        struct answer answer;

        if (!is_next(events, count, used, i))
            continue;
        copy_run(&next, &events[i].op, &answer);
        if (events[i].done != PX_NS_NEVER &&
            !is_same_answer(&answer.result, &events[i].answer.result))
            continue;
        if (try_orders(events, count, used | 1u << i, &next))
            return true;
    }
    return false;
}

/* ---- The tests ---- */

static void assert_verdict(const struct event *events, size_t count,
                           enum history_verdict expected, uint64_t seed)
{
    static struct history_report report;
    struct history *h = record(events, count);
    enum history_verdict verdict = history_check(h, 0, &report);

    if (verdict != expected) {
        char text[256];

        print_error("seed %llu: %d, not %d\n%s", (unsigned long long)seed,
                    (int)verdict, (int)expected, report.text);
        for (size_t i = 0; i < count; i++) {
            history_text(h, i, text, sizeof text);
            print_error("  %s\n", text);
        }
    }
    history_free(h);
    assert_int_equal(verdict, expected);
}

static void small_histories_are_judged_as_by_all_orders(void **state)
{
    static struct event events[SMALL_MAX];
    const struct copy empty = {0};
    uint64_t bad = 0;

    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + round_count; seed++) {
        struct copy copy = {0};
        struct px_rand rand;
        size_t count;
        int kind;
        uint64_t width;
        bool is_good;

        px_rand_init(&rand, seed);
        count = 1 + px_rand_below(&rand, SMALL_MAX);
        kind = (int)px_rand_below(&rand, 3);
        width = 1 + px_rand_below(&rand, 600);
        memset(events, 0, sizeof events);
        for (size_t i = 0; i < count; i++)
            random_event(&rand, &copy, kind, i, width, 6, &events[i]);
        assert_verdict(events, count, HISTORY_OK, seed);
        for (uint64_t n = px_rand_below(&rand, 3) + 1; n > 0; n--)
            change_answer(&rand, &events[px_rand_below(&rand, count)], count);
        is_good = try_orders(events, count, 0, &empty);
        bad += !is_good;
        assert_verdict(events, count, is_good ? HISTORY_OK : HISTORY_VIOLATION,
                       seed);
    }
    assert_in_range(bad, round_count / 5, round_count - round_count / 5);
}

static void a_long_run_is_linearizable_and_cheap_to_check(void **state)
{
    const size_t count = 50000;
    struct history_report report;

    (void)state;
    for (int kind = 0; kind <= 2; kind += 2) {
        struct copy copy = {0};
        struct px_rand rand;
        struct event e;
        struct history *h = history_new();
        enum history_verdict verdict;

        px_rand_init(&rand, first_seed);
        for (size_t i = 0; i < count; i++) {
            size_t id;

            memset(&e, 0, sizeof e);
            /* Unknown ones on names are not for long runs. */
            random_event(&rand, &copy, kind, i, 400, kind == 0 ? 50 : 0, &e);
            id = history_call(h, 0, &e.op, e.call);
            if (e.done != PX_NS_NEVER)
                history_return(h, id, &e.answer.result, e.done);
        }
        verdict = history_check(h, 0, &report);
        if (verdict != HISTORY_OK)
            print_error("%s", report.text);
        assert_int_equal(verdict, HISTORY_OK);
        assert_int_equal(report.op_count, count);
        print_message("%zu operations, %zu unknown: %llu configurations\n",
                      report.op_count, report.unknown_count,
                      (unsigned long long)report.config_count);
        history_free(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_histories_are_judged_as_by_all_orders),
        cmocka_unit_test(a_long_run_is_linearizable_and_cheap_to_check),
    };

    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
        round_count = 1;
    }
    if (argc > 2)
        round_count = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
