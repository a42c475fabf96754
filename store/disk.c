/* The kernel's files, behind disk.h: every system call that the log, the
 * identity, the note of the boot and snapshots make. Calls that may be
 * interrupted, or do less than asked, go on here. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"

struct kernel_disk {
    struct store_disk disk; /* first: a pointer to it is one to us */
    int dir_fd;
};

static int dir_of(const struct store_disk *d)
{
    return ((const struct kernel_disk *)d)->dir_fd;
}

/* What the last call failed with. A user's quota that is used up is a full disk,
 * for all who have to do with one: here, so that nobody else need know both. */
static int failure(void)
{
    return errno == EDQUOT ? -ENOSPC : -errno;
}

/* ---- Files ---- */

static int disk_open(struct store_disk *d, const char *name, unsigned how)
{
    bool is_written = (how & STORE_DISK_WRITE) != 0;
    bool is_read = (how & STORE_DISK_READ) != 0;
    int flags = O_CLOEXEC;
    int fd;

    px_assert(is_read || is_written);
    px_assert(is_written || (how & STORE_DISK_CREATE) == 0);
    flags |= is_written ? (is_read ? O_RDWR : O_WRONLY) : O_RDONLY;
    if ((how & STORE_DISK_CREATE) != 0)
        flags |= O_CREAT | O_TRUNC;
    if ((how & STORE_DISK_UNCACHED) != 0)
        flags |= O_DIRECT;
    fd = openat(dir_of(d), name, flags, 0600);
    return fd < 0 ? failure() : fd;
}

static void disk_close(struct store_disk *d, int file)
{
    (void)d;
    (void)close(file); /* what had to be durable was synced, or has failed */
}

static int disk_size(struct store_disk *d, int file, uint64_t *bytes_out)
{
    struct stat st;

    (void)d;
    if (fstat(file, &st) < 0)
        return -errno;
    *bytes_out = (uint64_t)st.st_size;
    return 0;
}

/* A read that came short ended with the file, or was interrupted. The size
 * tells: behind an end at an odd offset, a read past the cache is an error. */
static bool is_at_end(struct store_disk *d, int file, uint64_t offset)
{
    uint64_t bytes;

    return disk_size(d, file, &bytes) == 0 && offset >= bytes;
}

static ssize_t disk_read(struct store_disk *d, int file, void *data,
                         size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(file, (uint8_t *)data + done, size - done,
                          (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* the kernel has ENODATA for a sector that is lost */
            return errno == ENODATA ? -EIO : -errno;
        done += (size_t)n;
        if (n == 0 || (done < size && is_at_end(d, file, offset + done)))
            break;
    }
    return (ssize_t)done;
}

/* Takes @done bytes off the front of @iov. */
static void iov_advance(struct iovec **iov, size_t *count, size_t done)
{
    while (*count > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count == 0)
        return;
    (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
    (*iov)->iov_len -= done;
}

static int disk_write(struct store_disk *d, int file, struct iovec *iov,
                      size_t count, uint64_t offset)
{
    (void)d;
    px_assert(count <= IOV_MAX);
    iov_advance(&iov, &count, 0); /* past what is empty */
    while (count > 0) {
        ssize_t n = pwritev(file, iov, (int)count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? failure() : -EIO;
        offset += (uint64_t)n;
        iov_advance(&iov, &count, (size_t)n);
    }
    return 0;
}

static int disk_allocate(struct store_disk *d, int file, uint64_t bytes)
{
    int rc;

    (void)d;
    do {
        rc = posix_fallocate(file, 0, (off_t)bytes);
    } while (rc == EINTR);
    errno = rc; /* which it does not set */
    return rc == 0 ? 0 : failure();
}

/* The data, and of the rest what is needed to read it back: the length. */
static int disk_sync(struct store_disk *d, int file)
{
    (void)d;
    return fdatasync(file) < 0 ? failure() : 0;
}

/* ---- Names ---- */

static int disk_rename(struct store_disk *d, const char *from, const char *to)
{
    int dir = dir_of(d);

    return renameat(dir, from, dir, to) < 0 ? failure() : 0;
}

static int disk_remove(struct store_disk *d, const char *name)
{
    return unlinkat(dir_of(d), name, 0) < 0 ? -errno : 0;
}

/* 1 for a folder, 0 for anything else. */
static int is_folder(int dir_fd, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    if (fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISDIR(st.st_mode);
}

static int list_all(DIR *dir, int (*each)(void *ctx, const char *name),
                    void *ctx)
{
    for (;;) {
        const struct dirent *e;
        int rc;

        errno = 0;
        e = readdir(dir);
        if (e == NULL)
            return -errno;
        rc = is_folder(dirfd(dir), e);
        if (rc == 0)
            rc = each(ctx, e->d_name);
        if (rc < 0)
            return rc;
    }
}

static int disk_list(struct store_disk *d,
                     int (*each)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(dir_of(d), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir;
    int rc;

    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = -errno;
        (void)close(fd); /* only read */
        return rc;
    }
    rc = list_all(dir, each, ctx);
    (void)closedir(dir); /* only read */
    return rc;
}

static int disk_sync_dir(struct store_disk *d)
{
    return fsync(dir_of(d)) < 0 ? failure() : 0;
}

static int disk_room(struct store_disk *d, uint64_t *bytes_out)
{
    struct statvfs st;

    if (fstatvfs(dir_of(d), &st) < 0)
        return -errno;
    *bytes_out = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

/* ---- The door ---- */

int store_disk_open(const char *dir, struct store_disk **disk_out)
{
    struct kernel_disk *k = malloc(sizeof *k);
    int rc;

    if (k == NULL)
        return -ENOMEM;
    *k = (struct kernel_disk){
        .disk = {.open = disk_open,
                 .close = disk_close,
                 .read = disk_read,
                 .write = disk_write,
                 .allocate = disk_allocate,
                 .size = disk_size,
                 .sync = disk_sync,
                 .rename = disk_rename,
                 .remove = disk_remove,
                 .list = disk_list,
                 .sync_dir = disk_sync_dir,
                 .room = disk_room},
        .dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
    };
    if (k->dir_fd < 0) {
        rc = -errno;
        free(k);
        return rc;
    }
    *disk_out = &k->disk;
    return 0;
}

void store_disk_close(struct store_disk *d)
{
    if (d == NULL)
        return;
    (void)close(dir_of(d)); /* a folder */
    free(d);                /* the first member of what was allocated */
}
