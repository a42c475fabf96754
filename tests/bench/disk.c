#include "tests/bench/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_BYTES ((off_t)16 << 20)
#define FILL_BYTES ((size_t)1 << 20)

static int fill(int fd)
{
    char *zeros = calloc(1, FILL_BYTES);
    off_t at;
    int rc = 0;

    if (zeros == NULL)
        return -ENOMEM;
    for (at = 0; at < LOG_BYTES && rc == 0; at += (off_t)FILL_BYTES)
        if (pwrite(fd, zeros, FILL_BYTES, at) != (ssize_t)FILL_BYTES)
            rc = -EIO;
    free(zeros);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

int disk_log_open(struct disk_log *log, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    int rc = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        rc = -errno;
    else if (st.st_size != LOG_BYTES)
        rc = fill(fd);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    log->fd = fd;
    log->at = 0;
    return 0;
}

int disk_log_append(struct disk_log *log, const void *data, size_t bytes)
{
    if (log->at + (off_t)bytes > LOG_BYTES)
        log->at = 0;
    if (pwrite(log->fd, data, bytes, log->at) != (ssize_t)bytes)
        return -EIO;
    log->at += (off_t)bytes;
    return fdatasync(log->fd) < 0 ? -errno : 0;
}
