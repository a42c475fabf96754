/* Starting, turning and ending a node.
 *
 *   down ──server_start──▶ up ──event──▶ replica_on_*, then a turn a little
 *    ▲                     │              later, so that inputs gather
 *    └────server_end───────┘
 *
 * A start succeeds, whatever the disks did in a crash, unless one of them was
 * told to fail meanwhile. */
#include "tests/sim/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/err.h"
#include "tests/sim/check.h"
#include "tests/sim/gossip.h"
#include "tests/sim/hello.h"
#include "tests/sim/server_open.h"
#include "tests/sim/state.h"
#include "tests/sim/transfers.h"
#include "tests/sim/wire.h"

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

px_ns server_when(const struct server *s, px_ns local)
{
    uint64_t rate = (uint64_t)(MILLION + s->clock.ppm);
    uint64_t passed;

    if (local <= s->clock.local_at)
        return s->clock.true_at;
    passed = local - s->clock.local_at;
    return s->clock.true_at + passed / rate * MILLION +
           passed % rate * MILLION / rate + 1;
}

px_ns server_true_now(const struct server *s)
{
    return s->world->now + s->lag;
}

px_ns server_now(const struct server *s)
{
    return local_time(s, server_true_now(s));
}

void server_plan(struct server *s, struct event *e, px_ns delay)
{
    world_plan(s->world, e, s, server_true_now(s) + delay);
}

void server_set_clock_rate(struct server *s, int64_t ppm)
{
    px_assert(ppm > -WORLD_DRIFT_PPM && ppm < WORLD_DRIFT_PPM);
    s->clock.local_at = server_now(s);
    s->clock.true_at = s->world->now;
    s->clock.ppm = ppm;
}

/* ---- Turns ---- */

static void run_turn(struct world *w, struct event *e);

static void plan_turn(struct server *s)
{
    struct event *e;

    if (s->is_turn_due)
        return;
    s->is_turn_due = true;
    e = event_new(sizeof *e);
    e->run = run_turn;
    e->drop = event_drop;
    server_plan(s, e, world_draw(s->world, 1, TURN_DELAY_MAX));
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
    at = server_when(s, deadline);
    if (at < server_true_now(s))
        at = server_true_now(s);
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
    state_look(s);
    transfers_look(s);
    if (s->has_new_members)
        hello_on_members(s);
    s->has_new_members = false;
    if (s->failed == NULL)
        arm_timer(s);
}

/* ---- Its disks ---- */

bool server_has_crashed(const struct server *s)
{
    for (int i = 0; i < SERVER_DISKS; i++) {
        if (sim_disk_faults(s->disks[i])->has_crashed)
            return true;
    }
    return false;
}

bool server_has_failed_disk(const struct server *s)
{
    for (int i = 0; i < SERVER_DISKS; i++) {
        if (sim_disk_faults(s->disks[i])->has_failed)
            return true;
    }
    return server_has_crashed(s) || s->has_flips || s->needs_person ||
           s->doubt.is_unsound;
}

void server_set_full(struct server *s, bool is_full)
{
    for (int i = 0; i < SERVER_DISKS; i++)
        sim_disk_faults(s->disks[i])->is_full = is_full;
}

void server_heal_disks(struct server *s)
{
    s->sync_time = SYNC_TIME_MAX;
    for (int i = 0; i < SERVER_DISKS; i++) {
        struct sim_disk_faults *f = sim_disk_faults(s->disks[i]);

        /* The word of an error may be on its way to the replica yet. */
        *f = (struct sim_disk_faults){.has_failed = f->has_failed};
    }
}

static void crash_disks(struct server *s, bool is_machine)
{
    for (int i = 0; i < SERVER_DISKS; i++) {
        sim_disk_crash(s->disks[i], is_machine);
        sim_disk_start(s->disks[i]);
    }
}

static void lose_flush(struct server *s)
{
    if (!sim_disk_lose_flush(s->disks[SERVER_LOG]))
        return;
    world_trace(s->world, s, "its last flush of the log lied");
    s->has_flips = true;
    check_on_lost_flush(s);
}

/* ---- Pauses ---- */

void server_on_call(struct server *s)
{
    if (s->lag_after == 0 || --s->lag_after > 0)
        return;
    s->world->counts[COUNT_PAUSES_WITHIN]++;
    world_trace(s->world, s, "stands still within a step");
    s->lag += s->lag_next;
}

void server_stop_until(struct server *s, px_ns until)
{
    if (until > s->stopped_until)
        s->stopped_until = until;
}

/* What else happens to it comes behind the rest of this event. */
static void catch_up(struct server *s)
{
    if (s->lag > 0)
        server_stop_until(s, server_true_now(s));
    s->lag = 0;
}

/* ---- After an event ---- */

void server_after(struct server *s)
{
    struct world *w = s->world;

    if (!server_is_up(s))
        return;
    if (server_has_crashed(s)) {
        server_end(s, world_chance(w, 50) ? SERVER_PROCESS_CRASHED
                                          : SERVER_MACHINE_CRASHED);
    } else if (s->failed != NULL) {
        world_trace(w, s, "ends: %s", s->failed);
        server_end(s, SERVER_PROCESS_CRASHED);
    } else {
        if (!s->is_turning)
            plan_turn(s);
        s->is_turning = false;
        catch_up(s);
        return;
    }
    server_start_later(s, world_draw(w, PX_NS_PER_MS, 2 * w->election));
}

/* ---- Starting ---- */

/* A person puts the files back that the start has complained about. */
static void restore_home(struct server *s)
{
    if (!sim_disk_restore(s->disks[SERVER_HOME]))
        return;
    s->world->counts[COUNT_HOME_RESTORED]++;
    s->has_home_flip = s->needs_person = false;
    world_trace(s->world, s, "its identity and term are restored");
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
    s->now_seen = 0;
    s->saves_busy_until = 0;
    s->pieces_busy_until = 0;
    s->pieces_from = 0;
    s->install_term = 0;
    w->counts[COUNT_STARTS]++;
    rc = server_open(s, why, sizeof why);
    s->is_log_unsealed = rc < 0;
    if (rc == 0) {
        w->counts[COUNT_HOME_MENDED] += s->has_home_flip;
        s->has_home_flip = s->needs_person = false; /* all are written anew */
        world_trace(w, s, "up, incarnation %" PRIu64, s->identity.incarnation);
        gossip_on_start(s);
        wire_on_start(s);
        plan_turn(s);
        return;
    }
    if (!server_has_failed_disk(s))
        world_fail(w, "%s does not start: %s: %s", s->name, why,
                   px_strerror(rc));
    world_trace(w, s, "does not start: %s: %s", why, px_strerror(rc));
    if (s->needs_person && !server_has_crashed(s))
        restore_home(s);
    w->counts[COUNT_CRASH_IN_START] += server_has_crashed(s);
    if (server_has_crashed(s))
        server_note_dirty(s);
    server_end(s, server_has_crashed(s) && world_chance(w, 50)
                      ? SERVER_MACHINE_CRASHED
                      : SERVER_PROCESS_CRASHED);
    server_start_later(s, world_draw(w, PX_NS_PER_MS, 2 * w->election));
}

static void run_start(struct world *w, struct event *e)
{
    struct server *s = e->server;

    (void)w;
    free(e);
    if (!server_is_up(s) && !s->is_gone)
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
    counts[COUNT_HASHES_EQUAL] += now.hashes_equal;
    counts[COUNT_HASHES_UNDECIDED] += now.hashes_undecided;
    counts[COUNT_QUARANTINES] += now.divergences;
    counts[COUNT_SNAPSHOTS_SAVED] += now.snapshots_saved;
    counts[COUNT_LOG_REPAIRS] += now.log_repairs;
    counts[COUNT_SNAPSHOTS_SENT] += now.snapshots_sent;
}

static void close_replica(struct server *s)
{
    if (s->replica == NULL)
        return;
    count_commands(s);
    replica_stop(s->replica);
    replica_close(s->replica); /* it frees its writes; two jobs may be left */
    px_list_init(&s->writes);
    px_list_init(&s->writing);
    s->is_writing = false;
    s->replica = NULL;
    s->fault.replica = NULL;
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

/* A machine that went down has another boot id, and another clock. */
static void reboot(struct server *s)
{
    server_spoil_states(s);
    s->boot++;
    s->clock.true_at = s->world->now;
    s->clock.local_at = px_rand_below(&s->world->rand, PX_NS_PER_S);
}

void server_end(struct server *s, enum server_end how)
{
    static const char *const texts[] = {"stopped", "process crashed",
                                        "machine crashed"};
    bool is_clean = how == SERVER_STOPPED && !server_has_crashed(s);
    bool is_machine = how == SERVER_MACHINE_CRASHED;

    world_trace(s->world, s, "%s", texts[how]);
    if (server_is_up(s))
        check_on_end(s);
    count_end(s, how);
    state_on_end(s, is_machine);
    gossip_on_end(s, how);
    s->is_ending = true;
    s->has_died = !is_clean;
    close_replica(s);
    s->is_ending = false;
    if (!is_clean) /* the log writes no last word */
        sim_disk_faults(s->disks[SERVER_LOG])->has_crashed = true;
    server_close(s, is_clean);
    if (is_machine)
        reboot(s);
    crash_disks(s, is_machine);
    if (s->loses_flush && is_machine)
        lose_flush(s);
    s->loses_flush = false;
    s->life++;
    s->stopped_until = 0;
    s->lag = 0;
    s->lag_after = 0;
    wire_on_crash(s, is_machine);
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
    for (int i = 0; i < SERVER_DISKS; i++)
        s->disks[i] = sim_disk_new(&w->rand, w->counts);
    if (w->is_flaky[number])
        sim_disk_remember(s->disks[SERVER_LOG]);
    s->boot = 1;
    s->clock.local_at = px_rand_below(&w->rand, 1000 * PX_NS_PER_S);
    if (world_chance(w, 50)) /* often the worst that is allowed */
        s->clock.ppm =
            world_chance(w, 50) ? WORLD_DRIFT_PPM - 1 : 1 - WORLD_DRIFT_PPM;
    s->wall_offset = (int64_t)(INT64_C(1700000000) * (int64_t)PX_NS_PER_S);
    s->sync_time = SYNC_TIME_MAX;
    return s;
}

void server_free(struct server *s)
{
    if (server_is_up(s))
        server_end(s, SERVER_PROCESS_CRASHED);
    for (int i = 0; i < SERVER_DISKS; i++)
        sim_disk_free(s->disks[i]);
    server_remove_dir(s);
    free(s);
}
