/* /.phalanx/: what this node knows of itself, as files to cat. They belong to
 * the node, not to the state: answered without a majority, found by name, not
 * listed at the root, and never changed; but for `quota`, to which root writes
 * what the cluster may hold.
 *
 * Each function returns whether the call was for one of them; it has then been
 * answered. */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include "fs/core.h"

bool fs_status_lookup(struct fs_call *c);
bool fs_status_getattr(struct fs_call *c);
bool fs_status_open(struct fs_call *c);
bool fs_status_opendir(struct fs_call *c);
bool fs_status_read(struct fs_call *c);
bool fs_status_write(struct fs_call *c);
bool fs_status_list(struct fs_call *c);
/* For everything that changes a name or an inode: -EPERM. */
bool fs_status_refuses(struct fs_call *c);

#endif
