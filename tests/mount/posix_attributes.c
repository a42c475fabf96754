/* Attributes: modes, owners, times, and what they allow to whom. */
#include "tests/mount/posix.h"

#include <sys/statvfs.h>
#include <time.h>

static unsigned mode_of(const char *path)
{
    return stat_of(path).st_mode & 07777;
}

static void chmod_changes_the_mode(void **state)
{
    (void)state;
    put("f", "x");
    assert_int_equal(mode_of("f"), 0644);
    assert_ok(chmod("f", 0751));
    assert_int_equal(mode_of("f"), 0751);
    assert_ok(mkdir("d", 0700));
    assert_ok(chmod("d", 01777));
    assert_int_equal(mode_of("d"), 01777);
    assert_text("f", "x");
}

static void the_umask_is_taken_off(void **state)
{
    (void)state;
    (void)umask(027);
    close_file(assert_ok(open("f", O_WRONLY | O_CREAT, 0666)));
    assert_ok(mkdir("d", 0777));
    assert_int_equal(mode_of("f"), 0640);
    assert_int_equal(mode_of("d"), 0750);
}

static void chown_changes_the_owner(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(symlink("f", "l"));
    assert_ok(chown("f", 11, 22));
    assert_int_equal(stat_of("f").st_uid, 11);
    assert_int_equal(stat_of("f").st_gid, 22);
    assert_ok(chown("f", (uid_t)-1, 33));
    assert_int_equal(stat_of("f").st_uid, 11);
    assert_int_equal(stat_of("f").st_gid, 33);
    assert_ok(lchown("l", 44, 44));
    assert_int_equal(stat_of("l").st_uid, 44);
    assert_int_equal(stat_of("f").st_uid, 11);
}

static void set_times(const char *path, int64_t atime, long atime_ns,
                      int64_t mtime, long mtime_ns)
{
    struct timespec times[2] = {{.tv_sec = atime, .tv_nsec = atime_ns},
                                {.tv_sec = mtime, .tv_nsec = mtime_ns}};

    assert_ok(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

static void times_are_kept_to_the_nanosecond(void **state)
{
    struct stat st;

    (void)state;
    put("f", "x");
    set_times("f", 1111111111, 123456789, 2222222222, 987654321);
    st = stat_of("f");
    assert_int_equal(st.st_atim.tv_sec, 1111111111);
    assert_int_equal(st.st_atim.tv_nsec, 123456789);
    assert_int_equal(st.st_mtim.tv_sec, 2222222222);
    assert_int_equal(st.st_mtim.tv_nsec, 987654321);
    set_times("f", -5, 250000000, 0, 0);
    assert_int_equal(stat_of("f").st_atim.tv_sec, -5);
    assert_int_equal(stat_of("f").st_atim.tv_nsec, 250000000);
}

static void times_can_be_set_to_now_or_left(void **state)
{
    time_t now = time(NULL);

    (void)state;
    put("f", "x");
    set_times("f", 1, 0, 1, 0);
    set_times("f", 0, UTIME_OMIT, 0, UTIME_NOW);
    assert_int_equal(stat_of("f").st_atime, 1);
    assert_true(stat_of("f").st_mtime >= now - 1);
    set_times("f", 0, UTIME_NOW, 7, 0);
    assert_true(stat_of("f").st_atime >= now - 1);
    assert_int_equal(stat_of("f").st_mtime, 7);
}

static bool is_later(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static void each_change_moves_its_times(void **state)
{
    struct stat before;
    struct stat after;
    int fd;

    (void)state;
    put("f", "x");
    set_times("f", 5, 0, 5, 0);
    before = stat_of("f");
    assert_ok(chmod("f", 0600));
    after = stat_of("f");
    assert_true(is_later(after.st_ctim, before.st_ctim));
    assert_int_equal(after.st_mtime, 5);
    fd = open_file("f", O_WRONLY);
    assert_int_equal(write(fd, "y", 1), 1);
    close_file(fd);
    assert_true(stat_of("f").st_mtime > 5);
    before = stat_of("f");
    assert_ok(link("f", "g"));
    assert_true(is_later(stat_of("f").st_ctim, before.st_ctim));
}

/* ---- Set-id bits ---- */

static int write_f(void)
{
    int fd = open("f", O_WRONLY);

    return fd >= 0 && write(fd, "y", 1) == 1 ? 0 : 1;
}

static int truncate_f(void)
{
    return truncate("f", 0) == 0 ? 0 : 1;
}

static void a_write_takes_set_id_bits_away(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(chmod("f", 06777));
    assert_int_equal(as_user(STRANGER, write_f), 0);
    assert_int_equal(mode_of("f"), 0777);
    assert_ok(chmod("f", 06777));
    assert_int_equal(as_user(STRANGER, truncate_f), 0);
    assert_int_equal(mode_of("f"), 0777);
    assert_ok(chmod("f", 06777));
    assert_int_equal(write_f(), 0);
    assert_int_equal(mode_of("f"), 06777); /* root may */
}

static void chown_takes_set_id_bits_away(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(chmod("f", 06755));
    assert_ok(chown("f", 11, 22));
    assert_int_equal(mode_of("f"), 0755);
}

static void a_set_group_id_directory_hands_its_group_down(void **state)
{
    (void)state;
    assert_ok(mkdir("d", 0755));
    assert_ok(chown("d", 0, 33));
    assert_ok(chmod("d", 02755));
    put("d/f", "x");
    close_file(open_file("d/unwritten", O_WRONLY | O_CREAT));
    assert_ok(mkdir("d/e", 0755));
    assert_int_equal(stat_of("d/f").st_gid, 33);
    assert_int_equal(stat_of("d/unwritten").st_gid, 33);
    assert_int_equal(stat_of("d/e").st_gid, 33);
    assert_int_equal(mode_of("d/e"), 02755);
}

/* ---- Other users ---- */

static int errno_of(int rc)
{
    return rc >= 0 ? 0 : errno;
}

static int read_f(void)
{
    return errno_of(open("f", O_RDONLY));
}

static int open_f_to_write(void)
{
    return errno_of(open("f", O_WRONLY));
}

static int empty_f(void)
{
    return errno_of(open("f", O_RDONLY | O_TRUNC));
}

static int chmod_f(void)
{
    return errno_of(chmod("f", 0777));
}

static int chown_f(void)
{
    return errno_of(chown("f", STRANGER, STRANGER));
}

static void a_mode_keeps_strangers_out(void **state)
{
    (void)state;
    put("f", "secret");
    assert_ok(chmod("f", 0600));
    assert_int_equal(as_user(STRANGER, read_f), EACCES);
    assert_int_equal(as_user(STRANGER, open_f_to_write), EACCES);
    assert_int_equal(as_user(STRANGER, chmod_f), EPERM);
    assert_int_equal(as_user(STRANGER, chown_f), EPERM);
    assert_ok(chmod("f", 0644));
    assert_int_equal(as_user(STRANGER, read_f), 0);
    assert_int_equal(as_user(STRANGER, empty_f), EACCES);
    assert_text("f", "secret");
}

static int read_in_d(void)
{
    return errno_of(open("d/f", O_RDONLY));
}

static int make_in_d(void)
{
    return errno_of(open("d/new", O_WRONLY | O_CREAT, 0644));
}

static int unlink_in_d(void)
{
    return errno_of(unlink("d/f"));
}

static void a_directory_keeps_strangers_out(void **state)
{
    (void)state;
    assert_ok(mkdir("d", 0755));
    put("d/f", "x");
    assert_int_equal(as_user(STRANGER, read_in_d), 0);
    assert_int_equal(as_user(STRANGER, make_in_d), EACCES);
    assert_int_equal(as_user(STRANGER, unlink_in_d), EACCES);
    assert_ok(chmod("d", 0700));
    assert_int_equal(as_user(STRANGER, read_in_d), EACCES);
    assert_ok(chmod("d", 01777));
    assert_int_equal(as_user(STRANGER, make_in_d), 0);
    assert_int_equal(stat_of("d/new").st_uid, STRANGER);
    assert_int_equal(as_user(STRANGER, unlink_in_d), EPERM); /* sticky */
}

static int access_f(void)
{
    if (access("f", R_OK) != 0)
        return 1;
    return access("f", W_OK) == -1 && errno == EACCES ? 0 : 2;
}

static void access_answers_for_the_caller(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(access("f", R_OK | W_OK));
    assert_fails(access("f", X_OK), EACCES);
    assert_int_equal(as_user(STRANGER, access_f), 0);
    assert_fails(access("none", F_OK), ENOENT);
}

static void the_filesystem_describes_itself(void **state)
{
    struct statvfs st;

    (void)state;
    assert_ok(statvfs(".", &st));
    assert_int_equal(st.f_namemax, 255);
    assert_true(st.f_blocks > 0 && st.f_bavail <= st.f_blocks);
    assert_true(st.f_bavail > 0);
    assert_true((st.f_flag & ST_NOSUID) != 0);
    assert_true((st.f_flag & ST_NODEV) != 0);
}

int posix_attributes(void)
{
    const struct CMUnitTest tests[] = {
        posix_test(chmod_changes_the_mode),
        posix_test(the_umask_is_taken_off),
        posix_test(chown_changes_the_owner),
        posix_test(times_are_kept_to_the_nanosecond),
        posix_test(times_can_be_set_to_now_or_left),
        posix_test(each_change_moves_its_times),
        posix_test(a_write_takes_set_id_bits_away),
        posix_test(chown_takes_set_id_bits_away),
        posix_test(a_set_group_id_directory_hands_its_group_down),
        posix_test(a_mode_keeps_strangers_out),
        posix_test(a_directory_keeps_strangers_out),
        posix_test(access_answers_for_the_caller),
        posix_test(the_filesystem_describes_itself),
    };

    return cmocka_run_group_tests_name("attributes", tests, NULL, NULL);
}
