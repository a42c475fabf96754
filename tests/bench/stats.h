/* Percentiles of samples and medians of rounds. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Sorts @samples; then stats_percentile picks from them. */
void stats_sort(uint32_t *samples, size_t count);

/* The smallest sample that @percent of all are at most; 0 if there are none.*/
uint32_t stats_percentile(const uint32_t *sorted, size_t count,
                          unsigned percent);

/* Of up to STATS_ROUNDS_MAX values; 0 if there are none. @values stays as it
 * is. */
#define STATS_ROUNDS_MAX 64u
double stats_median(const double *values, size_t count);

#endif
