/* node/policy.c: each of its rules, by the views that tell it from the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/policy.h"

#define CLUSTER 77u
#define ELECTION (2 * PX_NS_PER_S)
#define AFTER (60 * PX_NS_PER_S)
#define NOW (1000 * PX_NS_PER_S)

/* Node 1 leads; the test adds members, as it sees them. */
struct rig {
    struct policy_settings settings;
    struct policy_view view;
    struct raft_config config;
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
    struct policy_seen seen[2 * RAFT_MEMBERS_MAX];
};

static void begin(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->settings = (struct policy_settings){
        .auto_join = true, .voters_max = 5, .election = ELECTION};
    r->config.members[0] = (struct raft_member){1, RAFT_VOTER};
    r->config.count = 1;
    r->view = (struct policy_view){
        .now = NOW,
        .leads_since = NOW - 10 * AFTER,
        .self = 1,
        .cluster = CLUSTER,
        .config = &r->config,
        .is_settled = true,
        .peers = r->peers,
        .seen = r->seen,
    };
}

static struct policy_seen *see(struct rig *r, raft_id id, enum swim_state state)
{
    struct policy_seen *seen = &r->seen[r->view.seen_count++];

    *seen = (struct policy_seen){.id = id, .state = state, .cluster = CLUSTER};
    seen->since = NOW - 20 * AFTER;
    return seen;
}

/* It lives, and gossip knows it. */
static struct raft_peer_status *
member(struct rig *r, raft_id id, enum raft_member_role role, raft_index match)
{
    struct raft_peer_status *p = &r->peers[r->view.peer_count++];

    r->config.members[r->config.count++] = (struct raft_member){id, role};
    *p = (struct raft_peer_status){.id = id,
                                   .role = role,
                                   .match = match,
                                   .heard = NOW - ELECTION / 2,
                                   .has_caught_up = true};
    (void)see(r, id, SWIM_ALIVE);
    return p;
}

/* Raft has not heard of it for as long as gossip has held it for dead. */
static void dies(struct rig *r, raft_id id, enum swim_state state, px_ns ago)
{
    for (size_t i = 0; i < r->view.peer_count; i++) {
        if (r->peers[i].id == id)
            r->peers[i].heard = NOW - ago;
    }
    for (size_t i = 0; i < r->view.seen_count; i++) {
        if (r->seen[i].id == id) {
            r->seen[i].state = state;
            r->seen[i].since = NOW - ago;
        }
    }
}

static void does(struct rig *r, enum policy_what what, raft_id id)
{
    struct policy_action a = policy_decide(&r->settings, &r->view);

    assert_int_equal(a.what, what);
    assert_int_equal(a.id, id);
}

static void does_nothing(struct rig *r)
{
    does(r, POLICY_NOTHING, 0);
}

static void three(struct rig *r)
{
    begin(r);
    r->settings.remove_after = AFTER;
    (void)member(r, 2, RAFT_VOTER, 10);
    (void)member(r, 3, RAFT_VOTER, 10);
}

/* ---- Joining ---- */

static void a_node_that_gossip_brings_becomes_a_learner(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    does_nothing(&r);
    (void)see(&r, 9, SWIM_ALIVE);
    does(&r, POLICY_ADD, 9);
}

static void with_auto_join_off_nobody_joins(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)see(&r, 9, SWIM_ALIVE);
    r.settings.auto_join = false;
    does_nothing(&r);
}

static void only_who_is_alive_joins(void **state)
{
    static const enum swim_state not_alive[] = {SWIM_SUSPECT, SWIM_DEAD,
                                                SWIM_LEFT};
    struct rig r;

    (void)state;
    for (size_t i = 0; i < sizeof not_alive / sizeof not_alive[0]; i++) {
        begin(&r);
        (void)see(&r, 9, not_alive[i]);
        does_nothing(&r);
    }
}

static void a_node_of_another_cluster_or_of_none_does_not_join(void **state)
{
    struct policy_seen *seen;
    struct rig r;

    (void)state;
    begin(&r);
    seen = see(&r, 9, SWIM_ALIVE);
    seen->cluster = CLUSTER + 1;
    does_nothing(&r);
    seen->cluster = 0;
    does_nothing(&r);
}

/* Its log has the entry that added it, of a leader that died. The next one's does
 * not, and sends it nothing: it would say so for ever. */
static void whatever_role_it_says_that_it_has_a_node_joins(void **state)
{
    static const enum swim_role roles[] = {SWIM_ROLE_NONE, SWIM_ROLE_LEARNER,
                                           SWIM_ROLE_VOTER};
    struct swim_member_info info = {.state = SWIM_ALIVE, .cluster = CLUSTER};

    (void)state;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        info.role = roles[i];
        assert_true(policy_is_candidate(&info, CLUSTER));
    }
    assert_false(policy_is_candidate(&info, CLUSTER + 1));
    info.state = SWIM_SUSPECT;
    assert_false(policy_is_candidate(&info, CLUSTER));
}

static void a_member_does_not_join_again(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    r.settings.voters_max = 1;
    (void)member(&r, 9, RAFT_LEARNER, 0);
    does_nothing(&r);
}

static void who_was_removed_never_joins(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    see(&r, 9, SWIM_ALIVE)->was_removed = true;
    does_nothing(&r);
    (void)see(&r, 8, SWIM_ALIVE);
    does(&r, POLICY_ADD, 8);
}

static void nobody_joins_once_there_is_no_room(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    r.settings.voters_max = 1;
    for (raft_id id = 2; id < RAFT_MEMBERS_MAX; id++)
        (void)member(&r, id, RAFT_LEARNER, 0);
    (void)see(&r, 99, SWIM_ALIVE);
    does(&r, POLICY_ADD, 99);
    (void)member(&r, RAFT_MEMBERS_MAX, RAFT_LEARNER, 0);
    does_nothing(&r);
}

static void who_has_been_there_longest_joins_first(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    see(&r, 7, SWIM_ALIVE)->since = NOW - 2;
    see(&r, 8, SWIM_ALIVE)->since = NOW - 3;
    see(&r, 9, SWIM_ALIVE)->since = NOW - 1;
    does(&r, POLICY_ADD, 8);
}

static void nothing_happens_before_the_configuration_is_committed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    (void)see(&r, 9, SWIM_ALIVE);
    dies(&r, 3, SWIM_DEAD, AFTER);
    r.view.is_settled = false;
    does_nothing(&r);
    r.view.is_settled = true;
    does(&r, POLICY_PROMOTE, 4);
}

/* ---- Promotion ---- */

static void a_learner_that_lives_is_promoted(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)member(&r, 4, RAFT_LEARNER, 0);
    does(&r, POLICY_PROMOTE, 4);
}

static void with_auto_join_off_nobody_is_promoted(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    r.settings.auto_join = false;
    does_nothing(&r);
}

static void with_enough_voters_nobody_is_promoted(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    r.settings.voters_max = 3;
    does_nothing(&r);
    r.settings.voters_max = 4;
    does(&r, POLICY_PROMOTE, 4);
}

/* It may get there in an hour, or never. */
static void
a_learner_that_lags_is_not_promoted_and_holds_nobody_up(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    member(&r, 4, RAFT_LEARNER, 10)->has_caught_up = false;
    does_nothing(&r);
    (void)see(&r, 9, SWIM_ALIVE);
    does(&r, POLICY_ADD, 9);
    (void)member(&r, 5, RAFT_LEARNER, 9);
    does(&r, POLICY_PROMOTE, 5);
}

static void a_learner_that_has_left_is_not_promoted(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    r.seen[0].state = SWIM_SUSPECT;
    does(&r, POLICY_PROMOTE, 4);
    r.seen[0].state = SWIM_LEFT;
    does_nothing(&r);
    r.seen[0].state = SWIM_DEAD;
    does_nothing(&r);
}

/* One was added by hand, with an address, and its gossip does not get here. */
static void a_learner_that_gossip_does_not_know_is_promoted(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    r.view.seen_count = 0;
    does(&r, POLICY_PROMOTE, 4);
}

/* One that lags for ever does not keep others from being tried. */
static void the_learner_that_lacks_least_is_promoted_first(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    (void)member(&r, 5, RAFT_LEARNER, 12);
    (void)member(&r, 6, RAFT_LEARNER, 11);
    does(&r, POLICY_PROMOTE, 5);
}

/* ---- Removal ---- */

static void without_a_time_nobody_is_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_DEAD, 5 * AFTER);
    does(&r, POLICY_REMOVE, 3);
    r.settings.remove_after = 0;
    does_nothing(&r);
}

static void a_member_that_was_dead_for_long_enough_is_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_DEAD, AFTER - 1);
    does_nothing(&r);
    dies(&r, 3, SWIM_DEAD, AFTER);
    does(&r, POLICY_REMOVE, 3);
}

static void a_member_that_left_for_long_enough_is_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_LEFT, AFTER - 1);
    does_nothing(&r);
    dies(&r, 3, SWIM_LEFT, AFTER);
    does(&r, POLICY_REMOVE, 3);
}

static void a_learner_that_is_gone_is_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    dies(&r, 4, SWIM_DEAD, AFTER);
    does(&r, POLICY_REMOVE, 4);
}

static void with_auto_join_off_the_dead_are_removed_all_the_same(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    r.settings.auto_join = false;
    dies(&r, 3, SWIM_DEAD, AFTER);
    does(&r, POLICY_REMOVE, 3);
}

static void a_suspect_is_not_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_SUSPECT, 5 * AFTER);
    does_nothing(&r);
}

/* Its UDP is lost, and its TCP is not. */
static void a_member_that_raft_hears_of_is_not_removed(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_DEAD, 5 * AFTER);
    r.peers[1].heard = NOW - ELECTION / 2;
    does_nothing(&r);
    r.peers[1].heard = NOW - AFTER + 1; /* the time runs from here */
    does_nothing(&r);
    r.peers[1].heard = NOW - AFTER;
    does(&r, POLICY_REMOVE, 3);
}

/* It answered the leader before us all the time, and may answer us yet. */
static void
a_member_long_dead_to_gossip_has_its_time_under_a_new_leader(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_DEAD, 5 * AFTER);
    r.peers[1].heard = 0;
    r.view.leads_since = NOW - AFTER + 1;
    does_nothing(&r);
    r.view.leads_since = NOW - AFTER;
    does(&r, POLICY_REMOVE, 3);
}

/* Its machine was set up anew, and is of no cluster, or of another. */
static void who_bears_the_name_of_a_member_does_not_keep_it(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_ALIVE, AFTER);
    does_nothing(&r);
    r.seen[1].cluster = 0;
    does(&r, POLICY_REMOVE, 3);
    r.seen[1].cluster = CLUSTER + 1;
    does(&r, POLICY_REMOVE, 3);
}

static void
a_member_never_seen_is_removed_once_we_have_led_for_long(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    r.view.seen_count = 1; /* that of node 2 */
    r.peers[1].heard = 0;
    r.view.leads_since = NOW - AFTER + 1;
    does_nothing(&r);
    r.view.leads_since = NOW - AFTER;
    does(&r, POLICY_REMOVE, 3);
}

/* Gossip forgets the dead after a day: that makes them no longer dead. */
static void a_member_forgotten_has_been_gone_since_it_was_heard(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    r.view.seen_count = 1;
    r.peers[1].heard = NOW - AFTER + 1;
    does_nothing(&r);
    r.peers[1].heard = NOW - AFTER;
    does(&r, POLICY_REMOVE, 3);
}

static void who_went_first_is_removed_first(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_VOTER, 10);
    (void)member(&r, 5, RAFT_VOTER, 10);
    dies(&r, 3, SWIM_DEAD, AFTER + 1);
    dies(&r, 5, SWIM_DEAD, AFTER + 2);
    does(&r, POLICY_REMOVE, 5);
    dies(&r, 3, SWIM_DEAD, AFTER + 3);
    does(&r, POLICY_REMOVE, 3);
}

static void nobody_is_removed_when_the_living_are_no_majority(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 2, SWIM_DEAD, AFTER);
    dies(&r, 3, SWIM_DEAD, AFTER);
    does_nothing(&r);
    r.peers[0].heard = NOW - ELECTION - 1;
    does_nothing(&r);
    r.peers[0].heard = NOW - ELECTION; /* two of three */
    does(&r, POLICY_REMOVE, 3);
}

static void living_learners_are_no_majority(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    r.settings.auto_join = false;
    (void)member(&r, 4, RAFT_LEARNER, 10);
    (void)member(&r, 5, RAFT_LEARNER, 10);
    dies(&r, 2, SWIM_DEAD, AFTER);
    dies(&r, 3, SWIM_DEAD, AFTER);
    does_nothing(&r);
}

/* They don't vote, so it takes those that do. */
static void faulty_voters_are_no_majority(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    dies(&r, 3, SWIM_DEAD, AFTER);
    r.peers[0].is_faulty = true;
    does_nothing(&r);
    assert_int_equal(policy_living_voters(&r.settings, &r.view), 1);
    r.peers[0].is_faulty = false;
    does(&r, POLICY_REMOVE, 3);
}

/* Two of four are not a majority of four, though they are one of three. */
static void it_takes_a_majority_of_the_present_voters(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_VOTER, 10);
    dies(&r, 3, SWIM_DEAD, AFTER);
    dies(&r, 4, SWIM_DEAD, AFTER);
    does_nothing(&r);
}

/* What gossip says of ourselves is of no concern: it may be late. */
static void we_never_remove_ourselves(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    see(&r, 1, SWIM_DEAD)->since = NOW - 5 * AFTER;
    does_nothing(&r);
    begin(&r);
    r.settings.remove_after = AFTER; /* alone, and not known to gossip */
    does_nothing(&r);
}

static void
a_promotion_goes_before_a_removal_and_that_before_an_addition(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)see(&r, 9, SWIM_ALIVE);
    does(&r, POLICY_ADD, 9);
    dies(&r, 3, SWIM_DEAD, AFTER);
    does(&r, POLICY_REMOVE, 3);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    does(&r, POLICY_PROMOTE, 4);
}

/* ---- What an operator may remove ---- */

static void a_living_voter_may_go_if_the_others_are_a_majority(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    assert_int_equal(policy_living_voters(&r.settings, &r.view), 3);
    assert_true(policy_may_remove(&r.settings, &r.view, 3));
    dies(&r, 2, SWIM_DEAD, AFTER);
    assert_int_equal(policy_living_voters(&r.settings, &r.view), 2);
    assert_false(policy_may_remove(&r.settings, &r.view, 3)); /* 1 of 2 */
    assert_true(policy_may_remove(&r.settings, &r.view, 2));  /* 2 of 2 */
    (void)member(&r, 4, RAFT_VOTER, 10);
    assert_true(policy_may_remove(&r.settings, &r.view, 3)); /* 2 of 3 */
    r.view.now = ELECTION / 2; /* the clock began with the machine */
    for (size_t i = 0; i < r.view.peer_count; i++)
        r.peers[i].heard = 0;
    assert_int_equal(policy_living_voters(&r.settings, &r.view), 1);
}

static void a_learner_may_always_go(void **state)
{
    struct rig r;

    (void)state;
    three(&r);
    (void)member(&r, 4, RAFT_LEARNER, 10);
    dies(&r, 2, SWIM_DEAD, AFTER);
    assert_true(policy_may_remove(&r.settings, &r.view, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_gossip_brings_becomes_a_learner),
        cmocka_unit_test(with_auto_join_off_nobody_joins),
        cmocka_unit_test(only_who_is_alive_joins),
        cmocka_unit_test(a_node_of_another_cluster_or_of_none_does_not_join),
        cmocka_unit_test(whatever_role_it_says_that_it_has_a_node_joins),
        cmocka_unit_test(a_member_does_not_join_again),
        cmocka_unit_test(who_was_removed_never_joins),
        cmocka_unit_test(nobody_joins_once_there_is_no_room),
        cmocka_unit_test(who_has_been_there_longest_joins_first),
        cmocka_unit_test(nothing_happens_before_the_configuration_is_committed),
        cmocka_unit_test(a_learner_that_lives_is_promoted),
        cmocka_unit_test(with_auto_join_off_nobody_is_promoted),
        cmocka_unit_test(with_enough_voters_nobody_is_promoted),
        cmocka_unit_test(
            a_learner_that_lags_is_not_promoted_and_holds_nobody_up),
        cmocka_unit_test(a_learner_that_has_left_is_not_promoted),
        cmocka_unit_test(a_learner_that_gossip_does_not_know_is_promoted),
        cmocka_unit_test(the_learner_that_lacks_least_is_promoted_first),
        cmocka_unit_test(without_a_time_nobody_is_removed),
        cmocka_unit_test(a_member_that_was_dead_for_long_enough_is_removed),
        cmocka_unit_test(a_member_that_left_for_long_enough_is_removed),
        cmocka_unit_test(a_learner_that_is_gone_is_removed),
        cmocka_unit_test(with_auto_join_off_the_dead_are_removed_all_the_same),
        cmocka_unit_test(a_suspect_is_not_removed),
        cmocka_unit_test(a_member_that_raft_hears_of_is_not_removed),
        cmocka_unit_test(
            a_member_long_dead_to_gossip_has_its_time_under_a_new_leader),
        cmocka_unit_test(who_bears_the_name_of_a_member_does_not_keep_it),
        cmocka_unit_test(
            a_member_never_seen_is_removed_once_we_have_led_for_long),
        cmocka_unit_test(a_member_forgotten_has_been_gone_since_it_was_heard),
        cmocka_unit_test(who_went_first_is_removed_first),
        cmocka_unit_test(nobody_is_removed_when_the_living_are_no_majority),
        cmocka_unit_test(living_learners_are_no_majority),
        cmocka_unit_test(faulty_voters_are_no_majority),
        cmocka_unit_test(it_takes_a_majority_of_the_present_voters),
        cmocka_unit_test(we_never_remove_ourselves),
        cmocka_unit_test(
            a_promotion_goes_before_a_removal_and_that_before_an_addition),
        cmocka_unit_test(a_living_voter_may_go_if_the_others_are_a_majority),
        cmocka_unit_test(a_learner_may_always_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
