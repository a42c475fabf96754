/* Is this a place to mount on? */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

#include <stddef.h>

/* Takes away a stale mount that a crash left at @path, and refuses what is
 * missing, not a directory, mounted already, or not empty. *@real_out: the
 * absolute path, to be freed.
 * Errors: -errno, with one sentence in @why; -EBUSY: mounted already. */
int fs_mountpoint_prepare(const char *path, char **real_out, char *why,
                          size_t why_size);

#endif
