#include "tests/lib/noted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char notes[16384];

int noted_while(int (*act)(void *ctx), void *ctx)
{
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    size_t size;
    int rc;

    assert_non_null(file);
    assert_true(before >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    rc = act(ctx);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    rewind(file);
    size = fread(notes, 1, sizeof notes - 1, file);
    notes[size] = '\0';
    (void)fclose(file); /* only read since */
    return rc;
}

unsigned noted_count(const char *words)
{
    unsigned count = 0;

    for (const char *at = notes; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}
