#include "store/say.h"

#include <stdarg.h>
#include <stdio.h>

int store_say(struct px_text *why, int rc, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(why->data, why->size, format, args);
    va_end(args);
    why->used = n < 0 || (size_t)n < why->size ? (size_t)(n < 0 ? 0 : n)
                                               : why->size - 1;
    return rc;
}
