/* A segment is made under another name, and gets its own once its head is
 * durable:
 *
 *   create segment.new ─▶ allocate ─▶ write head ─▶ sync ─▶ rename ─▶ sync_dir
 * so a crash between any two of these leaves a file that is removed at the
 * next open, or a good segment, and never a segment with half a head. */
#include "store/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define SEGMENT_NEW "segment.new"
#define COPY_BYTES (256u * PX_KIB)

void segment_name(uint32_t sequence, char name[SEGMENT_NAME_BYTES])
{
    (void)snprintf(name, SEGMENT_NAME_BYTES, "%010" PRIu32 ".log",
                   sequence); /* always fits */
}

/* 0 for a name that is not a segment's with @suffix. */
static uint32_t sequence_of(const char *name, const char *suffix)
{
    char again[SEGMENT_NAME_BYTES];
    unsigned long long number = strtoull(name, NULL, 10);

    if (number == 0 || number > UINT32_MAX)
        return 0;
    segment_name((uint32_t)number, again);
    return strncmp(name, again, strlen(again)) == 0 &&
                   strcmp(name + strlen(again), suffix) == 0
               ? (uint32_t)number
               : 0;
}

static int compare_sequences(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;

    return (*x > *y) - (*x < *y);
}

struct list {
    const char *suffix;
    uint32_t *sequences;
    size_t count;
};

static int list_add(void *ctx, const char *name)
{
    struct list *l = ctx;
    uint32_t sequence = sequence_of(name, l->suffix);

    if (sequence == 0)
        return 0;
    if ((l->count & (l->count - 1)) == 0) { /* 0 or a power of two: full */
        size_t capacity = l->count > 0 ? 2 * l->count : 1;
        uint32_t *grown =
            realloc(l->sequences, capacity * sizeof *l->sequences);

        if (grown == NULL)
            return -ENOMEM;
        l->sequences = grown;
    }
    l->sequences[l->count++] = sequence;
    return 0;
}

static int list_with(struct store_disk *d, const char *suffix,
                     uint32_t **sequences_out, size_t *count_out)
{
    struct list list = {.suffix = suffix};
    int rc = d->list(d, list_add, &list);

    if (rc < 0) {
        free(list.sequences);
        return rc;
    }
    if (list.count > 0)
        qsort(list.sequences, list.count, sizeof *list.sequences,
              compare_sequences);
    *sequences_out = list.sequences;
    *count_out = list.count;
    return 0;
}

int segment_list(struct store_disk *d, uint32_t **sequences_out,
                 size_t *count_out)
{
    int rc = d->remove(d, SEGMENT_NEW);

    if (rc < 0 && rc != -ENOENT)
        return rc;
    return list_with(d, "", sequences_out, count_out);
}

int segment_list_bad(struct store_disk *d, uint32_t **sequences_out,
                     size_t *count_out)
{
    return list_with(d, SEGMENT_BAD, sequences_out, count_out);
}

static int fill_new(struct store_disk *d, int file,
                    const struct log_segment_head *head)
{
    uint8_t block[LOG_BLOCK_BYTES];
    int rc = d->allocate(d, file, head->bytes);

    if (rc < 0)
        return rc;
    log_segment_head_encode(head, block);
    rc = segment_write(d, file, block, sizeof block, 0);
    return rc < 0 ? rc : d->sync(d, file);
}

int segment_create(struct store_disk *d, const struct log_segment_head *head)
{
    char name[SEGMENT_NAME_BYTES];
    int file;
    int rc;

    px_assert(head->bytes % LOG_BLOCK_BYTES == 0);
    px_assert(head->bytes <= LOG_SEGMENT_BYTES_MAX);
    file = d->open(d, SEGMENT_NEW,
                   STORE_DISK_READ | STORE_DISK_WRITE | STORE_DISK_CREATE);
    if (file < 0)
        return file;
    rc = fill_new(d, file, head);
    if (rc < 0)
        goto fail;
    segment_name(head->sequence, name);
    rc = d->rename(d, SEGMENT_NEW, name);
    if (rc == 0)
        rc = segment_unknown(d->sync_dir(d));
    if (rc < 0)
        goto fail;
    return file;
fail:
    /* Best effort: what stays is removed at the next open, or made anew. */
    (void)d->remove(d, SEGMENT_NEW);
    d->close(d, file);
    return rc;
}

int segment_open(struct store_disk *d, uint32_t sequence, unsigned how)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(sequence, name);
    return d->open(d, name, how);
}

int segment_write(struct store_disk *d, int file, const void *data, size_t size,
                  uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)data, size}; /* only read from */

    return d->write(d, file, &iov, 1, offset);
}

int segment_zero(struct store_disk *d, int file, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[LOG_BLOCK_BYTES];

    while (from < to) {
        size_t size = sizeof zeros;
        int rc;

        if (size > to - from)
            size = (size_t)(to - from);
        rc = segment_write(d, file, zeros, size, from);
        if (rc < 0)
            return rc;
        from += size;
    }
    return 0;
}

int segment_rewrite(struct store_disk *d, int file, uint64_t end)
{
    uint8_t *copy = malloc(COPY_BYTES);
    uint64_t at = 0;
    int rc = 0;

    if (copy == NULL)
        return -ENOMEM;
    while (at < end && rc == 0) {
        size_t size = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t n = d->read(d, file, copy, size, at);

        if (n < 0)
            rc = (int)n;
        else if ((size_t)n < size)
            rc = -EIO; /* it was longer a moment ago */
        else
            rc = segment_write(d, file, copy, size, at);
        at += size;
    }
    free(copy);
    return rc;
}
