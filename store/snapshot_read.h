/* Reads a snapshot from its first block to its last, and believes nothing: what
 * verify and load share.
 *
 *   open ─▶ next* ─▶ close
 *
 * open looks at head, foot and length. next checks a block: place, chain,
 * checksum, sizes; then its records: order, shape, chunks' hashes. Behind the
 * last block it checks what they add up to: the foot's counts, and the hash of
 * the state. Only when next has said 0 is the whole of it right. */
#ifndef STORE_SNAPSHOT_READ_H
#define STORE_SNAPSHOT_READ_H

#include <zstd.h>

#include "base/text.h"
#include "store/snapshot.h"
#include "store/snapshot_format.h"

struct snapshot_reader {
    struct store_disk *disk;
    const char *name; /* the caller's */
    struct px_text *why;
    int file;
    struct snapshot_head head;
    struct snapshot_foot foot;
    uint64_t offset; /* of the next block */
    uint64_t chain;  /* checksum of the block before */
    uint32_t blocks; /* read so far */
    uint64_t records_seen;
    uint64_t records_bytes_seen;
    uint64_t hashes; /* the sum of the records' */
    struct meta_record meta;
    struct raft_config_at config; /* the state's; index 0: it has none */
    struct store_key last_key;    /* of the record before; size 0: none */

    ZSTD_DCtx *zstd;
    uint8_t *block;   /* as in the file */
    uint8_t *records; /* of the block that next has read */
    size_t records_bytes;
};

/* The files' names and stamp are looked at here too. Without memory for blocks
 * if @only_ends: close is all that may follow then.
 * Errors: -PX_ECORRUPT, -PX_EFORMAT, -PX_ECLUSTER, -ENOENT, -ENOMEM, of the
 *         disk; r->why says it, and nothing is left open. */
int snapshot_reader_open(struct snapshot_reader *r, struct store_disk *disk,
                         const char *name, uint64_t stamp, bool only_ends,
                         struct px_text *why);
/* 1: r->records has the records of one more block, all checked.
 * 0: there was no more, and everything adds up. Errors as above. */
int snapshot_reader_next(struct snapshot_reader *r);
void snapshot_reader_close(struct snapshot_reader *r);

void snapshot_reader_info(const struct snapshot_reader *r,
                          struct store_snapshot_info *info_out);

#endif
