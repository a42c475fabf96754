/* fs/stage.c and the requests of others, on a real mount: what touches a staged
 * name has it published, and comes after; what does not leaves it alone. */
#include "tests/unit/fs/fixture.h"

#include <dirent.h>
#include <sys/syscall.h>

static void make_dir(const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
    free(local_port_trace(port));
}

static void what_touches_the_name_comes_after(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    assert_int_equal(unlink("f"), 0);
    assert_trace("create unlink");
    close_fd(fd);
    fd = open_to_write("f");
    assert_int_equal(rename("f", "g"), 0);
    assert_trace("create rename");
    write_text(fd, "x");
    close_fd(fd);
    assert_text("g", "x");
    free(local_port_trace(port));
    fd = open_to_write("h");
    assert_int_equal(link("h", "i"), 0);
    assert_trace("create link");
    close_fd(fd);
    fd = open_to_write("j");
    assert_int_equal(mkdir("j", 0755), -1);
    assert_int_equal(errno, EEXIST);
    assert_trace("create");
    close_fd(fd);
}

static void all_that_is_in_the_way_is_published_together(void **state)
{
    struct actor *syncer = actor_new(0);
    int first = open_to_write("f");
    int second = open_to_write("g");

    (void)state;
    assert_int_equal(actor_do(syncer, ACT_OPEN, ".", O_RDONLY).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(syncer, ACT_FSYNC, "", 0);
    await_stuck(2); /* the second does not wait for the first */
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(syncer).error, 0);
    assert_trace("create create");
    close_fd(second);
    close_fd(first);
    actor_free(syncer);
}

static void a_listing_is_patient_with_all_at_once(void **state)
{
    struct actor *lister = actor_new(0);
    int first = open_to_write("f");
    int second = open_to_write("g");

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(lister, ACT_LIST, ".", 0);
    await_stuck(2); /* one patience was enough for both */
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(lister).value, 2);
    assert_trace("create create");
    close_fd(second);
    close_fd(first);
    actor_free(lister);
}

/* More than a page of the kernel's holds. */
static void put_long_names(const char *dir)
{
    char path[256];

    for (int i = 0; i < 40; i++) {
        (void)snprintf(path, sizeof path, "%s/%0200d", dir, i); /* fits */
        put(path, "x");
    }
}

static int count_rest(DIR *dir)
{
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    return count;
}

static void a_listing_waits_for_nothing_that_came_later(void **state)
{
    DIR *dir;
    int fd;

    (void)state;
    make_dir("d");
    put_long_names("d");
    dir = opendir("d");
    assert_non_null(dir);
    assert_non_null(readdir(dir));
    fd = open_to_write("d/later");
    assert_int_equal(count_rest(dir), 40 + 2 - 1);
    assert_trace("");
    rewinddir(dir); /* another one, which begins now */
    assert_int_equal(count_rest(dir), 41 + 2);
    assert_trace("create");
    close_fd(fd);
    assert_int_equal(closedir(dir), 0);
}

static void other_names_leave_it_staged(void **state)
{
    int fd;

    (void)state;
    put("other", "x");
    fd = open_to_write("f");
    assert_text("other", "x");
    assert_int_equal(unlink("other"), 0);
    assert_trace("unlink");
    close_fd(fd);
}

/* ---- Directories ---- */

static void a_directory_with_a_staged_file_is_not_empty(void **state)
{
    int fd;

    (void)state;
    make_dir("d");
    fd = open_to_write("d/f");
    assert_int_equal(rmdir("d"), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_trace("create rmdir");
    close_fd(fd);
}

static void nor_may_it_be_renamed_over(void **state)
{
    int fd;

    (void)state;
    make_dir("d");
    make_dir("e");
    fd = open_to_write("d/f");
    assert_int_equal(rename("e", "d"), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_trace("create rename");
    close_fd(fd);
}

static void a_directory_takes_what_is_staged_along(void **state)
{
    int fd;

    (void)state;
    make_dir("d");
    fd = open_to_write("d/f");
    assert_int_equal(rename("d", "e"), 0);
    assert_trace("rename");
    write_text(fd, "x");
    close_fd(fd);
    assert_trace("write+creates");
    assert_text("e/f", "x");
}

static void so_does_one_that_is_exchanged(void **state)
{
    int fd;

    (void)state;
    make_dir("d");
    make_dir("e");
    fd = open_to_write("d/f");
    assert_int_equal(
        syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "d", RENAME_EXCHANGE),
        0);
    assert_trace("rename");
    write_text(fd, "x");
    close_fd(fd);
    assert_trace("write+creates");
    assert_text("e/f", "x");
}

/* ---- Elsewhere ---- */

static void what_is_elsewhere_stays_staged(void **state)
{
    int fd;

    (void)state;
    make_dir("d");
    make_dir("e");
    put("x", "x");
    fd = open_to_write("d/f");
    assert_int_equal(rename("x", "y"), 0);
    assert_int_equal(rename("y", "d/y"), 0);
    assert_int_equal(rmdir("e"), 0);
    assert_trace("rename rename rmdir");
    write_text(fd, "x");
    close_fd(fd);
    assert_trace("write+creates");
}

static void nobody_waits_for_what_is_published_elsewhere(void **state)
{
    struct actor *writer = actor_new(0);
    struct actor *renamer = actor_new(0);
    struct actor *remover = actor_new(0);

    (void)state;
    make_dir("d");
    make_dir("e");
    put("x", "x");
    assert_int_equal(actor_do(writer, ACT_OPEN, "d/f", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_stuck(1);
    actor_tell(renamer, ACT_RENAME, "x d/y", 0);
    await_stuck(2);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(renamer).error, 0);
    assert_int_equal(actor_answer(writer).error, 0);
    assert_trace("write+creates rename");
    assert_int_equal(actor_do(writer, ACT_OPEN, "d/g", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_stuck(1);
    actor_tell(remover, ACT_RMDIR, "e", 0);
    await_stuck(2);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(remover).error, 0);
    assert_int_equal(actor_answer(writer).error, 0);
    actor_free(remover);
    actor_free(renamer);
    actor_free(writer);
}

/* The kernel locks the directory that goes against new files, but another node
 * may put one in its place that is not locked. */
static void what_is_staged_later_holds_nobody_up(void **state)
{
    struct actor *renamer = actor_new(0);
    int other, earlier, later;

    (void)state;
    make_dir("x");
    make_dir("d");
    make_dir("e");
    other = open("e", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(other >= 0);
    earlier = open_to_write("d/f");
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(renamer, ACT_RENAME, "x d", 0);
    await_stuck(1);
    assert_trace("create");
    exchange_remotely("d", "e");
    later = openat(other, "g", TO_WRITE, 0644);
    assert_true(later >= 0);
    local_port_finish_one(port); /* the rename goes on, */
    await_stuck(1);
    assert_trace("rename"); /* and over what is "d" now */
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(renamer).error, 0);
    assert_int_equal(write(later, "x", 1), -1);
    assert_int_equal(errno, ENOENT);
    close_fd(later);
    close_fd(earlier);
    close_fd(other);
    assert_text("e/f", "");
    actor_free(renamer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mount_test(what_touches_the_name_comes_after),
        mount_test(all_that_is_in_the_way_is_published_together),
        mount_test(a_listing_is_patient_with_all_at_once),
        mount_test(a_listing_waits_for_nothing_that_came_later),
        mount_test(other_names_leave_it_staged),
        mount_test(a_directory_with_a_staged_file_is_not_empty),
        mount_test(nor_may_it_be_renamed_over),
        mount_test(a_directory_takes_what_is_staged_along),
        mount_test(so_does_one_that_is_exchanged),
        mount_test(what_is_elsewhere_stays_staged),
        mount_test(nobody_waits_for_what_is_published_elsewhere),
        mount_test(what_is_staged_later_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
