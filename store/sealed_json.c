#include "store/sealed_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static uint64_t checksum_of(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

/* malloc-ed text of @root, always the same for the same content. */
static char *canonical_text(json_t *root)
{
    return json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
}

char *sealed_encode(json_t *root)
{
    char sum[SEALED_HEX_BYTES];
    char *text = canonical_text(root);

    if (text == NULL)
        return NULL;
    sealed_hex(checksum_of(text), sum);
    free(text);
    if (json_object_set_new(root, "checksum", json_string(sum)) < 0)
        return NULL;
    return canonical_text(root);
}

bool sealed_is_right(json_t *root)
{
    uint64_t stored;
    char *text;
    bool is_right;

    if (!sealed_take_hex(root, "checksum", &stored))
        return false;
    (void)json_object_del(root, "checksum"); /* it is there */
    text = canonical_text(root);
    is_right = text != NULL && checksum_of(text) == stored;
    free(text);
    return is_right;
}

void sealed_hex(uint64_t value, char hex[SEALED_HEX_BYTES])
{
    (void)snprintf(hex, SEALED_HEX_BYTES, "%016" PRIx64, value); /* it fits */
}

bool sealed_take_hex(json_t *root, const char *key, uint64_t *value_out)
{
    const char *text = json_string_value(json_object_get(root, key));
    char again[SEALED_HEX_BYTES];
    uint64_t value;

    if (text == NULL)
        return false;
    value = strtoull(text, NULL, 16);
    sealed_hex(value, again);
    if (strcmp(text, again) != 0)
        return false;
    *value_out = value;
    return true;
}

bool sealed_take_name(const json_t *text, char name[PX_NODE_ID_BYTES_MAX + 1])
{
    size_t size = json_string_length(text); /* 0 for what is no text */

    if (size == 0 || size > PX_NODE_ID_BYTES_MAX)
        return false;
    memcpy(name, json_string_value(text), size + 1);
    return true;
}
