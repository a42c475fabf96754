/* A damaged log is cut to what is sound, so that the node can start and get the
 * rest from its peers.
 *
 *   recover ──sound──▶ open
 *      │  ▲
 *      │  │ damage in segment s at offset S, or before anything that is sound
 *      ▼  │
 *   note it ─▶ keep a copy of s ─▶ put aside what lies behind s ─▶ zero s from S
 *
 * The files are changed so that recovery finds a sound log in them, and then it
 * is asked again: there is one judge of what is sound. What remains is a
 * beginning of what was written, record by record, and so a state that the log
 * was in once; where even its beginning is lost, it begins anew behind the
 * snapshot.
 *
 * The note, a file called "faulty" with the sentence in it, is durable before
 * anything is changed, and stays until raft says that the node holds all again
 * (store_log_recovered). So whatever a crash leaves of the above, the node knows
 * that it is faulty when it starts again, and goes on where it was; half of the
 * changes are never mistaken for a sound log of a node that has lost nothing.
 *
 * What is cut away may hold the only copy of an entry, where too many nodes have
 * lost theirs at once. It is kept, under names that end in ".bad": the damaged
 * segment as it was found, if that leaves room for the log to go on, and those
 * behind it. Where damage is found again before the node is whole, the first
 * file of a name stays: what came behind it since was had from a leader. Once
 * the node is whole, only the damaged one stays, for whoever wants to know what
 * happened; all go when damage is found the next time. */
#include "store/log_repair.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/log_scan.h"
#include "store/log_term.h"
#include "store/segment.h"

#define NOTE_NAME "faulty"
#define NOTE_NAME_NEW "faulty.new"
#define COPY_NAME "bad.new"
#define COPY_BYTES (256u * PX_KIB)

/* Each round cuts more than the one before; a disk that needs this many reads
 * otherwise each time. */
#define ROUNDS_MAX 8

static int say_failed(const struct store_log *log, struct px_text *why, int rc)
{
    return store_say(why, rc,
                     "%s: the log is damaged, and can't be repaired: %s",
                     log->dir, px_strerror(rc));
}

/* ---- The note ---- */

int log_note_load(struct store_log *log)
{
    char *text = log->fault;
    ssize_t n =
        store_disk_load(log->disk, NOTE_NAME, text, sizeof log->fault - 1);

    log->is_faulty = n >= 0;
    if (n < 0)
        return n == -ENOENT ? 0 : (int)n;
    text[n] = '\0';
    /* That the file is there is what counts; this is for people. */
    for (; *text != '\0'; text++)
        if (!isprint((unsigned char)*text))
            *text = '?';
    if (n == 0)
        (void)snprintf(log->fault, sizeof log->fault,
                       "the log was damaged"); /* it fits */
    return 0;
}

static int note(struct store_log *log, const char *sentence)
{
    int rc = store_disk_replace(log->disk, NOTE_NAME, NOTE_NAME_NEW, sentence,
                                strlen(sentence));

    if (rc == 0)
        log->is_faulty = true;
    return rc;
}

static int note_fault(struct store_log *log, const char *sentence)
{
    (void)snprintf(log->fault, sizeof log->fault, "%s",
                   sentence); /* a shorter one will do */
    return note(log, log->fault);
}

/* ---- What is kept of it ---- */

static void bad_name(uint32_t sequence, char name[SEGMENT_BAD_BYTES])
{
    char good[SEGMENT_NAME_BYTES];

    segment_name(sequence, good);
    (void)snprintf(name, SEGMENT_BAD_BYTES, "%s" SEGMENT_BAD,
                   good); /* always fits */
}

/* Removes what was kept, but for the oldest file where @keeps_oldest; whatever
 * can't be removed stays. */
static void remove_bad(struct store_log *log, bool keeps_oldest)
{
    uint32_t *sequences;
    size_t count;

    (void)log->disk->remove(log->disk, COPY_NAME); /* half of one */
    if (segment_list_bad(log->disk, &sequences, &count) < 0)
        return;
    for (size_t i = keeps_oldest; i < count; i++) {
        char name[SEGMENT_BAD_BYTES];

        bad_name(sequences[i], name);
        (void)log->disk->remove(log->disk, name);
    }
    free(sequences);
}

static int copy_bytes(struct store_disk *d, int from, int to, uint64_t end)
{
    uint8_t *block = malloc(COPY_BYTES);
    int rc = 0;

    if (block == NULL)
        return -ENOMEM;
    for (uint64_t at = 0; at < end && rc == 0; at += COPY_BYTES) {
        uint64_t left = end - at;
        ssize_t n = d->read(d, from, block,
                            left < COPY_BYTES ? (size_t)left : COPY_BYTES, at);

        rc = n < 0 ? (int)n : segment_write(d, to, block, (size_t)n, at);
    }
    free(block);
    return rc < 0 ? rc : d->sync(d, to);
}

/* 1: there is a file called @bad; 0; -errno. */
static int is_kept(struct store_disk *d, const char *bad)
{
    int file = d->open(d, bad, STORE_DISK_READ);

    if (file < 0)
        return file == -ENOENT ? 0 : file;
    d->close(d, file);
    return 1;
}

/* Would a copy leave what the log may need to go on, another segment, and what a
 * snapshot leaves, too? */
static bool has_room(struct store_log *log, uint64_t copy_bytes)
{
    uint64_t rest = (uint64_t)log->segment_bytes + STORE_DISK_FULL_BYTES;

    return store_disk_room_beyond(log->disk, rest) > copy_bytes;
}

/* Keeps a copy of segment @sequence up to @end. One that is there was made when
 * this was tried before, or damage found. -ENOSPC, -errno: there is none. */
static int keep_copy(struct store_log *log, uint32_t sequence, uint64_t end)
{
    struct store_disk *d = log->disk;
    char name[SEGMENT_BAD_BYTES];
    int from = -1;
    int to;
    int rc;

    bad_name(sequence, name);
    if (is_kept(d, name) > 0)
        return 0;
    (void)d->remove(d, COPY_NAME); /* half of one: it takes room */
    if (!has_room(log, end))
        return -ENOSPC;
    to = d->open(d, COPY_NAME, STORE_DISK_WRITE | STORE_DISK_CREATE);
    if (to < 0)
        return to;
    from = segment_open(d, sequence, STORE_DISK_READ);
    rc = from < 0 ? from : copy_bytes(d, from, to, end);
    if (from >= 0)
        d->close(d, from);
    d->close(d, to);
    if (rc == 0)
        rc = d->rename(d, COPY_NAME, name);
    if (rc < 0)
        (void)d->remove(d, COPY_NAME); /* it does no harm where it stays */
    return rc;
}

/* The repair goes on without one; the note, which is durable, says so if it
 * can. */
static void note_lack(struct store_log *log, int rc)
{
    size_t used = strlen(log->fault);

    (void)snprintf(log->fault + used, sizeof log->fault - used,
                   "; no copy of it is kept: %s",
                   px_strerror(rc)); /* a shorter one will do */
    (void)note(log, log->fault);
}

/* Renames the segments behind @sequence, or removes those whose name has been
 * kept already; 0: all. */
static int put_aside(struct store_log *log, uint32_t sequence)
{
    struct store_disk *d = log->disk;
    uint32_t *sequences;
    size_t count;
    int rc = segment_list(d, &sequences, &count);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char good[SEGMENT_NAME_BYTES];
        char bad[SEGMENT_BAD_BYTES];

        if (sequences[i] <= sequence)
            continue;
        segment_name(sequences[i], good);
        bad_name(sequences[i], bad);
        rc = is_kept(d, bad);
        if (rc >= 0)
            rc = rc > 0 ? d->remove(d, good) : d->rename(d, good, bad);
    }
    free(sequences);
    return rc < 0 ? rc : d->sync_dir(d);
}

/* ---- The cut ---- */

/* How far segment @sequence holds anything but zeros from @from on, on the disk
 * or in the page cache. */
static int find_end(struct store_log *log, uint32_t sequence, uint64_t from,
                    uint64_t *end_out)
{
    struct log_scan scan;
    uint64_t cached = from;
    uint64_t on_disk = from;
    int rc = log_scan_init(&scan, log->disk);

    if (rc == 0)
        rc = log_scan_open(&scan, sequence, true);
    if (rc == 0)
        rc = log_scan_zeros_from(&scan, from, &on_disk);
    if (rc == 0)
        rc = log_scan_open(&scan, sequence, false);
    if (rc == 0)
        rc = log_scan_zeros_from(&scan, from, &cached);
    log_scan_fini(&scan);
    *end_out = cached > on_disk ? cached : on_disk;
    return rc;
}

/* Up to @end, and to where the segment should end if it is shorter. */
static int zero_rest(struct store_log *log, const struct log_damage *at,
                     uint64_t end)
{
    struct store_disk *d = log->disk;
    int file =
        segment_open(d, at->sequence, STORE_DISK_READ | STORE_DISK_WRITE);
    uint64_t bytes;
    int rc;

    if (file < 0)
        return file;
    rc = d->size(d, file, &bytes);
    if (rc == 0 && bytes < at->bytes)
        rc = d->allocate(d, file, at->bytes);
    if (rc == 0)
        rc = segment_zero(d, file, at->offset, end);
    if (rc == 0 && !px_mutant(CUT_NOT_SYNCED))
        rc = d->sync(d, file);
    d->close(d, file);
    return rc;
}

/* Makes what lies before @at a log of its own. */
static int cut(struct store_log *log, const struct log_damage *at)
{
    uint64_t end;
    int rc;

    if (at->sequence == 0)
        return put_aside(log, 0);
    rc = find_end(log, at->sequence, at->offset, &end);
    if (rc < 0)
        return rc;
    rc = keep_copy(log, at->sequence, end);
    if (rc < 0)
        note_lack(log, rc);
    rc = put_aside(log, at->sequence);
    return rc < 0 ? rc : zero_rest(log, at, end);
}

/* ---- The door ---- */

/* May a node act again that has lost a part of its log, as @fault says? Only with
 * its term and vote, and these were written after all that is left. */
static int check_term(const struct store_log *log, const char *fault,
                      struct px_text *why)
{
    char sentence[sizeof log->fault];

    if (log->term_rc == 0 && log->kept.term >= log->snapshot.term &&
        !log_term_is_newer(log->hard, log->kept))
        return 0;
    /* A copy, as @fault may be what is written over; a shorter one will do. */
    (void)snprintf(sentence, sizeof sentence, "%s", fault);
    if (log->term_rc == -EIO) /* another time, perhaps */
        return store_say(why, -EIO, "%s. And the file \"term\": %s", sentence,
                         px_strerror(-EIO));
    return store_say(why, -PX_ECORRUPT,
                     "%s. And the file \"term\" is %s, so that nobody can say "
                     "how this node has voted: start with an empty data "
                     "folder and a new node id",
                     sentence,
                     log->term_rc == -ENOENT ? "missing"
                     : log->term_rc < 0      ? "damaged"
                                             : "too old");
}

static int repair(struct store_log *log, const struct log_damage *at,
                  struct px_text *why)
{
    int rc = check_term(log, why->data, why);

    if (rc < 0)
        return rc;
    if (!log->is_faulty)
        remove_bad(log, false); /* of the last time */
    if (!px_mutant(FAULT_NOTED_LATE))
        rc = note_fault(log, why->data);
    if (rc == 0)
        rc = cut(log, at);
    if (rc == 0 && px_mutant(FAULT_NOTED_LATE))
        rc = note_fault(log, why->data);
    return rc < 0 ? say_failed(log, why, rc) : 0;
}

int log_recover_or_repair(struct store_log *log, bool is_repaired,
                          struct px_text *why)
{
    /* A repair that was cut short may have left a sound log that knows of no
     * vote. */
    int rc = log->is_faulty && !px_mutant(REPAIR_TERM_UNASKED)
                 ? check_term(log, log->fault, why)
                 : 0;

    if (rc < 0)
        return rc;
    for (int round = 0;; round++) {
        struct log_damage at;

        rc = log_recover(log, &at, why);
        if (rc != -PX_ECORRUPT || !is_repaired || round == ROUNDS_MAX)
            return rc;
        rc = repair(log, &at, why);
        if (rc < 0)
            return rc;
        log_forget(log);
    }
}

/* What open found is not ours to change any more: others may be reading it. */
int store_log_note_loss(struct store_log *log, raft_index index)
{
    char sentence[LOG_FAULT_BYTES];

    if (log->failed < 0)
        return log->failed;
    if (!log->is_faulty)
        remove_bad(log, false); /* of the last time */
    (void)snprintf(sentence, sizeof sentence,
                   "%s: entry %" PRIu64 " was acknowledged, and is missing "
                   "without a trace: the disk has lost a write",
                   log->dir, index); /* a shorter one will do */
    return note(log, sentence);
}

int store_log_recovered(struct store_log *log)
{
    struct store_disk *d = log->disk;
    int rc;

    if (log->failed < 0 || !log->is_faulty)
        return log->failed;
    rc = d->remove(d, NOTE_NAME);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    log->failed = segment_unknown(d->sync_dir(d));
    if (log->failed < 0)
        return log->failed;
    log->is_faulty = false;
    remove_bad(log, true);
    return 1;
}
