/* Bounded printing, for every *_text: what does not fit is cut, and the text
 * stays terminated. */
#ifndef PX_TEXT_H
#define PX_TEXT_H

#include <stddef.h>

struct px_text {
    char *data;
    size_t size; /* of data, in bytes, with the terminator */
    size_t used; /* without it; never reaches size */
};

/* @data stays the caller's; @size > 0. */
void px_text_init(struct px_text *t, char *data, size_t size);
void px_text_add(struct px_text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
