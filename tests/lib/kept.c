#include "tests/lib/kept.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/process.h"

#define TOOL_MS_MAX 20000

void kept_new(char path_out[KEPT_PATH_MAX], const char *name)
{
    const char *where = getenv("KEPT");

    (void)snprintf(path_out, KEPT_PATH_MAX, "%s/%s-XXXXXX",
                   where != NULL ? where : "/tmp", name);
    if (mkdtemp(path_out) == NULL)
        fail_msg("%s: %s", path_out, strerror(errno));
}

static void run(const char *const *argv)
{
    struct process_result r;

    process_run(&(struct process_options){.argv = argv}, TOOL_MS_MAX, &r);
    if (r.status != 0)
        (void)fprintf(stderr, "%s: status %d: %s", argv[0], r.status, r.err);
}

void kept_copy(const char *path, const char *from)
{
    run((const char *const[]){"cp", "-a", "--sparse=always", from, path, NULL});
}

void kept_remove(const char *path)
{
    run((const char *const[]){"rm", "-r", path, NULL});
}
