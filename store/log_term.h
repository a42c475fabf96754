/* Term and vote, once more: a small file beside the log.
 *
 * They are records of the log, too. But a log that is damaged has lost what
 * lies behind the damage, and a node that has forgotten a vote may give it
 * twice. So this file is replaced, durably, before such a record is written: it
 * says what the log says, or one step more. With it, a damaged log can be
 * repaired from the other members; without, the node must not act again.
 *
 *    0  u64  checksum of bytes 8 .. 47
 *    8  u64  magic, "PXTERM\0\0"
 *   16  u32  format version
 *   20  u32  zeros
 *   24  u64  stamp: whose it is, as in the segments
 *   32  u64  term
 *   40  u64  voted for */
#ifndef STORE_LOG_TERM_H
#define STORE_LOG_TERM_H

#include "raft/types.h"
#include "store/disk.h"

/* -ENOENT; -PX_ECORRUPT; -PX_EFORMAT: of a newer program; -PX_ECLUSTER: another
 * stamp; -errno. */
int log_term_read(struct store_disk *d, uint64_t stamp,
                  struct raft_hard_state *hard_out);
/* Durable on return. -errno: there is the old one, or the new one. */
int log_term_write(struct store_disk *d, uint64_t stamp,
                   struct raft_hard_state hard);

/* Was @a decided after @b? Of one node, one comes after the other. */
bool log_term_is_newer(struct raft_hard_state a, struct raft_hard_state b);

#endif
