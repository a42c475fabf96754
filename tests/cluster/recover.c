/* Three of five nodes are gone for ever: phalanx recover makes a cluster of the
 * better of the two that are left, with all that this one held, whatever ends
 * its runs.
 *
 * Writers count, a file for each number, until all nodes are killed at one
 * moment. What that node's log holds of them is there afterwards, to the last
 * file, and no file more. CLUSTER_ROUNDS: how many runs are ended at a random
 * moment, 20. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "cli/survivor.h"
#include "store/command.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define WRITERS 4
#define CALM_FILES 50
#define STORM_WRITES 400
#define RUN_MS_MAX 60000
#define STUCK_MS 20000

struct writers {
    struct report report;
    char mounts[NODES][GUARD_PATH_MAX];
    _Atomic unsigned begun[WRITERS];
    _Atomic unsigned acked[WRITERS];
};

static const char *phalanx(void)
{
    const char *path = getenv("PHALANX");

    if (path == NULL)
        fail_msg("PHALANX does not name the command line to test");
    return path;
}

/* ---- Writers ---- */

static int put(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, name, strlen(name));

    if (fd >= 0)
        (void)close(fd); /* write has promised already */
    return n == (ssize_t)strlen(name) ? 0 : -1;
}

static void name_of(char name[32], int writer, unsigned number)
{
    (void)snprintf(name, 32, "w%d-%u", writer, number);
}

/* Until the first call that fails: the node was killed. */
static void write_run(void *arg, int writer)
{
    struct writers *w = arg;
    int dir = mount_open(w->mounts[writer]);

    for (unsigned i = 0; !atomic_load(&w->report.stop); i++) {
        char name[32];

        name_of(name, writer, i);
        atomic_store(&w->begun[writer], i + 1);
        if (put(dir, name) < 0)
            return;
        atomic_store(&w->acked[writer], i + 1);
    }
}

static unsigned all_acked(const struct writers *w)
{
    unsigned sum = 0;

    for (int i = 0; i < WRITERS; i++)
        sum += atomic_load(&w->acked[i]);
    return sum;
}

static void write_calmly(struct cluster *c)
{
    int dir = cluster_open_mount(c, 0);

    assert_return_code(dir, -dir);
    for (unsigned i = 0; i < CALM_FILES; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "calm-%u", i);
        assert_return_code(put(dir, name), errno);
    }
    (void)close(dir);
    cluster_check_states(c); /* all hold them */
}

/* All nodes are killed in the middle of writes. */
static struct writers *storm(struct cluster *c)
{
    struct writers *w = shared_new(sizeof *w);
    uint64_t deadline = now_ms() + RUN_MS_MAX;
    pid_t pids[WRITERS];

    for (int i = 0; i < NODES; i++)
        (void)snprintf(w->mounts[i], GUARD_PATH_MAX, "%s", cluster_mount(c, i));
    for (int i = 0; i < WRITERS; i++)
        pids[i] = worker_start(write_run, w, i);
    while (all_acked(w) < STORM_WRITES) {
        cluster_check_runs(c);
        assert_true(now_ms() < deadline);
        pause_ms(5);
    }
    cluster_kill_all(c);
    workers_wait(pids, WRITERS, STUCK_MS);
    return w;
}

/* ---- The command ---- */

static void recover(const char *from, const char *to, struct process_result *r)
{
    const char *const argv[] = {
        phalanx(), "recover", "--data-dir", from, to != NULL ? "--to" : NULL,
        to,        "--yes",   NULL};

    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, r);
}

static void recover_fails(const char *from, const char *to, const char *says)
{
    struct process_result r;

    recover(from, to, &r);
    if (r.status != 1 || strstr(r.err, says) == NULL)
        fail_msg("status %d: %s%s", r.status, r.out, r.err);
}

struct place {
    unsigned long long term;
    unsigned long long index;
};

static struct place last_entry(const char *data)
{
    struct process_result r;
    const char *line;
    struct place p;

    recover(data, NULL, &r);
    if (r.status != 0)
        fail_msg("status %d: %s", r.status, r.err);
    line = strstr(r.out, "last entry");
    assert_non_null(line);
    assert_int_equal(
        sscanf(line, "last entry    term %llu, index %llu", &p.term, &p.index),
        2);
    return p;
}

static bool is_better(struct place a, struct place b)
{
    return a.term > b.term || (a.term == b.term && a.index > b.index);
}

static bool is_there(const char *dir, const char *name)
{
    char path[GUARD_PATH_MAX + 64];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

/* ---- What a log holds ---- */

static void note_name(const struct raft_entry *e,
                      struct command_scratch *scratch, unsigned in_log[WRITERS])
{
    char name[32] = "";
    unsigned writer, number;
    struct command c;

    if (e->kind != RAFT_ENTRY_COMMAND ||
        command_decode(e->data, scratch, &c) < 0 || c.name.size == 0 ||
        c.name.size > 31)
        return;
    memcpy(name, c.name.data, c.name.size);
    if (sscanf(name, "w%u-%u", &writer, &number) != 2)
        return;
    assert_true(writer < WRITERS);
    if (number < in_log[writer])
        return; /* sent again to the next leader: it is applied once */
    assert_int_equal(number, in_log[writer]); /* no snapshot has cut the log */
    in_log[writer] = number + 1;
}

/* How many files of each writer, by the entries themselves. */
static void read_log(const char *data, unsigned in_log[WRITERS])
{
    struct command_scratch *scratch = command_scratch_new();
    struct raft_entry entries[64];
    char why[DATA_WHY_BYTES];
    struct survivor s;
    raft_index next = 1;

    assert_non_null(scratch);
    if (survivor_open(&s, data, why) < 0)
        fail_msg("%s", why);
    while (next <= s.last.index) {
        int n = store_log_read(s.data.storage.log, next, 64, PX_BATCH_BYTES_MAX,
                               entries);

        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            note_name(&entries[i], scratch, in_log);
            px_slice_unref(&entries[i].data);
        }
        next += (raft_index)n;
    }
    survivor_close(&s);
    command_scratch_free(scratch);
}

/* ---- Runs that are ended ---- */

/* A start either refuses what is there, or there is nothing yet. */
static void no_start_takes(const char *data, const char *node)
{
    const char *const argv[] = {getenv("PHALANX_SERVER"),
                                "--data-dir",
                                data,
                                "--node-id",
                                node,
                                "--grpc-addr",
                                "127.0.0.1:1",
                                "--debug-addr",
                                "off",
                                NULL};
    struct process_result r;

    if (!is_there(data, "snapshot/recovering"))
        return;
    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    if (r.status != 1 || strstr(r.err, "no identity") == NULL)
        fail_msg("status %d: %s", r.status, r.err);
}

/* One run, killed after @us, unless it has finished. */
static void kill_after(const char *from, const char *to, unsigned us)
{
    const char *const argv[] = {phalanx(), "recover", "--data-dir", from,
                                "--to",    to,        "--yes",      NULL};
    FILE *said = tmpfile();
    char text[512] = "";
    pid_t pid;
    int status;

    assert_non_null(said);
    pid = process_start(&(struct process_options){
        .argv = argv, .out_fd = fileno(said), .err_fd = fileno(said)});
    assert_true(pid > 0);
    (void)usleep(us); /* the moment is what is tried, not waited for */
    (void)kill(pid, SIGKILL);
    status = process_wait(pid, STUCK_MS);
    if (status != 0 && status != 128 + SIGKILL) {
        (void)fseek(said, -(long)sizeof text + 1, SEEK_END);
        (void)fread(text, 1, sizeof text - 1, said);
        fail_msg("ended with %d: %s", status, text);
    }
    (void)fclose(said);
}

/* In either of its two files. */
static bool has_identity(const char *data)
{
    return is_there(data, "identity") || is_there(data, "identity.copy");
}

static void interrupt_runs(const char *from, const char *to, const char *node)
{
    unsigned rounds = env_number("CLUSTER_ROUNDS", 20);
    struct process_result whole;
    unsigned left = 0;
    struct px_rand rand;

    px_rand_init(&rand, (uint64_t)getpid());
    recover(from, to, &whole); /* to know how long it takes */
    assert_int_equal(whole.status, 0);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned us =
            (unsigned)(px_rand_next(&rand) % (1500u * (whole.ms + 10)));

        if (has_identity(to))
            run_ok(RUN_MS_MAX, "rm", "-r", to, NULL);
        kill_after(from, to, us);
        if (!has_identity(to)) {
            left++;
            no_start_takes(to, node);
        }
    }
    print_message("             %u of %u runs were ended before their end, "
                  "of %u ms each\n",
                  left, rounds, whole.ms);
    if (has_identity(to))
        run_ok(RUN_MS_MAX, "rm", "-r", to, NULL);
}

/* ---- What is there ---- */

static bool holds(int dir, const char *name)
{
    char text[32] = "";
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text);
    (void)close(fd); /* only read */
    assert_int_equal(n, strlen(name));
    assert_memory_equal(text, name, strlen(name));
    return true;
}

static void check_writer(const struct writers *w, int writer, unsigned in_log,
                         int dir)
{
    unsigned begun = atomic_load(&w->begun[writer]);
    char name[32];

    assert_true(in_log <= begun);
    for (unsigned i = 0; i < begun; i++) {
        name_of(name, writer, i);
        if (holds(dir, name) != (i < in_log))
            fail_msg("%s is %s", name, i < in_log ? "lost" : "new");
    }
}

static void print_writers(const struct writers *w,
                          const unsigned in_log[WRITERS])
{
    for (int i = 0; i < WRITERS; i++)
        print_message("             writer %d: %u begun, %u acknowledged, %u "
                      "held\n",
                      i, atomic_load(&w->begun[i]), atomic_load(&w->acked[i]),
                      in_log[i]);
}

static void check_files(struct cluster *c, int node, const struct writers *w,
                        const unsigned in_log[WRITERS])
{
    int dir = cluster_open_mount(c, node);
    char name[32];

    assert_return_code(dir, -dir);
    for (unsigned i = 0; i < CALM_FILES; i++) {
        (void)snprintf(name, sizeof name, "calm-%u", i);
        if (!holds(dir, name))
            fail_msg("%s is lost", name);
    }
    for (int i = 0; i < WRITERS; i++)
        check_writer(w, i, in_log[i], dir);
    assert_return_code(put(dir, "after"), errno);
    (void)close(dir);
}

/* Of nodes 0 and 1, which are left. */
static int better_of_two(const struct cluster *c)
{
    struct place last[2];

    for (int i = 0; i < 2; i++)
        last[i] = last_entry(cluster_data(c, i));
    return is_better(last[1], last[0]) ? 1 : 0;
}

static void make(const struct cluster *c, int node, const char *to)
{
    struct process_result r;
    char name[24];

    (void)snprintf(name, sizeof name, "node-%d", node);
    recover_fails(cluster_dir(c), to, "is not a data folder of a node");
    interrupt_runs(cluster_data(c, node), to, name);
    recover(cluster_data(c, node), to, &r);
    if (r.status != 0)
        fail_msg("status %d: %s", r.status, r.err);
    recover_fails(cluster_data(c, node), to, "is a node's data folder already");
}

/* What a node is started with from now on, besides the rest. */
static char texts[NODES][4][GUARD_PATH_MAX + 32];
static const char *settings[NODES][8];

static struct cluster *start(int nodes)
{
    struct cluster_options options = {.nodes = nodes};

    memset(settings, 0, sizeof settings);
    for (int i = 0; i < nodes; i++)
        options.settings[i] = settings[i];
    return cluster_start(&options);
}

/* Where gossip of the new cluster is: apart from the old one's. */
static void tell_gossip(int node, unsigned port)
{
    (void)snprintf(texts[node][0], sizeof texts[0][0], "BIND_PORT=%u", port);
    settings[node][0] = texts[node][0];
    settings[node][1] = "PEERS=";
}

/* A node that is new, in the place of one that is gone, comes by gossip alone,
 * and holds all that the first one does. */
static void add_node(struct cluster *c, int node, unsigned port,
                     const struct writers *w, const unsigned in_log[WRITERS])
{
    tell_gossip(node, port);
    (void)snprintf(texts[node][1], sizeof texts[0][0], "SEEDS=127.0.0.1:%u",
                   port);
    (void)snprintf(texts[node][2], sizeof texts[0][0], "NODE_ID=new-%d", node);
    settings[node][2] = texts[node][1];
    settings[node][3] = texts[node][2];
    cluster_restart(c, node);
    cluster_wait_ready(c, node);
    check_files(c, node, w, in_log);
}

/* An empty folder does not make a new node of an old one. */
static void old_name_is_refused(struct cluster *c, int node, unsigned port)
{
    run_ok(RUN_MS_MAX, "rm", "-r", cluster_data(c, node), NULL);
    tell_gossip(node, port);
    (void)snprintf(texts[node][1], sizeof texts[0][0], "SEEDS=127.0.0.1:%u",
                   port);
    settings[node][2] = texts[node][1];
    cluster_restart(c, node);
    assert_int_equal(cluster_wait_end(c, node), 1);
}

static void one_node_that_is_left_goes_on_alone(void **state)
{
    struct cluster *c = start(NODES);
    char to[GUARD_PATH_MAX + 8], other[GUARD_PATH_MAX + 8];
    unsigned in_log[WRITERS] = {0};
    unsigned port = free_gossip_port();
    struct writers *w;
    int best;

    (void)state;
    (void)snprintf(to, sizeof to, "%s/new", cluster_dir(c));
    (void)snprintf(other, sizeof other, "%s/other", cluster_dir(c));
    write_calmly(c);
    w = storm(c);
    for (int i = 2; i < NODES; i++)
        run_ok(RUN_MS_MAX, "rm", "-r", cluster_data(c, i), NULL);
    best = better_of_two(c);
    read_log(cluster_data(c, best), in_log);
    print_writers(w, in_log);
    make(c, best, to);

    tell_gossip(best, port);
    (void)snprintf(texts[best][1], sizeof texts[0][0], "DATA_DIR=%s", to);
    settings[best][2] = texts[best][1];
    for (int i = 0; i < 2; i++) { /* and once more, as any node */
        cluster_restart(c, best);
        cluster_wait_ready(c, best);
        check_files(c, best, w, in_log);
        recover_fails(to, other, "another process uses the data folder");
        if (i == 0) {
            cluster_signal(c, best, SIGTERM);
            assert_int_equal(cluster_wait_end(c, best), 0);
        }
    }
    for (int i = 2; i < NODES; i++)
        add_node(c, i, port, w, in_log);
    old_name_is_refused(c, 1 - best, port);
    cluster_check_states(c);
    cluster_stop(c);
    (void)munmap(w, sizeof *w);
}

/* ---- A node alone ---- */

/* Changes a bit of its log's second record. */
static void damage_log(const struct cluster *c)
{
    const off_t early = 4096 + 100;
    char path[GUARD_PATH_MAX + 32];
    uint8_t byte;
    int fd;

    (void)snprintf(path, sizeof path, "%s/log/0000000001.log",
                   cluster_data(c, 0));
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(pread(fd, &byte, 1, early), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, early), 1);
    (void)close(fd);
}

/* Nobody can repair its log; but what it had applied is all there. */
static void a_node_alone_with_a_damaged_log_loses_nothing(void **state)
{
    const struct writers nobody = {.report = {0}};
    const unsigned nothing[WRITERS] = {0};
    struct cluster *c = start(1);
    char to[GUARD_PATH_MAX + 8];
    struct process_result r;

    (void)state;
    (void)snprintf(to, sizeof to, "%s/new", cluster_dir(c));
    write_calmly(c);
    cluster_kill_all(c);
    damage_log(c);
    recover(cluster_data(c, 0), to, &r);
    if (r.status != 0)
        fail_msg("status %d: %s", r.status, r.err);
    assert_non_null(strstr(r.out, "WARNING: this node's log is damaged"));
    tell_gossip(0, free_gossip_port());
    (void)snprintf(texts[0][1], sizeof texts[0][0], "DATA_DIR=%s", to);
    settings[0][2] = texts[0][1];
    cluster_restart(c, 0);
    cluster_wait_ready(c, 0);
    check_files(c, 0, &nobody, nothing);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_node_that_is_left_goes_on_alone,
                                  cluster_teardown),
        cmocka_unit_test_teardown(a_node_alone_with_a_damaged_log_loses_nothing,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
