/* store/segment.c, and the part of recover.c that sees to it that segments fit
 * together: missing, foreign, swapped, old and newer ones. */
#include "tests/unit/store/log_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/log_format.h"

static void write_segments(struct fixture *f)
{
    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write_hard(f, 1, 1);
    fixture_write(f, 1, 1, 10, 1000); /* three to a segment */
    fixture_sync(f);
    fixture_crash(f);
    assert_int_equal(file_count(f), 4);
}

static void a_missing_segment_is_named(void **state)
{
    static const char *const names[] = {
        "/0000000001.log is missing", "/0000000002.log is missing",
        "/0000000003.log is missing", "/0000000004.log is missing"};
    struct fixture *f = *state;

    write_segments(f);
    for (uint32_t i = 1; i <= 4; i++) {
        struct file file = file_load(f, i);

        file_remove(f, i);
        fixture_expect_damage(f, names[i - 1]);
        file_store(&file);
        file_free(&file);
    }
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void a_log_of_another_cluster_or_node_is_refused(void **state)
{
    struct fixture *f = *state;

    write_segments(f);
    f->stamp++;
    assert_int_equal(fixture_try_open(f), -PX_ECLUSTER);
    assert_non_null(strstr(f->why, "/0000000001.log belongs to another"));
}

static void one_segment_of_another_log_is_refused(void **state)
{
    struct fixture *f = *state;
    struct file file;
    char own[PATH_MAX];

    write_segments(f);
    memcpy(own, f->dir, sizeof own);
    fixture_new_dir(f);
    f->model = (struct model){0};
    f->stamp++;
    write_segments(f);
    file = file_load(f, 3);
    memcpy(f->dir, own, sizeof own);
    f->stamp--;
    (void)snprintf(file.path, sizeof file.path, "%.4000s/0000000003.log", own);
    file_store(&file);
    file_free(&file);
    assert_int_equal(fixture_try_open(f), -PX_ECLUSTER);
    assert_non_null(strstr(f->why, "/0000000003.log"));
}

static void swapped_segments_are_reported(void **state)
{
    struct fixture *f = *state;
    struct file second;
    struct file third;
    char path[PATH_MAX];

    write_segments(f);
    second = file_load(f, 2);
    third = file_load(f, 3);
    memcpy(path, second.path, sizeof path);
    memcpy(second.path, third.path, sizeof path);
    memcpy(third.path, path, sizeof path);
    file_store(&second);
    file_store(&third);
    fixture_expect_damage(f, "/0000000002.log");
    assert_non_null(strstr(f->why, "renamed"));
    file_free(&second);
    file_free(&third);
}

/* A segment of the same log as it was once: sound in itself, but not what
 * followed. */
static void a_segment_from_another_time_is_reported(void **state)
{
    struct fixture *f = *state;
    struct file old;
    char path[PATH_MAX];

    write_segments(f);
    old = file_load(f, 2);
    fixture_new_dir(f); /* the same stamp, another history */
    f->model = (struct model){.salts = 500};
    write_segments(f);
    (void)snprintf(path, sizeof path, "%.4000s/0000000002.log", f->dir);
    memcpy(old.path, path, sizeof path);
    file_store(&old);
    file_free(&old);
    fixture_expect_damage(f, "/0000000001.log");
}

static void a_head_that_contradicts_the_log_is_reported(void **state)
{
    struct fixture *f = *state;
    struct log_segment_head head;
    struct file file;

    write_segments(f);
    file = file_load(f, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(log_segment_head_decode(file.bytes, &head), 0);
        head.last.index += i == 0;
        head.last.term += i == 1;
        head.hard.term += i == 2;
        head.hard.voted_for += i == 3;
        log_segment_head_encode(&head, file.bytes);
        file_store(&file);
        fixture_expect_damage(f, "/0000000003.log is damaged at offset 0");
        head.last.index -= i == 0;
        head.last.term -= i == 1;
        head.hard.term -= i == 2;
        head.hard.voted_for -= i == 3;
        log_segment_head_encode(&head, file.bytes);
    }
    file_store(&file);
    file_free(&file);
    fixture_open(f);
}

static void a_newer_format_is_refused(void **state)
{
    struct fixture *f = *state;
    struct log_segment_head head;
    struct file file;

    write_segments(f);
    file = file_load(f, 2);
    assert_int_equal(log_segment_head_decode(file.bytes, &head), 0);
    head.version++;
    log_segment_head_encode(&head, file.bytes);
    file_store(&file);
    file_free(&file);
    assert_int_equal(fixture_try_open(f), -PX_EFORMAT);
    assert_non_null(strstr(f->why, "/0000000002.log"));
}

static void an_unfinished_segment_is_removed_and_other_files_stay(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    int fd;

    write_segments(f);
    (void)snprintf(path, sizeof path, "%.4000s/segment.new", f->dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    (void)snprintf(path, sizeof path, "%.4000s/0000000009.log.bak", f->dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    close(fd);
    fixture_open(f);
    fixture_expect(f, &f->model);
    assert_int_equal(file_count(f), 5);
    assert_int_equal(access(path, F_OK), 0);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_segment_is_named),
        TEST(a_log_of_another_cluster_or_node_is_refused),
        TEST(one_segment_of_another_log_is_refused),
        TEST(swapped_segments_are_reported),
        TEST(a_segment_from_another_time_is_reported),
        TEST(a_head_that_contradicts_the_log_is_reported),
        TEST(a_newer_format_is_refused),
        TEST(an_unfinished_segment_is_removed_and_other_files_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
