/* The smallest FUSE filesystem that a benchmark can write to and read from: a
 * flat folder of files f0 .. f63 that always exist, kept in memory, asked for
 * and answered with the options of the real mount (direct I/O, timeouts 0,
 * O_TRUNC in open, no FLUSH for readers).
 *
 *   front_open ─▶ fuse_session_loop, or fuse_session_receive_buf and
 *                 fuse_session_process_buf ─▶ front_close
 *
 * It is the part that the null filesystem and the floor have in common: the
 * null one answers a WRITE at once, the floor when its quorum holds it. */
#ifndef BENCH_FRONT_H
#define BENCH_FRONT_H

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

/* Takes a WRITE of @bytes that is already in memory, and answers it with
 * fuse_reply_write, now or later. */
typedef void front_write_fn(fuse_req_t req, const char *data, size_t bytes);

/* Mounts on @mountpoint and takes SIGTERM, SIGINT and SIGHUP as the wish to
 * end. @on_write NULL: a WRITE is answered at once. NULL if it failed; libfuse
 * has said why on standard error. */
struct fuse_session *front_open(const char *mountpoint,
                                front_write_fn *on_write);

/* Unmounts and frees. */
void front_close(struct fuse_session *session);

#endif
