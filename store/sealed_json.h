/* Small files of one JSON object on one line, with a checksum in it:
 *
 *   {"checksum":"00ab..", ...}
 *
 * XXH3 of the same text without it, keys sorted, as sixteen hexadecimal digits.
 *
 * Thread: any. */
#ifndef STORE_SEALED_JSON_H
#define STORE_SEALED_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

#define SEALED_HEX_BYTES 17 /* sixteen digits, terminated */

/* malloc-ed text of @root and its checksum, which is added. NULL: no memory. */
char *sealed_encode(json_t *root);
/* Is the checksum of @root right? It is taken out. NULL is accepted. */
bool sealed_is_right(json_t *root);

void sealed_hex(uint64_t value, char hex[SEALED_HEX_BYTES]);
/* False for what sealed_hex would not have written. */
bool sealed_take_hex(json_t *root, const char *key, uint64_t *value_out);
/* False for what is no text, too long, or empty. */
bool sealed_take_name(const json_t *text, char name[PX_NODE_ID_BYTES_MAX + 1]);

#endif
