/* What a node keeps, opened in the order in which its parts vouch for each
 * other, and the work on it that takes long. No libuv in here: the server and
 * the simulator share it.
 *
 *   snapshot/    0000000000000123.snap     the newest whole one vouches for
 *   log/         0000000042.log ...        what the log no longer holds, and
 *   state/       1/ 2/ ...                 for a state that runs ahead of it
 *
 * A state lives in a numbered folder of its own, so that another can be built
 * beside it from a snapshot, and take its place by a higher number; it gets its
 * number when it is whole, and the lower ones are removed in the background, with
 * the snapshots before the one that it was built from; or by the next start. One that was
 * found to be wrong is marked, and kept when another takes its place
 * (evidence.h).
 *
 * Opening, after any crash:
 *   1  the newest whole snapshot S is found
 *   2  the newest state is opened; where it is not trusted (another
 *      boot) or there is none, it is built from S. A state that ends before S
 *      is about to make way for it: S is looked through before it does
 *   3  the log is opened, which resets it to S where it does not hold S's
 *      position: it is older than S, or of another history. A state that ends
 *      before the log begins is then built from S
 *   4  the log must hold the state's position
 *
 * A damaged log is cut to what is sound (found.fault says so, at each start
 * until storage_recovered), and raft gets the rest from the peers. Where S turns
 * out to be damaged, it is put aside, and all begins again at 1.
 *
 * A state that was looked through is never removed because something beside it
 * is damaged: what it has applied is committed, and may be the last whole copy.
 * It stands in for what is lost, by a snapshot S that is made of it:
 *
 *   a snapshot is damaged     before 3: the log loses nothing by that
 *   or missing                at 3, for only the log shows it
 *   the log is, and lacks     behind 3, when it is durably known to be faulty:
 *   what the state rests on   the log begins anew behind S
 *
 * Only a state without any configuration, of a node that has not got far enough
 * to know of its own, is thrown away, and one that is marked as wrong.
 *
 * Thread: open, adopt and close belong to the loop; storage_do runs on any
 * thread while the loop goes on: one save or load at a time, and one piece. */
#ifndef NODE_STORAGE_H
#define NODE_STORAGE_H

#include "node/replica.h"
#include "store/disk.h"
#include "store/log.h"
#include "store/snapshot.h"
#include "store/state.h"

struct storage_options {
    struct store_disk *term_disk; /* the caller's, as are the next two */
    struct store_disk *log_disk;
    struct store_disk *snapshot_disk;
    const char *log_dir;   /* for messages */
    const char *state_dir; /* exists; folders of states are made in it */
    const char *boot_id;
    uint64_t cluster;
    raft_id id;
    struct raft_config initial; /* the voters first of all; none: not known */
    uint64_t segment_bytes;     /* of the log; 0: its default */
    bool distrust_state;
    bool is_begun; /* there was a log once */
};

struct storage {
    struct storage_options options; /* its texts are copies */
    struct store_state *state;
    unsigned generation; /* the number of its folder */
    struct store_log *log;
    struct store_log_info found;         /* what the log held at open */
    struct store_snapshot_info snapshot; /* the newest at open; pos {0, 0} */
    bool is_rebuilt;                     /* the state was not trusted */
    bool is_state_whole;                 /* it was looked through, at open */
    bool is_snapshot_bad;                /* no state can be built from it */
    bool is_snapshot_lost; /* there was a newer one than what is found */
    bool is_base_applied;  /* the newest was made of the state, at open */
    struct replica_divergence divergence; /* as the state is marked; 1: it can't
                                             be said since when it is wrong */
    raft_index heir; /* the snapshot that its place is promised to, at open */

    /* Built from a snapshot, and not adopted yet. */
    struct store_state *loaded;
    _Atomic bool is_loaded; /* it is there, for other threads */
    _Atomic bool is_cancelled;
};

/* On an error @s is closed, and @why has a sentence. */
int storage_open(struct storage *s, const struct storage_options *options,
                 char *why, size_t why_size);
/* All views have been freed. */
void storage_close(struct storage *s);

/* What raft begins with. raft->config is the initial configuration, by what the
 * caller knows of it; where there is a snapshot, its configuration replaces
 * it. */
void storage_to_raft(const struct storage *s, struct raft_options *raft);

/* Does @job, and fills in what it asks for. Errors: of the disk, -PX_ECORRUPT
 * for a snapshot that arrived damaged; noted. -ENOSPC is also of a piece that
 * would leave less room than the log and the state may need. Of a snapshot of
 * which a piece is refused, nothing stays, unless it was whole. */
int storage_do(struct storage *s, struct replica_snapshot_job *job);

/* Entries from @first to @last from the log, as many as fit a batch: at least
 * one. Each holds a reference. Returns the count; -errno as store_log_read.
 * Thread: any. */
int storage_read(struct storage *s, raft_index first, raft_index last,
                 struct raft_entry entries[PX_BATCH_ENTRIES_MAX]);

/* Raft says that the log lacks entry @index, which was acknowledged: faulty at
 * the next start, too. Thread: log. Errors: -errno. */
int storage_note_loss(struct storage *s, raft_index index);

/* Raft says that the log holds again all that it ever did: faulty no more, at
 * the next start. Thread: log. Errors: -errno. */
int storage_recovered(struct storage *s);

/* Bytes that a snapshot could take, made here or arriving. Thread: any. */
uint64_t storage_snapshot_room(const struct storage *s);

/* Something else needs the room that a snapshot takes which has not come whole:
 * it goes. 1: it did; 0: there was none. Errors: -errno.
 * Thread: any; a transfer that is under way is refused then, and comes again. */
int storage_drop_arriving(struct storage *s);
/* Something has found no room: a wrong state that was kept for a look goes.
 * False: there was none. Thread: any. */
bool storage_make_room(struct storage *s);

/* For good: a save or load that is under way, or is begun later, ends soon,
 * with -ECANCELED. Thread: any. */
void storage_cancel(struct storage *s);

/* The state that was loaded last is the state from now on. Views of the old one
 * have been freed. -errno: it could not be given its place. */
int storage_adopt(struct storage *s);

#endif
