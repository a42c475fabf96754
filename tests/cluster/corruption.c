/* The disk changes bytes of a node that is down: of its log, its snapshot or its
 * state. It starts, and is healthy again by itself, with all that was
 * acknowledged; the others go on meanwhile. From when it is mounted on, each
 * answer of its mount is right: large files are read and the root is listed all
 * the while (watch.h), which may fail, and when it says that it is healthy the
 * load pauses, and its whole tree is what another node's is.
 *
 * CLUSTER_ROUNDS: how many bytes, one after the other, 10. CLUSTER_SEED: which
 * ones. CLUSTER_SLACK_MS: how far a call may overrun its deadline. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/cluster/watch.h"
#include "tests/lib/cluster.h"
#include "tests/lib/load.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 3
#define HEAL_MS_MAX 60000
#define LIVES_MAX 5 /* a supervisor starts it again, so often at most */
#define PATHS_MAX 256
#define FILES 4
#define FILL_MIB 40

struct campaign {
    struct cluster *cluster;
    struct load *load;
    struct watch *watch;
    struct px_rand rand;
    unsigned faulty;  /* rounds in which the log had lost something */
    unsigned lives;   /* starts beyond the first, over all rounds */
    uint64_t answers; /* of mounts whose node was not healthy */
};

/* ---- One byte ---- */

static const char *wanted; /* the end of a file's name */
static char paths[PATHS_MAX][512];
static size_t path_count;

static int add_path(const char *path, const struct stat *st, int type,
                    struct FTW *place)
{
    size_t size = strlen(path);

    (void)st;
    (void)place;
    if (type == FTW_F && path_count < PATHS_MAX && size < sizeof paths[0] &&
        size > strlen(wanted) &&
        strcmp(path + size - strlen(wanted), wanted) == 0)
        memcpy(paths[path_count++], path, size + 1);
    return 0;
}

/* Up to its last byte that is not zero: a log is preallocated. */
static uint64_t used_bytes(int fd)
{
    static uint8_t block[1 << 16];
    struct stat st;
    off_t at;

    assert_return_code(fstat(fd, &st), errno);
    for (at = st.st_size; at > 0;) {
        off_t from = at > (off_t)sizeof block ? at - (off_t)sizeof block : 0;
        ssize_t n = pread(fd, block, (size_t)(at - from), from);

        assert_int_equal(n, at - from);
        while (n > 0 && block[n - 1] == 0)
            n--;
        if (n > 0)
            return (uint64_t)(from + n);
        at = from;
    }
    return 0;
}

static void flip_bit(struct campaign *k, const char *path, uint64_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_return_code(fd, errno);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= (uint8_t)(1u << px_rand_below(&k->rand, 8));
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    assert_return_code(fsync(fd), errno);
    (void)close(fd);
    print_message("%s, byte %" PRIu64 "\n", path, at);
}

/* Flips a bit of a file below @dir whose name ends in @end; false: there is
 * none. */
static bool flip_one(struct campaign *k, const char *dir, const char *end)
{
    const char *path;
    uint64_t used;
    int fd;

    wanted = end;
    path_count = 0;
    assert_return_code(nftw(dir, add_path, 16, FTW_PHYS), errno);
    if (path_count == 0)
        return false;
    path = paths[px_rand_below(&k->rand, path_count)];
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    used = used_bytes(fd);
    (void)close(fd);
    flip_bit(k, path, px_rand_below(&k->rand, used));
    return true;
}

static void flip(struct campaign *k, const char *dir)
{
    static const char *const kinds[] = {".log", ".log", ".snap", "data.mdb"};
    const char *kind = kinds[px_rand_below(&k->rand, 4)];

    if (!flip_one(k, dir, kind))
        assert_true(flip_one(k, dir, ".log"));
}

/* ---- One node ---- */

/* As a supervisor would: started again when it ends. */
static void wait_healthy(struct campaign *k, int i)
{
    uint64_t deadline = now_ms() + HEAL_MS_MAX;
    int lives = 1;

    while (!cluster_is_ready(k->cluster, i)) {
        if (cluster_has_ended(k->cluster, i) != -EAGAIN) {
            if (++lives > LIVES_MAX)
                fail_msg("node %d ended %d times", i, lives - 1);
            k->lives++;
            cluster_restart(k->cluster, i);
        }
        if (now_ms() > deadline)
            fail_msg("node %d is not healthy after %d ms", i, HEAL_MS_MAX);
        pause_ms(20);
    }
}

/* How often it has come up without all of its log. */
static unsigned times_faulty(const struct cluster *c, int i)
{
    struct process_result r;
    const char *const argv[] = {"grep", "-c",
                                "log: faulty:", cluster_notes(c, i), NULL};

    process_run(&(struct process_options){.argv = argv}, HEAL_MS_MAX, &r);
    return (unsigned)strtoul(r.out, NULL, 10);
}

static bool may_fail(int error)
{
    return error == EIO || error == EAGAIN || error == ETIMEDOUT ||
           error == ENOTCONN || error == ECONNABORTED;
}

/* All that it holds can be read. Bytes that are damaged end the node, and are
 * healed by its next start. */
static struct tree read_all(struct campaign *k, int i)
{
    struct tree t;
    int rc = -EIO;

    for (int tries = 0; rc < 0 && tries < LIVES_MAX; tries++) {
        int mount;

        wait_healthy(k, i);
        mount = cluster_open_mount(k->cluster, i);
        if (mount < 0)
            continue;
        rc = tree_digest(mount, &t);
        (void)close(mount);
        if (rc < 0 && !may_fail(-rc))
            break;
    }
    if (rc < 0)
        fail_msg("node %d can't be read: %s", i, strerror(-rc));
    return t;
}

static void check_equal(const struct tree *a, const struct tree *b)
{
    assert_true(a->entries > 0);
    assert_int_equal(a->entries, b->entries);
    assert_int_equal(a->bytes, b->bytes);
    assert_true(a->digest == b->digest);
}

/* It has what another has, while nobody changes anything. */
static void compare_all(struct campaign *k, int i)
{
    struct tree healed, other;

    load_pause(k->load);
    healed = read_all(k, i);
    other = read_all(k, (i + 1) % NODES);
    check_equal(&healed, &other);
    load_resume(k->load);
}

static void note_names(struct campaign *k, int i)
{
    int mount = cluster_open_mount(k->cluster, i);

    assert_return_code(mount, -mount);
    watch_note_names(k->watch, mount);
    (void)close(mount);
}

static void begin_watch(struct campaign *k, int i)
{
    watch_begin(k->watch,
                &(struct watch_options){
                    .path = cluster_mount(k->cluster, i),
                    .request_ms_max = cluster_request_timeout_ms(k->cluster),
                    .slack_ms = env_number("CLUSTER_SLACK_MS", 1000),
                    .may_break = true});
}

static void one_round(struct campaign *k)
{
    int i = (int)px_rand_below(&k->rand, NODES);
    uint64_t answers = watch_answers(k->watch);
    unsigned before;

    note_names(k, i);
    load_down(k->load, i);
    cluster_kill(k->cluster, i);
    flip(k, cluster_data(k->cluster, i));
    before = times_faulty(k->cluster, i);
    begin_watch(k, i);
    cluster_restart(k->cluster, i);
    wait_healthy(k, i);
    k->answers += watch_answers(k->watch) - answers;
    compare_all(k, i);
    watch_end(k->watch);
    k->faulty += times_faulty(k->cluster, i) > before;
    load_up(k->load, i);
    load_wait_writes(k->load, 100);
    load_check_so_far(k->load);
}

/* ---- All of them ---- */

/* Enough that there are snapshots, and more than one segment. */
static struct watch *fill(struct cluster *c)
{
    struct watch *w = watch_new(FILES);
    int mount = cluster_open_mount(c, 0);
    struct px_rand rand;

    assert_return_code(mount, -mount);
    px_rand_init(&rand, 1);
    watch_write(w, mount, FILL_MIB, &rand);
    (void)close(mount); /* was only a way in */
    return w;
}

static void check_trees_are_equal(struct cluster *c)
{
    struct tree first = {0};

    for (int i = 0; i < NODES; i++) {
        struct tree t = {0};
        int mount = cluster_open_mount(c, i);

        assert_return_code(mount, -mount);
        assert_int_equal(tree_digest(mount, &t), 0);
        (void)close(mount);
        if (i == 0)
            first = t;
        check_equal(&t, &first);
    }
}

static void a_changed_byte_is_healed_and_never_shown(void **state)
{
    unsigned rounds = env_number("CLUSTER_ROUNDS", 10);
    unsigned seed = env_number("CLUSTER_SEED", (unsigned)getpid());
    struct load_options options = {
        .mount_count = NODES, .writers = 3, .readers = 2};
    struct campaign k = {0};
    int mount;

    (void)state;
    px_rand_init(&k.rand, seed);
    print_message("CLUSTER_SEED=%u\n", seed);
    k.cluster = cluster_start(&(struct cluster_options){
        .nodes = NODES, .snapshot_mib = 16, .seconds_max = 240 + 60 * rounds});
    options.call_ms_max = cluster_request_timeout_ms(k.cluster) +
                          env_number("CLUSTER_SLACK_MS", 1000);
    for (int i = 0; i < NODES; i++)
        options.mounts[i] = cluster_mount(k.cluster, i);
    k.watch = fill(k.cluster);
    k.load = load_start(&options);
    load_wait_writes(k.load, 200);
    for (unsigned round = 0; round < rounds; round++)
        one_round(&k);
    load_stop(k.load);
    load_print(k.load);
    print_message("             %u rounds, %u nodes faulty, %u started again, "
                  "%" PRIu64 " answers before one was healthy\n",
                  rounds, k.faulty, k.lives, k.answers);
    watch_print(k.watch);

    cluster_wait_all_ready(k.cluster);
    for (int i = 0; i < NODES; i++) {
        mount = cluster_open_mount(k.cluster, i);
        assert_return_code(mount, -mount);
        load_check(k.load, mount);
        (void)close(mount);
    }
    check_trees_are_equal(k.cluster);
    cluster_stop(k.cluster);
    load_free(k.load);
    watch_free(k.watch);
}

/* ---- Nobody to repair it ---- */

/* Its first segment's first record but one. */
#define EARLY (4096u + 100u)

/* Kills all, damages the logs of the first @damaged, and starts all again. */
static void damage_early(struct campaign *k, int nodes, int damaged)
{
    char path[512];

    cluster_kill_all(k->cluster);
    for (int i = 0; i < damaged; i++) {
        (void)snprintf(path, sizeof path, "%s/log/0000000001.log",
                       cluster_data(k->cluster, i));
        flip_bit(k, path, EARLY);
    }
    for (int i = 0; i < nodes; i++)
        cluster_restart(k->cluster, i);
}

/* In its head, which is looked at first: it is none any more. */
static void damage_snapshots(struct campaign *k)
{
    wanted = ".snap";
    path_count = 0;
    assert_return_code(
        nftw(cluster_data(k->cluster, 0), add_path, 16, FTW_PHYS), errno);
    assert_true(path_count > 0);
    for (size_t i = 0; i < path_count; i++)
        flip_bit(k, paths[i], 100);
}

/* Until the log begins behind a snapshot: what is covered goes with a write. */
static void write_until_cut(struct cluster *c)
{
    uint64_t deadline = now_ms() + HEAL_MS_MAX;
    int mount = cluster_open_mount(c, 0);
    char path[512];

    assert_return_code(mount, -mount);
    (void)snprintf(path, sizeof path, "%s/log/0000000001.log",
                   cluster_data(c, 0));
    while (access(path, F_OK) == 0) {
        int fd = openat(mount, "small", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_return_code(fd, errno);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_return_code(close(fd), errno);
        assert_true(now_ms() < deadline);
        pause_ms(20);
    }
    (void)close(mount);
}

/* Its log goes back no further than the snapshot; its state does. */
static void a_node_alone_needs_no_snapshot_beside_its_state(void **state)
{
    struct tree before = {0}, after = {0};
    struct campaign k = {0};
    int mount;

    (void)state;
    k.cluster = cluster_start(
        &(struct cluster_options){.nodes = 1, .snapshot_mib = 16});
    watch_free(fill(k.cluster));
    write_until_cut(k.cluster);
    mount = cluster_open_mount(k.cluster, 0);
    assert_return_code(mount, -mount);
    assert_int_equal(tree_digest(mount, &before), 0);
    (void)close(mount);
    cluster_kill_all(k.cluster);
    damage_snapshots(&k);
    cluster_restart(k.cluster, 0);
    cluster_wait_ready(k.cluster, 0);
    mount = cluster_open_mount(k.cluster, 0);
    assert_return_code(mount, -mount);
    assert_int_equal(tree_digest(mount, &after), 0);
    (void)close(mount);
    assert_int_equal(after.entries, before.entries);
    assert_true(after.digest == before.digest);
    assert_int_equal(times_faulty(k.cluster, 0), 0);
    cluster_stop(k.cluster);
}

static void wait_for_words(struct cluster *c, int i, const char *words)
{
    uint64_t deadline = now_ms() + HEAL_MS_MAX;
    char text[4096] = "";

    while (cluster_get(c, i, "/health", text, sizeof text) != 503 ||
           strstr(text, words) == NULL) {
        if (now_ms() > deadline)
            fail_msg("node %d says %s, not %s", i, text, words);
        pause_ms(20);
    }
}

static void a_node_alone_waits_and_says_why(void **state)
{
    struct campaign k = {0};

    (void)state;
    k.cluster = cluster_start(&(struct cluster_options){.nodes = 1});
    damage_early(&k, 1, 1);
    wait_for_words(k.cluster, 0, "its log to be repaired by nobody");
    wait_for_words(k.cluster, 0, "0000000001.log is damaged at offset 4");
    cluster_stop(k.cluster);
}

static void a_majority_that_forgot_elects_nobody_and_says_why(void **state)
{
    struct campaign k = {0};

    (void)state;
    k.cluster = cluster_start(&(struct cluster_options){.nodes = NODES});
    damage_early(&k, NODES, NODES - 1);
    for (int i = 0; i < NODES - 1; i++)
        wait_for_words(k.cluster, i,
                       "its log to be repaired by a leader: reaches 3 of 3");
    wait_for_words(k.cluster, NODES - 1, "a leader: reaches 3 of 3");
    /* For as long as there might have been an election. */
    for (int looks = 0; looks < 20; looks++) {
        for (int i = 0; i < NODES; i++)
            assert_false(cluster_is_ready(k.cluster, i));
        pause_ms(100);
    }
    cluster_stop(k.cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_changed_byte_is_healed_and_never_shown,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            a_node_alone_needs_no_snapshot_beside_its_state, cluster_teardown),
        cmocka_unit_test_teardown(a_node_alone_waits_and_says_why,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            a_majority_that_forgot_elects_nobody_and_says_why,
            cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
