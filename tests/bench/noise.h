/* How much of the processors' time somebody else takes.
 *
 * A virtual machine's neighbours come in bursts of minutes that /proc/stat does
 * not show. One thread spins on each processor and adds up the gaps between two
 * looks at the clock that are longer than any of our own servers' work. */
#ifndef BENCH_NOISE_H
#define BENCH_NOISE_H

#include "base/time.h"

#define NOISE_GAP_NS (100 * PX_NS_PER_US)

/* The share of @length that was lost to gaps, 0 to 1: the mean over the
 * processors. Call while nothing is being measured. */
double noise_probe(px_ns length);

#endif
