/* The end of a request: a result, or an error as the kernel knows it. This is
 * the only file that speaks errno to the kernel.
 *
 * A reply can fail only because the kernel no longer waits for it (the caller
 * was killed, or the mount is gone): then nobody is left to tell. What opens a
 * file must know, though, since no RELEASE will come. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/note.h"
#include "fs/core.h"

#define BLOCK_BYTES 4096u
#define NS_PER_S INT64_C(1000000000)

/* Takes the request out of the call: F1. */
static fuse_req_t take(struct fs_call *c)
{
    fuse_req_t req = c->req;

    px_assert(req != NULL);
    c->req = NULL;
    return req;
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    if (t.tv_nsec < 0) { /* before 1970 */
        t.tv_sec--;
        t.tv_nsec += NS_PER_S;
    }
    return t;
}

void fs_stat_of(const struct store_inode *inode, struct stat *st)
{
    *st = (struct stat){
        .st_ino = inode->inode,
        .st_mode = inode->mode,
        .st_nlink = inode->links,
        .st_uid = inode->uid,
        .st_gid = inode->gid,
        .st_size = (off_t)inode->size,
        .st_blocks = (blkcnt_t)inode->blocks,
        .st_blksize = BLOCK_BYTES,
        .st_atim = timespec_of(inode->atime),
        .st_mtim = timespec_of(inode->mtime),
        .st_ctim = timespec_of(inode->ctime),
    };
}

void fs_entry_of(uint64_t node, const struct store_inode *inode,
                 struct fuse_entry_param *entry)
{
    /* Timeouts stay 0: the kernel asks each time. */
    *entry = (struct fuse_entry_param){.ino = node};
    fs_stat_of(inode, &entry->attr);
}

static void note_damage(struct fs_call *c)
{
    if (c->fs->has_noted_damage)
        return;
    c->fs->has_noted_damage = true;
    px_note(PX_NOTE_ERROR,
            "fs: stored bytes are damaged inode=%llu offset=%llu",
            (unsigned long long)c->inode, (unsigned long long)c->offset);
}

void fs_reply_err(struct fs_call *c, int rc)
{
    if (rc < 0)
        c->fs->counters.replies_err++;
    if (rc == -PX_ECORRUPT)
        note_damage(c);
    (void)fuse_reply_err(take(c), rc < 0 ? px_mount_errno(rc) : 0);
}

void fs_reply_entry(struct fs_call *c, uint64_t node,
                    const struct store_inode *inode)
{
    struct fuse_entry_param entry;

    fs_entry_of(node, inode, &entry);
    (void)fuse_reply_entry(take(c), &entry);
}

void fs_reply_attr(struct fs_call *c, const struct store_inode *inode)
{
    struct stat st;

    fs_stat_of(inode, &st);
    (void)fuse_reply_attr(take(c), &st, 0);
}

void fs_reply_bytes(struct fs_call *c, const void *data, size_t size)
{
    (void)fuse_reply_buf(take(c), data, size);
}

void fs_reply_link(struct fs_call *c, const char *target)
{
    (void)fuse_reply_readlink(take(c), target);
}

void fs_reply_write(struct fs_call *c, size_t count)
{
    (void)fuse_reply_write(take(c), count);
}

static void file_info_of(struct fs_handle *h, struct fuse_file_info *fi)
{
    *fi = (struct fuse_file_info){
        .fh = (uint64_t)(uintptr_t)h,
        .direct_io = 1,
        /* A flush matters to staged opens alone: one request less to close a
         * file that was only read. */
        .noflush =
            (h->flags & O_ACCMODE) == O_RDONLY && h->stage == FS_STAGE_NONE,
    };
}

void fs_reply_open(struct fs_call *c, struct fs_handle *h)
{
    struct fuse_file_info fi;

    file_info_of(h, &fi);
    if (fuse_reply_open(take(c), &fi) == -ENOENT)
        fs_handle_free(h);
}

void fs_reply_create(struct fs_call *c, struct fs_handle *h,
                     const struct store_inode *inode)
{
    struct fuse_entry_param entry;
    struct fuse_file_info fi;

    fs_entry_of(h->node, inode, &entry);
    file_info_of(h, &fi);
    if (fuse_reply_create(take(c), &entry, &fi) == -ENOENT)
        fs_handle_free(h);
}

/* Without a quota, as in the first moment of a cluster: as much as a file may
 * have. */
void fs_reply_usage(struct fs_call *c, const struct store_usage *usage)
{
    uint64_t quota = usage->quota != 0 ? usage->quota : PX_FILE_BYTES_MAX;
    uint64_t blocks = quota / BLOCK_BYTES;
    uint64_t used = (usage->used + BLOCK_BYTES - 1) / BLOCK_BYTES;
    uint64_t free_blocks = used < blocks ? blocks - used : 0;
    uint64_t free_files =
        usage->used < quota ? (quota - usage->used) / usage->bytes_per_file : 0;
    struct statvfs st = {
        .f_bsize = BLOCK_BYTES,
        .f_frsize = BLOCK_BYTES,
        .f_blocks = blocks,
        .f_bfree = free_blocks,
        .f_bavail = free_blocks,
        .f_files = usage->inodes + free_files,
        .f_ffree = free_files,
        .f_favail = free_files,
        .f_namemax = PX_NAME_BYTES_MAX,
    };

    (void)fuse_reply_statfs(take(c), &st);
}
