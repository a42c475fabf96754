/* The same keys overwritten, again and again: the log is cut and the database's
 * pages are used again, so that what a node keeps stays in proportion to what
 * there is. The data can't be compressed.
 *
 * The promise is about an hour of it: a data folder stays below three times the
 * data and 256 MiB, which is four times the log that makes a snapshot
 * (SNAPSHOT_MIB, 64). A shortened run stands for the hour: with less data, less
 * log for each snapshot and a bound that is less by the same sum, it writes more
 * than twice the bound. A log that is not cut, or pages that are not used again,
 * pass the bound on the way; and all that there is to keep has come around
 * several times by then, so that more of the same adds nothing.
 * With still less, segments of the log would count, which have at least 5 MiB.
 *
 * ROOM_LIVE_MIB: how much data there is, 16. ROOM_SNAPSHOT_MIB: of log, for each
 * snapshot, 16; the hour's are 256 and 64. ROOM_WRITTEN_MIB: how much is
 * written; 0: a little more than twice the bound. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 3
#define VALUE_BYTES (64u << 10)
#define KEYS_PER_MIB 16u
#define LOOK_MS 20
#define MIB ((double)(1u << 20))

/* Shared with the writer. */
struct room {
    struct report report;
    const char *mount;
    uint32_t keys;
    uint64_t values; /* how many are to be written */
    _Atomic uint64_t written;
};

static int write_key(int mount, uint32_t key, struct px_rand *rand)
{
    static uint64_t value[VALUE_BYTES / sizeof(uint64_t)];
    char name[16];
    int fd, rc = 0;

    for (size_t i = 0; i < VALUE_BYTES / sizeof value[0]; i++)
        value[i] = px_rand_next(rand);
    (void)snprintf(name, sizeof name, "key-%u", key);
    fd = openat(mount, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno;
    if (write(fd, value, sizeof value) != (ssize_t)sizeof value)
        rc = errno;
    (void)close(fd); /* write has said what counts */
    return rc;
}

/* All keys once, then any of them; until that is enough. */
static void overwrite(void *arg, int number)
{
    struct room *room = arg;
    int mount = open(room->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct px_rand rand;

    px_rand_init(&rand, (uint64_t)number + 1);
    for (uint64_t n = 0; n < room->values && !atomic_load(&room->report.stop);
         n++) {
        uint32_t key = n < room->keys
                           ? (uint32_t)n
                           : (uint32_t)px_rand_below(&rand, room->keys);
        int rc = write_key(mount, key, &rand);

        if (rc != 0)
            report_failure(&room->report, "a write failed: errno %d", rc);
        atomic_store(&room->written, n + 1);
    }
}

/* What a data folder holds. */
enum part { LOG, SNAPSHOT, STATE, PARTS };

static const char *const part_names[PARTS] = {"log", "snapshot", "state"};

struct folder {
    uint64_t bytes;
    uint64_t parts[PARTS];
};

static struct folder look_at(struct cluster *c, int i)
{
    struct folder f = {.bytes = tree_disk_bytes(cluster_data(c, i))};
    char path[512];

    for (int p = 0; p < PARTS; p++) {
        (void)snprintf(path, sizeof path, "%s/%s", cluster_data(c, i),
                       part_names[p]);
        f.parts[p] = tree_disk_bytes(path);
    }
    return f;
}

static void look_for_larger(struct cluster *c, struct folder *largest)
{
    for (int i = 0; i < NODES; i++) {
        struct folder f = look_at(c, i);

        if (f.bytes > largest->bytes)
            *largest = f;
    }
}

static void print(struct cluster *c, const struct room *room,
                  const struct folder *f)
{
    print_message("             %.0f MiB written, %u snapshots made; largest "
                  "data folder: %.0f MiB\n",
                  (double)atomic_load(&room->written) * VALUE_BYTES / MIB,
                  (unsigned)cluster_number(c, 0, "counters", "snapshots_saved"),
                  (double)f->bytes / MIB);
    for (int p = 0; p < PARTS; p++)
        print_message("             %s %.0f MiB\n", part_names[p],
                      (double)f->parts[p] / MIB);
}

/* It is the log that makes way: each node has made snapshots, and cut it. */
static void check_logs_are_cut(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        assert_true(cluster_number(c, i, "counters", "snapshots_saved") > 1);
        assert_true(cluster_number(c, i, NULL, "log_first") > 1);
    }
}

/* Looks on until all is written: a writer that is stuck ends with the guard. */
static struct folder write_all(struct cluster *c, struct room *room)
{
    struct folder largest = {.bytes = 0};
    pid_t pid = worker_start(overwrite, room, 0);

    while (atomic_load(&room->written) < room->values) {
        look_for_larger(c, &largest);
        report_check(&room->report);
        cluster_check_runs(c);
        pause_ms(LOOK_MS);
    }
    workers_wait(&pid, 1, cluster_request_timeout_ms(c) + 1000);
    return largest;
}

static void overwritten_keys_take_room_in_proportion(void **state)
{
    unsigned live_mib = env_number("ROOM_LIVE_MIB", 16);
    unsigned snapshot_mib = env_number("ROOM_SNAPSHOT_MIB", 16);
    unsigned bound_mib = 3 * live_mib + 4 * snapshot_mib;
    unsigned written_mib = env_number("ROOM_WRITTEN_MIB", 0);
    struct room *room = shared_new(sizeof *room);
    struct folder largest;
    struct cluster *c;

    (void)state;
    if (written_mib == 0)
        written_mib = 2 * bound_mib + live_mib;
    c = cluster_start(
        &(struct cluster_options){.nodes = NODES,
                                  .snapshot_mib = snapshot_mib,
                                  .seconds_max = 300 + 2 * written_mib});
    room->mount = cluster_mount(c, cluster_leader(c));
    room->keys = live_mib * KEYS_PER_MIB;
    room->values = (uint64_t)written_mib * KEYS_PER_MIB;
    largest = write_all(c, room);
    print(c, room, &largest);
    print_message("             %u MiB of keys; the bound is %u MiB\n",
                  live_mib, bound_mib);
    assert_true(written_mib > 2 * bound_mib);
    assert_true(largest.bytes < (uint64_t)bound_mib << 20);
    check_logs_are_cut(c);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(overwritten_keys_take_room_in_proportion,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
