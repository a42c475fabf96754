/* bench: what an operation costs on Phalanx, beside what it must cost.
 *
 *   for 3 nodes, then for 5:
 *     start  null FUSE, floor, phalanx, and etcd (3 nodes)
 *     rounds: probe for noise, one slot for each row, probe again
 *             (a noisy round is thrown away and repeated)
 *     print  medians of the rounds, and ratios
 *     a large file, in rounds of its own (3 nodes)
 *     stop
 *
 * A slot is a fraction of a second and a round holds one of each row, so that
 * whatever the machine does to one it does to its neighbours. The order turns
 * by one each round. Systems stay up, idle, while others are measured. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/noise.h"
#include "tests/bench/options.h"
#include "tests/bench/proc.h"
#include "tests/bench/seq.h"
#include "tests/bench/table.h"

#define NOISE_MAX 0.04
#define NOISE_PROBE (150 * PX_NS_PER_MS)
#define REPEATS_MAX 3
#define SETTLE PX_NS_PER_S
#define WRITE_P99_TARGET_US 2000
#define EXIT_SKIPPED 77 /* as meson wants it */

struct group {
    const struct settings *set;
    int nodes;
    struct system null;
    struct system floor;
    struct system phalanx;
    struct system other; /* build of phalanx */
    struct system etcd;
    const char *disk; /* a folder on the same disk */
    struct table table;
    unsigned repeated;
    unsigned kept_noisy;
    double noise_sum;
    double noise_worst;
};

/* ---- one slot ---- */

struct slot {
    const struct system *system;
    int front;
    struct system_switches before;
};

static void on_ready(void *ctx)
{
    struct slot *slot = ctx;

    if (slot->system != NULL)
        system_switches(slot->system, slot->front, &slot->before);
}

static int front_of(const struct row *row)
{
    const struct system *s = row->system;

    if (s == NULL)
        return 0;
    return row->role == ROLE_LEADER ? s->leader : (s->leader + 1) % s->nodes;
}

static struct op op_of(const struct group *g, const struct row *row, int front)
{
    struct op op = {.kind = row->kind, .folder = g->disk};

    if (row->system != NULL) {
        op.folder = row->system->mounts[front];
        op.port = row->system->ports[front];
    }
    return op;
}

static void keep(struct row *row, const struct slot *slot,
                 const struct work_result *r)
{
    struct system_switches after = {0, 0};
    double ops = (double)r->ops;
    double front = 0;
    double all = 0;
    size_t i = row->rounds;

    if (slot->system != NULL) {
        system_switches(slot->system, slot->front, &after);
        front = (double)(after.front - slot->before.front);
        all = (double)(after.all - slot->before.all);
    }
    row->p50[i] = r->p50_us;
    row->p99[i] = r->p99_us;
    row->rate[i] = r->ops_per_s;
    row->client[i] = r->client_switches;
    row->front[i] = front / ops;
    row->rest[i] = (all - front) / ops;
    row->errors += r->errors;
    if (row->first_error == 0)
        row->first_error = r->first_error;
    row->rounds++;
}

static void measure(const struct group *g, struct row *row)
{
    struct slot slot = {.system = row->system};
    struct work_result r;
    struct op op;
    int rc;

    if (row->system != NULL)
        system_await_leader(row->system);
    slot.front = front_of(row);
    op = op_of(g, row, slot.front);
    rc = work_run(&op, row->workers, g->set->slot_ms * PX_NS_PER_MS, on_ready,
                  &slot, &r);

    if (rc < 0 || r.ops == 0)
        proc_die("%s, %s: %s", row->section, row->label,
                 strerror(rc < 0 ? -rc : -r.first_error));
    keep(row, &slot, &r);
}

/* ---- rounds ---- */

static bool wanted(const struct group *g, const struct row *row)
{
    return g->set->match == NULL || strstr(row->label, g->set->match) != NULL;
}

/* The share of time lost around it. */
static double run_round(struct group *g, unsigned round)
{
    struct table *t = &g->table;
    double noise = noise_probe(NOISE_PROBE);
    size_t i;

    for (i = 0; i < t->count; i++) {
        struct row *row = &t->rows[(i + round) % t->count];

        if (proc_interrupted())
            proc_die("interrupted");
        if (wanted(g, row))
            measure(g, row);
    }
    return (noise + noise_probe(NOISE_PROBE)) / 2;
}

static void take_back(struct table *t)
{
    size_t i;

    for (i = 0; i < t->count; i++)
        if (t->rows[i].rounds > 0)
            t->rows[i].rounds--;
}

static void run_rounds(struct group *g)
{
    unsigned round;
    unsigned tries = 0;

    for (round = 0; round < g->set->rounds; round++) {
        double noise = run_round(g, round);

        fprintf(stderr, "bench: %d nodes, round %u of %u, noise %.1f %%\n",
                g->nodes, round + 1, g->set->rounds, noise * 100);
        if (noise > NOISE_MAX && tries < REPEATS_MAX) {
            take_back(&g->table);
            g->repeated++;
            tries++;
            round--;
            continue;
        }
        g->kept_noisy += noise > NOISE_MAX;
        g->noise_sum += noise;
        if (noise > g->noise_worst)
            g->noise_worst = noise;
        tries = 0;
    }
}

/* ---- the rows ---- */

static struct row *add(struct group *g, const char *section, const char *label,
                       struct system *system, enum role role, enum op_kind kind,
                       unsigned workers)
{
    if (system != NULL && system->nodes == 0)
        return NULL; /* not in this run */
    return table_add(&g->table, section, label, system, role, kind, workers);
}

/* The same as @leader on the other build, if there is one. */
static void add_other(struct group *g, const struct row *leader)
{
    struct row *other = add(g, leader->section, "other, leader", &g->other,
                            ROLE_LEADER, leader->kind, leader->workers);

    if (other != NULL)
        table_compare(other, leader,
                      leader->workers == 1 ? FIGURE_P50 : FIGURE_RATE, 0);
}

static void add_writes(struct group *g, const char *section, unsigned workers)
{
    bool one = workers == 1;
    struct row *null;
    struct row *floor;
    struct row *etcd;
    struct row *leader;
    struct row *follower;

    if (one)
        (void)add(g, section, "pwrite+fdatasync", NULL, ROLE_LEADER, OP_DISK,
                  1);
    null = add(g, section, "null FUSE", &g->null, ROLE_LEADER, OP_FILE_WRITE,
               workers);
    floor = add(g, section, "floor", &g->floor, ROLE_LEADER, OP_FILE_WRITE,
                workers);
    etcd = add(g, section, "etcd put", &g->etcd, ROLE_LEADER, OP_ETCD_PUT,
               workers);
    leader = add(g, section, "phalanx, leader", &g->phalanx, ROLE_LEADER,
                 OP_FILE_WRITE, workers);
    follower = add(g, section, "phalanx, follower", &g->phalanx, ROLE_FOLLOWER,
                   OP_FILE_WRITE, workers);
    table_compare(floor, null, FIGURE_P50, 0);
    if (leader == NULL)
        return;
    add_other(g, leader);
    table_compare(leader, etcd, one ? FIGURE_P50 : FIGURE_RATE, one ? 0.5 : 2);
    table_compare(leader, floor, one ? FIGURE_P50 : FIGURE_RATE, one ? 1.5 : 0);
    table_compare(follower, leader, one ? FIGURE_P50 : FIGURE_RATE, 0);
    if (one)
        leader->p99_target_us = WRITE_P99_TARGET_US;
}

static void add_reads(struct group *g, const char *section, unsigned workers)
{
    enum figure figure = workers == 1 ? FIGURE_P50 : FIGURE_RATE;
    struct row *null = add(g, section, "null FUSE", &g->null, ROLE_LEADER,
                           OP_FILE_READ, workers);
    struct row *etcd = add(g, section, "etcd get", &g->etcd, ROLE_LEADER,
                           OP_ETCD_GET, workers);
    struct row *leader = add(g, section, "phalanx, leader", &g->phalanx,
                             ROLE_LEADER, OP_FILE_READ, workers);
    struct row *follower = add(g, section, "phalanx, follower", &g->phalanx,
                               ROLE_FOLLOWER, OP_FILE_READ, workers);

    if (leader == NULL)
        return;
    add_other(g, leader);
    table_compare(leader, null, figure, workers == 1 ? 1.5 : 0);
    table_compare(leader, etcd, figure, 0);
    table_compare(follower, leader, figure, 0);
}

static void add_rows(struct group *g)
{
    static char titles[2][4][80];
    char(*t)[80] = titles[g->nodes == 5];

    snprintf(t[0], sizeof t[0], "write %u bytes, %d nodes, 1 writer",
             VALUE_BYTES, g->nodes);
    snprintf(t[1], sizeof t[1], "read %u bytes, %d nodes, 1 reader",
             VALUE_BYTES, g->nodes);
    snprintf(t[2], sizeof t[2], "write %u bytes, %d nodes, %u writers",
             VALUE_BYTES, g->nodes, WORKERS_MAX);
    snprintf(t[3], sizeof t[3], "read %u bytes, %d nodes, %u readers",
             VALUE_BYTES, g->nodes, WORKERS_MAX);
    add_writes(g, t[0], 1);
    add_reads(g, t[1], 1);
    add_writes(g, t[2], WORKERS_MAX);
    add_reads(g, t[3], WORKERS_MAX);
}

/* ---- a large file ---- */

struct seq_row {
    const char *label;
    const char *write_to; /* folder; NULL: only read */
    const char *read_from;
    unsigned flags; /* of seq_read_flag */
    double written[STATS_ROUNDS_MAX];
    double read[STATS_ROUNDS_MAX];
};

static void seq_check(const char *label, int rc)
{
    if (rc < 0)
        proc_die("large file, %s: %s", label, strerror(-rc));
}

static void seq_round(const struct group *g, struct seq_row *row, size_t round)
{
    char path[PROC_PATH_MAX + 512];

    if (proc_interrupted())
        proc_die("interrupted");
    if (row->write_to != NULL) {
        snprintf(path, sizeof path, "%s/f0", row->write_to);
        seq_check(row->label,
                  seq_write(path, g->set->seq_mib, &row->written[round]));
    }
    snprintf(path, sizeof path, "%s/f0", row->read_from);
    seq_check(row->label,
              seq_read(path, g->set->seq_mib, row->flags, &row->read[round]));
}

static void seq_print(const struct group *g, const struct seq_row *row)
{
    double written = stats_median(row->written, g->set->seq_rounds);

    printf("  %-20s ", row->label);
    if (row->write_to != NULL)
        printf("%11.0f", written);
    else
        printf("%11s", "");
    printf(" %11.0f\n", stats_median(row->read, g->set->seq_rounds));
}

static void run_seq(struct group *g)
{
    const char *disk = proc_folder("large");
    const struct system *p = &g->phalanx;
    struct seq_row rows[4] = {
        {.label = "disk and fdatasync",
         .write_to = disk,
         .read_from = disk,
         .flags = SEQ_COLD | SEQ_CHECK},
        /* keeps only the last MiB: nothing to check */
        {.label = "null FUSE",
         .write_to = g->null.mounts[0],
         .read_from = g->null.mounts[0]},
    };
    size_t count = 2;
    size_t i;
    unsigned round;

    if (g->set->seq_rounds == 0)
        return;
    if (p->nodes > 0) {
        system_await_leader(&g->phalanx);
        rows[2] = (struct seq_row){.label = "phalanx, leader",
                                   .write_to = p->mounts[p->leader],
                                   .read_from = p->mounts[p->leader],
                                   .flags = SEQ_CHECK};
        rows[3] =
            (struct seq_row){.label = "phalanx, follower",
                             .read_from = p->mounts[(p->leader + 1) % p->nodes],
                             .flags = SEQ_CHECK};
        count = 4;
    }
    for (round = 0; round < g->set->seq_rounds; round++)
        for (i = 0; i < count; i++)
            seq_round(g, &rows[i], round);
    printf("\none file of %u MiB, calls of 1 MiB, fsync at the end, %d nodes\n"
           "  %-20s %11s %11s\n",
           g->set->seq_mib, g->nodes, "", "write MiB/s", "read MiB/s");
    for (i = 0; i < count; i++)
        seq_print(g, &rows[i]);
}

/* ---- a group: everything at one number of nodes ---- */

static void start_all(struct group *g)
{
    const struct settings *set = g->set;

    g->disk = proc_folder("disk");
    system_start_null(&g->null, set->bin);
    system_start_floor(&g->floor, set->bin, g->nodes);
    if (set->etcd && g->nodes == 3)
        system_start_etcd(&g->etcd, g->nodes);
    if (set->server != NULL)
        system_start_phalanx(&g->phalanx, "phalanx", set->server, g->nodes);
    if (set->other != NULL)
        system_start_phalanx(&g->other, "other", set->other, g->nodes);
    clock_sleep(SETTLE);
}

static void stop_all(struct group *g)
{
    system_stop(&g->phalanx);
    system_stop(&g->other);
    system_stop(&g->etcd);
    system_stop(&g->floor);
    system_stop(&g->null);
}

static void print_noise(const struct group *g)
{
    printf("\nnoise, %d nodes: mean %.1f %%, worst %.1f %% of the processors' "
           "time was lost to gaps above 100 us;\n%u rounds above %.0f %% were "
           "repeated, %u were kept after %d tries; leader changes: phalanx %u, "
           "etcd %u\n",
           g->nodes, g->noise_sum / g->set->rounds * 100, g->noise_worst * 100,
           g->repeated, NOISE_MAX * 100, g->kept_noisy, REPEATS_MAX,
           g->phalanx.leader_changes, g->etcd.leader_changes);
}

static unsigned run_group(const struct settings *set, int nodes)
{
    static struct group g;
    unsigned missed;

    memset(&g, 0, sizeof g);
    g.set = set;
    g.nodes = nodes;
    start_all(&g);
    add_rows(&g);
    run_rounds(&g);
    missed = table_print(&g.table);
    print_noise(&g);
    if (nodes == 3)
        run_seq(&g);
    fflush(stdout);
    stop_all(&g);
    return missed;
}

int main(int argc, char **argv)
{
    struct settings set;
    unsigned missed = 0;

    options_parse(&set, argc, argv);
    if (set.smoke && (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0))
        return EXIT_SKIPPED;
    proc_begin(set.parent);
    printf("256-byte values; medians of %u rounds of %u ms a row, interleaved\n"
           "hand-overs: voluntary context switches per operation of the client "
           "(c), of all threads of the\nprocess it asks (f), and of the rest "
           "of its cluster (r)\n",
           set.rounds, set.slot_ms);
    if (set.only_nodes != 5)
        missed += run_group(&set, 3);
    if (set.only_nodes != 3 && !set.smoke)
        missed += run_group(&set, 5);
    if (set.server != NULL)
        printf("\n%u targets missed\n", missed);
    return 0;
}
