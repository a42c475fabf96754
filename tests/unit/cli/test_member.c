/* cli/member.c, member_print.c: arguments to a question, an answer to words and
 * an exit status. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "base/err.h"
#include "cli/member.h"
#include "tests/unit/cli/fake_node.h"
#include "tests/unit/cli/run.h"

/* ---- Arguments ---- */

static void expect_usage(const char *const *words, const char *in_sentence)
{
    struct run r = {.input = NULL};

    run(&r, words);
    if (r.status != CLI_USAGE || strstr(r.err, in_sentence) == NULL)
        fail_msg("status %d, said: %s", (int)r.status, r.err);
    assert_string_equal(r.out, "");
}

static void wrong_arguments_say_what_to_write(void **state)
{
    static const struct {
        const char *words[12];
        const char *says;
    } rows[] = {
        {{"member"}, "phalanx member list"},
        {{"member", "ad", "a"}, "list, add, promote, remove or transfer"},
        {{"member", "list", "a"}, "write phalanx member list [--json]"},
        {{"member", "add"}, "write phalanx member add NAME [HOST:PORT]"},
        {{"member", "add", "a", "h:1", "b"}, "write phalanx member add NAME"},
        {{"member", "promote"}, "write phalanx member promote NAME"},
        {{"member", "remove", "a", "b"}, "write phalanx member remove NAME"},
        {{"member", "transfer", "a", "b"}, "member transfer [NAME]"},
        {{"member", "remove", "a", "--json"}, "--json goes with list"},
        {{"member", "remove", "a b"}, "\"a b\" is no name of a node"},
        {{"member", "remove", ""}, "\"\" is no name of a node"},
        {{"member", "remove", "-a"}, "-a is not an option of member"},
        {{"member", "add", "a", "10.0.0.1"}, "\"10.0.0.1\" is no address"},
        {{"member", "add", "a", ":9000"}, "\":9000\" is no address"},
        {{"member", "add", "a", "::1:9000"}, "write host:port"},
        {{"member", "list", "--address", "a:1,,b:1"}, "is no address"},
        {{"member", "list", "--address", "a:0"}, "\"a:0\" is no address"},
        {{"member", "list", "--address", ""}, "is no address"},
        {{"member", "list", "--timeout", "0"}, "from 1 to 3600"},
        {{"member", "list", "--timeout", "3601"}, "from 1 to 3600"},
        {{"member", "list", "--timeout", "-1"}, "from 1 to 3600"},
        {{"member", "list", "--timeout", "1s"}, "from 1 to 3600"},
        {{"member", "list", "--timeout", ""}, "from 1 to 3600"},
        {{"member", "list", "--timeout", "4294967297"}, "from 1 to 3600"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_usage(rows[i].words, rows[i].says);
}

static void a_name_or_address_that_is_too_long_is_wrong_usage(void **state)
{
    char name[PX_NODE_ID_BYTES_MAX + 2];
    char address[PX_ADDRESS_BYTES_MAX + 8];
    const char *const add[] = {"member", "add", name, NULL};
    const char *const list[] = {"member", "list", "--address", address, NULL};

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    expect_usage(add, "is no name of a node");
    memset(address, 'a', sizeof address);
    (void)strcpy(address + PX_ADDRESS_BYTES_MAX - 1, ":1");
    expect_usage(list, "is no address");
}

static void more_addresses_than_are_kept_are_wrong_usage(void **state)
{
    char list[ASK_ADDRESSES_MAX * 4 + 8] = "";
    const char *const words[] = {"member", "list", "--address", list, NULL};

    (void)state;
    for (int i = 0; i <= ASK_ADDRESSES_MAX; i++)
        (void)strcat(list, i > 0 ? ",h:1" : "h:1");
    expect_usage(words, "at most 16 addresses");
}

static struct member_options parse(const char *variable, char **argv, int argc)
{
    char *environment[] = {(char *)(uintptr_t)variable, NULL};
    const struct cli c = {
        .err = stderr, .out = stdout, .environment = environment};
    static struct member_options o;

    assert_int_equal(member_parse(&c, argc, argv, &o), CLI_DONE);
    return o;
}
#define PARSE(variable, ...)                                 \
    parse(variable, (char *[]){"member", __VA_ARGS__, NULL}, \
          (int)(sizeof((char *[]){"member", __VA_ARGS__}) / sizeof(char *)))

static void addresses_come_from_the_option_then_the_environment(void **state)
{
    struct member_options o = PARSE(NULL, "list");

    (void)state;
    assert_int_equal(o.ask.count, 1);
    assert_string_equal(o.ask.addresses[0], "127.0.0.1:9000");
    assert_int_equal(o.ask.timeout, 30 * PX_NS_PER_S);
    o = PARSE("PHALANX_ADDRESS=", "list");
    assert_string_equal(o.ask.addresses[0], "127.0.0.1:9000");
    o = PARSE("PHALANX_ADDRESS=a:1,[::1]:2", "list");
    assert_int_equal(o.ask.count, 2);
    assert_string_equal(o.ask.addresses[0], "a:1");
    assert_string_equal(o.ask.addresses[1], "[::1]:2");
    o = PARSE("PHALANX_ADDRESS=a:1,b:2", "list", "--address", "c:3");
    assert_int_equal(o.ask.count, 1);
    assert_string_equal(o.ask.addresses[0], "c:3");
}

static void options_stand_before_or_behind_the_words(void **state)
{
    struct member_options o =
        PARSE(NULL, "--timeout", "7", "add", "--address", "a:1", "n", "h:2");

    (void)state;
    assert_int_equal(o.question.what, NET_ADMIN_ADD);
    assert_string_equal(o.question.name, "n");
    assert_string_equal(o.question.address, "h:2");
    assert_string_equal(o.ask.addresses[0], "a:1");
    assert_int_equal(o.ask.timeout, 7 * PX_NS_PER_S);
}

/* ---- Answers ---- */

static struct net_admin asked;

/* One command to a node that gives one answer. */
static void exchange(struct run *r, const struct net_admin_reply *reply,
                     const char *const *words)
{
    const struct fake_act act = {.step = FAKE_ANSWER, .reply = reply};
    struct fake_node *n = fake_node_start(&act, 1);
    const char *all[12] = {"member", "--address", fake_node_address(n),
                           "--timeout", "20"};

    for (size_t i = 0; words[i] != NULL; i++)
        all[5 + i] = words[i];
    run(r, all);
    (void)fake_node_stop(n, &asked);
}
#define EXCHANGE(r, reply, ...) \
    exchange(r, reply, (const char *const[]){__VA_ARGS__, NULL})

static void each_verb_asks_its_own_question(void **state)
{
    static const struct net_admin_reply ok = {.rc = 0};
    struct run r = {.input = NULL};

    (void)state;
    EXCHANGE(&r, &ok, "add", "node-7", "10.0.0.7:9000");
    assert_int_equal(r.status, CLI_DONE);
    assert_int_equal(asked.what, NET_ADMIN_ADD);
    assert_string_equal(asked.name, "node-7");
    assert_string_equal(asked.address, "10.0.0.7:9000");
    assert_string_equal(r.out, "node-7 is a member now, a learner\n");
    EXCHANGE(&r, &ok, "promote", "node-7");
    assert_int_equal(asked.what, NET_ADMIN_PROMOTE);
    assert_string_equal(r.out, "node-7 is a voter now\n");
    EXCHANGE(&r, &ok, "remove", "node-7");
    assert_int_equal(asked.what, NET_ADMIN_REMOVE);
    assert_string_equal(r.out, "node-7 is removed, for ever\n");
    EXCHANGE(&r, &ok, "transfer");
    assert_int_equal(asked.what, NET_ADMIN_TRANSFER);
    assert_string_equal(asked.name, "");
    assert_string_equal(r.out, "another node leads the cluster now\n");
    EXCHANGE(&r, &ok, "transfer", "node-7");
    assert_string_equal(asked.name, "node-7");
    assert_string_equal(r.out, "node-7 leads the cluster now\n");
}

static void a_refusal_is_told_in_the_nodes_words(void **state)
{
    static const struct net_admin_reply removed = {
        .rc = -EEXIST, .text = "node-7 was removed: its name can't come back"};
    static const struct net_admin_reply silent = {.rc = -ENOENT};
    static const struct net_admin_reply unknown = {
        .rc = -PX_EUNKNOWN, .text = "leadership ended meanwhile"};
    struct run r = {.input = NULL};

    (void)state;
    EXCHANGE(&r, &removed, "add", "node-7");
    assert_int_equal(r.status, CLI_FAILED);
    assert_string_equal(
        r.err, "phalanx: node-7 was removed: its name can't come back\n");
    assert_string_equal(r.out, "");
    EXCHANGE(&r, &silent, "remove", "node-7");
    assert_int_equal(r.status, CLI_FAILED);
    assert_string_equal(r.err, "phalanx: No such file or directory\n");
    EXCHANGE(&r, &unknown, "remove", "node-7");
    assert_int_equal(r.status, CLI_UNKNOWN);
    assert_string_equal(r.err, "phalanx: leadership ended meanwhile\n");
}

/* ---- Lists ---- */

static const struct net_admin_reply members = {
    .leader = "node-10",
    .cluster = 0xab,
    .count = 3,
    .list = {{.name = "a",
              .address = "10.0.0.1:9000",
              .zone = "eu",
              .role = RAFT_VOTER,
              .is_alive = true,
              .match = 1234},
             {.name = "node-10",
              .address = "[::1]:9000",
              .role = RAFT_VOTER,
              .is_leader = true,
              .is_alive = true,
              .is_self = true},
             {.name = "c", .role = RAFT_LEARNER}},
};

static void a_list_has_a_line_for_each_member(void **state)
{
    struct run r = {.input = NULL};

    (void)state;
    EXCHANGE(&r, &members, "list");
    assert_int_equal(r.status, CLI_DONE);
    assert_int_equal(asked.what, NET_ADMIN_LIST);
    assert_string_equal(r.out,
                        "NAME     ROLE     STATE   ADDRESS        ZONE  MATCH\n"
                        "a        voter    alive   10.0.0.1:9000  eu    1234\n"
                        "node-10  voter    leader  [::1]:9000     -     -\n"
                        "c        learner  dead    -              -     -\n");
}

static void a_list_as_json_is_one_object(void **state)
{
    struct run r = {.input = NULL};

    (void)state;
    EXCHANGE(&r, &members, "list", "--json");
    assert_int_equal(r.status, CLI_DONE);
    assert_string_equal(
        r.out,
        "{\"cluster\":\"00000000000000ab\",\"leader\":\"node-10\",\"members\":["
        "{\"name\":\"a\",\"role\":\"voter\",\"leader\":false,\"alive\":true,"
        "\"address\":\"10.0.0.1:9000\",\"zone\":\"eu\",\"match\":1234},"
        "{\"name\":\"node-10\",\"role\":\"voter\",\"leader\":true,"
        "\"alive\":true,\"address\":\"[::1]:9000\",\"zone\":null,"
        "\"match\":null},"
        "{\"name\":\"c\",\"role\":\"learner\",\"leader\":false,"
        "\"alive\":false,\"address\":null,\"zone\":null,\"match\":null}]}\n");
}

static void a_cluster_without_a_leader_is_listed_too(void **state)
{
    static struct net_admin_reply r0;
    struct run r = {.input = NULL};

    (void)state;
    r0 = members;
    r0.leader[0] = '\0';
    r0.count = 0;
    (void)strcpy(r0.text, "not committed");
    EXCHANGE(&r, &r0, "list");
    assert_string_equal(r.out, "NAME  ROLE  STATE  ADDRESS  ZONE  MATCH\n"
                               "(not committed)\n");
    EXCHANGE(&r, &r0, "list", "--json");
    assert_string_equal(r.out, "{\"cluster\":\"00000000000000ab\",\"leader\":"
                               "null,\"members\":[]}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments_say_what_to_write),
        cmocka_unit_test(a_name_or_address_that_is_too_long_is_wrong_usage),
        cmocka_unit_test(more_addresses_than_are_kept_are_wrong_usage),
        cmocka_unit_test(addresses_come_from_the_option_then_the_environment),
        cmocka_unit_test(options_stand_before_or_behind_the_words),
        cmocka_unit_test(each_verb_asks_its_own_question),
        cmocka_unit_test(a_refusal_is_told_in_the_nodes_words),
        cmocka_unit_test(a_list_has_a_line_for_each_member),
        cmocka_unit_test(a_list_as_json_is_one_object),
        cmocka_unit_test(a_cluster_without_a_leader_is_listed_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
