/* Requests that look: each is answered from one view of the state, which the
 * port has verified to be as new as the request.
 *
 * OPEN alone looks at the local state unverified. Entry timeouts are 0, so the
 * kernel has just sent a LOOKUP of the same name, and that was verified:
 * open(2) takes effect there. What is read from the open file is verified
 * again by each READ. The local look costs nothing, and turns a file that was
 * removed since into -ESTALE, upon which the kernel looks the name up anew. */
#include <errno.h>
#include <time.h>

#include "base/rand.h"
#include "fs/core.h"
#include "fs/stage.h"
#include "fs/status.h"

/* The kernel names an inode by a number it was given: one that is gone has
 * been removed since. It then looks the path up again. */
static int stale_if_gone(int rc)
{
    return rc == -ENOENT ? -ESTALE : rc;
}

/* After a look found an inode that is staged. */
static void wait_for_found(struct fs_call *c)
{
    if (!fs_stage_blocks_inode(c, c->found, NULL, FS_TOUCH_READ))
        fs_rerun(c);
}

static void look_lookup(struct fs_call *c, struct store_view *v)
{
    struct store_inode inode;
    int rc = store_view_lookup(v, c->inode, c->name, &inode);

    if (rc < 0) {
        fs_reply_err(c, rc);
    } else if (fs_stage_has(c->fs, inode.inode)) {
        c->found = inode.inode;
        c->next = wait_for_found;
    } else {
        fs_shown_add(&c->fs->shown, inode.inode,
                     c->fs->port.now(c->fs->port.ctx));
        fs_reply_entry(c, inode.inode, &inode);
    }
}

/* ---- Twice the same LOOKUP ---- */

/* Where a LOOKUP fails that was to confirm what the kernel knows, the kernel
 * drops that and asks once more. If the first found no majority by its deadline
 * the second is not made to wait for another one. */
#define AGAIN_NS (100 * (int64_t)PX_NS_PER_MS)

static int64_t now(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* can't fail on Linux */
    return (int64_t)t.tv_sec * (int64_t)PX_NS_PER_S + t.tv_nsec;
}

static struct fs_unanswered *unanswered_of(struct fs_call *c)
{
    uint32_t pid = (uint32_t)fuse_req_ctx(c->req)->pid;

    return &c->fs->unanswered[pid % FS_UNANSWERED_MAX];
}

void fs_lookup_unanswered(struct fs_call *c)
{
    *unanswered_of(c) = (struct fs_unanswered){
        .pid = fuse_req_ctx(c->req)->pid,
        .parent = c->inode,
        .name_hash = px_djb2(c->name.data, c->name.size),
        .until = now() + AGAIN_NS,
    };
}

static bool is_asked_again(struct fs_call *c)
{
    struct fs_unanswered *u = unanswered_of(c);
    bool is_same = u->until != 0 && u->pid == fuse_req_ctx(c->req)->pid &&
                   u->parent == c->inode &&
                   u->name_hash == px_djb2(c->name.data, c->name.size) &&
                   now() < u->until;

    if (is_same)
        u->until = 0; /* asked a third time, it is somebody's new attempt */
    return is_same;
}

void fs_run_lookup(struct fs_call *c)
{
    if (c->name.size > PX_NAME_BYTES_MAX) {
        fs_reply_err(c, -ENAMETOOLONG);
        return;
    }
    if (is_asked_again(c)) {
        fs_reply_err(c, -EAGAIN);
        return;
    }
    if (fs_status_lookup(c) ||
        fs_stage_blocks_name(c, c->inode, c->name, FS_TOUCH_READ))
        return;
    fs_look(c, look_lookup);
}

static bool sees_staged(struct fs_call *c, struct fs_handle **handle_out)
{
    pid_t pid = fuse_req_ctx(c->req)->pid;

    *handle_out = fs_stage_seen_by(c->fs, c->inode, pid);
    return *handle_out != NULL;
}

static void look_getattr(struct fs_call *c, struct store_view *v)
{
    struct fs_handle *staged;
    struct store_inode inode;
    int rc = store_view_inode(v, c->inode, &inode);

    if (rc < 0) {
        fs_reply_err(c, stale_if_gone(rc));
        return;
    }
    if (sees_staged(c, &staged)) {
        inode.size = 0; /* truncated, as far as its opener knows */
        inode.blocks = 0;
    }
    fs_reply_attr(c, &inode);
}

/* The way to .phalanx/ leads through the root's permissions: see fs_port. */
static bool is_ready(const struct fs *fs)
{
    return fs->port.is_ready == NULL || fs->port.is_ready(fs->port.ctx);
}

void fs_run_getattr(struct fs_call *c)
{
    struct fs_handle *staged;
    struct store_inode inode;

    if (fs_status_getattr(c))
        return;
    if (!sees_staged(c, &staged)) {
        if (fs_stage_blocks_inode(c, c->inode, NULL, FS_TOUCH_READ))
            return;
    } else if (staged->creates) {
        fs_stage_inode(staged, &inode);
        fs_reply_attr(c, &inode);
        return;
    }
    if (c->inode == STORE_ROOT_INODE && !is_ready(c->fs))
        fs_look_at_root(c, look_getattr);
    else
        fs_look(c, look_getattr);
}

static void look_readlink(struct fs_call *c, struct store_view *v)
{
    char target[PX_SYMLINK_BYTES_MAX + 1];
    ssize_t size = store_view_readlink(v, c->inode, target, sizeof target - 1);

    if (size < 0) {
        fs_reply_err(c, stale_if_gone((int)size));
        return;
    }
    target[size] = '\0';
    fs_reply_link(c, target);
}

void fs_run_readlink(struct fs_call *c)
{
    fs_look(c, look_readlink);
}

static bool may_open(const struct fs_call *c)
{
    const struct fs_port *port = &c->fs->port;

    return port->may_open != NULL && port->may_open(port->ctx, c->inode);
}

static int check_open(struct fs_call *c, struct store_view *v)
{
    struct store_inode inode;
    int rc = store_view_inode(v, c->inode, &inode);

    if (rc < 0)
        return stale_if_gone(rc);
    if (S_ISDIR(inode.mode))
        return -EISDIR;
    /* Unlinked: by another node, since our LOOKUP; or it is held open, and
     * opened again through /proc/self/fd. */
    if (inode.links == 0 && !fs_is_open(c->fs, c->inode) && !may_open(c))
        return -ESTALE;
    return 0;
}

static void look_open(struct fs_call *c, struct store_view *v)
{
    struct fs_handle *h;
    int rc = check_open(c, v);

    if (rc < 0) {
        fs_reply_err(c, rc);
        return;
    }
    if ((c->flags & O_TRUNC) != 0 && c->fs->strict_truncate) {
        c->next = fs_truncate_strictly;
        return;
    }
    h = fs_handle_new(c, c->node, c->inode, (struct command_name){0});
    if (h == NULL) {
        fs_reply_err(c, -ENOMEM);
        return;
    }
    if ((c->flags & O_TRUNC) != 0) {
        h->truncates = true;
        fs_stage_begin(h);
    }
    fs_reply_open(c, h);
}

void fs_run_open(struct fs_call *c)
{
    if (fs_status_open(c) ||
        fs_stage_blocks_inode(c, c->inode, NULL, FS_TOUCH_READ))
        return;
    fs_look_locally(c, look_open);
}

static void look_read(struct fs_call *c, struct store_view *v)
{
    ssize_t size =
        store_view_read(v, c->handle->inode, c->offset, c->fs->out, c->size);

    if (size < 0)
        fs_reply_err(c, stale_if_gone((int)size));
    else
        fs_reply_bytes(c, c->fs->out, (size_t)size);
}

void fs_run_read(struct fs_call *c)
{
    struct fs_handle *h = c->handle;

    if (fs_status_read(c) || fs_stage_blocks_owner(c, h) ||
        fs_stage_blocks_inode(c, h->inode, h, FS_TOUCH_READ))
        return;
    fs_look(c, look_read);
}

static void look_usage(struct fs_call *c, struct store_view *v)
{
    struct store_usage usage;

    store_view_usage(v, &usage);
    fs_reply_usage(c, &usage);
}

/* An estimate by nature: not worth a majority. */
void fs_run_statfs(struct fs_call *c)
{
    fs_look_locally(c, look_usage);
}
