/* The same keys overwritten, again and again: the log is cut and the database's
 * pages are used again, so that what a node keeps stays in proportion to what
 * there is. The data can't be compressed.
 *
 * ROOM_SECONDS: how long, 15. ROOM_LIVE_MIB: how much data there is, 32.
 * ROOM_SNAPSHOT_MIB: of log, for each snapshot; 0, as here by default: the
 * server's own (64), or 0 < n < 64 to see more of them in less time. The bound
 * is the one for the default. */
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

/* All keys once, then any of them. */
static void overwrite(void *arg, int number)
{
    struct room *room = arg;
    int mount = open(room->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct px_rand rand;

    px_rand_init(&rand, (uint64_t)number + 1);
    while (!atomic_load(&room->report.stop)) {
        uint64_t n = atomic_load(&room->written);
        uint32_t key = n < room->keys
                           ? (uint32_t)n
                           : (uint32_t)px_rand_below(&rand, room->keys);
        int rc = write_key(mount, key, &rand);

        if (rc != 0)
            report_failure(&room->report, "a write failed: errno %d", rc);
        atomic_fetch_add(&room->written, 1);
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

static void overwritten_keys_take_room_in_proportion(void **state)
{
    unsigned seconds = env_number("ROOM_SECONDS", 15);
    unsigned live_mib = env_number("ROOM_LIVE_MIB", 32);
    struct room *room = shared_new(sizeof *room);
    uint64_t live = (uint64_t)live_mib << 20;
    uint64_t bound = 3 * live + ((uint64_t)256 << 20);
    struct folder largest = {.bytes = 0};
    uint64_t end;
    struct cluster *c;
    pid_t pid;

    (void)state;
    c = cluster_start(&(struct cluster_options){
        .nodes = NODES,
        .snapshot_mib = env_number("ROOM_SNAPSHOT_MIB", 0),
        .seconds_max = 300 + 2 * seconds});
    room->mount = cluster_mount(c, cluster_leader(c));
    room->keys = live_mib * KEYS_PER_MIB;
    pid = worker_start(overwrite, room, 0);
    end = now_ms() + seconds * UINT64_C(1000);
    while (now_ms() < end) {
        look_for_larger(c, &largest);
        report_check(&room->report);
        pause_ms(LOOK_MS);
    }
    atomic_store(&room->report.stop, true);
    workers_wait(&pid, 1, cluster_request_timeout_ms(c) + 1000);
    print(c, room, &largest);
    print_message("             %u MiB of keys; the bound is %.0f MiB\n",
                  live_mib, (double)bound / MIB);
    assert_true(atomic_load(&room->written) > room->keys);
    assert_true(largest.bytes < bound);
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
