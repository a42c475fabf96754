/* What people do with folders: a large file in, a source tree in, all of it out
 * again, by the programs they would use.
 *
 * BULK_MIB: the large file, 256. BULK_FILES: in the tree, 2000. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define NODES 5
#define RUN_MS_MAX 600000
#define BLOCK_BYTES (1u << 20)
#define FILES_PER_FOLDER 25
#define FILE_BYTES_MAX 16384u

static void write_random(int dir, const char *name, uint64_t size,
                         struct px_rand *rand)
{
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    assert_return_code(fd, errno);
    while (size > 0) {
        size_t n = size < BLOCK_BYTES ? size : BLOCK_BYTES;

        for (size_t i = 0; i * sizeof block[0] < n; i++)
            block[i] = px_rand_next(rand);
        assert_int_equal(write(fd, block, n), n);
        size -= n;
    }
    (void)close(fd);
}

static void hash(const char *path, char hex[65])
{
    const char *const argv[] = {"sha256sum", path, NULL};
    struct process_result r;

    process_run(&(struct process_options){.argv = argv}, RUN_MS_MAX, &r);
    if (r.status != 0)
        fail_msg("sha256sum %s: %s", path, r.err);
    (void)snprintf(hex, 65, "%.64s", r.out);
}

static struct cluster *start(void)
{
    return cluster_start(&(struct cluster_options){
        .nodes = NODES,
        .seconds_max = 300 + env_number("BULK_MIB", 256) +
                       env_number("BULK_FILES", 2000) / 10});
}

static void a_large_file_arrives_whole_on_another_mount(void **state)
{
    struct cluster *c = start();
    uint64_t size = env_number("BULK_MIB", 256) * UINT64_C(1048576) + 12345;
    int dir = open(cluster_dir(c), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char source[512];
    char copy[512];
    char expected[65];
    char found[65];
    struct px_rand rand;

    (void)state;
    assert_return_code(dir, errno);
    px_rand_init(&rand, size);
    write_random(dir, "large", size, &rand);
    (void)close(dir);
    (void)snprintf(source, sizeof source, "%s/large", cluster_dir(c));
    hash(source, expected);
    (void)snprintf(copy, sizeof copy, "%s/large", cluster_mount(c, 0));
    run_ok(RUN_MS_MAX, "cp", source, copy, NULL);
    (void)snprintf(copy, sizeof copy, "%s/large", cluster_mount(c, 3));
    hash(copy, found);
    assert_string_equal(found, expected);
    run_ok(RUN_MS_MAX, "rm", copy, NULL);
    cluster_stop(c);
}

static void make_file(int dir, unsigned number, struct px_rand *rand)
{
    uint64_t size =
        number % 50 == 0 ? 0 : px_rand_below(rand, FILE_BYTES_MAX) + 1;
    char name[32];

    (void)snprintf(name, sizeof name, "file-%u.c", number);
    write_random(dir, name, size, rand);
    if (number % 10 == 0)
        assert_return_code(fchmodat(dir, name, 0755, 0), errno);
    if (number % FILES_PER_FOLDER == 0)
        assert_return_code(symlinkat(name, dir, "newest"), errno);
}

/* Something like a source tree: folders in folders, small files, links. */
static void make_tree(const char *path, unsigned files)
{
    int dir = -1;
    char name[32];
    struct px_rand rand;
    int root;

    px_rand_init(&rand, files);
    assert_return_code(mkdir(path, 0755), errno);
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(root, errno);
    for (unsigned i = 0; i < files; i++) {
        if (i % FILES_PER_FOLDER == 0) {
            int parent = i / FILES_PER_FOLDER % 4 == 0 ? root : dir;
            int child;

            (void)snprintf(name, sizeof name, "folder-%u",
                           i / FILES_PER_FOLDER);
            assert_return_code(mkdirat(parent, name, 0755), errno);
            child = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            assert_return_code(child, errno);
            if (dir >= 0)
                (void)close(dir);
            dir = child;
        }
        make_file(dir, i, &rand);
    }
    (void)close(dir);
    (void)close(root);
}

static void a_source_tree_goes_in_and_out(void **state)
{
    struct cluster *c = start();
    char source[512];
    char archive[512];
    char copy[512];

    (void)state;
    (void)snprintf(source, sizeof source, "%s/source", cluster_dir(c));
    (void)snprintf(archive, sizeof archive, "%s/source.tar", cluster_dir(c));
    make_tree(source, env_number("BULK_FILES", 2000));
    run_ok(RUN_MS_MAX, "tar", "-cf", archive, "-C", cluster_dir(c), "source",
           NULL);
    run_ok(RUN_MS_MAX, "tar", "-xf", archive, "-C", cluster_mount(c, 1), NULL);
    (void)snprintf(copy, sizeof copy, "%s/source", cluster_mount(c, 4));
    run_ok(RUN_MS_MAX, "diff", "-r", "--no-dereference", source, copy, NULL);
    (void)snprintf(copy, sizeof copy, "%s/source", cluster_mount(c, 2));
    run_ok(RUN_MS_MAX, "rm", "-rf", copy, NULL);
    for (int i = 0; i < NODES; i++)
        /* find ends with a failure if it finds anything */
        run_ok(RUN_MS_MAX, "find", cluster_mount(c, i), "-mindepth", "1",
               "-exec", "false", "{}", "+", NULL);
    cluster_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_large_file_arrives_whole_on_another_mount,
                                  cluster_teardown),
        cmocka_unit_test_teardown(a_source_tree_goes_in_and_out,
                                  cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
