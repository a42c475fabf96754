/* /.phalanx/ and its files. Their inode numbers lie below those that the state
 * gives out. A file's text is fetched when it is opened and served from the
 * handle, so that one reader sees one moment; its size is shown as 0, as in
 * /proc, since it is not known before. */
#include "fs/status.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/write.h"

#define FIRST_INODE UINT64_C(2) /* the directory; its files follow */
#define QUOTA_INODE (FIRST_INODE + 1 + FS_STATUS_QUOTA)
#define LAST_INODE (FIRST_INODE + FS_STATUS_FILES)

static_assert(LAST_INODE < 256, "numbers from 256 on are the state's");

static const char directory_name[] = ".phalanx";

static const char *const file_names[FS_STATUS_FILES] = {
    [FS_STATUS_STATUS] = "status",   [FS_STATUS_LEADER] = "leader",
    [FS_STATUS_MEMBERS] = "members", [FS_STATUS_HEALTH] = "health",
    [FS_STATUS_QUOTA] = "quota",
};

static bool owns(uint64_t inode)
{
    return inode >= FIRST_INODE && inode <= LAST_INODE;
}

static bool is(struct command_name name, const char *word)
{
    return name.size == strlen(word) && memcmp(name.data, word, name.size) == 0;
}

static bool is_directory(uint64_t parent, struct command_name name)
{
    return parent == STORE_ROOT_INODE && is(name, directory_name);
}

static uint32_t mode_of(uint64_t number)
{
    if (number == FIRST_INODE)
        return S_IFDIR | 0555;
    return number == QUOTA_INODE ? S_IFREG | 0644 : S_IFREG | 0444;
}

static void inode_of(uint64_t number, struct store_inode *out)
{
    *out = (struct store_inode){
        .inode = number,
        .mode = mode_of(number),
        .links = number == FIRST_INODE ? 2 : 1,
        .parent = STORE_ROOT_INODE,
    };
}

static void reply_inode(struct fs_call *c, uint64_t number)
{
    struct store_inode inode;

    inode_of(number, &inode);
    fs_reply_entry(c, number, &inode);
}

bool fs_status_lookup(struct fs_call *c)
{
    if (is_directory(c->inode, c->name)) {
        reply_inode(c, FIRST_INODE);
        return true;
    }
    if (!owns(c->inode))
        return false;
    for (uint64_t i = 0; i < FS_STATUS_FILES; i++) {
        if (c->inode == FIRST_INODE && is(c->name, file_names[i])) {
            reply_inode(c, FIRST_INODE + 1 + i);
            return true;
        }
    }
    fs_reply_err(c, -ENOENT);
    return true;
}

bool fs_status_getattr(struct fs_call *c)
{
    struct store_inode inode;

    if (!owns(c->inode))
        return false;
    inode_of(c->inode, &inode);
    fs_reply_attr(c, &inode);
    return true;
}

/* 0: the call has been answered. */
static int open_text(struct fs_call *c)
{
    enum fs_status_file file =
        (enum fs_status_file)(c->inode - FIRST_INODE - 1);
    struct fs_handle *h;
    ssize_t size;

    if (c->inode == FIRST_INODE)
        return -EISDIR;
    if (c->inode != QUOTA_INODE && /* root may do what the mode forbids */
        ((c->flags & O_ACCMODE) != O_RDONLY || (c->flags & O_TRUNC) != 0))
        return -EPERM;
    h = fs_handle_new(c, c->node, 0, (struct command_name){0});
    if (h == NULL)
        return -ENOMEM;
    size = c->fs->port.status(c->fs->port.ctx, file, &h->text);
    if (size < 0) {
        h->text = NULL;
        fs_handle_free(h);
        return (int)size;
    }
    h->text_size = (size_t)size;
    fs_reply_open(c, h);
    return 0;
}

bool fs_status_open(struct fs_call *c)
{
    int rc;

    if (!owns(c->inode))
        return false;
    rc = open_text(c);
    if (rc < 0)
        fs_reply_err(c, rc);
    return true;
}

bool fs_status_opendir(struct fs_call *c)
{
    struct fs_handle *h;

    if (!owns(c->inode))
        return false;
    h = fs_handle_new(c, c->node, 0, (struct command_name){0});
    if (h == NULL)
        fs_reply_err(c, -ENOMEM);
    else
        fs_reply_open(c, h);
    return true;
}

bool fs_status_read(struct fs_call *c)
{
    const struct fs_handle *h = c->handle;
    size_t left;

    if (h->inode != 0)
        return false;
    left = c->offset < h->text_size ? h->text_size - c->offset : 0;
    fs_reply_bytes(c, h->text + (h->text_size - left),
                   left < c->size ? left : c->size);
    return true;
}

/* ---- The quota ---- */

static int parse_quota(const struct fs_call *c, uint64_t *bytes_out)
{
    const char *text = c->data;
    size_t size = c->size;
    int rc;

    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    rc = c->offset == 0 ? px_bytes_parse(text, size, bytes_out) : -EINVAL;
    return rc == 0 && *bytes_out > PX_QUOTA_BYTES_MAX ? -EINVAL : rc;
}

static void finish_quota(struct fs_call *c, int rc,
                         const struct store_result *result)
{
    rc = fs_outcome(rc, result);
    if (rc < 0)
        fs_reply_err(c, rc);
    else
        fs_reply_write(c, c->size);
}

bool fs_status_write(struct fs_call *c)
{
    struct command cmd;
    uint64_t bytes;
    int rc;

    if (c->inode != QUOTA_INODE)
        return false; /* the others are not opened for writing */
    rc = parse_quota(c, &bytes);
    if (rc < 0) {
        fs_reply_err(c, rc);
        return true;
    }
    fs_command_of(c, COMMAND_SET_QUOTA, &cmd);
    cmd.offset = bytes;
    fs_propose(c, &cmd, finish_quota, false);
    return true;
}

/* ---- The list ---- */

/* One page holds all of it. Entries without attributes: the kernel asks. */
bool fs_status_list(struct fs_call *c)
{
    char *out = (char *)c->fs->out;
    struct fuse_entry_param entry = {0};
    size_t used = 0;
    size_t need;

    if (!owns(c->inode))
        return false;
    for (uint64_t i = c->offset; i < FS_STATUS_FILES; i++) {
        entry.attr.st_ino = FIRST_INODE + 1 + i;
        entry.attr.st_mode = S_IFREG;
        if (c->is_plus)
            need = fuse_add_direntry_plus(c->req, out + used, c->size - used,
                                          file_names[i], &entry, (off_t)i + 1);
        else
            need = fuse_add_direntry(c->req, out + used, c->size - used,
                                     file_names[i], &entry.attr, (off_t)i + 1);
        if (need > c->size - used)
            break;
        used += need;
    }
    fs_reply_bytes(c, out, used);
    return true;
}

bool fs_status_refuses(struct fs_call *c)
{
    if (!owns(c->inode) && !owns(c->new_inode) &&
        !is_directory(c->inode, c->name) &&
        !is_directory(c->new_inode, c->new_name))
        return false;
    fs_reply_err(c, -EPERM);
    return true;
}
