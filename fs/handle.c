/* Open files. Each is counted at its inode, so that an unlinked file lives
 * until its last close, and listed, so that an unmount finds them all. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/core.h"

struct fs_handle *fs_handle_new(struct fs_call *c, uint64_t node,
                                uint64_t inode, struct command_name name)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(c->req);
    struct fs_handle *h = calloc(1, sizeof *h + name.size);

    if (h == NULL)
        return NULL;
    h->fs = c->fs;
    h->node = node;
    h->inode = inode;
    h->flags = c->flags;
    h->staging = c->stagings;
    h->pid = ctx->pid;
    h->uid = ctx->uid;
    h->gid = ctx->gid;
    h->mode = c->mode;
    h->name_size = name.size;
    if (name.size > 0)
        memcpy(h->name, name.data, name.size);
    px_list_init(&h->link);
    px_list_init(&h->stage_link);
    px_list_init(&h->waiters);
    if (inode != 0) {
        if (fs_inodes_open(&c->fs->inodes, inode) < 0) {
            free(h);
            return NULL;
        }
        h->is_counted = true;
    }
    px_list_push_back(&c->fs->handles, &h->link);
    return h;
}

static void uncount(struct fs_handle *h)
{
    struct fs *fs = h->fs;

    if (!h->is_counted)
        return;
    h->is_counted = false;
    if (fs_inodes_close(&fs->inodes, h->inode) && fs->is_mounted)
        fs->port.released(fs->port.ctx, h->inode);
}

void fs_handle_free(struct fs_handle *h)
{
    px_assert(px_list_empty(&h->waiters)); /* F3 */
    px_list_remove(&h->stage_link);
    px_list_remove(&h->link);
    uncount(h);
    free(h->text);
    free(h);
}

int fs_handle_move(struct fs_handle *h, uint64_t inode)
{
    int rc = fs_inodes_open(&h->fs->inodes, inode);

    if (rc < 0)
        return rc;
    uncount(h);
    h->inode = inode;
    h->is_counted = true;
    return 0;
}

/* For root, nobody asks. */
void fs_handle_keep_groups(struct fs_handle *h, const struct fs_call *c)
{
    int count;

    if (h->uid == 0)
        return;
    count = fuse_req_getgroups(c->req, (int)FS_GROUPS_MAX, h->groups);
    if (count > (int)FS_GROUPS_MAX)
        count = (int)FS_GROUPS_MAX; /* the rest was left out */
    h->group_count = count < 0 ? 0 : (size_t)count;
}

bool fs_handle_is_in_group(const struct fs_handle *h, uint32_t gid)
{
    for (size_t i = 0; i < h->group_count; i++) {
        if (h->groups[i] == gid)
            return true;
    }
    return h->gid == gid;
}

int fs_may_open(const struct store_inode *inode, uint32_t uid, uint32_t gid,
                int flags)
{
    uint32_t bits = inode->mode & 7; /* rwx of others */
    uint32_t want = 0;

    if (S_ISDIR(inode->mode))
        return -EISDIR;
    if (!S_ISREG(inode->mode))
        return -EEXIST;
    if (uid == 0)
        return 0;
    if (uid == inode->uid)
        bits = (inode->mode >> 6) & 7;
    else if (gid == inode->gid)
        bits = (inode->mode >> 3) & 7;
    if ((flags & O_ACCMODE) != O_WRONLY)
        want |= 4;
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0)
        want |= 2;
    return (bits & want) == want ? 0 : -EACCES;
}
