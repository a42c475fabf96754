/* How nodes find each other, by real processes on one machine: names without
 * addresses, founding by number, waiting, and addresses that change. And who is
 * not taken for a new node: one whose disk was emptied. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"

#define NODES_MAX 4
#define WAIT_MS_MAX 30000
#define LOOK_MS 20
#define RUN_MS_MAX 20000
#define PAGE_BYTES 32768

/* What each node is told besides; lists end with NULL. */
struct told {
    char text[NODES_MAX][5][256];
    const char *list[NODES_MAX][6];
    struct cluster_options options;
};

static struct told told;

static int setup(void **state)
{
    (void)state;
    memset(&told, 0, sizeof told);
    return 0;
}

/* "NAME=value" to node @i. */
static void tell(int i, int place, const char *setting)
{
    (void)snprintf(told.text[i][place], sizeof told.text[0][0], "%s", setting);
    told.list[i][place] = told.text[i][place];
    told.options.settings[i] = told.list[i];
}

/* No PEERS, but four ports of this machine as SEEDS, and @expect. */
static void tell_seeds(int i, unsigned port, unsigned expect)
{
    char text[256];

    tell(i, 0, "PEERS=");
    (void)snprintf(text, sizeof text, "BIND_PORT=%u", port);
    tell(i, 1, text);
    (void)snprintf(text, sizeof text,
                   "SEEDS=127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u",
                   port, port + 1, port + 2, port + 3);
    tell(i, 2, text);
    (void)snprintf(text, sizeof text, "BOOTSTRAP_EXPECT=%u", expect);
    tell(i, 3, text);
}

/* Its page at @path holds @word. */
static void wait_page(struct cluster *c, int i, const char *path,
                      const char *word)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    char text[PAGE_BYTES] = "";

    while (cluster_get(c, i, path, text, sizeof text) < 0 ||
           strstr(text, word) == NULL) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node %d does not say \"%s\" at %s, but: %s", i, word,
                     path, text);
        pause_ms(LOOK_MS);
    }
}

static void notes_have(const struct cluster *c, int i, const char *words)
{
    run_ok(RUN_MS_MAX, "grep", "-qF", words, cluster_notes(c, i), NULL);
}

static void write_at(const struct cluster *c, int i, const char *name)
{
    int mount = cluster_open_mount(c, i);
    int fd;

    assert_true(mount >= 0);
    fd = openat(mount, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    (void)close(fd); /* write has said what counts */
    (void)close(mount);
}

static void is_read_at(const struct cluster *c, int i, const char *name)
{
    int mount = cluster_open_mount(c, i);
    char text[64] = "";
    int fd;

    assert_true(mount >= 0);
    fd = openat(mount, name, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(read(fd, text, sizeof text - 1), strlen(name));
    assert_string_equal(text, name);
    (void)close(fd);
    (void)close(mount);
}

/* Of its identity: the cluster's id, empty if it has none. */
static void cluster_of(const struct cluster *c, int i, char id[32])
{
    char path[GUARD_PATH_MAX + 16];
    json_t *identity;

    (void)snprintf(path, sizeof path, "%s/identity", cluster_data(c, i));
    identity = json_load_file(path, 0, NULL);
    (void)snprintf(id, 32, "%s",
                   identity != NULL
                       ? json_string_value(json_object_get(identity, "cluster"))
                       : "");
    json_decref(identity);
}

static void are_of_one_cluster(const struct cluster *c, int nodes)
{
    char first[32];

    cluster_of(c, 0, first);
    assert_string_not_equal(first, "");
    for (int i = 1; i < nodes; i++) {
        char id[32];

        cluster_of(c, i, id);
        assert_string_equal(id, first);
    }
}

static void bare_names_are_enough_on_one_machine(void **state)
{
    struct cluster *c;

    (void)state;
    told.options.nodes = 3;
    for (int i = 0; i < 3; i++)
        tell(i, 0, "PEERS=node-0,node-1,node-2");
    c = cluster_start(&told.options);
    /* All were told the same port: a busy one has moved. */
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(cluster_number(c, i, "gossip", "port"),
                                 cluster_number(c, k, "gossip", "port"));
    write_at(c, 0, "a");
    is_read_at(c, 1, "a");
    is_read_at(c, 2, "a");
    cluster_stop(c);
}

/* They are where the loopback leads, and nothing else is known of it. */
static void nodes_that_listen_anywhere_find_each_other_here(void **state)
{
    unsigned port = free_gossip_port();
    unsigned ports[2];
    struct cluster *c;

    (void)state;
    free_ports(ports, 2);
    told.options.nodes = 2;
    for (int i = 0; i < 2; i++) {
        char text[64];

        tell_seeds(i, port, 2);
        (void)snprintf(text, sizeof text, "GRPC_ADDR=[::]:%u", ports[i]);
        tell(i, 4, text);
    }
    c = cluster_start(&told.options);
    write_at(c, 0, "a");
    is_read_at(c, 1, "a");
    cluster_stop(c);
}

static void so_many_as_are_expected_found_one_cluster_in_any_order(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {2, 0, 1}, {1, 2, 0}};

    (void)state;
    for (size_t k = 0; k < sizeof orders / sizeof orders[0]; k++) {
        const int *order = orders[k];
        unsigned port = free_gossip_port();
        struct cluster *c;

        told.options.nodes = 3;
        for (int i = 0; i < 3; i++)
            tell_seeds(i, port, 3);
        c = cluster_prepare(&told.options);
        cluster_restart(c, order[0]);
        wait_page(c, order[0], "/health", "waiting for 2 more");
        cluster_restart(c, order[1]);
        wait_page(c, order[0], "/health", "waiting for 1 more");
        wait_page(c, order[1], "/health", "waiting for 1 more");
        cluster_kill(c, order[0]); /* who waits has nothing to lose */
        cluster_restart(c, order[0]);
        cluster_restart(c, order[2]);
        cluster_wait_all_ready(c);
        are_of_one_cluster(c, 3);
        write_at(c, 0, "a");
        is_read_at(c, 2, "a");
        cluster_stop(c);
        (void)cluster_teardown(NULL);
    }
}

/* Started at once, in the hope to make them race. */
static void nodes_that_start_together_never_found_two_clusters(void **state)
{
    struct cluster *c;
    unsigned port = free_gossip_port();

    (void)state;
    told.options.nodes = 2;
    for (int i = 0; i < 2; i++)
        tell_seeds(i, port, 2);
    c = cluster_start(&told.options);
    are_of_one_cluster(c, 2);
    /* All down at once, and up again: the folders decide. */
    cluster_kill_all(c);
    for (int i = 0; i < 2; i++)
        cluster_restart(c, i);
    cluster_wait_all_ready(c);
    are_of_one_cluster(c, 2);
    cluster_stop(c);
}

static void nodes_with_seeds_alone_wait_and_never_found(void **state)
{
    struct cluster *c;
    unsigned port = free_gossip_port();

    (void)state;
    told.options.nodes = 2;
    for (int i = 0; i < 2; i++)
        tell_seeds(i, port, 0);
    c = cluster_prepare(&told.options);
    for (int i = 0; i < 2; i++)
        cluster_restart(c, i);
    for (int i = 0; i < 2; i++) {
        wait_page(c, i, "/debug/status", "\"living\":2");
        wait_page(c, i, "/health", "to found one, set BOOTSTRAP_EXPECT");
        assert_true(cluster_open_mount(c, i) < 0);
        notes_have(c, i, "node: waiting for a member of a cluster");
    }
    for (int i = 0; i < 2; i++) {
        char id[32];

        cluster_signal(c, i, SIGTERM);
        assert_int_equal(cluster_wait_end(c, i), 0);
        cluster_of(c, i, id);
        assert_string_equal(id, "");
    }
    cluster_stop(c);
}

/* The others are told, and don't find out: then it would be counted until it is
 * held for dead, and another in its place would be one too many. */
static void who_is_stopped_while_it_waits_is_counted_no_longer(void **state)
{
    struct cluster *c;
    unsigned port = free_gossip_port();

    (void)state;
    told.options.nodes = 3;
    for (int i = 0; i < 3; i++)
        tell_seeds(i, port, 4);
    c = cluster_prepare(&told.options);
    for (int i = 0; i < 3; i++)
        cluster_restart(c, i);
    for (int i = 0; i < 3; i++)
        wait_page(c, i, "/health", "waiting for 1 more");
    cluster_signal(c, 2, SIGTERM);
    assert_int_equal(cluster_wait_end(c, 2), 0);
    for (int i = 0; i < 2; i++) {
        wait_page(c, i, "/health", "waiting for 2 more");
        notes_have(c, i, "gossip: left node=node-2");
    }
    cluster_stop(c);
}

/* It waited for what is there now, and becomes a member by itself. */
static void who_waits_joins_the_cluster_that_comes(void **state)
{
    struct cluster *c;
    unsigned port = free_gossip_port();

    (void)state;
    told.options.nodes = 4;
    for (int i = 0; i < 4; i++)
        tell_seeds(i, port, i < 3 ? 3 : 0);
    c = cluster_prepare(&told.options);
    cluster_restart(c, 3);
    wait_page(c, 3, "/health", "waiting for a member of a cluster");
    for (int i = 0; i < 3; i++)
        cluster_restart(c, i);
    cluster_wait_all_ready(c);
    are_of_one_cluster(c, 4);
    write_at(c, 3, "a");
    is_read_at(c, 0, "a");
    cluster_stop(c);
}

static void empty_disk(struct cluster *c, int i)
{
    cluster_kill(c, i);
    run_ok(RUN_MS_MAX, "rm", "-r", cluster_data(c, i), NULL);
    cluster_restart(c, i);
}

static void wait_note(struct cluster *c, int i, const char *words)
{
    const char *const argv[] = {"grep", "-qF", words, cluster_notes(c, i),
                                NULL};
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    struct process_result r = {.status = 1};

    while (r.status != 0) {
        cluster_check_runs(c);
        if (now_ms() > deadline)
            fail_msg("node %d does not note: %s", i, words);
        pause_ms(LOOK_MS);
        process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    }
}

/* What it acknowledged is gone: it must not vote as if it had never been. */
static void a_node_with_an_emptied_disk_is_refused_with_a_way_out(void **state)
{
    struct cluster *c;

    (void)state;
    told.options.nodes = 3;
    c = cluster_start(&told.options);
    write_at(c, 2, "a");
    empty_disk(c, 2);
    assert_int_equal(cluster_wait_end(c, 2), 1);
    notes_have(c, 2, "phalanx member remove node-2");
    notes_have(c, 2, "another NODE_ID");
    write_at(c, 0, "b"); /* the others do without */
    is_read_at(c, 1, "b");
    cluster_stop(c);
}

/* It finds nobody: neither where PEERS says, nor by gossip. */
static void tell_nobody(struct cluster *c, int i)
{
    unsigned ports[3];
    char address[64];
    char text[256];

    free_ports(ports, 3);
    cluster_address(c, i, address, sizeof address);
    (void)snprintf(text, sizeof text,
                   "PEERS=node-0=127.0.0.1:%u,node-1=127.0.0.1:%u,node-2=%s",
                   ports[0], ports[1], address);
    tell(i, 0, text);
    (void)snprintf(text, sizeof text, "SEEDS=127.0.0.1:%u", ports[2]);
    tell(i, 1, text);
    (void)snprintf(text, sizeof text, "BIND_PORT=%u", free_gossip_port());
    tell(i, 2, text);
}

/* The leader reaches it before it reaches anybody. Were it sent the log, it would
 * no longer be one whose disk is empty, and be taken back under its old id. */
static void an_emptied_disk_is_not_filled_by_who_dials_it(void **state)
{
    struct cluster *c;

    (void)state;
    told.options.nodes = 3;
    tell(2, 0, "LOG_LEVEL=info"); /* a list to be added to */
    c = cluster_start(&told.options);
    write_at(c, 2, "a");
    tell_nobody(c, 2);
    empty_disk(c, 2);
    for (int i = 0; i < 2; i++)
        wait_note(c, i, "why=\"refused: the node comes with an empty disk");
    cluster_kill(c, 2);
    tell(2, 0, "LOG_LEVEL=info"); /* and nothing else */
    told.list[2][1] = NULL;
    cluster_restart(c, 2);
    assert_int_equal(cluster_wait_end(c, 2), 1);
    notes_have(c, 2, "phalanx member remove node-2");
    write_at(c, 0, "b"); /* the others do without */
    is_read_at(c, 1, "b");
    cluster_stop(c);
}

/* Under a running cluster, until none is where PEERS says. */
static void a_node_that_comes_back_elsewhere_is_reached_there(void **state)
{
    unsigned ports[3];
    struct cluster *c;

    (void)state;
    told.options.nodes = 3;
    for (int i = 0; i < 3; i++)
        tell(i, 0, "LOG_LEVEL=info"); /* a list to be added to */
    c = cluster_start(&told.options);
    free_ports(ports, 3);
    for (int i = 0; i < 3; i++) {
        char text[64];

        cluster_kill(c, i);
        (void)snprintf(text, sizeof text, "GRPC_ADDR=127.0.0.1:%u", ports[i]);
        tell(i, 1, text);
        cluster_restart(c, i);
        cluster_wait_ready(c, i);
        (void)snprintf(text, sizeof text, "127.0.0.1:%u", ports[i]);
        for (int k = 0; k < 3; k++)
            if (k != i) /* where it is, and no longer where it was */
                wait_page(c, k, "/debug/status", text);
        write_at(c, i, "a");
        is_read_at(c, (i + 1) % 3, "a");
    }
    cluster_stop(c);
}

/* Each goes on as it was. */
static void clusters_of_one_name_are_told_apart_and_noted(void **state)
{
    struct cluster *c;

    (void)state;
    told.options.nodes = 2;
    for (int i = 0; i < 2; i++)
        tell(i, 0, "PEERS="); /* each is alone */
    c = cluster_start(&told.options);
    for (int i = 0; i < 2; i++) {
        wait_note(c, i, "give one of them another CLUSTER");
        assert_int_equal(cluster_number(c, i, "gossip", "living"), 2);
    }
    write_at(c, 0, "a");
    write_at(c, 1, "b");
    cluster_stop(c);
}

static void nodes_of_one_name_are_noted(void **state)
{
    struct cluster *c;

    (void)state;
    told.options.nodes = 2;
    for (int i = 0; i < 2; i++) {
        tell(i, 0, "PEERS=");
        tell(i, 1, "NODE_ID=twin");
    }
    c = cluster_start(&told.options);
    for (int i = 0; i < 2; i++)
        wait_note(c, i, "give one of them another NODE_ID");
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bare_names_are_enough_on_one_machine,
                                        setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(
            nodes_that_listen_anywhere_find_each_other_here, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            so_many_as_are_expected_found_one_cluster_in_any_order, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            nodes_that_start_together_never_found_two_clusters, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            nodes_with_seeds_alone_wait_and_never_found, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            who_is_stopped_while_it_waits_is_counted_no_longer, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(who_waits_joins_the_cluster_that_comes,
                                        setup, cluster_teardown),
        cmocka_unit_test_setup_teardown(
            a_node_with_an_emptied_disk_is_refused_with_a_way_out, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            an_emptied_disk_is_not_filled_by_who_dials_it, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            a_node_that_comes_back_elsewhere_is_reached_there, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(
            clusters_of_one_name_are_told_apart_and_noted, setup,
            cluster_teardown),
        cmocka_unit_test_setup_teardown(nodes_of_one_name_are_noted, setup,
                                        cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
