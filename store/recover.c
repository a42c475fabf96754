/* What the segments say when the log is opened: torn, lost, misplaced and
 * damaged records are told apart, and the tail is put in order.
 *
 * The walk takes each segment in turn, each record of it, as long as head,
 * place, chain, body and content are right; it stops at the first that isn't.
 *
 * In a segment that isn't the last, the walk must have ended on the record
 * whose checksum the next segment's head carries; then no record is missing,
 * whatever lies behind. If it has not, a record was lost or damaged: the next
 * segment exists only because all of this one was durable.
 *
 * In the last segment the walk stops at some offset S, and the question is
 * whether what should be there may have been acknowledged.
 *
 *   - Records are written in batches; a batch is begun only after the flush of
 *     the one before has returned. (The log makes it so: what is written
 *     between two flushes is one batch, however many writes that took.)
 *   - Each record carries `durable`, the offset before which all was flushed
 *     when it was written: where its own batch begins.
 *   - So: if any sound record head behind S has durable > S, the bytes at S were
 *     durable once, perhaps acknowledged, and are damaged now: -PX_ECORRUPT.
 *   - If all sound heads behind S have durable <= S, they and S are of one
 *     batch, whose flush never returned: the disk was free to write some of its
 *     sectors and not others, in any order. It is torn, nobody was told of it,
 *     and it is cut from S on.
 *   - An end record says that another segment was made after all of this one
 *     was durable. If that is not there, it is missing: -PX_ECORRUPT.
 *   - A segment is durably as long as its head says before it has its name, and
 *     nothing makes it shorter. If the file ends before, no crash has done that,
 *     and what it held may have been durable: -PX_ECORRUPT. (In the segments
 *     before, what is missed is zeros, or the next one's head tells.)
 *
 * And a log that ends before what the state has applied is damaged, whatever
 * its tail looks like: only what was durable is applied.
 *
 * Where the log begins. All is walked that there is, but for what an
 * interrupted removal has left (log_head.c): the segments before one whose head
 * says that it is the first, and those before a head where a gap or the lack of
 * a beginning shows that some were removed, when a durable snapshot covers all
 * that lay before that head. They are removed once the rest is in order. The
 * first segment must be the log's first, or have its beginning covered by the
 * snapshot, or entries are lost; but where the state is whole, and has applied
 * all that lay before, it is the snapshot that is lost: nothing is changed then.
 *
 * A head tells the last entry before its segment, which may have been cut since:
 * then the cut reaches below the log's base. The snapshot covers what was there
 * before, and the log begins behind the snapshot. And a log that does not hold
 * the snapshot's position at all lacks it, or something else that was never
 * committed lies there; a reset was interrupted, and is done again.
 *
 * What remains. Damage to the very last batch, with nothing behind it, looks
 * like a tear, and is cut although it was acknowledged; here the other members
 * have to make good what one disk has lost, and the file "term" knows of a vote:
 * where that is damaged or missing, too, nothing is cut, and the start refused.
 * The time this can happen in is narrow: the next batch ends it, and so do a
 * clean close and the next open, which write a last record for the purpose. A
 * disk that tears within a sector can do the same to the last records before a
 * batch, if they share the sector with its beginning. And when the newest segment
 * is lost together with the end record that speaks of it, nothing here says that
 * it ever was.
 *
 * The cut. Bytes behind S are zeroed, and the zeros flushed, before open
 * returns: otherwise they might be taken for records behind a later S. The
 * page cache may hold other bytes than the disk, after a flush that failed:
 * the tail is read past it, and zeros go as far as either has something. The
 * flush at the end is owed in any case: what a crashed process wrote may have
 * reached no more than the cache of the drive. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/log_core.h"
#include "store/log_scan.h"
#include "store/segment.h"

struct recovery {
    struct store_log *log;
    struct px_text *why;
    struct log_scan scan;
    struct log_segment_head head; /* of the segment walked last */
    uint32_t sequence;            /* its number */
    uint64_t stop;                /* where its walk stopped */
    enum log_flaw flaw;           /* and why */
    bool has_end;                 /* by an end record */
    uint32_t sound; /* the newest segment whose head is right: all records up to
                       stop in it are; 0: none */
    uint64_t sound_bytes; /* as that head says */
    bool is_lost;         /* the beginning is */
    size_t walked;        /* whole segments */
    size_t to_walk;       /* of so many */
};

/* The segments in the folder, and where among them the log begins. */
struct row {
    uint32_t *sequences; /* ascending */
    size_t count;
    size_t begin;
};

/* Says what is wrong at @offset of segment @sequence. */
static int say_corrupt(struct recovery *r, uint32_t sequence, uint64_t offset,
                       const char *what)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(sequence, name);
    return store_say(r->why, -PX_ECORRUPT,
                     "%s/%s is damaged at offset %" PRIu64
                     ", where index %" PRIu64 " is due: %s",
                     r->log->dir, name, offset, r->log->index.last + 1, what);
}

static int say_failed(struct recovery *r, uint32_t sequence, int rc)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(sequence, name);
    return store_say(r->why, rc, "%s/%s: %s", r->log->dir, name,
                     px_strerror(rc));
}

static int say_missing(struct recovery *r, uint32_t sequence)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(sequence, name);
    return store_say(
        r->why, -PX_ECORRUPT,
        "%s/%s is missing, where index %" PRIu64 " is due, at its offset %u",
        r->log->dir, name, r->log->index.last + 1, LOG_BLOCK_BYTES);
}

/* ---- One segment ---- */

static int read_head(struct recovery *r, struct log_segment_head *head)
{
    char name[SEGMENT_NAME_BYTES];
    const uint8_t *bytes;
    int rc;

    segment_name(r->sequence, name);
    rc = log_scan_at(&r->scan, 0, LOG_BLOCK_BYTES, &bytes);
    if (rc < 0)
        return say_failed(r, r->sequence, rc);
    if (bytes == NULL)
        return say_corrupt(r, r->sequence, 0, "the file is too short");
    rc = log_segment_head_decode(bytes, head);
    if (rc == -PX_EFORMAT)
        return store_say(r->why, rc,
                         "%s/%s is in a format that this program does not "
                         "know: use the one that wrote it, or a newer one",
                         r->log->dir, name);
    if (rc < 0)
        return say_corrupt(r, r->sequence, 0,
                           "the checksum of the segment's head is wrong");
    if (head->stamp != r->log->stamp)
        return store_say(r->why, -PX_ECLUSTER,
                         "%s/%s belongs to another cluster or node",
                         r->log->dir, name);
    if (head->sequence != r->sequence)
        return say_corrupt(r, r->sequence, 0,
                           "the file is another segment, renamed");
    return 0;
}

/* Does the snapshot cover all that lay before this head? The terms are not
 * compared: the entry that the head speaks of may have been cut since. */
static bool is_covered(const struct store_log *log,
                       const struct log_segment_head *h)
{
    return log->snapshot.index > 0 && log->snapshot.index >= h->last.index;
}

static int say_lost(struct recovery *r, struct raft_pos base)
{
    const struct store_log *log = r->log;

    r->is_lost = true;
    return store_say(r->why, -PX_ECORRUPT,
                     "%s: the log begins behind entry %" PRIu64
                     " of term %" PRIu64
                     ", but the newest snapshot is of entry %" PRIu64
                     " of term %" PRIu64 ": entries are lost",
                     log->dir, base.index, base.term, log->snapshot.index,
                     log->snapshot.term);
}

/* Not of the log's, but of a snapshot: the state may stand in for that. */
static int say_uncovered(struct recovery *r, raft_index before)
{
    return store_say(r->why, -ENODATA,
                     "%s: the log begins behind entry %" PRIu64
                     ", and no snapshot covers what lay before",
                     r->log->dir, before);
}

/* Begins the log with the first segment that is walked. */
static int take_beginning(struct recovery *r)
{
    struct store_log *log = r->log;
    const struct log_segment_head *h = &r->head;

    if (is_covered(log, h)) {
        log->chain = h->chain;
        log->hard = h->hard;
        log_index_clear(&log->index, h->last);
        return 0;
    }
    if (log->is_state_whole && h->last.index > 0 &&
        h->last.index <= log->applied)
        return say_uncovered(r, h->last.index);
    if (log->snapshot.index == 0 && r->sequence > 1)
        return say_missing(r, r->sequence - 1);
    if (h->last.index > 0)
        return say_lost(r, h->last);
    return h->chain == 0
               ? 0
               : say_corrupt(r, r->sequence, 0, "the log begins before it");
}

/* Does the segment begin where the one before ended? */
static int check_joint(struct recovery *r, uint32_t before, uint64_t stop,
                       enum log_flaw flaw)
{
    struct store_log *log = r->log;
    struct log_index *x = &log->index;
    const struct log_segment_head *h = &r->head;

    /* Where the base was cut and nothing was added, the head knows more. */
    if (x->base.index > 0 && x->base.term == 0 && x->run_count == 0 &&
        x->last == h->last.index)
        x->base.term = h->last.term;
    if (h->chain != log->chain)
        return say_corrupt(r, before, stop, log_flaw_text(flaw));
    if (h->last.index != log->index.last ||
        h->last.term != log_index_last_term(&log->index) ||
        h->hard.term != log->hard.term ||
        h->hard.voted_for != log->hard.voted_for)
        return say_corrupt(r, r->sequence, 0,
                           "its head contradicts the segments before");
    return 0;
}

/* Reads the record at r->stop; r->flaw says whether it is sound. The body is
 * good until the scan moves on. */
static int read_record(struct recovery *r, struct log_record *record,
                       const uint8_t **body_out)
{
    const struct store_log *log = r->log;
    const uint8_t *bytes;
    int rc;

    r->flaw = LOG_ENDS;
    rc = log_scan_at(&r->scan, r->stop, LOG_HEAD_BYTES, &bytes);
    if (rc < 0 || bytes == NULL)
        return rc;
    r->flaw = log_record_decode(bytes, log->stamp, r->sequence,
                                (uint32_t)r->stop, record);
    if (r->flaw != LOG_SOUND)
        return 0;
    r->flaw = LOG_BAD_CHAIN;
    if (record->chain != log->chain && !px_mutant(LOG_CHAIN_UNCHECKED))
        return 0;
    r->flaw = LOG_ENDS;
    rc = log_scan_at(&r->scan, r->stop, log_record_bytes(record->body_size),
                     &bytes);
    if (rc < 0 || bytes == NULL)
        return rc;
    *body_out = bytes + LOG_HEAD_BYTES;
    r->flaw = log_record_check_body(record, *body_out);
    return 0;
}

/* Takes in a sound record, which ends at @next. */
static int take_record(struct recovery *r, const struct log_record *record,
                       const uint8_t *body, uint64_t next)
{
    struct store_log *log = r->log;
    const char *wrong;
    int rc = log_index_reserve(&log->index, 1);

    if (rc == 0)
        rc = log_configs_take(&log->configs, record, body);
    if (rc == -PX_ECORRUPT)
        return say_corrupt(r, r->sequence, r->stop,
                           "the entry should be a configuration, and isn't");
    if (rc < 0)
        return say_failed(r, r->sequence, rc);
    wrong = next + LOG_HEAD_BYTES > r->head.bytes
                ? "the record leaves no room for the end record"
                : log_take(log, record);
    return wrong != NULL ? say_corrupt(r, r->sequence, r->stop, wrong) : 0;
}

/* Takes in record after record, up to the first that isn't sound. */
static int walk(struct recovery *r)
{
    struct log_record record;
    const uint8_t *body = NULL;
    int rc;

    r->stop = LOG_BLOCK_BYTES;
    r->has_end = false;
    for (;;) {
        uint64_t next;

        rc = read_record(r, &record, &body);
        if (rc < 0)
            return say_failed(r, r->sequence, rc);
        if (r->flaw == LOG_BAD_CONTENT) /* no tear leaves a right checksum */
            return say_corrupt(r, r->sequence, r->stop, log_flaw_text(r->flaw));
        if (r->flaw != LOG_SOUND)
            return 0;
        r->has_end = record.type == LOG_END;
        if (r->has_end)
            return 0;
        next = r->stop + log_record_bytes(record.body_size);
        rc = take_record(r, &record, body, next);
        if (rc < 0)
            return rc;
        r->stop = next;
        store_progress_tell(&r->log->progress, r->walked, r->to_walk);
    }
}

/* Nothing was ever written behind the end that the head states. */
static void limit_scan(struct recovery *r)
{
    if (r->scan.file_bytes > r->head.bytes)
        r->scan.file_bytes = r->head.bytes;
}

static int take_segment(struct recovery *r, uint32_t sequence, bool is_last)
{
    uint32_t before = r->sequence;
    uint64_t stop = r->stop;
    enum log_flaw flaw = r->flaw;
    int rc;

    if (before > 0 && sequence != before + 1 && !px_mutant(SEGMENT_GAP_TAKEN))
        return say_missing(r, before + 1);
    r->sequence = sequence;
    rc = log_scan_open(&r->scan, sequence, is_last);
    if (rc < 0)
        return say_failed(r, sequence, rc);
    rc = read_head(r, &r->head);
    if (rc < 0)
        return rc;
    limit_scan(r);
    rc = before > 0 ? check_joint(r, before, stop, flaw) : take_beginning(r);
    if (rc < 0)
        return rc;
    r->sound = sequence;
    r->sound_bytes = r->head.bytes;
    rc = log_segments_add(&r->log->segments, sequence, r->head.last.index);
    if (rc < 0)
        return say_failed(r, sequence, rc);
    return walk(r);
}

/* ---- Where the log begins ---- */

/* Reads a head on its own. 1: it is sound and ours; 0: it isn't, which the walk
 * will say. */
static int peek(const struct store_log *log, uint32_t sequence,
                struct log_segment_head *head)
{
    struct store_disk *d = log->disk;
    uint8_t block[LOG_BLOCK_BYTES];
    int file = segment_open(d, sequence, STORE_DISK_READ);
    ssize_t n;

    if (file < 0)
        return file;
    n = d->read(d, file, block, sizeof block, 0);
    d->close(d, file);
    if (n < 0)
        return (int)n;
    return (size_t)n == sizeof block &&
           log_segment_head_decode(block, head) == 0 &&
           head->stamp == log->stamp && head->sequence == sequence;
}

/* Looks from the newest segment back: for one that is the first, or for the last
 * gap. What lies behind the gap is the log if the snapshot covers what lay
 * before; or else what lies behind the newest head that it does cover, which is
 * as far as the interrupted removal was to go. */
static int find_beginning(struct recovery *r, struct row *row)
{
    size_t covered = 0; /* the newest such head */

    row->begin = 0;
    for (size_t i = row->count; i-- > 0;) {
        uint32_t sequence = row->sequences[i];
        struct log_segment_head head;
        int is_sound = peek(r->log, sequence, &head);

        if (is_sound < 0)
            return say_failed(r, sequence, is_sound);
        if (is_sound > 0 && head.is_first) {
            row->begin = i;
            break;
        }
        if (is_sound > 0 && covered == 0 && is_covered(r->log, &head))
            covered = i;
        if (i == 0 || row->sequences[i - 1] + 1 != sequence) {
            bool is_good = is_sound == 0 || is_covered(r->log, &head);

            row->begin = is_good && covered > 0 ? i : covered;
            break;
        }
    }
    return 0;
}

/* Removes what lies before the beginning. */
static int remove_rest(struct recovery *r, const struct row *row)
{
    struct store_disk *d = r->log->disk;
    int rc;

    for (size_t i = 0; i < row->begin; i++) {
        char name[SEGMENT_NAME_BYTES];

        segment_name(row->sequences[i], name);
        rc = d->remove(d, name);
        if (rc < 0)
            return say_failed(r, row->sequences[i], rc);
    }
    rc = row->begin > 0 ? d->sync_dir(d) : 0;
    return rc < 0 ? say_failed(r, row->sequences[0], rc) : 0;
}

/* Makes the log one that the snapshot's position belongs to. */
static int meet_snapshot(struct recovery *r)
{
    struct store_log *log = r->log;
    struct log_index *x = &log->index;
    int rc = 0;

    if (log->snapshot.index == 0)
        return 0;
    if (!log_index_holds(x, log->snapshot))
        rc = log_restart(log, log->snapshot);
    else if (x->base.term == 0 && x->base.index > 0)
        log_index_drop(x, log->snapshot); /* the base was cut */
    return rc < 0 ? say_failed(r, log->sequence, rc) : 0;
}

/* ---- The tail of the last segment ---- */

/* Refuses a stop that a later record's batch had left behind as durable. */
static int check_torn(struct recovery *r, uint64_t garbage_end)
{
    struct log_record record;

    for (uint64_t at = r->stop; at < garbage_end; at += LOG_ALIGN) {
        const uint8_t *bytes;
        enum log_flaw flaw;
        int rc = log_scan_at(&r->scan, at, LOG_HEAD_BYTES, &bytes);

        if (rc < 0)
            return say_failed(r, r->sequence, rc);
        if (bytes == NULL)
            break;
        flaw = log_record_decode(bytes, r->log->stamp, r->sequence,
                                 (uint32_t)at, &record);
        if (flaw == LOG_SOUND && record.durable > r->stop &&
            !px_mutant(CORRUPTION_CUT))
            return say_corrupt(r, r->sequence, r->stop, log_flaw_text(r->flaw));
    }
    return 0;
}

/* What is about to be cut may be a vote that is damaged, not torn: only "term"
 * would tell, which is there before any record is. Asked before the cut, or the
 * next start would find nothing to ask about. */
static int check_vote(struct recovery *r, uint64_t garbage_end)
{
    const struct store_log *log = r->log;
    char name[SEGMENT_NAME_BYTES];

    if (garbage_end == r->stop || log->term_disk == NULL || log->term_rc == 0 ||
        px_mutant(TERM_TORN_TOO))
        return 0;
    segment_name(r->sequence, name);
    return store_say(r->why, -PX_ECORRUPT,
                     "%s/%s ends at offset %" PRIu64
                     " with a write that was cut short, or damaged",
                     log->dir, name, r->stop);
}

/* How far the page cache holds bytes behind the stop. */
static int find_cached(struct recovery *r, uint64_t *end_out)
{
    int rc = log_scan_open(&r->scan, r->sequence, false);

    if (rc < 0)
        return rc;
    limit_scan(r);
    return log_scan_zeros_from(&r->scan, r->stop, end_out);
}

/* Makes the file zero behind the stop, and durable with its name. */
static int settle(struct recovery *r, uint64_t garbage_end, bool is_rewritten)
{
    struct store_log *log = r->log;
    struct store_disk *d = log->disk;
    int rc = segment_open(d, r->sequence, STORE_DISK_READ | STORE_DISK_WRITE);

    if (rc < 0)
        return rc;
    log->file = rc;
    rc = 0;
    if (!px_mutant(TAIL_UNCUT))
        rc = segment_zero(d, log->file, r->stop, garbage_end);
    if (rc == 0 && is_rewritten)
        rc = segment_rewrite(d, log->file, r->stop);
    if (rc == 0 && !px_mutant(CUT_NOT_SYNCED))
        rc = d->sync(d, log->file);
    return rc < 0 ? rc : d->sync_dir(d);
}

/* What was applied was durable: it can't be a tear that ends the log before. */
static int check_applied(const struct recovery *r)
{
    const struct store_log *log = r->log;
    bool is_installed =
        log->snapshot.index >= log->applied && !log->is_base_applied;

    if (log->index.last >= log->applied || is_installed || log->is_faulty)
        return 0; /* faulty: known, and noted */
    return store_say(r->why, -PX_ECORRUPT,
                     "%s: the log ends with entry %" PRIu64
                     ", but entry %" PRIu64
                     " was durable once and has been applied: entries are lost",
                     log->dir, log->index.last, log->applied);
}

/* Can the snapshot be one of this log? Where the log does not hold it, it was
 * installed, and its term was known, durably, by then. */
static int check_snapshot(struct recovery *r)
{
    const struct store_log *log = r->log;
    const struct log_index *x = &log->index;

    if (log->snapshot.index == 0 || log_index_holds(x, log->snapshot))
        return 0;
    if (x->base.index == log->snapshot.index)
        return say_lost(r, x->base);
    if (log->is_faulty)
        return 0; /* the term is known otherwise */
    if (log->is_base_applied)
        return store_say(r->why, -PX_ECORRUPT,
                         "%s: the log does not follow on entry %" PRIu64
                         " of term %" PRIu64 ", which the state has applied",
                         log->dir, log->snapshot.index, log->snapshot.term);
    if (log->hard.term >= log->snapshot.term)
        return 0;
    return store_say(r->why, -PX_ECORRUPT,
                     "%s: the log knows of term %" PRIu64
                     ", but the newest snapshot is of term %" PRIu64
                     ": a vote may be lost",
                     log->dir, log->hard.term, log->snapshot.term);
}

static int take_tail(struct recovery *r)
{
    struct store_log *log = r->log;
    bool is_direct = r->scan.is_direct;
    uint64_t on_disk = r->stop;
    uint64_t cached = r->stop;
    int rc;

    if (r->has_end && !px_mutant(SEGMENT_GAP_TAKEN))
        return say_missing(r, r->sequence + 1);
    if (r->scan.file_bytes < r->head.bytes && !px_mutant(SHORT_SEGMENT_TAKEN))
        return say_corrupt(r, r->sequence, r->stop,
                           "the file is shorter than its head says");
    rc = log_scan_zeros_from(&r->scan, r->stop, &on_disk);
    if (rc < 0)
        return say_failed(r, r->sequence, rc);
    rc = check_torn(r, on_disk);
    if (rc == 0)
        rc = check_vote(r, on_disk);
    if (rc == 0)
        rc = check_applied(r);
    if (rc == 0)
        rc = check_snapshot(r);
    if (rc < 0)
        return rc;
    rc = find_cached(r, &cached);
    if (rc == 0)
        rc = settle(r, on_disk > cached ? on_disk : cached, !is_direct);
    if (rc < 0)
        return say_failed(r, r->sequence, rc);
    log->found.torn_bytes = on_disk - r->stop;
    log->sequence = r->sequence;
    log->segment_size = (uint32_t)r->head.bytes;
    log->end = log->durable = log->zeroed = r->stop;
    return 0;
}

static int take_all(struct recovery *r, struct row *row)
{
    int rc = find_beginning(r, row);

    r->to_walk = row->count - row->begin;
    for (size_t i = row->begin; i < row->count && rc == 0; i++) {
        r->walked = i - row->begin;
        rc = take_segment(r, row->sequences[i], i + 1 == row->count);
    }
    if (rc == 0)
        rc = take_tail(r);
    if (rc == 0)
        rc = remove_rest(r, row);
    if (rc == 0)
        rc = meet_snapshot(r);
    if (rc == 0) /* as the index was */
        log_configs_limit(&r->log->configs, r->log->index.base.index,
                          r->log->index.last);
    return rc;
}

/* There is no segment. */
static int begin_log(struct recovery *r)
{
    struct store_log *log = r->log;
    int rc = check_applied(r);

    if (rc < 0)
        return rc;
    if (log->is_begun && !log->is_faulty)
        return say_missing(r, 1);
    log->hard.term = log->snapshot.term;
    rc = log->snapshot.index > 0
             ? log_restart(log, log->snapshot)
             : log_begin_segment(log, 0, (struct raft_pos){0}, false);
    return rc < 0 ? say_failed(r, log->sequence + 1, rc) : 0;
}

int log_recover(struct store_log *log, struct log_damage *damage_out,
                struct px_text *why)
{
    struct recovery r = {.log = log, .why = why};
    struct row row = {0};
    int rc;

    rc = log_scan_init(&r.scan, log->disk);
    if (rc == 0)
        rc = segment_list(log->disk, &row.sequences, &row.count);
    if (rc < 0)
        rc = store_say(why, rc, "%s: %s", log->dir, px_strerror(rc));
    else
        rc = row.count > 0 ? take_all(&r, &row) : begin_log(&r);
    free(row.sequences);
    log_scan_fini(&r.scan);
    *damage_out = (struct log_damage){0};
    if (!r.is_lost && r.sound > 0)
        *damage_out = (struct log_damage){r.sound, r.stop, r.sound_bytes};
    return rc;
}
