#include "base/rand.h"

#include "base/assert.h"

uint64_t px_djb2(const char *text, size_t size)
{
    uint64_t hash = 5381;

    for (size_t i = 0; i < size; i++)
        hash = hash * 33 + (unsigned char)text[i];
    return hash;
}

void px_rand_init(struct px_rand *r, uint64_t seed)
{
    /* One round of splitmix64 spreads near seeds; zero would stay zero. */
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    r->state = (seed ^ (seed >> 31)) | 1;
}

uint64_t px_rand_next(struct px_rand *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t px_rand_below(struct px_rand *r, uint64_t bound)
{
    px_assert(bound > 0);
    return px_rand_next(r) % bound;
}
