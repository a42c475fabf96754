/* Requests that change: each becomes one command, and is answered when that
 * has been applied here. Creating and opening are in create.c.
 *
 * A name or an inode that is staged by an open file is published first, so
 * that commands take effect in the order in which their callers saw them. What
 * is staged elsewhere is nobody's business yet. */
#include "fs/write.h"

#include <errno.h>
#include <linux/fs.h>

#include "fs/stage.h"
#include "fs/status.h"

void fs_command_of(const struct fs_call *c, enum command_op op,
                   struct command *cmd)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(c->req);

    *cmd = (struct command){
        .op = op,
        .uid = ctx->uid,
        .gid = ctx->gid,
    };
    /* Root stands for CAP_FSETID, which FUSE does not tell. */
    if ((op == COMMAND_WRITE || op == COMMAND_SETATTR) && ctx->uid == 0)
        cmd->flags = COMMAND_KEEPS_SETID;
}

int fs_outcome(int rc, const struct store_result *result)
{
    return rc < 0 ? rc : result->rc;
}

bool fs_change_refused(struct fs_call *c)
{
    if (c->name.size > PX_NAME_BYTES_MAX ||
        c->new_name.size > PX_NAME_BYTES_MAX) {
        fs_reply_err(c, -ENAMETOOLONG);
        return true;
    }
    return fs_status_refuses(c);
}

static void finish_plain(struct fs_call *c, int rc,
                         const struct store_result *result)
{
    fs_reply_err(c, fs_outcome(rc, result));
}

/* ---- Names ---- */

void fs_run_link(struct fs_call *c)
{
    struct command cmd;

    if (fs_change_refused(c) ||
        fs_stage_blocks_inode(c, c->inode, NULL, FS_TOUCH_CHANGE) ||
        fs_stage_blocks_name(c, c->new_inode, c->new_name, FS_TOUCH_CHANGE))
        return;
    fs_command_of(c, COMMAND_LINK, &cmd);
    cmd.inode = c->inode;
    cmd.new_parent = c->new_inode;
    cmd.new_name = c->new_name;
    fs_propose(c, &cmd, fs_finish_made, false);
}

void fs_run_unlink(struct fs_call *c)
{
    struct command cmd;

    if (fs_change_refused(c) ||
        fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_CHANGE))
        return;
    fs_command_of(c, COMMAND_UNLINK, &cmd);
    cmd.parent = c->inode;
    cmd.name = c->name;
    fs_propose(c, &cmd, finish_plain, false);
}

/* ---- Names of directories that go ----
 *
 * Whether a directory is empty depends on what is staged in it, so that is
 * published. Which directory it is the local state tells, which knows all that
 * this node's processes have been told. Another node may still put another one
 * in its place: a file that is staged there goes as if that node had removed
 * its directory. What is staged in one that only moves goes with it, by its
 * number. */

/* @c->found: what the name leads to, or 0. */
static void find_leaver(struct fs_call *c, struct store_view *v,
                        uint64_t parent, struct command_name name,
                        fs_run_fn next)
{
    struct store_inode leaver;
    int rc = store_view_lookup(v, parent, name, &leaver);

    if (rc < 0 && rc != -ENOENT) {
        fs_reply_err(c, rc);
        return;
    }
    c->found = rc == 0 ? leaver.inode : 0;
    c->next = next;
}

static void remove_directory(struct fs_call *c)
{
    struct command cmd;

    if (fs_stage_blocks_parent(c, c->found, FS_TOUCH_CHANGE))
        return;
    fs_command_of(c, COMMAND_RMDIR, &cmd);
    cmd.parent = c->inode;
    cmd.name = c->name;
    fs_propose(c, &cmd, finish_plain, false);
}

static void look_removed(struct fs_call *c, struct store_view *v)
{
    find_leaver(c, v, c->inode, c->name, remove_directory);
}

void fs_run_rmdir(struct fs_call *c)
{
    if (!fs_change_refused(c) &&
        !fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_CHANGE))
        fs_look_locally(c, look_removed);
}

static void rename_it(struct fs_call *c)
{
    struct command cmd;

    if (fs_stage_blocks_parent(c, c->found, FS_TOUCH_CHANGE))
        return;
    fs_command_of(c, COMMAND_RENAME, &cmd);
    cmd.parent = c->inode;
    cmd.name = c->name;
    cmd.new_parent = c->new_inode;
    cmd.new_name = c->new_name;
    if ((c->flags & RENAME_NOREPLACE) != 0)
        cmd.flags |= COMMAND_NOREPLACE;
    if ((c->flags & RENAME_EXCHANGE) != 0)
        cmd.flags |= COMMAND_EXCHANGE;
    fs_propose(c, &cmd, finish_plain, false);
}

static void look_replaced(struct fs_call *c, struct store_view *v)
{
    find_leaver(c, v, c->new_inode, c->new_name, rename_it);
}

void fs_run_rename(struct fs_call *c)
{
    if (fs_change_refused(c))
        return;
    if ((c->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
        fs_reply_err(c, -EINVAL);
        return;
    }
    if (fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_CHANGE) ||
        fs_stage_blocks_name(c, c->new_inode, c->new_name, FS_TOUCH_CHANGE))
        return;
    if (c->flags == 0)
        fs_look_locally(c, look_replaced);
    else
        rename_it(c); /* nothing is removed: c->found is 0 */
}

/* ---- Data ---- */

static void reply_written(struct fs_call *c, int rc)
{
    if (rc < 0)
        fs_reply_err(c, rc == -ENOENT ? -ESTALE : rc);
    else
        fs_reply_write(c, c->size);
}

static void finish_write(struct fs_call *c, int rc,
                         const struct store_result *result)
{
    reply_written(c, fs_outcome(rc, result));
}

static void finish_first_write(struct fs_call *c, int rc,
                               const struct store_result *result)
{
    int error = 0;

    switch (fs_stage_joined(c->handle, rc, result, &error)) {
    case FS_JOINED_DONE:
        fs_reply_write(c, c->size);
        break;
    case FS_JOINED_AGAIN:
        fs_rerun(c);
        break;
    case FS_JOINED_FAILED:
        fs_reply_err(c, error); /* -ENOENT: its directory is gone */
        break;
    }
}

static void write_of(const struct fs_call *c, struct command *cmd)
{
    fs_command_of(c, COMMAND_WRITE, cmd);
    cmd->inode = c->handle->inode;
    cmd->data = c->data;
    cmd->data_size = c->size;
    cmd->offset = c->offset;
    if ((c->flags & O_APPEND) != 0)
        cmd->flags |= COMMAND_APPENDS; /* the offset is the state's to say */
}

static int check_write(const struct fs_call *c)
{
    if (c->handle->failed < 0)
        return c->handle->failed;
    if ((c->flags & O_APPEND) == 0 && (c->offset > PX_FILE_BYTES_MAX ||
                                       c->size > PX_FILE_BYTES_MAX - c->offset))
        return -EFBIG;
    return 0;
}

void fs_run_write(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    struct command cmd;
    int rc;

    if (fs_status_write(c))
        return;
    rc = check_write(c);
    if (rc < 0) {
        fs_reply_err(c, rc);
        return;
    }
    if (c->size == 0) {
        fs_reply_write(c, 0);
        return;
    }
    if (fs_stage_blocks_inode(c, h->inode, h, FS_TOUCH_CHANGE) ||
        (h->stage == FS_STAGE_PUBLISHING && fs_stage_blocks_owner(c, h)))
        return;
    write_of(c, &cmd);
    if (h->stage == FS_STAGE_NONE) {
        fs_propose(c, &cmd, finish_write, false);
        return;
    }
    fs_stage_join(c, &cmd);
    /* Adopting another file writes the data a second time. */
    fs_propose(c, &cmd, finish_first_write, h->creates);
}

/* ---- Attributes ---- */

static void look_changed(struct fs_call *c, struct store_view *v)
{
    struct store_inode inode;
    int rc = store_view_inode(v, c->inode, &inode);

    if (rc < 0)
        fs_reply_err(c, rc == -ENOENT ? -ESTALE : rc);
    else
        fs_reply_attr(c, &inode);
}

static void finish_setattr(struct fs_call *c, int rc,
                           const struct store_result *result)
{
    rc = fs_outcome(rc, result);
    if (rc < 0)
        fs_reply_err(c, rc == -ENOENT ? -ESTALE : rc);
    else
        fs_look_locally(c, look_changed); /* applied here: new enough */
}

void fs_run_setattr(struct fs_call *c)
{
    struct command cmd;

    if (fs_change_refused(c))
        return;
    if ((c->attrs & COMMAND_SIZE) != 0 && c->offset > PX_FILE_BYTES_MAX) {
        fs_reply_err(c, -EFBIG);
        return;
    }
    if ((c->handle != NULL && fs_stage_blocks_owner(c, c->handle)) ||
        fs_stage_blocks_inode(c, c->inode, NULL, FS_TOUCH_CHANGE))
        return;
    fs_command_of(c, COMMAND_SETATTR, &cmd);
    cmd.inode = c->inode;
    cmd.attrs = c->attrs;
    cmd.mode = c->mode;
    cmd.attr_uid = c->attr_uid;
    cmd.attr_gid = c->attr_gid;
    cmd.offset = c->offset;
    cmd.atime = c->atime;
    cmd.mtime = c->mtime;
    fs_propose(c, &cmd, finish_setattr, false);
}

/* ---- Flush and fsync: a write is durable when it is answered, so that only
 * what is staged is left to do ---- */

void fs_run_flush(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    bool is_due = h->flushes >= 2 && h->stage != FS_STAGE_NONE;

    if (is_due && h->stage == FS_STAGE_HELD && h->is_told)
        is_due = false; /* write(2) has said that nothing happened */
    if (is_due && fs_stage_blocks_owner(c, h))
        return;
    fs_reply_err(c, h->failed);
}

void fs_run_fsync(struct fs_call *c)
{
    struct fs_handle *h = c->handle;

    if (fs_stage_blocks_owner(c, h) ||
        fs_stage_blocks_inode(c, h->inode, h, FS_TOUCH_CHANGE))
        return;
    fs_reply_err(c, h->failed);
}

void fs_run_fsyncdir(struct fs_call *c)
{
    if (!fs_stage_blocks_parent(c, c->inode, FS_TOUCH_CHANGE))
        fs_reply_err(c, 0);
}
