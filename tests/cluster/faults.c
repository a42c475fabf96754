/* Each kind of fault, and the end of all. strace is the slow disk, and a foreign
 * file the full one; nftables in the hosts are the cuts. */
#include "tests/cluster/faults.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "tests/lib/filler.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define TRACER_MS_MAX 5000
#define BEHIND_ANSWERS 50
#define DISKS 2 /* the first nodes have one of their own: a minority */
#define DISK_MIB 1024
#define BULK_MIB "24"      /* more than a segment of the log */
#define FULL_MS_MAX 180000 /* until a node meets it, all writes included */
#define REFILL_MS 1000
#define LOOK_MS 20

static int draw(struct faults *f, int bound)
{
    return (int)px_rand_below(f->rand, (uint64_t)bound);
}

/* The clock is the history's. */
void faults_tell(struct faults *f, const char *format, ...)
{
    va_list args;

    (void)fprintf(f->story, "%llu ", (unsigned long long)px_now());
    va_start(args, format);
    (void)vfprintf(f->story, format, args);
    va_end(args);
    (void)fputc('\n', f->story);
    (void)fflush(f->story);
}

/* ---- What is done to nodes ---- */

static int draw_node(struct faults *f)
{
    return draw(f, FAULTS_NODES);
}

static int draw_leader_or_any(struct faults *f)
{
    return draw(f, 2) == 0 ? f->leader : draw_node(f);
}

/* One or two. */
static uint32_t draw_minority(struct faults *f)
{
    return UINT32_C(1) << draw_node(f) | UINT32_C(1) << draw_node(f);
}

static void pause_node(struct faults *f, int i)
{
    if (f->is_down[i] || f->is_paused[i])
        return;
    faults_tell(f, "pause node-%d", i);
    assert_return_code(kill(cluster_pid(f->cluster, i), SIGSTOP), errno);
    f->is_paused[i] = true;
}

static void kill_node(struct faults *f, int i)
{
    if (f->is_down[i])
        return;
    faults_tell(f, "kill node-%d", i);
    workload_down(f->workload, i);
    cluster_kill(f->cluster, i);
    f->is_down[i] = true;
    f->is_paused[i] = false;
}

static void each_of(struct faults *f, uint32_t set,
                    void (*act)(struct faults *f, int i))
{
    for (int i = 0; i < FAULTS_NODES; i++) {
        if (set >> i & 1)
            act(f, i);
    }
}

static void cut(struct faults *f)
{
    for (int from = 0; from < FAULTS_NODES; from++)
        for (int to = 0; to < FAULTS_NODES; to++)
            if (f->cuts.drops[from][to])
                faults_tell(f, "cut node-%d to node-%d", from, to);
    netns_cut(f->hosts, &f->cuts);
}

/* ---- Kinds of faults ---- */

static void cut_leader(struct faults *f)
{
    cuts_part(&f->cuts, FAULTS_NODES, UINT32_C(1) << f->leader);
    cut(f);
}

static void cut_halves(struct faults *f)
{
    cuts_part(&f->cuts, FAULTS_NODES,
              UINT32_C(1) << f->leader | UINT32_C(1) << draw_node(f));
    cut(f);
}

static void cut_thirds(struct faults *f)
{
    cuts_part(&f->cuts, FAULTS_NODES, draw_minority(f));
    cuts_part(&f->cuts, FAULTS_NODES, draw_minority(f));
    cut(f);
}

static void cut_one_way(struct faults *f)
{
    int node = draw_leader_or_any(f);

    if (draw(f, 2) == 0) {
        cuts_deafen(&f->cuts, FAULTS_NODES, node,
                    (uint32_t)draw(f, 1 << FAULTS_NODES));
    } else {
        for (int from = 0; from < FAULTS_NODES; from++)
            cuts_deafen(&f->cuts, FAULTS_NODES, from, UINT32_C(1) << node);
    }
    cut(f);
}

static void cut_bridge(struct faults *f)
{
    cuts_bridge(&f->cuts, FAULTS_NODES, draw_node(f));
    cut(f);
}

static void cut_ring(struct faults *f)
{
    int order[FAULTS_NODES] = {0, 1, 2, 3, 4};

    for (int i = FAULTS_NODES - 1; i > 0; i--) {
        int j = draw(f, i + 1);
        int swapped = order[i];

        order[i] = order[j];
        order[j] = swapped;
    }
    cuts_ring(&f->cuts, FAULTS_NODES, order);
    cut(f);
}

static void pause_leader(struct faults *f)
{
    pause_node(f, f->leader);
}

static void pause_some(struct faults *f)
{
    each_of(f, draw_minority(f), pause_node);
}

static void pause_all(struct faults *f)
{
    each_of(f, (1 << FAULTS_NODES) - 1, pause_node);
}

static void kill_leader(struct faults *f)
{
    kill_node(f, f->leader);
}

static void kill_some(struct faults *f)
{
    each_of(f, draw_minority(f), kill_node);
}

static void kill_all(struct faults *f)
{
    each_of(f, (1 << FAULTS_NODES) - 1, kill_node);
}

/* Of files, and of folders. */
#define FLUSHES "fdatasync,fsync"

/* strace comes between a node and its disk, until it is told to let go. */
static void meddle(struct faults *f, int i, const char *inject)
{
    char pid[16];
    const char *const argv[] = {
        "strace",         "-qq", "-f",   "-o", "/dev/null", "-e",
        "trace=" FLUSHES, "-e",  inject, "-p", pid,         NULL};

    (void)snprintf(pid, sizeof pid, "%d", (int)cluster_pid(f->cluster, i));
    faults_tell(f, "disk of node-%d: %s", i, inject);
    f->tracer = process_start(
        &(struct process_options){.argv = argv, .err_fd = fileno(f->story)});
    assert_true(f->tracer > 0);
}

static void let_go(struct faults *f)
{
    int status;

    if (f->tracer <= 0)
        return;
    (void)kill(f->tracer, SIGTERM);
    status = process_wait(f->tracer, TRACER_MS_MAX);
    f->tracer = 0;
    if (status == 127 || status == -ETIMEDOUT)
        fail_msg("strace ended with %d", status);
}

static void slow_disk(struct faults *f)
{
    int i = draw_leader_or_any(f);
    char inject[64];

    if (f->is_down[i] || f->tracer > 0)
        return;
    (void)snprintf(inject, sizeof inject, "inject=" FLUSHES ":delay_enter=%d",
                   10000 + draw(f, 190000));
    meddle(f, i, inject);
}

/* Only while all the others work: else there may be nothing to flush, or no
 * majority to go on. */
static bool is_calm(const struct faults *f)
{
    static const struct netns_cuts whole;
    bool is_calm = memcmp(&f->cuts, &whole, sizeof whole) == 0;

    for (int i = 0; i < FAULTS_NODES; i++)
        is_calm =
            is_calm && !f->is_down[i] && !f->is_paused[i] && !f->is_full[i];
    return is_calm;
}

#ifdef __SANITIZE_ADDRESS__
#define CAN_END_TRACED false /* the search for leaks would fail */
#else
#define CAN_END_TRACED true
#endif

/* A node whose log can't be flushed must end. */
static void fail_disk(struct faults *f)
{
    int i = draw_leader_or_any(f);
    int status;

    if (!CAN_END_TRACED || !is_calm(f) || f->tracer > 0)
        return;
    workload_down(f->workload, i);
    f->is_down[i] = true;
    meddle(f, i, "inject=" FLUSHES ":error=EIO");
    status = cluster_wait_end(f->cluster, i);
    faults_tell(f, "node-%d ended with %d", i, status);
    assert_int_equal(status, 1);
    let_go(f);
}

/* More than a segment of the log, through node @i, at most @ms. What fails because
 * nobody leads is done again. */
static void write_bulk(struct faults *f, int i, unsigned ms)
{
    run_ok(ms, "sh", "-c",
           "until dd if=/dev/urandom of=$0/bulk bs=1M count=" BULK_MIB
           " 2>/dev/null; do sleep 0.1; done",
           cluster_mount(f->cluster, i), NULL);
}

/* Does node @i, within @ms? */
static bool says_full(struct faults *f, int i, unsigned ms)
{
    uint64_t end = now_ms() + ms;
    char text[8192];

    do {
        if (cluster_get(f->cluster, i, "/health", text, sizeof text) == 503 &&
            strstr(text, "disk full: ") != NULL)
            return true;
        pause_ms(LOOK_MS);
    } while (now_ms() < end);
    return false;
}

/* Until node @i has met it. Room may come back after it was filled: the log's head
 * is cut, or an old snapshot goes. So that is filled, too, and more is written. */
static void fill_until_full(struct faults *f, int i, int writer)
{
    uint64_t end = now_ms() + FULL_MS_MAX;

    do {
        uint64_t now = now_ms();

        if (now >= end)
            fail_msg("node-%d does not say that its disk is full", i);
        filler_fill(cluster_data(f->cluster, i));
        write_bulk(f, writer, (unsigned)(end - now));
    } while (!says_full(f, i, REFILL_MS));
    faults_tell(f, "node-%d has no room", i);
}

/* Those that have room go on while a node has none; it has to say so, and to go
 * on by itself when there is some. */
static void fill_disk(struct faults *f)
{
    int i = f->leader < DISKS ? f->leader : draw(f, DISKS);

    if (!is_calm(f))
        return;
    faults_tell(f, "disk of node-%d: filled", i);
    f->is_full[i] = true;
    fill_until_full(f, i, (i + 1 + draw(f, FAULTS_NODES - 1)) % FAULTS_NODES);
}

/* One is cut off while the others work and put a snapshot in the place of their
 * logs: it has to be sent that. */
static void fall_behind(struct faults *f)
{
    int behind = (f->leader + 1 + draw(f, FAULTS_NODES - 1)) % FAULTS_NODES;

    if (!is_calm(f))
        return;
    cuts_part(&f->cuts, FAULTS_NODES, UINT32_C(1) << behind);
    cut(f);
    workload_wait(f->workload, BEHIND_ANSWERS);
    for (int i = 0; i < FAULTS_NODES; i++) {
        if (i != behind)
            (void)kill(cluster_pid(f->cluster, i), SIGUSR1);
    }
    faults_tell(f, "snapshots are asked for");
}

static const struct {
    const char *name;
    void (*begin)(struct faults *f);
} kinds[FAULTS_KINDS] = {
    {"cut-leader", cut_leader},     {"cut-halves", cut_halves},
    {"cut-thirds", cut_thirds},     {"cut-one-way", cut_one_way},
    {"cut-bridge", cut_bridge},     {"cut-ring", cut_ring},
    {"pause-leader", pause_leader}, {"pause-some", pause_some},
    {"pause-all", pause_all},       {"kill-leader", kill_leader},
    {"kill-some", kill_some},       {"kill-all", kill_all},
    {"slow-disk", slow_disk},       {"fail-disk", fail_disk},
    {"fall-behind", fall_behind},   {"fill-disk", fill_disk},
};

const char *faults_name(int kind)
{
    return kinds[kind].name;
}

static bool can_run(const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    struct process_result r;

    process_run(&(struct process_options){.argv = argv}, TRACER_MS_MAX, &r);
    return r.status == 0;
}

const char *faults_lacks(int kind)
{
    void (*begin)(struct faults *) = kinds[kind].begin;

    if ((begin == slow_disk || begin == fail_disk) &&
        !can_run("strace -o /dev/null true"))
        return "strace";
    if (begin == fill_disk && !cluster_can_move_data())
        return "mkfs.ext4 and loop devices";
    return NULL;
}

unsigned faults_seconds_more(int kind)
{
    return kinds[kind].begin == fill_disk ? FULL_MS_MAX / 1000 : 0;
}

void faults_prepare(struct faults *f, int kind)
{
    if (kinds[kind].begin != fill_disk)
        return;
    for (int i = 0; i < DISKS; i++) {
        cluster_kill(f->cluster, i);
        cluster_move_data(f->cluster, i, DISK_MIB);
        cluster_restart(f->cluster, i);
    }
    cluster_wait_all_ready(f->cluster);
}

void faults_begin(struct faults *f, int kind)
{
    faults_tell(f, "%s", kinds[kind].name);
    f->counts[kind]++;
    kinds[kind].begin(f);
}

/* ---- Their end ---- */

static void end_cuts(struct faults *f)
{
    f->cuts = (struct netns_cuts){0};
    netns_cut(f->hosts, &f->cuts);
}

static void end_pauses(struct faults *f)
{
    for (int i = 0; i < FAULTS_NODES; i++) {
        if (f->is_paused[i])
            (void)kill(cluster_pid(f->cluster, i), SIGCONT);
        f->is_paused[i] = false;
    }
}

static void make_room(struct faults *f)
{
    for (int i = 0; i < FAULTS_NODES; i++) {
        if (f->is_full[i])
            filler_make_room(cluster_data(f->cluster, i));
        f->is_full[i] = false;
    }
}

/* One that is started without room may end at once: a supervisor would start it
 * again, and again. */
static void restart_all(struct faults *f)
{
    make_room(f);
    for (int i = 0; i < FAULTS_NODES; i++) {
        if (f->is_down[i])
            cluster_restart(f->cluster, i);
    }
}

void faults_end_one(struct faults *f, int group)
{
    static void (*const ends[FAULTS_ENDS])(struct faults * f) = {
        let_go, end_cuts, end_pauses, make_room, restart_all};

    ends[group](f);
}

void faults_wait_ready(struct faults *f)
{
    for (int i = 0; i < FAULTS_NODES; i++) {
        cluster_wait_ready(f->cluster, i);
        if (f->is_down[i])
            workload_up(f->workload, i);
        f->is_down[i] = false;
    }
}

void faults_abandon(struct faults *f)
{
    if (f->tracer > 0)
        (void)kill(f->tracer, SIGKILL);
}
