/* How far a long start is, for who watches it: a note a second.
 *
 *   progress_begin(&p, "reads the log") ─▶ to store/, which tells
 *                                       ─▶ "store: reads the log: 40%" */
#ifndef NODE_PROGRESS_H
#define NODE_PROGRESS_H

#include "base/time.h"
#include "store/progress.h"

struct progress {
    const char *what;
    px_ns noted; /* when it began, or the last note was written */
};

/* @what is a constant; @p has to last as long as what is returned. */
struct store_progress progress_begin(struct progress *p, const char *what);
/* Where store/ tells in a way of its own. */
void progress_tell(struct progress *p, uint64_t done, uint64_t all);

#endif
