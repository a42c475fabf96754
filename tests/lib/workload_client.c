/*   think ─▶ choose a mount ─▶ draw an operation ─▶ run it ─▶ record it
 *     ▲                                                           │
 *     └───────────────────────────────────────────────────────────┘ */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/workload_core.h"

#define NAMES 4u /* that all clients make; one more for each, to rename to */
#define WANDER_ONE_IN 8u
/* A mount that refused is left alone so long: others may do better. */
#define AVOID_MS_MAX 1500u

struct client {
    struct workload *w;
    int number;
    struct px_rand rand;
    int home;
    struct {
        int dir; /* -1: not open */
        uint32_t epoch;
        uint64_t avoid_ms; /* until then */
    } mounts[WORKLOAD_MOUNTS_MAX];
    uint64_t prepared[PLACES]; /* the number of the folder that is there */
    struct attempt attempt;
};

static uint64_t draw(struct client *c, uint64_t bound)
{
    return px_rand_below(&c->rand, bound);
}

/* ---- Mounts ---- */

/* A descriptor from before a restart leads nowhere. */
static bool open_mount(struct client *c, int m)
{
    uint32_t epoch = atomic_load(&c->w->epochs[m]);

    if (epoch % 2 == 1)
        return false;
    if (c->mounts[m].dir >= 0 && c->mounts[m].epoch == epoch)
        return true;
    if (c->mounts[m].dir >= 0)
        (void)close(c->mounts[m].dir);
    c->mounts[m].dir = mount_open(c->w->options.mounts[m]);
    c->mounts[m].epoch = epoch;
    return c->mounts[m].dir >= 0; /* if not, stopped since we looked */
}

/* Home, or now and then anywhere; the next one, while that refuses. -1: none. */
static int choose_mount(struct client *c)
{
    int count = c->w->options.mount_count;
    uint64_t now = now_ms();

    if (draw(c, WANDER_ONE_IN) == 0)
        c->home = (int)draw(c, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        int m = (c->home + i) % count;

        if (now >= c->mounts[m].avoid_ms && open_mount(c, m))
            return m;
    }
    return -1;
}

/* ---- Operations ---- */

static enum history_verb draw_verb(struct client *c, enum place_kind kind)
{
    static const enum history_verb file[] = {HISTORY_WRITE, HISTORY_READ};
    static const enum history_verb value[] = {HISTORY_WRITE, HISTORY_WRITE,
                                              HISTORY_READ,  HISTORY_READ,
                                              HISTORY_READ,  HISTORY_DELETE};
    static const enum history_verb list[] = {HISTORY_APPEND, HISTORY_APPEND,
                                             HISTORY_LIST};
    static const enum history_verb folder[] = {
        HISTORY_CREATE, HISTORY_MKDIR,  HISTORY_MKDIR,  HISTORY_UNLINK,
        HISTORY_RMDIR,  HISTORY_RENAME, HISTORY_LOOKUP, HISTORY_LOOKUP};
    static const struct {
        const enum history_verb *verbs;
        size_t count;
    } by_kind[] = {
        [PLACE_FILE] = {file, sizeof file / sizeof *file},
        [PLACE_VALUE] = {value, sizeof value / sizeof *value},
        [PLACE_LIST] = {list, sizeof list / sizeof *list},
        [PLACE_FOLDER] = {folder, sizeof folder / sizeof *folder},
    };

    return by_kind[kind].verbs[draw(c, by_kind[kind].count)];
}

/* Each client renames to a name of its own. Two that rename the same file to the
 * same name by two mounts may make the kernel see one file under both names, and
 * say 0 without asking the server. */
static void draw_names(struct client *c, struct history_op *op)
{
    unsigned own = NAMES + (unsigned)c->number;
    bool any = op->verb == HISTORY_UNLINK || op->verb == HISTORY_RMDIR ||
               op->verb == HISTORY_LOOKUP;

    op->name = (unsigned)draw(c, NAMES);
    op->to = own;
    if (any && draw(c, 2) == 0)
        op->name = NAMES + (unsigned)draw(c, (uint64_t)c->w->options.clients);
}

static bool is_spent(const struct place *p)
{
    static const uint32_t ops_max[] = {[PLACE_FILE] = 5000,
                                       [PLACE_VALUE] = 5000,
                                       [PLACE_LIST] = 600,
                                       [PLACE_FOLDER] = 400};
    static const uint32_t unknown_max[] = {[PLACE_FILE] = 200,
                                           [PLACE_VALUE] = 200,
                                           [PLACE_LIST] = 50,
                                           [PLACE_FOLDER] = 6};

    return p->op_count >= ops_max[p->kind] ||
           p->unknown_count >= unknown_max[p->kind];
}

/* The next operation of a place, which may be a new one now. Its folder's ids
 * are small: they are modes. */
static int draw_op(struct client *c)
{
    struct workload *w = c->w;
    struct history_op *op = &c->attempt.line.op;
    int i = (int)draw(c, PLACES);
    struct place *p = &w->places[i];

    (void)pthread_mutex_lock(&w->lock);
    if (is_spent(p)) {
        p->number = ++w->places_made;
        p->op_count = p->unknown_count = 0;
    }
    p->op_count++;
    *op = (struct history_op){
        .object = p->number,
        .value = p->kind == PLACE_FOLDER ? p->op_count : ++w->values,
    };
    c->attempt.kind = p->kind;
    c->attempt.size = p->size;
    (void)pthread_mutex_unlock(&w->lock);
    op->verb = draw_verb(c, c->attempt.kind);
    if (c->attempt.kind == PLACE_FOLDER)
        draw_names(c, op);
    return i;
}

/* A rename that may come late must not meet another one to the same name. */
static void note_unknown(struct client *c, int i)
{
    const struct history_op *op = &c->attempt.line.op;
    struct place *p = &c->w->places[i];

    (void)pthread_mutex_lock(&c->w->lock);
    if (p->number == op->object)
        p->unknown_count += op->verb == HISTORY_RENAME ? 100 : 1;
    (void)pthread_mutex_unlock(&c->w->lock);
}

/* ---- Results ---- */

/* A mount goes away only with its server, and nothing is refused but for the
 * reasons that are promised. */
static void check_error(struct client *c)
{
    const struct attempt *a = &c->attempt;
    int error = -a->line.result.rc;
    bool is_up =
        atomic_load(&c->w->epochs[a->mount]) == c->mounts[a->mount].epoch;

    if (a->line.outcome == HISTORY_ANSWERED || error == 0 || error == EISDIR ||
        error == ENOTDIR)
        return;
    if (is_up)
        (void)atomic_fetch_add(&c->w->refused, 1);
    if (error == EAGAIN || error == EINTR || error == ETIMEDOUT)
        return;
    if (!is_up && (error == ENOTCONN || error == ECONNABORTED))
        return;
    report_failure(&c->w->report, "%s on mount %d, which was %s: %s",
                   history_verb_text(a->line.op.verb), a->mount,
                   is_up ? "up" : "stopped", strerror(error));
}

static void note_time(struct workload *w, const struct attempt *a)
{
    uint32_t ms = (uint32_t)((a->line.done - a->line.call) / PX_NS_PER_MS);
    uint32_t slowest = atomic_load(&w->slowest_ms);

    while (ms > slowest &&
           !atomic_compare_exchange_weak(&w->slowest_ms, &slowest, ms))
        continue;
}

static void record(struct client *c, int place)
{
    struct workload *w = c->w;
    struct attempt *a = &c->attempt;
    int rc = history_file_append(w->history_fd, &a->line);

    if (rc < 0)
        report_failure(&w->report, "the history can't be written: %s",
                       strerror(-rc));
    check_error(c);
    note_time(w, a);
    (void)atomic_fetch_add(&w->counts[a->line.op.verb][a->line.outcome], 1);
    if (a->half_seen)
        (void)atomic_fetch_add(&w->halves_seen, 1);
    if (a->line.outcome == HISTORY_UNKNOWN)
        note_unknown(c, place);
    if (a->line.outcome != HISTORY_ANSWERED && !a->half_seen)
        c->mounts[a->mount].avoid_ms = now_ms() + draw(c, AVOID_MS_MAX);
}

/* ---- A life ---- */

static void run_one(struct client *c, int mount)
{
    struct attempt *a = &c->attempt;
    int place;

    a->mount = mount;
    a->dir = c->mounts[mount].dir;
    a->line = (struct history_line){.client = c->number};
    a->half_seen = false;
    a->in_place = draw(c, 2) == 0;
    place = draw_op(c);
    if (a->kind == PLACE_FOLDER && c->prepared[place] != a->line.op.object) {
        if (!attempt_prepare(a)) {
            c->mounts[mount].avoid_ms = now_ms() + draw(c, AVOID_MS_MAX);
            return;
        }
        c->prepared[place] = a->line.op.object;
    }
    attempt_run(a);
    record(c, place);
}

void workload_client_run(void *arg, int number)
{
    static struct client c; /* large, and a process has one */
    int mount;

    c.w = arg;
    c.number = number;
    c.home = number % c.w->options.mount_count;
    px_rand_init(&c.rand, c.w->options.seed * WORKLOAD_CLIENTS_MAX +
                              (uint64_t)number + 1);
    for (int i = 0; i < WORKLOAD_MOUNTS_MAX; i++)
        c.mounts[i].dir = -1;
    (void)umask(0); /* modes are ids */
    while (!atomic_load(&c.w->report.stop)) {
        pause_ms((unsigned)draw(&c, c.w->options.think_ms_max + 1));
        mount = choose_mount(&c);
        if (mount >= 0)
            run_one(&c, mount);
        else
            pause_ms(10);
    }
}
