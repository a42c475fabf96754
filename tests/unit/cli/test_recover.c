/* cli/recover.c, survivor.c, rebuild.c: what one node of five holds becomes a
 * cluster of its own, and nothing else does. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "base/err.h"
#include "node/config.h"
#include "raft/config.h"
#include "store/members.h"
#include "tests/unit/cli/old_node.h"
#include "tests/unit/cli/run.h"

static void recover_yes(struct run *r, const struct old_node *n)
{
    RUN(r, "recover", "--data-dir", n->data, "--to", n->new, "--yes");
}

static void expect_made(const struct old_node *n)
{
    struct run r = {.input = NULL};

    recover_yes(&r, n);
    if (r.status != CLI_DONE)
        fail_msg("%s", r.err);
}

static void expect_failed(const struct run *r, const char *says)
{
    if (r->status != CLI_FAILED || strstr(r->err, says) == NULL)
        fail_msg("status %d, said: %s", (int)r->status, r->err);
}

static bool is_there(const char *dir, const char *name)
{
    char path[160];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

/* ---- What is made ---- */

static void all_that_the_node_holds_is_in_the_new_cluster(void **state)
{
    const struct old_node *n = *state;
    struct data d;

    expect_made(n);
    old_node_open(n->new, &d);
    assert_int_equal(old_node_files(&d), OLD_ENTRIES - 1);
    data_close(&d);
}

static void the_new_cluster_has_an_id_and_one_voter(void **state)
{
    const struct old_node *n = *state;
    const struct raft_config *config;
    uint64_t first;
    struct data d;

    expect_made(n);
    old_node_open(n->new, &d);
    first = d.identity.cluster;
    assert_int_not_equal(first, OLD_CLUSTER);
    assert_int_not_equal(first, 0);
    assert_string_equal(d.identity.node, "node-2");
    assert_string_equal(d.identity.cluster_name, "phalanx");
    assert_int_equal(d.identity.voter_count, 1);
    assert_string_equal(d.identity.voters[0], "node-2");
    assert_true(d.identity.is_begun);
    assert_true(d.identity.has_log);
    config = &d.storage.snapshot.config;
    assert_int_equal(config->count, 1);
    assert_int_equal(config->members[0].id, config_id_of("node-2"));
    assert_int_equal(config->members[0].role, RAFT_VOTER);
    data_close(&d);
    /* Another run, another id: its nodes and these never talk. */
    old_node_shell(n->new, "rm -r \"$0\"");
    expect_made(n);
    old_node_open(n->new, &d);
    assert_int_not_equal(d.identity.cluster, first);
    data_close(&d);
}

/* Its sessions know how often it has started, its peers what it promised. */
static void the_node_goes_on_from_where_it_was(void **state)
{
    const struct old_node *n = *state;
    struct data d;

    expect_made(n);
    old_node_open(n->new, &d); /* counts one up, like any start */
    assert_int_equal(d.identity.incarnation, OLD_INCARNATION + 2);
    assert_int_equal(d.identity.promise, 5 * PX_NS_PER_S);
    assert_int_equal(d.identity.gossip_reserve, 99);
    data_close(&d);
}

static void the_new_log_begins_behind_all_terms_and_entries(void **state)
{
    const struct old_node *n = *state;
    struct raft_options raft = {.id = 0};
    struct data d;

    expect_made(n);
    old_node_open(n->new, &d);
    assert_null(d.storage.found.fault);
    assert_false(d.storage.is_rebuilt);
    storage_to_raft(&d.storage, &raft);
    assert_int_equal(raft.hard.term, OLD_TERM + 1);
    assert_int_equal(raft.hard.voted_for, config_id_of("node-2"));
    assert_int_equal(raft.base.term, OLD_TERM + 1);
    /* An entry that makes it the voter, and one for each of four that go. */
    assert_int_equal(raft.base.index, OLD_ENTRIES + 5);
    assert_int_equal(raft.last, raft.base.index);
    assert_int_equal(raft.applied, raft.base.index);
    data_close(&d);
}

static void the_others_are_removed_for_ever(void **state)
{
    static const char *const others[] = {"node-0", "node-1", "node-3",
                                         "node-4"};
    const struct old_node *n = *state;
    struct store_members members;
    struct store_view *v;
    struct data d;

    expect_made(n);
    old_node_open(n->new, &d);
    assert_int_equal(store_view_new(d.storage.state, &v), 0);
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_members(v, &members), 0);
    assert_int_equal(members.count, 1);
    assert_string_equal(members.list[0].name, "node-2");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(store_view_was_removed(v, config_id_of(others[i])), 1);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-2")), 0);
    assert_int_equal(store_view_knows_node(v, "node-2"), 1);
    store_view_end(v);
    store_view_free(v);
    data_close(&d);
}

static void add_config(struct data *d, raft_index index, size_t count)
{
    const struct raft_config config = {
        .count = count,
        .members = {{config_id_of("node-0"), RAFT_VOTER},
                    {config_id_of("node-2"), RAFT_VOTER}}};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    struct raft_entry e = {
        .pos = {6, index}, .kind = RAFT_ENTRY_CONFIG, .data = {.data = bytes}};

    e.data.size = raft_config_encode(&config, bytes);
    assert_int_equal(store_log_write(d->storage.log, NULL, &e, 1), 0);
}

/* Behind what is applied: a sixth node, with a name. */
static void add_sixth(struct data *d)
{
    struct raft_config config = {.count = 6};
    struct store_change change = {.count = 1};
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX + 256];
    struct raft_entry e = {.pos = {6, OLD_ENTRIES + 1},
                           .kind = RAFT_ENTRY_CONFIG,
                           .data = {.data = bytes}};
    struct px_slice added;

    for (size_t i = 0; i < config.count; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "node-%zu", i);
        config.members[i] =
            (struct raft_member){config_id_of(name), RAFT_VOTER};
    }
    change.list[0] =
        (struct store_member){.id = config_id_of("node-5"), .name = "node-5"};
    assert_int_equal(store_change_encode(&change, &added), 0);
    e.data.size = raft_config_encode(&config, bytes);
    memcpy(bytes + e.data.size, added.data, added.size);
    e.data.size += added.size;
    px_slice_unref(&added);
    assert_int_equal(store_log_write(d->storage.log, NULL, &e, 1), 0);
}

/* It may have a session, which nobody else would ever end. */
static void a_node_that_came_last_is_removed_too(void **state)
{
    const struct old_node *n = *state;
    struct store_view *v;
    struct data d;

    old_node_open(n->data, &d);
    add_sixth(&d);
    data_close(&d);
    expect_made(n);
    old_node_open(n->new, &d);
    assert_int_equal(store_view_new(d.storage.state, &v), 0);
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-5")), 1);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-4")), 1);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-2")), 0);
    store_view_end(v);
    store_view_free(v);
    data_close(&d);
}

/* Perhaps it was committed, perhaps not; and this node is all there is. */
static void a_removal_of_this_node_that_was_under_way_is_void(void **state)
{
    const struct old_node *n = *state;
    struct store_view *v;
    struct data d;

    old_node_open(n->data, &d);
    add_config(&d, OLD_ENTRIES + 1, 2);
    add_config(&d, OLD_ENTRIES + 2, 1);
    data_close(&d);
    expect_made(n);
    old_node_open(n->new, &d);
    assert_int_equal(d.storage.found.last, OLD_ENTRIES + 2 + 5);
    assert_int_equal(store_view_new(d.storage.state, &v), 0);
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-2")), 0);
    assert_int_equal(store_view_was_removed(v, config_id_of("node-0")), 1);
    store_view_end(v);
    store_view_free(v);
    data_close(&d);
}

static void the_old_folder_stays_as_it_was(void **state)
{
    const struct old_node *n = *state;
    struct data d;

    old_node_shell(n->data, "cp \"$0\"/identity \"$0\"/../before");
    old_node_shell(n->data, "echo x > \"$0\"/peers");
    expect_made(n);
    assert_false(is_there(n->new, "peers")); /* the others are no members */
    assert_true(is_there(n->data, "peers"));
    old_node_shell(n->data, "cmp \"$0\"/identity \"$0\"/../before");
    old_node_open(n->data, &d);
    assert_int_equal(store_state_applied(d.storage.state).index, OLD_APPLIED);
    assert_int_equal(d.storage.found.last, OLD_ENTRIES);
    assert_int_equal(old_node_files(&d), OLD_APPLIED - 1);
    data_close(&d);
}

/* ---- What is shown ---- */

static void what_a_node_holds_is_shown_and_nothing_made(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};

    RUN(&r, "recover", "--data-dir", n->data);
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.out, "node          node-2\n"));
    assert_non_null(
        strstr(r.out, "cluster       phalanx, id 000000000000001d\n"));
    assert_non_null(strstr(r.out, "members       5, as the cluster began:\n"));
    assert_non_null(strstr(r.out, "node-2  voter  -  (this node)\n"));
    assert_non_null(strstr(r.out, "committed     term 5, index 25, or "));
    assert_non_null(strstr(r.out, "last entry    term 5, index 40, written at "
                                  "2023-11-14 22:13:20 UTC"));
    assert_non_null(
        strstr(r.out, "The last 15 of its entries may have been\n"));
    assert_null(strstr(r.out, "WARNING"));
    assert_false(is_there(n->root, "new"));
}

static void a_log_that_has_lost_entries_is_told(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};

    old_node_shell(n->data,
                   "printf X | dd of=\"$0\"/log/0000000001.log bs=1 seek=7000 "
                   "conv=notrunc status=none");
    recover_yes(&r, n);
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.out, "WARNING: this node's log is damaged"));
    assert_non_null(strstr(r.out, "0000000001.log"));
}

static void a_state_that_was_wrong_is_told(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};

    old_node_shell(n->data, "echo > \"$0\"/state/diverged");
    RUN(&r, "recover", "--data-dir", n->data);
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.out, "WARNING: this node's state was found"));
}

/* Its log is sound, and it counts as a voter: only the identity knows. */
static void a_refill_that_was_under_way_is_told(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};
    struct data d;

    old_node_open(n->data, &d);
    d.identity.is_begun = false;
    assert_int_equal(store_folder_update(d.folder, &d.identity), 0);
    data_close(&d);
    RUN(&r, "recover", "--data-dir", n->data);
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.out, "WARNING: this node began without data"));
}

/* ---- Yes and no ---- */

static void without_a_terminal_nothing_is_made(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = "yes\n"};

    RUN(&r, "recover", "--data-dir", n->data, "--to", n->new);
    expect_failed(&r, "no terminal to ask on");
    assert_non_null(strstr(r.out, "last entry    term 5, index 40"));
    assert_false(is_there(n->root, "new"));
}

static void anything_but_yes_is_no(void **state)
{
    static const char *const answers[] = {"",      "\n",   "y\n",
                                          "Yes\n", "yes!", "no\nyes\n"};
    const struct old_node *n = *state;

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct run r = {.input = answers[i], .is_terminal = true};

        RUN(&r, "recover", "--data-dir", n->data, "--to", n->new);
        expect_failed(&r, "phalanx: nothing was made\n");
        assert_false(is_there(n->root, "new"));
    }
}

static void a_yes_on_a_terminal_is_enough(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = "yes\n", .is_terminal = true};

    RUN(&r, "recover", "--data-dir", n->data, "--to", n->new);
    assert_int_equal(r.status, CLI_DONE);
    assert_non_null(strstr(r.err, "Type \"yes\" to make a new cluster of "
                                  "node-2 alone"));
    assert_non_null(strstr(r.out, "NODE_ID=node-2 CLUSTER=phalanx"));
    assert_true(is_there(n->new, "identity"));
}

static void wrong_usage_says_what_to_write(void **state)
{
    static const struct {
        const char *words[8];
        const char *says;
    } rows[] = {
        {{"recover"}, "--data-dir FOLDER"},
        {{"recover", "--data-dir", ""}, "--data-dir FOLDER"},
        {{"recover", "--data-dir", "a", "--to", ""}, "a folder after --to"},
        {{"recover", "--data-dir", "a", "--yes"}, "--yes goes with --to"},
        {{"recover", "--data-dir", "a", "b"}, "\"b\" is left over"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r = {.input = NULL};

        run(&r, rows[i].words);
        if (r.status != CLI_USAGE || strstr(r.err, rows[i].says) == NULL)
            fail_msg("status %d, said: %s", (int)r.status, r.err);
    }
}

/* ---- Wrong folders ---- */

static void a_folder_in_use_is_refused(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};
    struct data d;

    old_node_open(n->data, &d);
    recover_yes(&r, n);
    expect_failed(&r, "another process uses the data folder");
    assert_false(is_there(n->root, "new"));
    data_close(&d);
}

static void what_is_no_data_folder_is_refused_and_left_alone(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};

    RUN(&r, "recover", "--data-dir", n->root, "--to", n->new, "--yes");
    expect_failed(&r, "is not a data folder of a node");
    assert_false(is_there(n->root, "lock"));
    RUN(&r, "recover", "--data-dir", "/nowhere/at/all", "--to", n->new,
        "--yes");
    expect_failed(&r, "is not a data folder of a node");
}

static void a_node_that_holds_nothing_is_refused(void **state)
{
    const struct old_node *n = *state;
    const struct store_folder_options options = {.dir = n->new,
                                                 .node = "node-9",
                                                 .cluster_name = "phalanx",
                                                 .cluster = 1};
    struct store_identity id;
    struct store_folder *f;
    struct run r = {.input = NULL};
    char why[256];
    bool is_new;

    assert_int_equal(
        store_folder_open(&options, &f, &id, &is_new, why, sizeof why), 0);
    assert_int_equal(store_folder_begin(f, &id), 0);
    store_folder_close(f);
    RUN(&r, "recover", "--data-dir", n->new);
    expect_failed(&r, "holds no entry");
    old_node_shell(n->new, "test -z \"$(ls -A \"$0\"/log \"$0\"/state | "
                           "grep -v :)\"");
}

static void a_node_that_was_removed_is_refused(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};
    struct data d;

    old_node_open(n->data, &d);
    d.identity.is_removed = true;
    assert_int_equal(store_folder_update(d.folder, &d.identity), 0);
    data_close(&d);
    recover_yes(&r, n);
    expect_failed(&r, "node node-2 was removed from its cluster");
}

/* Other people's files, another node's data, and the survivor's own. */
static void a_folder_that_is_not_empty_is_left_alone(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};

    RUN(&r, "recover", "--data-dir", n->data, "--to", n->data, "--yes");
    expect_failed(&r, "is a node's data folder already");
    old_node_shell(n->new, "mkdir \"$0\" && echo precious > \"$0\"/thesis");
    recover_yes(&r, n);
    expect_failed(&r, "is not empty");
    old_node_shell(n->new, "test \"$(ls -A \"$0\")\" = thesis");
    old_node_shell(n->new, "rm \"$0\"/thesis && mkdir \"$0\"/log && "
                           "echo precious > \"$0\"/log/book");
    recover_yes(&r, n);
    expect_failed(&r, "is not empty");
    old_node_shell(n->new, "grep -q precious \"$0\"/log/book");
    old_node_shell(n->new, "rm -r \"$0\" && echo precious > \"$0\"");
    recover_yes(&r, n);
    expect_failed(&r, "Not a directory");
}

static void an_empty_folder_is_as_good_as_none(void **state)
{
    const struct old_node *n = *state;

    old_node_shell(n->new, "mkdir -p \"$0\"/lost+found");
    expect_made(n);
    assert_true(is_there(n->new, "identity"));
}

/* ---- Runs that were cut short ---- */

static const char half[] =
    "mkdir -p \"$0\"/state/1 \"$0\"/state/new \"$0\"/log \"$0\"/snapshot && "
    "echo x > \"$0\"/snapshot/recovering && echo x > \"$0\"/state/1/data.mdb "
    "&& echo x > \"$0\"/log/0000000001.log && echo x > \"$0\"/term && "
    "echo x > \"$0\"/snapshot/0000000000000041.snap && "
    "echo x > \"$0\"/identity.new";

static void a_half_of_a_folder_is_no_servers(void **state)
{
    const struct old_node *n = *state;
    const struct store_folder_options options = {
        .dir = n->new, .node = "node-2", .cluster_name = "phalanx"};
    struct store_identity id;
    struct store_folder *f;
    char why[256];
    bool is_new;

    old_node_shell(n->new, "mkdir -p \"$0\"/snapshot && "
                           "echo x > \"$0\"/snapshot/recovering");
    assert_int_equal(
        store_folder_open(&options, &f, &id, &is_new, why, sizeof why),
        -PX_ECORRUPT);
    assert_non_null(strstr(why, "no identity"));
}

static void a_half_of_a_folder_is_made_anew(void **state)
{
    const struct old_node *n = *state;
    struct data d;

    old_node_shell(n->new, half);
    expect_made(n);
    assert_false(is_there(n->new, "snapshot/recovering"));
    assert_false(is_there(n->new, "snapshot/0000000000000041.snap"));
    old_node_open(n->new, &d);
    assert_int_equal(old_node_files(&d), OLD_ENTRIES - 1);
    data_close(&d);
}

/* Its identity was begun, and so was the node, perhaps: nothing is removed. */
static void beside_a_copy_of_an_identity_the_mark_is_not_looked_at(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};
    struct data d;

    expect_made(n);
    old_node_shell(n->new, "rm \"$0\"/identity && "
                           "echo x > \"$0\"/snapshot/recovering");
    recover_yes(&r, n);
    expect_failed(&r, "is a node's data folder already");
    old_node_open(n->new, &d);
    assert_int_equal(old_node_files(&d), OLD_ENTRIES - 1);
    data_close(&d);
}

static void a_mark_that_was_begun_is_nothing_yet(void **state)
{
    const struct old_node *n = *state;

    old_node_shell(n->new, "mkdir -p \"$0\"/snapshot && "
                           "printf half > \"$0\"/snapshot/recovering.new");
    expect_made(n);
    assert_false(is_there(n->new, "snapshot/recovering.new"));
}

static void a_folder_that_another_run_makes_is_left_to_it(void **state)
{
    const struct old_node *n = *state;
    struct run r = {.input = NULL};
    char path[128];
    int lock;

    old_node_shell(n->new, half);
    (void)snprintf(path, sizeof path, "%s/lock", n->new);
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    recover_yes(&r, n);
    expect_failed(&r, "Device or resource busy");
    assert_true(is_there(n->new, "state/1/data.mdb"));
    (void)close(lock);
    expect_made(n);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, old_node_setup, old_node_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_the_node_holds_is_in_the_new_cluster),
        TEST(the_new_cluster_has_an_id_and_one_voter),
        TEST(the_node_goes_on_from_where_it_was),
        TEST(the_new_log_begins_behind_all_terms_and_entries),
        TEST(the_others_are_removed_for_ever),
        TEST(a_node_that_came_last_is_removed_too),
        TEST(a_removal_of_this_node_that_was_under_way_is_void),
        TEST(the_old_folder_stays_as_it_was),
        TEST(what_a_node_holds_is_shown_and_nothing_made),
        TEST(a_log_that_has_lost_entries_is_told),
        TEST(a_state_that_was_wrong_is_told),
        TEST(a_refill_that_was_under_way_is_told),
        TEST(without_a_terminal_nothing_is_made),
        TEST(anything_but_yes_is_no),
        TEST(a_yes_on_a_terminal_is_enough),
        TEST(wrong_usage_says_what_to_write),
        TEST(a_folder_in_use_is_refused),
        TEST(what_is_no_data_folder_is_refused_and_left_alone),
        TEST(a_node_that_holds_nothing_is_refused),
        TEST(a_node_that_was_removed_is_refused),
        TEST(a_folder_that_is_not_empty_is_left_alone),
        TEST(an_empty_folder_is_as_good_as_none),
        TEST(a_half_of_a_folder_is_no_servers),
        TEST(a_half_of_a_folder_is_made_anew),
        TEST(beside_a_copy_of_an_identity_the_mark_is_not_looked_at),
        TEST(a_mark_that_was_begun_is_nothing_yet),
        TEST(a_folder_that_another_run_makes_is_left_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
