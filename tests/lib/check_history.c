/* Checks a history that a test has kept: check_history FILE. The status is 0 if
 * it is linearizable, 1 if not, 2 if that isn't known. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/history.h"
#include "tests/lib/history_file.h"

static int read_all(const char *path, struct history *h)
{
    FILE *file = fopen(path, "re");
    unsigned line = 0;
    int rc = file != NULL ? history_file_read(file, h, &line) : -errno;

    if (file != NULL)
        (void)fclose(file); /* read only */
    if (rc < 0)
        (void)fprintf(stderr, "check_history: %s, line %u: %s\n", path, line,
                      strerror(-rc));
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const verdicts[] = {
        [HISTORY_OK] = "linearizable",
        [HISTORY_VIOLATION] = "NOT linearizable",
        [HISTORY_GAVE_UP] = "too much to look at: nothing is known",
    };
    struct history_report report;
    enum history_verdict verdict;
    struct history *h;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: check_history FILE\n");
        return 2;
    }
    h = history_new();
    if (read_all(argv[1], h) < 0) {
        history_free(h);
        return 2;
    }
    verdict = history_check(h, 0, &report);
    (void)printf("%s%s: %zu operations, %zu of them unknown, on %zu objects\n",
                 report.text, verdicts[verdict], report.op_count,
                 report.unknown_count, report.object_count);
    history_free(h);
    return verdict == HISTORY_OK ? 0 : verdict == HISTORY_VIOLATION ? 1 : 2;
}
