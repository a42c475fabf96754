/* Inodes that a LOOKUP has just shown to the kernel, which may be about to open
 * them.
 *
 * open(2) comes to us as LOOKUP, GETATTR (for the permission) and OPEN, and each
 * of the first two waits for a verified read. If another node replaces the name
 * meanwhile, the inode must still be there for the OPEN. The kernel looks the
 * name up once more when it is not, but not a third time: on a slow network, a
 * program that reads a value which others keep replacing would be told ESTALE.
 *
 * An inode counts as shown until the kernel forgets it, but no longer than
 * FS_SHOWN_FOR: more than a GETATTR takes on a bad day, and less than a writer
 * waits for the room of a removed file. The table is small: one that was shown
 * before may be pushed out by another, and then has the kernel's second look
 * alone. */
#ifndef FS_SHOWN_H
#define FS_SHOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

#define FS_SHOWN_MAX 1024u /* a power of two */
#define FS_SHOWN_FOR PX_NS_PER_S

/* Zeroed, it is empty. */
struct fs_shown {
    struct {
        uint64_t inode; /* 0: free */
        uint64_t count; /* how often, of what the kernel has not forgotten */
        px_ns until;
    } slots[FS_SHOWN_MAX];
};

void fs_shown_add(struct fs_shown *s, uint64_t inode, px_ns now);
/* The kernel has forgotten @count of the times it was shown it. */
void fs_shown_forget(struct fs_shown *s, uint64_t inode, uint64_t count);
bool fs_shown_has(const struct fs_shown *s, uint64_t inode, px_ns now);

#endif
