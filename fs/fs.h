/* The mount: FUSE requests in, commands and views out.
 *
 *   fs_open ─▶ poll fs_fd for reading ─▶ fs_receive, until it says -ENODEV
 *          └─▶ fs_close (unmounts)
 *
 * fs does not know that there is a cluster: all it asks of the node is struct
 * fs_port. Everything here runs on one thread, the loop, and nothing blocks: a
 * request that must wait is copied into a heap request and goes on when the
 * port calls back.
 *
 * Source: libfuse 3.14 low-level API; docs/consistency.md for what each call
 * promises.
 * Thread: loop. */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/time.h"
#include "store/command.h"
#include "store/state.h"

struct fs;

/* One request that waits for the port: a verified view, or the outcome of a
 * command. It sits inside the fs request; the fields below `deadline` are the
 * port's from the call on until `done` is called. `done` is called exactly
 * once, on the loop thread, perhaps before the port call returns. */
struct fs_wait {
    /* @rc: 0, or why not: -EAGAIN nothing was proposed; -PX_EUNKNOWN it was,
     * and the outcome is not known; -EINTR cancelled before it was proposed;
     * -ENOSPC not proposed, because the quota has no room for it; else a
     * failure of this node. @result: of a command that was applied
     * (its own rc inside), NULL for a view. */
    void (*done)(struct fs_wait *w, int rc, const struct store_result *result);
    px_ns deadline; /* `done` has been called by then; past: it is refused */

    struct px_list link;
    uint64_t id; /* of the read, or sequence of the command; until when a
                    command waits for room */
    raft_index index;
    struct px_slice command;
    int state;
    unsigned attempts; /* sent, and not refused */
};

enum fs_status_file {
    FS_STATUS_STATUS,
    FS_STATUS_LEADER,
    FS_STATUS_MEMBERS,
    FS_STATUS_HEALTH,
    FS_STATUS_QUOTA, /* written to, it sets the quota of the whole cluster */
    FS_STATUS_FILES, /* how many there are */
};

/* All that fs asks of the node. Every function is called on the loop thread.*/
struct fs_port {
    void *ctx;
    /* The clock of deadlines. */
    px_ns (*now)(void *ctx);
    /* May the local state be read right now, as of after this request arrived?
     * 0: yes; -EAGAIN: ask with read(). */
    int (*try_read)(void *ctx);
    /* Calls w->done with 0 once the local state may be read. */
    void (*read)(void *ctx, struct fs_wait *w);
    /* Proposes @c (op and its fields filled in; session, sequence, floor and
     * time are the port's to stamp; @c is copied before the call returns), and
     * calls w->done once it has been applied here. */
    void (*propose)(void *ctx, struct fs_wait *w, struct command *c);
    /* FUSE_INTERRUPT: done(-EINTR) at once if nothing was proposed yet, and
     * true; otherwise false, and the request runs to its end or deadline. */
    bool (*cancel)(void *ctx, struct fs_wait *w);
    /* A view that is begun, at the newest applied state; the fs ends it before
     * it returns from whatever called it. NULL: this node is faulty. */
    struct store_view *(*view)(void *ctx);
    /* A number for an inode that this node is about to create; 0 while there
     * is no session (the caller then answers -EAGAIN after waiting: propose
     * anyway with inode 0, and the port waits and stamps it). */
    uint64_t (*new_inode)(void *ctx);
    /* The last local handle of this inode is closed. Said of every inode: the
     * port knows which of them are unlinked. */
    void (*released)(void *ctx, uint64_t inode);
    /* The text of a file under .phalanx/, in malloc-ed memory that fs frees;
     * answered without a majority. Bytes, or -errno. */
    ssize_t (*status)(void *ctx, enum fs_status_file file, char **text_out);
    /* Is there a leader to ask, and does our own disk get on? Otherwise the
     * root's attributes are shown as they are here: the kernel asks for them on
     * the way to .phalanx/, which answers without either. NULL: always. */
    bool (*is_ready)(void *ctx);
    /* An inode has no names any more, and is not open here: may it be opened
     * all the same, and will it then stay? So it is while fs_is_shown, when
     * another node has replaced it between our LOOKUP and OPEN. NULL: never. */
    bool (*may_open)(void *ctx, uint64_t inode);
    /* Is the local state known to be wrong? Then nothing of it is shown, not
     * even unverified, but for the root's attributes, which lead to .phalanx/.
     * NULL: never. */
    bool (*is_quarantined)(void *ctx);
};

/* A stranger waits up to half a second for the first write to a staged open:
 * what ends before that, or little later, could never read it. */
#define FS_REQUEST_TIMEOUT_MIN PX_NS_PER_S

struct fs_options {
    const char *mountpoint; /* an existing, empty directory */
    px_ns request_timeout;  /* from a request's arrival to its answer; at
                               least FS_REQUEST_TIMEOUT_MIN */
    bool strict_truncate;   /* trunc=strict: publish O_TRUNC at open */
    bool debug;             /* libfuse's own trace on standard error */
};

struct fs_counters {
    uint64_t requests;
    uint64_t replies_err;
    uint64_t reads_direct; /* served at once, without a hand-over */
    uint64_t reads_waited;
    uint64_t commands;
    uint64_t staged;
    uint64_t interrupts;
};

/* Mounts. Cleans up a stale mount that a crash left at the mount point ("not
 * connected"), refuses one that is missing, not a directory, not empty, or
 * mounted already.
 * Errors: -errno, with one sentence in @why. */
int fs_open(const struct fs_options *options, const struct fs_port *port,
            struct fs **fs_out, char *why, size_t why_size);

/* Readable when there is something for fs_receive: requests, or a tick of its
 * own timer. Not to be read by anyone else. */
int fs_fd(const struct fs *fs);

/* Takes at most @max requests from the kernel and starts (often finishes)
 * each. Never blocks. Returns how many; -ENODEV once unmounted. */
int fs_receive(struct fs *fs, int max);

/* Is @inode open through this mount? For unlinked files. */
bool fs_is_open(const struct fs *fs, uint64_t inode);
/* Has the kernel just been shown it by name, so that its OPEN may be under
 * way? For files that another node has unlinked since. */
bool fs_is_shown(const struct fs *fs, uint64_t inode);

void fs_get_counters(const struct fs *fs, struct fs_counters *out);

/* Unmounts (lazily if it is busy) and frees. Requests that still wait have
 * been finished before, by the port calling `done` on each. NULL is fine. */
void fs_close(struct fs *fs);

#endif
