/* A disk that fails as told, and that can lose its power. The calls of the log
 * go through it (linked with --wrap) to a real folder; it counts them, makes
 * the one it was told to fail, and keeps apart what was flushed and what was
 * not.
 *
 * After a loss of power each sector of 512 bytes holds either what was there at
 * the last flush of the file or what was written since, by chance; so do names,
 * until the folder is flushed. Calls fail from then on. */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"

enum disk_call {
    DISK_OPENAT,
    DISK_FALLOCATE,
    DISK_PWRITEV,
    DISK_FDATASYNC,
    DISK_FSYNC,
    DISK_RENAMEAT,
    DISK_UNLINKAT,
    DISK_CALLS,
};

struct disk_plan {
    unsigned fail_at[DISK_CALLS]; /* this one, counted from 1; 0: none */
    int error;                    /* with which to fail */
    bool is_lasting;              /* and all after it */
    size_t write_bytes_max;       /* pwritev does no more; 0: all of it */
    bool refuses_direct;          /* O_DIRECT is EINVAL */
    const char *direct_dir;       /* what O_DIRECT finds instead of what the
                                     page cache holds; NULL: the same */
    unsigned power_fails_at;      /* any call, counted from 1; 0: never */
};

struct disk_counts {
    unsigned calls[DISK_CALLS];
    unsigned all;
    unsigned direct_opens;
    uint64_t bytes_written;
};

/* Starts over: what is in @dir counts as flushed. */
void disk_start(const char *dir, const struct disk_plan *plan);
/* Another plan for the same disk, power on: what was flushed stays so, what
 * wasn't is still in the page cache. As when a process dies, and not the
 * machine. */
void disk_go_on(const struct disk_plan *plan);
/* From here on calls pass by, uncounted; images are still to be had. */
void disk_pause(void);
/* Back to a disk that just works. */
void disk_stop(void);
const struct disk_counts *disk_counts(void);
bool disk_has_power(void);
/* Fills @to, an empty folder, with what the disk may hold now. */
void disk_image(const char *to, struct px_rand *rand);

#endif
