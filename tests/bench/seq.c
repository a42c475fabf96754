#include "tests/bench/seq.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/clock.h"

#define CALL_BYTES ((size_t)1 << 20)

static double rate(unsigned mib, px_ns start)
{
    return mib / ((double)(clock_now() - start) / 1e9);
}

/* Each call's first word is its number, so that a piece in the wrong place is
 * seen. */
static int write_all(int fd, unsigned mib, uint64_t *data)
{
    unsigned i;

    for (i = 0; i < mib; i++) {
        ssize_t n;

        data[0] = i;
        n = write(fd, data, CALL_BYTES);
        if (n != (ssize_t)CALL_BYTES)
            return n < 0 ? -errno : -EIO;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int read_all(int fd, unsigned mib, unsigned flags, uint64_t *data)
{
    unsigned i;

    for (i = 0; i < mib; i++) {
        ssize_t n = read(fd, data, CALL_BYTES);

        if (n != (ssize_t)CALL_BYTES)
            return n < 0 ? -errno : -EIO;
        if ((flags & SEQ_CHECK) && data[0] != i)
            return -EILSEQ;
    }
    return 0;
}

int seq_write(const char *path, unsigned mib, double *mib_per_s_out)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    uint64_t *data = malloc(CALL_BYTES);
    px_ns start;
    int rc;

    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    if (data == NULL) {
        rc = -ENOMEM;
        goto out;
    }
    memset(data, 'x', CALL_BYTES);
    start = clock_now();
    rc = write_all(fd, mib, data);
    *mib_per_s_out = rate(mib, start);
out:
    free(data);
    if (fd >= 0 && close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

int seq_read(const char *path, unsigned mib, unsigned flags,
             double *mib_per_s_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t *data = malloc(CALL_BYTES);
    px_ns start;
    int rc = 0;

    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    if (data == NULL) {
        rc = -ENOMEM;
        goto out;
    }
    memset(data, 0, CALL_BYTES);
    if (flags & SEQ_COLD)
        rc = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    start = clock_now();
    if (rc == 0)
        rc = read_all(fd, mib, flags, data);
    *mib_per_s_out = rate(mib, start);
out:
    free(data);
    if (fd >= 0)
        close(fd);
    return rc;
}
