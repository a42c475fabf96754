/* The log as raft sees it: the term of every entry, and the newest entries
 * themselves.
 *
 *   index   base | base + 1 ........... tail first ....... durable ... last
 *   terms   base | [1,1) [2,40) ...     runs, for the whole log
 *   bytes   gone | on disk only         | in memory, referenced            |
 *                                                 | not yet durable here   |
 *
 * The log begins behind its base, the last entry that a durable snapshot
 * covers and that may be gone: of it the term is known, of what lies below
 * nothing is, but that it was committed, and so is what everybody holds.
 *
 * Runs answer every question that Raft asks of old entries (prev terms,
 * conflicts, votes), so bytes are needed only to send and to apply. The tail
 * is one flat array, so that a message or a write can point into it; it is
 * changed only before a step shows any of it, see raft_log_trim.
 *
 * A write that is under way may be overtaken by a cut or a reset:
 * raft_log_on_durable tells which completions still speak of this log. */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/raft.h"
#include "raft/types.h"

/* The tail is also bounded in entries, so that tiny ones stay within caches. */
#define RAFT_TAIL_ENTRIES_MAX 65536u

struct raft_log {
    struct raft_pos base;       /* {0, 0}: the log is whole */
    struct raft_term_run *runs; /* ascending, from base + 1; none: empty */
    size_t run_count;
    size_t run_capacity;

    struct raft_entry *entries; /* the tail is entries[head .. head + count) */
    size_t head;
    size_t count;
    size_t capacity;
    uint64_t tail_bytes;      /* of data and of the entries themselves */
    uint64_t unapplied_bytes; /* of data, beyond applied, in the tail */

    raft_index last;    /* base.index: an empty log */
    raft_index durable; /* here; moves back when the log is cut. Up to base by
                           the snapshot */
    raft_index applied;
    uint64_t cut_seq; /* the newest write that cut or reset the log */
};

/* @base, @runs and @last as in raft_options, already checked. All of it is
 * durable and none in memory. Errors: -ENOMEM. */
int raft_log_init(struct raft_log *log, const struct raft_options *options);
void raft_log_fini(struct raft_log *log);

/* Room for @count entries, and a run for each. Errors: -ENOMEM, no effect. */
int raft_log_reserve(struct raft_log *log, size_t count);
/* Appends behind the last; room has been reserved. References @data. */
void raft_log_append(struct raft_log *log, raft_term term,
                     enum raft_entry_kind kind, struct px_slice data);
/* Drops all entries from @first on; the write numbered @seq does it on disk. */
void raft_log_cut(struct raft_log *log, raft_index first, uint64_t seq);
/* Moves the base to @index, which is applied: forgets all up to there. */
void raft_log_compact(struct raft_log *log, raft_index index);
/* A snapshot at @pos was installed, beyond what is applied. The log holds @pos:
 * it keeps what lies behind. */
void raft_log_install(struct raft_log *log, struct raft_pos pos);
/* The log does not: it becomes empty behind @pos; the write numbered @seq does
 * it on disk. */
void raft_log_reset(struct raft_log *log, struct raft_pos pos, uint64_t seq);
/* Forgets the oldest of the tail while it is too large: what is durable can be
 * read back from disk. Pointers into the tail end here. */
void raft_log_trim(struct raft_log *log);

/* A write is durable: moves the durable index, unless the log has been cut
 * since the write was handed out. */
void raft_log_on_durable(struct raft_log *log, struct raft_write write);
void raft_log_on_applied(struct raft_log *log, raft_index index);

/* The term at @index, which lies within base.index .. last; 0 at 0. */
raft_term raft_log_term(const struct raft_log *log, raft_index index);
struct raft_pos raft_log_pos(const struct raft_log *log, raft_index index);
struct raft_pos raft_log_last(const struct raft_log *log);
/* Does the log hold the entry at @pos, or is @pos its base? False below base,
 * where nothing is known. {0, 0} is the base of a whole log. */
bool raft_log_holds(const struct raft_log *log, struct raft_pos pos);
/* Is a log that ends at @last at least as complete as this one (3.6.1)? */
bool raft_log_is_covered(const struct raft_log *log, struct raft_pos last);
/* What a refusal of @index > base carries: see raft_msg_append_reply. It points
 * behind the base: there both logs are the same. */
struct raft_pos raft_log_conflict(const struct raft_log *log, raft_index index);
/* The last index in base + 1 .. @limit whose term is at most @term; base: none.
 */
raft_index raft_log_last_of_term(const struct raft_log *log, raft_term term,
                                 raft_index limit);

/* The first index in memory; last + 1: none. */
raft_index raft_log_tail_first(const struct raft_log *log);
/* The entry at @index, which is in memory; those behind it follow it. */
const struct raft_entry *raft_log_entry(const struct raft_log *log,
                                        raft_index index);

void raft_log_check(const struct raft_log *log);

#endif
