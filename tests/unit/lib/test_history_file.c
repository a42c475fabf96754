/* What is written is what is read; what makes no sense is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the four above */
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/history_file.h"

static int set_up(void **state)
{
    FILE *file = tmpfile();

    *state = file;
    return file != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    return fclose(*state);
}

static void append(FILE *file, enum history_verb verb, px_ns call,
                   enum history_outcome outcome, struct history_result result)
{
    struct history_line line = {
        .client = 3,
        .call = call,
        .done = call + 1,
        .op = {.verb = verb, .object = 7, .value = call},
        .outcome = outcome,
        .result = result};

    assert_int_equal(history_file_append(fileno(file), &line), 0);
}

static enum history_verdict check(FILE *file, struct history_report *report)
{
    struct history *h = history_new();
    enum history_verdict verdict;
    unsigned line;

    rewind(file);
    assert_int_equal(history_file_read(file, h, &line), 0);
    verdict = history_check(h, 0, report);
    history_free(h);
    return verdict;
}

static void what_was_written_is_checked(void **state)
{
    const struct history_result ok = {.rc = 0};
    const struct history_result none = {.rc = -ENOENT};
    struct history_report report;

    append(*state, HISTORY_READ, 10, HISTORY_ANSWERED, none);
    append(*state, HISTORY_WRITE, 20, HISTORY_ANSWERED, ok);
    append(*state, HISTORY_WRITE, 30, HISTORY_UNKNOWN, none);
    append(*state, HISTORY_WRITE, 40, HISTORY_NO_EFFECT, none);
    append(*state, HISTORY_READ, 50, HISTORY_ANSWERED,
           (struct history_result){.value = 30});
    assert_int_equal(check(*state, &report), HISTORY_OK);
    assert_int_equal(report.op_count, 4);
    assert_int_equal(report.unknown_count, 1);
    append(*state, HISTORY_READ, 60, HISTORY_ANSWERED,
           (struct history_result){.value = 40});
    assert_int_equal(check(*state, &report), HISTORY_VIOLATION);
}

static void lists_keep_their_tokens(void **state)
{
    const uint64_t tokens[] = {10, 20};
    const uint64_t wrong[] = {10, 30};
    const struct history_result ok = {.rc = 0};
    struct history_report report;

    append(*state, HISTORY_APPEND, 10, HISTORY_ANSWERED, ok);
    append(*state, HISTORY_APPEND, 20, HISTORY_ANSWERED, ok);
    append(*state, HISTORY_LIST, 25, HISTORY_ANSWERED,
           (struct history_result){.tokens = tokens, .token_count = 2});
    append(*state, HISTORY_APPEND, 30, HISTORY_UNKNOWN, ok);
    assert_int_equal(check(*state, &report), HISTORY_OK);
    append(*state, HISTORY_LIST, 40, HISTORY_ANSWERED,
           (struct history_result){.tokens = wrong, .token_count = 2});
    assert_int_equal(check(*state, &report), HISTORY_VIOLATION);
}

static void a_longer_list_than_fits_is_refused(void **state)
{
    static const uint64_t tokens[HISTORY_FILE_TOKENS_MAX + 1];
    struct history_line line = {.op = {.verb = HISTORY_LIST}};

    line.result = (struct history_result){
        .tokens = tokens, .token_count = HISTORY_FILE_TOKENS_MAX + 1};
    assert_int_equal(history_file_append(fileno(*state), &line), -EMSGSIZE);
}

static void a_line_that_makes_no_sense_is_named(void **state)
{
    static const char *const lines[] = {
        "3 10 11 write 7 5 0 0 answered 0\n",      /* too short */
        "3 10 11 dance 7 5 0 0 answered 0 0\n",    /* no verb */
        "3 10 11 write 7 5 0 0 perhaps 0 0\n",     /* no outcome */
        "3 10 11 write 7 0 0 0 answered 0 0\n",    /* no value */
        "3 10 9 write 7 5 0 0 answered 0 0\n",     /* answered before called */
        "3 10 11 mkdir 7 5 16 0 answered 0 0\n",   /* no such name */
        "3 10 11 list 7 0 0 0 answered 0 0 4 x\n", /* no token */
        "3 10 11 write 7 5 0 0 answered 0 0",      /* torn */
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        FILE *file = tmpfile();
        struct history *h = history_new();
        unsigned line;

        assert_non_null(file);
        assert_true(fprintf(file, "1 2 3 read 7 0 0 0 answered -2 0\n%s",
                            lines[i]) > 0);
        rewind(file);
        assert_int_equal(history_file_read(file, h, &line), -EBADMSG);
        assert_int_equal(line, 2);
        history_free(h);
        (void)fclose(file);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_checked),
        TEST(lists_keep_their_tokens),
        TEST(a_longer_list_than_fits_is_refused),
        TEST(a_line_that_makes_no_sense_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
