/* What the log is asked for, job by job, in the order in which it was asked:
 * writes of the replica, a loss that is to be noted, word that the log holds all
 * again. It starts no thread and asks no clock: the server calls it on its log
 * thread (disk.c), the simulator in its events.
 *
 *   log_writer_do*  ─▶ store_log_sync  ─▶ log_writer_cut_head
 *
 * A job that finds no room, though a snapshot that was arriving has made way for
 * it, has had no effect, and is done again when there may be some; what was done
 * before it is to be flushed first, for it waits for nothing.
 * The jobs behind it wait: the log keeps their order. */
#ifndef NODE_LOG_WRITER_H
#define NODE_LOG_WRITER_H

#include <stdatomic.h>

#include "node/fault.h"
#include "node/storage.h"

struct log_writer {
    struct storage *storage;
    raft_index lost; /* for the job below */
    struct px_list loss;
    struct px_list recovered;
    _Atomic raft_index head; /* may go up to here; 0: no more than did */
    bool is_full;            /* the last job found no room */
};

void log_writer_init(struct log_writer *w, struct storage *storage);

/* Two jobs, each to be queued behind all that were asked for before, and not
 * asked for again before it is done: entry @index, which was acknowledged, is
 * not in the log; and: the log holds again all that it ever did. */
struct px_list *log_writer_loss(struct log_writer *w, raft_index index);
struct px_list *log_writer_recovered(struct log_writer *w);

/* Writes @job: the link of a replica_write, or one of the two above. Durable when
 * the log is synced. Errors: -ENOSPC: again, before any other job. -errno: the
 * log is unusable, and the process must end. */
int log_writer_do(struct log_writer *w, struct px_list *job);

/* @job's write; NULL: it is one of the two. */
struct replica_write *log_writer_write_of(const struct log_writer *w,
                                          struct px_list *job);
/* @job is durable: whoever asked for it is told, @f or its replica. Thread: the
 * replica's. */
void log_writer_done(const struct log_writer *w, struct fault *f,
                     struct px_list *job);

/* Entries up to @index won't be read again. Thread: any. */
void log_writer_allow_cut(struct log_writer *w, raft_index index);
/* Removes what may go; to be called when what was written is flushed: there is
 * no hurry. A job that is done again has made this room first. Returns how many
 * files went; -errno as above. */
int log_writer_cut_head(struct log_writer *w);

#endif
