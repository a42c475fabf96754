#include "store/log_scan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "store/segment.h"

#define WINDOW_BYTES (4u * PX_MIB)

static_assert(WINDOW_BYTES >=
                  2 * LOG_BLOCK_BYTES + LOG_HEAD_BYTES + PX_ENTRY_BYTES_MAX,
              "the largest record fits, wherever in a block it begins");

/* Pages of its own: aligned, and none is touched that a short file leaves. */
int log_scan_init(struct log_scan *s, struct store_disk *disk)
{
    void *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *s = (struct log_scan){.disk = disk, .file = -1};
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
    if (s->file >= 0)
        s->disk->close(s->disk, s->file);
    s->file = -1;
}

/* Fills the window from the block that holds @offset on. Whole blocks are
 * asked for, as direct I/O wants it; only the file's last may come short. */
static int fill(struct log_scan *s, uint64_t offset)
{
    uint64_t base = offset - offset % LOG_BLOCK_BYTES;
    uint64_t left = s->file_bytes - base;
    size_t wanted = WINDOW_BYTES;
    ssize_t n;

    if (left < wanted)
        wanted =
            ((size_t)left + LOG_BLOCK_BYTES - 1) & ~(LOG_BLOCK_BYTES - 1ul);
    s->base = base;
    s->filled = 0;
    n = s->disk->read(s->disk, s->file, s->window, wanted, base);
    if (n < 0)
        return (int)n;
    if ((size_t)n < wanted && base + (size_t)n < s->file_bytes)
        return -EIO; /* it was longer when it was opened */
    s->filled = (size_t)n;
    return 0;
}

static int open_with(struct log_scan *s, uint32_t sequence, unsigned how)
{
    int rc;

    log_scan_close(s);
    s->file = segment_open(s->disk, sequence,
                           px_mutant(TAIL_FROM_CACHE) ? STORE_DISK_READ : how);
    if (s->file < 0)
        return s->file;
    rc = s->disk->size(s->disk, s->file, &s->file_bytes);
    if (rc < 0)
        return rc;
    s->is_direct = (how & STORE_DISK_UNCACHED) != 0;
    return fill(s, 0);
}

int log_scan_open(struct log_scan *s, uint32_t sequence, bool past_cache)
{
    int rc = -EINVAL;

    if (past_cache)
        rc = open_with(s, sequence, STORE_DISK_READ | STORE_DISK_UNCACHED);
    /* Disks without such reads refuse the open or the first read. */
    if (rc == -EINVAL)
        rc = open_with(s, sequence, STORE_DISK_READ);
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
