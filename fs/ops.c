/* The table: each FUSE operation decoded into a call, and its handler started.
 * What is not in the table the kernel answers itself, or is told ENOSYS once:
 * access (default_permissions), locks (local to this node's kernel), extended
 * attributes, fallocate, copy_file_range, ioctl.
 *
 * The kernel's own numbers are resolved here for second directories, and in
 * fs_rerun for the object. */
#include <string.h>

#include "fs/core.h"
#include "fs/stage.h"

#define NS_PER_S INT64_C(1000000000)

static struct fs_call call_of(fuse_req_t req, fuse_ino_t node)
{
    return (struct fs_call){
        .fs = fuse_req_userdata(req),
        .req = req,
        .node = node,
    };
}

static struct fs_call call_of_name(fuse_req_t req, fuse_ino_t parent,
                                   const char *name)
{
    struct fs_call c = call_of(req, parent);

    c.name = (struct command_name){name, strlen(name)};
    return c;
}

static struct fs_call call_of_file(fuse_req_t req, fuse_ino_t node,
                                   struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    c.handle = fs_handle_of(fi);
    c.flags = fi->flags;
    return c;
}

static void add_new_name(struct fs_call *c, fuse_ino_t parent, const char *name)
{
    c->new_inode = fs_inodes_resolve(&c->fs->inodes, parent);
    c->new_name = (struct command_name){name, strlen(name)};
}

/* ---- The session ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                              FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE);
    conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
    conn->want |= conn->capable & FUSE_CAP_HANDLE_KILLPRIV;
    conn->max_write = PX_FUSE_WRITE_BYTES_MAX;
    conn->max_readahead = PX_FUSE_WRITE_BYTES_MAX; /* for mmap and exec */
    conn->max_background = FS_BACKGROUND_MAX;
    conn->congestion_threshold = FS_BACKGROUND_MAX * 3 / 4;
}

static void forget(struct fs *fs, fuse_ino_t node, uint64_t count)
{
    fs_inodes_forget(&fs->inodes, node); /* an alias has one lookup */
    fs_shown_forget(&fs->shown, node, count);
}

static void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t nlookup)
{
    forget(fuse_req_userdata(req), node, nlookup);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
                            struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(fuse_req_userdata(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* ---- Looking ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call c = call_of_name(req, parent, name);

    fs_start(&c, fs_run_lookup);
}

static void op_getattr(fuse_req_t req, fuse_ino_t node,
                       struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    (void)fi; /* the kernel names no file for fstat(2) */
    fs_start(&c, fs_run_getattr);
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
    struct fs_call c = call_of(req, node);

    fs_start(&c, fs_run_readlink);
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    c.flags = fi->flags;
    fs_start(&c, fs_run_open);
}

static void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    struct fs_call c = call_of_file(req, node, fi);

    c.size = size < FS_READ_BYTES_MAX ? size : FS_READ_BYTES_MAX;
    c.offset = (uint64_t)offset;
    fs_start(&c, fs_run_read);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct fs_call c = call_of(req, node);

    fs_start(&c, fs_run_statfs);
}

static void op_opendir(fuse_req_t req, fuse_ino_t node,
                       struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    (void)fi;
    fs_start(&c, fs_run_opendir);
}

static void read_dir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                     const struct fuse_file_info *fi, bool is_plus)
{
    struct fs_call c = call_of(req, node);

    c.handle = fs_handle_of(fi);
    c.size = size < FS_READ_BYTES_MAX ? size : FS_READ_BYTES_MAX;
    c.offset = (uint64_t)offset;
    c.is_plus = is_plus;
    fs_start(&c, fs_run_readdir);
}

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size,
                       off_t offset, struct fuse_file_info *fi)
{
    read_dir(req, node, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size,
                           off_t offset, struct fuse_file_info *fi)
{
    read_dir(req, node, size, offset, fi, true);
}

/* ---- Changing ---- */

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *fi)
{
    struct fs_call c = call_of_name(req, parent, name);

    c.mode = S_IFREG | (mode & 07777);
    c.flags = fi->flags;
    fs_start(&c, fs_run_create);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode, dev_t device)
{
    struct fs_call c = call_of_name(req, parent, name);

    (void)device;
    c.mode = mode;
    fs_start(&c, fs_run_mknod);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                     mode_t mode)
{
    struct fs_call c = call_of_name(req, parent, name);

    c.mode = S_IFDIR | (mode & 07777);
    fs_start(&c, fs_run_mkdir);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
                       const char *name)
{
    struct fs_call c = call_of_name(req, parent, name);

    c.mode = S_IFLNK | 0777;
    c.data = target;
    c.size = strlen(target);
    fs_start(&c, fs_run_symlink);
}

static void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent,
                    const char *new_name)
{
    struct fs_call c = call_of(req, node);

    add_new_name(&c, new_parent, new_name);
    fs_start(&c, fs_run_link);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call c = call_of_name(req, parent, name);

    fs_start(&c, fs_run_unlink);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_call c = call_of_name(req, parent, name);

    fs_start(&c, fs_run_rmdir);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t new_parent, const char *new_name,
                      unsigned int flags)
{
    struct fs_call c = call_of_name(req, parent, name);

    add_new_name(&c, new_parent, new_name);
    c.flags = (int)flags;
    fs_start(&c, fs_run_rename);
}

static void op_write(fuse_req_t req, fuse_ino_t node, const char *data,
                     size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct fs_call c = call_of_file(req, node, fi);

    c.data = data;
    c.size = size;
    c.offset = (uint64_t)offset;
    fs_start(&c, fs_run_write);
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static uint32_t attrs_of(int to_set)
{
    static const struct {
        int fuse;
        uint32_t command;
    } map[] = {
        {FUSE_SET_ATTR_MODE, COMMAND_MODE},
        {FUSE_SET_ATTR_UID, COMMAND_UID},
        {FUSE_SET_ATTR_GID, COMMAND_GID},
        {FUSE_SET_ATTR_SIZE, COMMAND_SIZE},
        {FUSE_SET_ATTR_ATIME, COMMAND_ATIME},
        {FUSE_SET_ATTR_MTIME, COMMAND_MTIME},
        /* Given beside the two above, and stronger. */
        {FUSE_SET_ATTR_ATIME_NOW, COMMAND_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, COMMAND_MTIME_NOW},
    };
    uint32_t attrs = 0;

    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if ((to_set & map[i].fuse) != 0)
            attrs |= map[i].command;
    }
    if ((attrs & COMMAND_ATIME_NOW) != 0)
        attrs &= ~(uint32_t)COMMAND_ATIME;
    if ((attrs & COMMAND_MTIME_NOW) != 0)
        attrs &= ~(uint32_t)COMMAND_MTIME;
    return attrs;
}

/* The change time is the state's own: the kernel's is not asked. */
static void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr,
                       int to_set, struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    c.handle = fs_handle_of(fi);
    c.attrs = attrs_of(to_set);
    c.mode = attr->st_mode & 07777;
    c.attr_uid = attr->st_uid;
    c.attr_gid = attr->st_gid;
    c.offset = (uint64_t)attr->st_size;
    c.atime = ns_of(attr->st_atim);
    c.mtime = ns_of(attr->st_mtim);
    fs_start(&c, c.attrs != 0 ? fs_run_setattr : fs_run_getattr);
}

/* ---- Closing ---- */

static void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs_call c = call_of_file(req, node, fi);

    c.handle->flushes++;
    fs_start(&c, fs_run_flush);
}

static void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync,
                     struct fuse_file_info *fi)
{
    struct fs_call c = call_of_file(req, node, fi);

    (void)datasync;
    fs_start(&c, fs_run_fsync);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync,
                        struct fuse_file_info *fi)
{
    struct fs_call c = call_of(req, node);

    (void)datasync;
    (void)fi;
    fs_start(&c, fs_run_fsyncdir);
}

/* Nobody waits for this answer, and nobody looks at it. */
static void op_release(fuse_req_t req, fuse_ino_t node,
                       struct fuse_file_info *fi)
{
    struct fs_call c = call_of_file(req, node, fi);

    c.fs->counters.requests++;
    fs_reply_err(&c, 0);
    fs_stage_release(c.handle);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_release,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .create = op_create,
};
