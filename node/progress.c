#include "node/progress.h"

#include "base/note.h"

/* What takes no second says nothing. */
void progress_tell(struct progress *p, uint64_t done, uint64_t all)
{
    px_ns now = px_now();

    if (now - p->noted < PX_NS_PER_S)
        return;
    p->noted = now;
    px_note(PX_NOTE_INFO, "store: %s: %llu%%", p->what,
            (unsigned long long)(all > 0 ? 100 * done / all : 100));
}

static void on_tell(void *ctx, uint64_t done, uint64_t all)
{
    progress_tell(ctx, done, all);
}

struct store_progress progress_begin(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .noted = px_now()};
    return (struct store_progress){.tell = on_tell, .ctx = p};
}
