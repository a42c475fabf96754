/*          write                sync
 *   CLEAN ───────▶ DIRTY ──────────────────▶ CLEAN
 *                    │  failed sync             ▲
 *                    └──────────▶ LIE ──────────┘ evicted: the disk's bytes
 *
 * LIE: the cache holds other bytes than the disk, and takes them for clean. */
#include "tests/sim/disk_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/count.h"

enum sector_state {
    SECTOR_CLEAN,
    SECTOR_DIRTY,
    SECTOR_LIE,
};

struct disk_file *disk_file_new(void)
{
    struct disk_file *f = calloc(1, sizeof *f);

    px_assert(f != NULL);
    return f;
}

void disk_file_free(struct disk_file *f)
{
    free(f->cache);
    free(f->durable);
    free(f->states);
    free(f->writes);
    free(f->before);
    free(f);
}

static void *grow(void *old, size_t from, size_t to)
{
    uint8_t *p = realloc(old, to);

    px_assert(p != NULL);
    memset(p + from, 0, to - from);
    return p;
}

static void make_room(struct disk_file *f, uint64_t bytes)
{
    size_t have = f->sector_count;
    size_t want = (size_t)((bytes + SECTOR_BYTES - 1) / SECTOR_BYTES);

    if (want <= have)
        return;
    if (want < 2 * have)
        want = 2 * have;
    f->cache = grow(f->cache, have * SECTOR_BYTES, want * SECTOR_BYTES);
    f->durable = grow(f->durable, have * SECTOR_BYTES, want * SECTOR_BYTES);
    f->states = grow(f->states, have, want);
    f->writes =
        grow(f->writes, have * sizeof *f->writes, want * sizeof *f->writes);
    f->sector_count = want;
}

static void dirty(struct disk_file *f, uint64_t offset, uint64_t size)
{
    size_t begin = (size_t)(offset / SECTOR_BYTES);
    size_t end = (size_t)((offset + size + SECTOR_BYTES - 1) / SECTOR_BYTES);

    if (size == 0)
        return;
    for (size_t i = begin; i < end; i++) {
        f->states[i] = SECTOR_DIRTY;
        f->writes[i] = f->write_count;
    }
    if (f->dirty_begin == f->dirty_end) {
        f->dirty_begin = begin;
        f->dirty_end = end;
    }
    f->dirty_begin = begin < f->dirty_begin ? begin : f->dirty_begin;
    f->dirty_end = end > f->dirty_end ? end : f->dirty_end;
}

static void copy_sector(uint8_t *to, const uint8_t *from, size_t sector)
{
    memcpy(to + sector * SECTOR_BYTES, from + sector * SECTOR_BYTES,
           SECTOR_BYTES);
}

/* ---- Calls ---- */

ssize_t disk_file_read(const struct disk_file *f, void *data, size_t size,
                       uint64_t offset, bool is_uncached)
{
    uint8_t *to = data;

    if (offset >= f->size)
        return 0;
    if (size > f->size - offset)
        size = (size_t)(f->size - offset);
    for (size_t done = 0; done < size;) {
        uint64_t at = offset + done;
        size_t sector = (size_t)(at / SECTOR_BYTES);
        size_t part = SECTOR_BYTES - (size_t)(at % SECTOR_BYTES);
        bool is_lie = f->states[sector] == SECTOR_LIE;
        const uint8_t *from = is_uncached && is_lie ? f->durable : f->cache;

        if (part > size - done)
            part = size - done;
        memcpy(to + done, from + at, part);
        done += part;
    }
    return (ssize_t)size;
}

void disk_file_write(struct disk_file *f, const void *data, size_t size,
                     uint64_t offset)
{
    if (size == 0)
        return;
    make_room(f, offset + size);
    memcpy(f->cache + offset, data, size);
    dirty(f, offset, size);
    if (offset + size > f->size)
        f->size = offset + size;
}

/* What a shorter file leaves behind reads as zeros if it grows again. */
void disk_file_resize(struct disk_file *f, uint64_t size)
{
    f->write_count++;
    make_room(f, size);
    if (size < f->size) {
        memset(f->cache + size, 0, (size_t)(f->size - size));
        dirty(f, size, f->size - size);
    }
    f->size = size;
}

static void remember(struct disk_file *f, size_t sector)
{
    struct disk_before *b;

    if (f->before_count == f->before_capacity) {
        f->before_capacity =
            f->before_capacity == 0 ? 16 : 2 * f->before_capacity;
        f->before = realloc(f->before, f->before_capacity * sizeof *b);
        px_assert(f->before != NULL);
    }
    b = &f->before[f->before_count++];
    b->sector = sector;
    memcpy(b->bytes, f->durable + sector * SECTOR_BYTES, SECTOR_BYTES);
}

void disk_file_sync(struct disk_file *f)
{
    bool is_clean = true;

    if (f->dirty_end > f->dirty_begin) {
        f->synced[1] = f->synced[0];
        f->synced[0] = f->write_count;
        f->before_count = 0;
    }

    for (size_t i = f->dirty_begin; i < f->dirty_end; i++) {
        is_clean &= f->states[i] != SECTOR_LIE;
        if (f->states[i] != SECTOR_DIRTY)
            continue; /* a lie stays one */
        if (f->remembers)
            remember(f, i);
        copy_sector(f->durable, f->cache, i);
        f->states[i] = SECTOR_CLEAN;
    }
    if (is_clean)
        f->dirty_begin = f->dirty_end = 0;
    f->durable_size = f->size;
}

void disk_file_sync_badly(struct disk_file *f, struct px_rand *rand)
{
    for (size_t i = f->dirty_begin; i < f->dirty_end; i++) {
        if (f->states[i] != SECTOR_DIRTY)
            continue;
        f->states[i] = SECTOR_LIE;
        if (px_rand_below(rand, 2) == 0) {
            copy_sector(f->durable, f->cache, i);
            f->states[i] = SECTOR_CLEAN;
        }
    }
}

/* ---- Flipped bits ---- */

static bool is_old(const struct disk_file *f, size_t sector)
{
    return f->states[sector] == SECTOR_CLEAN && f->writes[sector] > 0 &&
           f->writes[sector] <= f->synced[1];
}

void disk_file_flip_at(struct disk_file *f, uint64_t at, uint8_t bit)
{
    f->durable[at] ^= bit;
    f->cache[at] = f->durable[at];
}

bool disk_file_flip(struct disk_file *f, struct px_rand *rand)
{
    size_t count = (size_t)(f->size / SECTOR_BYTES);
    size_t from = count > 0 ? (size_t)px_rand_below(rand, count) : 0;

    for (size_t i = 0; i < count; i++) {
        size_t sector = (from + i) % count;
        size_t at = sector * SECTOR_BYTES;

        if (!is_old(f, sector))
            continue;
        at += (size_t)px_rand_below(rand, SECTOR_BYTES);
        disk_file_flip_at(f, at, (uint8_t)(1u << px_rand_below(rand, 8)));
        return true;
    }
    return false;
}

bool disk_file_flip_any(struct disk_file *f, struct px_rand *rand, uint64_t *at,
                        uint8_t *bit)
{
    if (f->size == 0)
        return false;
    *at = px_rand_below(rand, f->size);
    *bit = (uint8_t)(1u << px_rand_below(rand, 8));
    if (f->states[*at / SECTOR_BYTES] != SECTOR_CLEAN)
        return false;
    disk_file_flip_at(f, *at, *bit);
    return true;
}

/* ---- A flush that lied ---- */

bool disk_file_unsync(struct disk_file *f, struct px_rand *rand)
{
    bool is_whole = px_rand_below(rand, 2) == 0;
    size_t count = f->before_count;

    px_assert(f->dirty_begin == f->dirty_end);
    for (size_t i = 0; i < count; i++) {
        const struct disk_before *b = &f->before[i];

        if (!is_whole && px_rand_below(rand, 2) == 0)
            continue;
        memcpy(f->durable + b->sector * SECTOR_BYTES, b->bytes, SECTOR_BYTES);
        copy_sector(f->cache, f->durable, b->sector);
    }
    f->before_count = 0;
    return count > 0;
}

/* ---- Crashes ---- */

enum keep {
    KEEP_NONE,
    KEEP_ALL,
    KEEP_FIRST, /* the first writes, the last of them in part */
    KEEP_ANY,
    KEEP_WAYS,
};

static void first_dirty_writes(const struct disk_file *f, uint32_t *first,
                               uint32_t *last)
{
    *first = UINT32_MAX;
    *last = 0;
    for (size_t i = f->dirty_begin; i < f->dirty_end; i++) {
        if (f->states[i] != SECTOR_DIRTY)
            continue;
        *first = f->writes[i] < *first ? f->writes[i] : *first;
        *last = f->writes[i] > *last ? f->writes[i] : *last;
    }
}

static bool is_kept(const struct disk_file *f, size_t sector, enum keep how,
                    uint32_t torn, struct px_rand *rand)
{
    switch (how) {
    case KEEP_NONE:
    case KEEP_WAYS:
        return false;
    case KEEP_ALL:
        return true;
    case KEEP_FIRST:
        if (f->writes[sector] == torn)
            return px_rand_below(rand, 2) == 0;
        return f->writes[sector] < torn;
    case KEEP_ANY:
        return px_rand_below(rand, 2) == 0;
    }
    return false;
}

void disk_file_lose(struct disk_file *f, struct px_rand *rand, uint64_t *counts)
{
    enum keep how = (enum keep)px_rand_below(rand, KEEP_WAYS);
    uint32_t first;
    uint32_t last;
    uint32_t torn = 0;

    first_dirty_writes(f, &first, &last);
    if (first <= last)
        torn = first + (uint32_t)px_rand_below(rand, last - first + 1);
    for (size_t i = f->dirty_begin; i < f->dirty_end; i++) {
        if (f->states[i] == SECTOR_DIRTY && is_kept(f, i, how, torn, rand)) {
            copy_sector(f->durable, f->cache, i);
            counts[COUNT_SECTORS_KEPT]++;
        } else if (f->states[i] == SECTOR_DIRTY) {
            counts[COUNT_SECTORS_LOST]++;
        }
        copy_sector(f->cache, f->durable, i);
        f->states[i] = SECTOR_CLEAN;
    }
    f->dirty_begin = f->dirty_end = 0;
    if (f->size != f->durable_size && px_rand_below(rand, 2) == 0)
        f->durable_size = f->size;
    f->size = f->durable_size;
}

void disk_file_evict(struct disk_file *f, struct px_rand *rand)
{
    if (px_rand_below(rand, 2) == 0)
        return;
    for (size_t i = f->dirty_begin; i < f->dirty_end; i++) {
        if (f->states[i] != SECTOR_LIE)
            continue;
        copy_sector(f->cache, f->durable, i);
        f->states[i] = SECTOR_CLEAN;
    }
}
