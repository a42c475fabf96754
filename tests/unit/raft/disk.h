/* A disk of a replica under test: it forgets at a crash what was not made
 * durable. It holds the log, the hard state, and the newest snapshot: its place
 * alone, for what it holds is what the cluster has committed up to there. */
#ifndef DISK_H_
#define DISK_H_

#include "raft/raft.h"

#define INDEX_MAX 16384u

/* One write handed to the disk: done, or forgotten at a crash. */
struct disk_write {
    struct raft_write write;
    bool has_hard;
    struct raft_hard_state hard;
    struct raft_pos reset; /* {0, 0}: none */
    struct raft_entry *entries;
    size_t count;
};

/* What survives a crash, and what does not yet. */
struct disk {
    struct raft_hard_state hard;
    struct raft_pos snapshot; /* the newest; {0, 0}: none */
    struct raft_pos base;     /* of the log */
    raft_index last;
    struct raft_entry log[INDEX_MAX]; /* [index], behind base */
    bool is_new;
    struct disk_write *writes;
    size_t write_count;
    size_t write_capacity;
    uint64_t durable_seq;
};

/* Memory, or the end of the process. */
void *disk_checked(void *p);
struct raft_entry *disk_copy_entries(const struct raft_entry *entries,
                                     size_t count);
void disk_free_entries(struct raft_entry *entries, size_t count);

/* The write of a step is under way. */
void disk_add(struct disk *d, const struct raft_out *out);
/* The first write is on disk now. */
struct raft_write disk_do_one(struct disk *d);
/* Drops the log from @first on; or up to @index. */
void disk_cut(struct disk *d, raft_index first);
void disk_compact(struct disk *d, raft_index index);
/* Before a start: a log that does not hold the snapshot's place is reset to
 * it. True if it was. */
bool disk_recover(struct disk *d);
/* Does the disk hold what was committed at @pos, in the log or the snapshot? */
bool disk_holds(const struct disk *d, struct raft_pos pos);
size_t disk_runs(const struct disk *d, struct raft_term_run *runs);

#endif
