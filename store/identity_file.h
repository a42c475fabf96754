/* The file that says whose a data folder is. */
#ifndef STORE_IDENTITY_FILE_H
#define STORE_IDENTITY_FILE_H

#include "store/disk.h"
#include "store/identity.h"

/* -ENOENT: there is none. -PX_EFORMAT: not the one that we know; id->format is
 * set, and nothing else. -PX_ECORRUPT. */
int identity_read(struct store_disk *disk, struct store_identity *id);
/* Replaces the file, by an identity that identity_read would take: names where
 * they have to be, a cluster, an incarnation. Durable on return, and so are all names in the folder.
 * -errno: there is the old one, or the new one. */
int identity_write(struct store_disk *disk, const struct store_identity *id);

#endif
