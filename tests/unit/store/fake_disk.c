#include "tests/unit/store/fake_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#define FILES_MAX 64
#define SECTOR_BYTES 512

struct bytes {
    uint8_t *data;
    size_t size;
};

struct disk_file {
    ino_t inode;
    struct bytes flushed;
    struct bytes now;
};

struct disk_name {
    char name[NAME_MAX + 1];
    ino_t inode;
};

struct disk_names {
    size_t count;
    struct disk_name list[FILES_MAX];
};

static struct {
    bool is_on;
    bool has_power;
    char dir[PATH_MAX];
    struct disk_plan plan;
    struct disk_counts counts;
    size_t file_count;
    struct disk_file files[FILES_MAX];
    struct disk_names flushed;
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

/* ---- What is on the disk ---- */

static struct bytes load(int fd)
{
    struct bytes b;
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    b.size = (size_t)st.st_size;
    b.data = malloc(b.size + 1);
    assert_non_null(b.data);
    assert_int_equal(pread(fd, b.data, b.size, 0), b.size);
    return b;
}

static struct disk_file *file_of(int fd)
{
    struct disk_file *file;
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    for (size_t i = 0; i < disk.file_count; i++) {
        if (disk.files[i].inode == st.st_ino)
            return &disk.files[i];
    }
    assert_true(disk.file_count < FILES_MAX);
    file = &disk.files[disk.file_count++];
    *file = (struct disk_file){.inode = st.st_ino};
    return file;
}

static void note_written(int fd)
{
    struct disk_file *file = file_of(fd);

    free(file->now.data);
    file->now = load(fd);
}

static void note_flushed(int fd)
{
    struct disk_file *file = file_of(fd);

    note_written(fd);
    free(file->flushed.data);
    file->flushed = load(fd);
}

static struct disk_names names_now(void)
{
    struct disk_names names = {0};
    DIR *dir = opendir(disk.dir);
    const struct dirent *d;

    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        struct disk_name *n = &names.list[names.count];

        if (d->d_name[0] == '.')
            continue;
        assert_true(names.count < FILES_MAX);
        memcpy(n->name, d->d_name, sizeof n->name);
        n->inode = d->d_ino;
        names.count++;
    }
    closedir(dir);
    return names;
}

static bool is_dir(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

void disk_stop(void)
{
    for (size_t i = 0; i < disk.file_count; i++) {
        free(disk.files[i].flushed.data);
        free(disk.files[i].now.data);
    }
    memset(&disk, 0, sizeof disk);
}

void disk_start(const char *dir, const struct disk_plan *plan)
{
    disk_stop();
    (void)snprintf(disk.dir, sizeof disk.dir, "%s", dir);
    disk.flushed = names_now();
    for (size_t i = 0; i < disk.flushed.count; i++) {
        char path[2 * PATH_MAX];
        int fd;

        (void)snprintf(path, sizeof path, "%s/%s", dir,
                       disk.flushed.list[i].name);
        fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        note_flushed(fd);
        close(fd);
    }
    disk_go_on(plan);
}

void disk_go_on(const struct disk_plan *plan)
{
    disk.plan = *plan;
    disk.counts = (struct disk_counts){0};
    disk.has_power = true;
    disk.is_on = true;
}

void disk_pause(void)
{
    disk.is_on = false;
}

const struct disk_counts *disk_counts(void)
{
    return &disk.counts;
}

bool disk_has_power(void)
{
    return disk.has_power;
}

/* Sector by sector, the old or the new. */
static void write_image(const char *path, const struct disk_file *file,
                        struct px_rand *rand)
{
    bool is_new_size = px_rand_below(rand, 2) == 1;
    size_t size = is_new_size ? file->now.size : file->flushed.size;
    uint8_t *image = calloc(1, size + 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_non_null(image);
    assert_true(fd >= 0);
    for (size_t at = 0; at < size; at += SECTOR_BYTES) {
        const struct bytes *from =
            px_rand_below(rand, 2) == 1 ? &file->now : &file->flushed;
        size_t end = at + SECTOR_BYTES < size ? at + SECTOR_BYTES : size;

        if (end > from->size)
            end = from->size;
        if (at < end)
            memcpy(image + at, from->data + at, end - at);
    }
    assert_int_equal(write(fd, image, size), size);
    close(fd);
    free(image);
}

void disk_image(const char *to, struct px_rand *rand)
{
    struct disk_names names =
        px_rand_below(rand, 2) == 1 ? names_now() : disk.flushed;
    bool was_on = disk.is_on;

    disk.is_on = false;
    for (size_t i = 0; i < names.count; i++) {
        char path[2 * PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/%s", to, names.list[i].name);
        for (size_t k = 0; k < disk.file_count; k++) {
            if (disk.files[k].inode == names.list[i].inode)
                write_image(path, &disk.files[k], rand);
        }
    }
    disk.is_on = was_on;
}

/* ---- The calls ---- */

/* 0, or the error with which this call is to fail. */
static int enter(enum disk_call call)
{
    unsigned n = ++disk.counts.calls[call];
    unsigned at = disk.plan.fail_at[call];

    if (++disk.counts.all == disk.plan.power_fails_at)
        disk.has_power = false;
    if (!disk.has_power)
        return EIO;
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
    int fd;

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
    fd = __real_openat64(dir, path, flags, mode);
    if (fd >= 0 && disk.is_on && (flags & O_TRUNC) != 0)
        note_written(fd);
    return fd;
}

int __wrap_posix_fallocate64(int fd, off_t offset, off_t size)
{
    int rc;

    if (fails(DISK_FALLOCATE))
        return errno;
    rc = __real_posix_fallocate64(fd, offset, size);
    if (disk.is_on)
        note_written(fd);
    return rc;
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
    if (n > 0 && disk.is_on) {
        disk.counts.bytes_written += (uint64_t)n;
        note_written(fd);
    }
    return n;
}

int __wrap_fdatasync(int fd)
{
    if (fails(DISK_FDATASYNC))
        return -1;
    if (!disk.is_on)
        return __real_fdatasync(fd);
    note_flushed(fd);
    return 0;
}

int __wrap_fsync(int fd)
{
    if (fails(DISK_FSYNC))
        return -1;
    if (!disk.is_on)
        return __real_fsync(fd);
    if (is_dir(fd))
        disk.flushed = names_now();
    else
        note_flushed(fd);
    return 0;
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
