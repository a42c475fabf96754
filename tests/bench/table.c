#include "tests/bench/table.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

struct row *table_add(struct table *t, const char *section, const char *label,
                      struct system *system, enum role role, enum op_kind kind,
                      unsigned workers)
{
    struct row *row;

    px_assert(t->count < ROWS_MAX);
    row = &t->rows[t->count++];
    memset(row, 0, sizeof *row);
    row->section = section;
    row->label = label;
    row->system = system;
    row->role = role;
    row->kind = kind;
    row->workers = workers;
    return row;
}

void table_compare(struct row *row, const struct row *to, enum figure figure,
                   double target)
{
    size_t i = 0;

    if (to == NULL)
        return;
    while (row->ratios[i].to != NULL) {
        i++;
        px_assert(i < RATIOS_MAX);
    }
    row->ratios[i] = (struct ratio){to, figure, target};
}

static double figure_of(const struct row *row, enum figure figure)
{
    switch (figure) {
    case FIGURE_P50:
        return stats_median(row->p50, row->rounds);
    case FIGURE_RATE:
        return stats_median(row->rate, row->rounds);
    }
    return 0;
}

/* "1.12 x floor (<= 1.5: ok)". Returns 1 if a target was missed. */
static unsigned ratio_text(struct px_text *text, const struct row *row,
                           const struct ratio *ratio)
{
    bool rate = ratio->figure == FIGURE_RATE;
    double base = figure_of(ratio->to, ratio->figure);
    double x = base > 0 ? figure_of(row, ratio->figure) / base : 0;
    bool ok = rate ? x >= ratio->target : x <= ratio->target;

    px_text_add(text, "%s%.2f x %s%s", text->used > 0 ? ", " : "", x,
                ratio->to->label, rate ? " in ops/s" : "");
    if (ratio->target <= 0)
        return 0;
    px_text_add(text, " (%s %.1f: %s)", rate ? ">=" : "<=", ratio->target,
                ok ? "ok" : "MISSED");
    return !ok;
}

static unsigned print_row(const struct row *row)
{
    double p99 = stats_median(row->p99, row->rounds);
    char buf[512];
    struct px_text text;
    unsigned missed = 0;
    size_t i;

    px_text_init(&text, buf, sizeof buf);
    for (i = 0; i < RATIOS_MAX && row->ratios[i].to != NULL; i++)
        if (row->ratios[i].to->rounds > 0)
            missed += ratio_text(&text, row, &row->ratios[i]);
    if (row->p99_target_us > 0) {
        bool ok = p99 <= row->p99_target_us;

        px_text_add(&text, ", p99 <= %.0f us: %s", row->p99_target_us,
                    ok ? "ok" : "MISSED");
        missed += !ok;
    }
    if (row->errors > 0)
        px_text_add(&text, ", %llu ERRORS (%s)",
                    (unsigned long long)row->errors,
                    strerror(-row->first_error));
    printf("  %-20s %9.1f %9.1f %9.0f  %5.1f %5.1f %5.1f  %s\n", row->label,
           figure_of(row, FIGURE_P50), p99, figure_of(row, FIGURE_RATE),
           stats_median(row->client, row->rounds),
           stats_median(row->front, row->rounds),
           stats_median(row->rest, row->rounds), buf);
    return missed;
}

unsigned table_print(const struct table *t)
{
    const char *section = "";
    unsigned missed = 0;
    size_t i;

    for (i = 0; i < t->count; i++) {
        const struct row *row = &t->rows[i];

        if (row->rounds == 0)
            continue;
        if (strcmp(section, row->section) != 0)
            printf("\n%s\n  %-20s %9s %9s %9s  %17s  %s\n", row->section, "",
                   "p50 us", "p99 us", "ops/s", "hand-overs c/f/r", "ratio");
        section = row->section;
        missed += print_row(row);
    }
    return missed;
}
