/* The identity as text:
 *
 *   {"checksum":"..","cluster":"00ab..","cluster_name":"phalanx","format":2,
 *    "gossip_reserve":"0000..","has_log":true,"incarnation":3,"is_begun":true,
 *    "is_removed":false,"node":"a","promise":4000000000,
 *    "voters":["a","b","c"]}                              (on one line)
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

#include "base/assert.h"
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

/* NULL: no memory. */
static json_t *voters_encode(const struct store_identity *id)
{
    json_t *list = json_array();

    px_assert(id->voter_count <= RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < id->voter_count && list != NULL; i++) {
        if (json_array_append_new(list, json_string(id->voters[i])) == 0)
            continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

/* Without a checksum. NULL: no memory. */
static json_t *fields_encode(const struct store_identity *id)
{
    char cluster[HEX_BYTES];
    char reserve[HEX_BYTES];

    px_assert(id->cluster != 0);
    px_assert(id->incarnation > 0);
    hex_text(id->cluster, cluster);
    hex_text(id->gossip_reserve, reserve);
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:I, s:s, s:o}",
                     "format", (json_int_t)id->format, "node", id->node,
                     "cluster", cluster, "cluster_name", id->cluster_name,
                     "incarnation", (json_int_t)id->incarnation, "has_log",
                     id->has_log, "is_begun", id->is_begun, "is_removed",
                     id->is_removed, "promise", (json_int_t)id->promise,
                     "gossip_reserve", reserve, "voters", voters_encode(id));
}

static char *identity_encode(const struct store_identity *id)
{
    char sum[HEX_BYTES];
    char *text = NULL;
    json_t *root = fields_encode(id);

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

static bool take_name(const json_t *text, char name[PX_NODE_ID_BYTES_MAX + 1])
{
    size_t size = json_string_length(text); /* 0 for what is no text */

    if (size == 0 || size > PX_NODE_ID_BYTES_MAX)
        return false;
    memcpy(name, json_string_value(text), size + 1);
    return true;
}

static bool take_bool(json_t *root, const char *key, bool *value_out)
{
    const json_t *value = json_object_get(root, key);

    *value_out = json_is_true(value);
    return json_is_boolean(value);
}

static bool take_integer(json_t *root, const char *key, json_int_t min,
                         json_int_t *value_out)
{
    const json_t *value = json_object_get(root, key);

    *value_out = json_integer_value(value);
    return json_is_integer(value) && *value_out >= min;
}

static bool take_voters(const json_t *list, struct store_identity *id)
{
    if (!json_is_array(list) || json_array_size(list) > RAFT_MEMBERS_MAX)
        return false;
    id->voter_count = json_array_size(list);
    for (size_t i = 0; i < id->voter_count; i++)
        if (!take_name(json_array_get(list, i), id->voters[i]))
            return false;
    return true;
}

/* Takes the fields over once the checksum is right. */
static int take_fields(json_t *root, struct store_identity *id)
{
    json_int_t incarnation;
    json_int_t promise;

    if (!take_name(json_object_get(root, "node"), id->node) ||
        !take_name(json_object_get(root, "cluster_name"), id->cluster_name) ||
        !hex_value(root, "cluster", &id->cluster) || id->cluster == 0 ||
        !hex_value(root, "gossip_reserve", &id->gossip_reserve) ||
        !take_integer(root, "incarnation", 1, &incarnation) ||
        !take_integer(root, "promise", 0, &promise) ||
        !take_bool(root, "has_log", &id->has_log) ||
        !take_bool(root, "is_begun", &id->is_begun) ||
        !take_bool(root, "is_removed", &id->is_removed) ||
        !take_voters(json_object_get(root, "voters"), id))
        return -PX_ECORRUPT;
    id->incarnation = (uint64_t)incarnation;
    id->promise = (px_ns)promise;
    return 0;
}

static int identity_decode(const char *text, size_t size,
                           struct store_identity *id)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    int rc = -PX_ECORRUPT;

    /* Another format may sum up differently, so this comes first. */
    if (format > 0 && format <= UINT32_MAX) {
        *id = (struct store_identity){.format = (uint32_t)format};
        if (format != STORE_FORMAT_VERSION)
            rc = -PX_EFORMAT;
        else if (is_checksum_right(root))
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
