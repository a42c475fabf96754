/* Counted bytes, and slices of them.
 *
 * A px_buf is a block of bytes with a reference count. It is filled once by
 * whoever made it, then shared and never changed: between the queue to a peer,
 * the log thread and the apply thread. The last holder frees.
 *
 * A px_slice is a range of a buf, or of memory that outlives it by other means
 * (owner == NULL: static bytes, or bytes the holder's caller keeps).
 *
 * Thread: any, for ref and unref; the bytes are immutable once shared. */
#ifndef PX_BUF_H
#define PX_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct px_buf {
    _Atomic uint32_t refs;
    size_t size; /* bytes */
    uint8_t data[];
};

struct px_slice {
    struct px_buf *owner;
    const uint8_t *data;
    size_t size;
};

/* A buf of @size bytes, not cleared, with one reference; NULL without memory. */
struct px_buf *px_buf_new(size_t size);
struct px_buf *px_buf_ref(struct px_buf *b);
/* NULL is accepted. */
void px_buf_unref(struct px_buf *b);

/* A slice of @b. Takes no reference: px_slice_ref does. */
struct px_slice px_slice_of(struct px_buf *b, size_t offset, size_t size);
/* @s with its owner's count raised. */
struct px_slice px_slice_ref(struct px_slice s);
void px_slice_unref(struct px_slice *s);
/* A slice of a new buf that holds a copy; owner == NULL without memory. */
struct px_slice px_slice_copy(const void *data, size_t size);

#endif
