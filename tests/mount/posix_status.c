/* .phalanx at the root of the mount: found by name, not listed, not changed.
 * The root is looked for upwards from where the tests run. */
#include "tests/mount/posix.h"

#include <dirent.h>

static const char *const files[] = {"status", "leader", "members", "health"};

#define FILE_COUNT (sizeof files / sizeof files[0])

static int to_the_root(void **state)
{
    struct stat here;
    struct stat up;

    if (posix_setup(state) < 0 || stat(".", &here) < 0)
        return -1;
    while (stat("..", &up) == 0 && up.st_dev == here.st_dev &&
           up.st_ino != here.st_ino && chdir("..") == 0)
        here = up;
    return 0;
}

static void each_file_can_be_read(void **state)
{
    char path[64];
    char text[65536];
    ssize_t size;
    int fd;

    (void)state;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        (void)snprintf(path, sizeof path, ".phalanx/%s", files[i]);
        assert_int_equal(stat_of(path).st_mode, S_IFREG | 0444);
        fd = open_file(path, O_RDONLY);
        size = read(fd, text, sizeof text);
        assert_true(size > 0);
        assert_int_equal(text[size - 1], '\n');
        assert_int_equal(read(fd, text, sizeof text), 0);
        close_file(fd);
    }
}

static void programs_read_them(void **state)
{
    (void)state;
    assert_int_equal(shell("test -n \"$(cat .phalanx/status)\""), 0);
    assert_int_equal(shell("t=$(mktemp) && cp .phalanx/health $t &&"
                           "test -s $t && rm $t"),
                     0);
}

static void they_are_listed_but_not_at_the_root(void **state)
{
    const struct dirent *entry;
    unsigned found = 0;
    DIR *dir = opendir(".");

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        assert_string_not_equal(entry->d_name, ".phalanx");
    assert_ok(closedir(dir));
    dir = opendir(".phalanx");
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        found += entry->d_name[0] != '.';
    assert_ok(closedir(dir));
    assert_int_equal(found, FILE_COUNT);
}

static void they_are_not_changed(void **state)
{
    (void)state;
    assert_fails(mkdir(".phalanx", 0755), EEXIST);
    assert_fails(rmdir(".phalanx"), EPERM);
    assert_fails(rename(".phalanx", "other"), EPERM);
    assert_fails(open(".phalanx/status", O_WRONLY), EPERM);
    assert_fails(open(".phalanx/status", O_RDONLY | O_TRUNC), EPERM);
    assert_fails(open(".phalanx/new", O_WRONLY | O_CREAT, 0644), EPERM);
    assert_fails(mkdir(".phalanx/new", 0755), EPERM);
    assert_fails(unlink(".phalanx/status"), EPERM);
    assert_fails(chmod(".phalanx/status", 0777), EPERM);
    assert_fails(truncate(".phalanx/status", 0), EPERM);
    assert_fails(link(".phalanx/status", "other"), EPERM);
    assert_fails(rename(".phalanx/status", "other"), EPERM);
    assert_fails(open(".phalanx/none", O_RDONLY), ENOENT);
}

#define root_test(name) \
    cmocka_unit_test_setup_teardown(name, to_the_root, posix_teardown)

int posix_status(void)
{
    const struct CMUnitTest tests[] = {
        root_test(each_file_can_be_read),
        root_test(programs_read_them),
        root_test(they_are_listed_but_not_at_the_root),
        root_test(they_are_not_changed),
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
