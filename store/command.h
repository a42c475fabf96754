/* A command: what a log entry asks of the state machine, and by whom.
 *
 * On the log and on the wire: a protobuf head (command.proto), then the raw
 * data of a write; command_encode draws it. Applying a command depends on the
 * state and the command alone, so times and inode numbers are stamped here,
 * before the proposal. */
#ifndef STORE_COMMAND_H
#define STORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

/* Numbers are in the log: never renumber. */
enum command_op {
    COMMAND_SESSION_OPEN = 1,
    COMMAND_CREATE = 2, /* a regular file; exclusive or not */
    COMMAND_MKDIR = 3,
    COMMAND_SYMLINK = 4,
    COMMAND_LINK = 5,
    COMMAND_UNLINK = 6,
    COMMAND_RMDIR = 7,
    COMMAND_RENAME = 8,
    COMMAND_WRITE = 9, /* may create or truncate first: see flags */
    COMMAND_SETATTR = 10,
    COMMAND_RELEASE = 11, /* this session holds these unlinked inodes no more */
    COMMAND_REAP = 12,    /* delete a bounded part of unlinked inodes */
    COMMAND_SET_QUOTA = 13,
    COMMAND_HASH = 14, /* a voter says what the hash of its state was */
};

enum command_flags {
    /* CREATE; and WRITE, for a staged open: make (parent, name) first. */
    COMMAND_CREATES = 1 << 0,
    COMMAND_EXCLUSIVE = 1 << 1, /* with CREATES: -EEXIST if the name is there;
                                   SET_QUOTA: only if none is set */
    /* CREATE and WRITE: cut the file to nothing first. */
    COMMAND_TRUNCATES = 1 << 2,
    COMMAND_APPENDS = 1 << 3, /* WRITE: at the end, wherever that is by then */
    COMMAND_NOREPLACE = 1 << 4, /* RENAME */
    COMMAND_EXCHANGE = 1 << 5,  /* RENAME */
    COMMAND_FORCE = 1 << 6,     /* REAP: although sessions still hold them */
    /* WRITE, SETATTR of size: the caller may keep set-id bits (CAP_FSETID). */
    COMMAND_KEEPS_SETID = 1 << 7,
};

/* SETATTR: which fields are given. */
enum command_attrs {
    COMMAND_MODE = 1 << 0,
    COMMAND_UID = 1 << 1,
    COMMAND_GID = 1 << 2,
    COMMAND_SIZE = 1 << 3,
    COMMAND_ATIME = 1 << 4,
    COMMAND_MTIME = 1 << 5,
    COMMAND_ATIME_NOW = 1 << 6, /* the command's own time */
    COMMAND_MTIME_NOW = 1 << 7,
};

struct command_name {
    const char *data; /* not terminated; 1 .. PX_NAME_BYTES_MAX bytes, no '/',
                         no NUL, not "." or ".." : decode refuses others */
    size_t size;
};

/* Flat: each operation uses the fields that its line in command.proto names.
 * Times are nanoseconds since 1970. */
struct command {
    enum command_op op;
    uint32_t flags;    /* enum command_flags */
    uint64_t session;  /* 0 only for SESSION_OPEN */
    uint64_t sequence; /* SESSION_OPEN: a nonce, drawn at random by each start
                          of the node; see session.c */
    uint64_t floor; /* every sequence below it has been answered: results kept
                       for them may go */
    int64_t time;   /* wall time of the proposer */
    uint32_t uid;   /* of the caller */
    uint32_t gid;

    uint64_t inode; /* the object, or the number for a new one */
    uint64_t parent;
    struct command_name name;
    uint64_t new_parent; /* RENAME, LINK */
    struct command_name new_name;
    uint32_t mode;   /* with the file type bits where something is created */
    uint64_t offset; /* WRITE; SETATTR: the size; SET_QUOTA: its bytes */
    uint32_t attrs;  /* SETATTR: enum command_attrs */
    int64_t atime;
    int64_t mtime;
    uint32_t attr_uid;
    uint32_t attr_gid;
    const uint64_t *inodes; /* RELEASE, REAP */
    size_t inode_count;     /* <= PX_RELEASE_INODES_MAX */
    uint64_t incarnation;   /* SESSION_OPEN: of the node @name */
    uint64_t hashed_index;  /* HASH: the state was applied up to here */
    uint64_t state_hash;    /* and had this hash */
    uint64_t voter;         /* at this member */
    const void *data;       /* WRITE: the bytes; SYMLINK: the target */
    size_t data_size;
};

/* Encodes @c into a new buf, @slice_out owning it.
 * Errors: -ENOMEM; -E2BIG beyond PX_ENTRY_BYTES_MAX; -EINVAL for what decoding
 *         would refuse (command.proto lists what each operation may carry). */
int command_encode(const struct command *c, struct px_slice *slice_out);

/* A decoded command: @c points into @bytes and into @scratch, both of which
 * must stay while it is used. */
struct command_scratch; /* of a fixed size; each decode empties it first */
struct command_scratch *command_scratch_new(void);
void command_scratch_free(struct command_scratch *scratch);

/* Errors: -PX_EFORMAT for anything malformed: names, sizes, unknown operation,
 * missing fields. @c is then not touched. */
int command_decode(struct px_slice bytes, struct command_scratch *scratch,
                   struct command *c);

#endif
