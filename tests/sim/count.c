#include "tests/sim/count.h"

#include <inttypes.h>
#include <stddef.h>

static const char *const texts[COUNT_COUNT] = {
#define COUNT_TEXT(name, text) [COUNT_##name] = (text),
    COUNTS(COUNT_TEXT)
#undef COUNT_TEXT
};

void counts_add(uint64_t to[COUNT_COUNT], const uint64_t from[COUNT_COUNT])
{
    for (size_t i = 0; i < COUNT_COUNT; i++) {
        if (i != COUNT_RECOVERY_MS_MAX && i != COUNT_GOSSIP_AGREE_MAX)
            to[i] += from[i];
        else if (from[i] > to[i])
            to[i] = from[i];
    }
}

void counts_print(const uint64_t counts[COUNT_COUNT], FILE *out)
{
    for (size_t i = 0; i < COUNT_COUNT; i++)
        (void)fprintf(out, "%14" PRIu64 "  %s\n", counts[i], texts[i]);
}
