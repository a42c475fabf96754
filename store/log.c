/* The log thread's side: a batch of entries becomes records, the records one
 * write, and the bytes durable.
 *
 *   store_log_write ─▶ stage, a record at a time ─▶ write_staged: one write
 *                        │ the segment is full        ▲
 *                        └──▶ write_staged ─▶ roll ───┘
 *   store_log_sync  ─▶ one sync
 *
 * Roll: flush the segment, make the next one, then note in the old one that it
 * exists (an end record), so that the loss of the newest file is noticed. The
 * flush comes first, so only the current segment is ever not durable (L4).
 *
 * Zeros ahead. A segment is preallocated, but its extents are unwritten, and a
 * journalling filesystem commits a transaction at the flush that follows the
 * first write to each. So a write that crosses the zeroed mark takes zeros up
 * to the next multiple of ZERO_STEP with it, in the same write: on ext4 the
 * slowest hundredth of flushes went from 390 to 170 us by that, and zeroing a
 * whole segment at once would hold up one write for 50 ms. A write larger than
 * a step is left alone: zeros would only make it longer. */
#include "store/log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/log_core.h"
#include "store/log_repair.h"
#include "store/log_term.h"
#include "store/segment.h"

#define ZERO_STEP (128u * PX_KIB)

/* Each record is at most two pieces: the padding of the one before with its
 * head, and its body. The last padding and the zeros ahead are one more. */
#define STAGED_MAX 511u
static_assert(2 * STAGED_MAX + 1 <= IOV_MAX, "one write takes them all");

/* LOG_ALIGN zeros, of which the record before takes as many as its body lacks,
 * and a head behind them: one piece. */
#define STAGED_BYTES (LOG_ALIGN + LOG_HEAD_BYTES)

struct log_batch {
    size_t count;
    uint64_t bytes;
    uint32_t padding; /* that the last record still lacks */
    size_t piece_count;
    struct log_record records[STAGED_MAX];
    uint8_t heads[STAGED_MAX][STAGED_BYTES];
    struct iovec pieces[2 * STAGED_MAX + 1];
};

static uint8_t zeros[LOG_ALIGN + ZERO_STEP]; /* never written */

static void check_index(const struct log_index *x)
{
    px_assert((x->base.index == 0) == (x->base.term == 0));       /* L5 */
    px_assert((x->last == x->base.index) == (x->run_count == 0)); /* L5 */
    px_assert(px_implies(x->run_count > 0,                        /* L5 */
                         x->runs[0].first == x->base.index + 1 &&
                             x->runs[0].term >= x->base.term));
}

void log_check(const struct store_log *log)
{
    px_assert(LOG_BLOCK_BYTES <= log->durable);                /* L1 */
    px_assert(log->durable <= log->end);                       /* L1 */
    px_assert(log->end <= log->zeroed);                        /* L1 */
    px_assert(log->zeroed <= log->segment_size);               /* L1 */
    px_assert(log->end % LOG_ALIGN == 0);                      /* L2 */
    px_assert(log->end + LOG_HEAD_BYTES <= log->segment_size); /* L3 */
    check_index(&log->index);
    px_assert(log->segments.count > 0); /* L7 */
    px_assert(log->segments.list[log->segments.count - 1].sequence ==
              log->sequence); /* L7 */
}

const char *log_take(struct store_log *log, const struct log_record *r)
{
    const char *wrong = NULL;

    if (r->type == LOG_HARD) {
        if (r->term < log->hard.term)
            return "the term of the hard state is older than the one before";
        log->hard = (struct raft_hard_state){r->term, r->index};
    } else {
        (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
        wrong = log_index_apply(&log->index, r);
        (void)pthread_mutex_unlock(&log->lock);
    }
    if (wrong == NULL)
        log->chain = r->head_sum;
    return wrong;
}

int log_begin_segment(struct store_log *log, uint32_t room,
                      struct raft_pos last, bool is_first)
{
    uint64_t bytes = LOG_BLOCK_BYTES + (uint64_t)room + LOG_HEAD_BYTES;
    struct log_segment_head head = {
        .version = LOG_FORMAT_VERSION,
        .sequence = log->sequence + 1,
        .stamp = log->stamp,
        .chain = log->chain,
        .last = last,
        .hard = log->hard,
        .is_first = is_first,
    };
    int file;
    int rc;

    if (bytes < log->segment_bytes)
        bytes = log->segment_bytes;
    head.bytes = (bytes + LOG_BLOCK_BYTES - 1) & ~(LOG_BLOCK_BYTES - 1ull);
    rc = log_segments_add(&log->segments, head.sequence, head.last.index);
    if (rc < 0)
        return rc;
    file = segment_create(log->disk, &head);
    if (file < 0) {
        log->segments.count--;
        return file;
    }
    log->file = file;
    log->sequence = head.sequence;
    log->segment_size = (uint32_t)head.bytes;
    log->end = log->durable = log->zeroed = LOG_BLOCK_BYTES;
    return 0;
}

/* ---- Staging ---- */

static void piece(struct log_batch *b, const void *data, size_t size)
{
    px_assert(b->piece_count < sizeof b->pieces / sizeof b->pieces[0]);
    if (size > 0)
        b->pieces[b->piece_count++] =
            (struct iovec){(void *)(uintptr_t)data, size}; /* only read from */
}

/* Adds a record for which there is room in the batch and in the segment. */
static void stage(struct store_log *log, struct log_record r, const void *body)
{
    struct log_batch *b = log->batch;
    uint8_t *head = b->heads[b->count] + LOG_ALIGN;

    r.sequence = log->sequence;
    r.offset = (uint32_t)(log->end + b->bytes);
    r.durable = (uint32_t)log->durable;
    r.chain = b->count > 0 ? b->records[b->count - 1].head_sum : log->chain;
    r.body_sum = log_body_sum(body, r.body_size);
    log_record_encode(&r, log->stamp, head);

    piece(b, head - b->padding, b->padding + LOG_HEAD_BYTES);
    piece(b, body, r.body_size);
    b->padding = log_record_bytes(r.body_size) - LOG_HEAD_BYTES - r.body_size;
    b->bytes += log_record_bytes(r.body_size);
    b->records[b->count++] = r;
}

/* How many zeros go along behind a write that ends at @end. */
static uint64_t zeros_ahead(const struct store_log *log, uint64_t end)
{
    uint64_t to = (end + ZERO_STEP - 1) / ZERO_STEP * ZERO_STEP;

    if (end <= log->zeroed || end - log->end > ZERO_STEP)
        return 0;
    if (to > log->segment_size)
        to = log->segment_size;
    return to - end;
}

static int write_staged(struct store_log *log)
{
    struct log_batch *b = log->batch;
    uint64_t end = log->end + b->bytes;
    uint64_t ahead = zeros_ahead(log, end);
    int rc;

    if (b->count == 0)
        return 0;
    (void)pthread_mutex_lock(&log->lock); /* a plain mutex can't fail */
    rc = log_index_reserve(&log->index, b->count);
    (void)pthread_mutex_unlock(&log->lock);
    if (rc < 0)
        return rc;
    piece(b, zeros, (size_t)(b->padding + ahead));
    rc = log->disk->write(log->disk, log->file, b->pieces, b->piece_count,
                          log->end);
    if (rc < 0)
        return segment_unknown(rc);
    for (size_t i = 0; i < b->count; i++) {
        const char *wrong = log_take(log, &b->records[i]);

        px_assert(wrong == NULL);
    }
    log->end = end;
    if (log->zeroed < end + ahead)
        log->zeroed = end + ahead;
    log->is_written = true;
    b->count = b->piece_count = 0;
    b->bytes = b->padding = 0;
    log_check(log);
    return 0;
}

static int flush(struct store_log *log)
{
    int rc;

    if (log->durable == log->end)
        return 0;
    rc = px_mutant(LOG_FSYNC_SKIPPED) ? 0
                                      : log->disk->sync(log->disk, log->file);
    if (rc == 0)
        log->durable = log->end;
    return segment_unknown(rc);
}

/* Goes on in a new segment, which takes a record of @record_bytes. -ENOSPC: it
 * can't be made, and the log is as it was. */
static int roll(struct store_log *log, uint32_t record_bytes)
{
    struct log_record end = {.type = LOG_END,
                             .sequence = log->sequence,
                             .offset = (uint32_t)log->end,
                             .durable = (uint32_t)log->end,
                             .chain = log->chain,
                             .body_sum = log_body_sum(NULL, 0)};
    const struct raft_pos last = {log_index_last_term(&log->index),
                                  log->index.last};
    uint8_t bytes[LOG_HEAD_BYTES];
    struct store_disk *d = log->disk;
    int old = log->file;
    int rc;

    rc = flush(log);
    if (rc < 0)
        return rc;
    log_record_encode(&end, log->stamp, bytes);
    rc = log_begin_segment(log, record_bytes, last, false);
    if (rc < 0)
        return rc;
    rc = segment_write(d, old, bytes, sizeof bytes, end.offset);
    if (rc == 0)
        rc = d->sync(d, old);
    d->close(d, old); /* flushed, or the log has failed */
    return segment_unknown(rc);
}

static int append(struct store_log *log, struct log_record r, const void *body)
{
    struct log_batch *b = log->batch;
    uint32_t bytes = log_record_bytes(r.body_size);
    bool is_room =
        log->end + b->bytes + bytes + LOG_HEAD_BYTES <= log->segment_size;
    int rc;

    if (b->count == STAGED_MAX || !is_room) {
        rc = write_staged(log);
        if (rc < 0)
            return rc;
    }
    if (!is_room) {
        rc = roll(log, bytes);
        if (rc < 0)
            return rc;
    }
    stage(log, r, body);
    return 0;
}

/* ---- Term and vote ---- */

/* The second copy comes first: what is in the log is in the file. */
static int keep_hard(struct store_log *log, struct raft_hard_state hard)
{
    int rc = 0;

    if (log->term_disk == NULL ||
        (hard.term == log->kept.term && hard.voted_for == log->kept.voted_for))
        return 0;
    if (!px_mutant(TERM_KEPT_ONCE))
        rc = log_term_write(log->term_disk, log->stamp, hard);
    if (rc == 0)
        log->kept = hard;
    return rc;
}

/* ---- The door ---- */

static int append_hard(struct store_log *log, struct raft_hard_state hard)
{
    struct log_record r = {
        .type = LOG_HARD, .term = hard.term, .index = hard.voted_for};

    return append(log, r, NULL);
}

static int append_entry(struct store_log *log, const struct raft_entry *e)
{
    struct log_record r = {.type = LOG_ENTRY,
                           .kind = e->kind,
                           .term = e->pos.term,
                           .index = e->pos.index,
                           .body_size = (uint32_t)e->data.size};

    px_assert(e->data.size <= PX_ENTRY_BYTES_MAX);
    return append(log, r, e->data.data);
}

static int append_all(struct store_log *log, const struct raft_hard_state *hard,
                      const struct raft_entry *entries, size_t count)
{
    int rc = 0;

    px_assert(px_implies(count > 0, /* what a snapshot covers is committed */
                         entries[0].pos.index > log->index.base.index));
    if (hard != NULL) {
        rc = keep_hard(log, *hard);
        if (rc == 0)
            rc = append_hard(log, *hard);
    }
    if (rc == 0 && count > 0 && entries[0].pos.index <= log->index.last) {
        struct log_record cut = {.type = LOG_CUT,
                                 .index = entries[0].pos.index};

        rc = append(log, cut, NULL);
    }
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = append_entry(log, &entries[i]);
    if (rc == 0)
        rc = write_staged(log);
    return rc;
}

int store_log_write(struct store_log *log, const struct raft_hard_state *hard,
                    const struct raft_entry *entries, size_t count)
{
    int rc;

    if (log->failed < 0)
        return log->failed;
    rc = append_all(log, hard, entries, count);
    if (rc == -ENOSPC)
        px_assert(log->batch->count == 0); /* what was staged is written */
    else
        log->failed = rc;
    return rc;
}

int store_log_sync(struct store_log *log)
{
    if (log->failed == 0 || px_mutant(FLUSH_FAILURE_FORGOTTEN))
        log->failed = flush(log);
    return log->failed;
}

void store_log_info(const struct store_log *log,
                    struct store_log_info *info_out)
{
    *info_out = log->found;
}

/* Keeps what open found: the index goes on changing. */
static int note_found(struct store_log *log)
{
    const struct log_index *x = &log->index;

    if (x->run_count > 0) {
        log->found_runs = malloc(x->run_count * sizeof *x->runs);
        if (log->found_runs == NULL)
            return -ENOMEM;
        memcpy(log->found_runs, x->runs, x->run_count * sizeof *x->runs);
    }
    log->found.hard = log->hard;
    log->found.runs = log->found_runs;
    log->found.run_count = x->run_count;
    log->found.configs = log->configs.list;
    log->found.config_count = log->configs.count;
    log->found.base = x->base;
    log->found.first = x->base.index + 1;
    log->found.last = x->last;
    log->found.bytes = x->bytes;
    log->found.fault = log->is_faulty ? log->fault : NULL;
    return 0;
}

bool store_log_info_holds(const struct store_log_info *info,
                          struct raft_pos pos)
{
    raft_term term = info->base.term;

    if (pos.index < info->base.index || pos.index > info->last)
        return false;
    for (size_t i = 0; i < info->run_count && info->runs[i].first <= pos.index;
         i++)
        term = info->runs[i].term;
    return term == pos.term;
}

static int set_up(struct store_log *log,
                  const struct store_log_options *options, struct px_text *why)
{
    uint64_t bytes = options->segment_bytes != 0 ? options->segment_bytes
                                                 : STORE_LOG_SEGMENT_BYTES;

    if (bytes < LOG_SEGMENT_BYTES_MIN || bytes > LOG_SEGMENT_BYTES_MAX)
        return store_say(why, -EINVAL, "a segment has %u to %u bytes",
                         LOG_SEGMENT_BYTES_MIN, LOG_SEGMENT_BYTES_MAX);
    log->segment_bytes = (uint32_t)bytes;
    log->stamp = options->stamp;
    log->applied = options->applied;
    log->snapshot = options->base;
    log->disk = options->disk;
    log->term_disk = options->term_disk;
    log->is_base_applied = options->is_base_applied;
    log->is_state_whole = options->is_state_whole;
    log->is_begun = options->is_begun;
    log->progress = options->progress;
    log->dir = strdup(options->dir);
    log->batch = calloc(1, sizeof *log->batch);
    if (log->dir == NULL || log->batch == NULL)
        return store_say(why, -ENOMEM, "out of memory");
    return 0;
}

/* What is known before the segments are looked at. */
static int load_notes(struct store_log *log, bool is_repaired,
                      struct px_text *why)
{
    int rc = log_note_load(log);

    if (rc < 0)
        return store_say(why, rc, "%s/faulty: %s", log->dir, px_strerror(rc));
    if (log->is_faulty && !is_repaired)
        return store_say(why, -PX_ECORRUPT,
                         "the log was damaged, and is not whole again: %s",
                         log->fault);
    log->term_rc = -ENOENT;
    if (log->term_disk != NULL)
        log->term_rc = log_term_read(log->term_disk, log->stamp, &log->kept);
    rc = log->term_rc;
    if (rc == 0 || rc == -ENOENT || rc == -PX_ECORRUPT || rc == -EIO)
        return 0; /* a sound log can do without */
    return store_say(why, rc, "%s: the file \"term\" beside it: %s", log->dir,
                     px_strerror(rc));
}

/* The log and the file come to say the same; a crash may have left the file a
 * step ahead. */
static int agree_on_hard(struct store_log *log, struct px_text *why)
{
    struct raft_hard_state kept = log->kept;
    int rc = 0;

    if (log->term_disk == NULL)
        return 0;
    if (log->term_rc == 0 && log_term_is_newer(kept, log->hard)) {
        rc = store_log_write(log, &kept, NULL, 0);
        if (rc == 0)
            rc = store_log_sync(log);
    } else if (log->term_rc == 0 && kept.term == log->hard.term &&
               kept.voted_for != log->hard.voted_for &&
               log->hard.voted_for != 0 && kept.voted_for != 0) {
        return store_say(why, -PX_ECORRUPT,
                         "%s and the file \"term\" beside it tell of two votes "
                         "in term %llu",
                         log->dir, (unsigned long long)kept.term);
    } else if (log->term_rc < 0) {
        px_assert(!log->is_faulty); /* else the log is no witness */
        rc = log_term_write(log->term_disk, log->stamp, log->hard);
        log->kept = log->hard;
    } else {
        rc = keep_hard(log, log->hard);
    }
    return rc < 0 ? store_say(why, rc, "%s: %s", log->dir, px_strerror(rc)) : 0;
}

/* Says once more, in a record like any other, that all before it is durable:
 * from now on damage to the last batch can't be taken for a torn write. */
static int seal(struct store_log *log)
{
    struct raft_hard_state hard = log->hard;
    int rc = store_log_write(log, &hard, NULL, 0);

    return rc < 0 ? rc : store_log_sync(log);
}

/* What a crash has left is as good as sealed by a close from now on. Without
 * room for it, the next batch does the same. */
static int seal_found(struct store_log *log, struct px_text *why)
{
    int rc;

    if (log->hard.term == 0)
        return 0; /* no entry either */
    rc = seal(log);
    if (rc == 0 || rc == -ENOSPC)
        return 0;
    return store_say(why, rc, "%s: %s", log->dir, px_strerror(rc));
}

int store_log_open(const struct store_log_options *options,
                   struct store_log **log_out, char *why, size_t why_size)
{
    struct store_log *log = calloc(1, sizeof *log);
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    if (log == NULL)
        return store_say(&text, -ENOMEM, "out of memory");
    log->file = -1;
    (void)pthread_mutex_init(&log->lock, NULL); /* can't fail on Linux */
    rc = set_up(log, options, &text);
    if (rc < 0)
        goto fail;
    rc = load_notes(log, options->is_repaired, &text);
    if (rc == 0)
        rc = log_recover_or_repair(log, options->is_repaired, &text);
    if (rc == 0)
        rc = agree_on_hard(log, &text);
    if (rc == 0)
        rc = seal_found(log, &text);
    if (rc < 0)
        goto fail;
    rc = note_found(log);
    if (rc < 0) {
        (void)store_say(&text, rc, "out of memory");
        goto fail;
    }
    log_check(log);
    *log_out = log;
    return 0;
fail:
    store_log_close(log);
    return rc;
}

void log_forget(struct store_log *log)
{
    if (log->file >= 0)
        log->disk->close(log->disk, log->file); /* nothing was written to it */
    log->file = -1;
    log_index_fini(&log->index);
    log->configs.count = 0;
    log->segments.count = 0;
    log->hard = (struct raft_hard_state){0};
    log->sequence = 0;
    log->segment_size = 0;
    log->end = log->durable = log->zeroed = 0;
    log->chain = 0;
}

void store_log_close(struct store_log *log)
{
    if (log == NULL)
        return;
    if (log->file >= 0 && log->is_written && store_log_sync(log) == 0)
        (void)seal(log); /* without it, no more is lost than told */
    if (log->file >= 0)
        log->disk->close(log->disk, log->file); /* flushed, or has failed */
    (void)pthread_mutex_destroy(&log->lock);    /* nobody holds it */
    log_index_fini(&log->index);
    free(log->segments.list);
    free(log->found_runs);
    free(log->configs.list);
    free(log->batch);
    free(log->dir);
    free(log);
}
