/* fs/stage.c, on a real mount: when a staged open is published, and with what.
 * The trace shows what was proposed, command by command. What other requests
 * have to do with it is in test_stage_names.c. */
#include "tests/unit/fs/fixture.h"

#define STRANGER 4242
#define GROUP 4343

/* The shell's dup2: a flush before anything is written. */
static void flush_once(int fd)
{
    close_fd(dup(fd));
}

static off_t size_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* ---- With the first write ---- */

static void a_creation_and_its_first_write_are_one_command(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    flush_once(fd);
    assert_trace("");
    write_text(fd, "new");
    write_text(fd, "er");
    close_fd(fd);
    assert_trace("write+creates write");
    assert_text("f", "newer");
}

static void a_truncation_and_its_first_write_are_one_command(void **state)
{
    int fd;

    (void)state;
    put("f", "old value");
    fd = open_to_write("f");
    flush_once(fd);
    assert_trace("");
    write_text(fd, "new");
    close_fd(fd);
    assert_trace("write+truncates");
    assert_text("f", "new");
}

static void fstat_of_the_opener_publishes_nothing(void **state)
{
    int fd;

    (void)state;
    put("f", "old value");
    fd = open_to_write("f");
    assert_int_equal(size_of(fd), 0);
    assert_trace("");
    write_text(fd, "new");
    assert_trace("write+truncates");
    assert_int_equal(size_of(fd), 3);
    close_fd(fd);
    fd = open_to_write("g");
    assert_int_equal(size_of(fd), 0);
    assert_trace("");
    close_fd(fd);
}

static void fstat_of_its_child_publishes_nothing(void **state)
{
    struct actor *a = actor_new(0);
    struct act_result r;

    (void)state;
    put("f", "old value");
    assert_int_equal(actor_do(a, ACT_OPEN, "f", TO_WRITE).error, 0);
    r = actor_do(a, ACT_CHILD_FSTAT, "", 0);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.value, 0);
    assert_trace("");
    assert_int_equal(actor_do(a, ACT_WRITE, "new", 0).error, 0);
    assert_trace("write+truncates");
    actor_free(a);
}

static void a_staged_append_begins_at_the_start(void **state)
{
    int fd;

    (void)state;
    put("f", "old value");
    fd = open("f", TO_WRITE | O_APPEND);
    assert_true(fd >= 0);
    write_text(fd, "a");
    write_text(fd, "b");
    close_fd(fd);
    assert_trace("write+truncates write");
    assert_text("f", "ab");
}

/* ---- Without a write ---- */

static void fsync_publishes(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    assert_int_equal(fsync(fd), 0);
    assert_trace("create");
    write_text(fd, "x");
    close_fd(fd);
    assert_trace("write");
    fd = open_to_write("f");
    assert_int_equal(fdatasync(fd), 0);
    assert_trace("setattr");
    close_fd(fd);
}

static void the_second_flush_publishes(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_to_write("f");
    flush_once(fd);
    assert_trace("");
    flush_once(fd);
    assert_trace("setattr");
    close_fd(fd);
    assert_trace("");
}

static void a_single_close_publishes(void **state)
{
    (void)state;
    put("f", "old");
    close_fd(open_to_write("f"));
    assert_text("f", ""); /* waits for the publication */
    assert_trace("setattr");
    close_fd(open_to_write("g"));
    assert_true(exists("g"));
    assert_trace("create");
}

static void ftruncate_and_fchmod_come_after(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    assert_int_equal(ftruncate(fd, 5), 0);
    assert_trace("create setattr");
    close_fd(fd);
    fd = open_to_write("f");
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_trace("setattr setattr");
    close_fd(fd);
}

static void a_read_through_the_handle_publishes(void **state)
{
    char byte;
    int fd;

    (void)state;
    put("f", "old");
    fd = open("f", O_RDWR | O_TRUNC | O_CLOEXEC);
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_trace("setattr");
    close_fd(fd);
}

static void a_write_through_another_handle_comes_after(void **state)
{
    int writer;
    int fd;

    (void)state;
    put("f", "old value");
    writer = open("f", O_WRONLY | O_CLOEXEC);
    fd = open_to_write("f");
    assert_int_equal(pwrite(writer, "x", 1, 0), 1);
    assert_trace("setattr write");
    close_fd(fd);
    close_fd(writer);
    assert_text("f", "x");
}

/* ---- What is never staged ---- */

static void an_exclusive_creation_is_published_at_once(void **state)
{
    int fd = open("f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    (void)state;
    assert_true(fd >= 0);
    assert_trace("create");
    close_fd(fd);
}

static void strict_publishes_at_open(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    assert_trace("create");
    write_text(fd, "x");
    close_fd(fd);
    assert_trace("write");
    fd = open_to_write("f");
    assert_trace("setattr");
    close_fd(fd);
}

static void without_a_session_a_creation_is_published_at_once(void **state)
{
    int fd;

    (void)state;
    local_port_set_session(port, false);
    fd = open_to_write("f");
    assert_trace("create");
    write_text(fd, "x");
    close_fd(fd);
    assert_text("f", "x");
}

/* ---- Strangers ---- */

static void a_stranger_waits_for_the_first_write(void **state)
{
    struct actor *writer = actor_new(0);
    struct actor *reader = actor_new(0);
    struct act_result r;
    uint64_t before;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    before = requests_begun();
    actor_tell(reader, ACT_READ, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    assert_int_equal(actor_do(writer, ACT_WRITE, "new", 0).error, 0);
    r = actor_answer(reader);
    assert_int_equal(r.error, 0);
    assert_string_equal(r.text, "new");
    assert_trace("write+truncates");
    actor_free(reader);
    actor_free(writer);
}

static void a_stranger_does_not_wait_for_ever(void **state)
{
    struct actor *writer = actor_new(0);
    struct actor *reader = actor_new(0);
    struct act_result r;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    r = actor_do(reader, ACT_STAT, "f", 0);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.value, 0);
    assert_trace("setattr");
    assert_int_equal(actor_do(writer, ACT_WRITE, "new", 0).error, 0);
    assert_trace("write");
    actor_free(reader);
    actor_free(writer);
}

static void a_stranger_lists_what_is_staged(void **state)
{
    struct actor *writer = actor_new(0);

    (void)state;
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    assert_true(exists("f"));
    assert_trace("create");
    assert_int_equal(actor_do(writer, ACT_OPEN, "g", TO_WRITE).error, 0);
    assert_int_equal(actor_do(writer, ACT_LIST, ".", 0).value, 2);
    assert_trace("create");
    actor_free(writer);
}

static void the_same_process_does_not_wait(void **state)
{
    struct actor *a = actor_new(0);
    struct fs_counters before;
    struct fs_counters after;

    (void)state;
    put("f", "old");
    local_port_counters(port, &before);
    assert_int_equal(actor_do(a, ACT_OPEN, "f", TO_WRITE).error, 0);
    assert_int_equal(actor_do(a, ACT_STAT, "f", 0).value, 0);
    assert_trace("setattr");
    local_port_counters(port, &after);
    assert_int_equal(after.staged, before.staged + 1);
    actor_free(a);
}

/* ---- Failures ---- */

static void a_refused_write_leaves_the_old_value(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_to_write("f");
    flush_once(fd);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(write(fd, "new", 3), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    close_fd(fd); /* does not empty what write(2) said it had not touched */
    assert_text("f", "old");
    assert_trace("");
}

/* Likewise, of a mount that is full: -ENOSPC says that nothing happened. */
static void a_write_without_room_leaves_the_old_value(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_to_write("f");
    local_port_set_commands(port, LOCAL_COMMANDS_NO_ROOM);
    assert_int_equal(write(fd, "longer", 6), -1);
    assert_int_equal(errno, ENOSPC);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_text("f", "old");
    write_text(fd, "new"); /* and may be tried again */
    close_fd(fd);
    assert_trace("write+truncates");
    assert_text("f", "new");
}

static void a_refused_write_makes_no_file(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(write(fd, "new", 3), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    close_fd(fd);
    assert_false(exists("f"));
    assert_trace("");
}

static void a_refused_write_may_be_tried_again(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_to_write("f");
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(write(fd, "new", 3), -1);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    write_text(fd, "new");
    close_fd(fd);
    assert_trace("write+truncates");
    assert_text("f", "new");
}

static void after_an_unknown_outcome_the_handle_writes_no_more(void **state)
{
    int fd;

    (void)state;
    put("f", "old");
    fd = open_to_write("f");
    local_port_set_commands(port, LOCAL_COMMANDS_APPLIED_UNKNOWN);
    assert_int_equal(write(fd, "new", 3), -1);
    assert_int_equal(errno, ETIMEDOUT);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_trace("write+truncates");
    assert_int_equal(write(fd, "more", 4), -1); /* it might truncate twice */
    assert_int_equal(errno, ETIMEDOUT);
    assert_trace("");
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_text("f", "new");
}

/* It was a stranger's stat that published, and that was told EAGAIN: close is
 * the first who can tell the owner. */
static void close_tells_of_an_unknown_outcome(void **state)
{
    struct actor *writer = actor_new(0);
    struct stat st;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_UNKNOWN);
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_do(writer, ACT_CLOSE, "", 0).error, ETIMEDOUT);
    actor_free(writer);
}

static void a_stranger_is_told_when_publication_is_refused(void **state)
{
    struct actor *writer = actor_new(0);
    struct stat st;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_do(writer, ACT_WRITE, "new", 0).error, 0);
    assert_trace("write+truncates");
    actor_free(writer);
}

/* On a full mount: a look at the name is no reason to need room. */
static void a_stranger_goes_on_where_publication_has_no_room(void **state)
{
    struct actor *writer = actor_new(0);
    struct stat st;

    (void)state;
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_NO_ROOM);
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(actor_do(writer, ACT_WRITE, "new", 0).error, ENOSPC);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    actor_free(writer);
}

static void a_creation_in_a_directory_that_went_says_enoent(void **state)
{
    struct command c = {
        .op = COMMAND_RMDIR,
        .parent = STORE_ROOT_INODE,
        .name = {"d", 1},
    };
    int fd;

    (void)state;
    assert_int_equal(mkdir("d", 0755), 0);
    fd = open_to_write("d/f");
    assert_int_equal(local_port_apply_remote(port, &c), 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, ENOENT);
    close_fd(fd);
}

/* ---- Another node was first ---- */

static void a_name_that_was_taken_is_written_to(void **state)
{
    struct stat by_fd;
    struct stat by_name;
    int fd = open_to_write("f");

    (void)state;
    assert_int_equal(put_remotely("f", "remote value", 0644), 0);
    write_text(fd, "ours");
    assert_int_equal(fstat(fd, &by_fd), 0);
    assert_int_equal(by_fd.st_size, 4);
    assert_int_equal(stat("f", &by_name), 0);
    assert_int_equal(by_fd.st_ino, by_name.st_ino);
    assert_int_equal(fchmod(fd, 0600), 0);
    close_fd(fd);
    assert_text("f", "ours");
    assert_int_equal(stat("f", &by_name), 0);
    assert_int_equal(by_name.st_mode & 0777, 0600);
}

static void without_truncation_the_taken_file_is_kept(void **state)
{
    int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char found[16] = "";

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(put_remotely("f", "remote", 0644), 0);
    write_text(fd, "OUR");
    assert_int_equal(pread(fd, found, sizeof found, 0), 6);
    assert_string_equal(found, "OURote");
    close_fd(fd);
}

static void a_taken_name_is_adopted_without_a_write(void **state)
{
    int fd = open("f", O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    char found[16] = "";

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(put_remotely("f", "remote", 0644), 0);
    assert_int_equal(read(fd, found, sizeof found), 6);
    assert_string_equal(found, "remote");
    close_fd(fd);
}

static void an_adopted_file_lives_until_its_close(void **state)
{
    int fd = open_to_write("f");

    (void)state;
    assert_int_equal(put_remotely("f", "remote", 0644), 0);
    write_text(fd, "ours");
    assert_int_equal(unlink("f"), 0);
    write_text(fd, " still");
    assert_int_equal(size_of(fd), 10);
    assert_int_equal(local_port_orphans(port), 1);
    close_fd(fd);
}

static int link_remotely(const char *name, const char *new_name)
{
    struct stat st;
    struct command c = {
        .op = COMMAND_LINK,
        .new_parent = STORE_ROOT_INODE,
        .new_name = {new_name, strlen(new_name)},
    };

    assert_int_equal(stat(name, &st), 0);
    c.inode = st.st_ino;
    return local_port_apply_remote(port, &c);
}

/* The file that is there is staged through its other name by somebody else, and
 * that can't be published: so the write can't begin, a second time. */
static void a_write_that_waits_in_vain_leaves_the_taken_file(void **state)
{
    struct actor *first = actor_new(0);
    struct actor *second = actor_new(0);

    (void)state;
    assert_int_equal(put_remotely("g", "remote", 0644), 0);
    assert_int_equal(actor_do(first, ACT_OPEN, "f", TO_WRITE).error, 0);
    assert_int_equal(link_remotely("g", "f"), 0);
    assert_int_equal(actor_do(second, ACT_OPEN, "g", TO_WRITE).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(first, ACT_WRITE, "ours", 0);
    await_stuck(1);
    local_port_finish_one(port); /* the name is taken */
    await_stuck(1);
    assert_trace("write+creates setattr");
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(actor_answer(first).error, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_do(first, ACT_CLOSE, "", 0).error, 0);
    assert_text("f", "remote");
    assert_trace("");
    actor_free(first);
    actor_free(second);
}

/* The kernel asked whether the user may make a name, not whether he may write
 * the file that is there now. */
static void a_taken_name_is_not_a_way_into_it(void **state)
{
    struct actor *a = actor_new(STRANGER);

    (void)state;
    assert_int_equal(chmod(".", 0777), 0);
    assert_int_equal(actor_do(a, ACT_OPEN, "f", TO_WRITE).error, 0);
    assert_int_equal(put_remotely("f", "secret", 0600), 0);
    assert_int_equal(actor_do(a, ACT_WRITE, "mine", 0).error, EACCES);
    assert_text("f", "secret");
    actor_free(a);
}

static int give_remotely(const char *name, uint32_t gid, uint32_t mode)
{
    struct stat st;
    struct command c = {
        .op = COMMAND_SETATTR,
        .attrs = COMMAND_GID | COMMAND_MODE,
        .attr_gid = gid,
        .mode = mode,
    };

    assert_int_equal(stat(name, &st), 0);
    c.inode = st.st_ino;
    return local_port_apply_remote(port, &c);
}

static int write_error_in(gid_t group, uint32_t mode)
{
    struct actor *a = actor_new_in(STRANGER, group);
    int error;

    assert_int_equal(chmod(".", 0777), 0);
    assert_int_equal(actor_do(a, ACT_OPEN, "f", TO_WRITE).error, 0);
    assert_int_equal(put_remotely("g", "theirs", 0600), 0);
    assert_int_equal(give_remotely("g", GROUP, mode), 0);
    assert_int_equal(link_remotely("g", "f"), 0);
    error = actor_do(a, ACT_WRITE, "mine", 0).error;
    actor_free(a);
    return error;
}

static void any_group_of_the_opener_is_a_way_into_it(void **state)
{
    (void)state;
    assert_int_equal(write_error_in(GROUP, 0660), 0);
    assert_text("f", "mine");
}

static void groups_of_others_are_not(void **state)
{
    (void)state;
    assert_int_equal(write_error_in(GROUP + 1, 0660), EACCES);
    assert_text("f", "theirs");
}

/* The mode of the group holds for it, also where all others may do more. */
static void a_group_that_is_shut_out_stays_out(void **state)
{
    (void)state;
    assert_int_equal(write_error_in(GROUP, 0606), EACCES);
    assert_text("f", "theirs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mount_test(a_creation_and_its_first_write_are_one_command),
        mount_test(a_truncation_and_its_first_write_are_one_command),
        mount_test(fstat_of_the_opener_publishes_nothing),
        mount_test(fstat_of_its_child_publishes_nothing),
        mount_test(a_staged_append_begins_at_the_start),
        mount_test(fsync_publishes),
        mount_test(the_second_flush_publishes),
        mount_test(a_single_close_publishes),
        mount_test(ftruncate_and_fchmod_come_after),
        mount_test(a_read_through_the_handle_publishes),
        mount_test(a_write_through_another_handle_comes_after),
        mount_test(an_exclusive_creation_is_published_at_once),
        strict_test(strict_publishes_at_open),
        mount_test(without_a_session_a_creation_is_published_at_once),
        mount_test(a_stranger_waits_for_the_first_write),
        mount_test(a_stranger_does_not_wait_for_ever),
        mount_test(a_stranger_lists_what_is_staged),
        mount_test(the_same_process_does_not_wait),
        mount_test(a_refused_write_leaves_the_old_value),
        mount_test(a_write_without_room_leaves_the_old_value),
        mount_test(a_refused_write_makes_no_file),
        mount_test(a_refused_write_may_be_tried_again),
        mount_test(after_an_unknown_outcome_the_handle_writes_no_more),
        mount_test(close_tells_of_an_unknown_outcome),
        mount_test(a_stranger_is_told_when_publication_is_refused),
        mount_test(a_stranger_goes_on_where_publication_has_no_room),
        mount_test(a_creation_in_a_directory_that_went_says_enoent),
        mount_test(a_name_that_was_taken_is_written_to),
        mount_test(without_truncation_the_taken_file_is_kept),
        mount_test(a_taken_name_is_adopted_without_a_write),
        mount_test(an_adopted_file_lives_until_its_close),
        mount_test(a_write_that_waits_in_vain_leaves_the_taken_file),
        mount_test(a_taken_name_is_not_a_way_into_it),
        mount_test(any_group_of_the_opener_is_a_way_into_it),
        mount_test(groups_of_others_are_not),
        mount_test(a_group_that_is_shut_out_stays_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
