/* node/bootstrap.c: how a node comes to its cluster, rule by rule, and when one
 * that began empty may vote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "node/bootstrap.h"

#define DRAWN 4711u

static struct config config_with(const char *const *peers, size_t count)
{
    struct config c = {.node = "a",
                       .cluster_name = "blue",
                       .data_dir = "/d",
                       .tick = 100 * PX_NS_PER_MS,
                       .election_ticks = 10};
    const char *names[RAFT_MEMBERS_MAX];

    for (size_t i = 0; i < count; i++) {
        names[i] = peers[i];
        (void)snprintf(c.peers[i].name, sizeof c.peers[i].name, "%s", peers[i]);
        c.peers[i].id = config_id_of(peers[i]);
    }
    c.peer_count = count;
    c.has_peers = count > 1;
    if (count > 0)
        c.cluster = config_cluster_id("blue", names, count);
    return c;
}

#define PEERS(...)                                  \
    config_with((const char *const[]){__VA_ARGS__}, \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct store_identity draft(void)
{
    return (struct store_identity){.node = "a", .cluster_name = "blue"};
}

static enum bootstrap_start starts(const struct config *c, bool is_new,
                                   struct store_identity *id)
{
    enum bootstrap_start start;
    char why[256] = "";

    if (bootstrap_start(c, is_new, DRAWN, id, &start, why, sizeof why) < 0)
        fail_msg("refused: %s", why);
    return start;
}

static void a_node_that_is_told_of_nobody_is_a_cluster_of_one(void **state)
{
    struct config c = PEERS("a");
    struct store_identity id = draft();

    (void)state;
    assert_int_equal(starts(&c, true, &id), BOOTSTRAP_BEGIN);
    assert_int_equal(id.voter_count, 1);
    assert_string_equal(id.voters[0], "a");
    assert_true(id.is_begun);
}

/* Its disk may have been emptied, and others may have joined it before. */
static void a_cluster_of_one_is_another_each_time_it_begins(void **state)
{
    struct config c = PEERS("a");
    struct store_identity id = draft();

    (void)state;
    (void)starts(&c, true, &id);
    assert_int_equal(id.cluster, DRAWN);
}

static void
a_folder_of_one_is_the_folder_of_peers_that_name_it_alone(void **state)
{
    struct config one = PEERS("a");
    struct config two = PEERS("a", "b");
    struct store_identity id = draft();
    enum bootstrap_start start;
    char why[512] = "";

    (void)state;
    (void)starts(&one, true, &id);
    id.has_log = true;
    one.has_peers = true;
    assert_int_equal(starts(&one, false, &id), BOOTSTRAP_RUN);
    assert_int_equal(
        bootstrap_start(&two, false, DRAWN, &id, &start, why, sizeof why),
        -PX_ECLUSTER);
}

/* Its disk may have been emptied: the others know. */
static void a_node_of_peers_begins_at_once_and_is_not_trusted_yet(void **state)
{
    struct config c = PEERS("a", "b", "c");
    struct store_identity id = draft();

    (void)state;
    assert_int_equal(starts(&c, true, &id), BOOTSTRAP_BEGIN);
    assert_int_equal(id.voter_count, 3);
    assert_string_equal(id.voters[2], "c");
    assert_true(id.cluster == c.cluster);
    assert_false(id.is_begun);
}

static void a_node_without_peers_and_data_waits(void **state)
{
    struct config c = config_with(NULL, 0);
    struct store_identity id = draft();

    (void)state;
    assert_int_equal(starts(&c, true, &id), BOOTSTRAP_WAIT);
    assert_int_equal(id.cluster, 0);
}

/* It stopped before its log was begun: nobody founds anything with it. Were it
 * taken for a promise to gossip, it would be trusted once that is founded, and
 * its disk may have been emptied. */
static void a_begin_with_peers_that_was_cut_short_is_no_promise(void **state)
{
    struct config c = PEERS("a", "b", "c");
    struct config none = config_with(NULL, 0);
    struct store_identity id = draft();

    (void)state;
    (void)starts(&c, true, &id);
    assert_false(id.has_log);
    assert_int_equal(starts(&none, false, &id), BOOTSTRAP_RUN);
    assert_int_equal(starts(&c, false, &id), BOOTSTRAP_RUN);
    assert_false(id.is_begun);
}

static void a_folder_decides_whatever_the_settings_are(void **state)
{
    struct config founder = PEERS("a", "b", "c");
    struct config alone = PEERS("a");
    struct config joiner = config_with(NULL, 0);
    struct store_identity id = draft();

    (void)state;
    (void)starts(&founder, true, &id);
    id.has_log = true;
    assert_int_equal(starts(&founder, false, &id), BOOTSTRAP_RUN);
    assert_int_equal(starts(&alone, false, &id), BOOTSTRAP_RUN);
    assert_int_equal(starts(&joiner, false, &id), BOOTSTRAP_RUN);
    assert_int_equal(id.voter_count, 3);
}

static void other_peers_than_the_cluster_began_with_are_refused(void **state)
{
    struct config founder = PEERS("a", "b", "c");
    struct config other = PEERS("a", "b", "d");
    struct store_identity id = draft();
    enum bootstrap_start start;
    char why[512] = "";

    (void)state;
    (void)starts(&founder, true, &id);
    assert_int_equal(
        bootstrap_start(&other, false, DRAWN, &id, &start, why, sizeof why),
        -PX_ECLUSTER);
    assert_non_null(strstr(why, "phalanx member"));
    assert_non_null(strstr(why, "Write PEERS as it was, or none"));
}

/* ---- While it waits ---- */

static struct swim_bootstrap seen(enum swim_bootstrap_verdict verdict,
                                  uint64_t view)
{
    return (struct swim_bootstrap){.verdict = verdict,
                                   .view = view,
                                   .expect = 3,
                                   .count = 3,
                                   .ids = {"a", "b", "c"}};
}

/* Others found on what is announced: so it has to outlive a crash. */
static void a_view_is_announced_once_it_is_promised(void **state)
{
    struct swim_bootstrap b = seen(SWIM_BOOTSTRAP_WAIT, 7);
    struct store_identity id = draft();

    (void)state;
    assert_int_equal(bootstrap_view(&b, &id), 0);
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_PROMISE);
    bootstrap_promise(&b, &id);
    assert_int_equal(bootstrap_view(&b, &id), 7);
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_STAY);
    b.ids[2] = "d"; /* other candidates: another promise */
    assert_int_equal(bootstrap_view(&b, &id), 0);
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_PROMISE);
    b.view = 0; /* not all are seen: nothing to be promised */
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_STAY);
}

static void a_cluster_is_founded_on_what_was_promised(void **state)
{
    struct swim_bootstrap b = seen(SWIM_BOOTSTRAP_FORM, 7);
    struct store_identity id = draft();
    struct config same = PEERS("a", "b", "c");

    (void)state;
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_PROMISE);
    bootstrap_promise(&b, &id);
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_FOUND);
    assert_true(id.cluster == same.cluster);
    assert_int_equal(id.voter_count, 3);
    assert_false(id.is_begun); /* not before it is founded */
}

static void a_promise_is_waited_on_after_a_restart(void **state)
{
    struct swim_bootstrap b = seen(SWIM_BOOTSTRAP_WAIT, 7);
    struct config c = config_with(NULL, 0);
    struct config peers = PEERS("a", "b", "c");
    struct store_identity id = draft();

    (void)state;
    bootstrap_promise(&b, &id);
    assert_int_equal(starts(&c, false, &id), BOOTSTRAP_WAIT);
    assert_int_equal(starts(&peers, false, &id), BOOTSTRAP_RUN);
    id.is_begun = true; /* founded */
    assert_int_equal(starts(&c, false, &id), BOOTSTRAP_RUN);
}

/* The others founded while we were down, or cut off. */
static void a_cluster_of_the_promised_id_is_ours(void **state)
{
    struct swim_bootstrap b = seen(SWIM_BOOTSTRAP_WAIT, 7);
    struct store_identity id = draft();

    (void)state;
    bootstrap_promise(&b, &id);
    b = (struct swim_bootstrap){.verdict = SWIM_BOOTSTRAP_JOIN,
                                .cluster = id.cluster};
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_FOUND);
    assert_int_equal(id.voter_count, 3);
    b.cluster++;
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_ENTER);
}

static void a_cluster_that_is_there_is_entered_without_voters(void **state)
{
    struct swim_bootstrap b = {.verdict = SWIM_BOOTSTRAP_JOIN, .cluster = 42};
    struct store_identity id = draft();
    struct config c = config_with(NULL, 0);
    struct raft_config initial;

    (void)state;
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_ENTER);
    bootstrap_enter(b.cluster, &id);
    assert_int_equal(bootstrap_next(&b, &id), BOOTSTRAP_FOUND);
    assert_int_equal(id.cluster, 42);
    assert_false(id.is_begun); /* its disk may have been emptied */
    bootstrap_config(&id, &initial);
    assert_int_equal(initial.count, 0);
    assert_int_equal(starts(&c, false, &id), BOOTSTRAP_RUN);
}

/* ---- Is the cluster new? ---- */

static struct raft_config voters(size_t count)
{
    struct raft_config c = {.count = count};

    for (size_t i = 0; i < count; i++)
        c.members[i] = (struct raft_member){i + 1, RAFT_VOTER};
    return c;
}

/* Every majority that could have committed something, ourselves in it perhaps,
 * has one of those whose logs are empty: for each size, one fewer and a majority
 * of the others and us may hold data. */
static void a_cluster_is_new_when_no_majority_can_hold_anything(void **state)
{
    static const size_t needed[] = {0, 1, 1, 2, 2, 3, 3, 4};

    (void)state;
    for (size_t n = 2; n <= 7; n++) {
        struct raft_config c = voters(n);
        struct bootstrap_empties e = {0};
        size_t heard = 0;

        while (!bootstrap_is_new(&e, &c)) {
            heard++;
            assert_true(heard < n);
            bootstrap_hear(&e, &c, 1, heard + 1, true);
        }
        assert_int_equal(heard, needed[n]);
        /* The other others, and us, are no majority. */
        assert_true(n - heard < n / 2 + 1);
        assert_true(n - heard + 1 >= n / 2 + 1);
    }
}

static void each_other_voter_counts_once(void **state)
{
    struct raft_config c = voters(3);
    struct bootstrap_empties e = {0};

    (void)state;
    bootstrap_hear(&e, &c, 1, 1, true); /* ourselves */
    bootstrap_hear(&e, &c, 1, 9, true); /* nobody of the first */
    assert_int_equal(e.count, 0);
    bootstrap_hear(&e, &c, 1, 2, true);
    bootstrap_hear(&e, &c, 1, 2, true);
    assert_int_equal(e.count, 1);
}

/* The first voters may all have been replaced, and come with emptied disks. */
static void a_cluster_that_anybody_has_data_of_is_not_new(void **state)
{
    struct raft_config c = voters(3);
    struct bootstrap_empties e = {0};

    (void)state;
    bootstrap_hear(&e, &c, 1, 2, true);
    bootstrap_hear(&e, &c, 1, 3, true);
    assert_true(bootstrap_is_new(&e, &c));
    bootstrap_hear(&e, &c, 1, 9, false); /* nobody of the first */
    assert_false(bootstrap_is_new(&e, &c));
    bootstrap_hear(&e, &c, 1, 9, true);
    assert_false(bootstrap_is_new(&e, &c));
}

static void who_joins_never_takes_a_cluster_for_new(void **state)
{
    struct raft_config c = voters(0);
    struct bootstrap_empties e = {0};

    (void)state;
    bootstrap_hear(&e, &c, 1, 2, true);
    assert_false(bootstrap_is_new(&e, &c));
}

/* ---- Was the disk emptied? ---- */

/* It knows its term, and that its log was made sure of: an emptied disk does not.
 * What it held was cut by a leader, and what came instead torn by a crash. */
static void who_has_its_identity_and_term_was_not_emptied(void **state)
{
    struct store_identity id = {.is_begun = true};

    (void)state;
    assert_false(bootstrap_is_blank(&id, 2, true));
    assert_true(bootstrap_is_blank(&id, 0, true)); /* the others may wait for
                                                      its word: a new cluster */
    id.is_begun = false; /* it may have its term from a leader since */
    assert_true(bootstrap_is_blank(&id, 2, true));
    assert_false(bootstrap_is_blank(&id, 2, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_is_told_of_nobody_is_a_cluster_of_one),
        cmocka_unit_test(a_cluster_of_one_is_another_each_time_it_begins),
        cmocka_unit_test(
            a_folder_of_one_is_the_folder_of_peers_that_name_it_alone),
        cmocka_unit_test(a_node_of_peers_begins_at_once_and_is_not_trusted_yet),
        cmocka_unit_test(a_node_without_peers_and_data_waits),
        cmocka_unit_test(a_begin_with_peers_that_was_cut_short_is_no_promise),
        cmocka_unit_test(a_folder_decides_whatever_the_settings_are),
        cmocka_unit_test(other_peers_than_the_cluster_began_with_are_refused),
        cmocka_unit_test(a_view_is_announced_once_it_is_promised),
        cmocka_unit_test(a_cluster_is_founded_on_what_was_promised),
        cmocka_unit_test(a_promise_is_waited_on_after_a_restart),
        cmocka_unit_test(a_cluster_of_the_promised_id_is_ours),
        cmocka_unit_test(a_cluster_that_is_there_is_entered_without_voters),
        cmocka_unit_test(a_cluster_is_new_when_no_majority_can_hold_anything),
        cmocka_unit_test(each_other_voter_counts_once),
        cmocka_unit_test(a_cluster_that_anybody_has_data_of_is_not_new),
        cmocka_unit_test(who_joins_never_takes_a_cluster_for_new),
        cmocka_unit_test(who_has_its_identity_and_term_was_not_emptied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
