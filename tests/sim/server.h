/* One node: what a server process opens, in its order, over simulated disks;
 * and the world that its replica sees.
 *
 *   server.c        its clock, its turns, its starts and its ends
 *   server_open.c   what it opens and closes
 *   server_io.c     struct replica_io: messages, the log
 *   server_work.c   struct replica_io: what the other threads do
 *
 * A pause may come between two events, or within one, at any call of
 * replica_io: what is left of that event then happens as much later (lag). */
#ifndef TESTS_SIM_SERVER_H
#define TESTS_SIM_SERVER_H

#include "node/fault.h"
#include "node/log_writer.h"
#include "node/replica.h"
#include "node/storage.h"
#include "store/identity.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

/* How long a flush of the log takes, on a good disk, at most. */
#define SYNC_TIME_MAX (2 * PX_NS_PER_MS)

enum server_end {
    SERVER_STOPPED, /* SIGTERM */
    SERVER_PROCESS_CRASHED,
    SERVER_MACHINE_CRASHED,
};

/* A clock that runs at its own rate. */
struct server_clock {
    px_ns true_at;
    px_ns local_at;
    int64_t ppm; /* faster than the true one */
};

/* What was done to its state behind its back: state.h. */
struct server_doubt {
    unsigned folder;  /* of the state, while it is down; 0: it is lost */
    bool is_unsound;  /* a value in it, or the sum of all, may be damaged */
    bool is_wrong;    /* a record is another one, and all sums agree with it */
    bool is_allowed;  /* it may find that it is wrong, or is marked */
    bool was_cut_off; /* in this quarantine */
};

/* The folders that it keeps on simulated disks. */
enum server_disk {
    SERVER_HOME, /* the identity, its copy, and the term */
    SERVER_LOG,
    SERVER_SNAPSHOTS,
    SERVER_DISKS,
};

struct server {
    struct world *world;
    size_t number; /* raft id is number + 1 */
    char name[16];
    char dir[128]; /* of the state's folders: LMDB has real files */
    struct sim_disk *disks[SERVER_DISKS];
    uint64_t life;        /* counts starts and ends: events know theirs */
    uint64_t boot;        /* of the machine */
    bool has_flips;       /* some of what was durable is damaged */
    bool has_home_flip;   /* in "identity", its copy or "term", since the last
                             start */
    bool needs_person;    /* for those flips: "term", or the identity twice */
    bool loses_flush;     /* in the crash to come */
    bool is_log_unsealed; /* its last start was interrupted: damage to its last
                             batch can't be told from a torn write */
    struct server_doubt doubt;
    bool is_gone;        /* it is stopped for good, or its disks are lost */
    const char *failed;  /* why it can't go on; NULL: it can */
    px_ns stopped_until; /* SIGSTOP */
    unsigned lag_after;  /* calls of replica_io, then a pause; 0: none */
    px_ns lag_next;      /* how long that pause is */
    px_ns lag;           /* how late this event is by now */
    struct server_clock clock;
    px_ns now_seen; /* the latest that this process was shown */
    int64_t wall_offset;
    px_ns sync_time; /* how long a flush of the log takes, at most */

    /* While it is up. */
    struct storage storage;
    struct store_view *view;
    struct replica *replica;        /* NULL: it is down */
    struct store_identity identity; /* as it is to be */
    struct store_identity durable;  /* and as it is */
    struct fault fault;
    bool is_blank;  /* when it started: bootstrap_is_blank */
    bool is_ending; /* its messages leave no more */
    bool has_died;  /* its answers reach nobody */

    struct log_writer log_writer;
    struct px_list writes;  /* wait for the log, as log_writer's two jobs do */
    struct px_list writing; /* written, not yet synced */
    bool is_writing;
    bool has_new_members;   /* has just applied such an entry */
    px_ns saves_busy_until; /* snapshots that are made or loaded */
    px_ns pieces_busy_until;
    bool breaks_piece;   /* a piece to come breaks its connection */
    raft_id pieces_from; /* the last piece came from it, by this connection */
    uint64_t pieces_epoch;
    raft_term install_term; /* when last looked at; 0: none is installed */
    bool is_turn_due;
    bool is_turning; /* this event is a turn, or not for raft: none is due */
    px_ns timer_at;
};

struct server *server_new(struct world *w, size_t number);
void server_free(struct server *s);

bool server_is_up(const struct server *s);
void server_start(struct server *s);
void server_start_later(struct server *s, px_ns delay);
void server_end(struct server *s, enum server_end how);
/* It does nothing until then, but its clock runs. */
void server_stop_until(struct server *s, px_ns until);
/* A call of replica_io: it may be where a pause comes. */
void server_on_call(struct server *s);
void server_set_clock_rate(struct server *s, int64_t ppm);
/* One of its disks has crashed it; or has returned an error since the start, or
 * has changed what it held. */
bool server_has_crashed(const struct server *s);
bool server_has_failed_disk(const struct server *s);
void server_set_full(struct server *s, bool is_full);
void server_heal_disks(struct server *s);

/* After each event of this server: a turn is due, or its end. */
void server_after(struct server *s);
/* What its clock shows; and the true time at which it does what it does. */
px_ns server_now(const struct server *s);
px_ns server_true_now(const struct server *s);
/* When its clock will show @local, or a moment later. */
px_ns server_when(const struct server *s, px_ns local);
/* Plans @e for it, so long after what it does now. */
void server_plan(struct server *s, struct event *e, px_ns delay);

#endif
