/* A message Change (command.proto), behind the configuration in an entry. As
 * with commands, encoding refuses what decoding would refuse. */
#include "store/change.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "store/command.pb-c.h"
#include "store/scratch.h"

typedef Phalanx__Store__Change change_head;
typedef Phalanx__Store__ChangeMember change_member;

static_assert(RAFT_MEMBERS_MAX *
                      (PX_NODE_ID_BYTES_MAX + PX_ADDRESS_BYTES_MAX + 32) <=
                  STORE_CHANGE_BYTES_MAX,
              "the longest names and addresses fit");

/* ---- What makes a change sound ---- */

/* People read these: on a terminal, in a list of members. */
static bool text_is_sound(const char *text, size_t size, size_t size_max)
{
    if (size > size_max)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

static bool member_is_sound(const struct store_change *c, size_t i)
{
    const struct store_member *m = &c->list[i];

    for (size_t k = 0; k < i; k++)
        if (c->list[k].id == m->id)
            return false;
    return m->id != 0;
}

/* ---- To bytes ---- */

/* False: no text that could be decoded. */
static bool text_encode(const char *text, size_t size_max,
                        ProtobufCBinaryData *out)
{
    /* protobuf-c's structs are not const, though packing only reads them. */
    out->data = (uint8_t *)(uintptr_t)text;
    out->len = strnlen(text, size_max + 1);
    return text_is_sound(text, out->len, size_max);
}

static bool member_encode(const struct store_change *c, size_t i,
                          change_member *out)
{
    const struct store_member *m = &c->list[i];

    phalanx__store__change_member__init(out);
    out->id = m->id;
    return member_is_sound(c, i) &&
           text_encode(m->name, PX_NODE_ID_BYTES_MAX, &out->name) &&
           text_encode(m->address, PX_ADDRESS_BYTES_MAX, &out->address);
}

int store_change_encode(const struct store_change *c,
                        struct px_slice *slice_out)
{
    change_head head;
    change_member members[RAFT_MEMBERS_MAX];
    change_member *list[RAFT_MEMBERS_MAX];
    struct px_buf *buf;

    if (c->count > RAFT_MEMBERS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < c->count; i++) {
        list[i] = &members[i];
        if (!member_encode(c, i, &members[i]))
            return -EINVAL;
    }
    phalanx__store__change__init(&head);
    head.removed = c->removed;
    head.n_members = c->count;
    head.members = list;
    buf = px_buf_new(phalanx__store__change__get_packed_size(&head));
    if (buf == NULL)
        return -ENOMEM;
    (void)phalanx__store__change__pack(&head, buf->data);
    *slice_out = px_slice_of(buf, 0, buf->size);
    return 0;
}

/* ---- And back ---- */

static bool text_decode(ProtobufCBinaryData bytes, size_t size_max, char *out)
{
    if (!text_is_sound((const char *)bytes.data, bytes.len, size_max))
        return false;
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    out[bytes.len] = '\0';
    return true;
}

static bool member_decode(const change_member *head, struct store_change *c)
{
    struct store_member *m = &c->list[c->count];

    m->id = head->id;
    m->role = RAFT_LEARNER; /* whatever it is: the configuration says */
    if (head->base.n_unknown_fields > 0 || !member_is_sound(c, c->count) ||
        !text_decode(head->name, PX_NODE_ID_BYTES_MAX, m->name) ||
        !text_decode(head->address, PX_ADDRESS_BYTES_MAX, m->address))
        return false;
    c->count++;
    return true;
}

int store_change_decode(struct px_slice bytes, struct command_scratch *scratch,
                        struct store_change *change_out)
{
    ProtobufCAllocator *allocator = command_scratch_begin(scratch);
    struct store_change c = {0};
    const change_head *head;

    if (bytes.size > STORE_CHANGE_BYTES_MAX)
        return -PX_EFORMAT;
    head = phalanx__store__change__unpack(allocator, bytes.size, bytes.data);
    if (head == NULL || head->base.n_unknown_fields > 0 ||
        head->n_members > RAFT_MEMBERS_MAX)
        return -PX_EFORMAT;
    c.removed = head->removed;
    for (size_t i = 0; i < head->n_members; i++)
        if (!member_decode(head->members[i], &c))
            return -PX_EFORMAT;
    *change_out = c;
    return 0;
}
