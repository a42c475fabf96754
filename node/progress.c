#include "node/progress.h"

#include "base/note.h"

/* What takes no second says nothing. */
void progress_tell(struct progress *p, uint64_t done, uint64_t all)
{
    time_t now = time(NULL);

    if (now == p->noted)
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
    *p = (struct progress){.what = what, .noted = time(NULL)};
    return (struct store_progress){.tell = on_tell, .ctx = p};
}
