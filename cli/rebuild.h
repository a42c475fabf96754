/* From what one node holds to the data folder of a cluster that it is alone in.
 *
 *   rebuild_check ─▶ (somebody says yes) ─▶ rebuild
 *
 * The folder is made in an order in which no start takes a half of it for a
 * whole, whenever the process or the machine ends:
 *
 *   1  folder, lock, log/, state/, snapshot/
 *   2  snapshot/recovering, the mark: from here on a start refuses the folder,
 *      which has data and no identity
 *   3  a snapshot of the survivor's state, under the new cluster's stamp
 *   4  a state built from it, as for any node that has received a snapshot; the
 *      entries of the survivor's log behind it are applied there. Committed or
 *      not, they may have been acknowledged. Then entries of our own say that
 *      the others are removed, and that this node is the only voter
 *   5  a snapshot of that, which the log begins behind; terms are higher than
 *      any that the survivor knew
 *   6  the identity, of which the copy alone would do: each step before is
 *      durable by now, and the folder is looked through once more as its first
 *      start will do it
 *   7  the mark goes
 *
 * A folder with the mark and no identity is begun anew by the next run. The
 * survivor's own folder is only read.
 *
 * Thread: one. */
#ifndef CLI_REBUILD_H
#define CLI_REBUILD_H

#include "cli/survivor.h"

/* Can a folder be made at @dir? 0: there is nothing yet, or what an interrupted
 * run has left. -EEXIST, or -errno, with a sentence. Changes nothing. */
int rebuild_check(const char *dir, char why[DATA_WHY_BYTES]);

/* Errors, with a sentence: -EEXIST, -EBUSY, -ENOSPC and others of the disks,
 *         -PX_ECORRUPT of what the survivor holds: @dir is no data folder, and
 *         the same can be tried again. */
int rebuild(struct survivor *s, const char *dir, uint64_t *cluster_out,
            char why[DATA_WHY_BYTES]);

#endif
