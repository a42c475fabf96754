/* One node: what a server process opens, in its order, over simulated disks;
 * and the world that its replica sees. */
#ifndef TESTS_SIM_SERVER_H
#define TESTS_SIM_SERVER_H

#include "node/replica.h"
#include "store/identity.h"
#include "store/log.h"
#include "store/state.h"
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

struct server {
    struct world *world;
    size_t number; /* raft id is number + 1 */
    char name[16];
    char dir[128];         /* of the state's database */
    struct sim_disk *home; /* the identity */
    struct sim_disk *disk; /* the log */
    uint64_t life;         /* counts starts and ends: events know theirs */
    uint64_t boot;         /* of the machine */
    const char *failed;    /* why it can't go on; NULL: it can */
    px_ns stopped_until;   /* SIGSTOP */
    struct server_clock clock;
    int64_t wall_offset;
    px_ns sync_time; /* how long a flush of the log takes, at most */

    /* NULL while it is down. */
    struct store_state *state;
    struct store_view *view;
    struct store_log *log;
    struct replica *replica;
    struct store_identity identity;
    bool is_ending; /* its messages leave no more */
    bool has_died;  /* its answers reach nobody */

    struct px_list writes;  /* wait for the log */
    struct px_list writing; /* written, not yet synced */
    bool is_writing;
    bool is_turn_due;
    bool is_turning; /* this event is a turn: it asks for no other */
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
void server_set_clock_rate(struct server *s, int64_t ppm);

/* After each event of this server: a turn is due, or its end. */
void server_after(struct server *s);
px_ns server_now(const struct server *s);

#endif
