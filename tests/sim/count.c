#include "tests/sim/count.h"

#include <inttypes.h>

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

static const char *const names[COUNT_COUNT] = {
#define COUNT_NAME(name, text) [COUNT_##name] = #name,
    COUNTS(COUNT_NAME)
#undef COUNT_NAME
};

/* Texts are indented below what they are a part of, and not all alone say what
 * they mean. */
static const char *without_indent(const char *text)
{
    while (*text == ' ')
        text++;
    return text;
}

size_t counts_print_missing(const uint64_t counts[COUNT_COUNT], FILE *out)
{
    size_t missing = 0;

    for (size_t i = 0; i < COUNT_COUNT; i++) {
        if (counts[i] > 0 || i == COUNT_TOO_FEW_VOTES)
            continue; /* of these runs less is asked: none is as well */
        missing++;
        (void)fprintf(out, "never reached: %s, %s\n", names[i],
                      without_indent(texts[i]));
    }
    return missing;
}
