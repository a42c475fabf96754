/* struct store_log, for the files that implement log.h.
 *
 *   log.c          open, write, sync, close       segment.c   files
 *   log_read.c     read                           log_format.c  bytes
 *   log_index.c    what is in memory of entries   log_scan.c  a walk through
 *   recover.c      what the files say at open                 one file
 *
 * Invariants:
 *   L1  head <= durable <= end <= zeroed <= segment_size
 *   L2  end is a multiple of LOG_ALIGN
 *   L3  an end record still fits: end + LOG_HEAD_BYTES <= segment_size
 *   L4  all segments but the current one are wholly durable
 *   L5  runs ascend in term and index, and the first begins at index 1
 *   L6  every place in the index lies before (sequence, end) */
#ifndef STORE_LOG_CORE_H
#define STORE_LOG_CORE_H

#include <pthread.h>

#include "store/disk.h"
#include "store/log.h"
#include "store/log_format.h"
#include "store/say.h"

#define LOG_SEGMENT_BYTES_DEFAULT (64u * PX_MIB)
#define LOG_SEGMENT_BYTES_MIN (2u * LOG_BLOCK_BYTES)

/* Where an entry's record lies. */
struct log_place {
    uint32_t sequence;
    uint32_t offset;
    uint32_t body_size;
};

struct log_index {
    struct log_place *places; /* [index - 1] */
    size_t capacity;
    raft_index last;
    uint64_t bytes; /* of the records of the entries 1 .. last */
    struct raft_term_run *runs;
    size_t run_count;
    size_t run_capacity;
};

int log_index_reserve(struct log_index *x, size_t more);
void log_index_fini(struct log_index *x);
raft_term log_index_last_term(const struct log_index *x);
/* Takes in an entry or a cut, room for which was reserved. A sentence's end
 * when the record contradicts the ones before, and nothing is changed. */
const char *log_index_apply(struct log_index *x, const struct log_record *r);

struct log_batch; /* log.c: records on their way to one pwritev */

struct store_log {
    /* Fixed at open. */
    char *dir; /* for messages */
    struct store_disk *disk;
    uint32_t segment_bytes;
    uint64_t stamp;
    raft_index applied; /* durable once, by what the state says */
    struct store_log_info found;
    struct raft_term_run *found_runs;

    /* The log thread's. */
    int file;              /* the current segment */
    uint32_t sequence;     /* its number */
    uint32_t segment_size; /* its bytes */
    uint64_t end;          /* of its records */
    uint64_t durable;      /* no flush is owed for what lies before */
    uint64_t zeroed;       /* zeros, not holes, lie from end to here */
    uint64_t chain;        /* head checksum of the last record */
    struct raft_hard_state hard;
    bool is_written; /* since it was opened */
    int failed;      /* 0, or the first error: it stays */
    struct log_batch *batch;

    pthread_mutex_t lock;
    struct log_index index; /* guarded by lock; changed by the log thread */
};

/* Takes in one record, from the disk or on its way there. NULL, or what is
 * wrong with it. Room in the index is reserved before. */
const char *log_take(struct store_log *log, const struct log_record *r);

/* Begins segment log->sequence + 1, of at least @room bytes of records, with
 * what the log holds now. The current one is wholly durable. */
int log_begin_segment(struct store_log *log, uint32_t room);

/* Fills @log from its folder, which it puts in order first: recover.c. */
int log_recover(struct store_log *log, struct px_text *why);

void log_check(const struct store_log *log);

#endif
