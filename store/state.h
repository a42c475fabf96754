/* The state machine: inodes, names, data, sessions and members (members.h) in
 * LMDB, at one applied index.
 *
 *   store_state_open ─▶ store_state_applied ─▶ store_apply*   (one thread)
 *                                              store_view_*   (any thread)
 *
 * store_apply is deterministic: state and command in, state and result out; no
 * clock, no chance, no local errno. All effects of a batch, and its applied
 * index and term, are one LMDB transaction (or several whole ones, where a
 * batch deletes very much), committed without fsync: after a crash of the
 * process the page cache still has it, and the log from the applied index on is
 * replayed. After a crash of the machine (the boot id differs from the one noted
 * at open, and the last close was not clean) the state is thrown away and
 * rebuilt from a snapshot (snapshot.h) and the log.
 *
 * Applying never fails for a local reason: an error of store_apply ends the
 * process, or is waited out (a full disk), it does not make this replica
 * differ. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <sys/types.h>

#include "raft/types.h"
#include "store/command.h"
#include "store/progress.h"

#define STORE_ROOT_INODE UINT64_C(1)
/* Inode numbers: session number << 40 | counter, never used again. Session 0
 * has the root (1); numbers below 256 are reserved. */
#define STORE_INODE_SESSION_SHIFT 40

/* Replicas compare the hashes of their states (store_state_hash) at the indexes
 * that this divides: the same number on all of them. Rarely enough to cost
 * nothing, often enough that not much is built on a difference. */
#define STORE_HASH_EVERY 4096u

struct store_state;
struct store_view;

struct store_state_options {
    const char *dir; /* exists; the state owns it */
    const char *boot_id;
    bool distrust;      /* --distrust-state: rebuild in any case */
    bool verify;        /* walk through all of a state that is to be kept, and
                           compare its hash: bytes that the disk has changed
                           since are found before anybody is shown them */
    uint64_t map_bytes; /* 0: the default, 1 TiB of address space */
    /* Of that walk, in records. */
    struct store_progress progress;
};

/* Why the state was rebuilt at open, for a note. */
enum store_state_origin {
    STORE_STATE_NEW,        /* there was none */
    STORE_STATE_KEPT,       /* used as it was */
    STORE_STATE_DISTRUSTED, /* the machine crashed, or asked for, or damage was
                               found in it, or it is half of a snapshot that
                               was being loaded: emptied */
};

/* Errors: -PX_EFORMAT (written by a newer program; left as it was, even if told
 *         to distrust it), -EINVAL (no boot id), -errno; @why says it in a
 *         sentence. On success @why says why the state is distrusted, or is
 *         empty. */
int store_state_open(const struct store_state_options *options,
                     struct store_state **state_out,
                     enum store_state_origin *origin_out, char *why,
                     size_t why_size);
/* Syncs, and notes that the close was clean. All views have been freed. NULL is
 * accepted.
 * Errors: the state is closed, and not noted as clean. -PX_ECORRUPT: it is
 *         damaged; else what store_apply had failed with, or -errno, of the
 *         sync: the next open empties it. Only where there was no memory, or no
 *         room for a note before anything was synced, it is as if the process
 *         had died: distrusted if the machine restarts. */
int store_state_close(struct store_state *s);
/* Closes without a sync and without a word in the note: what is on disk is as
 * if the process had died just now. For a state that is thrown away. All views
 * have been freed. NULL is accepted. */
void store_state_abandon(struct store_state *s);
/* Has anybody who applied, looked or made a snapshot met records that are not
 * what was written? The bytes are gone: whoever sees this closes the state, and
 * opens it anew, empty. NULL is accepted: no. Thread: any. */
bool store_state_is_damaged(const struct store_state *s);

/* The last entry applied: a view begun after this call shows it, or a later
 * one. A view may show an entry before this says so. Thread: any. */
struct raft_pos store_state_applied(const struct store_state *s);
/* The same, with the hash of the state there (hash.h): of all that is
 * replicated, equal on replicas at the same index. It is kept up to date by
 * each change, and costs nothing to ask for. Thread: any. */
struct raft_pos store_state_hash(const struct store_state *s,
                                 uint64_t *hash_out);

/* What a voter says that the hash of its state was, by COMMAND_HASH. */
struct store_claim {
    raft_index index; /* with all applied up to here; 0: nothing is said */
    uint64_t hash;
    raft_id voter;
};

/* The answer to one command. A refused command has changed nothing.
 *
 *   -PX_EFORMAT   the entry is no command
 *   -PX_ESESSION  the session never was, or has ended; SESSION_OPEN: a higher
 *                 incarnation of the node has opened one, or this incarnation
 *                 with another nonce; or the node was removed (members.h)
 *   -EALREADY     the sequence is below the session's floor: its answer was
 *                 seen, nobody waits for this one
 *   -EINVAL       the sequence is beyond the floor + PX_SESSION_INFLIGHT_MAX;
 *                 the number for a new inode is not the session's, or in use;
 *                 a directory would move below itself; the inode is no file
 *   -ESTALE       CREATE, WRITE with CREATES: a symbolic link has the name;
 *                 look it up again and follow
 *   -ELOOP        RENAME of a directory to a place more than 4096 deep
 *   -ENOSPC       the quota; SESSION_OPEN: there are too many
 *   -EFBIG, -EMLINK   a limit of base/limits.h
 *   else          what POSIX says of the operation
 *
 * A command that was sent again has the answer of the first time, its index
 * included. */
struct store_result {
    raft_index index; /* of the entry */
    uint64_t session; /* 0: not a command of a session */
    uint64_t sequence;
    int rc;         /* 0 or a negative errno: the same on every replica */
    uint64_t inode; /* made, found, moved, removed or changed; SESSION_OPEN: the
                       session's number */
    uint64_t value; /* CREATE, WRITE, SETATTR: the size after it; SET_QUOTA: the
                       quota */
    struct store_claim claim; /* HASH, when it takes effect; it changes nothing
                                 in the state but the session's answers */
};

/* Inodes that lost their last name in a batch: each session is asked, by
 * COMMAND_RELEASE, to say when it holds them no more. */
struct store_orphans {
    uint64_t *inodes; /* grown with realloc; free() by the owner */
    size_t count;
    size_t capacity;
};

/* Applies @count entries in order, entries[0] following the last applied one.
 * @results takes one for each entry. Orphans are added to @orphans.
 * Entries that don't decode are applied as no-ops with rc -PX_EFORMAT: every
 * replica does the same.
 * Errors: -ENOSPC: the disk is full. What store_state_applied does not speak of
 *         was not applied, and may be, once there is room. Others of LMDB or
 *         memory, -PX_ECORRUPT for records that don't parse: at least one entry
 *         was not applied, and the process must end.
 * Thread: one at a time. */
int store_apply(struct store_state *s, const struct raft_entry *entries,
                size_t count, struct store_result *results,
                struct store_orphans *orphans);
/* The same in one transaction, which ends after the entry by which it has met
 * @work_max records: for a thread that must not be held up, because a few bytes
 * of commands can ask for the deletion of very many chunks. Returns how many
 * were applied, at least one of @count >= 1; on an error, none. */
int store_apply_some(struct store_state *s, const struct raft_entry *entries,
                     size_t count, uint64_t work_max,
                     struct store_result *results,
                     struct store_orphans *orphans);

/* ---- Views: one consistent look at the state ---- */

struct store_inode {
    uint64_t inode;
    uint32_t mode; /* type and permissions */
    uint32_t links;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes, really stored */
    int64_t atime;   /* nanoseconds since 1970 */
    int64_t mtime;
    int64_t ctime;
    raft_index created; /* the entry that made it */
    raft_index changed; /* the entry that last changed it: its revision */
    uint64_t parent;    /* directories */
};

struct store_usage {
    uint64_t inodes;
    uint64_t data_bytes; /* chunks stored */
    uint64_t quota;      /* 0: none is set */
    uint64_t used; /* of it: data, and a cost for each inode, name and chunk
                      (room.h). Beyond it only where the quota was lowered */
    uint64_t bytes_per_file; /* what an empty one costs, with its name */
    uint64_t orphans;    /* and garbage: what is about to be freed, or open */
    uint64_t file_bytes; /* of the database file */
};

/* A view is made once and begun many times; between begin and end it shows one
 * applied index. Ending soon matters: pages are pinned meanwhile. A view is
 * used by one thread at a time. Whoever applies has none begun: where address
 * space was short, store_apply may have to wait for all views to end. */
int store_view_new(struct store_state *s, struct store_view **view_out);
void store_view_free(struct store_view *v);
int store_view_begin(struct store_view *v);
void store_view_end(struct store_view *v);
raft_index store_view_index(const struct store_view *v);

/* Errors of all: -ENOENT, -PX_ECORRUPT, LMDB's as errno. */
int store_view_inode(struct store_view *v, uint64_t inode,
                     struct store_inode *out);
/* "." and ".." are not looked up here. */
int store_view_lookup(struct store_view *v, uint64_t parent,
                      struct command_name name, struct store_inode *out);
/* Bytes copied, 0 at or beyond the end; holes read as zeros. -EISDIR. */
ssize_t store_view_read(struct store_view *v, uint64_t inode, uint64_t offset,
                        void *data, size_t size);
/* The target's bytes copied, not terminated. */
ssize_t store_view_readlink(struct store_view *v, uint64_t inode, char *data,
                            size_t size);
void store_view_usage(struct store_view *v, struct store_usage *out);
/* Would @c, were it applied now, be refused with -ENOSPC by the quota? False
 * for what does not grow, and what is refused for another reason. */
bool store_view_lacks_room(struct store_view *v, const struct command *c);

struct store_name {
    struct command_name name;
    uint64_t inode;
    uint32_t mode;   /* type bits at least */
    uint64_t cookie; /* listing goes on behind it; > 2; stable while the name
                        exists, whatever else is created or removed */
};
/* Calls @each for names of directory @inode behind @cookie (0: from the
 * start), in cookie order, until it returns false. "." and ".." are not among
 * them. -ENOTDIR. @each may look up inodes in the view, not list. */
int store_view_list(struct store_view *v, uint64_t inode, uint64_t cookie,
                    bool (*each)(void *ctx, const struct store_name *name),
                    void *ctx);
/* What COMMAND_REAP can delete, at most @max; returns how many. Unlinked inodes
 * that no living session holds, and numbers of data cut from large files. Looks
 * at a bounded part of the orphans: each call on a view goes on where its last
 * one ended, so none for some calls in a row does not mean none at all. */
int store_view_reapable(struct store_view *v, uint64_t *inodes, size_t max);
/* Unlinked inodes that @session is still noted to hold, from @from on, at most
 * @max, ascending; returns how many. */
int store_view_held(struct store_view *v, uint64_t session, uint64_t from,
                    uint64_t *inodes, size_t max);

/* The hash that the state keeps of itself, and the index that it is for. */
void store_view_state_hash(const struct store_view *v, raft_index *index_out,
                           uint64_t *hash_out);
/* The same hash, made anew from every record. Another value than the kept one,
 * or -PX_ECORRUPT, says that stored bytes are not what was written. Walks
 * everything. */
int store_view_hash(struct store_view *v, uint64_t *hash_out);
/* Asserts what must hold between records: every name has an inode, every link
 * is counted, every chunk has a file. Walks everything: for tests. */
int store_view_check(struct store_view *v);

#endif
