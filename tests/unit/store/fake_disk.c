#include "tests/unit/store/fake_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

static struct {
    bool is_on;
    struct disk_plan plan;
    struct disk_counts counts;
} disk;

/* What the linker calls the real ones. */
int __real_openat64(int dir, const char *path, int flags, ...);
int __real_posix_fallocate64(int fd, off_t offset, off_t size);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count,
                         off_t offset);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t size);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count,
                         off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *path, int flags);

void disk_start(const struct disk_plan *plan)
{
    disk.plan = *plan;
    disk.counts = (struct disk_counts){0};
    disk.is_on = true;
}

void disk_stop(void)
{
    memset(&disk, 0, sizeof disk);
}

const struct disk_counts *disk_counts(void)
{
    return &disk.counts;
}

/* 0, or the error with which this call is to fail. */
static int enter(enum disk_call call)
{
    unsigned n = ++disk.counts.calls[call];
    unsigned at = disk.plan.fail_at[call];

    disk.counts.all++;
    if (at != 0 && (n == at || (n > at && disk.plan.is_lasting)))
        return disk.plan.error;
    return 0;
}

static bool fails(enum disk_call call)
{
    int error = disk.is_on ? enter(call) : 0;

    if (error != 0)
        errno = error;
    return error != 0;
}

static int open_direct(const char *path, int flags)
{
    int dir = open(disk.plan.direct_dir, O_RDONLY | O_DIRECTORY);
    int fd;

    assert_true(dir >= 0);
    fd = __real_openat64(dir, path, flags & ~O_DIRECT);
    close(dir);
    return fd;
}

int __wrap_openat64(int dir, const char *path, int flags, ...)
{
    bool is_refused = false;
    va_list args;
    int mode;

    va_start(args, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    if (fails(DISK_OPENAT))
        return -1;
    if (disk.is_on && (flags & O_DIRECT) != 0) {
        disk.counts.direct_opens++;
        is_refused = disk.plan.refuses_direct;
    }
    if (is_refused) {
        errno = EINVAL;
        return -1;
    }
    if (disk.is_on && (flags & O_DIRECT) != 0 && disk.plan.direct_dir != NULL)
        return open_direct(path, flags);
    if (disk.is_on)
        flags &= ~O_DIRECT; /* so that tests run on any filesystem */
    return __real_openat64(dir, path, flags, mode);
}

int __wrap_posix_fallocate64(int fd, off_t offset, off_t size)
{
    if (fails(DISK_FALLOCATE))
        return errno;
    return __real_posix_fallocate64(fd, offset, size);
}

/* The first @max bytes of @iov. */
static int shorten(struct iovec *to, const struct iovec *iov, int count,
                   size_t max)
{
    int n = 0;

    while (n < count && max > 0) {
        to[n] = iov[n];
        if (to[n].iov_len > max)
            to[n].iov_len = max;
        max -= to[n++].iov_len;
    }
    return n;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count,
                         off_t offset)
{
    struct iovec some[IOV_MAX];
    ssize_t n;

    if (fails(DISK_PWRITEV))
        return -1;
    if (disk.is_on && disk.plan.write_bytes_max > 0) {
        count = shorten(some, iov, count, disk.plan.write_bytes_max);
        iov = some;
    }
    n = __real_pwritev64(fd, iov, count, offset);
    if (n > 0)
        disk.counts.bytes_written += (uint64_t)n;
    return n;
}

int __wrap_fdatasync(int fd)
{
    if (fails(DISK_FDATASYNC))
        return -1;
    if (!disk.is_on)
        return __real_fdatasync(fd);
    return 0; /* no test here loses what was not flushed */
}

int __wrap_fsync(int fd)
{
    if (fails(DISK_FSYNC))
        return -1;
    if (!disk.is_on)
        return __real_fsync(fd);
    return 0; /* no test here loses what was not flushed */
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (fails(DISK_RENAMEAT))
        return -1;
    return __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
    if (fails(DISK_UNLINKAT))
        return -1;
    return __real_unlinkat(dir, path, flags);
}
