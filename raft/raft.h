/* Raft consensus as a function: no I/O, no clock, no threads, no libuv.
 *
 * A caller makes a replica with raft_new from what its log holds, then feeds
 * it inputs, one raft_step each: the time, a message, proposals, the end of a
 * disk write. Each step fills a raft_out: what to do, in the order of its
 * fields. Same inputs, same outputs, byte for byte.
 *
 *   raft_new ─▶ raft_step(in, &out) ─▶ 0. send out.now
 *                    ▲                 1. start the write of out.hard, of
 *                    │                    out.reset and of out.append,
 *                    │                    numbered out.write.seq
 *                    │                 2. send out.after once all writes up to
 *                    │                    and including out.after_seq are
 *                    │                    durable
 *                    │                 3. apply entries up to out.commit
 *                    │                 4. serve reads: out.reads
 *                    │                 5. read old entries: out.fetches;
 *                    │                    send snapshots: out.snapshots
 *                    └──────────────── 6. step again by out.deadline
 *
 * Writes are done in the order of their numbers; several may be under way
 * (group commit). When write n is durable, so are all before it, and the
 * caller steps RAFT_IN_DURABLE with its raft_write. A failed write ends the
 * process: there is no input for it. One that found no room may be tried until
 * there is some: a leader whose writes don't come back makes way (disk.c).
 *
 * Steps may be made while writes are under way; the core never assumes that
 * something is durable before it has been told.
 *
 * Snapshots (chapter 5) are the caller's: it makes, keeps, sends and receives
 * them; the core says when one is needed and what follows from it.
 *
 *   Making one      durable ─▶ COMPACTED(index): the log's head may go. Up to
 *                   where is the caller's to choose: what a slow follower
 *                   still needs (raft_get_peers: match) is cheaper to keep
 *                   than to send as a snapshot.
 *   Sending one     out.snapshots ─▶ ... ─▶ SNAPSHOT_SENT
 *   Receiving one   INSTALLING(term) ─▶ its write is durable
 *                     ─▶ the snapshot is received, and durable
 *                     ─▶ INSTALLED(pos) ─▶ out.reset is durable
 *                     ─▶ the old state is swapped ─▶ INSTALLING(0)
 *
 *                   The first arrow: the term in which the snapshot was sent
 *                   must not be forgotten where the snapshot isn't. Older
 *                   leaders may lack what it holds, and this replica, holding
 *                   it, would agree to what they say of that place.
 *                   A crash before the snapshot is durable: nothing has
 *                   happened. Later: the caller finds a durable snapshot at
 *                   pos. Where the log doesn't hold pos, it resets the log
 *                   itself, and makes that durable, before raft_new with
 *                   base = pos; where it does, the log is as good as any, its
 *                   base at pos or before. The state begins at pos or later.
 *
 * A log that has lost entries which were durable once (a flipped bit, a missing
 * file) is the caller's to notice. It cuts it to what is sound, notes durably
 * that it is *faulty*, and says so to raft_new (is_faulty); term and vote must
 * not be lost. The leader then makes it whole again (fault.c), and
 * out.is_recovered says when: the note may go. Until then each start is with
 * is_faulty. RAFT_IN_RECOVERED tells raft that it has gone: nobody is told to
 * count on this replica's vote before, because a restart would take it back. A
 * replica that is faulty serves reads and forwards like any follower, but
 * neither votes nor campaigns: a sole voter stays so for ever. Without the
 * caller's word it becomes faulty when its leader counts on what it lacks, and
 * says so (out.lost): the caller notes it durably, too, and says RAFT_IN_NOTED.
 *
 * One that begins with an empty disk in a cluster that it did not see begin may
 * be an old member whose disk was emptied: it starts as faulty, too. RAFT_IN_SOUND
 * tells it that the cluster is as new as its log is: that so many of the other
 * voters have empty logs that no majority with us in it can hold anything.
 *
 * Source: Ongaro's dissertation ("Raft"), section numbers as there.
 * Thread: one, the loop. */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "raft/types.h"

struct raft;

/* A run of entries of one term, from @first on, up to the next run. */
struct raft_term_run {
    raft_term term;
    raft_index first;
};

struct raft_options {
    raft_id id;
    uint64_t seed;             /* of a start: what is drawn follows from it, and
                                  from the id */
    struct raft_config config; /* as of @base; at 0, the initial one. Holds
                                  @id, or not; empty: this node is to be added,
                                  and will be told */

    /* Durations. election >= 4 x heartbeat. The timeout is drawn from
     * [election, 2 x election). All voters run with the same @election: a
     * leader's lease counts on its followers' promises to be as long as its
     * own (lease.c). The core can't see what others run with: the caller has
     * to refuse peers that differ. */
    px_ns election;
    px_ns heartbeat;
    /* The longest election timeout that this node has ever run with, kept
     * durably by the caller; 0: @election. */
    px_ns promise;
    uint32_t clock_drift_ppm; /* rho, the bound on clock rates; 10000 = 1 % */

    /* What the log holds, all durable, behind @base: an entry that a durable
     * snapshot covers, the log's head up to there being gone, or free to go.
     * {0, 0}: the log is whole. Runs ascend in term and index, from base + 1;
     * none: an empty log. */
    struct raft_hard_state hard;
    struct raft_pos base;
    const struct raft_term_run *runs;
    size_t run_count;
    raft_index last;    /* of the log; base.index if it is empty */
    raft_index applied; /* by the state machine, base.index at least;
                           committed, so */
    /* Those that the log holds, in RAFT_ENTRY_CONFIG behind @base; ascending.*/
    const struct raft_config_at *configs;
    size_t config_count;

    /* The log is empty and was never anything else: no earlier run can have
     * supported a lease. Otherwise the replica neither votes nor campaigns
     * for max(promise, election) x (1 + rho) from @now (6.4, hardened). */
    bool is_first_boot;
    /* The log may lack entries that were durable here once. */
    bool is_faulty;
    px_ns now;
};

struct raft_proposal {
    enum raft_entry_kind kind; /* a configuration goes by RAFT_IN_CHANGE */
    struct px_slice data;      /* the core takes its own reference */
    raft_id origin; /* the member that waits for the entry to be applied there:
                       it is told of the commit at once, others at leisure */
};

/* Membership changes by one member at a time (4.1). */
enum raft_change_what {
    RAFT_ADD,     /* as a learner */
    RAFT_PROMOTE, /* a learner that has caught up, to a voter */
    RAFT_REMOVE,  /* a learner or a voter, not the leader itself */
};

struct raft_change {
    enum raft_change_what what;
    raft_id id;
    struct px_slice added; /* bytes for the state machine, behind the
                              configuration (config.h); copied */
};

/* A write handed out, and handed back once it is durable. */
struct raft_write {
    uint64_t seq;         /* 1, 2, 3 ...; 0: none */
    struct raft_pos last; /* the log's last entry once this write is done */
};

enum raft_in_type {
    RAFT_IN_TICK,          /* time has passed; every input carries the time */
    RAFT_IN_MSG,           /* a message arrived, decoded and from a peer */
    RAFT_IN_PROPOSE,       /* leader only */
    RAFT_IN_READ,          /* reads were queued: see raft_out.reads */
    RAFT_IN_DURABLE,       /* a write, and all before it, is durable */
    RAFT_IN_APPLIED,       /* the state machine has applied up to an index */
    RAFT_IN_FETCHED,       /* entries read from disk for a follower */
    RAFT_IN_UNREACHABLE,   /* an APPEND to a peer was, or may have been, lost:
                              the connection that carries them broke, or the
                              caller dropped one (it is not connected, or its
                              queue is full). Losses that nobody reports are
                              noticed too, but late: after 4 x election without
                              a sign of movement */
    RAFT_IN_COMPACTED,     /* a snapshot is durable, and the log's head is to be
                              dropped once this step is done */
    RAFT_IN_SNAPSHOT_SENT, /* what out.snapshots asked for has come to an end */
    RAFT_IN_INSTALLING,    /* a snapshot begins to come in, or is done with. In
                              between the replica is a follower that neither
                              campaigns nor takes over; it votes, by its log as
                              it is, and takes heartbeats and entries */
    RAFT_IN_CHANGE,    /* leader only: a member comes, or goes. In force from
                              this step on; out.proposed tells its place */
    RAFT_IN_TRANSFER,  /* leader only: another voter is to lead. Proposals
                              are refused until it does, or E has passed */
    RAFT_IN_INSTALLED, /* a snapshot is durable here, to be the state. While
                              installing, and no apply being under way */
    RAFT_IN_PASSIVE,   /* the state here is not to be served, or is again: in
                              between the replica neither leads nor campaigns;
                              its log is sound, and it votes and acknowledges */
    RAFT_IN_NOTED,     /* out.lost was said, and that it is faulty is noted
                          durably */
    RAFT_IN_RECOVERED, /* out.is_recovered was said, and is durable now */
    RAFT_IN_SOUND, /* faulty, with an empty log: nothing was ever committed in
                      this cluster. Else it is ignored */
};

struct raft_in {
    enum raft_in_type type;
    px_ns now; /* read after the input arrived; never runs backwards */
    union {
        const struct raft_msg *msg;
        struct {
            const struct raft_proposal *list;
            size_t count; /* 1 .. PX_BATCH_ENTRIES_MAX */
        } propose;
        uint64_t read_id; /* of the newest read; ids only grow */
        struct raft_write durable;
        raft_index applied;
        struct {
            raft_id peer;
            raft_index first; /* as asked for */
            const struct raft_entry *entries;
            size_t count; /* 0: could not be read; asked for again later */
        } fetched;
        raft_id unreachable;
        raft_index compacted; /* all up to here goes; <= applied */
        struct {
            raft_id peer;
            bool is_ok;
            raft_index index; /* is_ok: the peer says that it holds all up to
                                 here. Else it is asked anew, and later */
        } sent;
        raft_term installing; /* that of the leader who sends; 0: done */
        struct {
            struct raft_pos pos;
            const struct raft_config *config; /* as of pos */
        } installed;
        const struct raft_change *change;
        raft_id transfer; /* to whom; 0: whoever lacks least */
        bool is_passive;
    };
};

struct raft_msgs {
    const struct raft_msg *list;
    size_t count;
};

/* "Reads up to and including this id may be served once the state machine has
 * applied this index." id 0: none. */
struct raft_read_ready {
    uint64_t id;
    raft_index index;
};

/* "Read entries [first, last] from the log on disk for this follower." At
 * most one is outstanding for each peer. Bounded by PX_BATCH_ENTRIES_MAX; the
 * caller may stop earlier, at PX_BATCH_BYTES_MAX, after at least one. */
struct raft_fetch {
    raft_id peer;
    raft_index first;
    raft_index last;
};

/* "Send this follower the newest snapshot; entries up to base are gone here."
 * Ends in RAFT_IN_SNAPSHOT_SENT. May be asked again while one is on its way to
 * that follower (the connection broke, we lead anew): go on with that one. */
struct raft_snapshot {
    raft_id peer;
    raft_term term; /* ours; the follower's RAFT_IN_INSTALLING */
    raft_index base;
};

struct raft_out {
    struct raft_msgs now;               /* 0 */
    const struct raft_hard_state *hard; /* 1. NULL: unchanged */
    const struct raft_pos *reset;       /* 1. the log becomes empty, this being
                                              its base; never with an append.
                                              NULL: it stays */
    const struct raft_entry *append;    /* 1. from append[0].pos.index on; what
                                              the log held from there is cut */
    size_t append_count;
    struct raft_write write; /* 1. seq 0: there is nothing to be written */
    struct raft_msgs after;  /* 2. without entries, so easily held */
    uint64_t after_seq;
    raft_index commit;                /* 3. only grows. Committed, and durable
                                         here: the state never runs ahead of
                                         the log that it is rebuilt from */
    struct raft_read_ready reads;     /* 4 */
    const struct raft_fetch *fetches; /* 5 */
    size_t fetch_count;
    const struct raft_snapshot *snapshots; /* 5 */
    size_t snapshot_count;
    px_ns deadline;           /* 6 */
    struct raft_pos proposed; /* of the first proposal of this step, the others
                                 follow it; {0, 0}: none */
    bool is_installed; /* of an INSTALLED: the state is to be the snapshot, and
                          counts as applied up to it. Else it was ignored, being
                          no news */
    bool is_recovered; /* a replica that was faulty holds, durably, all that it
                          may ever have acknowledged: it is one like others */
    raft_index lost;   /* 0, or: the replica has become faulty, for its leader
                        counts on this entry, which isn't here */
};

struct raft_status {
    raft_id id;
    enum raft_role role;
    raft_term term;
    raft_id voted_for;
    raft_id leader; /* 0: not known */
    struct raft_pos base;
    struct raft_pos last;
    raft_index durable;
    raft_index commit;
    raft_index applied;
    raft_index config; /* where the configuration in force is from; committed
                          or not */
    uint64_t config_changes; /* so often it was another one than before: its
                                place may be that of one that was cut */
    px_ns lease_end; /* leader with a lease: when it ends, PX_NS_NEVER for a
                         sole voter; else 0 */
    bool can_serve;  /* leader: has committed in its own term */
    bool is_installing;
    bool is_faulty;
    raft_index recovered_at; /* faulty: it is whole once it holds, durably, what
                                the leader has up to here; 0: not known yet */
    raft_id transfer;        /* leader: hands over to this one; 0: it doesn't */
    uint64_t refused; /* messages ignored that no sound member sends to us */
};

/* What the leader knows of one peer; for status pages. */
struct raft_peer_status {
    raft_id id;
    enum raft_member_role role;
    const char *state; /* "probe", "stream", "snapshot" */
    raft_index match;
    raft_index next;
    px_ns heard;        /* last time, on the leader's clock; 0: never */
    bool is_faulty;     /* it says so: it does not vote */
    bool has_caught_up; /* it lacks little, is heard of, and is whole: as a
                           learner it may be promoted */
};

/* Errors: -ENOMEM; -EINVAL for options that contradict themselves. */
int raft_new(const struct raft_options *options, struct raft **raft_out);
void raft_free(struct raft *r);

/* Advance the replica by one input, and say what the caller has to do next.
 *
 * Owns:    @in stays the caller's; the core references what it keeps. @out
 *          points into @r and is good until the next raft_step().
 * Errors:  all without effect on the log, and with a valid @out:
 *          -PX_ENOTLEADER  a proposal, CHANGE or TRANSFER reached a replica that
 *                          isn't leader.
 *          -EAGAIN         for a proposal: too much is not yet applied
 *                          (RAFT_UNAPPLIED_*), leadership is handed over, or no
 *                          write has come back for half an election timeout;
 *                          TRANSFER: the target hasn't been heard of within E,
 *                          or says that it would not take over;
 *                          CHANGE: nothing is committed in this term yet,
 *                          leadership is handed over, the learner lacks too
 *                          much to be promoted, or of the voters that there
 *                          would be no majority is heard of, and whole.
 *          -ENOMEM         for a proposal; or for a message, which is then as
 *                          good as lost.
 *          -EBUSY          INSTALLING reached a leader, of that term or a later
 *                          one: it is behind nobody. TRANSFER: to another one
 *                          is under way. CHANGE: another one is.
 *          -EINVAL         INSTALLING of a term, or INSTALLED of a snapshot,
 *                          that can't be of this cluster: it contradicts what
 *                          is committed here, or has no voter. TRANSFER: to ourselves, or to
 *                          no voter. CHANGE: of ourselves.
 *          -EEXIST, -ENOENT, -ENOSPC  CHANGE: it is that already; it is no
 *                          member; RAFT_MEMBERS_MAX.
 * Thread:  loop.
 * Source:  Raft, figure 3.1, "Rules for Servers". */
int raft_step(struct raft *r, const struct raft_in *in, struct raft_out *out);

/* May a read that arrived before @now was read be served from the local state,
 * once @index_out is applied? True on a leader that has committed in its term
 * and holds a lease at @now (6.4); else the read goes through RAFT_IN_READ. */
bool raft_lease_read(const struct raft *r, px_ns now, raft_index *index_out);

/* Entries from @first up to raft_out.commit that are still in memory, to be
 * applied: at most @max and PX_BATCH_BYTES_MAX (at least one). Returns how many; 0 when
 * @first is no longer in memory (read it from the log: after a restart, or when
 * applying falls far behind) or not committed.
 * Owns: no reference is taken for the caller. */
size_t raft_committed(const struct raft *r, raft_index first,
                      struct raft_entry *entries, size_t max);

/* The configuration in force: the newest in the log, committed or not. */
void raft_get_config(const struct raft *r, struct raft_config_at *config_out);
/* The one that is applied: what a state that has applied no other goes by. */
void raft_get_config_applied(const struct raft *r,
                             struct raft_config *config_out);
void raft_get_status(const struct raft *r, struct raft_status *status_out);
/* Fills at most @max; returns how many there are without ourselves. */
size_t raft_get_peers(const struct raft *r, struct raft_peer_status *peers,
                      size_t max);

/* Asserts every invariant of the state, then of the change since the last
 * look: term and commit only grow. */
void raft_check(struct raft *r);

#endif
