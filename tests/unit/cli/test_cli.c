/* cli/cli.c: the table of commands, help and wrong usage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "tests/unit/cli/run.h"

static void help_names_every_command_and_status(void **state)
{
    struct run r = {.input = NULL};

    (void)state;
    RUN(&r, "--help");
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.out, "Usage: phalanx COMMAND"));
    assert_non_null(strstr(r.out, "\n  member "));
    assert_non_null(strstr(r.out, "\n  recover "));
    assert_non_null(strstr(r.out, "3 outcome unknown"));
}

static void each_command_has_its_help(void **state)
{
    static const char *const names[] = {"member", "recover"};
    struct run r = {.input = NULL};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        RUN(&r, names[i], "--help");
        assert_int_equal(r.status, CLI_DONE);
        assert_non_null(strstr(r.out, "Usage: phalanx "));
        assert_non_null(strstr(r.out, names[i]));
        assert_non_null(strstr(r.out, "Exit status: 0 done"));
    }
}

static void the_version_is_the_programs(void **state)
{
    struct run r = {.input = NULL};

    (void)state;
    RUN(&r, "--version");
    assert_int_equal(r.status, CLI_DONE);
    assert_string_equal(r.out, "phalanx " PX_VERSION "\n");
}

static void expect_usage(const char *const *words, const char *in_sentence)
{
    struct run r = {.input = NULL};

    run(&r, words);
    if (r.status != CLI_USAGE || strstr(r.err, in_sentence) == NULL)
        fail_msg("status %d, said: %s", (int)r.status, r.err);
    assert_string_equal(r.out, "");
}

static void wrong_usage_says_what_to_write(void **state)
{
    static const struct {
        const char *words[8];
        const char *says;
    } rows[] = {
        {{NULL}, "write a command"},
        {{"frobnicate"}, "\"frobnicate\" is not a command"},
        {{""}, "\"\" is not a command"},
        {{"--help", "member"}, "--help stands alone"},
        {{"--verbose"}, "\"--verbose\" is not a command"},
        {{"member", "list", "--jason"}, "--jason is not an option of member"},
        {{"member", "list", "-x"}, "-x is not an option of member"},
        {{"member", "list", "--json=1"}, "--json=1 is not an option of member"},
        {{"member", "list", "--timeout"}, "--timeout takes a value"},
        {{"recover", "--data-dir"}, "--data-dir takes a value"},
        {{"recover", "--yes=1"}, "or takes no value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_usage(rows[i].words, rows[i].says);
}

/* A terminal must not be told what to do by an argument that was pasted. */
static void a_quoted_word_is_short_and_on_one_line(void **state)
{
    struct cli_quote q = cli_quote("a\nb\x1b[2J");
    char longer[256];

    (void)state;
    assert_string_equal(q.text, "a?b?[2J");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    q = cli_quote(longer);
    assert_int_equal(strlen(q.text), 83);
    assert_string_equal(q.text + 80, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_names_every_command_and_status),
        cmocka_unit_test(each_command_has_its_help),
        cmocka_unit_test(the_version_is_the_programs),
        cmocka_unit_test(wrong_usage_says_what_to_write),
        cmocka_unit_test(a_quoted_word_is_short_and_on_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
