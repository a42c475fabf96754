/* What the files that apply commands share: one transaction, and the counters
 * and sessions that are kept in memory beside it.
 *
 * Every operation has the same shape: look at everything it needs and refuse,
 * then change; nothing is changed by a command that is refused. Operations
 * return the command's own result, 0 or a negative errno that is the same on
 * every replica. Local failures never pass that way: they stick to the
 * transaction (kv.h), and store_apply throws it away. */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/kv.h"
#include "store/record.h"

struct session {
    uint64_t number;
    uint64_t incarnation;
    uint64_t nonce;
    uint64_t floor;
    size_t node_size;
    char node[PX_NODE_ID_BYTES_MAX];
};

/* The living sessions, by number: all SESSION records, kept in memory. */
struct session_table {
    size_t count;
    struct session list[PX_SESSIONS_MAX];
};

struct apply {
    struct store_kv kv;
    struct meta_record meta;
    struct session_table sessions;
    struct store_orphans *orphans; /* the caller's */
    raft_index index;              /* of the entry being applied */
    int64_t now;                   /* the log's time */
    uint64_t work; /* records met in this transaction, of the kinds that one
                      command meets many of: chunks, extents, results,
                      orphans, directories above a place */
    uint8_t chunk[STORE_CHUNK_BYTES];
};

/* ---- session.c: exactly once ---- */

/* Fills the table from the database. */
void store_sessions_load(struct store_kv *kv, struct session_table *table);
/* NULL: it never was, or has ended. */
struct session *store_session_find(struct session_table *table,
                                   uint64_t number);
/* Is @c to be applied now? If not, @r holds its answer. */
bool store_session_admit(struct apply *a, const struct command *c,
                         struct store_result *r);
/* Keeps the result of a command that was admitted and applied. */
void store_session_keep(struct apply *a, const struct command *c,
                        const struct store_result *r);
int store_session_open(struct apply *a, const struct command *c,
                       struct store_result *r);
/* The node has been removed: its session, if it has one, ends. */
void store_session_end_node(struct apply *a, struct command_name node);

/* ---- data.c: chunks and extents ---- */

/* Writes bytes that lie within the limits; grows the file as needed. */
void store_data_write(struct apply *a, struct inode *f, uint64_t offset,
                      const uint8_t *data, size_t size);
/* Makes the file @size bytes long, shorter or longer. Deletes at most one
 * extent's chunks; further extents become garbage. */
void store_data_resize(struct apply *a, struct inode *f, uint64_t size);
/* Drops data of an inode that goes, as far as *budget allows: a unit for each
 * chunk deleted and each extent turned into garbage. Returns whether all of it
 * is gone; if not, the inode is to be saved, and dropped further later. */
bool store_data_drop(struct apply *a, struct inode *f, uint64_t *budget);
/* Deletes the garbage under @data, if there is any and *budget (in chunks)
 * allows. */
void store_data_reap(struct apply *a, uint64_t data, uint64_t *budget);
/* What a write of @size > 0 bytes at @offset, within the limits, would add to
 * the costs of the chunks (room.h), or take away. @truncates: the file is
 * emptied first; where that makes garbage, which counts until it is reaped, it
 * is an upper bound. */
int64_t store_data_growth(struct store_kv *kv, const struct inode *f,
                          uint64_t offset, size_t size, bool truncates);
/* Copies what lies in the file; holes as zeros. Returns the bytes. */
size_t store_data_read(struct store_kv *kv, const struct inode *f,
                       uint64_t offset, uint8_t *data, size_t size);

/* ---- orphan.c: inodes without a name ---- */

/* The last name of @i is gone (its links are 0): it becomes an orphan of all
 * living sessions. */
void store_orphan_add(struct apply *a, const struct inode *i);
int store_apply_release(struct apply *a, const struct command *c);
int store_apply_reap(struct apply *a, const struct command *c);
/* Does a living session hold the orphan whose record's value this is? For
 * views: living is what the same transaction says. */
bool store_orphan_is_held(struct store_kv *kv, const MDB_val *holders);
bool store_orphan_has_holder(const MDB_val *holders, uint64_t session);

/* ---- apply_create.c ---- */

int store_apply_create(struct apply *a, const struct command *c,
                       struct store_result *r);
int store_apply_mkdir(struct apply *a, const struct command *c,
                      struct store_result *r);
int store_apply_symlink(struct apply *a, const struct command *c,
                        struct store_result *r);
int store_apply_link(struct apply *a, const struct command *c,
                     struct store_result *r);
/* The regular file that @c names, for CREATE and for WRITE with CREATES: found,
 * or made. A new one is not saved yet: the caller does. On an error nothing
 * was changed. */
int store_file_open(struct apply *a, const struct command *c,
                    struct inode *file_out);
/* A directory that names may be added to: -ENOENT, -ENOTDIR. */
int store_dir_load(struct apply *a, uint64_t number, struct inode *dir_out);

/* ---- apply_remove.c, apply_rename.c ---- */

int store_apply_unlink(struct apply *a, const struct command *c,
                       struct store_result *r);
int store_apply_rmdir(struct apply *a, const struct command *c,
                      struct store_result *r);
int store_apply_rename(struct apply *a, const struct command *c,
                       struct store_result *r);
/* One name of @i is gone, of a directory its only one: saves it, and makes it
 * an orphan with its last. */
void store_inode_unlinked(struct apply *a, struct inode *i);

/* ---- apply_write.c ---- */

int store_apply_write(struct apply *a, const struct command *c,
                      struct store_result *r);
int store_apply_setattr(struct apply *a, const struct command *c,
                        struct store_result *r);

/* ---- room.c: the quota (room.h) ---- */

/* Would @c, applied now, take the state beyond its quota? */
bool store_apply_lacks_room(struct apply *a, const struct command *c);
int store_apply_set_quota(struct apply *a, const struct command *c,
                          struct store_result *r);

/* ---- members.c ---- */

/* The data of an entry of kind CONFIG. -PX_EFORMAT: it has no configuration,
 * and nothing was changed. */
int store_apply_config(struct apply *a, struct command_scratch *scratch,
                       struct px_slice data);
/* Was a member of this name removed? */
bool store_members_has_removed(struct store_kv *kv, struct command_name node);
/* The configuration that was applied last; false: none was. */
bool store_config_load(struct store_kv *kv, struct raft_config_at *at_out);
/* From the value of its record; false: it is none. */
bool store_config_parse(const MDB_val *value, struct raft_config_at *at_out);

/* ---- Times ---- */

/* The inode itself changed: attributes, links. */
static inline void inode_changed(const struct apply *a, struct inode *i)
{
    i->rec.ctime = a->now;
    i->rec.changed = a->index;
}

/* Its content changed: bytes of a file, names of a directory. */
static inline void inode_modified(const struct apply *a, struct inode *i)
{
    i->rec.mtime = a->now;
    inode_changed(a, i);
}

#endif
