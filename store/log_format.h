/* The log's bytes. Numbers are little-endian; checksums are XXH3, 64 bits.
 *
 * A log is a row of segment files, 0000000001.log and on. A segment is one
 * block of head, then records, then zeros to its end:
 *
 *   0        4096                              end            bytes
 *   ├────────┼────────┬────────┬─────┬─────────┼──────────────┤
 *   │ head   │ record │ record │ ... │ record  │ zeros        │
 *   └────────┴────────┴────────┴─────┴─────────┴──────────────┘
 *
 * The head of a segment. It has a block to itself, so that no later write
 * touches it. Where the log stood when the segment was begun is repeated in
 * it: the segments before can be removed once a snapshot covers them, and until
 * then nothing that is lost between two segments goes unseen.
 *
 *    0  u64  checksum of bytes 8 .. 4095
 *    8  u64  magic, "PXLOGSEG"
 *   16  u32  format version
 *   20  u32  sequence number, as in the name
 *   24  u64  stamp: whose log it is
 *   32  u64  bytes of this file
 *   40  u64  chain: head checksum of the last record before
 *   48  u64  term of the last entry before   } 0 when
 *   56  u64  index of the last entry before  } there is none
 *   64  u64  hard state: term
 *   72  u64  hard state: voted for
 *   80  u8   1: the log begins with this segment, whatever lies before it
 *   81       zeros
 *
 * A record: a head, a body, zeros up to a multiple of 8. It is never split
 * between segments.
 *
 *    0  u64  checksum of bytes 8 .. 63, seeded with the stamp
 *    8  u64  checksum of the body
 *   16  u64  chain: head checksum of the record before
 *   24  u64  term
 *   32  u64  index
 *   40  u32  bytes of the body
 *   44  u32  durable: all before this offset was durable when this was written
 *   48  u32  offset of this record in its segment
 *   52  u32  sequence number of its segment
 *   56  u8   type
 *   57  u8   entry kind, or 0
 *   58       zeros
 *
 *   type       term, index            body      meaning
 *   1 entry    of the entry           its data  follows the entry before
 *   2 hard     term, whom we voted for          replaces the one before
 *   3 cut      0, from this index on            those entries are no more
 *   4 end      0, 0                             the next segment exists
 *
 * The head's checksum covers the body's and the chain, so the chain ties each
 * record to all that came before it: a record that was lost, or is left over
 * from another time, breaks it. Stamp, sequence number and offset tell a
 * record that lies where it was not written. What `durable` is for is told in
 * recover.c. */
#ifndef STORE_LOG_FORMAT_H
#define STORE_LOG_FORMAT_H

#include <stdbool.h>

#include "raft/types.h"

#define LOG_FORMAT_VERSION 1u
#define LOG_BLOCK_BYTES 4096u /* of a segment's head, and of direct I/O */
#define LOG_HEAD_BYTES 64u    /* of a record */
#define LOG_ALIGN 8u
#define LOG_SEGMENT_BYTES_MAX (UINT32_C(1) << 31) /* offsets are 32 bits */

enum log_type {
    LOG_ENTRY = 1,
    LOG_HARD = 2,
    LOG_CUT = 3,
    LOG_END = 4,
};

struct log_record {
    enum log_type type;
    enum raft_entry_kind kind; /* LOG_ENTRY */
    raft_term term;
    uint64_t index; /* LOG_HARD: whom we voted for */
    uint32_t body_size;
    uint32_t durable;
    uint32_t offset;
    uint32_t sequence;
    uint64_t chain;
    uint64_t body_sum;
    uint64_t head_sum; /* filled by encode and decode */
};

struct log_segment_head {
    uint32_t version;
    uint32_t sequence;
    uint64_t stamp;
    uint64_t bytes;
    uint64_t chain;
    struct raft_pos last;
    struct raft_hard_state hard;
    bool is_first; /* of a log that was reset: what lies before is no more */
};

/* What is wrong with the bytes where a record should be. */
#define LOG_FLAWS(X)                                                 \
    X(LOG_SOUND, "nothing is wrong")                                 \
    X(LOG_ENDS, "the file ends")                                     \
    X(LOG_ZEROS, "there are zeros where a record should be")         \
    X(LOG_BAD_HEAD, "the checksum of the record's head is wrong")    \
    X(LOG_BAD_PLACE, "the record was written for another place")     \
    X(LOG_BAD_CHAIN, "the record does not follow the one before it") \
    X(LOG_BAD_BODY, "the checksum of the record's body is wrong")    \
    X(LOG_BAD_CONTENT, "the record's checksum is right, its content isn't")

enum log_flaw {
#define LOG_FLAW_ENUM(name, text) name,
    LOG_FLAWS(LOG_FLAW_ENUM)
#undef LOG_FLAW_ENUM
};

const char *log_flaw_text(enum log_flaw flaw);

/* Bytes of a record with a body of @body_size, padding included. */
uint32_t log_record_bytes(uint32_t body_size);
uint64_t log_body_sum(const void *body, size_t size);

/* Writes @r's head to @out, LOG_HEAD_BYTES, and its checksum to r->head_sum. */
void log_record_encode(struct log_record *r, uint64_t stamp, uint8_t *out);
/* Reads a head that should lie at @offset of segment @sequence. The chain and
 * the body are for the caller to check. @r is filled on LOG_SOUND alone. */
enum log_flaw log_record_decode(const uint8_t *in, uint64_t stamp,
                                uint32_t sequence, uint32_t offset,
                                struct log_record *r);
/* @body: r->body_size bytes and the padding behind them. */
enum log_flaw log_record_check_body(const struct log_record *r,
                                    const uint8_t *body);

/* @out, @in: LOG_BLOCK_BYTES. */
void log_segment_head_encode(const struct log_segment_head *h, uint8_t *out);
/* -PX_ECORRUPT: not a segment's head, or damaged; -PX_EFORMAT: of a version
 * that is not known here. Stamp and number are for the caller to check. */
int log_segment_head_decode(const uint8_t *in, struct log_segment_head *h);

#endif
