/* node/port.c: whom a node refuses who says hello. It is made by hand, with a
 * real state. */
#include "tests/unit/store/state_fixture.h"

#include "node/node_core.h"
#include "node/replica_core.h"

static struct replica replica;

static enum net_refusal verdict(struct fixture *fx, raft_id id,
                                const char *name, bool is_empty)
{
    static struct node node;
    const struct net_hello_info hello = {
        .id = id, .name = name, .is_empty = is_empty};

    node.view = fx->v;
    node.replica = &replica;
    return port_for_net(&node).judge(&node, &hello);
}

/* node-0 has a session; what it voted for, its disk can't say any more. */
static void who_comes_back_with_nothing_is_refused(void **state)
{
    assert_int_equal(verdict(*state, 5, "node-0", true), NET_REFUSED_WIPED);
    assert_int_equal(verdict(*state, 5, "node-0", false), 0);
    assert_int_equal(verdict(*state, 6, "node-1", true), 0);
}

static void who_was_removed_is_refused(void **state)
{
    const struct raft_config config = {.count = 1,
                                       .members = {{5, RAFT_VOTER}}};
    const struct store_change change = {.removed = 6};

    assert_int_equal(change_members(*state, &config, &change).rc, 0);
    assert_int_equal(verdict(*state, 6, "node-1", false), NET_REFUSED_REMOVED);
    assert_int_equal(verdict(*state, 5, "node-0", false), 0);
}

static void who_may_be_wrong_refuses_nobody(void **state)
{
    replica.quarantine.of.index = 1;
    assert_int_equal(verdict(*state, 5, "node-0", true), 0);
    replica.quarantine.of.index = 0;
    assert_int_equal(verdict(&(struct fixture){.v = NULL}, 5, "node-0", true),
                     0);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_comes_back_with_nothing_is_refused),
        TEST(who_was_removed_is_refused),
        TEST(who_may_be_wrong_refuses_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
