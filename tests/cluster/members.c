/* Members come and go: nodes that join with one variable, learners that serve,
 * nodes that are removed, by hand and by themselves. Each node has a host of its
 * own; $PHALANX is the command line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/members.h"
#include "tests/lib/process.h"

#define NODES 6
#define FOUNDERS 3
#define WAIT_MS_MAX 60000
#define SETTINGS_MAX 6
#define NOTES_BYTES_MAX (1 << 20)

static struct netns *hosts;
static char texts[NODES][SETTINGS_MAX][512];
static const char *settings[NODES][SETTINGS_MAX + 1];

/* ---- A cluster of three, and three that may join ---- */

static void set(int i, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set(int i, const char *format, ...)
{
    size_t count = 0;
    va_list args;

    while (settings[i][count] != NULL)
        count++;
    assert_true(count < SETTINGS_MAX);
    va_start(args, format);
    (void)vsnprintf(texts[i][count], sizeof texts[i][count], format, args);
    va_end(args);
    settings[i][count] = texts[i][count];
}

static void set_all(const char *setting)
{
    for (int i = 0; i < NODES; i++)
        set(i, "%s", setting);
}

static void tell_founders(const struct cluster *c)
{
    char peers[400] = "";
    size_t used = 0;
    char address[64];

    for (int i = 0; i < FOUNDERS; i++) {
        cluster_address(c, i, address, sizeof address);
        used += (size_t)snprintf(peers + used, sizeof peers - used,
                                 "%snode-%d=%s", i > 0 ? "," : "", i, address);
    }
    for (int i = 0; i < FOUNDERS; i++)
        set(i, "PEERS=%s", peers);
}

/* SEEDS is all that the others are told of the cluster. */
static void tell_others(void)
{
    char host[NETNS_ADDRESS_BYTES];

    netns_address(0, host);
    for (int i = FOUNDERS; i < NODES; i++) {
        set(i, "PEERS=");
        set(i, "SEEDS=%s", host);
    }
}

/* Three run; @setting, unless it is NULL, is for all. */
static struct cluster *three(const char *setting)
{
    struct cluster_options options = {
        .nodes = NODES, .hosts = hosts, .seconds_max = 600};
    struct cluster *c;

    memset(settings, 0, sizeof settings);
    for (int i = 0; i < NODES; i++)
        options.settings[i] = settings[i];
    c = cluster_prepare(&options);
    tell_founders(c);
    tell_others();
    set_all("BIND_PORT=7946"); /* each has a host of its own */
    if (setting != NULL)
        set_all(setting);
    for (int i = 0; i < FOUNDERS; i++)
        cluster_restart(c, i);
    for (int i = 0; i < FOUNDERS; i++)
        cluster_wait_ready(c, i);
    return c;
}

/* ---- What is asked, and seen ---- */

static struct process_result member(const struct cluster *c, int by,
                                    const char *verb, int who)
{
    const char *program = getenv("PHALANX");
    struct process_result r;
    char address[64], name[16];
    const char *const argv[] = {program, "member", "--address", address,
                                verb,    name,     NULL};

    if (program == NULL)
        fail_msg("PHALANX does not name the command line");
    cluster_address(c, by, address, sizeof address);
    (void)snprintf(name, sizeof name, "node-%d", who);
    member_run(
        &(struct process_options){.argv = argv, .net_fd = netns_fd(hosts, by)},
        WAIT_MS_MAX, &r);
    return r;
}

static void member_ok(const struct cluster *c, int by, const char *verb,
                      int who)
{
    struct process_result r = member(c, by, verb, who);

    if (r.status != 0)
        fail_msg("%s node-%d: %d: %s%s", verb, who, r.status, r.out, r.err);
}

static void member_refused(const struct cluster *c, int by, const char *verb,
                           int who, const char *why)
{
    struct process_result r = member(c, by, verb, who);

    if (r.status != 1 || strstr(r.err, why) == NULL)
        fail_msg("%s node-%d: %d, and not \"%s\": %s%s", verb, who, r.status,
                 why, r.out, r.err);
}

static void wait_for_role(struct cluster *c, int by, int who, const char *role)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    char now[MEMBER_TEXT_BYTES] = "";

    do {
        if (now_ms() > deadline)
            fail_msg("node-%d is \"%s\", not \"%s\"", who, now, role);
        pause_ms(50);
        member_text(c, by, who, "role", now);
    } while (strcmp(now, role) != 0);
}

/* ---- Files ---- */

static void put(const struct cluster *c, int i, const char *name,
                const char *text)
{
    int dir = cluster_open_mount(c, i);
    int fd;

    assert_return_code(dir, -dir);
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_return_code(close(fd), errno);
    (void)close(dir);
}

static void has(const struct cluster *c, int i, const char *name,
                const char *text)
{
    int dir = cluster_open_mount(c, i);
    char found[64] = "";
    int fd;

    assert_return_code(dir, -dir);
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_true(read(fd, found, sizeof found - 1) >= 0);
    assert_string_equal(found, text);
    (void)close(fd);
    (void)close(dir);
}

/* ---- Notes ---- */

static bool has_noted(const struct cluster *c, int i, const char *text)
{
    static char notes[NOTES_BYTES_MAX];
    int fd = open(cluster_notes(c, i), O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_return_code(fd, errno);
    n = read(fd, notes, sizeof notes - 1);
    (void)close(fd);
    assert_true(n >= 0);
    notes[n] = '\0';
    return strstr(notes, text) != NULL;
}

static void ends_saying(struct cluster *c, int i, const char *text)
{
    assert_int_equal(cluster_wait_end(c, i), 1);
    if (!has_noted(c, i, text))
        fail_msg("node-%d has not said \"%s\"", i, text);
}

/* ---- The tests ---- */

static void a_fourth_and_a_fifth_node_join_with_one_variable(void **state)
{
    struct cluster *c = three(NULL);

    (void)state;
    put(c, 0, "before", "old");
    for (int i = 3; i < 5; i++) {
        cluster_restart(c, i);
        cluster_wait_ready(c, i);
        wait_for_role(c, 0, i, "voter");
        has(c, i, "before", "old");
    }
    put(c, 4, "after", "new");
    for (int i = 0; i < 5; i++)
        has(c, i, "after", "new");
    cluster_check_states(c);
    /* Five survive the loss of two. */
    cluster_kill(c, 0);
    cluster_kill(c, 1);
    put(c, 3, "with-three", "x");
    has(c, 4, "with-three", "x");
    cluster_stop(c);
}

static void beyond_max_voters_a_node_is_a_learner_that_serves(void **state)
{
    struct cluster *c = three("MAX_VOTERS=4");

    (void)state;
    cluster_restart(c, 3);
    wait_for_role(c, 0, 3, "voter");
    for (int i = 4; i < NODES; i++) {
        cluster_restart(c, i);
        cluster_wait_ready(c, i);
        put(c, i, "by-any", cluster_mount(c, i));
        has(c, 0, "by-any", cluster_mount(c, i));
        put(c, 0, "by-zero", cluster_mount(c, i));
        has(c, i, "by-zero", cluster_mount(c, i));
        wait_for_role(c, 0, i, "learner");
    }
    cluster_check_states(c);
    cluster_stop(c);
}

static void a_removed_node_ends_and_its_name_is_never_used_again(void **state)
{
    struct cluster *c = three(NULL);
    int gone = (cluster_leader(c) + 1) % FOUNDERS;
    int other = (gone + 1) % FOUNDERS;

    (void)state;
    put(c, gone, "before", "old");
    member_ok(c, other, "remove", gone);
    ends_saying(c, gone, "the cluster has removed this node");
    wait_for_role(c, other, gone, "");
    put(c, other, "after", "new");
    /* Again, and once more with nothing on its disk. */
    cluster_restart(c, gone);
    ends_saying(c, gone, "removed");
    run_ok(WAIT_MS_MAX, "rm", "-r", cluster_data(c, gone), NULL);
    cluster_restart(c, gone);
    ends_saying(c, gone, "removed");
    member_refused(c, other, "add", gone, "never used again");
    has(c, other, "before", "old");
    cluster_stop(c);
}

static void a_leader_that_is_removed_hands_over_first(void **state)
{
    struct cluster *c = three(NULL);
    int gone = cluster_leader(c);
    int other = (gone + 1) % FOUNDERS;

    (void)state;
    member_ok(c, gone, "remove", gone);
    ends_saying(c, gone, "the cluster has removed this node");
    put(c, other, "after", "new");
    cluster_stop(c);
}

static void a_node_that_was_dead_for_long_is_removed(void **state)
{
    struct cluster *c = three("AUTO_REMOVE_AFTER=3");
    int gone = (cluster_leader(c) + 1) % FOUNDERS;
    int other = (gone + 1) % FOUNDERS;

    (void)state;
    cluster_kill(c, gone);
    wait_for_role(c, other, gone, "");
    put(c, other, "after", "new");
    cluster_restart(c, gone);
    ends_saying(c, gone, "the cluster has removed this node");
    cluster_stop(c);
}

static void without_auto_join_a_person_takes_nodes_in(void **state)
{
    struct cluster *c = three("AUTO_JOIN=off");
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    uint64_t elections;
    char text[4096];

    (void)state;
    cluster_restart(c, 3);
    do {
        assert_true(now_ms() < deadline);
        pause_ms(50);
        (void)cluster_get(c, 3, "/health", text, sizeof text);
    } while (strstr(text, "phalanx member add node-3") == NULL);
    assert_true(member_is(c, 0, 3, "role", ""));
    member_ok(c, 1, "add", 3);
    cluster_wait_ready(c, 3);
    put(c, 3, "by-a-learner", "x");
    assert_true(member_is(c, 0, 3, "role", "learner"));
    member_refused(c, 1, "transfer", 3, "promote it first");
    member_ok(c, 2, "promote", 3);
    wait_for_role(c, 0, 3, "voter");
    elections = cluster_number(c, 3, "counters", "elections_won");
    member_ok(c, 0, "transfer", 3);
    assert_true(cluster_number(c, 3, "counters", "elections_won") > elections);
    cluster_stop(c);
}

#define cluster_test(name) cmocka_unit_test_teardown(name, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cluster_test(a_fourth_and_a_fifth_node_join_with_one_variable),
        cluster_test(beyond_max_voters_a_node_is_a_learner_that_serves),
        cluster_test(a_removed_node_ends_and_its_name_is_never_used_again),
        cluster_test(a_leader_that_is_removed_hands_over_first),
        cluster_test(a_node_that_was_dead_for_long_is_removed),
        cluster_test(without_auto_join_a_person_takes_nodes_in),
    };
    int rc;

    hosts = netns_new(NODES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_free(hosts);
    return rc;
}
