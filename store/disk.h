/* How store/ reaches its files: the few calls that it makes of one folder.
 *
 * The server gives the kernel's (store_disk_open). A simulator gives one of
 * its own, that forgets what was not made durable, fails, and fills up; so
 * nothing in the log, the identity, the note of the boot or a snapshot calls
 * the kernel past this. LMDB does: it has its own files, and is not trusted
 * after a crash of the machine.
 *
 * What is durable, of a real disk as of a simulated one:
 *   - a file's bytes and length, as they were when `sync` was called on it and
 *     returned 0;
 *   - a name (made, replaced or removed), as it was when `sync_dir` was called.
 * Whatever else was done since may be there or not after a crash of the
 * machine, in part and in any order. A crash of the process loses nothing.
 *
 * All return 0 (or a count, or a file) or -errno, of which -ENOSPC is any lack of
 * room, a quota's too: nobody else looks for -EDQUOT. Files are small numbers,
 * valid until closed.
 * Thread: any; one file is written by one thread at a time. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/limits.h"

#define STORE_DISK_NAME_BYTES_MAX 63u

enum store_disk_open {
    STORE_DISK_READ = 1 << 0,
    STORE_DISK_WRITE = 1 << 1,
    STORE_DISK_CREATE = 1 << 2,   /* with WRITE: made, or emptied */
    STORE_DISK_UNCACHED = 1 << 3, /* read what the disk holds, not the page
                                     cache; offsets, sizes and addresses are
                                     multiples of 4096. -EINVAL where it can't
                                     be had, at the open or at the first read */
};

struct store_disk {
    /* Names hold no '/'. */
    int (*open)(struct store_disk *d, const char *name, unsigned how);
    void (*close)(struct store_disk *d, int file);
    /* As much as there is, at most @size: less only where the file ends. */
    ssize_t (*read)(struct store_disk *d, int file, void *data, size_t size,
                    uint64_t offset);
    /* All of it, or an error: then any part may be there. @iov may be changed.
     */
    int (*write)(struct store_disk *d, int file, struct iovec *iov,
                 size_t count, uint64_t offset);
    /* Room for @bytes is there from now on; a shorter file gets this length,
     * its new bytes read as zeros. */
    int (*allocate)(struct store_disk *d, int file, uint64_t bytes);
    int (*size)(struct store_disk *d, int file, uint64_t *bytes_out);
    int (*sync)(struct store_disk *d, int file);

    /* -ENOENT, like open: there is none of that name. */
    int (*rename)(struct store_disk *d, const char *from, const char *to);
    int (*remove)(struct store_disk *d, const char *name);
    /* Every name that is no folder, in no order; stops when @each returns an
     * error, and returns it. */
    int (*list)(struct store_disk *d, int (*each)(void *ctx, const char *name),
                void *ctx);
    int (*sync_dir)(struct store_disk *d);
    /* Bytes that are free for writing. */
    int (*room)(struct store_disk *d, uint64_t *bytes_out);
};

/* The kernel's, for folder @dir, which exists. */
int store_disk_open(const char *dir, struct store_disk **disk_out);
/* All files have been closed. NULL is accepted. */
void store_disk_close(struct store_disk *d);

/* With less room, a disk on which a write has failed is full. */
#define STORE_DISK_FULL_BYTES (16u * PX_MIB)

/* @rc of a write to @d by another way than through it, LMDB's: -ENOSPC if it
 * failed because the disk is full. LMDB says EIO of a write that was cut short,
 * which is how a disk that fills up begins. */
int store_disk_full_err(struct store_disk *d, int rc);

/* What there is beyond @reserve. What can't be asked is not known to be full:
 * UINT64_MAX, for writing will tell. */
uint64_t store_disk_room_beyond(struct store_disk *d, uint64_t reserve);

/* Small files, whole, on any disk: disk_file.c. */

/* Reads up to @size bytes from the beginning of @name; returns how many. */
ssize_t store_disk_load(struct store_disk *d, const char *name, void *data,
                        size_t size);
/* Replaces @name, by way of @name_new; durable on return, and so are all names
 * in the folder. An error: there is the old one, or the new one. */
int store_disk_replace(struct store_disk *d, const char *name,
                       const char *name_new, const void *data, size_t size);

#endif
