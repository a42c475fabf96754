/* One node's state is changed behind its back, so that nothing in it shows it:
 * found by comparison with the others, not shown, and rebuilt by itself.
 *
 * DIVERGE_TEST_MIB: what a state holds, 64, so that it takes a moment to
 * replace. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
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
#include "store/boot.h"
#include "store/state_core.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/tree.h"
#include "tests/lib/worker.h"

#define NODES 3
#define BLOCK_BYTES (1u << 20)
#define GENERATIONS_MAX 16u
#define PAGE_BYTES_MAX 32768
#define FOUND_WRITES_MAX (3 * STORE_HASH_EVERY)
#define HEAL_MS_MAX 60000
#define LOOK_WRITES 16u
#define LOOK_MS 10
#define RIGHT_MODE 0644u
#define WRONG_MODE 0604u

/* ---- What a node says ---- */

static json_t *page(struct cluster *c, int i, const char *path)
{
    static char text[PAGE_BYTES_MAX];
    json_error_t error;
    json_t *json;
    int status = cluster_get(c, i, path, text, sizeof text);

    if (status != 200 && status != 503)
        fail_msg("node %d answers %d", i, status);
    json = json_loads(text, 0, &error);
    if (json == NULL)
        fail_msg("not JSON: %s", error.text);
    return json;
}

static uint64_t count_of(struct cluster *c, int i, const char *counter)
{
    json_t *json = page(c, i, "/debug/status");
    const json_t *value =
        json_object_get(json_object_get(json, "counters"), counter);
    uint64_t count;

    assert_non_null(value);
    count = (uint64_t)json_integer_value(value);
    json_decref(json);
    return count;
}

static bool is_quarantined(struct cluster *c, int i)
{
    json_t *json = page(c, i, "/health");
    const json_t *why = json_object_get(json, "quarantined");
    bool is = json_is_string(why);

    if (is) {
        assert_true(json_is_false(json_object_get(json, "healthy")));
        assert_non_null(strstr(json_string_value(why), "the others have"));
    }
    json_decref(json);
    return is;
}

/* ---- What is done to it ---- */

static void newest_state(const struct cluster *c, int i, char path[512])
{
    path[0] = '\0';
    for (unsigned g = GENERATIONS_MAX; g > 0; g--) {
        (void)snprintf(path, 512, "%s/state/%u", cluster_data(c, i), g);
        if (access(path, F_OK) == 0)
            return;
    }
    fail_msg("node %d has no state", i);
}

/* "value" gets another mode, with all sums as if a command had done it. The
 * node is down. */
static void change_behind_its_back(struct cluster *c, int i)
{
    char path[512], boot_id[STORE_BOOT_ID_BYTES_MAX + 1], why[256];
    const struct store_state_options options = {.dir = path,
                                                .boot_id = boot_id};
    enum store_state_origin origin;
    struct store_state *s;
    struct name_record name;
    struct inode file;

    newest_state(c, i, path);
    assert_int_equal(store_boot_id(boot_id), 0);
    assert_int_equal(store_state_open(&options, &s, &origin, why, sizeof why),
                     0);
    assert_int_equal(origin, STORE_STATE_KEPT);
    assert_int_equal(store_apply_begin(s), 0);
    assert_true(store_name_load(&s->apply.kv, STORE_ROOT_INODE,
                                (struct command_name){"value", 5}, &name));
    assert_true(store_inode_load(&s->apply.kv, name.inode, &file));
    file.rec.mode = S_IFREG | WRONG_MODE;
    store_inode_save(&s->apply.kv, &file);
    assert_int_equal(store_apply_commit(s), 0);
    assert_int_equal(store_state_close(s), 0);
}

/* ---- What programs see ---- */

/* Permissions; -errno. */
static int mode_of_value(struct cluster *c, int i)
{
    int mount = cluster_open_mount(c, i);
    struct stat st;
    int rc;

    assert_return_code(mount, -mount);
    rc =
        fstatat(mount, "value", &st, 0) < 0 ? -errno : (int)(st.st_mode & 0777);
    (void)close(mount);
    return rc;
}

static void fill(struct cluster *c, int i)
{
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    unsigned mib = env_number("DIVERGE_TEST_MIB", 64);
    int mount = cluster_open_mount(c, i);
    struct px_rand rand;
    int fd;

    assert_return_code(mount, -mount);
    fd = openat(mount, "value", O_WRONLY | O_CREAT | O_CLOEXEC, RIGHT_MODE);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, "right", 5), 5);
    assert_return_code(fchmod(fd, RIGHT_MODE), errno);
    assert_return_code(close(fd), errno);
    fd = openat(mount, "large", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    px_rand_init(&rand, mib);
    for (unsigned m = 0; m < mib; m++) {
        for (size_t b = 0; b < BLOCK_BYTES / sizeof block[0]; b++)
            block[b] = px_rand_next(&rand);
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    }
    assert_return_code(close(fd), errno);
    (void)close(mount);
}

/* @count entries of the log, by way of node @i. */
static void write_entries(struct cluster *c, int i, unsigned count)
{
    int mount = cluster_open_mount(c, i);
    int fd;

    assert_return_code(mount, -mount);
    fd = openat(mount, "small", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(pwrite(fd, &n, sizeof n, 0), sizeof n);
    assert_return_code(close(fd), errno);
    (void)close(mount);
}

/* ---- The course of it ---- */

/* Three nodes; @wrong serves what the others don't have. */
static struct cluster *start_with_wrong(int *wrong_out)
{
    struct cluster *c = cluster_start(
        &(struct cluster_options){.nodes = NODES, .seconds_max = 600});
    int wrong = (cluster_leader(c) + 1) % NODES;

    fill(c, wrong);
    cluster_kill(c, wrong);
    change_behind_its_back(c, wrong);
    cluster_restart(c, wrong);
    cluster_wait_ready(c, wrong);
    assert_int_equal(mode_of_value(c, wrong), WRONG_MODE);
    assert_int_equal(mode_of_value(c, (wrong + 1) % NODES), RIGHT_MODE);
    *wrong_out = wrong;
    return c;
}

/* Until it is found; others are written to. */
static void write_until_found(struct cluster *c, int wrong)
{
    unsigned count = 0;

    while (!is_quarantined(c, wrong)) {
        if (count > FOUND_WRITES_MAX)
            fail_msg("node %d is not found out", wrong);
        write_entries(c, (wrong + 1) % NODES, LOOK_WRITES);
        count += LOOK_WRITES;
    }
}

static void expect_hidden(struct cluster *c, int wrong)
{
    char text[256] = "";
    int mount = cluster_open_mount(c, wrong);
    int fd;

    assert_return_code(mount, -mount);
    assert_int_equal(mode_of_value(c, wrong), -EIO);
    fd = openat(mount, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd < 0 && errno == EIO);
    fd = openat(mount, ".phalanx/health", O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_return_code(close(fd), errno);
    if (strncmp(text, "quarantined: the state at index ", 32) != 0)
        fail_msg("health is: %s", text);
    (void)close(mount);
}

static void wait_healed(struct cluster *c, int wrong)
{
    uint64_t until = now_ms() + HEAL_MS_MAX;

    while (is_quarantined(c, wrong)) {
        if (now_ms() > until)
            fail_msg("node %d does not mend itself", wrong);
        pause_ms(LOOK_MS);
    }
    cluster_wait_ready(c, wrong);
}

static void expect_equal_trees(struct cluster *c)
{
    struct tree first, other;

    for (int i = 0; i < NODES; i++) {
        int mount = cluster_open_mount(c, i);

        assert_return_code(mount, -mount);
        assert_int_equal(mode_of_value(c, i), RIGHT_MODE);
        assert_int_equal(tree_digest(mount, i == 0 ? &first : &other), 0);
        assert_true(i == 0 || other.digest == first.digest);
        (void)close(mount);
    }
}

/* The next comparison finds nothing; and the wrong state is there to be looked
 * at. */
static void expect_whole(struct cluster *c, int wrong)
{
    uint64_t equal = count_of(c, wrong, "hashes_equal");
    uint64_t until = now_ms() + HEAL_MS_MAX;
    char command[640];

    expect_equal_trees(c);
    write_entries(c, wrong, STORE_HASH_EVERY);
    for (int i = 0; i < NODES; i++) {
        assert_false(is_quarantined(c, i));
        assert_true(i == wrong || count_of(c, i, "divergences") == 0);
    }
    while (count_of(c, wrong, "hashes_equal") <= equal) {
        if (now_ms() > until)
            fail_msg("node %d compares nothing", wrong);
        pause_ms(LOOK_MS);
    }
    (void)snprintf(command, sizeof command,
                   "test -f '%s'/state/diverged-*/data.mdb",
                   cluster_data(c, wrong));
    assert_int_equal(system(command), 0);
    expect_equal_trees(c);
}

static void a_follower_that_differs_is_found_hidden_and_rebuilt(void **state)
{
    int wrong;
    struct cluster *c = start_with_wrong(&wrong);

    (void)state;
    write_until_found(c, wrong);
    expect_hidden(c, wrong);
    wait_healed(c, wrong);
    assert_int_equal(count_of(c, wrong, "divergences"), 1);
    assert_int_equal(count_of(c, wrong, "snapshots_installed"), 1);
    expect_whole(c, wrong);
    cluster_stop(c);
}

static void make_leader(struct cluster *c, int wanted)
{
    for (int tries = 0; cluster_leader(c) != wanted; tries++) {
        int leader = cluster_leader(c);

        assert_true(tries < 30);
        cluster_kill(c, leader);
        (void)cluster_leader(c);
        cluster_restart(c, leader);
        cluster_wait_all_ready(c);
    }
}

static void a_leader_that_differs_leads_no_more_and_is_rebuilt(void **state)
{
    int wrong;
    struct cluster *c = start_with_wrong(&wrong);

    (void)state;
    make_leader(c, wrong);
    write_until_found(c, wrong);
    wait_healed(c, wrong);
    assert_int_equal(count_of(c, wrong, "divergences"), 1);
    expect_whole(c, wrong);
    cluster_stop(c);
}

/* As a supervisor would start it again. */
static void a_node_that_dies_in_quarantine_mends_itself_too(void **state)
{
    char mark[512];
    uint64_t until;
    int wrong;
    struct cluster *c = start_with_wrong(&wrong);

    (void)state;
    (void)snprintf(mark, sizeof mark, "%s/state/diverged",
                   cluster_data(c, wrong));
    write_until_found(c, wrong);
    until = now_ms() + HEAL_MS_MAX;
    while (access(mark, F_OK) < 0) {
        if (now_ms() > until)
            fail_msg("node %d does not mark its state", wrong);
        pause_ms(1);
    }
    cluster_kill(c, wrong);
    cluster_restart(c, wrong);
    cluster_wait_ready(c, wrong);
    expect_whole(c, wrong);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(
            a_follower_that_differs_is_found_hidden_and_rebuilt,
            cluster_teardown),
        cmocka_unit_test_teardown(
            a_leader_that_differs_leads_no_more_and_is_rebuilt,
            cluster_teardown),
        cmocka_unit_test_teardown(
            a_node_that_dies_in_quarantine_mends_itself_too, cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
