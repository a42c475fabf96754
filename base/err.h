/* Errors: 0 or a count on success, a negative errno on failure, everywhere.
 * Where errno lacks the word, the table below adds one. `fs/reply.c` alone
 * turns them into what the kernel is told. */
#ifndef PX_ERR_H
#define PX_ERR_H

/* name, number, errno at the mount, text */
#define PX_ERRORS(X)                                                           \
    X(PX_ENOTLEADER, 5001, EAGAIN, "not the leader")                           \
    X(PX_EUNKNOWN, 5002, ETIMEDOUT, "outcome unknown: it may yet take effect") \
    X(PX_ECORRUPT, 5003, EIO, "stored bytes fail their checksum")              \
    X(PX_ESESSION, 5004, EIO, "the session has ended")                         \
    X(PX_EFORMAT, 5005, EIO, "bytes in a format that is not known here")       \
    X(PX_ECLUSTER, 5006, EIO, "belongs to another cluster or node")            \
    X(PX_ENOQUORUM, 5007, EAGAIN, "no majority within the deadline")

enum px_error {
#define PX_ERROR_ENUM(name, number, mount, text) name = (number),
    PX_ERRORS(PX_ERROR_ENUM)
#undef PX_ERROR_ENUM
};

/* The text of @rc (zero, a negative errno, or one of ours), never NULL.
 * Thread: any; the text of a plain errno comes from strerror's table. */
const char *px_strerror(int rc);

/* The positive errno that a process using the mount sees for @rc < 0. */
int px_mount_errno(int rc);

#endif
