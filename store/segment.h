/* Segment files: names, making one, and the few ways in which bytes reach
 * them. What the bytes mean is not known here but for the head. All errors are
 * -errno. */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <errno.h>

#include "store/disk.h"
#include "store/log_format.h"

#define SEGMENT_NAME_BYTES 16
#define SEGMENT_BAD ".bad" /* behind the name of one that was put aside */
#define SEGMENT_BAD_BYTES (SEGMENT_NAME_BYTES + sizeof SEGMENT_BAD)

/* "0000000001.log" */
void segment_name(uint32_t sequence, char name[SEGMENT_NAME_BYTES]);

/* The numbers of the segments in the folder, ascending; free() by the caller.
 * What an interrupted segment_create left is removed; other files are not
 * touched. */
int segment_list(struct store_disk *d, uint32_t **sequences_out,
                 size_t *count_out);

/* Likewise, of those that were put aside. */
int segment_list_bad(struct store_disk *d, uint32_t **sequences_out,
                     size_t *count_out);

/* Makes a segment of @head, h->bytes long and preallocated, under its name and
 * durable, or no segment at all: a file with a segment's name has a good head,
 * and is as long as that says.
 * Returns the file, for reading and writing. Errors: -ENOSPC: there is none, and
 * it may be tried again. Another: there may be one, durable or not. */
int segment_create(struct store_disk *d, const struct log_segment_head *head);
/* @how: of enum store_disk_open. */
int segment_open(struct store_disk *d, uint32_t sequence, unsigned how);

/* @rc of a call that has had its effect in part, or may have: as something
 * else than -ENOSPC, which says that nothing happened. Segments are allocated
 * before they are written, so that a full disk has no other way to say so; but
 * some filesystems don't keep what they allocate. */
static inline int segment_unknown(int rc)
{
    return rc == -ENOSPC ? -EIO : rc;
}

int segment_write(struct store_disk *d, int file, const void *data, size_t size,
                  uint64_t offset);
int segment_zero(struct store_disk *d, int file, uint64_t from, uint64_t to);
/* Writes the bytes before @end anew, as they are. */
int segment_rewrite(struct store_disk *d, int file, uint64_t end);

#endif
