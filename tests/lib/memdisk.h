/* A folder in memory, behind store/disk.h, for tests: it fails as told, fills
 * up, and can lose its power.
 *
 * After a loss of power each sector of 512 bytes of a file holds what was there
 * at its last sync, or what was written since, by chance; so does its length;
 * and of the names that were made, replaced or removed since the last sync_dir,
 * any may be as before. A rename is done or not done, never half.
 *
 * Thread: one. */
#ifndef TESTS_MEMDISK_H
#define TESTS_MEMDISK_H

#include <stdbool.h>

#include "base/rand.h"
#include "store/disk.h"

struct memdisk;

struct memdisk_plan {
    unsigned fail_at; /* this call fails, counted from 1, and has no effect;
                         0: none */
    int error;        /* with this, an errno */
    bool is_lasting;  /* and all after it */
    unsigned dark_at; /* at this call the power fails: it has its effect, or a
                         part of it, but says -EIO, as do all after it */
    int sync_error;   /* the next flush of a file fails with this, an errno */
    bool refuses_uncached;
    uint64_t bytes_max; /* of all files: -ENOSPC beyond; 0: no limit */
};

struct memdisk *memdisk_new(void);
/* All files have been closed. NULL is accepted. */
void memdisk_free(struct memdisk *m);
/* A disk of its own that holds the same, synced or not. No plan. */
struct memdisk *memdisk_clone(const struct memdisk *m);

struct store_disk *memdisk_disk(struct memdisk *m);
/* A new plan, power on, calls are counted from the next on. What was not synced
 * stays as it is, as when a process dies. */
void memdisk_go_on(struct memdisk *m, const struct memdisk_plan *plan);
unsigned memdisk_calls(const struct memdisk *m); /* close is none */
bool memdisk_is_dark(const struct memdisk *m);

/* The machine goes down and comes up: the disk is what it may be then, all of
 * it synced, and without a plan. All files have been closed. */
void memdisk_crash(struct memdisk *m, struct px_rand *rand);

/* The disk changes a byte, synced or not. False where the file ends before, or
 * there is none. */
bool memdisk_flip(struct memdisk *m, const char *name, uint64_t offset,
                  uint8_t mask);
bool memdisk_has(struct memdisk *m, const char *name);
/* A file of these bytes, all of it synced. It must not fail. */
void memdisk_put(struct memdisk *m, const char *name, const void *data,
                 size_t size);

unsigned memdisk_file_count(const struct memdisk *m);
uint64_t memdisk_bytes(const struct memdisk *m); /* of all files */

#endif
