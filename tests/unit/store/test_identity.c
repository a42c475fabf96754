/* store/identity.c, identity_file.c: whose folder it is, one process at a
 * time, and a refusal changes nothing. */
#include "store/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "base/err.h"

#define CLUSTER UINT64_C(0x00c0ffee00c0ffee)
#define NAME "phalanx"

struct folder_test {
    char root[64];
    char dir[128];
    struct store_folder *folder;
    struct store_identity id;
    bool is_new;
    char why[512];
};

static int setup(void **state)
{
    struct folder_test *t = calloc(1, sizeof *t);

    assert_non_null(t);
    (void)snprintf(t->root, sizeof t->root, "/tmp/phalanx-folder-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    (void)snprintf(t->dir, sizeof t->dir, "%s/data", t->root);
    *state = t;
    return 0;
}

/* A shell command about @path. */
static void run(const char *words, const char *path, const char *name)
{
    char command[256];

    assert_true(snprintf(command, sizeof command, "%s %s/%s", words, path,
                         name) < (int)sizeof command);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    struct folder_test *t = *state;

    store_folder_close(t->folder);
    run("rm -rf", t->root, "");
    free(t);
    return 0;
}

static int try_named(struct folder_test *t, const char *node, const char *name,
                     uint64_t cluster)
{
    const struct store_folder_options options = {
        .dir = t->dir, .node = node, .cluster_name = name, .cluster = cluster};
    int rc = store_folder_open(&options, &t->folder, &t->id, &t->is_new, t->why,
                               sizeof t->why);

    assert_true(rc == 0 || t->why[0] != '\0');
    return rc;
}

static int try_open(struct folder_test *t, const char *node, uint64_t cluster)
{
    return try_named(t, node, NAME, cluster);
}

static void open_only(struct folder_test *t)
{
    int rc = try_open(t, "node-1", CLUSTER);

    if (rc != 0 || t->why[0] != '\0')
        fail_msg("%s", t->why);
}

/* As a server does that knows its cluster. */
static void open_ours(struct folder_test *t)
{
    open_only(t);
    if (t->is_new)
        assert_int_equal(store_folder_begin(t->folder, &t->id), 0);
}

static void close_ours(struct folder_test *t)
{
    store_folder_close(t->folder);
    t->folder = NULL;
}

static void path_in(const struct folder_test *t, const char *name, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/%s", t->dir, name);
}

static size_t load_file(const struct folder_test *t, const char *name,
                        char *text, size_t size)
{
    char path[PATH_MAX];
    int fd;
    ssize_t n;

    path_in(t, name, path);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, text, size);
    assert_true(n > 0 && (size_t)n < size);
    close(fd);
    return (size_t)n;
}

static size_t load(const struct folder_test *t, char *text, size_t size)
{
    return load_file(t, "identity", text, size);
}

static void store(const struct folder_test *t, const char *name,
                  const char *text, size_t size)
{
    char path[PATH_MAX];
    int fd;

    path_in(t, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static void a_new_folder_is_made_with_all_that_is_in_it(void **state)
{
    struct folder_test *t = *state;
    struct stat st;

    (void)snprintf(t->dir, sizeof t->dir, "%s/a/b/data/", t->root);
    open_ours(t);
    assert_true(t->is_new);
    assert_int_equal(t->id.format, STORE_FORMAT_VERSION);
    assert_string_equal(t->id.node, "node-1");
    assert_int_equal(t->id.cluster, CLUSTER);
    assert_int_equal(t->id.incarnation, 1);
    assert_int_equal(stat(store_folder_log(t->folder), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(stat(store_folder_state(t->folder), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

/* Whatever it was told by then is forgotten: it may be told otherwise. */
static void a_folder_that_was_not_begun_stays_new(void **state)
{
    struct folder_test *t = *state;
    struct stat st;

    assert_int_equal(try_named(t, "node-1", "other", 0), 0);
    assert_true(t->is_new);
    assert_int_equal(t->id.incarnation, 0);
    assert_int_equal(t->id.cluster, 0);
    close_ours(t);
    open_only(t);
    assert_true(t->is_new);
    close_ours(t);
    assert_int_equal(stat(t->dir, &st), 0);
    open_ours(t);
    assert_int_equal(t->id.incarnation, 1);
}

static void all_of_an_identity_is_kept(void **state)
{
    struct folder_test *t = *state;
    struct store_identity id;

    assert_int_equal(try_open(t, "node-1", 0), 0);
    id = t->id;
    id.cluster = CLUSTER;
    id.voter_count = 3;
    (void)strcpy(id.voters[0], "node-1");
    memset(id.voters[1], 'x', PX_NODE_ID_BYTES_MAX);
    (void)strcpy(id.voters[2], "\xc3\xa9");
    id.is_begun = true;
    id.promise = INT64_MAX;
    id.gossip_reserve = UINT64_MAX - 1;
    assert_int_equal(store_folder_begin(t->folder, &id), 0);
    close_ours(t);
    assert_int_equal(try_open(t, "node-1", 0), 0);
    assert_false(t->is_new);
    assert_int_equal(id.incarnation, 1);
    id.incarnation = 2;
    assert_int_equal(t->id.format, id.format);
    assert_string_equal(t->id.node, "node-1");
    assert_string_equal(t->id.cluster_name, NAME);
    assert_int_equal(t->id.cluster, CLUSTER);
    assert_int_equal(t->id.incarnation, 2);
    assert_int_equal(t->id.voter_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(t->id.voters[i], id.voters[i]);
    assert_false(t->id.has_log);
    assert_true(t->id.is_begun);
    assert_false(t->id.is_removed);
    assert_int_equal(t->id.promise, INT64_MAX);
    assert_int_equal(t->id.gossip_reserve, UINT64_MAX - 1);
}

static void a_removed_node_is_told_at_each_start(void **state)
{
    struct folder_test *t = *state;
    char before[4096];
    char after[4096];
    size_t size;

    open_ours(t);
    t->id.is_removed = true;
    assert_int_equal(store_folder_update(t->folder, &t->id), 0);
    close_ours(t);
    size = load(t, before, sizeof before);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECLUSTER);
        assert_non_null(strstr(t->why, "node node-1 has been removed"));
        assert_non_null(strstr(t->why, "new NODE_ID"));
    }
    assert_int_equal(load(t, after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

static void each_start_is_one_incarnation_more(void **state)
{
    struct folder_test *t = *state;

    for (uint64_t i = 1; i <= 4; i++) {
        open_ours(t);
        assert_int_equal(t->id.incarnation, i);
        assert_int_equal(t->is_new, i == 1);
        close_ours(t);
    }
}

static void a_second_open_is_busy(void **state)
{
    struct folder_test *t = *state;
    struct store_folder *second;
    struct store_identity id;
    bool is_new;
    int rc;

    open_ours(t);
    rc = store_folder_open(&(struct store_folder_options){.dir = t->dir,
                                                          .node = "node-1",
                                                          .cluster_name = NAME},
                           &second, &id, &is_new, t->why, sizeof t->why);
    assert_int_equal(rc, -EBUSY);
    assert_non_null(strstr(t->why, t->dir));
    close_ours(t);
    open_ours(t);
    assert_int_equal(t->id.incarnation, 2); /* the refused one didn't count */
}

/* The lock is the process's: it goes when the process dies, however. */
static void a_killed_process_leaves_no_lock(void **state)
{
    struct folder_test *t = *state;
    pid_t child = fork();
    int status;

    if (child == 0) {
        open_ours(t);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_ours(t);
    assert_int_equal(t->id.incarnation, 2);
}

static void another_cluster_or_node_is_refused(void **state)
{
    struct folder_test *t = *state;
    char before[4096];
    char after[4096];
    size_t size;

    open_ours(t);
    close_ours(t);
    size = load(t, before, sizeof before);
    assert_int_equal(try_open(t, "node-1", CLUSTER + 1), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "00c0ffee00c0ffee"));
    assert_non_null(strstr(t->why, "00c0ffee00c0ffef"));
    assert_int_equal(try_named(t, "node-1", "hoplite", 0), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "hoplite"));
    assert_non_null(strstr(t->why, NAME));
    assert_int_equal(try_open(t, "node-2", CLUSTER), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "node-1"));
    assert_non_null(strstr(t->why, "node-2"));
    assert_int_equal(load(t, after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

static void a_newer_format_is_refused(void **state)
{
    static const char newer[] = "{\"format\":3,\"anything\":\"else\"}";
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    store(t, "identity", newer, strlen(newer));
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_EFORMAT);
    assert_non_null(strstr(t->why, "newer"));
}

static void an_older_format_is_refused(void **state)
{
    static const char older[] =
        "{\"checksum\":\"5f1d6b4d0e6c7a11\",\"cluster\":"
        "\"00c0ffee00c0ffee\",\"format\":1}";
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    store(t, "identity", older, strlen(older));
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_EFORMAT);
    assert_non_null(strstr(t->why, "format 1, of an older program"));
}

/* ---- Two files of it ---- */

static void store_both(const struct folder_test *t, const char *text,
                       size_t size)
{
    store(t, "identity", text, size);
    store(t, "identity.copy", text, size);
}

static void both_are_equal(const struct folder_test *t)
{
    char text[4096];
    char copy[4096];
    size_t size = load(t, text, sizeof text);

    assert_int_equal(load_file(t, "identity.copy", copy, sizeof copy), size);
    assert_memory_equal(text, copy, size);
}

static void a_byte_that_is_damaged_in_both_is_refused(void **state)
{
    struct folder_test *t = *state;
    char text[4096];
    size_t size;

    open_only(t);
    t->id.voter_count = 2;
    (void)strcpy(t->id.voters[0], "node-1");
    (void)strcpy(t->id.voters[1], "node-2");
    assert_int_equal(store_folder_begin(t->folder, &t->id), 0);
    close_ours(t);
    both_are_equal(t);
    size = load(t, text, sizeof text);
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 4;
        store_both(t, text, size);
        assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECORRUPT);
        assert_non_null(strstr(t->why, "restore one of them"));
        text[i] ^= 4;
        store_both(t, text, i); /* and cut off here */
        assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECORRUPT);
    }
    store(t, "identity", text, size);
    assert_int_equal(try_open(t, "node-1", CLUSTER), 0);
    assert_int_equal(t->id.incarnation, 2);
    both_are_equal(t);
}

/* test_identity_file.c goes through all that may be damaged. */
static void a_start_names_the_damaged_file_and_writes_it_anew(void **state)
{
    static const char *const names[] = {"identity", "identity.copy"};
    struct folder_test *t = *state;

    open_ours(t);
    for (size_t i = 0; i < 2; i++) {
        char said[256];

        close_ours(t);
        store(t, names[i], "{", 1);
        assert_int_equal(try_open(t, "node-1", CLUSTER), 0);
        assert_false(t->is_new);
        assert_int_equal(t->id.incarnation, 2 + i);
        (void)snprintf(said, sizeof said, "%s/%s was damaged", t->dir,
                       names[i]);
        assert_non_null(strstr(t->why, said));
        both_are_equal(t);
    }
    close_ours(t);
    run("rm", t->dir, "identity");
    assert_int_equal(try_open(t, "node-1", CLUSTER), 0);
    assert_non_null(strstr(t->why, "/identity was damaged or missing"));
    close_ours(t);
    open_ours(t); /* nothing is said any more */
    assert_int_equal(t->id.incarnation, 5);
}

static void a_folder_of_an_older_program_gets_its_copy(void **state)
{
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    run("rm", t->dir, "identity.copy");
    open_ours(t);
    assert_int_equal(t->id.incarnation, 2);
    both_are_equal(t);
}

/* It may have told others what it would found: nobody knows. */
static void a_copy_alone_is_an_identity_in_a_folder_without_data(void **state)
{
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    run("rm", t->dir, "identity");
    assert_int_equal(try_open(t, "node-1", 0), 0);
    assert_false(t->is_new);
    assert_int_equal(t->id.cluster, CLUSTER);
    assert_int_equal(t->id.incarnation, 2);
    close_ours(t);
    run("rm", t->dir, "identity");
    store(t, "identity.copy", "{", 1);
    assert_int_equal(try_open(t, "node-1", 0), -PX_ECORRUPT);
}

/* Something is in the way of the second. */
static void a_beginning_that_fails_leaves_the_folder_new(void **state)
{
    struct folder_test *t = *state;

    open_only(t);
    run("mkdir", t->dir, "identity");
    assert_int_not_equal(store_folder_begin(t->folder, &t->id), 0);
    assert_int_equal(t->id.incarnation, 0);
    run("rmdir", t->dir, "identity");
    close_ours(t);
    open_only(t);
    assert_true(t->is_new);
    assert_int_equal(store_folder_begin(t->folder, &t->id), 0);
    assert_int_equal(t->id.incarnation, 1);
}

static void the_copy_of_another_folder_is_refused(void **state)
{
    struct folder_test *t = *state;
    struct folder_test other = *t;
    char text[4096];
    size_t size;

    (void)snprintf(other.dir, sizeof other.dir, "%s/other", t->root);
    open_ours(t);
    close_ours(t);
    assert_int_equal(try_open(&other, "node-2", CLUSTER), 0);
    assert_int_equal(store_folder_begin(other.folder, &other.id), 0);
    close_ours(&other);
    size = load(&other, text, sizeof text);
    store(t, "identity.copy", text, size);
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "of two nodes or two clusters"));
    run("rm", t->dir, "identity");
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "belongs to node node-2"));
}

static void a_removed_node_stays_removed_by_either_file(void **state)
{
    struct folder_test *t = *state;
    char text[4096];
    size_t size;

    open_ours(t);
    t->id.is_removed = true;
    assert_int_equal(store_folder_update(t->folder, &t->id), 0);
    close_ours(t);
    store(t, "identity", "{", 1);
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECLUSTER);
    assert_non_null(strstr(t->why, "has been removed"));
    assert_int_equal(load(t, text, sizeof text), 1); /* nothing is changed */
    size = load_file(t, "identity.copy", text, sizeof text);
    store(t, "identity", text, size);
    store(t, "identity.copy", "{", 1);
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECLUSTER);
}

static void data_without_an_identity_is_not_adopted(void **state)
{
    static const char *const names[] = {"log/0000000001.log", "state/data.mdb"};
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    run("rm", t->dir, "identity");
    run("rm", t->dir, "identity.copy");
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];

        store(t, names[i], "x", 1);
        assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECORRUPT);
        assert_non_null(strstr(t->why, "no identity"));
        path_in(t, names[i], path);
        assert_int_equal(unlink(path), 0);
    }
    open_ours(t); /* without data it is a new folder */
    assert_true(t->is_new);
}

static void an_identity_without_a_log_is_refused(void **state)
{
    struct folder_test *t = *state;

    open_ours(t);
    close_ours(t);
    run("rm -r", t->dir, "log");
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECORRUPT);
    assert_non_null(strstr(t->why, "no log"));
}

/* It has lost votes and entries that others may count on. */
static void an_emptied_log_is_refused_once_it_was_begun(void **state)
{
    struct folder_test *t = *state;

    open_ours(t);
    t->id.has_log = true;
    assert_int_equal(store_folder_update(t->folder, &t->id), 0);
    close_ours(t);
    assert_int_equal(try_open(t, "node-1", CLUSTER), -PX_ECORRUPT);
    assert_non_null(strstr(t->why, "no log"));
    store(t, "log/0000000001.log", "x", 1);
    open_ours(t);
    assert_true(t->id.has_log);
    assert_int_equal(t->id.incarnation, 2);
}

static void a_start_that_was_cut_short_is_begun_anew(void **state)
{
    struct folder_test *t = *state;

    run("mkdir -p", t->dir, "log");
    store(t, "lock", "", 0);
    store(t, "identity.new", "{\"for", 6);
    open_ours(t);
    assert_true(t->is_new);
    assert_int_equal(t->id.incarnation, 1);
}

static void nonsense_is_refused(void **state)
{
    struct folder_test *t = *state;
    char long_name[PX_NODE_ID_BYTES_MAX + 2];

    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(try_open(t, "", CLUSTER), -EINVAL);
    assert_int_equal(try_open(t, long_name, CLUSTER), -EINVAL);
    assert_int_equal(try_named(t, "node-1", "", CLUSTER), -EINVAL);
    assert_int_equal(try_named(t, "node-1", long_name, CLUSTER), -EINVAL);
    t->dir[0] = '\0';
    assert_int_equal(try_open(t, "node-1", CLUSTER), -EINVAL);
}

static void a_file_in_the_folders_place_is_named(void **state)
{
    struct folder_test *t = *state;
    struct folder_test parent = *t;

    memcpy(parent.dir, t->root, sizeof t->root);
    store(&parent, "data", "x", 1);
    assert_int_equal(try_open(t, "node-1", CLUSTER), -ENOTDIR);
    assert_non_null(strstr(t->why, t->dir));
}

/* A node that goes on in another folder counts on from where it was. */
static void a_folder_is_begun_behind_the_drafts_incarnation(void **state)
{
    struct folder_test *t = *state;

    open_only(t);
    t->id.incarnation = 41;
    assert_int_equal(store_folder_begin(t->folder, &t->id), 0);
    assert_int_equal(t->id.incarnation, 42);
    close_ours(t);
    open_ours(t);
    assert_int_equal(t->id.incarnation, 43);
}

/* ---- For tools ---- */

static int try_found(struct folder_test *t)
{
    int rc = store_folder_open_found(t->dir, &t->folder, &t->id, t->why,
                                     sizeof t->why);

    assert_true((rc == 0) == (t->why[0] == '\0'));
    return rc;
}

static void a_found_folder_is_opened_and_not_changed(void **state)
{
    struct folder_test *t = *state;
    char before[4096];
    char after[4096];
    size_t size;

    open_ours(t);
    t->id.is_removed = true;
    assert_int_equal(store_folder_update(t->folder, &t->id), 0);
    close_ours(t);
    size = load(t, before, sizeof before);
    assert_int_equal(try_found(t), 0);
    assert_string_equal(t->id.node, "node-1");
    assert_int_equal(t->id.cluster, CLUSTER);
    assert_int_equal(t->id.incarnation, 1);
    assert_true(t->id.is_removed);
    close_ours(t);
    assert_int_equal(load(t, after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

static void a_found_folder_is_locked_like_any(void **state)
{
    struct folder_test *t = *state;
    struct folder_test second = *t;

    open_ours(t);
    assert_int_equal(try_found(&second), -EBUSY);
    close_ours(t);
    assert_int_equal(try_found(t), 0);
    assert_int_equal(try_open(&second, "node-1", CLUSTER), -EBUSY);
}

static void where_there_is_no_identity_nothing_is_found_or_made(void **state)
{
    struct folder_test *t = *state;
    struct stat st;

    assert_int_equal(try_found(t), -ENOENT);
    assert_non_null(strstr(t->why, t->dir));
    assert_int_equal(stat(t->dir, &st), -1);
    run("mkdir", t->dir, "");
    assert_int_equal(try_found(t), -ENOENT);
    run("rmdir", t->dir, ""); /* it is empty still */
}

static void a_found_folder_has_to_be_whole(void **state)
{
    struct folder_test *t = *state;

    open_ours(t);
    t->id.has_log = true;
    assert_int_equal(store_folder_update(t->folder, &t->id), 0);
    close_ours(t);
    assert_int_equal(try_found(t), -PX_ECORRUPT);
    assert_non_null(strstr(t->why, "no log"));
    store_both(t, "{}", 2);
    assert_int_equal(try_found(t), -PX_ECORRUPT);
}

static void a_found_folder_needs_one_of_the_two_and_mends_none(void **state)
{
    struct folder_test *t = *state;
    char text[4096];

    open_ours(t);
    close_ours(t);
    store(t, "identity", "{", 1);
    assert_int_equal(try_found(t), 0);
    assert_int_equal(t->id.cluster, CLUSTER);
    close_ours(t);
    assert_int_equal(load(t, text, sizeof text), 1);
    run("rm", t->dir, "identity");
    assert_int_equal(try_found(t), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_folder_is_made_with_all_that_is_in_it),
        TEST(a_folder_that_was_not_begun_stays_new),
        TEST(all_of_an_identity_is_kept),
        TEST(a_removed_node_is_told_at_each_start),
        TEST(each_start_is_one_incarnation_more),
        TEST(a_second_open_is_busy),
        TEST(a_killed_process_leaves_no_lock),
        TEST(another_cluster_or_node_is_refused),
        TEST(a_newer_format_is_refused),
        TEST(an_older_format_is_refused),
        TEST(a_byte_that_is_damaged_in_both_is_refused),
        TEST(a_start_names_the_damaged_file_and_writes_it_anew),
        TEST(a_folder_of_an_older_program_gets_its_copy),
        TEST(a_copy_alone_is_an_identity_in_a_folder_without_data),
        TEST(a_beginning_that_fails_leaves_the_folder_new),
        TEST(the_copy_of_another_folder_is_refused),
        TEST(a_removed_node_stays_removed_by_either_file),
        TEST(data_without_an_identity_is_not_adopted),
        TEST(an_identity_without_a_log_is_refused),
        TEST(an_emptied_log_is_refused_once_it_was_begun),
        TEST(a_start_that_was_cut_short_is_begun_anew),
        TEST(a_folder_is_begun_behind_the_drafts_incarnation),
        TEST(a_found_folder_is_opened_and_not_changed),
        TEST(a_found_folder_is_locked_like_any),
        TEST(where_there_is_no_identity_nothing_is_found_or_made),
        TEST(a_found_folder_has_to_be_whole),
        TEST(a_found_folder_needs_one_of_the_two_and_mends_none),
        TEST(nonsense_is_refused),
        TEST(a_file_in_the_folders_place_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
