/* To bytes and back, as drawn in log_format.h. */
#include "store/log_format.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"

#define SEGMENT_MAGIC UINT64_C(0x474553474f4c5850) /* "PXLOGSEG", as on disk */

/* The records as they lie on disk: no gaps, every field little-endian. */
struct record_bytes {
    uint64_t head_sum;
    uint64_t body_sum;
    uint64_t chain;
    uint64_t term;
    uint64_t index;
    uint32_t body_size;
    uint32_t durable;
    uint32_t offset;
    uint32_t sequence;
    uint8_t type;
    uint8_t kind;
    uint8_t zeros[6];
};
static_assert(sizeof(struct record_bytes) == LOG_HEAD_BYTES, "as drawn");

struct segment_bytes {
    uint64_t sum;
    uint64_t magic;
    uint32_t version;
    uint32_t sequence;
    uint64_t stamp;
    uint64_t bytes;
    uint64_t chain;
    uint64_t last_term;
    uint64_t last_index;
    uint64_t hard_term;
    uint64_t hard_vote;
    uint8_t is_first;
    uint8_t zeros[LOG_BLOCK_BYTES - 81];
};
static_assert(sizeof(struct segment_bytes) == LOG_BLOCK_BYTES, "as drawn");

const char *log_flaw_text(enum log_flaw flaw)
{
    static const char *const texts[] = {
#define LOG_FLAW_TEXT(name, text) [name] = (text),
        LOG_FLAWS(LOG_FLAW_TEXT)
#undef LOG_FLAW_TEXT
    };

    return texts[flaw];
}

uint32_t log_record_bytes(uint32_t body_size)
{
    return LOG_HEAD_BYTES + ((body_size + LOG_ALIGN - 1) & ~(LOG_ALIGN - 1));
}

uint64_t log_body_sum(const void *body, size_t size)
{
    return XXH3_64bits(size > 0 ? body : "", size);
}

static uint64_t record_sum(const uint8_t *head, uint64_t stamp)
{
    return XXH3_64bits_withSeed(head + sizeof(uint64_t),
                                LOG_HEAD_BYTES - sizeof(uint64_t), stamp);
}

/* Does a record say something that this version writes? */
static bool has_known_content(const struct record_bytes *b)
{
    static const uint8_t zeros[sizeof b->zeros];
    bool is_entry = b->type == LOG_ENTRY;

    return b->type >= LOG_ENTRY && b->type <= LOG_END &&
           is_entry == (b->kind >= RAFT_ENTRY_NOOP) &&
           b->kind <= RAFT_ENTRY_CONFIG &&
           (is_entry || le32toh(b->body_size) == 0) &&
           le32toh(b->body_size) <= PX_ENTRY_BYTES_MAX &&
           le32toh(b->durable) <= le32toh(b->offset) &&
           memcmp(b->zeros, zeros, sizeof zeros) == 0;
}

void log_record_encode(struct log_record *r, uint64_t stamp, uint8_t *out)
{
    struct record_bytes b = {
        .body_sum = htole64(r->body_sum),
        .chain = htole64(r->chain),
        .term = htole64(r->term),
        .index = htole64(r->index),
        .body_size = htole32(r->body_size),
        .durable = htole32(r->durable),
        .offset = htole32(r->offset),
        .sequence = htole32(r->sequence),
        .type = (uint8_t)r->type,
        .kind = (uint8_t)r->kind,
    };

    px_assert(has_known_content(&b)); /* or it could not be read back */
    memcpy(out, &b, sizeof b);
    r->head_sum = record_sum(out, stamp);
    b.head_sum = htole64(r->head_sum);
    memcpy(out, &b, sizeof b);
}

enum log_flaw log_record_decode(const uint8_t *in, uint64_t stamp,
                                uint32_t sequence, uint32_t offset,
                                struct log_record *r)
{
    static const uint8_t zeros[LOG_HEAD_BYTES];
    struct record_bytes b;

    if (memcmp(in, zeros, sizeof zeros) == 0)
        return LOG_ZEROS;
    memcpy(&b, in, sizeof b);
    if (le64toh(b.head_sum) != record_sum(in, stamp) &&
        !px_mutant(LOG_HEAD_UNCHECKED))
        return LOG_BAD_HEAD;
    if ((le32toh(b.sequence) != sequence || le32toh(b.offset) != offset) &&
        !px_mutant(LOG_PLACE_UNCHECKED))
        return LOG_BAD_PLACE;
    if (!has_known_content(&b))
        return LOG_BAD_CONTENT;
    *r = (struct log_record){
        .type = (enum log_type)b.type,
        .kind = (enum raft_entry_kind)b.kind,
        .term = le64toh(b.term),
        .index = le64toh(b.index),
        .body_size = le32toh(b.body_size),
        .durable = le32toh(b.durable),
        .offset = offset,
        .sequence = sequence,
        .chain = le64toh(b.chain),
        .body_sum = le64toh(b.body_sum),
        .head_sum = le64toh(b.head_sum),
    };
    return LOG_SOUND;
}

enum log_flaw log_record_check_body(const struct log_record *r,
                                    const uint8_t *body)
{
    uint32_t padded = log_record_bytes(r->body_size) - LOG_HEAD_BYTES;

    if (log_body_sum(body, r->body_size) != r->body_sum &&
        !px_mutant(LOG_BODY_UNCHECKED))
        return LOG_BAD_BODY;
    for (uint32_t i = r->body_size; i < padded; i++) {
        if (body[i] != 0)
            return LOG_BAD_BODY;
    }
    return LOG_SOUND;
}

static uint64_t segment_sum(const uint8_t *head)
{
    return XXH3_64bits(head + sizeof(uint64_t),
                       LOG_BLOCK_BYTES - sizeof(uint64_t));
}

void log_segment_head_encode(const struct log_segment_head *h, uint8_t *out)
{
    struct segment_bytes b = {
        .magic = htole64(SEGMENT_MAGIC),
        .version = htole32(h->version),
        .sequence = htole32(h->sequence),
        .stamp = htole64(h->stamp),
        .bytes = htole64(h->bytes),
        .chain = htole64(h->chain),
        .last_term = htole64(h->last.term),
        .last_index = htole64(h->last.index),
        .hard_term = htole64(h->hard.term),
        .hard_vote = htole64(h->hard.voted_for),
        .is_first = h->is_first,
    };

    memcpy(out, &b, sizeof b);
    b.sum = htole64(segment_sum(out));
    memcpy(out, &b, sizeof b);
}

int log_segment_head_decode(const uint8_t *in, struct log_segment_head *h)
{
    struct segment_bytes b;

    memcpy(&b, in, sizeof b);
    if (le64toh(b.magic) != SEGMENT_MAGIC || le64toh(b.sum) != segment_sum(in))
        return -PX_ECORRUPT;
    if (le32toh(b.version) != LOG_FORMAT_VERSION &&
        !px_mutant(FORMAT_UNCHECKED))
        return -PX_EFORMAT;
    if (le64toh(b.bytes) < LOG_BLOCK_BYTES ||
        le64toh(b.bytes) > LOG_SEGMENT_BYTES_MAX || b.is_first > 1)
        return -PX_ECORRUPT;
    *h = (struct log_segment_head){
        .version = le32toh(b.version),
        .sequence = le32toh(b.sequence),
        .stamp = le64toh(b.stamp),
        .bytes = le64toh(b.bytes),
        .chain = le64toh(b.chain),
        .last = {le64toh(b.last_term), le64toh(b.last_index)},
        .hard = {le64toh(b.hard_term), le64toh(b.hard_vote)},
        .is_first = b.is_first == 1,
    };
    return 0;
}
