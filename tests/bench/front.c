/* The front of the null filesystem and of the floor.
 *
 * A file's bytes are kept modulo FILE_BYTES, its size is not: so that a
 * sequential write of any length costs its copies and no more memory. */
#include "tests/bench/front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 64u
#define FILE_BYTES ((size_t)1 << 20) /* also the longest read and write */
#define INODE_FIRST (FUSE_ROOT_ID + 1)

struct file {
    char *data; /* FILE_BYTES, from the first write on */
    off_t size;
};

static struct file files[FILES_MAX];
static front_write_fn *write_hook;

static struct file *file_of(fuse_ino_t inode)
{
    if (inode < INODE_FIRST || inode >= INODE_FIRST + FILES_MAX)
        return NULL;
    return &files[inode - INODE_FIRST];
}

static struct stat stat_of(fuse_ino_t inode)
{
    struct stat st = {.st_ino = inode, .st_nlink = 1, .st_blksize = 4096};
    const struct file *f = file_of(inode);

    st.st_mode = f == NULL ? S_IFDIR | 0755 : S_IFREG | 0644;
    st.st_size = f == NULL ? 0 : f->size;
    return st;
}

/* "f17" is 17; -1 for what is not ours. */
static int number_of(const char *name)
{
    char *end;
    unsigned long n;

    if (name[0] != 'f' || name[1] < '0' || name[1] > '9')
        return -1;
    n = strtoul(name + 1, &end, 10);
    return *end == '\0' && n < FILES_MAX ? (int)n : -1;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param e = {0};
    int n = parent == FUSE_ROOT_ID ? number_of(name) : -1;

    if (n < 0) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    e.ino = INODE_FIRST + (fuse_ino_t)n;
    e.attr = stat_of(e.ino);
    fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t inode,
                       struct fuse_file_info *fi)
{
    struct stat st = stat_of(inode);

    (void)fi; /* an inode says enough */
    fuse_reply_attr(req, &st, 0);
}

static void on_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *attr,
                       int to_set, struct fuse_file_info *fi)
{
    struct file *f = file_of(inode);

    if (f != NULL && (to_set & FUSE_SET_ATTR_SIZE))
        f->size = attr->st_size;
    on_getattr(req, inode, fi);
}

static void on_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
    struct file *f = file_of(inode);

    if (f == NULL) {
        fuse_reply_err(req, EISDIR);
        return;
    }
    if (fi->flags & O_TRUNC)
        f->size = 0;
    fi->direct_io = 1;
    fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
    fuse_reply_open(req, fi);
}

/* Bytes [at, at + size) live at most in two pieces of the ring. */
static size_t until_wrap(off_t at, size_t size)
{
    size_t room = FILE_BYTES - (size_t)at % FILE_BYTES;

    return size < room ? size : room;
}

static void on_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t at,
                    struct fuse_file_info *fi)
{
    const struct file *f = file_of(inode);
    struct iovec iov[2];
    size_t left;

    (void)fi;
    if (f == NULL || f->data == NULL || at >= f->size) {
        fuse_reply_buf(req, NULL, 0);
        return;
    }
    left = (size_t)(f->size - at);
    if (size > left)
        size = left;
    if (size > FILE_BYTES)
        size = FILE_BYTES;
    iov[0].iov_base = f->data + (size_t)at % FILE_BYTES;
    iov[0].iov_len = until_wrap(at, size);
    iov[1].iov_base = f->data;
    iov[1].iov_len = size - iov[0].iov_len;
    fuse_reply_iov(req, iov, iov[1].iov_len > 0 ? 2 : 1);
}

static void on_write(fuse_req_t req, fuse_ino_t inode, const char *data,
                     size_t size, off_t at, struct fuse_file_info *fi)
{
    struct file *f = file_of(inode);
    size_t first;

    (void)fi;
    if (f == NULL || size > FILE_BYTES) {
        fuse_reply_err(req, EIO);
        return;
    }
    if (f->data == NULL && (f->data = calloc(1, FILE_BYTES)) == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    first = until_wrap(at, size);
    memcpy(f->data + (size_t)at % FILE_BYTES, data, first);
    memcpy(f->data, data + first, size - first);
    if (at + (off_t)size > f->size)
        f->size = at + (off_t)size;
    if (write_hook != NULL)
        write_hook(req, data, size);
    else
        fuse_reply_write(req, size);
}

static void on_flush(fuse_req_t req, fuse_ino_t inode,
                     struct fuse_file_info *fi)
{
    (void)inode, (void)fi; /* nothing is kept back */
    fuse_reply_err(req, 0);
}

static void on_fsync(fuse_req_t req, fuse_ino_t inode, int data_only,
                     struct fuse_file_info *fi)
{
    (void)data_only;
    on_flush(req, inode, fi);
}

static const struct fuse_lowlevel_ops ops = {
    .lookup = on_lookup,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .flush = on_flush,
    .release = on_flush,
    .fsync = on_fsync,
};

struct fuse_session *front_open(const char *mountpoint,
                                front_write_fn *on_write_hook)
{
    char options[] = "default_permissions,allow_other,nosuid,nodev,"
                     "fsname=bench,subtype=bench";
    char *argv[] = {"bench-front", "-o", options};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *session;

    write_hook = on_write_hook;
    session = fuse_session_new(&args, &ops, sizeof ops, NULL);
    fuse_opt_free_args(&args);
    if (session == NULL)
        return NULL;
    if (fuse_set_signal_handlers(session) != 0)
        goto fail;
    if (fuse_session_mount(session, mountpoint) != 0)
        goto fail_handlers;
    return session;
fail_handlers:
    fuse_remove_signal_handlers(session);
fail:
    fuse_session_destroy(session);
    return NULL;
}

void front_close(struct fuse_session *session)
{
    size_t i;

    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
    fuse_session_destroy(session);
    for (i = 0; i < FILES_MAX; i++)
        free(files[i].data);
}
