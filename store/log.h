/* The log on disk: entries, terms and votes, in segment files of our own.
 *
 * A record is written with the checksum of its header, of its body, and of the
 * record before it, so that a lost, torn, misplaced or stale record is told
 * from a good one (log_format.h draws the bytes). Segments are preallocated
 * and zeroed ahead; a write is one write of the disk, made durable by one sync.
 *
 *   store_log_open ─▶ store_log_info ─▶ (store_log_write* ─▶ store_log_sync)*
 *                                       store_log_read, from any thread
 *
 * A torn last batch, which nobody can have been told of, is cut at open, and
 * the cut is durable before open returns. At open the tail segment is read past
 * the page cache (where the disk can't do that, its live part is written anew
 * and flushed), so that what is recovered is what the disk holds
 * and not what a failed flush left in memory. Damage anywhere else is
 * -PX_ECORRUPT, and names the file, the offset and the index.
 *
 * Such a log can be opened all the same (is_repaired), where term and vote are
 * known from a second copy: it is cut to what is sound, and is *faulty* from
 * then on, at every open, for it may lack what others were told that it holds.
 *
 *   store_log_open ─▶ info.fault ─▶ raft_new with is_faulty ─▶ ... ─▶
 *                                   out.is_recovered ─▶ store_log_recovered
 *
 * The state may have applied more than is left, or other entries: unless
 * store_log_info_holds its position, it has to be built anew. A log can also
 * have lost what nothing here tells of; raft hears of it from its leader
 * (store_log_note_loss).
 *
 * The log does not grow for ever. What a durable snapshot covers may go: whole
 * segments, from the oldest on (store_log_cut_head). And where a snapshot was
 * installed that the log does not reach, the log begins anew behind it
 * (store_log_reset). Either may be interrupted at any point; the next open
 * finishes it.
 *
 * Who the members are is in the log, too: open gathers the configurations that
 * it holds, because raft begins with the newest.
 *
 * Thread: what changes the log belongs to one thread, the log thread; read, to
 * any. */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include "raft/raft.h"
#include "raft/types.h"
#include "store/disk.h"
#include "store/progress.h"

#define STORE_LOG_SEGMENT_BYTES (64u * PX_MIB) /* the default */

struct store_log;

struct store_log_options {
    struct store_disk *disk; /* of a folder that the log has for itself; the
                                caller's, open until the log is closed */
    const char *dir;         /* that folder, for messages */
    uint64_t segment_bytes;  /* 0: the default */
    uint64_t stamp;          /* identity of cluster and node, in every segment's
                               header: a file of another one is refused */
    raft_index applied;   /* the state holds entries up to here, so all of them
                           were durable once: a log that ends before is damaged
                           (-PX_ECORRUPT), and nothing in it is changed. 0: not
                           known */
    struct raft_pos base; /* of the newest durable snapshot; {0, 0}: none. A
                             log that begins behind it has lost entries
                             (-PX_ECORRUPT). One that does not hold it is reset
                             to it: an installation was interrupted */
    bool is_base_applied; /* base is @applied, of a snapshot that was just made
                             of the state: nothing was installed, and a log that
                             does not reach it, or has another entry there, has
                             lost entries (-PX_ECORRUPT) */
    bool is_state_whole;  /* it can stand in for a snapshot that is missing: a
                             log that begins behind base, and not behind @applied,
                             has lost nothing (-ENODATA) */
    struct store_disk *term_disk; /* where term and vote are kept a second time,
                                     in a file "term": the caller's, open until
                                     the log is closed. NULL: nowhere */
    bool is_begun; /* there was a log once: an empty folder has lost it
                         (-PX_ECORRUPT) */
    bool
        is_repaired; /* damage is cut away, where term and vote are known. A log
                         that was, and that raft does not call recovered yet,
                         opens no other way */
    struct store_progress progress; /* of the open, in segments */
};

/* What open found. Runs and configurations belong to the log, good until it is
 * closed. */
struct store_log_info {
    struct raft_hard_state hard;
    const struct raft_term_run *runs;
    size_t run_count;
    struct raft_pos base; /* before the first entry; {0, 0}: the log is whole.
                             At or before the snapshot. Runs begin behind it;
                             the first may be of its term */
    raft_index first;     /* base.index + 1 */
    raft_index last;      /* base.index: empty */
    /* Those that the entries behind the base hold, ascending. What holds at the
     * base itself the snapshot says. */
    const struct raft_config_at *configs;
    size_t config_count;
    uint64_t bytes;      /* of live records */
    uint64_t torn_bytes; /* cut from the tail at open */
    const char *fault;   /* entries that were durable here may be missing: one
                             sentence says where damage was found, now or at an
                             earlier open. NULL: none are */
};

/* Opens or creates the log on options->disk. An empty folder is a new log,
 * which begins behind options->base: that it was not begun before is for the
 * caller to know (has_log in identity.h).
 * Errors: -PX_ECORRUPT, -PX_EFORMAT, -PX_ECLUSTER (another stamp), -ENODATA
 *         (is_state_whole; nothing was changed), -errno of the disk, -EINVAL
 *         (segment_bytes: 8 KiB to 2 GiB); @why says in one sentence which file,
 *         offset and index. */
int store_log_open(const struct store_log_options *options,
                   struct store_log **log_out, char *why, size_t why_size);
/* Does the log hold the entry at @pos, or begin right behind it? */
bool store_log_info_holds(const struct store_log_info *info,
                          struct raft_pos pos);

/* Raft says that entry @index, which was acknowledged, is missing, though
 * nothing looks damaged: the log is faulty at the next open, too. Durable on
 * return.
 * Errors: -errno; it may then be, or not. */
int store_log_note_loss(struct store_log *log, raft_index index);

/* Raft says that the log holds again all that it ever did. Durable on return;
 * of what was put aside, the damaged file is kept. Returns 1; 0: the log had no
 * fault, and nothing was done.
 * Errors: -errno; it is then as faulty as it was at the next open. */
int store_log_recovered(struct store_log *log);

/* Flushes what was written, then writes a last record that says so: damage to
 * the last batch is then told from a torn write. Not after an error. NULL is
 * accepted. */
void store_log_close(struct store_log *log);
/* What open found, whatever was written since. Thread: any. */
void store_log_info(const struct store_log *log,
                    struct store_log_info *info_out);

/* Appends a batch: @hard if not NULL, then @count entries. When
 * entries[0].pos.index <= last, the log is cut from there on first, behind its
 * base: a cut is itself a record, so replaying the records yields the log. Not yet durable:
 * of what is written between two syncs, a crash may leave any beginning.
 * Errors: -ENOSPC, a new segment can't be made: the log is usable, with nothing
 *         of the batch in it, or with a beginning of it, as after a crash. The
 *         same batch, whole, is written next, once there is room. -errno; the
 *         log is then unusable and the process must end. */
int store_log_write(struct store_log *log, const struct raft_hard_state *hard,
                    const struct raft_entry *entries, size_t count);
/* Makes all that was written durable. An error, once returned, is returned
 * for ever: after a failed flush nothing in the page cache can be believed. */
int store_log_sync(struct store_log *log);

/* A durable snapshot covers all entries up to @index: removes the segments that
 * hold no others, the oldest first. The current one always stays: a roll just
 * for this would hold up writes to free one segment at most, which the next
 * call frees. Returns how many went.
 * Errors: -errno. Where a file could not be removed, the log is as good as it
 * was, and the next call tries again; where the removal could not be made
 * durable, it has failed, as after a write. */
int store_log_cut_head(struct store_log *log, raft_index index);
/* A durable snapshot at @pos was installed, which the log does not hold: all
 * entries are dropped, and the log goes on behind @pos. The hard state is kept,
 * as last written; it knows of pos.term, durably. Durable on return.
 * Errors: -ENOSPC: nothing has changed, and it may be tried again. -errno; the
 *         log is then unusable and the process must end. */
int store_log_reset(struct store_log *log, struct raft_pos pos);
/* Bytes of live records. Thread: any. */
uint64_t store_log_bytes(struct store_log *log);

/* Reads entries from @first on, checksums verified: at most @max,
 * PX_BATCH_ENTRIES_MAX, and @bytes_max of data, but at least one. Each entry
 * holds a reference that the caller drops with px_slice_unref. Only what has
 * been written is seen.
 * Returns the count; -ENOENT when @first is not in the log, or leaves it while
 * it is read; -PX_ECORRUPT.
 * Thread: any. */
int store_log_read(struct store_log *log, raft_index first, size_t max,
                   size_t bytes_max, struct raft_entry *entries);

#endif
