/* What a node says of itself, over HTTP and under .phalanx, with a leader and
 * without one. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"

#define NODES 3
#define WAIT_MS_MAX 20000
#define PAGE_BYTES_MAX 32768

/* One JSON object, whole, with a newline at its end. */
static json_t *ask(struct cluster *c, int i, const char *path, int status)
{
    static char text[PAGE_BYTES_MAX];
    json_error_t error;
    json_t *json;

    assert_int_equal(cluster_get(c, i, path, text, sizeof text), status);
    json = json_loads(text, 0, &error);
    if (json == NULL)
        fail_msg("%s is not JSON: %s in \"%s\"", path, error.text, text);
    if (strchr(text, '\n') != text + strlen(text) - 1)
        fail_msg("%s is not one line: \"%s\"", path, text);
    return json;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (text == NULL)
        fail_msg("\"%s\" is not there, or no text", key);
    return text;
}

static void shows(struct cluster *c, int i, const char *file,
                  const char *expected)
{
    struct process_result r;
    char path[512];
    const char *const argv[] = {"cat", path, NULL};

    (void)snprintf(path, sizeof path, "%s/.phalanx/%s", cluster_mount(c, i),
                   file);
    process_run(&(struct process_options){.argv = argv}, WAIT_MS_MAX, &r);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, expected);
}

static bool reaches_all(const json_t *status)
{
    const json_t *peers = json_object_get(status, "peers");
    const json_t *peer;
    size_t i;

    assert_int_equal(json_array_size(peers), NODES - 1);
    json_array_foreach(peers, i, peer)
    {
        if (!json_is_true(json_object_get(peer, "connected")))
            return false;
    }
    return true;
}

/* The status of a node that is in @state and connected to all others: soon
 * after the start, and again after an election that nobody asked for. */
static json_t *status_of_a(struct cluster *c, const char *state)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    json_t *status;

    for (int i = 0; now_ms() < deadline; i = (i + 1) % NODES) {
        status = ask(c, i, "/debug/status", 200);
        if (strcmp(text_of(status, "state"), state) == 0 && reaches_all(status))
            return status;
        json_decref(status);
        pause_ms(20);
    }
    fail_msg("no %s that is connected to all", state);
    return NULL;
}

static void a_leader_knows_how_far_its_peers_are(void **state)
{
    struct cluster *c =
        cluster_start(&(struct cluster_options){.nodes = NODES});
    json_t *status = status_of_a(c, "leader");
    json_t *peer;
    size_t i;

    (void)state;
    assert_string_equal(text_of(status, "leader_id"),
                        text_of(status, "node_id"));
    json_array_foreach(json_object_get(status, "peers"), i, peer)
    {
        assert_string_not_equal(text_of(peer, "state"), "");
        assert_true(json_is_integer(json_object_get(peer, "match")));
        assert_true(json_integer_value(json_object_get(peer, "next")) >
                    json_integer_value(json_object_get(peer, "match")));
    }
    json_decref(status);
    cluster_stop(c);
}

static void a_follower_does_not_know_how_far_its_peers_are(void **state)
{
    struct cluster *c =
        cluster_start(&(struct cluster_options){.nodes = NODES});
    json_t *status = status_of_a(c, "follower");
    json_t *peer;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(status, "peers"), i, peer)
    {
        assert_true(json_is_null(json_object_get(peer, "state")));
        assert_true(json_is_null(json_object_get(peer, "match")));
        assert_true(json_is_null(json_object_get(peer, "next")));
    }
    json_decref(status);
    cluster_stop(c);
}

static void a_node_that_serves_waits_for_nothing(void **state)
{
    struct cluster *c = cluster_start(&(struct cluster_options){.nodes = 1});
    json_t *health = ask(c, 0, "/health", 200);

    (void)state;
    assert_true(json_is_true(json_object_get(health, "healthy")));
    assert_string_equal(text_of(health, "node_id"), "node-0");
    assert_true(json_is_null(json_object_get(health, "waiting_for")));
    json_decref(health);
    shows(c, 0, "health", "ok\n");
    shows(c, 0, "leader", "node-0\n");
    cluster_stop(c);
}

/* Until it has noticed: an election timeout or two. */
static void wait_for_no_leader(struct cluster *c, int i, const char *expected)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    char text[PAGE_BYTES_MAX];

    do {
        if (now_ms() > deadline)
            fail_msg("no \"%s\" in: %s", expected, text);
        pause_ms(20);
        (void)cluster_get(c, i, "/health", text, sizeof text);
    } while (strstr(text, expected) == NULL);
}

static void without_a_leader_health_counts_who_is_reached(void **state)
{
    static const char why[] = "a leader: reaches 1 of 3 voters, needs 2";
    struct cluster *c =
        cluster_start(&(struct cluster_options){.nodes = NODES});
    json_t *page;

    (void)state;
    cluster_kill(c, 1);
    cluster_kill(c, 2);
    wait_for_no_leader(c, 0, why);
    page = ask(c, 0, "/health", 503);
    assert_true(json_is_false(json_object_get(page, "healthy")));
    assert_string_equal(text_of(page, "waiting_for"), why);
    json_decref(page);
    page = ask(c, 0, "/debug/status", 200);
    assert_true(json_is_null(json_object_get(page, "leader_id")));
    assert_string_not_equal(text_of(page, "state"), "leader");
    json_decref(page);
    shows(c, 0, "health",
          "waiting: for a leader: reaches 1 of 3 voters, needs 2\n");
    shows(c, 0, "leader", "none\n");
    cluster_restart(c, 1);
    cluster_restart(c, 2);
    cluster_wait_all_ready(c);
    cluster_stop(c);
}

/* What .phalanx/members is to hold, once gossip has met. */
static void expected_members(const struct cluster *c, char *text, size_t size)
{
    size_t used = 0;

    for (int i = 0; i < NODES; i++) {
        char address[64];

        cluster_address(c, i, address, sizeof address);
        used += (size_t)snprintf(text + used, size - used,
                                 "node-%d voter %s moon alive\n", i, address);
        assert_true(used < size);
    }
}

static void wait_for_members(struct cluster *c, int i, const char *expected)
{
    uint64_t deadline = now_ms() + WAIT_MS_MAX;
    struct process_result r;
    char path[512];
    const char *const argv[] = {"cat", path, NULL};

    (void)snprintf(path, sizeof path, "%s/.phalanx/members",
                   cluster_mount(c, i));
    do {
        process_run(&(struct process_options){.argv = argv}, WAIT_MS_MAX, &r);
        assert_int_equal(r.status, 0);
        if (now_ms() > deadline)
            fail_msg("\"%s\" is not \"%s\"", r.out, expected);
        pause_ms(20);
    } while (strcmp(r.out, expected) != 0);
}

static void every_node_shows_the_members_and_what_gossip_says(void **state)
{
    static const char *const moon[] = {"REGION=moon", NULL};
    struct cluster *c = cluster_start(&(struct cluster_options){
        .nodes = NODES, .settings = {moon, moon, moon}});
    char expected[512];

    (void)state;
    expected_members(c, expected, sizeof expected);
    for (int i = 0; i < NODES; i++) {
        json_t *page, *gossip;

        wait_for_members(c, i, expected);
        page = ask(c, i, "/debug/status", 200);
        gossip = json_object_get(page, "gossip");
        assert_int_equal(json_array_size(json_object_get(page, "members")),
                         NODES);
        assert_true(json_is_true(json_object_get(page, "members_settled")));
        assert_string_equal(text_of(page, "zone"), "moon");
        assert_int_equal(strlen(text_of(page, "cluster")), 16);
        assert_int_equal(json_integer_value(json_object_get(gossip, "living")),
                         NODES);
        assert_true(json_is_integer(
            json_object_get(json_object_get(gossip, "counters"), "malformed")));
        json_decref(page);
    }
    cluster_stop(c);
}

static void a_page_that_is_not_there_names_those_that_are(void **state)
{
    struct cluster *c = cluster_start(&(struct cluster_options){.nodes = 1});
    json_t *answer = ask(c, 0, "/", 404);
    const char *error = text_of(answer, "error");

    (void)state;
    assert_non_null(strstr(error, "/health"));
    assert_non_null(strstr(error, "/debug/status"));
    json_decref(answer);
    cluster_stop(c);
}

#define cluster_test(name) cmocka_unit_test_teardown(name, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cluster_test(a_leader_knows_how_far_its_peers_are),
        cluster_test(a_follower_does_not_know_how_far_its_peers_are),
        cluster_test(a_node_that_serves_waits_for_nothing),
        cluster_test(without_a_leader_health_counts_who_is_reached),
        cluster_test(every_node_shows_the_members_and_what_gossip_says),
        cluster_test(a_page_that_is_not_there_names_those_that_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
