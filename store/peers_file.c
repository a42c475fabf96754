/* The others as text:
 *
 *   {"checksum":"..","cluster":"00ab..","format":1,"members":[
 *    {"address":"10.0.0.2:7947","gossip":"10.0.0.2:7946","name":"b"}]}
 *                                               (sealed_json.h: on one line) */
#include "store/peers_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/sealed_json.h"

#define PEERS_BYTES_MAX (32u * PX_KIB)
#define PEER_FRAME_BYTES 64 /* its keys, quotes and braces */
#define HEAD_BYTES_MAX 256

/* A name or an address has no byte that JSON writes as more than two. */
static_assert(HEAD_BYTES_MAX +
                      RAFT_MEMBERS_MAX *
                          (PEER_FRAME_BYTES + 2 * (PX_NODE_ID_BYTES_MAX +
                                                   2 * PX_ADDRESS_BYTES_MAX)) <
                  PEERS_BYTES_MAX,
              "what is written can be read");

/* NULL: no memory. */
static json_t *list_encode(const struct store_peers *p)
{
    json_t *list = json_array();

    px_assert(p->count <= RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < p->count && list != NULL; i++) {
        const struct store_peer *peer = &p->list[i];

        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name",
                                                  peer->name, "address",
                                                  peer->address, "gossip",
                                                  peer->gossip)) == 0)
            continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

/* malloc-ed. NULL: no memory. */
static char *peers_encode(const struct store_peers *p)
{
    char cluster[SEALED_HEX_BYTES];
    char *text = NULL;
    json_t *root;

    px_assert(p->cluster != 0);
    sealed_hex(p->cluster, cluster);
    root = json_pack("{s:i, s:s, s:o}", "format", STORE_PEERS_FORMAT, "cluster",
                     cluster, "members", list_encode(p));
    if (root != NULL)
        text = sealed_encode(root);
    json_decref(root);
    return text;
}

static bool take_text(const json_t *text, char *out, size_t bytes_max)
{
    size_t size = json_string_length(text);

    if (!json_is_string(text) || size > bytes_max)
        return false;
    memcpy(out, json_string_value(text), size + 1);
    return true;
}

static bool take_peer(const json_t *one, struct store_peer *peer)
{
    return sealed_take_name(json_object_get(one, "name"), peer->name) &&
           take_text(json_object_get(one, "address"), peer->address,
                     PX_ADDRESS_BYTES_MAX) &&
           take_text(json_object_get(one, "gossip"), peer->gossip,
                     PX_ADDRESS_BYTES_MAX);
}

/* Takes the fields over once the checksum is right. */
static int take_fields(json_t *root, struct store_peers *p)
{
    const json_t *list = json_object_get(root, "members");

    if (!sealed_take_hex(root, "cluster", &p->cluster) || p->cluster == 0 ||
        !json_is_array(list) || json_array_size(list) > RAFT_MEMBERS_MAX)
        return -PX_ECORRUPT;
    p->count = json_array_size(list);
    for (size_t i = 0; i < p->count; i++) {
        if (!take_peer(json_array_get(list, i), &p->list[i]))
            return -PX_ECORRUPT;
    }
    return 0;
}

static int peers_decode(const char *text, size_t size, struct store_peers *p)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    int rc = -PX_ECORRUPT;

    /* Another format may sum up differently, so this comes first. */
    if (format > 0 && format != STORE_PEERS_FORMAT)
        rc = -PX_EFORMAT;
    else if (format > 0 && sealed_is_right(root))
        rc = take_fields(root, p);
    json_decref(root);
    return rc;
}

int peers_file_read(struct store_disk *disk, struct store_peers *out)
{
    struct store_peers read = {.count = 0};
    char text[PEERS_BYTES_MAX];
    ssize_t n = store_disk_load(disk, "peers", text, sizeof text);
    int rc;

    if (n < 0)
        return (int)n;
    if ((size_t)n == sizeof text)
        return -PX_ECORRUPT; /* longer than any of ours */
    rc = peers_decode(text, (size_t)n, &read);
    if (rc == 0)
        *out = read;
    return rc;
}

int peers_file_write(struct store_disk *disk, const struct store_peers *p)
{
    char *text = peers_encode(p);
    int rc;

    if (text == NULL)
        return -ENOMEM;
    rc = store_disk_replace(disk, "peers", "peers.new", text, strlen(text));
    free(text);
    return rc;
}
