/* The data folder: whose it is, one process at a time.
 *
 *   DATA_DIR/lock       held with flock while the server runs
 *            identity   format version, cluster and node, incarnation; JSON
 *                       with a checksum, replaced by rename
 *            identity.copy  the same once more: identity_file.h
 *            term       term and vote, store/log_term.h
 *            peers      where the others were, store/peers_file.h
 *            log/       store/log.h
 *            state/     folders of states, store/state.h
 *            snapshot/  store/snapshot.h
 *
 *   store_folder_open ─▶ is_new ─▶ (which cluster is it to be of?)
 *          │                                  │
 *          │                                  ▼
 *          │                         store_folder_begin
 *          ▼                                  ▼
 *       it is ours, as ever       it is ours from now on ─▶ store_folder_update
 *
 * Nothing else is put into a new folder before store_folder_begin: a start that
 * ends while it waits for its cluster leaves a new folder. */
#ifndef STORE_IDENTITY_H
#define STORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/time.h"
#include "store/disk.h"

#define STORE_FORMAT_VERSION 2

struct store_identity {
    uint32_t format;
    char node[PX_NODE_ID_BYTES_MAX + 1];
    char cluster_name[PX_NODE_ID_BYTES_MAX + 1];
    uint64_t cluster;     /* cluster id; never 0 */
    uint64_t incarnation; /* 1 at the first start, one more at each start */
    /* The voters that the cluster began with; none: it was there when this node
     * came to it. */
    size_t voter_count;
    char voters[RAFT_MEMBERS_MAX][PX_NODE_ID_BYTES_MAX + 1];
    bool has_log;    /* log/ has been begun: an empty one is damage from now on,
                      which the log repairs where there is a term */
    bool is_begun;   /* the log was made sure of: the cluster was new, or this
                      node has what it may have lost from the others. Until
                      then an empty log may be one that was emptied */
    bool is_removed; /* by its cluster, for ever: each later open is refused */
    px_ns promise;   /* the longest election timeout it ever ran with, or was
                      about to; 0: it waited for its cluster, and never ran */
    uint64_t gossip_reserve; /* gossip may have used incarnations up to here */
};

/* What the caller believes of the folder. */
struct store_folder_options {
    const char *dir;
    const char *node;         /* 1 to PX_NODE_ID_BYTES_MAX bytes, as is */
    const char *cluster_name; /* this one */
    uint64_t cluster;         /* 0: not known; the folder's, if it has one */
};

struct store_folder;

/* Opens or creates the folder (and log/, state/ and snapshot/ in it), takes its
 * lock and checks the identity. Where there is one, the incarnation is counted
 * up. Where there is none, @is_new_out is set, and @identity_out is a draft:
 * the options' names and cluster, incarnation 0. All durable on return.
 * On success @why is empty, or a sentence for the operator: one of the two files
 * of the identity was damaged or missing, and is whole again.
 * Errors, each with a sentence in @why: -EBUSY (another process holds it),
 * -PX_ECLUSTER (of another cluster or node, or of a node that was removed from
 * its cluster; or its two files are not of one), -PX_EFORMAT (another format),
 * -PX_ECORRUPT (neither file is sound), -EINVAL, -errno. Nothing is changed
 * then; but of an -errno the incarnation may be counted up, in one file or both.
 */
int store_folder_open(const struct store_folder_options *options,
                      struct store_folder **folder_out,
                      struct store_identity *identity_out, bool *is_new_out,
                      char *why, size_t why_size);
/* Writes the first identity of a new folder: the draft, in which the caller has
 * set what it knows by now, the cluster at least. Once. Durable on return, with
 * the incarnation behind the draft's: 1, but for a node that goes on in another
 * folder.
 * Errors: -errno; there is none, or this one, whole: after a crash, too. */
int store_folder_begin(struct store_folder *f, struct store_identity *identity);
/* For tools: a folder that is there, whosever it is. Takes its lock, and changes
 * nothing: the incarnation is as it was, and so is that of a node that has been
 * removed. Its identity, in one of the two files, and its log have to be there.
 * Errors, each with a sentence in @why: -ENOENT (no folder, or no identity),
 * -EBUSY, -PX_EFORMAT, -PX_ECORRUPT, -errno. */
int store_folder_open_found(const char *dir, struct store_folder **folder_out,
                            struct store_identity *identity_out, char *why,
                            size_t why_size);
/* Replaces the identity, durable on return. Not before there is one. Errors:
 * -errno; there is the old one, or the new one: each may be in a file of its own
 * then, and whichever a start finds counts. */
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
