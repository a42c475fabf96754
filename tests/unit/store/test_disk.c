/* store/disk.c, disk_file.c: the kernel's files say and do what disk.h promises
 * of any disk. What a loss of power does is not to be had here: test_log_crash
 * has a disk that loses it. */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants some of the above before it. */
#include <cmocka.h>

#include "tests/lib/skip.h"

#define RW (STORE_DISK_READ | STORE_DISK_WRITE)

struct disk_test {
    char dir[64];
    struct store_disk *d;
};

static int setup(void **state)
{
    struct disk_test *t = calloc(1, sizeof *t);

    assert_non_null(t);
    (void)snprintf(t->dir, sizeof t->dir, "/tmp/phalanx-disk-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(store_disk_open(t->dir, &t->d), 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct disk_test *t = *state;
    char command[128];

    store_disk_close(t->d);
    (void)snprintf(command, sizeof command, "rm -r %s", t->dir);
    assert_int_equal(system(command), 0);
    free(t);
    return 0;
}

static int create(struct disk_test *t, const char *name)
{
    int file = t->d->open(t->d, name, RW | STORE_DISK_CREATE);

    assert_true(file >= 0);
    return file;
}

static void write_at(struct disk_test *t, int file, const char *text,
                     uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};

    assert_int_equal(t->d->write(t->d, file, &iov, 1, offset), 0);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct store_disk *d;

    (void)state;
    assert_int_equal(store_disk_open("/tmp/phalanx-nowhere", &d), -ENOENT);
}

static void what_is_written_is_read_as_far_as_the_file_goes(void **state)
{
    struct disk_test *t = *state;
    int file = create(t, "a");
    struct iovec iov[4] = {{(void *)(uintptr_t) "one", 3},
                           {NULL, 0},
                           {(void *)(uintptr_t) "two", 3},
                           {NULL, 0}};
    uint64_t bytes;
    char got[16];

    assert_int_equal(t->d->write(t->d, file, iov, 4, 2), 0);
    assert_int_equal(t->d->sync(t->d, file), 0);
    assert_int_equal(t->d->read(t->d, file, got, sizeof got, 0), 8);
    assert_memory_equal(got, "\0\0onetwo", 8);
    assert_int_equal(t->d->read(t->d, file, got, sizeof got, 8), 0);
    assert_int_equal(t->d->read(t->d, file, got, 2, 5), 2);
    assert_memory_equal(got, "tw", 2);
    assert_int_equal(t->d->size(t->d, file, &bytes), 0);
    assert_int_equal(bytes, 8);
    t->d->close(t->d, file);
}

static void create_empties_what_is_there_and_open_does_not_make_it(void **state)
{
    struct disk_test *t = *state;
    uint64_t bytes;
    int file = create(t, "a");

    write_at(t, file, "old", 0);
    t->d->close(t->d, file);
    assert_int_equal(t->d->open(t->d, "b", RW), -ENOENT);
    file = t->d->open(t->d, "a", STORE_DISK_WRITE);
    assert_true(file >= 0);
    assert_int_equal(t->d->size(t->d, file, &bytes), 0);
    assert_int_equal(bytes, 3);
    t->d->close(t->d, file);
    file = create(t, "a");
    assert_int_equal(t->d->size(t->d, file, &bytes), 0);
    assert_int_equal(bytes, 0);
    t->d->close(t->d, file);
}

static void allocate_makes_longer_with_zeros_and_never_shorter(void **state)
{
    struct disk_test *t = *state;
    int file = create(t, "a");
    uint64_t bytes;
    char got[8];

    write_at(t, file, "text", 0);
    assert_int_equal(t->d->allocate(t->d, file, 8), 0);
    assert_int_equal(t->d->read(t->d, file, got, 8, 0), 8);
    assert_memory_equal(got, "text\0\0\0\0", 8);
    assert_int_equal(t->d->allocate(t->d, file, 2), 0);
    assert_int_equal(t->d->size(t->d, file, &bytes), 0);
    assert_int_equal(bytes, 8);
    t->d->close(t->d, file);
}

/* At an odd length, where a second read past the cache would be refused. */
static void a_read_past_the_cache_ends_with_the_file(void **state)
{
    struct disk_test *t = *state;
    int file = create(t, "a");
    char *block = NULL;
    ssize_t n;

    assert_int_equal(posix_memalign((void **)&block, 4096, 8192), 0);
    write_at(t, file, "the end", 4096);
    assert_int_equal(t->d->sync(t->d, file), 0);
    t->d->close(t->d, file);
    file = t->d->open(t->d, "a", STORE_DISK_READ | STORE_DISK_UNCACHED);
    if (file == -EINVAL) { /* as tmpfs once did */
        free(block);
        skip_as("the filesystem reads nothing past its cache");
    }
    assert_true(file >= 0);
    n = t->d->read(t->d, file, block, 8192, 0);
    t->d->close(t->d, file);
    if (n == -EINVAL) { /* disks that want whole blocks, of files as well */
        free(block);
        skip_as("the disk wants whole blocks");
    }
    assert_int_equal(n, 4096 + 7);
    assert_memory_equal(block + 4096, "the end", 7);
    free(block);
}

struct seen {
    unsigned a, b, other;
    int rc;
};

static int see(void *ctx, const char *name)
{
    struct seen *s = ctx;

    s->a += strcmp(name, "a") == 0;
    s->b += strcmp(name, "b") == 0;
    s->other += strcmp(name, "a") != 0 && strcmp(name, "b") != 0;
    return s->rc;
}

static void names_are_listed_renamed_and_removed(void **state)
{
    struct disk_test *t = *state;
    struct seen seen = {0};
    char path[128];

    (void)snprintf(path, sizeof path, "%s/folder", t->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    t->d->close(t->d, create(t, "a"));
    t->d->close(t->d, create(t, "b"));
    assert_int_equal(t->d->sync_dir(t->d), 0);
    assert_int_equal(t->d->list(t->d, see, &seen), 0);
    assert_true(seen.a == 1 && seen.b == 1 && seen.other == 0);

    assert_int_equal(t->d->rename(t->d, "a", "b"), 0);
    assert_int_equal(t->d->rename(t->d, "a", "b"), -ENOENT);
    assert_int_equal(t->d->remove(t->d, "a"), -ENOENT);
    seen = (struct seen){.rc = -ECANCELED};
    assert_int_equal(t->d->list(t->d, see, &seen), -ECANCELED);
    assert_true(seen.a == 0 && seen.b == 1 && seen.other == 0);
    assert_int_equal(t->d->remove(t->d, "b"), 0);
    seen = (struct seen){0};
    assert_int_equal(t->d->list(t->d, see, &seen), 0);
    assert_int_equal(seen.b, 0);
}

static void there_is_room_on_the_disk(void **state)
{
    struct disk_test *t = *state;
    uint64_t bytes = 0;

    assert_int_equal(t->d->room(t->d, &bytes), 0);
    assert_true(bytes > 0 && bytes % 512 == 0);
}

static void a_file_is_replaced_whole(void **state)
{
    struct disk_test *t = *state;
    char got[16];

    assert_int_equal(store_disk_load(t->d, "a", got, sizeof got), -ENOENT);
    assert_int_equal(store_disk_replace(t->d, "a", "a.new", "first", 5), 0);
    assert_int_equal(store_disk_replace(t->d, "a", "a.new", "2nd", 3), 0);
    assert_int_equal(store_disk_load(t->d, "a", got, sizeof got), 3);
    assert_memory_equal(got, "2nd", 3);
    assert_int_equal(store_disk_load(t->d, "a.new", got, sizeof got), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_that_is_not_there_is_an_error),
        TEST(what_is_written_is_read_as_far_as_the_file_goes),
        TEST(create_empties_what_is_there_and_open_does_not_make_it),
        TEST(allocate_makes_longer_with_zeros_and_never_shorter),
        TEST(a_read_past_the_cache_ends_with_the_file),
        TEST(names_are_listed_renamed_and_removed),
        TEST(there_is_room_on_the_disk),
        TEST(a_file_is_replaced_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
