/* A segment is made under another name, and gets its own once its head is
 * durable:
 *
 *   create segment.new ─▶ fallocate ─▶ write head ─▶ fsync ─▶ rename ─▶ fsync
 *                                                             of the folder
 * so a crash between any two of these leaves a file that is removed at the
 * next open, or a good segment, and never a segment with half a head. */
#include "store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define SEGMENT_NEW "segment.new"
#define COPY_BYTES (256u * PX_KIB)

void segment_name(uint32_t sequence, char name[SEGMENT_NAME_BYTES])
{
    (void)snprintf(name, SEGMENT_NAME_BYTES, "%010" PRIu32 ".log",
                   sequence); /* always fits */
}

/* 0 for a name that is not a segment's. */
static uint32_t sequence_of(const char *name)
{
    char again[SEGMENT_NAME_BYTES];
    unsigned long long number = strtoull(name, NULL, 10);

    if (number == 0 || number > UINT32_MAX)
        return 0;
    segment_name((uint32_t)number, again);
    return strcmp(name, again) == 0 ? (uint32_t)number : 0;
}

static int compare_sequences(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return (*x > *y) - (*x < *y);
}

static int list_add(uint32_t **list, size_t *count, uint32_t sequence)
{
    if ((*count & (*count - 1)) == 0) { /* 0 or a power of two: full */
        size_t capacity = *count > 0 ? 2 * *count : 1;
        uint32_t *grown = realloc(*list, capacity * sizeof **list);

        if (grown == NULL)
            return -ENOMEM;
        *list = grown;
    }
    (*list)[(*count)++] = sequence;
    return 0;
}

static int list_dir(DIR *dir, uint32_t **list, size_t *count)
{
    const struct dirent *d;

    for (;;) {
        uint32_t sequence;
        int rc;

        errno = 0;
        d = readdir(dir);
        if (d == NULL)
            return -errno;
        sequence = sequence_of(d->d_name);
        if (sequence == 0)
            continue;
        rc = list_add(list, count, sequence);
        if (rc < 0)
            return rc;
    }
}

int segment_list(int dir_fd, uint32_t **sequences_out, size_t *count_out)
{
    uint32_t *list = NULL;
    size_t count = 0;
    DIR *dir = NULL;
    int fd;
    int rc;

    if (unlinkat(dir_fd, SEGMENT_NEW, 0) < 0 && errno != ENOENT)
        return -errno;
    fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = -errno;
        (void)close(fd); /* only read */
        return rc;
    }
    rc = list_dir(dir, &list, &count);
    (void)closedir(dir); /* only read */
    if (rc < 0) {
        free(list);
        return rc;
    }
    if (count > 0)
        qsort(list, count, sizeof *list, compare_sequences);
    *sequences_out = list;
    *count_out = count;
    return 0;
}

int segment_extend(int fd, uint64_t bytes)
{
    int rc;

    do {
        rc = posix_fallocate(fd, 0, (off_t)bytes);
    } while (rc == EINTR);
    return -rc;
}

static int fill_new(int fd, const struct log_segment_head *head)
{
    uint8_t block[LOG_BLOCK_BYTES];
    struct iovec iov = {block, sizeof block};
    int rc;

    rc = segment_extend(fd, head->bytes);
    if (rc < 0)
        return rc;
    log_segment_head_encode(head, block);
    rc = segment_writev(fd, &iov, 1, 0);
    if (rc < 0)
        return rc;
    return fsync(fd) < 0 ? -errno : 0;
}

int segment_create(int dir_fd, const struct log_segment_head *head)
{
    char name[SEGMENT_NAME_BYTES];
    int rc;
    int fd;

    px_assert(head->bytes % LOG_BLOCK_BYTES == 0);
    px_assert(head->bytes <= LOG_SEGMENT_BYTES_MAX);
    fd = openat(dir_fd, SEGMENT_NEW, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
                0600);
    if (fd < 0)
        return -errno;
    rc = fill_new(fd, head);
    if (rc < 0)
        goto fail;
    segment_name(head->sequence, name);
    if (renameat(dir_fd, SEGMENT_NEW, dir_fd, name) < 0 || fsync(dir_fd) < 0) {
        rc = -errno;
        goto fail;
    }
    return fd;
fail:
    /* Best effort: what stays is removed at the next open. */
    (void)unlinkat(dir_fd, SEGMENT_NEW, 0);
    (void)close(fd);
    return rc;
}

int segment_open(int dir_fd, uint32_t sequence, int flags)
{
    char name[SEGMENT_NAME_BYTES];
    int fd;

    segment_name(sequence, name);
    fd = openat(dir_fd, name, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
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

int segment_writev(int fd, struct iovec *iov, size_t count, uint64_t offset)
{
    px_assert(count <= IOV_MAX);
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, (int)count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        offset += (uint64_t)n;
        iov_advance(&iov, &count, (size_t)n);
    }
    return 0;
}

ssize_t segment_read(int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)data + done, size - done,
                          (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int write_all(int fd, void *data, size_t size, uint64_t offset)
{
    struct iovec iov = {data, size};

    return segment_writev(fd, &iov, 1, offset);
}

int segment_zero(int fd, uint64_t from, uint64_t to)
{
    uint8_t zeros[LOG_BLOCK_BYTES] = {0};

    while (from < to) {
        size_t size = sizeof zeros;
        int rc;

        if (size > to - from)
            size = (size_t)(to - from);
        rc = write_all(fd, zeros, size, from);
        if (rc < 0)
            return rc;
        from += size;
    }
    return 0;
}

int segment_rewrite(int fd, uint64_t end)
{
    uint8_t *copy = malloc(COPY_BYTES);
    uint64_t at = 0;
    int rc = 0;

    if (copy == NULL)
        return -ENOMEM;
    while (at < end && rc == 0) {
        size_t size = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t n = segment_read(fd, copy, size, at);

        if (n < 0)
            rc = (int)n;
        else if ((size_t)n < size)
            rc = -EIO; /* it was longer a moment ago */
        else
            rc = write_all(fd, copy, size, at);
        at += size;
    }
    free(copy);
    return rc;
}
