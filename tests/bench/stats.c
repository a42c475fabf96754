#include "tests/bench/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

void stats_sort(uint32_t *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, by_u32);
}

uint32_t stats_percentile(const uint32_t *sorted, size_t count,
                          unsigned percent)
{
    size_t rank; /* nearest rank, from 1 */

    px_assert(percent > 0 && percent <= 100);
    if (count == 0)
        return 0;
    rank = (count * percent + 99) / 100;
    return sorted[rank - 1];
}

double stats_median(const double *values, size_t count)
{
    double sorted[STATS_ROUNDS_MAX];

    px_assert(count <= STATS_ROUNDS_MAX);
    if (count == 0)
        return 0;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_double);
    return count % 2 == 1 ? sorted[count / 2]
                          : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}
