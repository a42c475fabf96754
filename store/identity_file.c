/* The identity as text:
 *
 *   {"checksum":"..","cluster":"00ab..","cluster_name":"phalanx","format":2,
 *    "gossip_reserve":"0000..","has_log":true,"incarnation":3,"is_begun":true,
 *    "is_removed":false,"node":"a","promise":4000000000,
 *    "voters":["a","b","c"]}                    (sealed_json.h: on one line) */
#include "store/identity_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/sealed_json.h"

#define IDENTITY_BYTES_MAX 4096

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
    char cluster[SEALED_HEX_BYTES];
    char reserve[SEALED_HEX_BYTES];

    px_assert(id->cluster != 0);
    px_assert(id->incarnation > 0);
    sealed_hex(id->cluster, cluster);
    sealed_hex(id->gossip_reserve, reserve);
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
    json_t *root = fields_encode(id);
    char *text = root != NULL ? sealed_encode(root) : NULL;

    json_decref(root);
    return text;
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
        if (!sealed_take_name(json_array_get(list, i), id->voters[i]))
            return false;
    return true;
}

/* Takes the fields over once the checksum is right. */
static int take_fields(json_t *root, struct store_identity *id)
{
    json_int_t incarnation;
    json_int_t promise;

    if (!sealed_take_name(json_object_get(root, "node"), id->node) ||
        !sealed_take_name(json_object_get(root, "cluster_name"),
                          id->cluster_name) ||
        !sealed_take_hex(root, "cluster", &id->cluster) || id->cluster == 0 ||
        !sealed_take_hex(root, "gossip_reserve", &id->gossip_reserve) ||
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
        if (format != STORE_FORMAT_VERSION && !px_mutant(FORMAT_UNCHECKED))
            rc = -PX_EFORMAT;
        else if (sealed_is_right(root))
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
