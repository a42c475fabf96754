/* The identity as text:
 *
 *   {"checksum":"..","cluster":"00ab..","cluster_name":"phalanx","format":2,
 *    "gossip_reserve":"0000..","has_log":true,"incarnation":3,"is_begun":true,
 *    "is_removed":false,"node":"a","promise":4000000000,
 *    "voters":["a","b","c"]}                    (sealed_json.h: on one line)
 *
 * An update, and what a start finds that a crash left in between:
 *
 *   identity.new ─▶ identity.copy      old, old
 *                                      old, new     an update to be made again
 *   identity.new ─▶ identity           new, new
 *
 * each durable before the next, so that whichever is lost, the other is whole. */
#include "store/identity_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/say.h"
#include "store/sealed_json.h"

#define IDENTITY_NEW "identity.new" /* of either */
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

/* A text of ours, but for the number of its format: a bit of that has flipped.
 * What another format is summed up by is not known. */
static bool is_ours_renumbered(json_t *root)
{
    return json_object_set_new(root, "format",
                               json_integer(STORE_FORMAT_VERSION)) == 0 &&
           sealed_is_right(root);
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
            rc = is_ours_renumbered(root) ? -PX_ECORRUPT : -PX_EFORMAT;
        else if (sealed_is_right(root))
            rc = take_fields(root, id);
    }
    json_decref(root);
    return rc;
}

static int read_one(struct store_disk *disk, const char *name,
                    struct store_identity *id)
{
    char text[IDENTITY_BYTES_MAX];
    ssize_t n = store_disk_load(disk, name, text, sizeof text);

    return n < 0 ? (int)n : identity_decode(text, (size_t)n, id);
}

/* Of two folders. A node that waits for its cluster goes over to another one. */
static bool are_mixed(const struct store_identity *a,
                      const struct store_identity *b)
{
    return strcmp(a->node, b->node) != 0 ||
           strcmp(a->cluster_name, b->cluster_name) != 0 ||
           (a->cluster != b->cluster && (a->has_log || b->has_log));
}

int identity_read(struct store_disk *disk, struct store_identity *id,
                  const char **bad_out)
{
    struct store_identity copy;
    int rc = read_one(disk, IDENTITY_NAME, id);
    int copy_rc = read_one(disk, IDENTITY_COPY, &copy);

    *bad_out = NULL;
    if (rc == 0 && copy_rc == 0)
        return are_mixed(id, &copy) ? -PX_ECLUSTER : 0;
    if (rc == -PX_EFORMAT)
        return rc;
    if (copy_rc == -PX_EFORMAT || copy_rc == 0) {
        *id = copy;
        *bad_out = copy_rc == 0 ? IDENTITY_NAME : NULL;
        return copy_rc;
    }
    if (rc == 0 && copy_rc != -ENOENT) /* else an older program has left it */
        *bad_out = IDENTITY_COPY;
    return rc == -ENOENT ? copy_rc : rc;
}

int identity_load(struct store_disk *disk, const char *path,
                  struct store_identity *id, struct px_text *why)
{
    const char *bad;
    int rc = identity_read(disk, id, &bad);

    if (rc == -PX_EFORMAT && id->format < STORE_FORMAT_VERSION)
        return store_say(why, rc,
                         "the data folder %s is in format %u, of an older "
                         "program, which this one does not read: use that "
                         "program, or an empty folder and a new node id",
                         path, id->format);
    if (rc == -PX_EFORMAT)
        return store_say(why, rc,
                         "the data folder %s is in a newer format than this "
                         "program knows: use a newer program",
                         path);
    if (rc == -PX_ECLUSTER)
        return store_say(why, rc,
                         "%s/" IDENTITY_NAME " and %s/" IDENTITY_COPY
                         " are of two nodes or two clusters: remove the one "
                         "that does not belong to this folder",
                         path, path);
    if (rc == -PX_ECORRUPT)
        return store_say(why, rc,
                         "%s/" IDENTITY_NAME " is damaged or missing, and so "
                         "is its copy: restore one of them, or start with an "
                         "empty data folder and a new node id",
                         path);
    if (rc < 0 && rc != -ENOENT)
        return store_say(why, rc, "%s: %s", path, px_strerror(rc));
    if (rc == 0 && bad != NULL)
        return store_say(why, rc,
                         "%s/%s was damaged or missing, and is written anew",
                         path, bad);
    return rc;
}

int identity_write(struct store_disk *disk, const struct store_identity *id)
{
    char *text = identity_encode(id);
    int rc = 0;

    if (text == NULL)
        return -ENOMEM;
    if (!px_mutant(IDENTITY_UNCOPIED))
        rc = store_disk_replace(disk, IDENTITY_COPY, IDENTITY_NEW, text,
                                strlen(text));
    if (rc == 0)
        rc = store_disk_replace(disk, IDENTITY_NAME, IDENTITY_NEW, text,
                                strlen(text));
    free(text);
    return rc;
}
