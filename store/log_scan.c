#include "store/log_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/segment.h"

#define WINDOW_BYTES (4u * PX_MIB)

static_assert(WINDOW_BYTES >=
                  2 * LOG_BLOCK_BYTES + LOG_HEAD_BYTES + PX_ENTRY_BYTES_MAX,
              "the largest record fits, wherever in a block it begins");

/* Pages of its own: aligned, and none is touched that a short file leaves. */
int log_scan_init(struct log_scan *s)
{
    void *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *s = (struct log_scan){.fd = -1};
    if (window == MAP_FAILED)
        return -errno;
    s->window = window;
    return 0;
}

void log_scan_fini(struct log_scan *s)
{
    log_scan_close(s);
    if (s->window != NULL)
        (void)munmap(s->window, WINDOW_BYTES); /* it is ours */
    s->window = NULL;
}

void log_scan_close(struct log_scan *s)
{
    if (s->fd >= 0)
        (void)close(s->fd); /* only read */
    s->fd = -1;
}

/* Fills the window from the block that holds @offset on. Whole blocks are
 * asked for, as direct I/O wants it; only the file's last may come short. */
static int fill(struct log_scan *s, uint64_t offset)
{
    uint64_t base = offset - offset % LOG_BLOCK_BYTES;
    uint64_t left = s->file_bytes - base;
    size_t wanted = WINDOW_BYTES;

    if (left < wanted)
        wanted =
            ((size_t)left + LOG_BLOCK_BYTES - 1) & ~(LOG_BLOCK_BYTES - 1ul);
    s->base = base;
    s->filled = 0;
    while (s->filled < wanted && base + s->filled < s->file_bytes) {
        ssize_t n = pread(s->fd, s->window + s->filled, wanted - s->filled,
                          (off_t)(base + s->filled));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO; /* it was longer when it was opened */
        s->filled += (size_t)n;
    }
    return 0;
}

static int open_with(struct log_scan *s, int dir_fd, uint32_t sequence,
                     int flags)
{
    struct stat st;

    log_scan_close(s);
    s->fd = segment_open(dir_fd, sequence, O_RDONLY | flags);
    if (s->fd < 0)
        return s->fd;
    if (fstat(s->fd, &st) < 0)
        return -errno;
    s->is_direct = flags != 0;
    s->file_bytes = (uint64_t)st.st_size;
    return fill(s, 0);
}

int log_scan_open(struct log_scan *s, int dir_fd, uint32_t sequence,
                  bool past_cache)
{
    int rc = open_with(s, dir_fd, sequence, past_cache ? O_DIRECT : 0);

    /* Filesystems without direct I/O refuse the open or the first read. */
    if (past_cache && rc == -EINVAL)
        rc = open_with(s, dir_fd, sequence, 0);
    return rc;
}

int log_scan_at(struct log_scan *s, uint64_t offset, size_t size,
                const uint8_t **bytes_out)
{
    px_assert(size <= WINDOW_BYTES - LOG_BLOCK_BYTES);
    *bytes_out = NULL;
    if (offset + size > s->file_bytes)
        return 0;
    if (offset < s->base || offset + size > s->base + s->filled) {
        int rc = fill(s, offset);

        if (rc < 0)
            return rc;
    }
    *bytes_out = s->window + (offset - s->base);
    return 0;
}

/* The end of the last byte that isn't zero, 0 if all are. */
static size_t used_bytes(const uint8_t *block, size_t size)
{
    static const uint8_t zeros[LOG_BLOCK_BYTES];

    if (memcmp(block, zeros, size) == 0)
        return 0;
    while (block[size - 1] == 0)
        size--;
    return size;
}

int log_scan_zeros_from(struct log_scan *s, uint64_t from, uint64_t *end_out)
{
    uint64_t end = from;

    for (uint64_t at = from; at < s->file_bytes;) {
        uint64_t next = at - at % LOG_BLOCK_BYTES + LOG_BLOCK_BYTES;
        const uint8_t *bytes;
        size_t used;
        int rc;

        if (next > s->file_bytes)
            next = s->file_bytes;
        rc = log_scan_at(s, at, (size_t)(next - at), &bytes);
        if (rc < 0)
            return rc;
        used = used_bytes(bytes, (size_t)(next - at));
        if (used > 0)
            end = at + used;
        at = next;
    }
    *end_out = end;
    return 0;
}
