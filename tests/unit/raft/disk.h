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
    bool is_faulty;     /* it has lost entries, by a note that is durable */
    bool is_note_going; /* the note is, with the next write that is done */
    /* The log as it was at some time, entries behind past_base. */
    struct raft_entry *past;
    raft_index past_last;
    struct raft_pos past_base;
    /* What it held when it lost entries, till it holds all again: of the entry
     * at each index the term. 0: nothing was lost there. */
    raft_term lost[INDEX_MAX];
    raft_index lost_base;
    raft_index lost_last; /* 0: nothing was lost */
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
/* Remembers the log as it is. */
void disk_note_past(struct disk *d);
/* Loses what lies behind @last; or all that was written since the past that was
 * remembered, so that what had been cut is back. Nothing is under way. */
void disk_damage(struct disk *d, raft_index last);
void disk_turn_back(struct disk *d);
/* The replica says that it holds again all that it ever did. */
void disk_recovered(struct disk *d);
/* Did the disk hold @pos, before something was lost? */
bool disk_held(const struct disk *d, struct raft_pos pos);
void disk_fini(struct disk *d);

/* Before a start: a log that does not hold the snapshot's place is reset to
 * it. True if it was. */
bool disk_recover(struct disk *d);
/* Does the disk hold what was committed at @pos, in the log or the snapshot? */
bool disk_holds(const struct disk *d, struct raft_pos pos);
size_t disk_configs(const struct disk *d, struct raft_config_at *configs,
                    size_t max);
size_t disk_runs(const struct disk *d, struct raft_term_run *runs);

#endif
