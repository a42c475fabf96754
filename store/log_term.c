#include "store/log_term.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "base/assert.h"
#include "base/err.h"

#define TERM_NAME "term"
#define TERM_NAME_NEW "term.new"
#define TERM_MAGIC UINT64_C(0x00004d5245545850) /* "PXTERM", as on disk */
#define TERM_VERSION 1u

struct term_bytes {
    uint64_t sum;
    uint64_t magic;
    uint32_t version;
    uint32_t zeros;
    uint64_t stamp;
    uint64_t term;
    uint64_t vote;
};
static_assert(sizeof(struct term_bytes) == 48, "as drawn");

static uint64_t sum_of(const struct term_bytes *b)
{
    return XXH3_64bits((const uint8_t *)b + sizeof b->sum,
                       sizeof *b - sizeof b->sum);
}

static int decode(const struct term_bytes *b, uint64_t stamp,
                  struct raft_hard_state *hard_out)
{
    if (le64toh(b->magic) != TERM_MAGIC || le64toh(b->sum) != sum_of(b))
        return -PX_ECORRUPT;
    if (le32toh(b->version) != TERM_VERSION)
        return -PX_EFORMAT;
    if (le64toh(b->stamp) != stamp)
        return -PX_ECLUSTER;
    *hard_out = (struct raft_hard_state){le64toh(b->term), le64toh(b->vote)};
    return 0;
}

int log_term_read(struct store_disk *d, uint64_t stamp,
                  struct raft_hard_state *hard_out)
{
    uint8_t bytes[sizeof(struct term_bytes) + 1]; /* to see a longer one */
    struct term_bytes b;
    ssize_t n = store_disk_load(d, TERM_NAME, bytes, sizeof bytes);

    if (n < 0)
        return (int)n;
    if ((size_t)n != sizeof b)
        return -PX_ECORRUPT;
    memcpy(&b, bytes, sizeof b);
    return decode(&b, stamp, hard_out);
}

int log_term_write(struct store_disk *d, uint64_t stamp,
                   struct raft_hard_state hard)
{
    struct term_bytes b = {
        .magic = htole64(TERM_MAGIC),
        .version = htole32(TERM_VERSION),
        .stamp = htole64(stamp),
        .term = htole64(hard.term),
        .vote = htole64(hard.voted_for),
    };

    b.sum = htole64(sum_of(&b));
    return store_disk_replace(d, TERM_NAME, TERM_NAME_NEW, &b, sizeof b);
}

bool log_term_is_newer(struct raft_hard_state a, struct raft_hard_state b)
{
    return a.term > b.term ||
           (a.term == b.term && a.voted_for != 0 && b.voted_for == 0);
}
