#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/history_file.h"
#include "tests/lib/workload.h"

void workload_check_history(const char *path)
{
    struct history *h = history_new();
    struct history_report report;
    enum history_verdict verdict;
    unsigned line;
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_int_equal(history_file_read(file, h, &line), 0);
    (void)fclose(file); /* read only */
    verdict = history_check(h, 0, &report);
    history_free(h);
    print_message("             %zu operations on %zu objects, %" PRIu64
                  " configurations\n",
                  report.op_count, report.object_count, report.config_count);
    if (verdict == HISTORY_GAVE_UP)
        fail_msg("%zu objects cost too much to check:\n%s",
                 report.gave_up_count, report.text);
    if (verdict == HISTORY_VIOLATION)
        fail_msg("not linearizable:\n%s", report.text);
}
