/* How far something is that takes long: a walk over all of a log, or of a
 * state. */
#ifndef STORE_PROGRESS_H
#define STORE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct store_progress {
    /* Often, with what is done of what there is; NULL: nobody wants to know. */
    void (*tell)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
};

static inline void store_progress_tell(const struct store_progress *p,
                                       uint64_t done, uint64_t all)
{
    if (p->tell != NULL)
        p->tell(p->ctx, done, all);
}

#endif
