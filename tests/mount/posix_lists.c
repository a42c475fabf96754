/* Listings: every name once, whatever else goes on. */
#include "tests/mount/posix.h"

#include <dirent.h>

#define MANY 2000

static void make(const char *dir, int number)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%s/file-%06d", dir, number);
    assert_ok(mknod(name, S_IFREG | 0644, 0));
}

static void make_many(const char *dir, int count)
{
    assert_ok(mkdir(dir, 0755));
    for (int i = 0; i < count; i++)
        make(dir, i);
}

static DIR *open_dir(const char *path)
{
    DIR *dir = opendir(path);

    assert_non_null(dir);
    return dir;
}

/* The number of a made file; -1 for "." and "..". */
static int number_of(const struct dirent *entry)
{
    int number;

    return sscanf(entry->d_name, "file-%d", &number) == 1 ? number : -1;
}

/* Counts what is listed from here on into @seen; how many there were. */
static int count_into(DIR *dir, unsigned char *seen, int stop_after)
{
    const struct dirent *entry;
    int count = 0;

    while (count < stop_after && (entry = readdir(dir)) != NULL) {
        if (number_of(entry) < 0)
            continue;
        seen[number_of(entry)]++;
        count++;
    }
    return count;
}

static void an_empty_directory_lists_itself_and_its_parent(void **state)
{
    struct dirent *entry;
    bool dot = false;
    bool dot_dot = false;
    DIR *dir;

    (void)state;
    assert_ok(mkdir("d", 0755));
    dir = open_dir("d");
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0) {
            dot = true;
            assert_int_equal(entry->d_ino, stat_of("d").st_ino);
        } else {
            dot_dot = true;
            assert_string_equal(entry->d_name, "..");
            assert_int_equal(entry->d_ino, stat_of(".").st_ino);
        }
    }
    assert_true(dot && dot_dot);
    assert_ok(closedir(dir));
}

static void a_listing_shows_types_and_numbers(void **state)
{
    const struct dirent *entry;
    int found = 0;
    DIR *dir;

    (void)state;
    put("f", "x");
    assert_ok(mkdir("d", 0755));
    assert_ok(symlink("f", "l"));
    dir = open_dir(".");
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        found++;
        assert_int_equal(entry->d_ino, stat_of(entry->d_name).st_ino);
        assert_int_equal(DTTOIF(entry->d_type),
                         stat_of(entry->d_name).st_mode & S_IFMT);
    }
    assert_int_equal(found, 3);
    assert_ok(closedir(dir));
}

static void every_name_is_listed_once(void **state)
{
    static unsigned char seen[MANY];
    DIR *dir;

    (void)state;
    memset(seen, 0, sizeof seen);
    make_many("d", MANY);
    dir = open_dir("d");
    assert_int_equal(count_into(dir, seen, MANY + 1), MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(seen[i], 1);
    rewinddir(dir);
    assert_int_equal(count_into(dir, seen, MANY + 1), MANY);
    assert_ok(closedir(dir));
}

/* Half of the names are removed when some have been listed, and as many new
 * ones made: what was there all the time is shown once. */
static void what_stays_is_listed_once_while_others_go(void **state)
{
    static unsigned char seen[2 * MANY];
    char name[64];
    DIR *dir;

    (void)state;
    memset(seen, 0, sizeof seen);
    make_many("d", MANY);
    dir = open_dir("d");
    (void)count_into(dir, seen, 10);
    for (int i = 0; i < MANY; i += 2) {
        (void)snprintf(name, sizeof name, "d/file-%06d", i);
        assert_ok(unlink(name));
        make("d", MANY + i);
    }
    (void)count_into(dir, seen, 2 * MANY);
    for (int i = 1; i < MANY; i += 2)
        assert_int_equal(seen[i], 1);
    for (int i = 0; i < 2 * MANY; i++)
        assert_true(seen[i] <= 1);
    assert_ok(closedir(dir));
}

static void a_directory_is_emptied_while_it_is_read(void **state)
{
    const struct dirent *entry;
    DIR *dir;

    (void)state;
    make_many("d", MANY);
    dir = open_dir("d");
    while ((entry = readdir(dir)) != NULL) {
        if (number_of(entry) >= 0)
            assert_ok(unlinkat(dirfd(dir), entry->d_name, 0));
    }
    assert_ok(closedir(dir));
    assert_ok(rmdir("d"));
}

static void a_listing_goes_on_where_telldir_was(void **state)
{
    static unsigned char seen[MANY];
    const struct dirent *entry;
    char expected[256];
    long place;
    DIR *dir;

    (void)state;
    memset(seen, 0, sizeof seen);
    make_many("d", MANY);
    dir = open_dir("d");
    assert_int_equal(count_into(dir, seen, MANY / 3), MANY / 3);
    place = telldir(dir);
    entry = readdir(dir);
    assert_non_null(entry);
    (void)snprintf(expected, sizeof expected, "%s", entry->d_name);
    (void)count_into(dir, seen, MANY);
    seekdir(dir, place);
    entry = readdir(dir);
    assert_non_null(entry);
    assert_string_equal(entry->d_name, expected);
    assert_ok(closedir(dir));
}

/* A listing of n names that cost n * n would not end here. */
static void a_hundred_thousand_names_are_listed(void **state)
{
    unsigned char *seen = calloc((size_t)posix_many_names, 1);
    DIR *dir;

    (void)state;
    assert_non_null(seen);
    make_many("d", posix_many_names);
    dir = open_dir("d");
    assert_int_equal(count_into(dir, seen, posix_many_names + 1),
                     posix_many_names);
    for (int i = 0; i < posix_many_names; i++)
        assert_int_equal(seen[i], 1);
    assert_ok(closedir(dir));
    free(seen);
}

int posix_lists(void)
{
    const struct CMUnitTest tests[] = {
        posix_test(an_empty_directory_lists_itself_and_its_parent),
        posix_test(a_listing_shows_types_and_numbers),
        posix_test(every_name_is_listed_once),
        posix_test(what_stays_is_listed_once_while_others_go),
        posix_test(a_directory_is_emptied_while_it_is_read),
        posix_test(a_listing_goes_on_where_telldir_was),
        posix_test(a_hundred_thousand_names_are_listed),
    };

    return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
