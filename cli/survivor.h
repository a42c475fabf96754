/* What one stopped node holds of a cluster: its data folder, opened as its next
 * start would, and what can be said of it.
 *
 * Thread: one. */
#ifndef CLI_SURVIVOR_H
#define CLI_SURVIVOR_H

#include <stdio.h>

#include "cli/data.h"
#include "store/members.h"

struct survivor {
    struct data data;
    struct store_members members; /* as of what it has applied: index 0, those
                                     that its cluster began with */
    bool is_removed;              /* the node itself, by its cluster */
    struct raft_pos applied;      /* committed up to here, surely */
    struct raft_pos last;         /* of its log */
    int64_t time; /* wall time of the newest command among the last entries,
                     nanoseconds since 1970; 0: there is none */
};

/* Takes the folder's lock.
 * Errors, each with a sentence in @why: those of store_folder_open_found and
 *         storage_open; -ENODATA, it holds nothing that a cluster could begin
 *         with; -PX_ECLUSTER, the node was removed from its cluster. */
int survivor_open(struct survivor *s, const char *dir,
                  char why[DATA_WHY_BYTES]);
void survivor_close(struct survivor *s);

/* What it holds, and what may be lost, for a person who has to decide. */
void survivor_print(FILE *out, const struct survivor *s);

#endif
