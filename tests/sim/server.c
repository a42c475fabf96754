/* Starting, turning and ending a node.
 *
 *   down ──server_start──▶ up ──event──▶ replica_on_*, then a turn a little
 *    ▲                     │              later, so that inputs gather
 *    └────server_end───────┘
 *
 * open_* follow node/node.c, in its order: identity, state, log, a note of this
 * start, replica. Whatever the disks did in a crash, they succeed, unless a
 * disk was told to fail meanwhile. */
#include "tests/sim/server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "store/boot.h"
#include "store/identity_file.h"
#include "tests/sim/check.h"
#include "tests/sim/server_io.h"
#include "tests/sim/wire.h"

#define CLOCK_DRIFT_PPM 10000
#define LOG_STAMP_MIX UINT64_C(0x9e3779b97f4a7c15)
#define MAP_BYTES (UINT64_C(64) * PX_MIB)
#define TURN_DELAY_MAX (30 * PX_NS_PER_US)

bool server_is_up(const struct server *s)
{
    return s->replica != NULL;
}

/* ---- Its clock ---- */

#define MILLION INT64_C(1000000)

static px_ns local_time(const struct server *s, px_ns at)
{
    uint64_t passed = at - s->clock.true_at;

    return s->clock.local_at +
           passed / MILLION * (uint64_t)(MILLION + s->clock.ppm) +
           passed % MILLION * (uint64_t)(MILLION + s->clock.ppm) / MILLION;
}

/* When its clock will show @local, or a moment later. */
static px_ns true_time(const struct server *s, px_ns local)
{
    uint64_t rate = (uint64_t)(MILLION + s->clock.ppm);
    uint64_t passed;

    if (local <= s->clock.local_at)
        return s->clock.true_at;
    passed = local - s->clock.local_at;
    return s->clock.true_at + passed / rate * MILLION +
           passed % rate * MILLION / rate + 1;
}

px_ns server_now(const struct server *s)
{
    return local_time(s, s->world->now);
}

void server_set_clock_rate(struct server *s, int64_t ppm)
{
    px_assert(ppm > -CLOCK_DRIFT_PPM && ppm < CLOCK_DRIFT_PPM);
    s->clock.local_at = server_now(s);
    s->clock.true_at = s->world->now;
    s->clock.ppm = ppm;
}

/* ---- Turns ---- */

static void run_turn(struct world *w, struct event *e);

static void plan_turn(struct server *s)
{
    struct world *w = s->world;
    struct event *e;

    if (s->is_turn_due)
        return;
    s->is_turn_due = true;
    e = event_new(sizeof *e);
    e->run = run_turn;
    e->drop = event_drop;
    world_plan(w, e, s, w->now + world_draw(w, 1, TURN_DELAY_MAX));
}

struct timer {
    struct event event;
    px_ns at;
};

static void run_timer(struct world *w, struct event *e)
{
    struct timer *t = (struct timer *)e;

    (void)w; /* the turn is due to every event */
    if (e->server->timer_at == t->at)
        e->server->timer_at = PX_NS_NEVER;
    free(t);
}

/* As libuv's: not before, in whole milliseconds. */
static void arm_timer(struct server *s)
{
    px_ns deadline = replica_deadline(s->replica);
    px_ns at;
    struct timer *t;

    if (deadline == PX_NS_NEVER)
        return;
    at = true_time(s, deadline);
    if (at < s->world->now)
        at = s->world->now;
    at += px_rand_below(&s->world->rand, PX_NS_PER_MS);
    if (s->timer_at <= at)
        return;
    t = event_new(sizeof *t);
    t->event.run = run_timer;
    t->event.drop = event_drop;
    t->at = s->timer_at = at;
    world_plan(s->world, &t->event, s, at);
}

static void run_turn(struct world *w, struct event *e)
{
    struct server *s = e->server;

    (void)w;
    free(e);
    s->is_turn_due = false;
    s->is_turning = true;
    replica_turn(s->replica);
    check_server(s);
    if (s->failed == NULL)
        arm_timer(s);
}

static bool has_crashed(const struct server *s)
{
    return sim_disk_faults(s->disk)->has_crashed ||
           sim_disk_faults(s->home)->has_crashed;
}

void server_after(struct server *s)
{
    struct world *w = s->world;

    if (!server_is_up(s))
        return;
    if (has_crashed(s)) {
        server_end(s, world_chance(w, 50) ? SERVER_PROCESS_CRASHED
                                          : SERVER_MACHINE_CRASHED);
    } else if (s->failed != NULL) {
        world_trace(w, s, "ends: %s", s->failed);
        server_end(s, SERVER_PROCESS_CRASHED);
    } else {
        if (!s->is_turning)
            plan_turn(s);
        s->is_turning = false;
        return;
    }
    server_start_later(s, world_draw(w, PX_NS_PER_MS, 2 * w->election));
}

/* ---- Starting, as node/node.c does ---- */

static int open_identity(struct server *s, bool *is_new)
{
    struct store_identity *id = &s->identity;
    struct store_disk *home = sim_disk_door(s->home);
    int rc = identity_read(home, id);

    if (rc < 0 && rc != -ENOENT)
        return rc;
    *is_new = rc == -ENOENT;
    if (*is_new) {
        *id = (struct store_identity){.format = STORE_FORMAT_VERSION,
                                      .cluster = CLUSTER};
        (void)strcpy(id->node, s->name);
    }
    if (*is_new || id->has_log != (sim_disk_file_count(s->disk) > 0)) {
        /* A folder that has lost a part is refused: store/identity.c. */
        if (id->has_log || (*is_new && sim_disk_file_count(s->disk) > 0))
            return -PX_ECORRUPT;
    }
    id->incarnation++;
    return identity_write(home, id);
}

static int open_state(struct server *s, char *why, size_t why_size)
{
    char boot_id[32];
    struct store_state_options options = {
        .dir = s->dir, .boot_id = boot_id, .map_bytes = MAP_BYTES};
    enum store_state_origin origin;
    int rc;

    (void)snprintf(boot_id, sizeof boot_id, "boot-%" PRIu64, s->boot);
    rc = store_state_open(&options, &s->state, &origin, why, why_size);
    if (rc < 0)
        return rc;
    if (origin == STORE_STATE_KEPT)
        s->world->counts[COUNT_STATE_KEPT]++;
    if (origin == STORE_STATE_DISTRUSTED)
        s->world->counts[COUNT_STATE_REBUILT]++;
    world_trace(s->world, s, "state at %" PRIu64 "%s",
                store_state_applied(s->state).index,
                origin == STORE_STATE_DISTRUSTED ? ", distrusted" : "");
    return store_view_new(s->state, &s->view);
}

static raft_term term_at(const struct store_log_info *info, raft_index index)
{
    raft_term term = 0;

    for (size_t i = 0; i < info->run_count && info->runs[i].first <= index; i++)
        term = info->runs[i].term;
    return term;
}

static int open_log(struct server *s, char *why, size_t why_size)
{
    raft_id id = s->number + 1;
    struct raft_pos applied = store_state_applied(s->state);
    struct store_log_options options = {
        .disk = sim_disk_door(s->disk),
        .dir = "log",
        .segment_bytes = s->world->segment_bytes,
        .stamp = CLUSTER ^ id * LOG_STAMP_MIX,
        .applied = applied.index,
    };
    struct store_log_info info;
    int rc = store_log_open(&options, &s->log, why, why_size);

    if (rc < 0)
        return rc;
    store_log_info(s->log, &info);
    if (info.torn_bytes > 0)
        s->world->counts[COUNT_TORN_TAILS]++;
    world_trace(
        s->world, s,
        "log at %" PRIu64 ", term %" PRIu64 ", vote %" PRIu64 ", torn %" PRIu64,
        info.last, info.hard.term, info.hard.voted_for, info.torn_bytes);
    check_on_log_open(s, &info);
    if (applied.index > info.last ||
        applied.term != term_at(&info, applied.index)) {
        (void)snprintf(why, why_size, "the state is ahead of the log");
        return -PX_ECORRUPT;
    }
    return 0;
}

static int note_start(struct server *s)
{
    px_ns election = s->world->election;

    if (s->identity.has_log && s->identity.promise >= election)
        return 0;
    s->identity.has_log = true;
    if (s->identity.promise < election)
        s->identity.promise = election;
    return identity_write(sim_disk_door(s->home), &s->identity);
}

static int open_replica(struct server *s, bool is_new)
{
    struct world *w = s->world;
    struct replica_io io = server_io(s);
    struct replica_options options = {
        .node = s->name,
        .incarnation = s->identity.incarnation,
        .start = world_draw(w, 1, UINT64_MAX),
        .request_timeout = w->request_timeout,
        .view = s->view,
    };
    struct raft_options *raft = &options.raft;
    struct store_log_info info;

    store_log_info(s->log, &info);
    raft->id = s->number + 1;
    raft->seed = px_djb2(s->name, strlen(s->name)) ^ s->identity.incarnation;
    raft->config.count = w->server_count;
    for (size_t i = 0; i < w->server_count; i++)
        raft->config.members[i] = (struct raft_member){i + 1, RAFT_VOTER};
    raft->election = w->election;
    raft->heartbeat = w->heartbeat;
    raft->promise = s->identity.promise;
    raft->clock_drift_ppm = CLOCK_DRIFT_PPM;
    raft->hard = info.hard;
    raft->runs = info.runs;
    raft->run_count = info.run_count;
    raft->last = info.last;
    raft->applied = store_state_applied(s->state).index;
    raft->is_first_boot = is_new && info.last == 0 && info.hard.term == 0;
    return replica_open(&options, &io, &s->replica);
}

static int open_parts(struct server *s, char *why, size_t why_size)
{
    bool is_new;
    int rc = open_identity(s, &is_new);

    if (rc == 0)
        rc = open_state(s, why, why_size);
    if (rc == 0)
        rc = open_log(s, why, why_size);
    if (rc == 0)
        rc = note_start(s);
    if (rc == 0)
        rc = open_replica(s, is_new);
    return rc;
}

/* Was the start told to fail? */
static bool has_disk_failed(const struct server *s)
{
    return has_crashed(s) || sim_disk_faults(s->disk)->has_failed ||
           sim_disk_faults(s->home)->has_failed;
}

void server_start(struct server *s)
{
    struct world *w = s->world;
    char why[512] = "";
    int rc;

    px_assert(!server_is_up(s));
    s->life++;
    s->has_died = false;
    s->failed = NULL;
    s->is_turn_due = false;
    s->timer_at = PX_NS_NEVER;
    w->counts[COUNT_STARTS]++;
    rc = open_parts(s, why, sizeof why);
    if (rc == 0) {
        world_trace(w, s, "up, incarnation %" PRIu64, s->identity.incarnation);
        wire_on_start(s);
        check_on_start(s);
        plan_turn(s);
        return;
    }
    if (!has_disk_failed(s))
        world_fail(w, "%s does not start: %s: %s", s->name, why,
                   px_strerror(rc));
    world_trace(w, s, "does not start: %s: %s", why, px_strerror(rc));
    w->counts[COUNT_CRASH_IN_START] += has_crashed(s);
    server_end(s, has_crashed(s) && world_chance(w, 50)
                      ? SERVER_MACHINE_CRASHED
                      : SERVER_PROCESS_CRASHED);
    server_start_later(s, world_draw(w, PX_NS_PER_MS, 2 * w->election));
}

static void run_start(struct world *w, struct event *e)
{
    struct server *s = e->server;

    (void)w;
    free(e);
    if (!server_is_up(s))
        server_start(s);
}

void server_start_later(struct server *s, px_ns delay)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_start;
    e->drop = event_drop;
    world_plan(s->world, e, s, s->world->now + delay);
}

/* ---- Ending ---- */

/* The database as a machine may leave it: it was never synced. */
static void spoil_database(struct server *s)
{
    uint8_t junk[4096];
    char path[160];
    off_t at = (off_t)px_rand_below(&s->world->rand, 64 * sizeof junk);
    int fd;

    (void)snprintf(path, sizeof path, "%s/data.mdb", s->dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* it had none yet */
    memset(junk, (int)px_rand_below(&s->world->rand, 256), sizeof junk);
    px_assert(pwrite(fd, junk, sizeof junk, at) == sizeof junk);
    (void)close(fd);
}

static void count_commands(struct server *s)
{
    struct replica_counters now;
    uint64_t *counts = s->world->counts;

    replica_get_counters(s->replica, &now);
    counts[COUNT_FORWARDED] += now.forwarded;
    counts[COUNT_REFUSED] += now.refused;
    counts[COUNT_RESENT] += now.resent;
    counts[COUNT_READS_LEASE] += now.reads_local;
    counts[COUNT_READS_INDEX] += now.reads_asked;
    counts[COUNT_EXPIRED] += now.expired;
    counts[COUNT_ELECTIONS] += now.elections;
}

static void close_replica(struct server *s)
{
    if (s->replica == NULL)
        return;
    count_commands(s);
    replica_stop(s->replica);
    px_list_init(&s->writes); /* freed by the replica */
    px_list_init(&s->writing);
    s->is_writing = false;
    replica_close(s->replica);
    s->replica = NULL;
}

/* A process that dies notes nothing: what closing notes is taken back. */
static void note_dirty(const struct server *s)
{
    struct store_boot note = {0};
    struct store_disk *disk;

    (void)snprintf(note.id, sizeof note.id, "boot-%" PRIu64, s->boot);
    px_assert(store_disk_open(s->dir, &disk) == 0);
    px_assert(store_boot_write(disk, &note) == 0);
    store_disk_close(disk);
}

static void close_state(struct server *s, bool is_clean)
{
    store_view_free(s->view);
    s->view = NULL;
    if (s->state == NULL)
        return;
    px_assert(store_state_close(s->state) == 0);
    s->state = NULL;
    if (!is_clean)
        note_dirty(s);
}

static void count_end(struct server *s, enum server_end how)
{
    uint64_t *counts = s->world->counts;

    switch (how) {
    case SERVER_STOPPED:
        counts[COUNT_CLEAN_STOPS]++;
        break;
    case SERVER_PROCESS_CRASHED:
        counts[COUNT_PROCESS_CRASHES]++;
        break;
    case SERVER_MACHINE_CRASHED:
        counts[COUNT_MACHINE_CRASHES]++;
        break;
    }
    if (s->is_writing)
        counts[COUNT_CRASH_UNSYNCED]++;
}

void server_end(struct server *s, enum server_end how)
{
    static const char *const texts[] = {"stopped", "process crashed",
                                        "machine crashed"};
    bool is_clean = how == SERVER_STOPPED && !has_crashed(s);
    bool is_machine = how == SERVER_MACHINE_CRASHED;

    world_trace(s->world, s, "%s", texts[how]);
    count_end(s, how);
    s->is_ending = true;
    s->has_died = !is_clean;
    close_replica(s);
    s->is_ending = false;
    if (!is_clean)
        sim_disk_faults(s->disk)->has_crashed = true;
    store_log_close(s->log);
    s->log = NULL;
    close_state(s, is_clean);
    if (is_machine) {
        spoil_database(s);
        s->boot++;
        s->clock.true_at = s->world->now;
        s->clock.local_at = px_rand_below(&s->world->rand, PX_NS_PER_S);
    }
    sim_disk_crash(s->disk, is_machine);
    sim_disk_crash(s->home, is_machine);
    sim_disk_start(s->disk);
    sim_disk_start(s->home);
    s->life++;
    s->stopped_until = 0;
    wire_on_crash(s, is_machine);
}

void server_stop_until(struct server *s, px_ns until)
{
    if (until > s->stopped_until)
        s->stopped_until = until;
}

/* ---- Life ---- */

struct server *server_new(struct world *w, size_t number)
{
    struct server *s = calloc(1, sizeof *s);

    px_assert(s != NULL);
    s->world = w;
    s->number = number;
    px_list_init(&s->writes);
    px_list_init(&s->writing);
    (void)snprintf(s->name, sizeof s->name, "n%zu", number + 1);
    (void)snprintf(s->dir, sizeof s->dir, "%s/%s", w->options.dir, s->name);
    px_assert(mkdir(s->dir, 0700) == 0);
    s->home = sim_disk_new(&w->rand, w->counts);
    s->disk = sim_disk_new(&w->rand, w->counts);
    s->boot = 1;
    s->clock.local_at = px_rand_below(&w->rand, 1000 * PX_NS_PER_S);
    s->wall_offset = (int64_t)(INT64_C(1700000000) * (int64_t)PX_NS_PER_S);
    s->sync_time = SYNC_TIME_MAX;
    return s;
}

static void remove_dir(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "boot",
                                        "boot.new"};
    char path[160];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path); /* it may not be there */
    }
    px_assert(rmdir(dir) == 0);
}

void server_free(struct server *s)
{
    if (server_is_up(s))
        server_end(s, SERVER_PROCESS_CRASHED);
    sim_disk_free(s->disk);
    sim_disk_free(s->home);
    remove_dir(s->dir);
    free(s);
}
