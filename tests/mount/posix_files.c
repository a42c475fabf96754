/* Bytes: written, read, cut, appended, mapped. */
#include "tests/mount/posix.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#define MIB (1 << 20)
#define FILE_MAX (INT64_C(1) << 40)

static void write_at(int fd, const char *text, off_t offset)
{
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
}

static void assert_at(int fd, const char *text, off_t offset)
{
    char found[256] = "";

    assert_int_equal(pread(fd, found, strlen(text), offset), strlen(text));
    assert_string_equal(found, text);
}

/* @size bytes at @offset read as zeros. */
static void assert_zeros(int fd, off_t offset, size_t size)
{
    static char found[MIB];
    static const char zeros[MIB];

    assert_true(size <= sizeof found);
    assert_int_equal(pread(fd, found, size, offset), size);
    assert_memory_equal(found, zeros, size);
}

static void a_write_replaces_what_it_covers(void **state)
{
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    write_at(fd, "hello, world", 0);
    write_at(fd, "HE", 0);
    write_at(fd, "W", 7);
    assert_at(fd, "HEllo, World", 0);
    write_at(fd, "!", 12);
    assert_int_equal(stat_of("f").st_size, 13);
    close_file(fd);
    assert_text("f", "HEllo, World!");
}

static void reading_ends_at_the_end(void **state)
{
    char byte;
    int fd;

    (void)state;
    put("f", "abc");
    fd = open_file("f", O_RDONLY);
    assert_int_equal(pread(fd, &byte, 1, 2), 1);
    assert_int_equal(pread(fd, &byte, 1, 3), 0);
    assert_int_equal(pread(fd, &byte, 1, 1000000), 0);
    close_file(fd);
}

static void two_handles_see_each_other(void **state)
{
    int one = open_file("f", O_RDWR | O_CREAT);
    int two;

    (void)state;
    write_at(one, "first", 0);
    two = open_file("f", O_RDWR);
    assert_at(two, "first", 0);
    write_at(two, "other", 0);
    assert_at(one, "other", 0);
    close_file(one);
    close_file(two);
}

static void a_hole_reads_as_zeros(void **state)
{
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    write_at(fd, "start", 0);
    write_at(fd, "end", 3 * MIB + 5);
    assert_int_equal(stat_of("f").st_size, 3 * MIB + 8);
    assert_zeros(fd, 5, 4096);
    assert_zeros(fd, MIB, MIB);
    assert_at(fd, "end", 3 * MIB + 5);
    assert_true(stat_of("f").st_blocks < MIB / 512);
    close_file(fd);
}

static void a_file_ends_at_a_tebibyte(void **state)
{
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    write_at(fd, "x", FILE_MAX - 1);
    assert_int_equal(stat_of("f").st_size, FILE_MAX);
    assert_at(fd, "x", FILE_MAX - 1);
    assert_fails((int)pwrite(fd, "x", 1, FILE_MAX), EFBIG);
    assert_fails(ftruncate(fd, FILE_MAX + 1), EFBIG);
    close_file(fd);
}

static void truncate_cuts_and_grows(void **state)
{
    int fd;

    (void)state;
    put("f", "0123456789");
    assert_ok(truncate("f", 4));
    assert_text("f", "0123");
    fd = open_file("f", O_RDWR);
    assert_ok(ftruncate(fd, 8));
    assert_int_equal(stat_of("f").st_size, 8);
    assert_zeros(fd, 4, 4); /* what was cut does not come back */
    assert_ok(ftruncate(fd, 0));
    assert_int_equal(stat_of("f").st_size, 0);
    close_file(fd);
}

static void opening_to_truncate_empties(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_file("f", O_RDWR | O_TRUNC);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    close_file(fd);
    assert_text("f", "");
}

static void a_truncated_file_is_empty_to_its_opener(void **state)
{
    char byte;
    struct stat st;
    int fd;

    (void)state;
    put("f", "old");
    fd = open_file("f", O_RDWR | O_TRUNC);
    assert_ok(fstat(fd, &st));
    assert_int_equal(st.st_size, 0);
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_int_equal(stat_of("f").st_size, 0);
    write_at(fd, "new", 0);
    close_file(fd);
    assert_text("f", "new");
}

static void appends_go_to_the_end(void **state)
{
    int one;
    int two;

    (void)state;
    put("f", "a");
    one = open_file("f", O_WRONLY | O_APPEND);
    two = open_file("f", O_WRONLY | O_APPEND);
    assert_int_equal(write(one, "b", 1), 1);
    assert_int_equal(write(two, "c", 1), 1);
    assert_int_equal(write(one, "d", 1), 1);
    assert_int_equal(pwrite(two, "e", 1, 0), 1); /* so says Linux */
    close_file(one);
    close_file(two);
    assert_text("f", "abcde");
}

#define WRITERS 8
#define LINES 200

static void append_lines(int writer)
{
    char line[128];
    int fd = open("f", O_WRONLY | O_APPEND);

    if (fd < 0)
        _exit(1);
    memset(line, 'a' + writer, sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < LINES; i++) {
        if (write(fd, line, sizeof line) != sizeof line)
            _exit(1);
    }
    _exit(0);
}

static void appends_of_many_processes_stay_whole(void **state)
{
    int counts[WRITERS] = {0};
    char line[130];
    int status;
    FILE *file;

    (void)state;
    put("f", "");
    for (int i = 0; i < WRITERS; i++) {
        if (assert_ok(fork()) == 0)
            append_lines(i);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_ok(wait(&status));
        assert_int_equal(status, 0);
    }
    file = fopen("f", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        assert_int_equal(strlen(line), 128);
        assert_int_equal(strspn(line, (char[]){line[0], '\0'}), 127);
        counts[line[0] - 'a']++;
    }
    (void)fclose(file);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(counts[i], LINES);
}

/* ---- Unlinked and open ---- */

static void an_unlinked_file_lives_until_its_last_close(void **state)
{
    struct stat st;
    int other;
    int fd;

    (void)state;
    put("f", "still here");
    fd = open_file("f", O_RDWR);
    other = open_file("f", O_RDONLY);
    assert_ok(unlink("f"));
    assert_false(exists("f"));
    assert_ok(fstat(fd, &st));
    assert_int_equal(st.st_nlink, 0);
    write_at(fd, "STILL", 0);
    close_file(fd);
    assert_at(other, "STILL here", 0);
    close_file(other);
}

static void a_name_is_free_again_at_once(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_file("f", O_RDONLY);
    assert_ok(unlink("f"));
    put("f", "new");
    assert_at(fd, "old", 0);
    assert_text("f", "new");
    close_file(fd);
}

static void an_unlinked_file_is_opened_again_through_proc(void **state)
{
    char path[64];
    int fd;

    (void)state;
    put("f", "x");
    fd = open_file("f", O_RDWR);
    assert_ok(unlink("f"));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_text(path, "x");
    put(path, "written again");
    assert_at(fd, "written again", 0);
    close_file(fd);
}

static void what_is_made_and_unlinked_unwritten_can_be_written(void **state)
{
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    assert_ok(unlink("f"));
    write_at(fd, "x", 0);
    assert_at(fd, "x", 0);
    close_file(fd);
    assert_false(exists("f"));
}

/* ---- Large ---- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ (x >> 29);
}

/* Each place in the file has bytes of its own, so that nothing misplaced goes
 * unseen. */
static void fill(uint64_t *words, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++)
        words[i] = mix(first + i + 1);
}

static void a_big_file_comes_back_as_it_was(void **state)
{
    static uint64_t block[MIB / sizeof(uint64_t)];
    static uint64_t found[MIB / sizeof(uint64_t)];
    const size_t count = sizeof block / sizeof block[0];
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    for (size_t i = 0; i < posix_big_mib; i++) {
        fill(block, count, i * count);
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    }
    assert_int_equal(stat_of("f").st_size, (off_t)posix_big_mib * MIB);
    for (size_t i = 0; i < posix_big_mib; i++) {
        fill(block, count, i * count);
        assert_int_equal(
            pread(fd, found, sizeof found, (off_t)(i * sizeof found)),
            sizeof found);
        assert_memory_equal(found, block, sizeof block);
    }
    close_file(fd);
}

static void one_write_may_be_of_many_requests(void **state)
{
    const size_t size = 5 * MIB + 12345;
    unsigned char *data = malloc(size);
    unsigned char *found = malloc(size);
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    assert_true(data != NULL && found != NULL);
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)mix(i);
    assert_int_equal(pwrite(fd, data, size, 777), size);
    assert_int_equal(pread(fd, found, size, 777), size);
    assert_memory_equal(data, found, size);
    assert_zeros(fd, 0, 777);
    close_file(fd);
    free(data);
    free(found);
}

/* ---- The rest of a descriptor ---- */

static void a_descriptor_does_what_it_was_opened_for(void **state)
{
    char byte = 0;
    int fd;

    (void)state;
    put("f", "x");
    fd = open_file("f", O_RDONLY);
    assert_fails((int)write(fd, &byte, 1), EBADF);
    close_file(fd);
    fd = open_file("f", O_WRONLY);
    assert_fails((int)read(fd, &byte, 1), EBADF);
    assert_int_equal(write(fd, &byte, 0), 0);
    close_file(fd);
}

static void a_file_opened_for_nobody_is_written_all_the_same(void **state)
{
    int fd = assert_ok(open("f", O_WRONLY | O_CREAT, 0));

    (void)state;
    assert_int_equal(write(fd, "x", 1), 1);
    assert_ok(fsync(fd));
    close_file(fd);
    assert_int_equal(stat_of("f").st_mode & 0777, 0);
}

static void syncing_succeeds(void **state)
{
    int dir = open_file(".", O_RDONLY | O_DIRECTORY);
    int fd = open_file("f", O_WRONLY | O_CREAT);

    (void)state;
    assert_ok(fsync(fd));
    assert_true(exists("f"));
    write_at(fd, "x", 0);
    assert_ok(fdatasync(fd));
    assert_ok(fsync(dir));
    assert_ok(syncfs(dir));
    close_file(fd);
    close_file(dir);
}

static void a_private_mapping_shows_the_file(void **state)
{
    char *map;
    int fd;

    (void)state;
    put("f", "mapped");
    fd = open_file("f", O_RDWR);
    map = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_memory_equal(map, "mapped", 6);
    map[0] = 'M';
    assert_ok(munmap(map, 6));
    /* Memory that two nodes share is not promised, so it is refused. */
    assert_true(mmap(NULL, 6, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
    assert_int_equal(errno, ENODEV);
    close_file(fd);
    assert_text("f", "mapped");
}

static void room_is_not_reserved(void **state)
{
    int fd = open_file("f", O_RDWR | O_CREAT);

    (void)state;
    assert_fails(fallocate(fd, 0, 0, MIB), EOPNOTSUPP);
    close_file(fd);
}

static void the_kernel_copies_between_files(void **state)
{
    off_t from = 0;
    int in;
    int out;

    (void)state;
    put("a", "copied");
    in = open_file("a", O_RDONLY);
    out = open_file("b", O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(sendfile(out, in, &from, 6), 6);
    close_file(out);
    assert_text("b", "copied");
    out = open_file("c", O_WRONLY | O_CREAT | O_TRUNC);
    from = 0;
    assert_int_equal(copy_file_range(in, &from, out, NULL, 6, 0), 6);
    close_file(out);
    close_file(in);
    assert_text("c", "copied");
}

static int try_lock(void)
{
    int fd = open("f", O_RDWR);

    if (fd < 0)
        return 2;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : 1;
}

static void flock_excludes_processes_of_this_node(void **state)
{
    int fd;

    (void)state;
    put("f", "x");
    assert_ok(chmod("f", 0666));
    fd = open_file("f", O_RDWR);
    assert_ok(flock(fd, LOCK_EX));
    assert_int_equal(as_user(STRANGER, try_lock), 1);
    assert_ok(flock(fd, LOCK_UN));
    assert_int_equal(as_user(STRANGER, try_lock), 0);
    close_file(fd);
}

int posix_files(void)
{
    const struct CMUnitTest tests[] = {
        posix_test(a_write_replaces_what_it_covers),
        posix_test(reading_ends_at_the_end),
        posix_test(two_handles_see_each_other),
        posix_test(a_hole_reads_as_zeros),
        posix_test(a_file_ends_at_a_tebibyte),
        posix_test(truncate_cuts_and_grows),
        posix_test(opening_to_truncate_empties),
        posix_test(a_truncated_file_is_empty_to_its_opener),
        posix_test(appends_go_to_the_end),
        posix_test(appends_of_many_processes_stay_whole),
        posix_test(an_unlinked_file_lives_until_its_last_close),
        posix_test(a_name_is_free_again_at_once),
        posix_test(an_unlinked_file_is_opened_again_through_proc),
        posix_test(what_is_made_and_unlinked_unwritten_can_be_written),
        posix_test(a_big_file_comes_back_as_it_was),
        posix_test(one_write_may_be_of_many_requests),
        posix_test(a_descriptor_does_what_it_was_opened_for),
        posix_test(a_file_opened_for_nobody_is_written_all_the_same),
        posix_test(syncing_succeeds),
        posix_test(a_private_mapping_shows_the_file),
        posix_test(room_is_not_reserved),
        posix_test(the_kernel_copies_between_files),
        posix_test(flock_excludes_processes_of_this_node),
    };

    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
