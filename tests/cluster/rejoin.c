/* The power fails for all, and the one node that the others were told of stays
 * away: those that are left find each other by what each had kept of the others.
 * Each node has a host of its own. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"

#define NODES 3
#define WAIT_MS_MAX 20000
#define LOOK_MS 20

static struct netns *hosts;

/* ---- Three voters, of which two know the first alone ---- */

static struct cluster *prepare(void)
{
    static const char *const founder[] = {"PEERS=", "BIND_PORT=7946", NULL};
    static char seeds[32];
    static const char *const others[] = {"PEERS=", "BIND_PORT=7946", seeds,
                                         NULL};
    struct cluster_options options = {
        .nodes = NODES, .hosts = hosts, .seconds_max = 120};
    char host[NETNS_ADDRESS_BYTES];

    netns_address(0, host);
    (void)snprintf(seeds, sizeof seeds, "SEEDS=%s", host);
    options.settings[0] = founder;
    for (int i = 1; i < NODES; i++)
        options.settings[i] = others;
    return cluster_prepare(&options);
}

static int voters_as_seen_by(const struct cluster *c, int by)
{
    json_t *status = cluster_status(c, by);
    const json_t *one;
    int voters = 0;
    size_t i;

    json_array_foreach(json_object_get(status, "members"), i, one)
    {
        const char *role = json_string_value(json_object_get(one, "role"));

        voters += role != NULL && strcmp(role, "voter") == 0;
    }
    json_decref(status);
    return voters;
}

static void wait_for_voters(struct cluster *c, int by)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;

    while (voters_as_seen_by(c, by) != NODES) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node-%d does not see %d voters", by, NODES);
        pause_ms(LOOK_MS);
    }
}

/* ---- What is kept ---- */

static void path_of_kept(const struct cluster *c, int i,
                         char path[GUARD_PATH_MAX + 16])
{
    (void)snprintf(path, GUARD_PATH_MAX + 16, "%s/peers", cluster_data(c, i));
}

/* Empty, if there is none. */
static void read_kept(const struct cluster *c, int i, char text[4096])
{
    char path[GUARD_PATH_MAX + 16];
    ssize_t n;
    int fd;

    text[0] = '\0';
    path_of_kept(c, i, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = read(fd, text, 4095);
    (void)close(fd); /* only read */
    assert_true(n >= 0);
    text[n] = '\0';
}

/* It says where the gossip of both others is. */
static bool keeps_the_others(const struct cluster *c, int i)
{
    unsigned found = 0;
    char text[4096];

    read_kept(c, i, text);
    for (int k = 0; k < NODES; k++) {
        char host[NETNS_ADDRESS_BYTES], gossip[64];

        netns_address(k, host);
        (void)snprintf(gossip, sizeof gossip, "\"%s:7946\"", host);
        found += strstr(text, gossip) != NULL;
    }
    return found == NODES - 1;
}

static void wait_until_kept(struct cluster *c, int i)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;

    while (!keeps_the_others(c, i)) {
        if (now_ms() > deadline)
            fail_msg("node-%d does not keep where the others are", i);
        pause_ms(LOOK_MS);
    }
}

/* ---- Files ---- */

static bool put(const struct cluster *c, int i, const char *name)
{
    int dir = cluster_open_mount(c, i);
    ssize_t n = -1;
    int fd;

    if (dir < 0)
        return false;
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    (void)close(dir); /* was only a way in */
    if (fd < 0)
        return false;
    n = write(fd, name, strlen(name));
    (void)close(fd); /* write has said what counts */
    return n == (ssize_t)strlen(name);
}

static void has(const struct cluster *c, int i, const char *name)
{
    int dir = cluster_open_mount(c, i);
    char text[64] = "";
    int fd;

    assert_return_code(dir, -dir);
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_true(read(fd, text, sizeof text - 1) >= 0);
    assert_string_equal(text, name);
    (void)close(fd); /* only read */
    (void)close(dir);
}

static void write_in_time(struct cluster *c, int i, const char *name)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;

    while (!put(c, i, name)) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node-%d has no leader", i);
        pause_ms(LOOK_MS);
    }
}

/* ---- The tests ---- */

static void
members_meet_again_without_the_one_that_they_were_told_of(void **state)
{
    struct cluster *c = prepare();

    (void)state;
    for (int i = 0; i < NODES; i++) {
        cluster_restart(c, i);
        cluster_wait_ready(c, i);
    }
    for (int i = 0; i < NODES; i++)
        wait_for_voters(c, i);
    assert_true(put(c, 1, "before"));
    for (int i = 1; i < NODES; i++)
        wait_until_kept(c, i);
    cluster_kill_all(c);
    /* The state goes by the board, as after a failure of the machine: who the
     * members were is in the log, as numbers. */
    for (int i = 1; i < NODES; i++)
        cluster_restart_with(c, i, "--distrust-state");
    write_in_time(c, 1, "after");
    for (int i = 1; i < NODES; i++) {
        cluster_wait_ready(c, i);
        has(c, i, "before");
        has(c, i, "after");
    }
    cluster_stop(c);
}

/* It is advice: who can't read it goes on without, and writes it anew. */
static void a_damaged_file_is_no_reason_not_to_start(void **state)
{
    static const char damage[] = "{\"format\":1,";
    char path[GUARD_PATH_MAX + 16], text[4096];
    struct cluster *c = prepare();
    int fd;

    (void)state;
    for (int i = 0; i < NODES; i++) {
        cluster_restart(c, i);
        cluster_wait_ready(c, i);
    }
    wait_until_kept(c, 1);
    cluster_kill(c, 1);
    path_of_kept(c, 1, path);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, damage, strlen(damage)), strlen(damage));
    (void)close(fd); /* write has said what counts */
    read_kept(c, 1, text);
    assert_string_equal(text, damage);
    cluster_restart(c, 1);
    cluster_wait_ready(c, 1);
    run_ok(WAIT_MS_MAX, "grep", "-qF",
           "where the other members were is not known", cluster_notes(c, 1),
           NULL);
    wait_until_kept(c, 1);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_damaged_file_is_no_reason_not_to_start,
                                  cluster_teardown),
        cmocka_unit_test_teardown(
            members_meet_again_without_the_one_that_they_were_told_of,
            cluster_teardown),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
