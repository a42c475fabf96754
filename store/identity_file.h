/* The files that say whose a data folder is: `identity`, and `identity.copy`,
 * which holds the same. A bit that flips in one, or a file that is lost, costs
 * nothing: either is enough to start with.
 *
 * An update writes the copy, then the other one, each durable before the next.
 * So each of them holds what was last durable, or the update after that; a start
 * may take either, and it takes `identity` where that is sound. Its own update
 * makes them equal again.
 *
 * A copy alone is as good as both. Of a new folder it may be the first identity,
 * whose update a crash has cut short; or the other was lost, and this one has
 * bound others since: nobody can tell, so it binds. */
#ifndef STORE_IDENTITY_FILE_H
#define STORE_IDENTITY_FILE_H

#include "base/text.h"
#include "store/disk.h"
#include "store/identity.h"

#define IDENTITY_NAME "identity"
#define IDENTITY_COPY "identity.copy"

/* @bad_out: which of the two is damaged, or missing; NULL: neither, or it is the
 * copy that is missing, as a program writes it that knows of none. An error of
 * the disk is damage where the other one is sound.
 * -ENOENT: there is neither. -PX_EFORMAT: one of them is not in the format that
 * we know; id->format is set, and nothing else. -PX_ECLUSTER: they are of two
 * nodes, or of two clusters. -PX_ECORRUPT, -errno: none is sound. */
int identity_read(struct store_disk *disk, struct store_identity *id,
                  const char **bad_out);
/* The same of the folder @path, with a sentence in @why: about the error, but
 * for -ENOENT; or about the one that is bad. */
int identity_load(struct store_disk *disk, const char *path,
                  struct store_identity *id, struct px_text *why);
/* Replaces both, by an identity that identity_read would take: names where
 * they have to be, a cluster, an incarnation. Durable on return, and so are all
 * names in the folder.
 * -errno: each of the two is the old one or the new one; where there was room for
 * one of them only, the copy is new. A start takes the old one or the new one. */
int identity_write(struct store_disk *disk, const struct store_identity *id);

#endif
