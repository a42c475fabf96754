/* Segment files: names, making one, and the few ways in which bytes reach
 * them. What the bytes mean is not known here but for the head. All errors are
 * -errno; calls that may be interrupted or do less than asked go on. */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <sys/uio.h>

#include "store/log_format.h"

#define SEGMENT_NAME_BYTES 16

/* "0000000001.log" */
void segment_name(uint32_t sequence, char name[SEGMENT_NAME_BYTES]);

/* The numbers of the segments in the folder, ascending; free() by the caller.
 * What an interrupted segment_create left is removed; other files are not
 * touched. */
int segment_list(int dir_fd, uint32_t **sequences_out, size_t *count_out);

/* Makes a segment of @head, h->bytes long and preallocated, under its name and
 * durable, or no segment at all: a file with a segment's name has a good head.
 * Returns a descriptor for reading and writing. */
int segment_create(int dir_fd, const struct log_segment_head *head);
int segment_open(int dir_fd, uint32_t sequence, int flags);
/* Extends a file that has been cut off to @bytes, preallocated. */
int segment_extend(int fd, uint64_t bytes);

/* Writes all of @iov, which is used up. */
int segment_writev(int fd, struct iovec *iov, size_t count, uint64_t offset);
/* Fills @data as far as the file goes; returns the bytes. */
ssize_t segment_read(int fd, void *data, size_t size, uint64_t offset);
int segment_zero(int fd, uint64_t from, uint64_t to);
/* Writes the bytes before @end anew, as they are. */
int segment_rewrite(int fd, uint64_t end);

#endif
