#include "tests/sim/faults.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/identity_file.h"
#include "tests/sim/check.h"
#include "tests/sim/faults_core.h"
#include "tests/sim/state.h"
#include "tests/sim/wire.h"

enum kind {
    KIND_PROCESS_CRASH,
    KIND_MACHINE_CRASH,
    KIND_CLUSTER_CRASH,
    KIND_STOP,
    KIND_CRASH_POINT,
    KIND_READ_ERROR,
    KIND_WRITE_ERROR,
    KIND_SYNC_ERROR,
    KIND_BIT_FLIP,
    KIND_HOME_FLIP,
    KIND_STATE,
    KIND_LOST_FLUSH,
    KIND_FULL_DISK,
    KIND_SLOW_DISK,
    KIND_PAUSE,
    KIND_PAUSE_WITHIN,
    KIND_SNAPSHOT,
    KIND_HAND_OVER,
    KIND_CLOCK_RATE,
    KIND_WALL_JUMP,
    KIND_ISOLATION,
    KIND_PARTITION,
    KIND_ONE_WAY,
    KIND_BRIDGE,
    KIND_BREAK,
    KIND_BREAK_PIECE,
    KIND_SLOW_LINK,
    KIND_ROUGHNESS,
    KINDS,
};

struct faults {
    enum kind kinds[KINDS]; /* of this run */
    size_t kind_count;
    px_ns pace; /* one fault in twice this time, at most */
    bool is_calm;
};

/* ---- Servers ---- */

void faults_end(struct world *w, struct server *s, enum server_end how)
{
    if (!server_is_up(s))
        return;
    server_end(s, how);
    server_start_later(s, faults_a_while(w));
}

static void end_all(struct world *w)
{
    w->counts[COUNT_CLUSTER_CRASHES]++;
    for (size_t i = 0; i < w->server_count; i++)
        faults_end(w, w->servers[i], SERVER_MACHINE_CRASHED);
}

/* The log's, mostly. */
static enum server_disk any_disk(struct world *w)
{
    if (world_chance(w, 70))
        return SERVER_LOG;
    return world_chance(w, 60) ? SERVER_SNAPSHOTS : SERVER_HOME;
}

/* In a disk call to come, or in a later one, perhaps of the next start. */
static void arm_crash(struct world *w, struct server *s)
{
    struct sim_disk *d = s->disks[any_disk(w)];
    unsigned calls = (unsigned)world_draw(w, 1, 12);

    sim_disk_faults(d)->crash_after = calls;
    if (world_chance(w, 50))
        faults_end(w, s,
                   world_chance(w, 50) ? SERVER_PROCESS_CRASHED
                                       : SERVER_MACHINE_CRASHED);
    sim_disk_faults(d)->crash_after = calls;
}

static void stop_for_a_while(struct world *w, struct server *s)
{
    px_ns until = w->now + faults_a_while(w);

    w->counts[COUNT_PAUSES]++;
    world_trace(w, s, "stands still");
    server_stop_until(s, until);
}

static void run_hand_over(struct world *w, struct event *e)
{
    w->counts[COUNT_HAND_OVERS] += replica_hand_over(e->server->replica) == 0;
    free(e);
}

/* Whoever leads is to, or thinks that it does. */
static void hand_over(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++) {
        struct event *e;

        if (!server_is_up(w->servers[i]))
            continue;
        e = event_new(sizeof *e);
        e->run = run_hand_over;
        e->drop = event_drop;
        server_plan(w->servers[i], e, 0);
    }
}

static void change_rate(struct world *w, struct server *s)
{
    static const int64_t rates[] = {-9999, -5000, 0, 5000, 9999};

    w->counts[COUNT_CLOCK_RATES]++;
    server_set_clock_rate(
        s, rates[world_draw(w, 0, sizeof rates / sizeof rates[0])]);
}

static void jump(struct world *w, struct server *s)
{
    w->counts[COUNT_CLOCK_JUMPS]++;
    s->wall_offset += (int64_t)world_draw(w, 0, 7200 * PX_NS_PER_S) -
                      3600 * (int64_t)PX_NS_PER_S;
}

/* ---- Disks ---- */

enum server_change {
    SERVER_DISK_ROOM,
    SERVER_DISK_SPEED,
};

struct end_event {
    struct event event;
    struct server *server; /* whatever its life */
    enum server_change change;
};

static void run_end(struct world *w, struct event *e)
{
    struct end_event *end = (struct end_event *)e;

    (void)w;
    switch (end->change) {
    case SERVER_DISK_ROOM:
        server_set_full(end->server, false);
        break;
    case SERVER_DISK_SPEED:
        end->server->sync_time = SYNC_TIME_MAX;
        break;
    }
    free(e);
}

static void end_later(struct world *w, struct server *s,
                      enum server_change change)
{
    struct end_event *e = event_new(sizeof *e);

    e->event.run = run_end;
    e->event.drop = event_drop;
    e->server = s;
    e->change = change;
    world_plan(w, &e->event, NULL, w->now + faults_a_while(w));
}

/* It is noticed when it is read. */
static void flip(struct world *w, struct server *s)
{
    enum server_disk disk = world_chance(w, 80) ? SERVER_LOG : SERVER_SNAPSHOTS;

    if (!w->is_flaky[s->number] || (disk == SERVER_LOG && s->is_log_unsealed) ||
        !sim_disk_flip(s->disks[disk]))
        return;
    s->has_flips = true;
    world_trace(w, s, "has a bit flipped in its %s",
                disk == SERVER_LOG ? "log" : "snapshots");
    if (world_chance(w, 50))
        faults_end(w, s, SERVER_PROCESS_CRASHED);
}

static bool flip_file(struct world *w, struct server *s, const char *name)
{
    if (!sim_disk_flip_file(s->disks[SERVER_HOME], name))
        return false;
    w->counts[COUNT_HOME_FLIPS]++;
    s->has_home_flip = true;
    world_trace(w, s, "has a bit flipped in its %s", name);
    return true;
}

/* In one of the two, or in both: then it takes a person. */
static void flip_identity(struct world *w, struct server *s)
{
    const char *names[] = {IDENTITY_NAME, IDENTITY_COPY};
    size_t first = world_chance(w, 50);

    s->needs_person = flip_file(w, s, names[first]) && world_chance(w, 30) &&
                      flip_file(w, s, names[1 - first]);
}

/* It is noticed at the next start, if the file is not written anew before. With
 * a loss that nobody knows of, "term" may be all that is left of a vote. */
static void flip_home(struct world *w, struct server *s)
{
    if (!w->is_flaky[s->number] || s->is_gone || s->has_home_flip ||
        check_has_unseen_loss(s))
        return;
    if (world_chance(w, 50))
        flip_identity(w, s);
    else
        s->needs_person = flip_file(w, s, "term");
    if (s->has_home_flip && world_chance(w, 50))
        faults_end(w, s, SERVER_PROCESS_CRASHED);
}

/* On disks where bits flip, sooner than by chance. */
static void change_state(struct world *w)
{
    struct server *s = faults_any_server(w);

    for (int i = 0; i < 3 && !w->is_flaky[s->number]; i++)
        s = faults_any_server(w);
    state_change(s);
}

static void fill_disk(struct world *w, struct server *s)
{
    world_trace(w, s, "has a full disk");
    server_set_full(s, true);
    end_later(w, s, SERVER_DISK_ROOM);
}

static void slow_disk(struct world *w, struct server *s)
{
    w->counts[COUNT_DISK_SLOW]++;
    s->sync_time = world_draw(w, SYNC_TIME_MAX, 2 * w->election);
    world_trace(w, s, "has a slow disk");
    end_later(w, s, SERVER_DISK_SPEED);
}

/* Few snapshots come in more than one piece: it is the next that does. */
static void break_pieces(struct world *w)
{
    for (size_t i = 0; i < w->server_count; i++)
        w->servers[i]->breaks_piece = true;
}

/* ---- The schedule ---- */

static void strike(struct world *w, enum kind kind)
{
    struct server *s = faults_any_server(w);

    switch (kind) {
    case KIND_PROCESS_CRASH:
        faults_end(w, s, SERVER_PROCESS_CRASHED);
        break;
    case KIND_MACHINE_CRASH:
        faults_end(w, s, SERVER_MACHINE_CRASHED);
        break;
    case KIND_CLUSTER_CRASH:
        end_all(w);
        break;
    case KIND_STOP:
        faults_end(w, s, SERVER_STOPPED);
        break;
    case KIND_CRASH_POINT:
        arm_crash(w, s);
        break;
    case KIND_READ_ERROR:
        sim_disk_faults(s->disks[any_disk(w)])->read_error = -EIO;
        break;
    case KIND_WRITE_ERROR:
        sim_disk_faults(s->disks[any_disk(w)])->write_error =
            world_chance(w, 50) ? -EIO : -ENOSPC;
        break;
    case KIND_SYNC_ERROR:
        sim_disk_faults(s->disks[any_disk(w)])->sync_error =
            world_chance(w, 50) ? -EIO : -ENOSPC;
        break;
    case KIND_BIT_FLIP:
        flip(w, s);
        break;
    case KIND_HOME_FLIP:
        flip_home(w, s);
        break;
    case KIND_STATE:
        change_state(w);
        break;
    case KIND_LOST_FLUSH:
        faults_lose_flush(w);
        break;
    case KIND_FULL_DISK:
        fill_disk(w, s);
        break;
    case KIND_SLOW_DISK:
        slow_disk(w, s);
        break;
    case KIND_PAUSE:
        stop_for_a_while(w, s);
        break;
    case KIND_PAUSE_WITHIN:
        s->lag_after = (unsigned)world_draw(w, 1, 40);
        s->lag_next = faults_a_while(w);
        break;
    case KIND_SNAPSHOT:
        if (server_is_up(s))
            replica_want_snapshot(s->replica);
        break;
    case KIND_HAND_OVER:
        hand_over(w);
        break;
    case KIND_CLOCK_RATE:
        change_rate(w, s);
        break;
    case KIND_WALL_JUMP:
        jump(w, s);
        break;
    case KIND_ISOLATION:
        faults_cut(w, FAULTS_ISOLATION);
        break;
    case KIND_PARTITION:
        faults_cut(w, FAULTS_PARTITION);
        break;
    case KIND_ONE_WAY:
        faults_cut(w, FAULTS_ONE_WAY);
        break;
    case KIND_BRIDGE:
        faults_cut(w, FAULTS_BRIDGE);
        break;
    case KIND_BREAK:
        wire_break(w, s->number, faults_any_server(w)->number);
        break;
    case KIND_BREAK_PIECE:
        break_pieces(w);
        break;
    case KIND_SLOW_LINK:
        faults_slow_link(w);
        break;
    case KIND_ROUGHNESS:
        faults_roughen(w);
        break;
    case KINDS:
        break;
    }
}

static void plan_next(struct world *w);

static void run_next(struct world *w, struct event *e)
{
    struct faults *f = w->faults;

    free(e);
    if (f->is_calm)
        return;
    strike(w, f->kinds[world_draw(w, 0, f->kind_count)]);
    plan_next(w);
}

static void plan_next(struct world *w)
{
    struct event *e = event_new(sizeof *e);

    e->run = run_next;
    e->drop = event_drop;
    world_plan(w, e, NULL, w->now + world_draw(w, 1, 2 * w->faults->pace));
}

void faults_begin(struct world *w)
{
    if (w->faults->kind_count > 0)
        plan_next(w);
}

/* ---- Healing ---- */

static void heal_server(struct server *s)
{
    server_heal_disks(s);
    s->lag_after = 0; /* a pause that was to come */
    s->breaks_piece = false;
    if (server_is_up(s) && s->doubt.is_unsound) /* a start looks at all of it */
        server_end(s, SERVER_PROCESS_CRASHED);
    if (!server_is_up(s) && !s->is_gone)
        server_start(s);
}

void faults_heal(struct world *w)
{
    world_trace(w, NULL, "everything heals");
    w->faults->is_calm = true;
    faults_heal_network(w);
    for (size_t i = 0; i < w->server_count; i++)
        heal_server(w->servers[i]);
}

/* Down, or cut off in one direction or both. */
static void break_for_ever(struct world *w, size_t number, const bool core[])
{
    uint64_t how = world_draw(w, 0, 4);

    if (how == 0 && server_is_up(w->servers[number]))
        server_end(w->servers[number], SERVER_MACHINE_CRASHED);
    for (size_t i = 0; how > 0 && i < w->server_count; i++) {
        if (!core[i])
            continue;
        wire_cut(w, number, i, how != 1);
        wire_cut(w, i, number, how != 2);
    }
}

void faults_heal_core(struct world *w, const bool core[])
{
    world_trace(w, NULL, "a core heals");
    w->counts[COUNT_CORES]++;
    w->faults->is_calm = true;
    faults_heal_network(w);
    for (size_t i = 0; i < w->server_count; i++) {
        if (core[i])
            heal_server(w->servers[i]);
        else
            break_for_ever(w, i, core);
    }
}

bool faults_are_calm(const struct world *w)
{
    return w->faults->is_calm;
}

/* ---- Life ---- */

struct faults *faults_new(struct world *w)
{
    struct faults *f = calloc(1, sizeof *f);
    unsigned percent = (unsigned)world_draw(w, 5, 80);

    px_assert(f != NULL);
    f->pace = world_draw(w, w->election / 5, 4 * w->election);
    for (int kind = 0; kind < KINDS; kind++) {
        if (world_chance(w, percent))
            f->kinds[f->kind_count++] = (enum kind)kind;
    }
    return f;
}

void faults_free(struct faults *f)
{
    free(f);
}
