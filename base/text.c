#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

void px_text_init(struct px_text *t, char *data, size_t size)
{
    px_assert(size > 0);
    t->data = data;
    t->size = size;
    t->used = 0;
    data[0] = '\0';
}

void px_text_add(struct px_text *t, const char *format, ...)
{
    size_t room = t->size - t->used;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->data + t->used, room, format, args);
    va_end(args);
    if (n < 0)
        return;
    t->used += (size_t)n < room ? (size_t)n : room - 1;
}
