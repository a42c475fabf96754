/* A seeded generator (xorshift64*, Vigna 2016): the same seed, the same
 * numbers, on every machine. Not for secrets. */
#ifndef PX_RAND_H
#define PX_RAND_H

#include <stddef.h>
#include <stdint.h>

struct px_rand {
    uint64_t state;
};

/* DJB2, 64 bits wide: a node's name to the seed of its generator, so that a
 * run repeats. */
uint64_t px_djb2(const char *text, size_t size);

void px_rand_init(struct px_rand *r, uint64_t seed);
uint64_t px_rand_next(struct px_rand *r);
/* Uniform in [0, bound), bound > 0; the bias is below 2^-32 for small bounds. */
uint64_t px_rand_below(struct px_rand *r, uint64_t bound);

#endif
