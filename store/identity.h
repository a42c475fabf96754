/* The data folder: whose it is, one process at a time.
 *
 *   DATA_DIR/lock       held with flock while the server runs
 *            identity   format version, cluster and node, incarnation; JSON
 *                       with a checksum, replaced by rename
 *            term       term and vote, store/log_term.h
 *            log/       store/log.h
 *            state/     folders of states, store/state.h
 *            snapshot/  store/snapshot.h */
#ifndef STORE_IDENTITY_H
#define STORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/time.h"
#include "store/disk.h"

#define STORE_FORMAT_VERSION 1

struct store_identity {
    uint32_t format;
    char node[PX_NODE_ID_BYTES_MAX + 1];
    uint64_t cluster;     /* cluster id */
    uint64_t incarnation; /* 1 at the first start, one more at each start */
    bool has_log;  /* log/ has been begun: an empty one is damage from now on,
                      which the log repairs where there is a term */
    px_ns promise; /* the longest election timeout it ever ran with */
};

struct store_folder;

/* Opens or creates the folder (and log/ and state/ in it), takes its lock,
 * checks or writes the identity, and counts the incarnation up; all durable on
 * return. @is_new_out: there was no identity before.
 * Errors, each with a sentence in @why: -EBUSY (another process holds it),
 * -PX_ECLUSTER (of another cluster or node), -PX_EFORMAT (newer format),
 * -PX_ECORRUPT, -errno. Nothing is changed then. */
int store_folder_open(const char *dir, const char *node, uint64_t cluster,
                      struct store_folder **folder_out,
                      struct store_identity *identity_out, bool *is_new_out,
                      char *why, size_t why_size);
/* Replaces the identity, durable on return. Errors: -errno; there is the old
 * one, or the new one. */
int store_folder_update(struct store_folder *f,
                        const struct store_identity *identity);
void store_folder_close(struct store_folder *f);
/* The folder itself, open as long as @f. */
struct store_disk *store_folder_disk(const struct store_folder *f);
/* Paths inside, owned by @f. */
const char *store_folder_log(const struct store_folder *f);
const char *store_folder_state(const struct store_folder *f);
const char *store_folder_snapshot(const struct store_folder *f);

#endif
