/* Headers and checksums, and frames on their way out. codec.c is a layer above:
 * what is inside the head. */
#include "net/frame.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

#include "base/assert.h"
#include "base/limits.h"

static void put_u16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* Of a frame whose header and head lie at @lead. */
static uint64_t checksum(const uint8_t *lead, size_t lead_bytes,
                         const struct px_slice *slices, size_t slice_count)
{
    XXH3_state_t state;

    (void)XXH3_64bits_reset(&state); /* fails on NULL only, as the updates */
    (void)XXH3_64bits_update(&state, lead, NET_FRAME_AT_CHECKSUM);
    (void)XXH3_64bits_update(&state, lead + NET_FRAME_HEADER_BYTES,
                             lead_bytes - NET_FRAME_HEADER_BYTES);
    for (size_t i = 0; i < slice_count; i++)
        (void)XXH3_64bits_update(&state, slices[i].data, slices[i].size);
    return XXH3_64bits_digest(&state);
}

/* ---- Out ---- */

struct net_frame *net_frame_new(enum net_frame_type type, size_t head_bytes,
                                size_t slice_max)
{
    const size_t slices_bytes = slice_max * sizeof(struct px_slice);
    struct net_frame *f;

    px_assert(head_bytes <= PX_FRAME_HEAD_BYTES_MAX);
    px_assert(slice_max <= PX_BATCH_ENTRIES_MAX);
    f = malloc(sizeof *f + slices_bytes + NET_FRAME_HEADER_BYTES + head_bytes);
    if (f == NULL)
        return NULL;
    px_list_init(&f->link);
    f->type = type;
    f->lead = (uint8_t *)f->slices + slices_bytes;
    f->lead_bytes = NET_FRAME_HEADER_BYTES + head_bytes;
    f->bytes = f->lead_bytes;
    f->slice_count = 0;
    f->slice_max = slice_max;
    return f;
}

void net_frame_free(struct net_frame *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->slice_count; i++)
        px_slice_unref(&f->slices[i]);
    free(f);
}

uint8_t *net_frame_head(struct net_frame *f)
{
    return f->lead + NET_FRAME_HEADER_BYTES;
}

int net_frame_add(struct net_frame *f, struct px_slice s)
{
    struct px_slice kept;

    if (s.size == 0)
        return 0;
    px_assert(f->slice_count < f->slice_max);
    kept = s.owner != NULL ? px_slice_ref(s) : px_slice_copy(s.data, s.size);
    if (kept.owner == NULL)
        return -ENOMEM;
    f->slices[f->slice_count++] = kept;
    f->bytes += s.size;
    return 0;
}

void net_frame_seal(struct net_frame *f)
{
    const size_t body_bytes = f->bytes - f->lead_bytes;
    uint8_t *at = f->lead;

    px_assert(body_bytes <= PX_FRAME_BODY_BYTES_MAX);
    memcpy(at, NET_FRAME_MAGIC, NET_FRAME_MAGIC_BYTES);
    put_u16(at + NET_FRAME_AT_TYPE, (uint16_t)f->type);
    put_u16(at + NET_FRAME_AT_ZERO, 0);
    put_u32(at + NET_FRAME_AT_HEAD_BYTES,
            (uint32_t)(f->lead_bytes - NET_FRAME_HEADER_BYTES));
    put_u32(at + NET_FRAME_AT_BODY_BYTES, (uint32_t)body_bytes);
    put_u64(at + NET_FRAME_AT_CHECKSUM,
            checksum(f->lead, f->lead_bytes, f->slices, f->slice_count));
}

/* ---- In ---- */

static bool is_type(uint16_t type)
{
    return type >= NET_FRAME_HELLO && type <= NET_FRAME_ADMIN_REPLY;
}

bool net_frame_is_magic(const uint8_t *at, size_t size)
{
    if (size > NET_FRAME_MAGIC_BYTES)
        size = NET_FRAME_MAGIC_BYTES;
    return memcmp(at, NET_FRAME_MAGIC, size) == 0;
}

int net_frame_header_decode(const uint8_t *at, struct net_frame_header *out)
{
    const uint16_t type = get_u16(at + NET_FRAME_AT_TYPE);

    if (!net_frame_is_magic(at, NET_FRAME_MAGIC_BYTES) || !is_type(type))
        return -EPROTO;
    if (get_u16(at + NET_FRAME_AT_ZERO) != 0)
        return -EPROTO;
    *out = (struct net_frame_header){
        .type = (enum net_frame_type)type,
        .head_bytes = get_u32(at + NET_FRAME_AT_HEAD_BYTES),
        .body_bytes = get_u32(at + NET_FRAME_AT_BODY_BYTES),
        .checksum = get_u64(at + NET_FRAME_AT_CHECKSUM)};
    return 0;
}

size_t net_frame_header_bytes(const struct net_frame_header *h)
{
    return (size_t)NET_FRAME_HEADER_BYTES + h->head_bytes + h->body_bytes;
}

bool net_frame_is_intact(const struct net_frame_header *h, const uint8_t *at)
{
    const size_t lead_bytes = (size_t)NET_FRAME_HEADER_BYTES + h->head_bytes;
    const struct px_slice body = {NULL, at + lead_bytes, h->body_bytes};

    return checksum(at, lead_bytes, &body, 1) == h->checksum;
}
