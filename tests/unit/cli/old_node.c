#include "tests/unit/cli/old_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "node/config.h"
#include "store/state.h"

#define SESSION 1 /* its entry's index */
#define ENTRIES_TERM 5
#define TIME INT64_C(1700000000000000000) /* 2023-11-14 22:13:20 UTC */

static char why[DATA_WHY_BYTES];

void old_node_shell(const char *dir, const char *command)
{
    char text[512];

    assert_true(snprintf(text, sizeof text, "sh -c '%s' '%s'", command, dir) <
                (int)sizeof text);
    assert_int_equal(system(text), 0);
}

static struct store_identity identity(void)
{
    struct store_identity id = {.format = STORE_FORMAT_VERSION,
                                .node = "node-2",
                                .cluster_name = "phalanx",
                                .cluster = OLD_CLUSTER,
                                .incarnation = OLD_INCARNATION - 1,
                                .voter_count = 5,
                                .is_begun = true,
                                .has_log = true,
                                .promise = 5 * PX_NS_PER_S,
                                .gossip_reserve = 99};

    for (size_t i = 0; i < id.voter_count; i++)
        (void)snprintf(id.voters[i], sizeof id.voters[i], "node-%zu", i);
    return id;
}

/* ---- Entries ---- */

static struct px_slice command_at(raft_index index)
{
    char name[16];
    struct command c = {.op = COMMAND_SESSION_OPEN,
                        .sequence = 1234,
                        .incarnation = OLD_INCARNATION,
                        .time = TIME + (int64_t)index,
                        .name = {"node-2", 6}};
    struct px_slice data;

    if (index > SESSION) {
        (void)snprintf(name, sizeof name, "f%llu", (unsigned long long)index);
        c = (struct command){
            .op = COMMAND_CREATE,
            .flags = COMMAND_CREATES,
            .session = SESSION,
            .sequence = index,
            .floor = index,
            .time = TIME + (int64_t)index,
            .inode =
                ((uint64_t)SESSION << STORE_INODE_SESSION_SHIFT) + 256 + index,
            .parent = STORE_ROOT_INODE,
            .name = {name, strlen(name)},
            .mode = S_IFREG | 0644};
    }
    assert_int_equal(command_encode(&c, &data), 0);
    return data;
}

static void write_entries(struct data *d)
{
    const struct raft_hard_state hard = {.term = OLD_TERM};
    struct raft_entry entries[OLD_ENTRIES];
    struct store_result results[OLD_APPLIED];
    struct store_orphans orphans = {.count = 0};

    for (raft_index i = 0; i < OLD_ENTRIES; i++)
        entries[i] = (struct raft_entry){.pos = {ENTRIES_TERM, i + 1},
                                         .kind = RAFT_ENTRY_COMMAND,
                                         .data = command_at(i + 1)};
    assert_int_equal(
        store_log_write(d->storage.log, &hard, entries, OLD_ENTRIES), 0);
    assert_int_equal(store_log_sync(d->storage.log), 0);
    assert_int_equal(
        store_apply(d->storage.state, entries, OLD_APPLIED, results, &orphans),
        0);
    for (size_t i = 0; i < OLD_APPLIED; i++)
        assert_int_equal(results[i].rc, 0);
    for (size_t i = 0; i < OLD_ENTRIES; i++)
        px_slice_unref(&entries[i].data);
    free(orphans.inodes);
}

/* ---- Folders ---- */

static void make(struct old_node *n)
{
    const struct store_folder_options options = {
        .dir = n->data, .node = "node-2", .cluster_name = "phalanx"};
    struct data d = {.folder = NULL};
    bool is_new;

    assert_int_equal(store_folder_open(&options, &d.folder, &d.identity,
                                       &is_new, why, sizeof why),
                     0);
    assert_true(is_new);
    d.identity = identity();
    assert_int_equal(data_open_disks(&d, why), 0);
    d.identity.has_log = false; /* for this once */
    assert_int_equal(data_open(&d, why), 0);
    d.identity.has_log = true;
    assert_int_equal(store_folder_begin(d.folder, &d.identity), 0);
    write_entries(&d);
    data_close(&d);
}

int old_node_setup(void **state)
{
    struct old_node *n = calloc(1, sizeof *n);

    assert_non_null(n);
    (void)snprintf(n->root, sizeof n->root, "%s/phalanx-recover-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(n->root));
    (void)snprintf(n->data, sizeof n->data, "%s/old", n->root);
    (void)snprintf(n->new, sizeof n->new, "%s/new", n->root);
    make(n);
    *state = n;
    return 0;
}

int old_node_teardown(void **state)
{
    struct old_node *n = *state;

    old_node_shell(n->root, "rm -r \"$0\"");
    free(n);
    return 0;
}

void old_node_open(const char *dir, struct data *d)
{
    const struct store_folder_options options = {
        .dir = dir, .node = "node-2", .cluster_name = "phalanx"};
    bool is_new = true;
    int rc;

    *d = (struct data){.folder = NULL};
    rc = store_folder_open(&options, &d->folder, &d->identity, &is_new, why,
                           sizeof why);
    if (rc == 0)
        rc = data_open_disks(d, why);
    if (rc == 0)
        rc = data_open(d, why);
    if (rc < 0)
        fail_msg("%s", why);
    assert_false(is_new);
}

static bool count_one(void *ctx, const struct store_name *name)
{
    unsigned *count = ctx;

    (void)name; /* each is one of ours */
    (*count)++;
    return true;
}

unsigned old_node_files(struct data *d)
{
    struct store_view *v;
    struct store_inode inode;
    unsigned count = 0;

    assert_int_equal(store_view_new(d->storage.state, &v), 0);
    assert_int_equal(store_view_begin(v), 0);
    assert_int_equal(store_view_list(v, STORE_ROOT_INODE, 0, count_one, &count),
                     0);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        struct command_name found = {name, 0};

        found.size = (size_t)snprintf(name, sizeof name, "f%u", i + 2);
        assert_int_equal(store_view_lookup(v, STORE_ROOT_INODE, found, &inode),
                         0);
    }
    store_view_end(v);
    store_view_free(v);
    return count;
}
