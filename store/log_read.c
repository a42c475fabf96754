/* Entries back from the disk, for a follower that lags and for a state that is
 * replayed. The places of a run of entries are copied under the lock; the bytes
 * are then read without it, for they never change: a cut only adds a record,
 * and what was cut stays where it was. A segment may be removed meanwhile: it is
 * then not found, or read as it was, and its name is never used again. A reader opens the segment it needs, so
 * it shares no file with the log thread. */
#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/log_core.h"
#include "store/segment.h"

/* Entries in one segment that lie no further apart than this, hard states
 * between them, come with one read. */
#define GAP_BYTES_MAX 4096u

/* Copies the places of the entries to be read. */
static size_t find_places(struct store_log *log, raft_index first, size_t max,
                          size_t bytes_max, struct log_place *places)
{
    const struct log_index *x = &log->index;
    size_t bytes = 0;
    size_t n = 0;

    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    while (first > x->base.index && n < max && first + n <= x->last) {
        struct log_place place = x->places[first + n - x->base.index - 1];

        bytes += place.body_size;
        if (n > 0 && bytes > bytes_max)
            break;
        places[n++] = place;
    }
    (void)pthread_mutex_unlock(&log->lock);
    return n;
}

static uint64_t place_end(const struct log_place *p)
{
    return (uint64_t)p->offset + log_record_bytes(p->body_size);
}

/* How many places from the first on come with one read. */
static size_t group_count(const struct log_place *places, size_t count)
{
    size_t n = 1;

    while (n < count && places[n].sequence == places[0].sequence &&
           places[n].offset >= place_end(&places[n - 1]) &&
           places[n].offset - place_end(&places[n - 1]) <= GAP_BYTES_MAX)
        n++;
    return n;
}

/* The bytes of a group, in a buf with one reference. */
static int read_group(const struct store_log *log,
                      const struct log_place *first,
                      const struct log_place *last, struct px_buf **buf_out)
{
    size_t size = (size_t)(place_end(last) - first->offset);
    struct px_buf *buf = px_buf_new(size);
    struct store_disk *d = log->disk;
    ssize_t n;
    int file;

    if (buf == NULL)
        return -ENOMEM;
    file = segment_open(d, first->sequence, STORE_DISK_READ);
    if (file < 0) {
        px_buf_unref(buf);
        return file;
    }
    n = d->read(d, file, buf->data, size, first->offset);
    d->close(d, file);
    if (n < 0 || (size_t)n < size) {
        px_buf_unref(buf);
        return n < 0 ? (int)n : -PX_ECORRUPT;
    }
    *buf_out = buf;
    return 0;
}

/* The entry @index at @place, as a slice of @buf, which begins at @base. */
static int decode_entry(const struct store_log *log, struct px_buf *buf,
                        uint32_t base, const struct log_place *place,
                        raft_index index, struct raft_entry *e)
{
    size_t at = place->offset - base;
    const uint8_t *body = buf->data + at + LOG_HEAD_BYTES;
    struct log_record r;

    if (log_record_decode(buf->data + at, log->stamp, place->sequence,
                          place->offset, &r) != LOG_SOUND)
        return -PX_ECORRUPT;
    if (r.type != LOG_ENTRY || r.index != index ||
        r.body_size != place->body_size)
        return -PX_ECORRUPT;
    if (log_record_check_body(&r, body) != LOG_SOUND)
        return -PX_ECORRUPT;
    e->pos = (struct raft_pos){r.term, r.index};
    e->kind = r.kind;
    e->data = px_slice_ref(px_slice_of(buf, at + LOG_HEAD_BYTES, r.body_size));
    return 0;
}

/* Reads the entries of a group; all of them, or none on error. */
static int read_entries(const struct store_log *log,
                        const struct log_place *places, size_t count,
                        raft_index first, struct raft_entry *entries)
{
    struct px_buf *buf = NULL;
    size_t n = 0;
    int rc = read_group(log, &places[0], &places[count - 1], &buf);

    if (rc < 0)
        return rc;
    for (; n < count && rc == 0; n++)
        rc = decode_entry(log, buf, places[0].offset, &places[n], first + n,
                          &entries[n]);
    px_buf_unref(buf);
    if (rc < 0) {
        for (size_t i = 0; i + 1 < n; i++) /* the last one failed */
            px_slice_unref(&entries[i].data);
    }
    return rc;
}

/* A segment is removed only after its entries have left the index. */
static bool is_held(struct store_log *log, raft_index index)
{
    bool yes;

    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    yes = index > log->index.base.index && index <= log->index.last;
    (void)pthread_mutex_unlock(&log->lock);
    return yes;
}

int store_log_read(struct store_log *log, raft_index first, size_t max,
                   size_t bytes_max, struct raft_entry *entries)
{
    struct log_place places[PX_BATCH_ENTRIES_MAX];
    size_t done = 0;
    size_t count;

    px_assert(max > 0);
    if (max > PX_BATCH_ENTRIES_MAX)
        max = PX_BATCH_ENTRIES_MAX;
    count = find_places(log, first, max, bytes_max, places);
    if (count == 0)
        return -ENOENT;
    while (done < count) {
        size_t n = group_count(places + done, count - done);
        int rc =
            read_entries(log, places + done, n, first + done, entries + done);

        if (rc < 0) {
            for (size_t i = 0; i < done; i++)
                px_slice_unref(&entries[i].data);
            return rc == -ENOENT && is_held(log, first) ? -PX_ECORRUPT : rc;
        }
        done += n;
    }
    return (int)count;
}
