/* Names of snapshots in their folder. */
#ifndef STORE_SNAPSHOT_FOLDER_H
#define STORE_SNAPSHOT_FOLDER_H

#include "store/snapshot.h"

/* False: not the name of a snapshot. */
bool snapshot_name_parse(const char *name, raft_index *index_out);

#endif
