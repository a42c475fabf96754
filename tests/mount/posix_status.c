/* .phalanx at the root of the mount: found by name, not listed, not changed.
 * The root is looked for upwards from where the tests run. */
#include "tests/mount/posix.h"

#include <dirent.h>
#include <sys/statvfs.h>

static const char *const files[] = {"status", "leader", "members", "health",
                                    "quota"};

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
        assert_int_equal(stat_of(path).st_mode & ~(mode_t)0200, S_IFREG | 0444);
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

/* ---- The quota, which root changes ---- */

static char *quota_now(char text[32])
{
    int fd = open_file(".phalanx/quota", O_RDONLY);
    ssize_t size = read(fd, text, 31);

    assert_true(size > 0);
    text[size] = '\0';
    close_file(fd);
    return text;
}

static void the_quota_is_read_and_written(void **state)
{
    char text[32];

    (void)state;
    assert_int_equal(stat_of(".phalanx/quota").st_mode, S_IFREG | 0644);
    assert_int_equal(shell("echo 64M > .phalanx/quota"), 0);
    assert_string_equal(quota_now(text), "67108864\n");
    assert_int_equal(shell("printf 1000000 >> .phalanx/quota"), 0);
    assert_string_equal(quota_now(text), "1000000\n");
    assert_int_equal(shell("echo 16G | tee .phalanx/quota > /dev/null"), 0);
    assert_string_equal(quota_now(text), "17179869184\n");
}

static void what_is_no_quota_is_refused(void **state)
{
    static const char *const bad[] = {"none", "0", "-1", "1.5G", "2000T", "\n"};
    char before[32], after[32];
    int fd = open_file(".phalanx/quota", O_WRONLY);

    (void)state;
    (void)quota_now(before);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails((int)write(fd, bad[i], strlen(bad[i])), EINVAL);
    assert_fails((int)pwrite(fd, "1G", 2, 1), EINVAL);
    close_file(fd);
    assert_string_equal(quota_now(after), before);
}

static void a_file_system_shows_its_quota_and_what_is_left(void **state)
{
    struct statvfs before, after;

    (void)state;
    assert_int_equal(shell("echo 1G > .phalanx/quota"), 0);
    assert_ok(statvfs(".", &before));
    assert_int_equal(before.f_blocks * before.f_frsize, 1073741824);
    assert_true(before.f_bfree < before.f_blocks);
    assert_int_equal(shell("dd if=/dev/zero of=fill bs=1M count=10 2>&1 |"
                           " tail -n 1 > /dev/null"),
                     0);
    assert_ok(statvfs(".", &after));
    assert_in_range((before.f_bfree - after.f_bfree) * before.f_frsize,
                    10485760, 11534336);
    assert_true(after.f_ffree < before.f_ffree);
    assert_ok(unlink("fill"));
    assert_int_equal(shell("echo 16G > .phalanx/quota"), 0);
}

static void a_full_file_system_says_so_and_can_be_emptied(void **state)
{
    struct statvfs st;
    char command[128];

    (void)state;
    assert_ok(statvfs(".", &st));
    (void)snprintf(command, sizeof command, "echo %llu > .phalanx/quota",
                   (unsigned long long)(st.f_blocks - st.f_bfree + 512) *
                       st.f_frsize);
    assert_int_equal(shell("echo old > key"), 0);
    assert_int_equal(shell(command), 0);
    assert_int_equal(shell("dd if=/dev/zero of=fill bs=64k 2>&1 |"
                           " grep -q 'No space left on device' &&"
                           "dd if=/dev/zero of=fill bs=64 oflag=append "
                           "conv=notrunc 2>&1 |"
                           " grep -q 'No space left on device'"),
                     0);
    assert_true(stat_of("fill").st_size > 1500000);
    assert_fails(mkdir("fresh", 0755), ENOSPC);
    assert_fails(symlink("target", "fresh"), ENOSPC);
    assert_fails(link("key", "fresh"), ENOSPC);
    assert_fails(mkdir("fill", 0755), EEXIST);
    /* What needs no more room: */
    assert_int_equal(shell("echo new > key && grep -qx new key"), 0);
    assert_ok(rename("key", "a-key-with-a-longer-name"));
    assert_ok(truncate("fill", 70000));
    assert_int_equal(shell("echo more > fresh"), 0);
    assert_ok(unlink("fresh"));
    assert_ok(unlink("fill"));
    assert_ok(unlink("a-key-with-a-longer-name"));
    assert_int_equal(shell("echo 16G > .phalanx/quota"), 0);
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
        root_test(the_quota_is_read_and_written),
        root_test(what_is_no_quota_is_refused),
        root_test(a_file_system_shows_its_quota_and_what_is_left),
        root_test(a_full_file_system_says_so_and_can_be_emptied),
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
