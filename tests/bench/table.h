/* The rows of a run: what is measured on which system, its rounds, and what it
 * is compared with. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/stats.h"
#include "tests/bench/systems.h"
#include "tests/bench/work.h"

#define ROWS_MAX 64
#define RATIOS_MAX 4

enum role {
    ROLE_LEADER,
    ROLE_FOLLOWER,
};

enum figure {
    FIGURE_P50, /* smaller is better */
    FIGURE_RATE,
};

struct ratio {
    const struct row *to; /* NULL: unused */
    enum figure figure;
    double target; /* 0: none; P50: at most, RATE: at least */
};

struct row {
    const char *section; /* rows of one section follow each other */
    const char *label;
    struct system *system; /* NULL: the disk alone */
    enum role role;
    enum op_kind kind;
    unsigned workers;
    size_t rounds;
    double p50[STATS_ROUNDS_MAX];
    double p99[STATS_ROUNDS_MAX];
    double rate[STATS_ROUNDS_MAX];
    double client[STATS_ROUNDS_MAX]; /* voluntary switches per operation */
    double front[STATS_ROUNDS_MAX];
    double rest[STATS_ROUNDS_MAX];
    uint64_t errors;
    int first_error;
    double p99_target_us; /* 0: none */
    struct ratio ratios[RATIOS_MAX];
};

struct table {
    struct row rows[ROWS_MAX];
    size_t count;
};

struct row *table_add(struct table *t, const char *section, const char *label,
                      struct system *system, enum role role, enum op_kind kind,
                      unsigned workers);

/* @to NULL: nothing is compared. */
void table_compare(struct row *row, const struct row *to, enum figure figure,
                   double target);

/* Prints all rows; how many targets were missed. */
unsigned table_print(const struct table *t);

#endif
