/* The new folder before there is anything in it: may it be one, and what an
 * interrupted run has left. See rebuild.h. */
#ifndef CLI_REBUILD_FOLDER_H
#define CLI_REBUILD_FOLDER_H

#include "cli/data.h"

/* In snapshot/: what a start finds there and no identity, it refuses. */
#define REBUILD_MARK "recovering"

/* Removes what an interrupted run has left, the mark last. Errors: as
 * rebuild_check, -EBUSY. */
int rebuild_tidy(const char *dir, char why[DATA_WHY_BYTES]);
/* The mark, in the folder's disk for snapshots: durable on return. -errno. */
int rebuild_mark(struct store_disk *snapshots);
int rebuild_unmark(struct store_disk *snapshots);

#endif
