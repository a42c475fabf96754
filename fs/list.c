/* Directories. A listing goes on behind a cookie, which the state keeps stable
 * while names come and go; "." has cookie 1, ".." has 2, the state's own are
 * above. Each page is one view; a page costs what it holds, so a directory of
 * any size is listed in linear time.
 *
 * readdirplus gives the attributes along. The kernel keeps them not a moment
 * (timeouts are 0), and counts a lookup for each entry but "." and ".."; we
 * count none (inode.h). */
#include <errno.h>
#include <string.h>

#include "fs/core.h"
#include "fs/stage.h"
#include "fs/status.h"

enum { COOKIE_DOT = 1, COOKIE_DOT_DOT = 2 };

struct page {
    struct fs_call *call;
    struct store_view *view;
    size_t used;
};

/* False: there is no room for it. */
static bool add(struct page *p, const char *name, uint64_t cookie,
                const struct store_inode *inode, bool is_known)
{
    struct fs_call *c = p->call;
    char *at = (char *)c->fs->out + p->used;
    size_t room = c->size - p->used;
    struct fuse_entry_param entry;
    size_t need;

    /* Number 0: no attributes, and no lookup to be counted. */
    fs_entry_of(is_known ? inode->inode : 0, inode, &entry);
    if (c->is_plus)
        need = fuse_add_direntry_plus(c->req, at, room, name, &entry,
                                      (off_t)cookie);
    else
        need = fuse_add_direntry(c->req, at, room, name, &entry.attr,
                                 (off_t)cookie);
    if (need > room)
        return false;
    p->used += need;
    return true;
}

static bool add_name(void *ctx, const struct store_name *n)
{
    struct page *p = ctx;
    struct store_inode inode;
    char name[PX_NAME_BYTES_MAX + 1];
    bool is_known = false;

    px_assert(n->name.size <= PX_NAME_BYTES_MAX);
    memcpy(name, n->name.data, n->name.size);
    name[n->name.size] = '\0';
    if (p->call->is_plus)
        is_known = store_view_inode(p->view, n->inode, &inode) == 0;
    if (!is_known)
        inode = (struct store_inode){.inode = n->inode, .mode = n->mode};
    return add(p, name, n->cookie, &inode, is_known);
}

/* "." and "..", as far as they are still to come. */
static bool add_dots(struct page *p, const struct store_inode *dir)
{
    struct store_inode up = {.inode = dir->parent, .mode = S_IFDIR};

    if (p->call->offset < COOKIE_DOT && !add(p, ".", COOKIE_DOT, dir, false))
        return false;
    return p->call->offset >= COOKIE_DOT_DOT ||
           add(p, "..", COOKIE_DOT_DOT, &up, false);
}

static int fill(struct page *p)
{
    struct fs_call *c = p->call;
    struct store_inode dir;
    int rc = store_view_inode(p->view, c->inode, &dir);

    if (rc < 0)
        return rc;
    if (!S_ISDIR(dir.mode))
        return -ENOTDIR;
    if (!add_dots(p, &dir))
        return 0;
    return store_view_list(p->view, c->inode,
                           c->offset <= COOKIE_DOT_DOT ? 0 : c->offset,
                           add_name, p);
}

static void look_list(struct fs_call *c, struct store_view *v)
{
    struct page p = {.call = c, .view = v};
    int rc = fill(&p);

    if (rc < 0)
        fs_reply_err(c, rc);
    else
        fs_reply_bytes(c, c->fs->out, p.used);
}

static void look_open(struct fs_call *c, struct store_view *v)
{
    struct store_inode dir;
    struct fs_handle *h;
    int rc = store_view_inode(v, c->inode, &dir);

    if (rc < 0) {
        fs_reply_err(c, rc == -ENOENT ? -ESTALE : rc);
        return;
    }
    h = fs_handle_new(c, c->node, c->inode, (struct command_name){0});
    if (h == NULL)
        fs_reply_err(c, -ENOMEM);
    else
        fs_reply_open(c, h);
}

/* Cookies say where a listing goes on. The handle counts: a directory that is
 * removed while it is open keeps its inode. */
void fs_run_opendir(struct fs_call *c)
{
    if (!fs_status_opendir(c))
        fs_look_locally(c, look_open);
}

/* A listing has to show what was staged when it began, at its first page; so
 * it waits for that, and not for what comes at each of its pages. */
static void count_as_begun(struct fs_call *c)
{
    if (c->offset == 0)
        c->handle->staging = c->stagings;
    c->stagings = c->handle->staging;
}

void fs_run_readdir(struct fs_call *c)
{
    if (c->size > FS_READ_BYTES_MAX)
        c->size = FS_READ_BYTES_MAX;
    if (fs_status_list(c))
        return;
    count_as_begun(c);
    if (!fs_stage_blocks_parent(c, c->inode, FS_TOUCH_READ))
        fs_look(c, look_list);
}
