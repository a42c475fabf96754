#include "store/scratch.h"

#include <stdalign.h>
#include <stdlib.h>

struct command_scratch {
    ProtobufCAllocator allocator;
    size_t used;
    alignas(max_align_t) uint8_t arena[SCRATCH_BYTES];
};

static void *scratch_alloc(void *ctx, size_t size)
{
    struct command_scratch *scratch = ctx;
    size_t align = alignof(max_align_t);
    void *p;

    if (size > SCRATCH_BYTES)
        return NULL;
    size = (size + align - 1) / align * align;
    if (size > SCRATCH_BYTES - scratch->used)
        return NULL;
    p = scratch->arena + scratch->used;
    scratch->used += size;
    return p;
}

/* The arena is emptied as a whole, by the next decode. */
static void scratch_release(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

struct command_scratch *command_scratch_new(void)
{
    struct command_scratch *scratch = malloc(sizeof *scratch);

    if (scratch == NULL)
        return NULL;
    scratch->allocator = (ProtobufCAllocator){
        .alloc = scratch_alloc,
        .free = scratch_release,
        .allocator_data = scratch,
    };
    scratch->used = 0;
    return scratch;
}

void command_scratch_free(struct command_scratch *scratch)
{
    free(scratch);
}

ProtobufCAllocator *command_scratch_begin(struct command_scratch *scratch)
{
    scratch->used = 0;
    return &scratch->allocator;
}
