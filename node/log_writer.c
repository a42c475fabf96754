/* See log_writer.h. */
#include "node/log_writer.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mutant.h"

void log_writer_init(struct log_writer *w, struct storage *storage)
{
    *w = (struct log_writer){.storage = storage};
    px_list_init(&w->loss);
    px_list_init(&w->recovered);
}

struct px_list *log_writer_loss(struct log_writer *w, raft_index index)
{
    px_assert(px_list_empty(&w->loss));
    w->lost = index;
    return &w->loss;
}

struct px_list *log_writer_recovered(struct log_writer *w)
{
    px_assert(px_list_empty(&w->recovered));
    return &w->recovered;
}

static int write_one(struct store_log *log, struct replica_write *w)
{
    int rc = w->has_reset ? store_log_reset(log, w->reset) : 0;

    if (rc < 0)
        return rc;
    w->has_reset = false; /* not twice, should what follows find no room */
    return store_log_write(log, w->has_hard ? &w->hard : NULL, w->entries,
                           w->count);
}

/* The log's note goes when all that was written before it is durable: what was
 * in this group is not yet. */
static int end_loss(struct storage *s)
{
    int rc = store_log_sync(s->log);

    return rc < 0 ? rc : storage_recovered(s);
}

static int do_job(struct log_writer *w, struct px_list *job)
{
    if (job == &w->loss)
        return storage_note_loss(w->storage, w->lost);
    if (job == &w->recovered)
        return end_loss(w->storage);
    return write_one(w->storage->log, log_writer_write_of(w, job));
}

int log_writer_do(struct log_writer *w, struct px_list *job)
{
    /* A snapshot that was made meanwhile may make room. */
    int rc = w->is_full ? log_writer_cut_head(w) : 0;

    if (w->is_full && px_mutant(FULL_FOR_EVER))
        return -ENOSPC;
    if (rc >= 0)
        rc = do_job(w, job);
    if (rc == -ENOSPC && storage_drop_arriving(w->storage) > 0)
        rc = do_job(w, job);
    if (rc == -ENOSPC && storage_make_room(w->storage))
        rc = do_job(w, job);
    w->is_full = rc == -ENOSPC;
    return rc;
}

struct replica_write *log_writer_write_of(const struct log_writer *w,
                                          struct px_list *job)
{
    if (job == &w->loss || job == &w->recovered)
        return NULL;
    return px_list_entry(job, struct replica_write, link);
}

void log_writer_done(const struct log_writer *w, struct fault *f,
                     struct px_list *job)
{
    if (job == &w->loss)
        fault_on_loss_noted(f);
    else if (job == &w->recovered)
        fault_on_mended(f);
    else
        replica_on_durable(f->replica, log_writer_write_of(w, job));
}

void log_writer_allow_cut(struct log_writer *w, raft_index index)
{
    atomic_store(&w->head, index);
}

int log_writer_cut_head(struct log_writer *w)
{
    raft_index index = atomic_exchange(&w->head, 0);

    return index == 0 ? 0 : store_log_cut_head(w->storage->log, index);
}
