/* System calls that fail as told. The calls of the log go through here (linked
 * with --wrap) to a real folder; they are counted, and the one that is told to
 * fails. */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
};

struct disk_counts {
    unsigned calls[DISK_CALLS];
    unsigned all;
    unsigned direct_opens;
    uint64_t bytes_written;
};

/* Starts over, with nothing counted. */
void disk_start(const struct disk_plan *plan);
/* Back to a disk that just works. */
void disk_stop(void);
const struct disk_counts *disk_counts(void);

#endif
