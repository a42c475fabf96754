/* A folder that says it is a log, through open, and what may follow.
 *
 *   byte 0   bit 0   heads, checksums and places are put right first
 *            bit 1   the bytes are two segments, a half each, and not one
 *            bit 2   damage may be cut away
 *            bit 3   a snapshot covers entry 1
 *
 * What opens can be read from its first entry to its last, takes another one,
 * and opens again with all of it; what does not open is refused with a sentence.
 * Run as
 *   fuzz_log -max_len=32768 CORPUS_DIR */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "store/log.h"
#include "store/log_format.h"
#include "store/log_term.h"
#include "store/segment.h"
#include "tests/lib/memdisk.h"

#define STAMP UINT64_C(0x1234)
#define SEGMENT_BYTES (2u * LOG_BLOCK_BYTES)
#define FILE_BYTES_MAX (4u * LOG_BLOCK_BYTES)
#define READ_BYTES_MAX (64u * PX_KIB)
#define SMALL 7u /* terms and indexes, so that they meet */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Files ---- */

static uint64_t u64_at(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* As the head's own bytes say, but for what makes it one. */
static void mend_head(uint8_t *file, size_t size, uint32_t sequence,
                      uint64_t chain)
{
    struct log_segment_head h = {
        .version = LOG_FORMAT_VERSION,
        .sequence = sequence,
        .stamp = STAMP,
        .bytes = size,
        .chain = chain,
        .last = {u64_at(file + 48) & SMALL, u64_at(file + 56) & SMALL},
        .hard = {u64_at(file + 64) & SMALL, u64_at(file + 72) & SMALL},
        .is_first = (file[80] & 1u) != 0,
    };

    log_segment_head_encode(&h, file);
}

/* Records until the file is full, or a type says that there are no more.
 * Returns the chain that the next file begins with. */
static uint64_t mend(uint8_t *file, size_t size, uint32_t sequence,
                     uint64_t chain)
{
    size_t at = LOG_BLOCK_BYTES;

    mend_head(file, size, sequence, chain);
    while (size - at >= LOG_HEAD_BYTES && file[at + 56] != 0) {
        uint8_t *p = file + at;
        uint32_t left = (uint32_t)(size - at - LOG_HEAD_BYTES);
        struct log_record r = {
            .type = LOG_ENTRY,
            .kind = RAFT_ENTRY_COMMAND,
            .term = u64_at(p + 24) & SMALL,
            .index = u64_at(p + 32) & SMALL,
            .body_size = u32_at(p + 40) % (left + 1),
            .durable = u32_at(p + 44) % (uint32_t)(at + 1),
            .offset = (uint32_t)at,
            .sequence = sequence,
            .chain = chain,
        };
        uint32_t bytes = log_record_bytes(r.body_size);
        uint8_t what[2] = {(uint8_t)(p[56] % 6u), (uint8_t)(p[57] % 6u)};

        if (at + bytes > size)
            break;
        memset(p + LOG_HEAD_BYTES + r.body_size, 0,
               bytes - LOG_HEAD_BYTES - r.body_size);
        r.body_sum = log_body_sum(p + LOG_HEAD_BYTES, r.body_size);
        log_record_encode(&r, STAMP, p);
        memcpy(p + 56, what, sizeof what); /* known, or not */
        chain = XXH3_64bits_withSeed(p + 8, LOG_HEAD_BYTES - 8, STAMP);
        memcpy(p, &chain, sizeof chain);
        at += bytes;
    }
    memset(file + at, 0, size - at);
    return chain;
}

static void put_segments(struct memdisk *m, uint8_t how, const uint8_t *data,
                         size_t size)
{
    uint32_t count = (how & 2u) != 0 ? 2 : 1;
    size_t part = size / count;
    uint64_t chain = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *file = calloc(1, FILE_BYTES_MAX);
        char name[SEGMENT_NAME_BYTES];
        size_t bytes = part < FILE_BYTES_MAX ? part : FILE_BYTES_MAX;

        px_assert(file != NULL);
        if (bytes > 0)
            memcpy(file, data + i * part, bytes);
        if ((how & 1u) != 0) {
            bytes = FILE_BYTES_MAX;
            chain = mend(file, bytes, i + 1, chain);
        }
        segment_name(i + 1, name);
        memdisk_put(m, name, file, bytes);
        free(file);
    }
}

/* ---- The log ---- */

static int open_log(struct memdisk *m, struct memdisk *home, uint8_t how,
                    struct store_log **log_out)
{
    const struct store_log_options options = {
        .disk = memdisk_disk(m),
        .term_disk = memdisk_disk(home),
        .dir = "log",
        .segment_bytes = SEGMENT_BYTES,
        .stamp = STAMP,
        .base =
            (how & 8u) != 0 ? (struct raft_pos){1, 1} : (struct raft_pos){0, 0},
        .is_repaired = (how & 4u) != 0,
    };
    char why[512] = "";
    int rc = store_log_open(&options, log_out, why, sizeof why);

    px_assert(rc == 0 || why[0] != '\0');
    return rc;
}

static void read_all(struct store_log *log, raft_index first, raft_index last)
{
    while (first <= last) {
        struct raft_entry entries[PX_BATCH_ENTRIES_MAX];
        int count = store_log_read(log, first, PX_BATCH_ENTRIES_MAX,
                                   READ_BYTES_MAX, entries);

        px_assert(count > 0);
        for (int i = 0; i < count; i++) {
            px_assert(entries[i].pos.index == first++);
            px_slice_unref(&entries[i].data);
        }
    }
}

/* Returns the last entry then. */
static raft_index go_on(struct store_log *log)
{
    struct raft_entry e = {.kind = RAFT_ENTRY_NOOP};
    struct raft_hard_state hard = {.voted_for = 1};
    struct store_log_info info;

    store_log_info(log, &info);
    read_all(log, info.first, info.last);
    e.pos.term = hard.term = info.hard.term + 1;
    e.pos.index = info.last + 1;
    px_assert(store_log_write(log, &hard, &e, 1) == 0);
    px_assert(store_log_sync(log) == 0);
    read_all(log, info.first, e.pos.index);
    return e.pos.index;
}

static void fuzz(struct memdisk *m, struct memdisk *home, uint8_t how)
{
    struct store_log_info before, after;
    struct store_log *log;
    raft_index last;
    bool was_faulty;

    if (open_log(m, home, how, &log) < 0)
        return;
    store_log_info(log, &before);
    was_faulty = before.fault != NULL;
    last = go_on(log);
    store_log_close(log);
    px_assert(open_log(m, home, how, &log) == 0);
    store_log_info(log, &after);
    px_assert(after.last == last && (after.fault != NULL) == was_faulty);
    read_all(log, after.first, last);
    store_log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memdisk *m = memdisk_new();
    struct memdisk *home = memdisk_new();

    if (size > 0) {
        px_assert(log_term_write(memdisk_disk(home), STAMP,
                                 (struct raft_hard_state){SMALL + 1, 0}) == 0);
        put_segments(m, data[0], data + 1, size - 1);
        fuzz(m, home, data[0]);
    }
    memdisk_free(m);
    memdisk_free(home);
    return 0;
}
