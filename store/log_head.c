/* What leaves the log from its beginning, and how it begins anew.
 *
 *   store_log_cut_head   1 2 3 [4 5]  ─▶  [4 5]     segments that a snapshot
 *                                                   covers are removed
 *   store_log_reset      [1 2 3]      ─▶  [4']      a segment that says that it
 *                                                   is the first; then the
 *                                                   others are removed
 *
 * Entries leave the index before their files are removed, so that a reader who
 * finds no file knows why. Several names are removed before one sync_dir, and a
 * crash may bring any of them back; recover.c tells them from what the log is:
 * what lies before a first segment is no more, and so is what lies before a gap
 * where a snapshot covers it.
 *
 * Files are not used again for new segments. Recovery knows the end of the
 * records by the zeros behind them, so a used file would have to be zeroed
 * whole, which costs more than allocating a new one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/log_core.h"
#include "store/segment.h"

int log_segments_add(struct log_segments *s, uint32_t sequence, raft_index last)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 16;
        struct log_segment *list = realloc(s->list, capacity * sizeof *list);

        if (list == NULL)
            return -ENOMEM;
        s->list = list;
        s->capacity = capacity;
    }
    px_assert(s->count == 0 || /* L7 */
              s->list[s->count - 1].sequence + 1 == sequence);
    s->list[s->count++] = (struct log_segment){sequence, last};
    return 0;
}

/* Removes the @count oldest segments; returns how many went. What fails is left
 * to the next time. */
static int remove_oldest(struct store_log *log, size_t count)
{
    struct log_segments *s = &log->segments;
    struct store_disk *d = log->disk;
    size_t done = 0;
    int rc = 0;

    px_assert(count < s->count); /* not the current one */
    while (done < count && rc == 0) {
        char name[SEGMENT_NAME_BYTES];

        segment_name(s->list[done].sequence, name);
        rc = d->remove(d, name);
        if (rc == 0)
            done++;
    }
    s->count -= done;
    memmove(s->list, s->list + done, s->count * sizeof *s->list);
    if (done > 0) {
        log->failed = segment_unknown(d->sync_dir(d));
        if (log->failed < 0)
            return log->failed;
    }
    return rc < 0 ? rc : (int)done;
}

/* How many segments, from the oldest on, hold only what is covered. A head may
 * speak of entries that were cut later, so a later one may speak of fewer. */
static size_t covered_count(const struct log_segments *s, raft_index index)
{
    for (size_t i = s->count; i > 1; i--) {
        if (s->list[i - 1].last <= index)
            return i - 1;
    }
    return 0;
}

/* Forgets the entries that lie in segments before @sequence. */
static void forget_before(struct store_log *log, uint32_t sequence)
{
    struct log_index *x = &log->index;
    raft_index index = x->base.index;

    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    while (index < x->last &&
           x->places[index - x->base.index].sequence < sequence)
        index++;
    log_index_drop(x, (struct raft_pos){log_index_term(x, index), index});
    (void)pthread_mutex_unlock(&log->lock);
}

int store_log_cut_head(struct store_log *log, raft_index index)
{
    size_t count;

    if (log->failed < 0)
        return log->failed;
    count = covered_count(&log->segments, index);
    if (count == 0)
        return 0;
    forget_before(log, log->segments.list[count].sequence);
    log_check(log);
    return remove_oldest(log, count);
}

int log_restart(struct store_log *log, struct raft_pos pos)
{
    int old = log->file;
    int rc = log_begin_segment(log, 0, pos, true);

    if (rc < 0)
        return rc;
    if (old >= 0)
        log->disk->close(log->disk, old); /* nothing in it counts now */
    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    log_index_clear(&log->index, pos);
    (void)pthread_mutex_unlock(&log->lock);
    rc = remove_oldest(log, log->segments.count - 1);
    return rc < 0 ? segment_unknown(rc) : 0;
}

int store_log_reset(struct store_log *log, struct raft_pos pos)
{
    int rc;

    px_assert(pos.term > 0 && pos.index > log->index.base.index);
    px_assert(pos.term <= log->hard.term);
    px_assert(!log_index_holds(&log->index, pos));
    if (log->failed < 0)
        return log->failed;
    rc = log_restart(log, pos);
    if (rc == 0)
        log_check(log);
    else if (rc != -ENOSPC)
        log->failed = rc;
    return rc;
}

uint64_t store_log_bytes(struct store_log *log)
{
    uint64_t bytes;

    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    bytes = log->index.bytes;
    (void)pthread_mutex_unlock(&log->lock);
    return bytes;
}
