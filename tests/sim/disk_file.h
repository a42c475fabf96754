/* One file of a sim_disk: what the page cache shows, what the disk holds, and
 * which sectors differ. */
#ifndef TESTS_SIM_DISK_FILE_H
#define TESTS_SIM_DISK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rand.h"

#define SECTOR_BYTES 512u

struct disk_file {
    struct disk_file *next; /* of the disk's */
    uint64_t size;          /* as the cache has it */
    uint64_t durable_size;
    size_t sector_count; /* of room */
    uint8_t *cache;
    uint8_t *durable;
    uint8_t *states;  /* of sectors: enum sector_state */
    uint32_t *writes; /* the write that dirtied it */
    uint32_t write_count;
    uint32_t
        synced[2]; /* write_count at the last sync, and at the one before */
    size_t dirty_begin; /* sectors; all that are not clean lie in here */
    size_t dirty_end;
    bool remembers;             /* what the last sync has replaced */
    struct disk_before *before; /* by sector, ascending */
    size_t before_count;
    size_t before_capacity;
};

struct disk_before {
    size_t sector;
    uint8_t bytes[SECTOR_BYTES];
};

struct disk_file *disk_file_new(void);
void disk_file_free(struct disk_file *f);
/* Bytes read. Past the cache, what a failed sync claimed to have written is
 * seen as it is on the disk. */
ssize_t disk_file_read(const struct disk_file *f, void *data, size_t size,
                       uint64_t offset, bool is_uncached);
void disk_file_write(struct disk_file *f, const void *data, size_t size,
                     uint64_t offset);
void disk_file_resize(struct disk_file *f, uint64_t size);
void disk_file_sync(struct disk_file *f);
/* A failed one. */
void disk_file_sync_badly(struct disk_file *f, struct px_rand *rand);
/* A bit changes on the disk, in what was durable before the last sync: what the
 * last one made durable can't be told from a torn write. False: there is no
 * such byte. */
bool disk_file_flip(struct disk_file *f, struct px_rand *rand);
/* Likewise in any byte that is not dirty; at @at. */
bool disk_file_flip_any(struct disk_file *f, struct px_rand *rand, uint64_t *at,
                        uint8_t *bit);
/* It changes back. */
void disk_file_flip_at(struct disk_file *f, uint64_t at, uint8_t bit);
/* What the last sync made durable is not there, or only some of its sectors;
 * nothing is dirty. False: nothing is remembered of one. */
bool disk_file_unsync(struct disk_file *f, struct px_rand *rand);
/* The machine has crashed: some of what is dirty is kept. */
void disk_file_lose(struct disk_file *f, struct px_rand *rand,
                    uint64_t *counts);
/* Time has passed: the cache may have forgotten what it takes for clean. */
void disk_file_evict(struct disk_file *f, struct px_rand *rand);

#endif
