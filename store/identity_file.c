/* The identity as text:
 *
 *   {"checksum":"..","cluster":"00ab..","format":1,"has_log":true,
 *    "incarnation":3,"node":"a","promise":4000000000}     (on one line)
 *
 * where the checksum is XXH3 of the same text without it, keys sorted. */
#include "store/identity_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"

#define IDENTITY_BYTES_MAX 4096
#define HEX_BYTES 17 /* sixteen digits, terminated */

static uint64_t checksum_of(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

static void hex_text(uint64_t value, char hex[HEX_BYTES])
{
    (void)snprintf(hex, HEX_BYTES, "%016" PRIx64, value); /* always fits */
}

static bool hex_value(json_t *root, const char *key, uint64_t *value_out)
{
    const char *text = json_string_value(json_object_get(root, key));
    char again[HEX_BYTES];
    uint64_t value;

    if (text == NULL)
        return false;
    value = strtoull(text, NULL, 16);
    hex_text(value, again);
    if (strcmp(text, again) != 0)
        return false;
    *value_out = value;
    return true;
}

/* malloc-ed text of @root, always the same for the same content. */
static char *canonical_text(json_t *root)
{
    return json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
}

static char *identity_encode(const struct store_identity *id)
{
    char cluster[HEX_BYTES];
    char sum[HEX_BYTES];
    char *text = NULL;
    json_t *root;

    hex_text(id->cluster, cluster);
    root =
        json_pack("{s:I, s:s, s:s, s:I, s:b, s:I}", "format",
                  (json_int_t)id->format, "node", id->node, "cluster", cluster,
                  "incarnation", (json_int_t)id->incarnation, "has_log",
                  id->has_log, "promise", (json_int_t)id->promise);
    if (root == NULL)
        return NULL;
    text = canonical_text(root);
    if (text == NULL)
        goto out;
    hex_text(checksum_of(text), sum);
    free(text);
    text = NULL;
    if (json_object_set_new(root, "checksum", json_string(sum)) == 0)
        text = canonical_text(root);
out:
    json_decref(root);
    return text;
}

static bool is_checksum_right(json_t *root)
{
    uint64_t stored;
    char *text;
    bool is_right;

    if (!hex_value(root, "checksum", &stored))
        return false;
    (void)json_object_del(root, "checksum"); /* it is there */
    text = canonical_text(root);
    is_right = text != NULL && checksum_of(text) == stored;
    free(text);
    return is_right;
}

/* Takes the fields over once the checksum is right. */
static int take_fields(json_t *root, struct store_identity *id)
{
    const char *node = json_string_value(json_object_get(root, "node"));
    json_int_t incarnation =
        json_integer_value(json_object_get(root, "incarnation"));
    const json_t *has_log = json_object_get(root, "has_log");
    const json_t *promise = json_object_get(root, "promise");

    if (node == NULL || strlen(node) > PX_NODE_ID_BYTES_MAX ||
        incarnation < 1 || !json_is_boolean(has_log) ||
        !json_is_integer(promise) || json_integer_value(promise) < 0 ||
        !hex_value(root, "cluster", &id->cluster))
        return -PX_ECORRUPT;
    (void)snprintf(id->node, sizeof id->node, "%s", node); /* it fits */
    id->incarnation = (uint64_t)incarnation;
    id->has_log = json_is_true(has_log);
    id->promise = (px_ns)json_integer_value(promise);
    return 0;
}

static int identity_decode(const char *text, size_t size,
                           struct store_identity *id)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    int rc = -PX_ECORRUPT;

    /* A newer format may sum up differently, so this comes first. */
    if (format > STORE_FORMAT_VERSION) {
        rc = -PX_EFORMAT;
    } else if (format == STORE_FORMAT_VERSION && is_checksum_right(root)) {
        *id = (struct store_identity){.format = (uint32_t)format};
        rc = take_fields(root, id);
    }
    json_decref(root);
    return rc;
}

int identity_read(struct store_disk *disk, struct store_identity *id)
{
    char text[IDENTITY_BYTES_MAX];
    ssize_t n = store_disk_load(disk, "identity", text, sizeof text);

    return n < 0 ? (int)n : identity_decode(text, (size_t)n, id);
}

int identity_write(struct store_disk *disk, const struct store_identity *id)
{
    char *text = identity_encode(id);
    int rc;

    if (text == NULL)
        return -ENOMEM;
    rc = store_disk_replace(disk, "identity", "identity.new", text,
                            strlen(text));
    free(text);
    return rc;
}
