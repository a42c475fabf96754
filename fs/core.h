/* What the files of fs/ share: the mount, a call, a request that waits, an open
 * file.
 *
 *   ops.c ──▶ run ──▶ stage: does a staged open stand in the way? ──▶ parked
 *              ▲        │                                              │
 *              └────────┼──────────────────────────────────────────────┘
 *                       ├─▶ fs_look(look)        read.c, list.c: a verified view
 *                       └─▶ fs_propose(finish)   write.c: the outcome of a command
 *                                  └─▶ fs_reply_*
 *
 * A call begins on the stack with pointers into libfuse's buffer, and most
 * reads end there. One that has to wait is copied into a request on the heap,
 * and goes on from there with the same handlers; it may wait several times.
 *
 * Invariants:
 * F1  A call that neither waits nor runs has been answered, once.
 * F2  A name has at most one handle in fs.staged that creates it.
 * F3  Calls are parked only at a handle that is staged or being published.
 * F4  A view that is begun is ended before anything is proposed.
 * F5  A call's deadline is set once, when it came from the kernel. */
#ifndef FS_CORE_H
#define FS_CORE_H

#define FUSE_USE_VERSION 314
#include <assert.h>
#include <fuse_lowlevel.h>

#include "base/assert.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/shown.h"

/* RELEASE is sent in the background, and may wait for a publication: leave
 * room, so that reading ahead and closing don't wait for each other. */
#define FS_BACKGROUND_MAX 1024u

/* Another process that meets a staged open waits for its first write, one to
 * two of these ticks, before the open is published without it. Longer than a
 * busy machine stalls a process (200 ms). */
#define FS_PATIENCE_TICK_MS 250u
#define FS_PATIENCE_TICKS 2u
static_assert(2 * FS_PATIENCE_TICKS * FS_PATIENCE_TICK_MS * PX_NS_PER_MS <=
                  FS_REQUEST_TIMEOUT_MIN,
              "after the patience there is as much time to publish and read");

#define FS_READ_BYTES_MAX PX_FUSE_WRITE_BYTES_MAX

/* LOOKUPs that failed just now for want of a majority, by process. One that is
 * overwritten costs its process a second deadline. */
#define FS_UNANSWERED_MAX 64u

struct fs_unanswered {
    int64_t until; /* monotonic nanoseconds; 0: none */
    uint64_t parent;
    uint64_t name_hash;
    pid_t pid;
};

/* Supplementary groups that are kept of a caller; those above don't count where
 * a staged creation finds another node's file. */
#define FS_GROUPS_MAX 32u

struct fs_handle;

struct fs {
    struct fs_port port;
    struct fuse_session *session;
    char *mountpoint;
    px_ns request_timeout;
    bool strict_truncate;
    bool is_mounted;
    bool has_noted_damage; /* once: the node ends at it */
    int poll_fd;           /* epoll over the two below: what fs_fd() shows */
    int timer_fd;          /* ticks while somebody waits at a staged open */
    bool timer_runs;
    struct fuse_buf in; /* the request being handled */
    uint8_t *out;       /* FS_READ_BYTES_MAX, for replies with data */
    struct fs_inodes inodes;
    struct fs_shown shown;
    struct px_list handles; /* all of them */
    struct px_list staged;  /* those staged or being published */
    uint64_t stagings;      /* how often one came into that */
    struct fs_unanswered unanswered[FS_UNANSWERED_MAX];
    struct fs_counters counters;
};

/* One FUSE request. Each operation uses the fields that it has. */
struct fs_call {
    struct fs *fs;
    fuse_req_t req;             /* NULL once answered, or moved to the heap */
    struct fs_request *request; /* the heap copy that this is part of, or NULL*/
    void (*run)(struct fs_call *c);  /* the handler, from its beginning */
    void (*next)(struct fs_call *c); /* set by a look: once the view is ended */
    struct fs_handle *handle;
    uint64_t node;      /* the object, or the parent of @name, as the kernel
                           names it; */
    uint64_t inode;     /* and as the state does: found anew for each run */
    uint64_t new_inode; /* the parent of @new_name */
    uint64_t found;     /* what a look leaves for what follows it */
    uint64_t stagings;  /* fs.stagings when it came */
    struct command_name name;
    struct command_name new_name;
    const void *data; /* WRITE: the bytes; SYMLINK: the target */
    size_t size;      /* of data; READ, READDIR: how much */
    uint64_t offset;
    uint32_t mode;
    int flags; /* OPEN, CREATE, WRITE: O_*; RENAME: RENAME_* */
    bool is_plus;
    uint32_t attrs; /* SETATTR, as in struct command */
    uint32_t attr_uid;
    uint32_t attr_gid;
    int64_t atime;
    int64_t mtime;
};

typedef void (*fs_run_fn)(struct fs_call *c);
typedef void (*fs_look_fn)(struct fs_call *c, struct store_view *v);
typedef void (*fs_finish_fn)(struct fs_call *c, int rc,
                             const struct store_result *result);

/* Staging (stage.c draws the states). */
enum fs_stage {
    FS_STAGE_NONE,       /* nothing is owed to the log */
    FS_STAGE_STAGED,     /* a creation or truncation waits */
    FS_STAGE_PUBLISHING, /* it has been proposed */
    FS_STAGE_HELD,       /* that failed without effect; see stage.c */
};

/* An open file: what fi->fh points at. */
struct fs_handle {
    struct px_list link; /* fs.handles */
    struct fs *fs;
    uint64_t node;  /* as the kernel names it */
    uint64_t inode; /* as the state does; another one after an adoption */
    int flags;
    char *text; /* a file under .phalanx/: its text, fetched at open */
    size_t text_size;

    enum fs_stage stage;
    struct px_list stage_link; /* fs.staged, while STAGED or PUBLISHING */
    uint64_t staging;          /* which of fs.stagings that was; of a directory,
                                  how many there were when its listing began */
    struct px_list waiters;    /* calls parked here */
    struct fs_wait wait; /* of a publication; with a write, its deadline */
    bool creates;
    bool truncates;
    bool is_counted;  /* among the inode's opens */
    bool is_released; /* by the kernel: ends with the publication */
    bool is_told;     /* its owner has seen an error: HELD, it stays so */
    int failed;       /* the outcome of a publication was never known */
    unsigned flushes;
    unsigned tries;    /* publications that found the name taken */
    unsigned patience; /* 0: no stranger waits; else ticks to go + 1 */
    pid_t pid;         /* of the opener, for staging */
    uint32_t uid;
    uint32_t gid;
    uint32_t mode;      /* CREATE */
    size_t group_count; /* CREATE: the opener's groups beside @gid */
    gid_t groups[FS_GROUPS_MAX];
    uint32_t shown_gid; /* of a file that is not yet in the state; and when */
    int64_t shown_time;
    uint64_t parent;
    size_t name_size;
    char name[];
};

/* ---- request.c ---- */

/* Starts @c. On return it has been answered, or waits. */
void fs_start(struct fs_call *c, fs_run_fn run);
/* Runs @c again, from its beginning. */
void fs_rerun(struct fs_call *c);
/* Calls @look with a verified view, now or later. */
void fs_look(struct fs_call *c, fs_look_fn look);
/* Calls @look with the local state as it is, unverified. */
void fs_look_locally(struct fs_call *c, fs_look_fn look);
/* Likewise, at the attributes of the root, which are shown in any case. */
void fs_look_at_root(struct fs_call *c, fs_look_fn look);
/* Proposes @cmd for @c. @finish is called once, with the outcome: -EINTR and
 * -ENOMEM, beside what the port says, if nothing was proposed. @keeps_data:
 * finish may run @c again, so a copy of its data is kept. */
void fs_propose(struct fs_call *c, struct command *cmd, fs_finish_fn finish,
                bool keeps_data);
/* Lets @c wait in @queue. False: it has been answered with an error. */
bool fs_park(struct fs_call *c, struct px_list *queue);
/* Takes the first of @queue out. */
struct fs_call *fs_unpark(struct px_list *queue);
/* Takes the first out that waits at @h and whose deadline is @now or was; not
 * one of @h's own that the publication ends by then. */
struct fs_call *fs_unpark_due(struct fs_handle *h, px_ns now);
/* Gives it back its run; @rc < 0: answers it so instead. */
void fs_resume(struct fs_call *c, int rc);
/* Of what begins now; of @c (F5). */
px_ns fs_deadline(const struct fs *fs);
px_ns fs_deadline_of(const struct fs_call *c);

/* ---- reply.c ---- */

void fs_reply_err(struct fs_call *c, int rc); /* 0 for plain success */
void fs_reply_entry(struct fs_call *c, uint64_t node,
                    const struct store_inode *inode);
void fs_reply_attr(struct fs_call *c, const struct store_inode *inode);
void fs_reply_bytes(struct fs_call *c, const void *data, size_t size);
void fs_reply_link(struct fs_call *c, const char *target);
void fs_reply_write(struct fs_call *c, size_t count);
/* Gives the handle to the kernel, or frees it where the kernel has gone. */
void fs_reply_open(struct fs_call *c, struct fs_handle *h);
void fs_reply_create(struct fs_call *c, struct fs_handle *h,
                     const struct store_inode *inode);
void fs_reply_usage(struct fs_call *c, const struct store_usage *usage);
void fs_stat_of(const struct store_inode *inode, struct stat *st);
void fs_entry_of(uint64_t node, const struct store_inode *inode,
                 struct fuse_entry_param *entry);

/* ---- handle.c ---- */

/* A handle for @c's caller, counted among the opens of @inode (0: not).
 * Returns NULL without memory. */
struct fs_handle *fs_handle_new(struct fs_call *c, uint64_t node,
                                uint64_t inode, struct command_name name);
void fs_handle_free(struct fs_handle *h);
/* Its file is another one than thought: counts follow. -ENOMEM. */
int fs_handle_move(struct fs_handle *h, uint64_t inode);
/* Keeps the groups that the caller is in, as of now: FUSE names one alone. A
 * process that is not in our pid namespace has no others. */
void fs_handle_keep_groups(struct fs_handle *h, const struct fs_call *c);
bool fs_handle_is_in_group(const struct fs_handle *h, uint32_t gid);
/* May @uid open @inode as a file with @flags, by its mode? 0; -EACCES;
 * -EISDIR; -EEXIST for what is neither file nor directory. The kernel asks
 * itself, except where the file changed hands behind its back. */
int fs_may_open(const struct store_inode *inode, uint32_t uid, uint32_t gid,
                int flags);

/* ---- session.c ---- */

/* Has fs_stage_tick called every FS_PATIENCE_TICK_MS. */
void fs_timer_start(struct fs *fs);
void fs_timer_stop(struct fs *fs);

/* ---- read.c, list.c, write.c: the handlers, each a fs_run_fn ---- */

void fs_run_lookup(struct fs_call *c);
/* @c is such a call, and is about to be told -EAGAIN. */
void fs_lookup_unanswered(struct fs_call *c);
void fs_run_getattr(struct fs_call *c);
void fs_run_readlink(struct fs_call *c);
void fs_run_open(struct fs_call *c);
void fs_run_read(struct fs_call *c);
void fs_run_statfs(struct fs_call *c);
void fs_run_opendir(struct fs_call *c);
void fs_run_readdir(struct fs_call *c);

void fs_run_create(struct fs_call *c);
/* OPEN with O_TRUNC under trunc=strict. */
void fs_truncate_strictly(struct fs_call *c);
void fs_run_mknod(struct fs_call *c);
void fs_run_mkdir(struct fs_call *c);
void fs_run_symlink(struct fs_call *c);
void fs_run_link(struct fs_call *c);
void fs_run_unlink(struct fs_call *c);
void fs_run_rmdir(struct fs_call *c);
void fs_run_rename(struct fs_call *c);
void fs_run_write(struct fs_call *c);
void fs_run_setattr(struct fs_call *c);
void fs_run_flush(struct fs_call *c);
void fs_run_fsync(struct fs_call *c);
void fs_run_fsyncdir(struct fs_call *c);

/* The caller's. */
static inline uint32_t fs_uid(const struct fs_call *c)
{
    return fuse_req_ctx(c->req)->uid;
}

static inline struct fs_handle *fs_handle_of(const struct fuse_file_info *fi)
{
    /* The kernel hands back the number that fs_reply_open gave it. */
    return fi == NULL ? NULL : (struct fs_handle *)(uintptr_t)fi->fh;
}

extern const struct fuse_lowlevel_ops fs_ops;

#endif
