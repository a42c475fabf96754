/* A snapshot: the whole replicated state at one applied index, in one file.
 *
 *   store_snapshot_save ─▶ "0000000000000123.snap", durable
 *   store_snapshot_load ─▶ an environment of its own, to be opened as a state
 *
 * The file is the state's records in key order, in blocks of at most 1 MiB,
 * each compressed (zstd) and with a checksum, behind a head (format, cluster,
 * position, configuration) and before a foot (counts, the hash of the state, a
 * checksum over all). It holds what is replicated and nothing local, so
 * that replicas write the same bytes at the same index.
 *
 * The configuration is that of the state it is made of, and no other: who
 * starts from a snapshot counts votes by it, and one from before a change could
 * elect a leader that those behind the change know nothing of.
 *
 * It is written under another name and gets its own once it is durable:
 *
 *   write snapshot.new ─▶ sync ─▶ rename ─▶ sync_dir ─▶ remove older ones
 *
 * so a file with a snapshot's name is whole, or was damaged later.
 *
 * Thread: any; one save and one load at a time. */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include <stdbool.h>

#include "raft/types.h"
#include "store/disk.h"
#include "store/progress.h"
#include "store/state.h"

#define STORE_SNAPSHOT_NAME_BYTES 32
/* Names that end so are of files that are being written: a save's, a transfer's.
 * store_snapshot_find, at the start, removes them. */
#define STORE_SNAPSHOT_UNFINISHED ".new"

/* "0000000000000123.snap": of the index, decimal. */
void store_snapshot_name(raft_index index,
                         char name[STORE_SNAPSHOT_NAME_BYTES]);

struct store_snapshot_info {
    struct raft_pos pos;
    struct raft_config config;
    uint64_t bytes; /* of the file */
    uint64_t state_hash;
};

struct store_snapshot_save_options {
    struct store_disk *disk; /* of the folder for snapshots */
    uint64_t stamp;          /* identity of the cluster: in the head */
    /* What holds where the state has applied none: that of the snapshot that it
     * began with, or the initial one. Never one that came into force later. */
    struct raft_config config;
    /* Of the disk, for the log and the state: where there is as much, a save
     * leaves it, and is not begun if it is likely to take more. Where there is
     * less, something may be waiting for room already, which a snapshot makes,
     * the log's head going behind it: then it is made by all means. 0: none. */
    uint64_t reserve_bytes;
    uint64_t likely_bytes; /* the last one's; 0: there was none */
    /* Asked before each block: true ends the save with -ECANCELED. */
    bool (*is_cancelled)(void *ctx);
    void *ctx;
    struct store_progress progress; /* after each block, in records */
};

/* Saves what the state holds now, from one consistent read, while it goes on
 * changing; and removes the older snapshots. Every chunk's hash is compared on
 * the way, and so is the state's: a damaged state has no snapshot, and is known
 * to be damaged from then on (store_state_is_damaged).
 *
 * A long read keeps LMDB from reusing pages: when the database has grown by
 * more than a quarter (and 64 MiB) meanwhile, the save begins anew, twice at
 * most; the third time it goes on to the end, as the least evil. It also begins
 * anew, without being counted, when the applier waits for the read to end
 * because the map has to grow (env.h).
 *
 * Errors: -ECANCELED, -ENOSPC (or the reserve would be touched), -EIO and others
 *         of the disk, -ENOMEM, -EINVAL (nothing has been applied yet), -EAGAIN
 *         (it is not known who the members are: no configuration has been
 *         applied, and none was given), -PX_ECORRUPT (what LMDB holds is not
 *         what was written). The older snapshots are as they were. A new one
 *         can be there only if the last step failed, sync_dir or the removal:
 *         it is whole, but may be gone after a crash of the machine. */
int store_snapshot_save(struct store_state *s,
                        const struct store_snapshot_save_options *options,
                        struct store_snapshot_info *info_out);

/* The newest whole snapshot (head, foot and length are sound; blocks are
 * checked when they are read). Its name is durable on return: a process that
 * died between naming it and syncing that leaves one that the machine could
 * still forget, when the log begins behind it. What an interrupted save or
 * transfer left is removed. -ENOENT: there is none. @why says what is wrong
 * with those that were passed over, or is empty; none is for a read that fails,
 * or for want of memory or files, nor one of a format that is not known here
 * (-PX_EFORMAT): then the error is returned, and @why says of which file. */
int store_snapshot_find(struct store_disk *disk, uint64_t stamp,
                        struct store_snapshot_info *info_out, char *why,
                        size_t why_size);

/* Removes the snapshots before @index. -errno. */
int store_snapshot_remove_below(struct store_disk *disk, raft_index index);

/* Checks every block and the whole. @progress, if any, is told after each block,
 * in bytes of the file. -PX_ECORRUPT, -PX_EFORMAT, -PX_ECLUSTER; @why says which
 * file, at which offset. */
int store_snapshot_verify(struct store_disk *disk, const char *name,
                          uint64_t stamp, const struct store_progress *progress,
                          struct store_snapshot_info *info_out, char *why,
                          size_t why_size);

/* Builds a state in @dir, which exists and is empty, from snapshot @name;
 * synced, and noted as clean, on return: store_state_open then opens it at the
 * snapshot's position. All checks of verify are made on the way. Memory: a
 * block, and what one transaction of a block's records dirties.
 * @progress, if any, is called after each block with bytes of the file: false
 * ends the load with -ECANCELED.
 * Errors: those of verify; -ENOTEMPTY; -ENOSPC and others of LMDB and the disk.
 *         No database is in @dir then, but what else was written may be. Of a
 *         load that was interrupted, store_state_open finds a database without
 *         a note: it empties it and says STORE_STATE_DISTRUSTED, at position 0.
 *         So the folder takes the place of another state only after this has
 *         returned 0. */
int store_snapshot_load(struct store_disk *disk, const char *name,
                        uint64_t stamp, const char *dir, const char *boot_id,
                        bool (*progress)(void *ctx, uint64_t done,
                                         uint64_t bytes),
                        void *ctx, char *why, size_t why_size);

#endif
