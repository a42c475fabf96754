/* A segment as the disk holds it, from its first byte to its last, for
 * recovery: one that walks forward through a window, past the page cache where
 * the filesystem can do that. */
#ifndef STORE_LOG_SCAN_H
#define STORE_LOG_SCAN_H

#include "store/disk.h"
#include "store/log_format.h"

struct log_scan {
    struct store_disk *disk;
    int file; /* -1: closed */
    bool is_direct;
    uint64_t file_bytes;
    uint8_t *window; /* aligned for direct I/O */
    uint64_t base;   /* offset of the window, a multiple of a block */
    size_t filled;
};

int log_scan_init(struct log_scan *s, struct store_disk *disk);
void log_scan_fini(struct log_scan *s);

/* Turns to segment @sequence. @past_cache: read it past the page cache, if the
 * disk lets us; is_direct says whether it does. */
int log_scan_open(struct log_scan *s, uint32_t sequence, bool past_cache);
void log_scan_close(struct log_scan *s);

/* @size bytes at @offset, good until the next call; NULL in @bytes_out where
 * the file ends before. @size is at most a record's, with its head. */
int log_scan_at(struct log_scan *s, uint64_t offset, size_t size,
                const uint8_t **bytes_out);

/* The end of the last byte from @from on that isn't zero; @from if all are. */
int log_scan_zeros_from(struct log_scan *s, uint64_t from, uint64_t *end_out);

#endif
