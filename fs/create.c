/* Creations: files, directories, symbolic links; and CREATE, which also opens.
 *
 * CREATE without O_EXCL is staged when a verified view shows that the name is
 * missing: the file gets a number, the kernel an open handle, and the log
 * hears of it with the first write. With O_EXCL the caller asks who was first,
 * which only the log can say: nothing is staged. */
#include <errno.h>
#include <time.h>

#include "fs/core.h"
#include "fs/stage.h"
#include "fs/write.h"

/* What the command made has been removed since, by another node: its maker is
 * still told that it was made. */
static void inode_of_made(const struct fs_call *c, struct store_inode *out)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(c->req);

    *out = (struct store_inode){
        .inode = c->found,
        .mode = c->mode,
        .uid = ctx->uid,
        .gid = ctx->gid,
    };
}

static int find_made(const struct fs_call *c, struct store_view *v,
                     struct store_inode *out)
{
    int rc = store_view_inode(v, c->found, out);

    if (rc == -ENOENT && (c->mode & S_IFMT) != 0) {
        inode_of_made(c, out);
        return 0;
    }
    return rc;
}

static void look_made(struct fs_call *c, struct store_view *v)
{
    struct store_inode inode;
    int rc = find_made(c, v, &inode);

    if (rc < 0)
        fs_reply_err(c, rc);
    else
        fs_reply_entry(c, inode.inode, &inode);
}

void fs_finish_made(struct fs_call *c, int rc,
                    const struct store_result *result)
{
    rc = fs_outcome(rc, result);
    if (rc < 0) {
        fs_reply_err(c, rc);
        return;
    }
    c->found = result->inode;
    fs_look_locally(c, look_made);
}

/* A creation of @c->name in the caller's name. */
static void creation_of(struct fs_call *c, enum command_op op,
                        struct command *cmd)
{
    struct fs *fs = c->fs;

    fs_command_of(c, op, cmd);
    cmd->inode = fs->port.new_inode(fs->port.ctx);
    cmd->parent = c->inode;
    cmd->name = c->name;
    cmd->mode = c->mode;
    if (op == COMMAND_CREATE)
        cmd->flags |= COMMAND_CREATES | COMMAND_EXCLUSIVE;
}

static void make(struct fs_call *c, enum command_op op)
{
    struct command cmd;

    if (fs_change_refused(c) ||
        fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_CHANGE))
        return;
    creation_of(c, op, &cmd);
    if (op == COMMAND_SYMLINK) {
        cmd.data = c->data;
        cmd.data_size = c->size;
    }
    fs_propose(c, &cmd, fs_finish_made, false);
}

void fs_run_mknod(struct fs_call *c)
{
    if ((c->mode & S_IFMT) != S_IFREG) {
        fs_reply_err(c, -EPERM); /* as mknod(2) names what can't be made */
        return;
    }
    make(c, COMMAND_CREATE);
}

void fs_run_mkdir(struct fs_call *c)
{
    make(c, COMMAND_MKDIR);
}

void fs_run_symlink(struct fs_call *c)
{
    if (c->size > PX_SYMLINK_BYTES_MAX) {
        fs_reply_err(c, -ENAMETOOLONG);
        return;
    }
    make(c, COMMAND_SYMLINK);
}

/* ---- CREATE ---- */

static void look_created(struct fs_call *c, struct store_view *v)
{
    struct store_inode inode;
    struct fs_handle *h;
    int rc = find_made(c, v, &inode);

    if (rc < 0) {
        fs_reply_err(c, rc);
        return;
    }
    h = fs_handle_new(c, inode.inode, inode.inode, (struct command_name){0});
    if (h == NULL)
        fs_reply_err(c, -ENOMEM);
    else
        fs_reply_create(c, h, &inode);
}

static void finish_create(struct fs_call *c, int rc,
                          const struct store_result *result)
{
    rc = fs_outcome(rc, result);
    if (rc == -EEXIST && (c->flags & O_EXCL) == 0)
        rc = -ESTALE; /* made meanwhile: the kernel looks again, and opens */
    if (rc < 0) {
        fs_reply_err(c, rc);
        return;
    }
    c->found = result->inode;
    fs_look_locally(c, look_created);
}

static void create_at_once(struct fs_call *c)
{
    struct command cmd;

    creation_of(c, COMMAND_CREATE, &cmd);
    fs_propose(c, &cmd, finish_create, false);
}

static void create_staged(struct fs_call *c)
{
    struct fs *fs = c->fs;
    uint64_t number = fs->port.new_inode(fs->port.ctx);
    struct store_inode inode;
    struct fs_handle *h;

    if (number == 0) { /* no session yet: the port waits for one */
        create_at_once(c);
        return;
    }
    h = fs_handle_new(c, number, number, c->name);
    if (h == NULL) {
        fs_reply_err(c, -ENOMEM);
        return;
    }
    h->creates = true;
    h->parent = c->inode;
    h->shown_gid = c->attr_gid;
    fs_handle_keep_groups(h, c);
    fs_stage_begin(h);
    fs_stage_inode(h, &inode);
    fs_reply_create(c, h, &inode);
}

static void wait_for_found(struct fs_call *c)
{
    if (!fs_stage_blocks_inode(c, c->found, NULL, FS_TOUCH_READ))
        fs_rerun(c);
}

/* Somebody made the file after the kernel's LOOKUP. The kernel has not asked
 * whether the caller may open it: if its mode alone doesn't say so, -ESTALE
 * makes the kernel look again and ask. */
static void open_found(struct fs_call *c, const struct store_inode *inode)
{
    struct command_name none = {0};
    struct fs_handle *h;

    if (fs_may_open(inode, fs_uid(c), fuse_req_ctx(c->req)->gid, c->flags) <
        0) {
        fs_reply_err(c, -ESTALE);
        return;
    }
    if (fs_stage_has(c->fs, inode->inode)) {
        c->found = inode->inode;
        c->next = wait_for_found;
        return;
    }
    h = fs_handle_new(c, inode->inode, inode->inode, none);
    if (h == NULL) {
        fs_reply_err(c, -ENOMEM);
        return;
    }
    if ((c->flags & O_TRUNC) != 0) {
        h->truncates = true;
        fs_stage_begin(h);
    }
    fs_reply_create(c, h, inode);
}

static int find_parent(struct fs_call *c, struct store_view *v)
{
    struct store_inode parent;
    int rc = store_view_inode(v, c->inode, &parent);

    if (rc < 0)
        return rc;
    if (!S_ISDIR(parent.mode))
        return -ENOTDIR;
    c->attr_gid =
        (parent.mode & S_ISGID) != 0 ? parent.gid : fuse_req_ctx(c->req)->gid;
    return 0;
}

static void look_create(struct fs_call *c, struct store_view *v)
{
    struct store_inode there;
    int rc = find_parent(c, v);

    if (rc == 0) {
        rc = store_view_lookup(v, c->inode, c->name, &there);
        if (rc == 0) {
            open_found(c, &there);
            return;
        }
        if (rc == -ENOENT) {
            c->next = create_staged;
            return;
        }
    }
    fs_reply_err(c, rc);
}

void fs_run_create(struct fs_call *c)
{
    if (fs_change_refused(c) ||
        fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_CHANGE))
        return;
    if ((c->flags & O_EXCL) != 0 || c->fs->strict_truncate)
        create_at_once(c);
    else
        fs_look(c, look_create);
}

/* ---- OPEN under trunc=strict ---- */

static void finish_truncate(struct fs_call *c, int rc,
                            const struct store_result *result)
{
    struct fs_handle *h = c->handle;

    rc = fs_outcome(rc, result);
    c->handle = NULL;
    if (rc == 0) {
        fs_reply_open(c, h);
        return;
    }
    fs_handle_free(h);
    fs_reply_err(c, rc == -ENOENT ? -ESTALE : rc);
}

/* The handle comes first, so that the file is held against an unlink on
 * another node from now on. */
void fs_truncate_strictly(struct fs_call *c)
{
    struct command cmd;
    struct fs_handle *h =
        fs_handle_new(c, c->node, c->inode, (struct command_name){0});

    if (h == NULL) {
        fs_reply_err(c, -ENOMEM);
        return;
    }
    c->handle = h;
    fs_command_of(c, COMMAND_SETATTR, &cmd);
    cmd.inode = c->inode;
    cmd.attrs = COMMAND_SIZE;
    fs_propose(c, &cmd, finish_truncate, false);
}
