/* Names: who may have which, and what becomes of them. */
#include "tests/mount/posix.h"

#include <sys/sysmacros.h>

static void an_exclusive_creation_succeeds_once(void **state)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL;

    (void)state;
    close_file(open_file("f", flags));
    assert_fails(open("f", flags, 0644), EEXIST);
    assert_ok(unlink("f"));
    close_file(open_file("f", flags));
}

static void a_missing_name_says_so(void **state)
{
    struct stat st;

    (void)state;
    assert_fails(stat("f", &st), ENOENT);
    assert_fails(open("f", O_RDONLY), ENOENT);
    assert_fails(open("d/f", O_WRONLY | O_CREAT, 0644), ENOENT);
    assert_fails(unlink("f"), ENOENT);
    assert_fails(rmdir("d"), ENOENT);
    assert_fails(rename("f", "g"), ENOENT);
    assert_fails(link("f", "g"), ENOENT);
    assert_fails(chmod("f", 0600), ENOENT);
    assert_fails(truncate("f", 0), ENOENT);
}

static void what_is_opened_and_closed_exists(void **state)
{
    (void)state;
    close_file(open_file("f", O_WRONLY | O_CREAT));
    assert_int_equal(stat_of("f").st_size, 0);
}

static void a_file_is_no_directory(void **state)
{
    (void)state;
    put("f", "x");
    assert_fails(open("f/g", O_WRONLY | O_CREAT, 0644), ENOTDIR);
    assert_fails(mkdir("f/g", 0755), ENOTDIR);
    assert_fails(rmdir("f"), ENOTDIR);
    assert_fails(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void a_directory_is_no_file(void **state)
{
    char byte;
    int fd;

    (void)state;
    assert_ok(mkdir("d", 0755));
    assert_fails(unlink("d"), EISDIR);
    assert_fails(open("d", O_WRONLY), EISDIR);
    assert_fails(open("d", O_WRONLY | O_CREAT, 0644), EISDIR);
    assert_fails(truncate("d", 0), EISDIR);
    assert_fails(link("d", "e"), EPERM);
    fd = open_file("d", O_RDONLY);
    assert_fails((int)read(fd, &byte, 1), EISDIR);
    close_file(fd);
}

static void mkdir_of_a_taken_name_fails(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(mkdir("d", 0755));
    assert_fails(mkdir("d", 0755), EEXIST);
    assert_fails(mkdir("f", 0755), EEXIST);
}

static void a_full_directory_is_not_removed(void **state)
{
    (void)state;
    assert_ok(mkdir("d", 0755));
    put("d/f", "x");
    assert_fails(rmdir("d"), ENOTEMPTY);
    assert_ok(unlink("d/f"));
    assert_ok(rmdir("d"));
    assert_false(exists("d"));
}

static void directories_count_their_children(void **state)
{
    (void)state;
    assert_ok(mkdir("d", 0755));
    assert_int_equal(stat_of("d").st_nlink, 2);
    assert_ok(mkdir("d/one", 0755));
    assert_ok(mkdir("d/two", 0755));
    put("d/file", "x");
    assert_int_equal(stat_of("d").st_nlink, 4);
    assert_ok(rmdir("d/one"));
    assert_int_equal(stat_of("d").st_nlink, 3);
}

static void nothing_is_made_in_a_removed_directory(void **state)
{
    int fd;

    (void)state;
    assert_ok(mkdir("d", 0755));
    fd = open_file("d", O_RDONLY | O_DIRECTORY);
    assert_ok(rmdir("d"));
    assert_fails(openat(fd, "f", O_WRONLY | O_CREAT, 0644), ENOENT);
    assert_fails(mkdirat(fd, "e", 0755), ENOENT);
    close_file(fd);
}

/* ---- rename ---- */

static void rename_replaces_a_file(void **state)
{
    ino_t inode;

    (void)state;
    put("a", "new");
    put("b", "old");
    inode = stat_of("a").st_ino;
    assert_ok(rename("a", "b"));
    assert_false(exists("a"));
    assert_text("b", "new");
    assert_int_equal(stat_of("b").st_ino, inode);
}

static void rename_keeps_what_is_open(void **state)
{
    char text[4] = "";
    int fd;

    (void)state;
    put("a", "new");
    put("b", "old");
    fd = open_file("b", O_RDONLY);
    assert_ok(rename("a", "b"));
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "old");
    close_file(fd);
}

static void rename_minds_directories(void **state)
{
    (void)state;
    put("f", "x");
    assert_ok(mkdir("empty", 0755));
    assert_ok(mkdir("full", 0755));
    put("full/f", "x");
    assert_fails(rename("f", "empty"), EISDIR);
    assert_fails(rename("empty", "f"), ENOTDIR);
    assert_fails(rename("empty", "full"), ENOTEMPTY);
    assert_fails(rename("full", "full/sub"), EINVAL);
    assert_ok(rename("full", "empty"));
    assert_text("empty/f", "x");
    assert_false(exists("full"));
}

static void a_moved_directory_has_a_new_parent(void **state)
{
    (void)state;
    assert_ok(mkdir("a", 0755));
    assert_ok(mkdir("b", 0755));
    assert_ok(mkdir("a/d", 0755));
    put("a/d/f", "x");
    assert_ok(rename("a/d", "b/d"));
    assert_text("b/d/f", "x");
    assert_int_equal(stat_of("b/d/..").st_ino, stat_of("b").st_ino);
    assert_int_equal(stat_of("a").st_nlink, 2);
    assert_int_equal(stat_of("b").st_nlink, 3);
}

static int rename_with(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void noreplace_does_not_replace(void **state)
{
    (void)state;
    put("a", "a");
    put("b", "b");
    assert_fails(rename_with("a", "b", RENAME_NOREPLACE), EEXIST);
    assert_text("b", "b");
    assert_ok(rename_with("a", "c", RENAME_NOREPLACE));
    assert_text("c", "a");
}

static void exchange_swaps_two_names(void **state)
{
    (void)state;
    put("a", "was a");
    assert_ok(mkdir("d", 0755));
    put("d/b", "was b");
    assert_ok(rename_with("a", "d", RENAME_EXCHANGE));
    assert_text("a/b", "was b");
    assert_text("d", "was a");
    assert_fails(rename_with("a", "none", RENAME_EXCHANGE), ENOENT);
    assert_fails(rename_with("a", "c", RENAME_WHITEOUT), EINVAL);
}

static void names_of_one_file_stay_two(void **state)
{
    (void)state;
    put("a", "x");
    assert_ok(link("a", "b"));
    assert_ok(rename("a", "b")); /* POSIX: does nothing */
    assert_true(exists("a"));
    assert_true(exists("b"));
}

/* ---- Links ---- */

static void hard_links_are_one_file(void **state)
{
    (void)state;
    put("a", "x");
    assert_ok(link("a", "b"));
    assert_int_equal(stat_of("a").st_nlink, 2);
    assert_int_equal(stat_of("a").st_ino, stat_of("b").st_ino);
    put("b", "changed");
    assert_text("a", "changed");
    assert_fails(link("a", "b"), EEXIST);
    assert_ok(unlink("a"));
    assert_int_equal(stat_of("b").st_nlink, 1);
    assert_text("b", "changed");
}

static void a_symbolic_link_is_followed(void **state)
{
    char target[16] = "";

    (void)state;
    put("f", "x");
    assert_ok(symlink("f", "l"));
    assert_int_equal(readlink("l", target, sizeof target), 1);
    assert_string_equal(target, "f");
    assert_true(S_ISLNK(stat_of("l").st_mode));
    assert_int_equal(stat_of("l").st_size, 1);
    assert_text("l", "x");
    assert_fails(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
    put("l", "through");
    assert_text("f", "through");
    assert_ok(unlink("l"));
    assert_true(exists("f"));
}

static void a_symbolic_link_may_lead_nowhere(void **state)
{
    (void)state;
    assert_ok(symlink("nowhere", "l"));
    assert_fails(open("l", O_RDONLY), ENOENT);
    assert_fails(symlink("again", "l"), EEXIST);
    assert_ok(symlink("loop", "loop"));
    assert_fails(open("loop", O_RDONLY), ELOOP);
    put("l", "made through the link");
    assert_text("nowhere", "made through the link");
}

static void a_symbolic_link_holds_4095_bytes(void **state)
{
    char target[4097];
    char found[4097] = "";

    (void)state;
    memset(target, 'x', sizeof target);
    target[4095] = '\0';
    assert_ok(symlink(target, "l"));
    assert_int_equal(readlink("l", found, sizeof found), 4095);
    assert_string_equal(found, target);
}

/* ---- Which names there are ---- */

static void a_name_holds_255_bytes(void **state)
{
    char name[258];
    struct stat st;

    (void)state;
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    put(name, "x");
    assert_text(name, "x");
    assert_ok(rename(name, "short"));
    name[255] = 'n';
    name[256] = '\0';
    assert_fails(stat(name, &st), ENAMETOOLONG);
    assert_fails(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
    assert_fails(mkdir(name, 0755), ENAMETOOLONG);
    assert_fails(symlink("x", name), ENAMETOOLONG);
    assert_fails(rename("short", name), ENAMETOOLONG);
    assert_fails(link("short", name), ENAMETOOLONG);
}

static void any_byte_but_a_slash_may_be_in_a_name(void **state)
{
    char name[] = "\x01 \n\xff\xc3\xa4*?";

    (void)state;
    put(name, "x");
    assert_text(name, "x");
    put("...", "dots");
    assert_text("...", "dots");
    put("case", "lower");
    assert_false(exists("CASE"));
}

static void only_regular_files_are_made_by_mknod(void **state)
{
    (void)state;
    assert_ok(mknod("f", S_IFREG | 0600, 0));
    assert_true(S_ISREG(stat_of("f").st_mode));
    assert_fails(mknod("f", S_IFREG | 0600, 0), EEXIST);
    assert_fails(mkfifo("p", 0600), EPERM);
    assert_fails(mknod("c", S_IFCHR | 0600, makedev(1, 3)), EPERM);
    assert_false(exists("p"));
}

static void a_file_without_a_name_is_refused(void **state)
{
    int fd = open(".", O_TMPFILE | O_WRONLY, 0600);

    (void)state;
    assert_fails(fd, EOPNOTSUPP);
}

static void a_change_of_names_is_seen_in_the_times(void **state)
{
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)state;
    assert_ok(mkdir("d", 0755));
    assert_ok(utimensat(AT_FDCWD, "d", old, 0));
    put("d/f", "x");
    assert_true(stat_of("d").st_mtime > 1);
    assert_ok(utimensat(AT_FDCWD, "d", old, 0));
    assert_ok(unlink("d/f"));
    assert_true(stat_of("d").st_mtime > 1);
}

int posix_names(void)
{
    const struct CMUnitTest tests[] = {
        posix_test(an_exclusive_creation_succeeds_once),
        posix_test(a_missing_name_says_so),
        posix_test(what_is_opened_and_closed_exists),
        posix_test(a_file_is_no_directory),
        posix_test(a_directory_is_no_file),
        posix_test(mkdir_of_a_taken_name_fails),
        posix_test(a_full_directory_is_not_removed),
        posix_test(directories_count_their_children),
        posix_test(nothing_is_made_in_a_removed_directory),
        posix_test(rename_replaces_a_file),
        posix_test(rename_keeps_what_is_open),
        posix_test(rename_minds_directories),
        posix_test(a_moved_directory_has_a_new_parent),
        posix_test(noreplace_does_not_replace),
        posix_test(exchange_swaps_two_names),
        posix_test(names_of_one_file_stay_two),
        posix_test(hard_links_are_one_file),
        posix_test(a_symbolic_link_is_followed),
        posix_test(a_symbolic_link_may_lead_nowhere),
        posix_test(a_symbolic_link_holds_4095_bytes),
        posix_test(a_name_holds_255_bytes),
        posix_test(any_byte_but_a_slash_may_be_in_a_name),
        posix_test(only_regular_files_are_made_by_mknod),
        posix_test(a_file_without_a_name_is_refused),
        posix_test(a_change_of_names_is_seen_in_the_times),
    };

    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
