/* Commands to bytes, before the proposal, and back, in the apply thread.
 *
 *   0        4             4 + h                        size
 *   +--------+-------------+----------------------------+
 *   | h, LE  | head        | data                       |
 *   +--------+-------------+----------------------------+
 *     uint32   Command of    WRITE: the bytes; SYMLINK:
 *              .proto         the target; else nothing
 *
 * The data stays outside the protobuf message, so that a mebibyte is neither
 * copied by the decoder nor looked at: a decoded command points into the
 * entry. What is small (names, lists) is copied into the scratch arena.
 *
 * One table of rules says which fields an operation needs. Encoding refuses
 * what decoding would refuse, so a command that was proposed can be applied. */
#include "store/command.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "store/command.pb-c.h"
#include "store/key_format.h"
#include "store/scratch.h"

#define HEAD_SIZE_BYTES 4u

static_assert(PX_RELEASE_INODES_MAX * sizeof(uint64_t) + 8 * PX_KIB <=
                  SCRATCH_BYTES,
              "the longest list of inodes fits in the scratch");
static_assert(PX_RELEASE_INODES_MAX * sizeof(uint64_t) + 512 <=
                  PX_COMMAND_HEAD_BYTES_MAX - HEAD_SIZE_BYTES,
              "and in a head");

/* ---- What makes a command sound ---- */

enum rule_field {
    RULE_INODE = 1 << 0,
    RULE_NAME = 1 << 1, /* and parent */
    RULE_NEW_NAME = 1 << 2,
    RULE_INODES = 1 << 3,
    RULE_NODE = 1 << 4, /* SESSION_OPEN: name and incarnation, no session */
    RULE_QUOTA = 1 << 5,
    RULE_HASH = 1 << 6,
};

struct rule {
    enum command_op op;
    unsigned fields;
    uint32_t flags; /* allowed */
    uint32_t type; /* of mode, where something is created; it may be left out */
    size_t data_bytes_min;
    size_t data_bytes_max;
};

static const struct rule rules[] = {
    {COMMAND_SESSION_OPEN, RULE_NODE, 0, 0, 0, 0},
    {COMMAND_CREATE, RULE_INODE | RULE_NAME,
     COMMAND_CREATES | COMMAND_EXCLUSIVE | COMMAND_TRUNCATES, S_IFREG, 0, 0},
    {COMMAND_MKDIR, RULE_INODE | RULE_NAME, 0, S_IFDIR, 0, 0},
    {COMMAND_SYMLINK, RULE_INODE | RULE_NAME, 0, S_IFLNK, 1,
     PX_SYMLINK_BYTES_MAX},
    {COMMAND_LINK, RULE_INODE | RULE_NEW_NAME, 0, 0, 0, 0},
    {COMMAND_UNLINK, RULE_NAME, 0, 0, 0, 0},
    {COMMAND_RMDIR, RULE_NAME, 0, 0, 0, 0},
    {COMMAND_RENAME, RULE_NAME | RULE_NEW_NAME,
     COMMAND_NOREPLACE | COMMAND_EXCHANGE, 0, 0, 0},
    {COMMAND_WRITE, RULE_INODE,
     COMMAND_CREATES | COMMAND_EXCLUSIVE | COMMAND_TRUNCATES | COMMAND_APPENDS |
         COMMAND_KEEPS_SETID,
     S_IFREG, 0, PX_FUSE_WRITE_BYTES_MAX},
    {COMMAND_SETATTR, RULE_INODE, COMMAND_KEEPS_SETID, 0, 0, 0},
    {COMMAND_RELEASE, RULE_INODES, 0, 0, 0, 0},
    {COMMAND_REAP, RULE_INODES, COMMAND_FORCE, 0, 0, 0},
    {COMMAND_SET_QUOTA, RULE_QUOTA, COMMAND_EXCLUSIVE, 0, 0, 0},
    {COMMAND_HASH, RULE_HASH, 0, 0, 0, 0},
};

#define ATTRS_ALL                                                         \
    ((uint32_t)(COMMAND_MODE | COMMAND_UID | COMMAND_GID | COMMAND_SIZE | \
                COMMAND_ATIME | COMMAND_MTIME | COMMAND_ATIME_NOW |       \
                COMMAND_MTIME_NOW))

static const struct rule *rule_of(enum command_op op)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].op == op)
            return &rules[i];
    return NULL;
}

static bool name_is_sound(struct command_name name)
{
    if (name.size == 0 || name.size > PX_NAME_BYTES_MAX)
        return false;
    if (name.data[0] == '.' &&
        (name.size == 1 || (name.size == 2 && name.data[1] == '.')))
        return false;
    return memchr(name.data, '/', name.size) == NULL &&
           memchr(name.data, '\0', name.size) == NULL;
}

static bool session_is_sound(const struct command *c, unsigned fields)
{
    if ((fields & RULE_NODE) == 0)
        return c->session > 0 && c->session < STORE_SESSIONS_EVER;
    return c->session == 0 && c->incarnation > 0 && name_is_sound(c->name) &&
           c->name.size <= PX_NODE_ID_BYTES_MAX;
}

static bool mode_is_sound(uint32_t mode, uint32_t type)
{
    uint32_t given = mode & S_IFMT;

    if ((mode & ~(uint32_t)(S_IFMT | 07777)) != 0)
        return false;
    return type == 0 || given == 0 || given == type;
}

static bool data_is_sound(const struct command *c, const struct rule *rule)
{
    if (c->data_size < rule->data_bytes_min ||
        c->data_size > rule->data_bytes_max)
        return false;
    return rule->op != COMMAND_SYMLINK ||
           memchr(c->data, '\0', c->data_size) == NULL;
}

static bool is_sound(const struct command *c)
{
    const struct rule *rule = rule_of(c->op);
    unsigned fields;

    if (rule == NULL)
        return false;
    fields = rule->fields;
    if (c->op == COMMAND_WRITE && (c->flags & COMMAND_CREATES) != 0)
        fields |= RULE_NAME;
    if (c->op == COMMAND_WRITE && (c->flags & COMMAND_CREATES) == 0 &&
        (c->flags & COMMAND_EXCLUSIVE) != 0)
        return false;
    if ((c->flags & ~rule->flags) != 0 || (c->attrs & ~ATTRS_ALL) != 0)
        return false;
    if (!session_is_sound(c, fields) || !mode_is_sound(c->mode, rule->type))
        return false;
    if ((fields & RULE_INODE) != 0 && c->inode == 0)
        return false;
    if ((fields & RULE_NAME) != 0 &&
        (c->parent == 0 || !name_is_sound(c->name)))
        return false;
    if ((fields & RULE_NEW_NAME) != 0 &&
        (c->new_parent == 0 || !name_is_sound(c->new_name)))
        return false;
    if ((fields & RULE_HASH) != 0 && (c->hashed_index == 0 || c->voter == 0))
        return false;
    if ((fields & RULE_INODES) != 0
            ? c->inode_count == 0 || c->inode_count > PX_RELEASE_INODES_MAX
            : c->inode_count != 0)
        return false;
    if ((fields & RULE_QUOTA) != 0 &&
        (c->offset == 0 || c->offset > PX_QUOTA_BYTES_MAX))
        return false;
    return data_is_sound(c, rule);
}

/* ---- To bytes ---- */

/* protobuf-c's structs are not const, though packing only reads them. */
static ProtobufCBinaryData head_bytes(struct command_name name)
{
    return (ProtobufCBinaryData){.len = name.size,
                                 .data = (uint8_t *)(uintptr_t)name.data};
}

static void head_fill(Phalanx__Store__Command *head, const struct command *c)
{
    phalanx__store__command__init(head);
    head->op = c->op;
    head->flags = c->flags;
    head->session = c->session;
    head->sequence = c->sequence;
    head->floor = c->floor;
    head->time = c->time;
    head->uid = c->uid;
    head->gid = c->gid;
    head->inode = c->inode;
    head->parent = c->parent;
    head->name = head_bytes(c->name);
    head->new_parent = c->new_parent;
    head->new_name = head_bytes(c->new_name);
    head->mode = c->mode;
    head->offset = c->offset;
    head->attrs = c->attrs;
    head->atime = c->atime;
    head->mtime = c->mtime;
    head->attr_uid = c->attr_uid;
    head->attr_gid = c->attr_gid;
    head->n_inodes = c->inode_count;
    head->inodes = (uint64_t *)(uintptr_t)c->inodes;
    head->incarnation = c->incarnation;
    head->hashed_index = c->hashed_index;
    head->state_hash = c->state_hash;
    head->voter = c->voter;
}

int command_encode(const struct command *c, struct px_slice *slice_out)
{
    Phalanx__Store__Command head;
    struct px_buf *buf;
    uint32_t size_le;
    size_t head_size;

    if (c->data_size > PX_FUSE_WRITE_BYTES_MAX)
        return -E2BIG;
    if (!is_sound(c))
        return -EINVAL;
    head_fill(&head, c);
    head_size = phalanx__store__command__get_packed_size(&head);
    if (head_size > PX_COMMAND_HEAD_BYTES_MAX - HEAD_SIZE_BYTES)
        return -E2BIG;
    buf = px_buf_new(HEAD_SIZE_BYTES + head_size + c->data_size);
    if (buf == NULL)
        return -ENOMEM;
    size_le = htole32((uint32_t)head_size);
    memcpy(buf->data, &size_le, sizeof size_le);
    (void)phalanx__store__command__pack(&head, buf->data + HEAD_SIZE_BYTES);
    if (c->data_size > 0)
        memcpy(buf->data + HEAD_SIZE_BYTES + head_size, c->data, c->data_size);
    *slice_out = px_slice_of(buf, 0, buf->size);
    return 0;
}

/* ---- And back ---- */

static struct command_name name_of(ProtobufCBinaryData bytes)
{
    return (struct command_name){.data = (const char *)bytes.data,
                                 .size = bytes.len};
}

static void command_fill(struct command *c, const Phalanx__Store__Command *head,
                         const uint8_t *data, size_t data_size)
{
    *c = (struct command){
        .op = (enum command_op)head->op,
        .flags = head->flags,
        .session = head->session,
        .sequence = head->sequence,
        .floor = head->floor,
        .time = head->time,
        .uid = head->uid,
        .gid = head->gid,
        .inode = head->inode,
        .parent = head->parent,
        .name = name_of(head->name),
        .new_parent = head->new_parent,
        .new_name = name_of(head->new_name),
        .mode = head->mode,
        .offset = head->offset,
        .attrs = head->attrs,
        .atime = head->atime,
        .mtime = head->mtime,
        .attr_uid = head->attr_uid,
        .attr_gid = head->attr_gid,
        .inodes = head->inodes,
        .inode_count = head->n_inodes,
        .incarnation = head->incarnation,
        .hashed_index = head->hashed_index,
        .state_hash = head->state_hash,
        .voter = head->voter,
        .data = data,
        .data_size = data_size,
    };
}

int command_decode(struct px_slice bytes, struct command_scratch *scratch,
                   struct command *c)
{
    ProtobufCAllocator *allocator = command_scratch_begin(scratch);
    const Phalanx__Store__Command *head;
    struct command decoded;
    uint32_t size_le;
    size_t head_size;

    if (bytes.size < HEAD_SIZE_BYTES || bytes.size > PX_ENTRY_BYTES_MAX)
        return -PX_EFORMAT;
    memcpy(&size_le, bytes.data, sizeof size_le);
    head_size = le32toh(size_le);
    if (head_size > PX_COMMAND_HEAD_BYTES_MAX - HEAD_SIZE_BYTES ||
        head_size > bytes.size - HEAD_SIZE_BYTES)
        return -PX_EFORMAT;
    head = phalanx__store__command__unpack(allocator, head_size,
                                           bytes.data + HEAD_SIZE_BYTES);
    if (head == NULL || head->base.n_unknown_fields > 0)
        return -PX_EFORMAT;
    command_fill(&decoded, head, bytes.data + HEAD_SIZE_BYTES + head_size,
                 bytes.size - HEAD_SIZE_BYTES - head_size);
    if (!is_sound(&decoded))
        return -PX_EFORMAT;
    *c = decoded;
    return 0;
}
