/* The disk's own floor: small records appended to a preallocated file, each
 * append made durable by one fdatasync. */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <stddef.h>
#include <sys/types.h>

#define DISK_RECORD_BYTES 320u /* a 256-byte value and its heads */

struct disk_log {
    int fd;
    off_t at;
};

/* Opens @path, and creates it if need be: filled with zeros and flushed, so
 * that a later flush has data to write and no blocks to allocate. 0, or
 * -errno. */
int disk_log_open(struct disk_log *log, const char *path);

/* Writes @bytes at the end, or at the start again when the file is full, and
 * flushes. 0, or -errno. */
int disk_log_append(struct disk_log *log, const void *data, size_t bytes);

#endif
