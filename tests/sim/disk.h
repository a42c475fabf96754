/* A disk in memory, as store/disk.h promises it and not a bit better.
 *
 * A file is what the page cache shows beside what the disk holds, in sectors
 * of 512 bytes. A write dirties sectors; a sync makes them durable. Names have
 * a list of changes since the last sync_dir.
 *
 *   crash of the process   the page cache stays
 *   crash of the machine   of the dirty sectors some stay: none, all, those of
 *                          the first writes, or any; so do changes of names
 *   a sync that fails      the page cache says clean, the disk may lack any of
 *                          it (as Linux does): a read past the cache tells,
 *                          another sync does not help
 *   a crash in a call      the call does a part of its work; from then on the
 *                          disk is gone until the next start
 *   a flipped bit          in what was durable for some time
 *   a flush that lied      the last sync of the log said that it was done, and
 *                          the crash of the machine shows that it was not
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>

#include "base/rand.h"
#include "store/disk.h"

struct sim_disk_faults {
    unsigned crash_after; /* calls that change something; 0: never */
    bool has_crashed;     /* in a call: everything fails from now on */
    int read_error;       /* of the next read; 0: none */
    int write_error;      /* of the next write */
    int sync_error;       /* of the next sync, of a file or of the names */
    bool is_full;
    bool has_failed; /* an error was returned since the last start */
};

struct sim_disk;

/* @rand and @counts are the world's. */
struct sim_disk *sim_disk_new(struct px_rand *rand, uint64_t *counts);
void sim_disk_free(struct sim_disk *d);
struct store_disk *sim_disk_door(struct sim_disk *d);
struct sim_disk_faults *sim_disk_faults(struct sim_disk *d);
/* Before a server opens it: what it was told to do is forgotten. */
void sim_disk_start(struct sim_disk *d);
/* After its process has ended, with the machine or without. */
void sim_disk_crash(struct sim_disk *d, bool is_machine);
/* A bit changes in one of its files: disk_file.h. */
bool sim_disk_flip(struct sim_disk *d);
/* In the file of this name; and the last two as they were, of those that are
 * still there. */
bool sim_disk_flip_file(struct sim_disk *d, const char *name);
bool sim_disk_restore(struct sim_disk *d);
/* From now on the next may be called. After a crash of the machine: what the
 * last sync of the log made durable is lost, all or in part. False: that was of
 * another file. */
void sim_disk_remember(struct sim_disk *d);
bool sim_disk_lose_flush(struct sim_disk *d);
/* Bytes or names have been written and not synced. */
bool sim_disk_is_dirty(const struct sim_disk *d);
size_t sim_disk_file_count(const struct sim_disk *d);

#endif
