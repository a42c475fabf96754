/* What a node does between its cores: raft, the log, the state machine, the
 * peers and the requests of its mount, joined without a thread, a clock or a
 * socket of its own. The server gives it libuv's world through struct
 * replica_io; a simulator may give it another.
 *
 *   replica_open ─▶ inputs (replica_on_*, replica_propose, replica_read)
 *                   then replica_turn once, after each round of inputs
 *                ─▶ replica_stop ─▶ replica_close
 *
 * A turn proposes or forwards what was queued, hands messages to the peers,
 * writes to the log thread and committed entries to the state machine, and
 * answers requests. All inputs that arrived together thus share one message,
 * one disk write and one transaction.
 *
 * Exactly once: every command carries this node's session and a sequence
 * number. A command whose fate is unknown (another leader, a broken
 * connection) is sent again under the same number; the state machine drops
 * the second. A request is answered when this node has applied its command,
 * so that the same process then reads its own write here.
 *
 * Thread: loop, all of it. */
#ifndef NODE_REPLICA_H
#define NODE_REPLICA_H

#include "base/list.h"
#include "fs/fs.h"
#include "net/net.h"
#include "raft/raft.h"
#include "store/snapshot.h"
#include "store/state.h"

struct replica;

/* A write of the log, in order; done when all of it is durable. Its entries
 * are referenced. */
struct replica_write {
    struct px_list link;  /* of whoever writes */
    struct px_list track; /* the replica's: writes under way */
    struct raft_write write;
    bool has_hard;
    struct raft_hard_state hard;
    bool has_reset; /* the log is emptied first, and begins behind reset */
    struct raft_pos reset;
    raft_index first; /* of entries; 0: none */
    size_t count;
    struct raft_entry entries[];
};

/* Entries to apply, the first of them at least. With from_log, [first, last]
 * are still to be read from the log, as many as fit a batch. The rest is filled
 * by whoever applies. */
struct replica_apply {
    struct px_list link;
    bool from_log;
    raft_index first;
    raft_index last;
    size_t bytes; /* of data, when not from_log */
    size_t count;
    size_t applied; /* <= count; what is left comes again in the next job */
    struct raft_entry entries[PX_BATCH_ENTRIES_MAX]; /* referenced */
    struct store_result results[PX_BATCH_ENTRIES_MAX];
    struct store_orphans orphans;
};

/* Entries [first, last] to be read from the log for a peer. */
struct replica_fetch {
    struct raft_fetch want;
    size_t count;
    struct raft_entry entries[PX_BATCH_ENTRIES_MAX]; /* referenced */
};

enum replica_snapshot_what {
    REPLICA_SAVE,  /* the state as it is now, into a new snapshot */
    REPLICA_READ,  /* a piece of a snapshot, for a follower */
    REPLICA_STORE, /* a piece that the leader sent, into a file of its own */
    REPLICA_LOAD,  /* a snapshot that is all here, into a new state beside */
    REPLICA_MARK,  /* the state is wrong: so that every start knows it */
    REPLICA_CLEAN, /* what a state that was replaced, or one that was loaded in
                      vain, has left: folders, older snapshots */
};

/* Where the state here was found to differ from what a majority has. */
struct replica_divergence {
    raft_index index; /* 0: it does not */
    uint64_t own;     /* the hashes of the states there */
    uint64_t others;
};

/* Work on snapshots: in the background, one after the other of each kind. */
struct replica_snapshot_job {
    struct px_list link; /* of whoever does it */
    enum replica_snapshot_what what;
    raft_id peer; /* READ: whom it is for */
    /* Which one. SAVE: the configuration is given, as of the beginning
     * (store_snapshot_save_options), and the bytes of the last one; the rest is
     * filled in.
     * READ, LOAD: pos and bytes. CLEAN: the newest, which stays. STORE too; the
     * last piece's fills in the rest.
     */
    struct store_snapshot_info info;
    uint64_t offset;
    /* SAVE, LOAD: it is to end soon, with -ECANCELED. Whoever gave the job may
     * set it at any time until the job is back. */
    _Atomic bool is_cancelled;
    size_t size;          /* READ */
    struct px_slice data; /* READ: filled in, referenced. STORE: held. */
    struct replica_divergence divergence; /* MARK; LOAD: of what it replaces */
    int rc;                               /* of whoever does it */
};

/* The world. All calls return at once; what takes time ends in an on_*. */
struct replica_io {
    void *ctx;
    px_ns (*now)(void *ctx);
    int64_t (*wall_time)(void *ctx); /* nanoseconds since 1970 */
    /* 0, or an error: the message was dropped. */
    int (*send)(void *ctx, const struct raft_msg *msg);
    /* 0, or an error: it has not left, and is tried again later. */
    int (*forward)(void *ctx, raft_id to, const struct net_forward *f);
    int (*transfer)(void *ctx, raft_id to, const struct net_snapshot *s);
    void (*refuse)(void *ctx, raft_id to, const struct net_forward_refused *f);
    void (*flush)(void *ctx); /* messages, onto the wire */
    /* Takes all of @writes; ends in replica_on_durable. */
    void (*write)(void *ctx, struct px_list *writes);
    /* Ends in replica_on_applied, perhaps before it returns. */
    void (*apply)(void *ctx, struct replica_apply *job);
    /* Ends in replica_on_fetched. */
    void (*fetch)(void *ctx, struct replica_fetch *job);
    /* Ends in replica_on_snapshot, not before it returns. STORE: the piece at
     * offset 0 begins a new file; the last one makes it durable, checks it as
     * a whole, and gives it its name. */
    void (*snapshot)(void *ctx, struct replica_snapshot_job *job);
    /* Bytes of the log's entries, covered by a snapshot or not. */
    uint64_t (*log_bytes)(void *ctx);
    /* Bytes that a snapshot could take now. NULL: as many as it wants. */
    uint64_t (*snapshot_room)(void *ctx);
    /* Entries up to @index won't be read again: the log's head may go. */
    void (*cut_log)(void *ctx, raft_index index);
    /* Raft has become faulty: entry @index, which was acknowledged, isn't in the
     * log. A note is to say so after a restart, too, as one does of a log that
     * was damaged. Ends in replica_on_loss_noted, not before it returns. */
    void (*lost)(void *ctx, raft_index index);
    /* Raft was faulty, and holds again all that it ever acknowledged, once the
     * writes are durable that were given before: then the note that it is may go.
     * Ends in replica_on_recovered. */
    void (*recovered)(void *ctx);
    /* From now on the state is the one that was loaded last; views of the old
     * one have ended. Returns the loop's view of it. */
    struct store_view *(*adopt)(void *ctx);
    /* An unlinked inode: is it open through our mount? */
    bool (*is_open)(void *ctx, uint64_t inode);
    /* One that is not: may an open of it be under way? Asked again later. NULL:
     * never. */
    bool (*is_shown)(void *ctx, uint64_t inode);
    /* Other members are in force than when this was last said, or the same
     * ones as something else. NULL: nobody minds. */
    void (*on_config)(void *ctx);
    /* This node can't go on: the process ends, with @why in a note. */
    void (*fail)(void *ctx, const char *why, int rc);
};

/* A change of members, or a hand-over, until its outcome is known. */
struct replica_change_wait {
    struct px_list link; /* the replica's, as are the last two */
    px_ns deadline;      /* the caller's: answered then at the latest */
    void (*done)(struct replica_change_wait *w, int rc);
    raft_index index; /* of the entry; 0: a hand-over */
    raft_term term;
};

struct replica_options {
    struct raft_options raft; /* now is filled in by open */
    const char *node;
    uint64_t incarnation;
    uint64_t start; /* drawn at random at each start: tells this life of the
                       node from another one of the same incarnation */
    px_ns request_timeout;
    struct store_view *view;             /* the loop's; stays the caller's */
    struct store_snapshot_info snapshot; /* the newest here; pos {0, 0}: none */
    uint64_t snapshot_bytes; /* the log's growth after which one is made */
    uint64_t quota_bytes;    /* that a cluster without one is given, should this
                                node lead it; 0: none */
    /* States are compared at the indexes that it divides: STORE_HASH_EVERY, or
     * less in a test; the same on all nodes. 0: they are not. */
    raft_index hash_every;
    struct replica_divergence divergence; /* as the state was marked */
};

struct replica_counters {
    uint64_t commands;   /* of our own requests */
    uint64_t resent;     /* sent again, outcome not known */
    uint64_t forwarded;  /* to a leader */
    uint64_t for_others; /* forwarded to us */
    uint64_t refused;    /* forwarded to us, and refused */
    uint64_t entries_applied;
    uint64_t batches_applied;
    uint64_t log_writes;
    uint64_t reads_local;  /* on a lease, nothing asked */
    uint64_t reads_asked;  /* waited for an index */
    uint64_t expired;      /* requests that reached their deadline */
    uint64_t without_room; /* refused by the quota, and not proposed */
    uint64_t elections;    /* times that this node became leader */
    uint64_t snapshots_saved;
    uint64_t snapshots_sent;      /* and installed by the follower */
    uint64_t snapshots_installed; /* received */
    uint64_t log_repairs;         /* a damaged log became whole again */
    uint64_t losses_noticed;      /* ... lacked what a leader counted on */
    uint64_t fetches_failed;      /* of old entries, by the disk */
    uint64_t hashes_equal;        /* points where a majority has what we have */
    uint64_t hashes_undecided; /* where nodes differ, and no majority agrees */
    uint64_t divergences;      /* where a majority has something else */
};

int replica_open(const struct replica_options *options,
                 const struct replica_io *io, struct replica **replica_out);
/* Finishes every waiting request: -EAGAIN, or -PX_EUNKNOWN where a command
 * has left. */
void replica_stop(struct replica *r);
/* After the last completion has come in. NULL is accepted. */
void replica_close(struct replica *r);

/* ---- Inputs ---- */
void replica_on_message(struct replica *r, const struct raft_msg *msg);
void replica_on_forward(struct replica *r, const struct net_forward *f);
void replica_on_refused(struct replica *r, const struct net_forward_refused *f);
void replica_on_transfer(struct replica *r, const struct net_snapshot *s);
void replica_on_peer_up(struct replica *r, raft_id peer);
void replica_on_peer_down(struct replica *r, raft_id peer);
/* @w, and all writes before it, are durable. Takes @w. */
void replica_on_durable(struct replica *r, struct replica_write *w);
/* @rc: > 0, or -errno. -ENOSPC: nothing was applied, for there is no room; what
 * is to be is given again, and to a state that was loaded, if one was. Who applies
 * has waited by then: it may come again at once. */
void replica_on_applied(struct replica *r, struct replica_apply *job, int rc);
/* @rc: a count, or -errno; after -PX_ECORRUPT the process is to end. */
void replica_on_fetched(struct replica *r, struct replica_fetch *job, int rc);

/* The note that raft is faulty is there, durably. */
void replica_on_loss_noted(struct replica *r);
/* The note that raft was faulty is gone, durably. */
void replica_on_recovered(struct replica *r);

/* Takes @job. */
void replica_on_snapshot(struct replica *r, struct replica_snapshot_job *job,
                         int rc);

/* Another voter is to lead, if we do: before we stop, so that writers need not
 * wait for an election. 0: it is under way; all goes on meanwhile.
 * -PX_ENOTLEADER; -EAGAIN: nobody is there to take over. */
int replica_hand_over(struct replica *r);

/* The same for @to, or with 0 for whoever lacks least; w->done is told, perhaps
 * before this returns: 0: another one leads. -PX_ENOTLEADER, -EINVAL, -EBUSY;
 * -EAGAIN: it can't be reached, or has not taken over in time: we lead on.
 * -PX_EUNKNOWN: nobody was known to lead by the deadline. */
void replica_transfer(struct replica *r, struct replica_change_wait *w,
                      raft_id to);

/* A member comes, goes, or gets a vote (raft.h: RAFT_IN_CHANGE says when that is
 * refused, and with what); w->done is told, perhaps before this returns:
 * 0: it is committed. -PX_EUNKNOWN: we don't lead any more, or the deadline has
 * come: it may yet be. */
void replica_change(struct replica *r, struct replica_change_wait *w,
                    const struct raft_change *c);

/* Nothing was ever committed in this cluster: raft.h, RAFT_IN_SOUND. */
void replica_sound(struct replica *r);

/* A snapshot is to be made soon, whatever the log's size. */
void replica_want_snapshot(struct replica *r);

/* The end of a round of inputs. */
void replica_turn(struct replica *r);
/* When replica_turn wants to be called at the latest. */
px_ns replica_deadline(const struct replica *r);

/* ---- Requests: fs_port says what each promises; those that wait bring their
 * deadline ---- */
int replica_try_read(struct replica *r);
void replica_read(struct replica *r, struct fs_wait *w);
void replica_propose(struct replica *r, struct fs_wait *w, struct command *c);
bool replica_cancel(struct replica *r, struct fs_wait *w);
uint64_t replica_new_inode(struct replica *r);
void replica_released(struct replica *r, uint64_t inode);
bool replica_may_open(const struct replica *r, uint64_t inode);

/* ---- To look at ---- */
void replica_get_status(const struct replica *r, struct raft_status *out);
size_t replica_get_peers(const struct replica *r,
                         struct raft_peer_status *peers, size_t max);
void replica_get_counters(const struct replica *r,
                          struct replica_counters *out);
/* The members in force, and whether that is committed. */
bool replica_get_config(const struct replica *r, struct raft_config *out);
/* Nothing is in the log, durably, nor was there ever: a disk as good as new. */
bool replica_is_log_empty(const struct replica *r);
/* Does a request wait for an answer of the cluster's? One that waits for room
 * does not. */
bool replica_has_requests(const struct replica *r);
/* Has a leader, a session, a state of its own, and so serves. */
bool replica_is_ready(const struct replica *r);
/* Its state is wrong, and is about to be replaced: nothing of it is served. */
bool replica_is_quarantined(const struct replica *r);
/* It was; its new state has yet to be given what the log holds behind it. */
bool replica_is_healing(const struct replica *r);
void replica_get_divergence(const struct replica *r,
                            struct replica_divergence *out);
/* Of the snapshot that is coming in, while raft_status says is_installing. */
int replica_percent_installed(const struct replica *r);
uint64_t replica_session(const struct replica *r);

#endif
