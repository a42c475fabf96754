/* struct store_log, for the files that implement log.h.
 *
 *   log.c          open, write, sync, close       segment.c   files
 *   log_read.c     read                           log_format.c  bytes
 *   log_index.c    what is in memory of entries   log_scan.c  a walk through
 *   recover.c      what the files say at open                 one file
 *   log_head.c     what leaves it: cut_head, reset   log_term.c  term, vote
 *   log_repair.c   damage: cut, noted, put aside   log_config.c   members
 *
 * Invariants:
 *   L1  head <= durable <= end <= zeroed <= segment_size
 *   L2  end is a multiple of LOG_ALIGN
 *   L3  an end record still fits: end + LOG_HEAD_BYTES <= segment_size
 *   L4  all segments but the current one are wholly durable
 *   L5  runs ascend in term and index, and the first begins behind the base,
 *       whose term it may have
 *   L6  every place in the index lies before (sequence, end)
 *   L7  segments ascend by one, and the last one is the current */
#ifndef STORE_LOG_CORE_H
#define STORE_LOG_CORE_H

#include <pthread.h>
#include <stdbool.h>

#include "store/disk.h"
#include "store/log.h"
#include "store/log_format.h"
#include "store/say.h"

#define LOG_SEGMENT_BYTES_MIN (2u * LOG_BLOCK_BYTES)

/* Where an entry's record lies. */
struct log_place {
    uint32_t sequence;
    uint32_t offset;
    uint32_t body_size;
};

struct log_index {
    struct log_place *places; /* [index - base.index - 1] */
    size_t capacity;
    struct raft_pos base; /* before the first entry; within recovery its term
                             may be 0, not known */
    raft_index last;
    uint64_t bytes; /* of their records */
    struct raft_term_run *runs;
    size_t run_count;
    size_t run_capacity;
};

int log_index_reserve(struct log_index *x, size_t more);
void log_index_fini(struct log_index *x);
raft_term log_index_last_term(const struct log_index *x);
/* Of an entry from the base on. */
raft_term log_index_term(const struct log_index *x, raft_index index);
bool log_index_holds(const struct log_index *x, struct raft_pos pos);
/* Forgets the entries up to @pos, which it holds and which becomes its base. */
void log_index_drop(struct log_index *x, struct raft_pos pos);
/* Forgets all entries: the next one follows @pos. */
void log_index_clear(struct log_index *x, struct raft_pos pos);
/* Takes in an entry or a cut, room for which was reserved. A sentence's end
 * when the record contradicts the ones before, and nothing is changed. */
const char *log_index_apply(struct log_index *x, const struct log_record *r);

/* The configurations among the entries, ascending: log_config.c. */
struct log_configs {
    struct raft_config_at *list;
    size_t count;
    size_t capacity;
};

/* Takes in an entry or a cut; any other record changes nothing. -ENOMEM; -PX_ECORRUPT: what should be a configuration isn't one. */
int log_configs_take(struct log_configs *c, const struct log_record *r,
                     const uint8_t *body);
/* Keeps those behind @base, up to @last. */
void log_configs_limit(struct log_configs *c, raft_index base, raft_index last);

/* A segment that there is. */
struct log_segment {
    uint32_t sequence;
    raft_index last; /* the last entry before it, as its head says */
};

struct log_segments {
    struct log_segment *list; /* the oldest first */
    size_t count;
    size_t capacity;
};

/* Where recovery has found damage: what lies before is sound. Sequence 0:
 * nothing is. */
struct log_damage {
    uint32_t sequence;
    uint64_t offset;
    uint64_t bytes; /* of the segment, as its head says */
};

#define LOG_FAULT_BYTES 512

struct log_batch; /* log.c: records on their way to one pwritev */

struct store_log {
    /* Fixed at open. */
    char *dir; /* for messages */
    struct store_disk *disk;
    uint32_t segment_bytes;
    uint64_t stamp;
    raft_index applied;           /* durable once, by what the state says */
    struct raft_pos snapshot;     /* the newest durable one, at open */
    struct store_disk *term_disk; /* NULL: term and vote are in the log alone */
    bool is_base_applied;         /* by the log, not installed */
    bool is_state_whole;          /* up to applied, and may stand in */
    bool is_begun;
    struct store_progress progress; /* of the open */
    struct store_log_info found;
    struct raft_term_run *found_runs;
    struct log_configs configs; /* as open found them */

    /* The log thread's. */
    int file;              /* the current segment */
    uint32_t sequence;     /* its number */
    uint32_t segment_size; /* its bytes */
    uint64_t end;          /* of its records */
    uint64_t durable;      /* no flush is owed for what lies before */
    uint64_t zeroed;       /* zeros, not holes, lie from end to here */
    uint64_t chain;        /* head checksum of the last record */
    struct raft_hard_state hard;
    struct raft_hard_state kept; /* what the file of term and vote says */
    int term_rc;                 /* 0, or why it says nothing */
    bool is_faulty;              /* so says a note, which is durable */
    char fault[LOG_FAULT_BYTES]; /* what it says */
    struct log_segments segments;
    bool is_written; /* since it was opened */
    int failed;      /* 0, or the first error: it stays */
    struct log_batch *batch;

    pthread_mutex_t lock;
    struct log_index index; /* guarded by lock; changed by the log thread */
};

/* Takes in one record, from the disk or on its way there. NULL, or what is
 * wrong with it. Room in the index is reserved before. */
const char *log_take(struct store_log *log, const struct log_record *r);

/* Begins segment log->sequence + 1, of at least @room bytes of records, behind
 * the entry at @last. The current one is wholly durable, or no more: @is_first;
 * its file stays open, for the caller to close. Errors: nothing has changed;
 * -ENOSPC: it may be tried again, on others the log has failed. */
int log_begin_segment(struct store_log *log, uint32_t room,
                      struct raft_pos last, bool is_first);

/* log_head.c */
int log_segments_add(struct log_segments *s, uint32_t sequence,
                     raft_index last);
/* Drops all entries, and begins a segment behind @pos; what lies before it is
 * removed. */
int log_restart(struct store_log *log, struct raft_pos pos);

/* Fills @log from its folder, which it puts in order first: recover.c. Where
 * that is -PX_ECORRUPT, nothing was changed, and @damage_out says where. */
int log_recover(struct store_log *log, struct log_damage *damage_out,
                struct px_text *why);
/* Back to before that. */
void log_forget(struct store_log *log);

void log_check(const struct store_log *log);

#endif
