#include "base/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static const char units[] = "KMGT";

/* By how many bits @unit shifts; -EINVAL: it is none. */
static int shift_of(char unit)
{
    const char *at = strchr(units, toupper((unsigned char)unit));

    if (unit == '\0' || at == NULL)
        return -EINVAL;
    return 10 * (int)(at - units + 1);
}

int px_bytes_parse(const char *text, size_t size, uint64_t *bytes_out)
{
    uint64_t number = 0;
    int shift = 0;
    size_t i;

    for (i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
        if (number > (UINT64_MAX - 9) / 10)
            return -EINVAL;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (i > 0 && i + 1 == size)
        shift = shift_of(text[i++]);
    if (shift < 0 || i != size || number == 0 || number > UINT64_MAX >> shift)
        return -EINVAL;
    *bytes_out = number << shift;
    return 0;
}
