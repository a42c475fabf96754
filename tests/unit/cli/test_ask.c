/* cli/ask.c, dial.c: which node is asked, how often, and what is known when no
 * answer comes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "base/err.h"
#include "cli/ask.h"
#include "cli/dial.h"
#include "tests/unit/cli/fake_node.h"

static const struct net_admin_reply yes = {.rc = 0, .text = "yes"};
static const struct net_admin_reply no_leader = {.rc = -PX_ENOTLEADER};
static const struct net_admin_reply not_now = {.rc = -EAGAIN, .text = "wait"};

static const struct net_admin_reply busy = {.rc = -EBUSY};

static const struct net_admin removal = {.what = NET_ADMIN_REMOVE,
                                         .name = "node-1"};
static const struct net_admin list = {.what = NET_ADMIN_LIST};

static struct ask_options options;
static struct net_admin_reply reply;
static char why[ASK_WHY_BYTES];

/* ---- The clock ---- */

/* The real one, unless it is held: then nothing but a pause takes time, and a
 * deadline falls into a pause, not into an exchange, on any machine. */
static struct {
    bool is_held;
    px_ns now;
} watch;

px_ns __real_px_now(void);
px_ns __wrap_px_now(void);
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);

px_ns __wrap_px_now(void)
{
    return watch.is_held ? watch.now : __real_px_now();
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    if (!watch.is_held)
        return __real_nanosleep(t, left);
    watch.now += (px_ns)t->tv_sec * PX_NS_PER_S + (px_ns)t->tv_nsec;
    return 0;
}

/* ---- Asking ---- */

static void ask_at(const char *address)
{
    (void)strcpy(options.addresses[options.count++], address);
}

static int setup(void **state)
{
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&reply, 0, sizeof reply);
    memset(&watch, 0, sizeof watch);
    options.timeout = 20 * PX_NS_PER_S; /* no test waits for it that can't */
    return 0;
}

static int ask(const struct net_admin *question)
{
    int rc = ask_cluster(&options, question, &reply, why);

    assert_true((rc < 0) == (why[0] != '\0'));
    return rc;
}

static struct net_admin_reply named(const struct fake_node *leader)
{
    struct net_admin_reply r = {.rc = -PX_ENOTLEADER, .leader = "leader"};

    (void)strcpy(r.leader_address, fake_node_address(leader));
    return r;
}

static void the_leader_that_is_named_is_asked(void **state)
{
    const struct fake_act answers = {.step = FAKE_ANSWER, .reply = &yes};
    struct fake_node *leader = fake_node_start(&answers, 1);
    const struct net_admin_reply hint = named(leader);
    const struct fake_act names = {.step = FAKE_ANSWER, .reply = &hint};
    struct fake_node *follower = fake_node_start(&names, 1);
    struct net_admin question;

    (void)state;
    ask_at(fake_node_address(follower));
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(reply.rc, 0);
    assert_string_equal(reply.text, "yes");
    assert_int_equal(fake_node_stop(follower, NULL), 1);
    assert_int_equal(fake_node_stop(leader, &question), 1);
    assert_int_equal(question.what, NET_ADMIN_REMOVE);
    assert_string_equal(question.name, "node-1");
}

static void without_a_leader_it_is_asked_again(void **state)
{
    const struct fake_act acts[] = {
        {.step = FAKE_ANSWER, .reply = &no_leader},
        {.step = FAKE_ANSWER, .reply = &not_now},
        {.step = FAKE_ANSWER, .reply = &busy},
        {.step = FAKE_ANSWER, .reply = &yes},
    };
    struct fake_node *n = fake_node_start(acts, 4);

    (void)state;
    ask_at(fake_node_address(n));
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(reply.rc, 0);
    assert_int_equal(fake_node_stop(n, NULL), 4);
}

static void it_ends_at_the_deadline_with_the_last_answer(void **state)
{
    const struct fake_act act = {.step = FAKE_ANSWER, .reply = &not_now};
    struct fake_node *n = fake_node_start(&act, 1);

    (void)state;
    ask_at(fake_node_address(n));
    options.timeout = 900 * PX_NS_PER_MS;
    watch.is_held = true;
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(reply.rc, -EAGAIN);
    assert_string_equal(reply.text, "wait");
    /* Pauses of 200 ms, the last one of what is left. */
    assert_int_equal(watch.now, options.timeout);
    assert_int_equal(fake_node_stop(n, NULL), 5);
}

/* Two followers that name each other: never without a pause for long. */
static void hints_in_a_circle_end_at_the_deadline(void **state)
{
    static struct net_admin_reply hint;
    const struct fake_act act = {.step = FAKE_ANSWER, .reply = &hint};
    struct fake_node *n = fake_node_start(&act, 1);

    (void)state;
    hint = named(n);
    ask_at(fake_node_address(n));
    options.timeout = PX_NS_PER_S;
    watch.is_held = true;
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(reply.rc, -PX_ENOTLEADER);
    /* Five before each of five pauses of 200 ms. */
    assert_int_equal(watch.now, options.timeout);
    assert_int_equal(fake_node_stop(n, NULL), 25);
}

static void the_next_address_is_asked_where_nobody_is(void **state)
{
    const struct fake_act closes = {.step = FAKE_CLOSE_HELLO};
    const struct fake_act old = {.step = FAKE_REFUSE,
                                 .reason = NET_REFUSED_VERSION};
    const struct fake_act web = {.step = FAKE_GARBAGE};
    const struct fake_act answers = {.step = FAKE_ANSWER, .reply = &yes};
    struct fake_node *nodes[] = {
        fake_node_start(&closes, 1), fake_node_start(&old, 1),
        fake_node_start(&web, 1), fake_node_start(&answers, 1)};
    char nobody[64];

    (void)state;
    fake_nobody(nobody);
    ask_at(nobody);
    for (size_t i = 0; i < 4; i++)
        ask_at(fake_node_address(nodes[i]));
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(reply.rc, 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fake_node_stop(nodes[i], NULL), 1);
}

static void nobody_anywhere_fails_at_once(void **state)
{
    char nobody[64];
    px_ns begin = px_now();

    (void)state;
    fake_nobody(nobody);
    ask_at(nobody);
    ask_at(nobody);
    assert_int_equal(ask(&removal), -ECONNREFUSED);
    assert_non_null(strstr(why, nobody));
    assert_non_null(strstr(why, "Connection refused"));
    assert_true(px_now() - begin < options.timeout);
}

static void a_name_that_nobody_knows_fails(void **state)
{
    (void)state;
    ask_at("no-such-node.invalid:9000");
    assert_int_equal(ask(&list), -ENOENT);
    assert_non_null(strstr(why, "no-such-node.invalid:9000: "));
}

static void a_refused_hello_is_told(void **state)
{
    const struct fake_act old = {.step = FAKE_REFUSE,
                                 .reason = NET_REFUSED_VERSION};
    struct fake_node *n = fake_node_start(&old, 1);

    (void)state;
    ask_at(fake_node_address(n));
    assert_int_equal(ask(&removal), -ECONNREFUSED);
    assert_non_null(strstr(why, "refuses to be asked: another protocol"));
    (void)fake_node_stop(n, NULL);
}

/* A node that has just started knows its cluster in a moment. */
static void a_hello_that_is_refused_for_now_is_said_again(void **state)
{
    const struct fake_act acts[] = {
        {.step = FAKE_REFUSE, .reason = NET_REFUSED_NOT_YET},
        {.step = FAKE_REFUSE, .reason = NET_REFUSED_BUSY},
        {.step = FAKE_ANSWER, .reply = &yes},
    };
    struct fake_node *n = fake_node_start(acts, 3);

    (void)state;
    ask_at(fake_node_address(n));
    assert_int_equal(ask(&removal), 0);
    assert_int_equal(fake_node_stop(n, NULL), 3);
}

/* What was asked once and not answered may take effect. */
static void a_change_without_an_answer_is_unknown_and_not_repeated(void **state)
{
    const struct fake_act acts[] = {{.step = FAKE_CLOSE_ASKED},
                                    {.step = FAKE_ANSWER, .reply = &yes}};
    struct fake_node *n = fake_node_start(acts, 2);

    (void)state;
    ask_at(fake_node_address(n));
    ask_at(fake_node_address(n));
    assert_int_equal(ask(&removal), -PX_EUNKNOWN);
    assert_non_null(strstr(why, "closed the connection"));
    assert_int_equal(fake_node_stop(n, NULL), 1);
}

static void a_list_without_an_answer_is_asked_again(void **state)
{
    const struct fake_act acts[] = {{.step = FAKE_CLOSE_ASKED},
                                    {.step = FAKE_ANSWER, .reply = &yes}};
    struct fake_node *n = fake_node_start(acts, 2);

    (void)state;
    ask_at(fake_node_address(n));
    ask_at(fake_node_address(n));
    assert_int_equal(ask(&list), 0);
    assert_int_equal(fake_node_stop(n, NULL), 2);
}

static void silence_ends_at_the_deadline(void **state)
{
    const struct fake_act act = {.step = FAKE_SILENT};
    struct fake_node *n = fake_node_start(&act, 1);

    (void)state;
    ask_at(fake_node_address(n));
    options.timeout = PX_NS_PER_S;
    assert_int_equal(ask(&removal), -PX_EUNKNOWN);
    assert_non_null(strstr(why, "did not answer in time"));
    assert_int_equal(fake_node_stop(n, NULL), 1);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_leader_that_is_named_is_asked),
        TEST(without_a_leader_it_is_asked_again),
        TEST(it_ends_at_the_deadline_with_the_last_answer),
        TEST(hints_in_a_circle_end_at_the_deadline),
        TEST(the_next_address_is_asked_where_nobody_is),
        TEST(nobody_anywhere_fails_at_once),
        TEST(a_name_that_nobody_knows_fails),
        TEST(a_refused_hello_is_told),
        TEST(a_hello_that_is_refused_for_now_is_said_again),
        TEST(a_change_without_an_answer_is_unknown_and_not_repeated),
        TEST(a_list_without_an_answer_is_asked_again),
        TEST(silence_ends_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
