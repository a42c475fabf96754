#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct px_buf *px_buf_new(size_t size)
{
    struct px_buf *b;

    if (size > SIZE_MAX - sizeof *b)
        return NULL;
    b = malloc(sizeof *b + size);
    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->size = size;
    return b;
}

struct px_buf *px_buf_ref(struct px_buf *b)
{
    uint32_t before =
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

    px_assert(before > 0 && before < UINT32_MAX);
    return b;
}

void px_buf_unref(struct px_buf *b)
{
    uint32_t before;

    if (b == NULL)
        return;
    before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    px_assert(before > 0);
    if (before == 1)
        free(b);
}

struct px_slice px_slice_of(struct px_buf *b, size_t offset, size_t size)
{
    px_assert(offset <= b->size);
    px_assert(size <= b->size - offset);
    return (struct px_slice){b, b->data + offset, size};
}

struct px_slice px_slice_ref(struct px_slice s)
{
    if (s.owner != NULL)
        (void)px_buf_ref(s.owner); /* the slice already carries it */
    return s;
}

void px_slice_unref(struct px_slice *s)
{
    px_buf_unref(s->owner);
    *s = (struct px_slice){0};
}

struct px_slice px_slice_copy(const void *data, size_t size)
{
    struct px_buf *b = px_buf_new(size);

    if (b == NULL)
        return (struct px_slice){0};
    if (size > 0)
        memcpy(b->data, data, size);
    return px_slice_of(b, 0, size);
}
