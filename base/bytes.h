/* Numbers of bytes, as people write them. */
#ifndef PX_BYTES_H
#define PX_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* @text of @size: digits, and perhaps one of K, M, G, T, in powers of 1024.
 * Errors: -EINVAL, for zero and for what is no such number, or a larger one
 *         than fits; *bytes_out is as it was. */
int px_bytes_parse(const char *text, size_t size, uint64_t *bytes_out);

#endif
