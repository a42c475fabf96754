/* Five nodes, each on another continent or nearly, with the server's own timing:
 * nobody stands for election again once one leads, nobody is held for dead, and
 * what a write and a read take in each region is printed.
 *
 * Round trips are Microsoft's, between its regions nearest to the five cities:
 * South Africa North, UK South, North Central US, Southeast Asia, Germany West
 * Central; the 95th percentile of 30 days to July 30, 2026, of the slower
 * direction. Source: learn.microsoft.com/azure/networking/azure-network-latency
 *
 * REGIONS_SECONDS: how long, 40. REGIONS_PERCENT: round trips of so much of
 * these, 100. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bench/stats.h"
#include "tests/lib/cluster.h"
#include "tests/lib/members.h"
#include "tests/lib/netns.h"
#include "tests/lib/process.h"
#include "tests/lib/relay.h"
#include "tests/lib/worker.h"

#define NODES 5
#define TIMEOUT_MS 16000 /* the server's own for its own timing */
#define JITTER_PERCENT 10
#define UDP_LOSS_PERMILLE 10
#define SAMPLES_MAX 8192
#define PAUSE_MS 200 /* between a client's rounds */
#define LOOK_MS 500
#define NOTES_LINE_BYTES 1024
#define VALUE "a value\n"
#define VALUE_BYTES ((ssize_t)sizeof VALUE - 1)

static const char *const region_names[NODES] = {
    "Johannesburg", "London", "Chicago", "Singapore", "Frankfurt"};

static const char *const settings[NODES][2] = {{"REGION=Johannesburg"},
                                               {"REGION=London"},
                                               {"REGION=Chicago"},
                                               {"REGION=Singapore"},
                                               {"REGION=Frankfurt"}};

/* ms */
static const unsigned round_trips[NODES][NODES] = {
    {0, 169, 241, 211, 174}, {169, 0, 102, 183, 20}, {241, 102, 0, 214, 115},
    {211, 183, 214, 0, 179}, {174, 20, 115, 179, 0},
};

enum what { WRITE, ECHO, CAT, WHATS };

static const char *const what_names[WHATS] = {"write(2)", "echo v > key",
                                              "cat key"};

/* The clients, one in each region. Shared with them. */
struct clients {
    struct report report;
    const char *mounts[NODES];
    struct {
        _Atomic uint32_t count;
        uint32_t us[SAMPLES_MAX];
    } samples[NODES][WHATS];
};

static struct netns *hosts;
static struct relay *relay;

/* ---- A client ---- */

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail on Linux */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void took(struct clients *c, int region, enum what what, uint64_t begin)
{
    uint32_t n = atomic_load(&c->samples[region][what].count);

    if (n == SAMPLES_MAX) {
        report_failure(&c->report, "more than %d samples", SAMPLES_MAX);
        return;
    }
    c->samples[region][what].us[n] = (uint32_t)(now_us() - begin);
    atomic_store(&c->samples[region][what].count, n + 1);
}

static void failed(struct clients *c, int region, enum what what)
{
    report_failure(&c->report, "%s in %s: %s", what_names[what],
                   region_names[region], strerror(errno));
}

static void time_write(struct clients *c, int region, int fd)
{
    uint64_t begin = now_us();

    if (pwrite(fd, VALUE, VALUE_BYTES, 0) == VALUE_BYTES)
        took(c, region, WRITE, begin);
    else
        failed(c, region, WRITE);
}

static void time_echo(struct clients *c, int region, int dir, const char *key)
{
    uint64_t begin = now_us();
    int fd = openat(dir, key, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, VALUE, VALUE_BYTES) != VALUE_BYTES)
        failed(c, region, ECHO);
    if (fd >= 0)
        (void)close(fd); /* write has promised already */
    took(c, region, ECHO, begin);
}

static void time_cat(struct clients *c, int region, int dir, const char *key)
{
    uint64_t begin = now_us();
    int fd = openat(dir, key, O_RDONLY | O_CLOEXEC);
    char text[64];

    if (fd < 0 || read(fd, text, sizeof text) != VALUE_BYTES)
        failed(c, region, CAT);
    if (fd >= 0)
        (void)close(fd); /* read only */
    took(c, region, CAT, begin);
}

static void run_client(void *arg, int region)
{
    struct clients *c = arg;
    char own[32];
    char key[32];
    int dir = mount_open(c->mounts[region]);
    int fd;

    (void)snprintf(own, sizeof own, "own-%d", region);
    (void)snprintf(key, sizeof key, "key-%d", region);
    fd = dir < 0 ? -1 : openat(dir, own, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        failed(c, region, WRITE);
    while (!atomic_load(&c->report.stop)) {
        time_write(c, region, fd);
        time_echo(c, region, dir, key);
        time_cat(c, region, dir, key);
        pause_ms(PAUSE_MS);
    }
}

/* ---- Elections ---- */

/* How often a node has stood for election, or asked whether it might. */
static unsigned count_candidacies(const struct cluster *c)
{
    unsigned count = 0;
    char line[NOTES_LINE_BYTES];

    for (int i = 0; i < NODES; i++) {
        FILE *notes = fopen(cluster_notes(c, i), "re");

        assert_non_null(notes);
        while (fgets(line, sizeof line, notes) != NULL)
            count += strstr(line, "raft: pre-candidate") != NULL;
        (void)fclose(notes); /* read only */
    }
    return count;
}

/* A datagram that is lost makes nobody dead. */
static void check_nobody_is_dead(struct cluster *c, int at)
{
    for (int i = 0; i < NODES; i++) {
        if (member_is(c, at, i, "gossip", "dead"))
            fail_msg("to %s, %s is dead", region_names[at], region_names[i]);
    }
}

static void watch(struct cluster *c, struct clients *clients, unsigned seconds)
{
    uint64_t end = now_ms() + seconds * UINT64_C(1000);
    unsigned candidacies = count_candidacies(c);
    int leader = cluster_leader(c);
    uint64_t term = cluster_number(c, leader, NULL, "term");

    while (now_ms() < end) {
        for (int i = 0; i < NODES; i++) {
            report_check(&clients->report);
            cluster_check_runs(c);
            assert_int_equal(cluster_number(c, i, NULL, "term"), term);
            check_nobody_is_dead(c, i);
            pause_ms(LOOK_MS);
        }
        assert_int_equal(cluster_leader(c), leader);
    }
    assert_int_equal(count_candidacies(c), candidacies);
}

/* ---- The table ---- */

static void print_one(struct clients *c, int region, enum what what)
{
    uint32_t *us = c->samples[region][what].us;
    uint32_t count = c->samples[region][what].count;

    stats_sort(us, count);
    print_message(" %" PRIu32 " | %" PRIu32 " |",
                  (stats_percentile(us, count, 50) + 500) / 1000,
                  (stats_percentile(us, count, 99) + 500) / 1000);
}

static void print_table(struct clients *c, int leader, unsigned percent)
{
    struct relay_counters r;

    print_message("| ms | round trip to the leader |");
    for (int what = 0; what < WHATS; what++)
        print_message(" `%s` p50 | p99 |", what_names[what]);
    print_message(
        " rounds |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < NODES; i++) {
        print_message("| %s%s | %u |", region_names[i],
                      i == leader ? ", leads" : "",
                      round_trips[i][leader] * percent / 100);
        for (int what = 0; what < WHATS; what++)
            print_one(c, i, (enum what)what);
        print_message(" %" PRIu32 " |\n", c->samples[i][CAT].count);
    }
    relay_get_counters(relay, &r);
    print_message(
        "the relay: %" PRIu64 " packets, %" PRIu64
        " datagrams, of these %" PRIu64 " lost as they should; %" PRIu64
        " dropped; at worst %" PRIu64 " ms late\n",
        r.carried, r.datagrams, r.lost, r.dropped, r.late_max / PX_NS_PER_MS);
}

/* ---- The test ---- */

static void start_relay(unsigned percent)
{
    struct wire_options options = {.jitter_percent = JITTER_PERCENT,
                                   .udp_loss_permille = UDP_LOSS_PERMILLE,
                                   .seed = (uint64_t)getpid()};

    for (int i = 0; i < NODES; i++)
        for (int j = 0; j < NODES; j++)
            options.delays[i][j] =
                round_trips[i][j] * PX_NS_PER_MS * percent / 100 / 2;
    relay = relay_start(hosts, &options);
}

static struct cluster *start_cluster(unsigned seconds)
{
    struct cluster_options options = {.nodes = NODES,
                                      .request_timeout_ms = TIMEOUT_MS,
                                      .seconds_max = seconds + 300,
                                      .hosts = hosts};

    for (int i = 0; i < NODES; i++)
        options.settings[i] = settings[i];
    return cluster_start(&options);
}

static void nobody_is_elected_twice_across_continents(void **state)
{
    unsigned seconds = env_number("REGIONS_SECONDS", 40);
    unsigned percent = env_number("REGIONS_PERCENT", 100);
    struct clients *clients = shared_new(sizeof *clients);
    pid_t workers[NODES];
    struct cluster *c;

    (void)state;
    assert_int_equal(setenv("TICK_MS", "200", 1), 0);
    assert_int_equal(setenv("ELECTION", "20", 1), 0);
    assert_int_equal(setenv("HEARTBEAT", "5", 1), 0);
    start_relay(percent);
    c = start_cluster(seconds);
    for (int i = 0; i < NODES; i++)
        clients->mounts[i] = cluster_mount(c, i);
    for (int i = 0; i < NODES; i++)
        workers[i] = worker_start(run_client, clients, i);
    watch(c, clients, seconds);
    atomic_store(&clients->report.stop, true);
    workers_wait(workers, NODES, 3 * TIMEOUT_MS);
    report_check(&clients->report);
    print_table(clients, cluster_leader(c), percent);
    cluster_check_states(c);
    cluster_stop(c);
    relay_stop(relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nobody_is_elected_twice_across_continents,
                                  cluster_teardown),
    };
    int rc;

    hosts = netns_new_apart(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
