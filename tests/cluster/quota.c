/* A cluster with a quota of a few MiB, filled and emptied many times: what is
 * below the quota fits, the database does not grow, and nothing needs help.
 *
 * QUOTA_ROUNDS: how many times, 100. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 3
#define QUOTA_BYTES (16u << 20)
#define BLOCK_BYTES (256u << 10)
#define RUN_MS_MAX 60000

static const uint8_t block[BLOCK_BYTES];

static int root_of(const struct cluster *c, int i)
{
    int root = cluster_open_mount(c, i);

    assert_true(root >= 0);
    return root;
}

/* Writes blocks to a new file until the mount is full; returns the bytes. */
static uint64_t write_until_full(int root, const char *name)
{
    int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t bytes = 0;
    ssize_t n;

    assert_return_code(fd, errno);
    while ((n = write(fd, block, sizeof block)) == (ssize_t)sizeof block)
        bytes += sizeof block;
    assert_int_equal(n, -1);
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
    return bytes;
}

static uint64_t free_bytes(int root)
{
    struct statvfs st;

    assert_return_code(fstatvfs(root, &st), errno);
    return st.f_bfree * st.f_frsize;
}

/* Of the largest of the databases. */
static uint64_t database_bytes(const struct cluster *c)
{
    uint64_t most = 0;

    for (int i = 0; i < NODES; i++) {
        char command[GUARD_PATH_MAX + 64];
        const char *const argv[] = {"sh", "-c", command, NULL};
        struct process_result r;
        unsigned long long bytes;

        (void)snprintf(command, sizeof command,
                       "find %s -name data.mdb -printf '%%s\\n' | sort -n | "
                       "tail -n 1",
                       cluster_data(c, i));
        process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
        assert_int_equal(sscanf(r.out, "%llu", &bytes), 1);
        if (bytes > most)
            most = bytes;
    }
    return most;
}

/* Fills by one node, empties by another. */
static void fill_and_empty(const struct cluster *c, unsigned round)
{
    int filler = root_of(c, (int)(round % NODES));
    int remover = root_of(c, (int)((round + 1) % NODES));
    char name[32];
    uint64_t bytes;

    (void)snprintf(name, sizeof name, "fill-%u", round);
    bytes = write_until_full(filler, name);
    /* All but what the costs of chunks and a last block are. */
    assert_true(bytes + QUOTA_BYTES / 16 + 2 * BLOCK_BYTES > QUOTA_BYTES);
    assert_true(free_bytes(filler) < BLOCK_BYTES + QUOTA_BYTES / 16);
    assert_return_code(unlinkat(remover, name, 0), errno);
    (void)close(filler);
    (void)close(remover);
}

static void filling_and_emptying_needs_nobody(void **state)
{
    unsigned rounds = env_number("QUOTA_ROUNDS", 100);
    struct cluster *c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .seconds_max = 300 + 10 * rounds});
    uint64_t early = 0;

    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c", "echo 16M > $0/.phalanx/quota",
           cluster_mount(c, 1), NULL);
    for (unsigned round = 0; round < rounds; round++) {
        fill_and_empty(c, round);
        if (round == rounds / 10)
            early = database_bytes(c);
    }
    assert_true(early < 4 * (uint64_t)QUOTA_BYTES);
    assert_true(database_bytes(c) < early + early / 4);
    cluster_check_runs(c);
    cluster_check_states(c);
    cluster_stop(c);
}

/* What is removed can be replaced at once, though it is freed a moment later.*/
static void what_was_removed_makes_room_for_what_comes_next(void **state)
{
    struct cluster *c =
        cluster_start(&(struct cluster_options){.nodes = NODES});
    int root = root_of(c, 0);

    (void)state;
    run_ok(RUN_MS_MAX, "sh", "-c", "echo 16M > $0/.phalanx/quota",
           cluster_mount(c, 0), NULL);
    (void)write_until_full(root, "old");
    (void)close(root);
    for (int i = 0; i < 5; i++)
        run_ok(RUN_MS_MAX, "sh", "-c",
               "rm $0/old && dd if=/dev/zero of=$0/old bs=1M count=14 "
               "2>/dev/null",
               cluster_mount(c, i % NODES), NULL);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(filling_and_emptying_needs_nobody,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            what_was_removed_makes_room_for_what_comes_next, cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
