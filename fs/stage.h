/* Staged opens: creations and truncations that wait for their first write.
 * stage.c tells why, and draws the states. */
#ifndef FS_STAGE_H
#define FS_STAGE_H

#include "fs/core.h"

/* How a call meets a staged open. */
enum fs_touch {
    FS_TOUCH_READ,   /* a stranger waits a little for the first write */
    FS_TOUCH_CHANGE, /* the open is published at once */
};

/* Makes @h staged: creates, truncates and the rest are filled in. */
void fs_stage_begin(struct fs_handle *h);

/* Does a staged open stand in the way? True: the call waits for it, and will
 * be run again from its beginning (or has been answered with an error). */
bool fs_stage_blocks_name(struct fs_call *c, uint64_t parent,
                          struct command_name name, enum fs_touch touch);
/* @but: a handle that doesn't count, or NULL. */
bool fs_stage_blocks_inode(struct fs_call *c, uint64_t inode,
                           const struct fs_handle *but, enum fs_touch touch);
/* Creations in the directory @parent (0: none) that began before @c: no stream
 * of them holds it up. */
bool fs_stage_blocks_parent(struct fs_call *c, uint64_t parent,
                            enum fs_touch touch);
/* @h's own: publishes it for fsync and a second flush, whose caller is told if
 * that fails. */
bool fs_stage_blocks_owner(struct fs_call *c, struct fs_handle *h);

/* Is @inode staged, or being published? For a look, which can't wait; what
 * follows it can. */
bool fs_stage_has(const struct fs *fs, uint64_t inode);

/* The handle that stages @inode, if @pid may see it as the opener does: size
 * 0, not yet published. NULL: it may not, or there is none. */
struct fs_handle *fs_stage_seen_by(struct fs *fs, uint64_t inode, pid_t pid);
/* What the opener of a staged creation sees. */
void fs_stage_inode(const struct fs_handle *h, struct store_inode *out);

enum fs_joined {
    FS_JOINED_DONE,   /* published, with the write */
    FS_JOINED_AGAIN,  /* not yet, and the write neither: run it again */
    FS_JOINED_FAILED, /* neither; *error_out says why */
};

/* The first write, @c, carries its handle's staged open with it. _join fills in
 * @cmd, which is to be proposed; _joined takes the outcome of that. */
void fs_stage_join(const struct fs_call *c, struct command *cmd);
enum fs_joined fs_stage_joined(struct fs_handle *h, int rc,
                               const struct store_result *result,
                               int *error_out);

/* A write through @h is answered with an error, and had not come so far as to
 * join: its owner is told that nothing happened. */
void fs_stage_refused(struct fs_handle *h);

/* The kernel has released @h: publishes what is left, and frees it. */
void fs_stage_release(struct fs_handle *h);

/* The mount ends: who waits for a first write waits no longer. */
void fs_stage_abandon(struct fs *fs);

/* The timer of those who wait at a staged open has ticked: patience with its
 * owner may be over, or their own time. */
void fs_stage_tick(struct fs *fs);

#endif
