/* The inside of a replica, for node/'s own files.
 *
 * Invariants
 *   N1  applied <= commit, and what raft says is committed is durable here
 *       too: a killed process never finds its state ahead of its log.
 *   N2  window: floor <= every outstanding sequence < next_sequence
 *       <= floor + PX_SESSION_INFLIGHT_MAX.
 *   N3  sequences below send_next have been handed to the current leader, in
 *       this epoch; of those above, what a wait's index says.
 *   N4  one apply job at a time; entries are applied in order, once.
 *   N5  a message held back leaves only when write after_seq is durable.
 *   N6  a state that was loaded is adopted between two applies, and its
 *       snapshot is durable by then: N1 holds by it.
 *   N7  in quarantine nothing is applied, and nothing that waits is answered
 *       from the state. */
#ifndef NODE_REPLICA_CORE_H
#define NODE_REPLICA_CORE_H

#include "node/replica.h"

/* Messages that wait for a write. Beyond it they are dropped, as on a lossy
 * network. */
#define HELD_MSGS_MAX 4096u
/* Commands of other nodes that wait for the end of the turn. */
#define FORWARDS_IN_MAX 4096u

struct held_msg {
    uint64_t seq;
    struct raft_msg msg; /* a reply or a vote: carries no entries */
};

struct forward_in {
    raft_id from;
    uint64_t session;
    uint64_t sequence;
    struct px_slice command;
};

/* fs_wait.state */
enum wait_state {
    WAIT_QUEUED = 1, /* no sequence yet: no session, or the window is full */
    WAIT_UNSENT,     /* in the window, never sent */
    WAIT_SENT,       /* may have been proposed: its outcome counts */
    WAIT_READ,
    WAIT_ROOM, /* no sequence yet: the quota has no room, as known here */
};

/* Our own commands: see commands.c. */
struct commands {
    uint64_t session; /* 0: none yet */
    uint64_t nonce;   /* marks our SESSION_OPEN */
    struct px_slice opening;
    struct command_scratch *scratch;
    bool opening_sent; /* to the current leader */
    uint64_t inode_counter;
    uint64_t floor;
    uint64_t next_sequence;
    uint64_t send_next;
    uint64_t epoch;  /* of leaders and connections; a wait's index says in which
                       it was sent */
    px_ns expire_at; /* no deadline, here or in the queue, is earlier */
    px_ns retry_at;  /* send again what is overdue then: */
    uint64_t retry_end; /* what is below it, and has no answer */
    px_ns pause_until;  /* after a refusal by the leader there is; 0: none */
    struct fs_wait *window[PX_SESSION_INFLIGHT_MAX];
    struct px_list queue; /* of fs_wait, WAIT_QUEUED */
    struct forward_in forwards[FORWARDS_IN_MAX];
    size_t forward_count;
    uint64_t forward_bytes; /* <= RAFT_UNAPPLIED_BYTES_MAX */
};

/* Reads, in the order of their ids: see reads.c. */
struct reads {
    struct px_list list; /* of fs_wait; index 0 until it is known */
    px_ns expire_at;     /* none of their deadlines is earlier */
    uint64_t next_id;
    uint64_t asked_id; /* the newest that raft was told of */
};

/* Unlinked inodes: see orphans.c. */
struct orphans {
    struct fs_wait release; /* a COMMAND_RELEASE of ours */
    struct fs_wait reap;    /* a COMMAND_REAP of ours, when we lead */
    bool is_releasing;
    bool is_reaping;
    struct store_orphans waiting; /* to be released */
    struct store_orphans shown;   /* to be looked at again at release_at */
    struct store_orphans closed;  /* last handles closed: have they names? */
    uint64_t batch[PX_RELEASE_INODES_MAX];
    size_t batch_count;
    px_ns release_at;
    px_ns reap_at;
};

/* Snapshots: see snapshots.c. */
struct snapshots {
    struct store_snapshot_info newest; /* durable here; pos {0, 0}: none */
    struct store_snapshot_info saved;  /* the next newest, once it is all known
                                          here to be applied; pos {0, 0}: none */
    uint64_t bytes_min;    /* the log's growth after which one is made */
    uint64_t log_bytes;    /* when it was last looked at */
    uint64_t grown;        /* the log, since the last one was begun; */
    uint64_t grown_before; /* until then, since the one before */
    uint64_t looked;       /* at the disk's room, when the log had grown so */
    bool is_wanted;
    struct replica_snapshot_job *saving; /* the SAVE under way; NULL: none */
    px_ns save_after; /* not before: the last attempt failed; 0: at any time */
    px_ns unreadable_note_at; /* of an entry that can't be read: not before */
};

/* A snapshot on its way to a follower: see transfer_out.c. */
struct transfer_out {
    raft_id peer; /* 0: none */
    struct store_snapshot_info info;
    uint64_t acked;  /* the follower holds all before */
    uint64_t sent;   /* acked <= sent <= acked + what may be ahead */
    bool is_wanted;  /* the follower has answered the offer */
    bool is_reading; /* the piece at sent */
    px_ns piece_at;  /* the next piece, not before: so much a second */
    px_ns offer_at;  /* offered again then, unless it is wanted */
    px_ns moved_at;  /* when the follower last said something */
};

/* A snapshot on its way to us: see transfer_in.c. */
enum transfer_in_state {
    TRANSFER_IDLE,
    TRANSFER_RECEIVING,
    TRANSFER_LOADING, /* all here and durable; a state is built from it */
    TRANSFER_LOADED,  /* adopted as soon as nothing is being applied */
};

struct transfer_in {
    enum transfer_in_state state;
    raft_id from;
    struct store_snapshot_info info; /* pos and bytes; all, once it is here */
    uint64_t stored;                 /* on disk */
    bool is_storing;                 /* the piece at stored */
    struct px_slice ahead[NET_SNAPSHOT_PIECES_AHEAD]; /* a ring, behind it */
    unsigned ahead_first;
    unsigned ahead_count;
    uint64_t expected; /* the next offset: stored, what is being stored, and
                          what waits ahead */
    uint64_t term_seq; /* the write that makes the sender's term durable */
    px_ns again_at;    /* said again where we stand */
    px_ns moved_at;    /* when the last piece came */
    px_ns begin_after; /* no new one before: the last was damaged, or there was
                          no room */
};

/* Of the replicated state: see quota.c. */
struct quota {
    uint64_t initial;   /* for a cluster that has none; 0: not ours to say */
    struct fs_wait set; /* a COMMAND_SET_QUOTA of ours */
    bool is_setting;
    px_ns set_at;
    struct px_list waiting; /* of fs_wait, WAIT_ROOM; attempts 1: looked for */
    struct fs_wait look;    /* a verified read for them */
    bool is_looking;
    px_ns look_at;
};

/* Comparing states: see hashes.c. */
#define HASH_POINTS 8u

struct hash_point {
    raft_index index; /* 0: not used yet */
    bool has_own;
    bool is_settled; /* a majority has agreed, and we know what follows */
    bool is_noted;   /* that none has */
    uint64_t own;
    size_t claim_count;
    struct store_claim claims[RAFT_MEMBERS_MAX]; /* one of a voter */
};

struct hashes {
    raft_index every;                      /* 0: none are compared */
    struct hash_point points[HASH_POINTS]; /* a ring: by index / every */
    bool is_silent;       /* the state was another node's: we claim nothing */
    struct fs_wait claim; /* a COMMAND_HASH of ours */
    bool is_claiming;
    raft_index claimed;          /* the point that it is about */
    struct store_claim to_claim; /* our newest, until that is done; index 0 */
};

/* A state that is wrong: see quarantine.c. */
struct quarantine {
    struct replica_divergence of; /* index 0: none */
    bool is_passive;              /* what raft has been told */
    bool is_marking;
    raft_index let_go; /* what raft takes for applied, up to here, is
                                     to be applied to the new state first */
    px_ns ask_at;
};

struct replica {
    struct raft *raft;
    struct replica_io io;
    struct raft_status status; /* after the last step */
    char node[PX_NODE_ID_BYTES_MAX + 1];
    raft_id id;
    struct raft_config config; /* who the members are: in force at config_at */
    raft_index config_at;
    uint64_t config_changes; /* that raft had made when it was looked at */
    bool is_config_told;     /* by io.on_config */
    struct px_list changes;  /* of replica_change_wait: see changes.c */
    uint64_t incarnation;
    uint64_t start;
    px_ns election;
    px_ns heartbeat;
    px_ns request_timeout;
    px_ns raft_deadline;
    struct store_view *view;
    bool is_stopping;
    bool has_failed; /* nothing more is done, until it is stopped */

    struct px_list writes;    /* of this turn, not yet handed over */
    bool is_recovered;        /* to be told behind them */
    struct px_list under_way; /* by track: handed over, not yet durable */
    uint64_t listed_seq;      /* of the newest write */
    uint64_t durable_seq;
    struct held_msg *held;
    size_t held_count;
    /* Peers that an APPEND of this turn did not leave for. */
    raft_id missed[RAFT_MEMBERS_MAX];
    size_t missed_count;

    raft_index commit;
    raft_index applied;
    bool is_applying;
    struct replica_apply *apply_job; /* reused */

    struct commands commands;
    struct reads reads;
    struct orphans orphans;
    struct snapshots snapshots;
    struct transfer_out out[RAFT_MEMBERS_MAX];
    struct transfer_in in;
    struct quota quota;
    struct hashes hashes;
    struct quarantine quarantine;
    struct replica_counters counters;
};

/* replica.c */
int replica_step(struct replica *r, struct raft_in *in);
/* This node can't go on. */
void replica_fail(struct replica *r, const char *why, int rc);
px_ns replica_now(const struct replica *r);
/* Of a list of fs_wait: one whose deadline is @now or was; when the next is. */
struct fs_wait *replica_first_due(const struct px_list *waits, px_ns now);
px_ns replica_earliest(const struct px_list *waits);

/* commands.c */
int commands_init(struct replica *r);
void commands_fini(struct replica *r);
struct fs_wait **commands_slot(struct commands *cs, uint64_t sequence);
bool commands_outstanding(const struct commands *cs);
/* From the queue into the window, as far as there is room. */
void commands_fill(struct replica *r);
void commands_on_result(struct replica *r, const struct store_result *result);
void commands_expire(struct replica *r, px_ns now);
px_ns commands_deadline(const struct replica *r);
void commands_stop(struct replica *r);
/* The quarantine: -EIO, or -PX_EUNKNOWN where a command has left. */
void commands_refuse(struct replica *r);

/* send.c */
void commands_send(struct replica *r);
/* All that has no answer is to be sent again, from the floor on. */
void commands_send_again(struct replica *r);
/* What is overdue is, to the same leader; as much as fits a batch. */
void commands_send_overdue(struct replica *r);
void commands_refuse_forwards(struct replica *r, int rc);

/* reads.c */
void reads_init(struct replica *r);
void reads_ask(struct replica *r);
void reads_on_ready(struct replica *r, struct raft_read_ready ready);
void reads_on_applied(struct replica *r);
void reads_expire(struct replica *r, px_ns now);
px_ns reads_deadline(const struct replica *r);
void reads_stop(struct replica *r);
/* The quarantine: -EIO. */
void reads_refuse(struct replica *r);

/* snapshots.c */
/* One is needed, whatever the log's size; but where the last attempt has just
 * failed, not before it is time for the next. */
void snapshots_want(struct replica *r);
/* Entries from @index on can't be read for a peer: it is sent a snapshot. */
void snapshots_on_unreadable(struct replica *r, raft_index index, int rc);
/* A SAVE that is under way is of no use any more. */
void snapshots_cancel(struct replica *r);
void snapshots_turn(struct replica *r, px_ns now);
px_ns snapshots_deadline(const struct replica *r);

/* transfer_out.c */
void transfer_out_start(struct replica *r, raft_id peer);
/* What is on its way to somebody who is no member any more ends. */
void transfer_out_on_config(struct replica *r);
void transfer_out_on_want(struct replica *r, const struct net_snapshot *s);
void transfer_out_on_end(struct replica *r, const struct net_snapshot *s);
void transfer_out_on_ask(struct replica *r, const struct net_snapshot *s);
void transfer_out_on_read(struct replica *r, struct replica_snapshot_job *job,
                          int rc);
bool transfer_out_is_busy(const struct replica *r);
void transfer_out_turn(struct replica *r, px_ns now);
px_ns transfer_out_deadline(const struct replica *r);

/* transfer_in.c */
void transfer_in_on_offer(struct replica *r, const struct net_snapshot *s);
void transfer_in_on_piece(struct replica *r, const struct net_snapshot *s);
void transfer_in_on_stored(struct replica *r,
                           const struct replica_snapshot_job *job, int rc);
void transfer_in_on_loaded(struct replica *r, int rc);
/* From within a step: the loaded state takes the place of the old one. */
void transfer_in_adopt(struct replica *r, bool is_log_reset);
void transfer_in_turn(struct replica *r, px_ns now);
px_ns transfer_in_deadline(const struct replica *r);
void transfer_in_fini(struct replica *r);

/* quota.c */
void quota_init(struct replica *r, uint64_t initial);
/* Has @c no room, by the state as it is here? */
bool quota_refuses(struct replica *r, const struct command *c);
/* Takes @w, its command encoded without stamps, until there is room or it is
 * sure that there is none. */
void quota_wait(struct replica *r, struct fs_wait *w);
void quota_turn(struct replica *r, px_ns now);
px_ns quota_deadline(const struct replica *r);

/* hashes.c */
void hashes_init(struct replica *r, raft_index every);
/* A batch to apply ends here at the latest. */
raft_index hashes_limit(const struct replica *r);
/* @job has been applied. Before anything is answered from it. */
void hashes_on_applied(struct replica *r, const struct replica_apply *job);
void hashes_on_adopted(struct replica *r);
void hashes_turn(struct replica *r, px_ns now);

/* changes.c */
/* After a step: are other members in force? */
void changes_look(struct replica *r);
void changes_turn(struct replica *r, px_ns now);
px_ns changes_deadline(const struct replica *r);
void changes_stop(struct replica *r);

/* quarantine.c */
/* Of a state that is marked, if it is. */
void quarantine_init(struct replica *r,
                     const struct replica_divergence *marked);
void quarantine_begin(struct replica *r, const struct replica_divergence *d);
void quarantine_on_marked(struct replica *r);
/* Is a snapshot of @index what is waited for? */
bool quarantine_takes(const struct replica *r, raft_index index);
/* From within a step; and after it. */
void quarantine_on_adopted(struct replica *r);
void quarantine_leave(struct replica *r);
void quarantine_turn(struct replica *r, px_ns now);
px_ns quarantine_deadline(const struct replica *r);

/* orphans.c */
void orphans_init(struct replica *r);
void orphans_fini(struct replica *r);
/* New ones: of a job that was applied, all since our session was known. */
void orphans_add(struct replica *r, const struct store_orphans *found);
/* Those that the state says our session holds, if we know that one: the state
 * was replaced, or the session has just become known. No view is begun yet. */
void orphans_add_held(struct replica *r);
void orphans_turn(struct replica *r, px_ns now);
px_ns orphans_deadline(const struct replica *r);

#endif
