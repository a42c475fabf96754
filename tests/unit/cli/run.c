#include "tests/unit/cli/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#define WORDS_MAX 24

static FILE *text_in(const char *text)
{
    FILE *f = fopen("/dev/null", "re");

    assert_non_null(f);
    if (text == NULL || text[0] == '\0')
        return f;
    (void)fclose(f);
    f = fmemopen((void *)(uintptr_t)text, strlen(text), "r"); /* only read */
    assert_non_null(f);
    return f;
}

static void take(FILE *f, char **text, char out[RUN_TEXT_BYTES])
{
    assert_int_equal(fclose(f), 0);
    assert_true(strlen(*text) < RUN_TEXT_BYTES);
    (void)strcpy(out, *text);
    free(*text);
}

static void check(const struct run *r)
{
    const char *end = strchr(r->err, '\n');

    if (r->status == CLI_DONE && !r->is_terminal)
        assert_string_equal(r->err, "");
    if (r->status != CLI_DONE && !r->is_terminal) {
        assert_memory_equal(r->err, "phalanx: ", 9);
        assert_non_null(end);
        assert_string_equal(end, "\n");
    }
}

void run(struct run *r, const char *const *words)
{
    char *argv[WORDS_MAX + 2] = {strdup("phalanx")};
    char *environment[2] = {(char *)(uintptr_t)r->variable, NULL};
    char *out, *err;
    size_t out_size, err_size;
    struct cli c = {.in = text_in(r->input),
                    .out = open_memstream(&out, &out_size),
                    .err = open_memstream(&err, &err_size),
                    .is_terminal = r->is_terminal,
                    .environment = environment};
    char *owned[WORDS_MAX + 2];
    int argc = 1;

    for (; words[argc - 1] != NULL; argc++) {
        assert_true(argc <= WORDS_MAX);
        argv[argc] = strdup(words[argc - 1]);
    }
    memcpy(owned, argv, sizeof owned); /* getopt puts them into another order */
    r->status = cli_main(&c, argc, argv);
    (void)fclose(c.in);
    take(c.out, &out, r->out);
    take(c.err, &err, r->err);
    for (int i = 0; i < argc; i++)
        free(owned[i]);
    check(r);
}
