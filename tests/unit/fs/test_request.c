/* fs/request.c, on a real mount: requests that wait, fail and are interrupted,
 * and what the errors look like. */
#include "tests/unit/fs/fixture.h"

#include <dirent.h>
#include <sched.h>
#include <sys/statvfs.h>

static int64_t served_at_once(void)
{
    struct fs_counters counters;

    local_port_counters(port, &counters);
    return (int64_t)counters.reads_direct;
}

static int64_t waited(void)
{
    struct fs_counters counters;

    local_port_counters(port, &counters);
    return (int64_t)counters.reads_waited;
}

static void a_read_is_served_at_once_where_it_may(void **state)
{
    int64_t before;

    (void)state;
    put("f", "x");
    before = served_at_once();
    assert_text("f", "x");
    assert_true(served_at_once() > before);
    assert_int_equal(waited(), 0);
}

static void a_read_waits_where_it_must(void **state)
{
    int64_t before;

    (void)state;
    put("f", "x");
    local_port_set_reads(port, LOCAL_READS_WAIT);
    before = served_at_once();
    assert_text("f", "x");
    assert_int_equal(served_at_once(), before);
    assert_true(waited() > 0);
}

static void a_read_sees_what_was_applied_while_it_waited(void **state)
{
    struct actor *a = actor_new(0);
    struct act_result r;

    (void)state;
    put("f", "old");
    local_port_set_reads(port, LOCAL_READS_STUCK);
    actor_tell(a, ACT_READ, "f", 0);
    await_stuck(1);
    assert_int_equal(put_remotely("f", "new", 0644), 0);
    local_port_set_reads(port, LOCAL_READS_DIRECT);
    r = actor_answer(a);
    assert_int_equal(r.error, 0);
    assert_string_equal(r.text, "new");
    actor_free(a);
}

/* ---- Errors ---- */

static void without_a_majority_a_read_says_eagain(void **state)
{
    struct stat st;

    (void)state;
    put("f", "x");
    local_port_set_reads(port, LOCAL_READS_REFUSED);
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(stat("missing", &st), -1);
    assert_int_equal(errno, EAGAIN); /* not ENOENT: nobody knows */
    local_port_set_reads(port, LOCAL_READS_DIRECT);
    assert_text("f", "x");
}

static void status_is_told_without_a_majority(void **state)
{
    char path[256];
    char text[64] = "";
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/.phalanx/health", mount_dir);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    local_port_set_reads(port, LOCAL_READS_REFUSED);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_int_equal(close(fd), 0);
    local_port_set_reads(port, LOCAL_READS_DIRECT);
}

static void the_root_is_verified_while_there_is_a_leader(void **state)
{
    struct stat st;

    (void)state;
    local_port_set_reads(port, LOCAL_READS_TIMED_OUT);
    assert_int_equal(stat(mount_dir, &st), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_reads(port, LOCAL_READS_REFUSED);
    assert_int_equal(stat(mount_dir, &st), 0);
}

/* Neither by name, nor what is open, nor what needs no majority otherwise. */
static void a_state_in_quarantine_shows_nothing_but_its_health(void **state)
{
    char path[160];
    char text[64] = "";
    struct statvfs fs;
    struct stat st;
    int file, looked_up, health;

    (void)state;
    put("f", "x");
    file = open("f", O_RDWR | O_CLOEXEC);
    looked_up = open("f", O_PATH | O_CLOEXEC);
    assert_true(file >= 0 && looked_up >= 0);
    local_port_set_reads(port, LOCAL_QUARANTINED);
    assert_int_equal(read(file, text, 1), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(write(file, "y", 1), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(mkdir("d", 0755), -1);
    assert_int_equal(errno, EIO);
    assert_null(opendir(mount_dir));
    assert_int_equal(errno, EIO);
    assert_int_equal(statvfs(mount_dir, &fs), -1);
    assert_int_equal(errno, EIO);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", looked_up);
    assert_int_equal(open(path, O_RDONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EIO);
    (void)snprintf(path, sizeof path, "%s/.phalanx/health", mount_dir);
    health = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(health >= 0);
    assert_true(read(health, text, sizeof text - 1) > 0);
    assert_int_equal(close(health), 0);
    local_port_set_reads(port, LOCAL_READS_DIRECT);
    assert_text("f", "x");
    assert_int_equal(close(looked_up), 0);
    assert_int_equal(close(file), 0);
}

/* The kernel asks twice for a name that it knows. */
static void a_known_name_waits_for_one_deadline_only(void **state)
{
    struct stat st;
    int64_t before;

    (void)state;
    put("f", "x");
    assert_int_equal(stat("f", &st), 0);
    local_port_set_reads(port, LOCAL_READS_REFUSED);
    before = waited();
    assert_int_equal(stat("f", &st), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(waited(), before + 1);
}

static void an_unknown_outcome_says_etimedout(void **state)
{
    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_UNKNOWN);
    assert_int_equal(mkdir("d", 0755), -1);
    assert_int_equal(errno, ETIMEDOUT);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(mkdir("d", 0755), -1);
    assert_int_equal(errno, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(mkdir("d", 0755), 0);
}

/* ---- Deadlines ---- */

#define A_SECOND_LATER PX_NS_PER_S

/* Opened by another process to be written, so that what touches it waits. */
static struct actor *stage(const char *path)
{
    struct actor *writer = actor_new(0);

    put(path, "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, path, O_WRONLY | O_TRUNC).error,
                     0);
    return writer;
}

static void what_waited_at_a_staged_open_keeps_its_deadline(void **state)
{
    struct actor *writer = stage("f");
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_stuck(1);
    before = requests_begun();
    actor_tell(reader, ACT_STAT, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    local_port_set_now(port, A_SECOND_LATER);
    local_port_set_reads(port, LOCAL_READS_STUCK);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(writer).error, 0);
    await_stuck(1); /* the LOOKUP, which asks the port now */
    assert_int_equal(local_port_asked_deadline(port), LOCAL_REQUEST_TIMEOUT);
    local_port_set_reads(port, LOCAL_READS_DIRECT);
    assert_int_equal(actor_answer(reader).error, 0);
    actor_free(reader);
    actor_free(writer);
}

static void what_waits_at_a_staged_open_ends_at_its_deadline(void **state)
{
    struct actor *writer = stage("f");
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    local_port_set_now(port, A_SECOND_LATER);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_stuck(1);
    before = requests_begun();
    actor_tell(reader, ACT_STAT, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    local_port_set_now(port, A_SECOND_LATER + LOCAL_REQUEST_TIMEOUT);
    assert_int_equal(actor_answer(reader).error, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(writer).error, 0);
    assert_text("f", "new");
    actor_free(reader);
    actor_free(writer);
}

/* The tick that ends the reader leaves the fsync to the publication, which
 * knows that nothing happened; and then nothing may. */
static void an_fsync_that_ends_without_effect_keeps_the_old_value(void **state)
{
    struct actor *writer = stage("f");
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_FSYNC, "", 0);
    await_stuck(1);
    assert_int_equal(local_port_asked_deadline(port), LOCAL_REQUEST_TIMEOUT);
    before = requests_begun();
    actor_tell(reader, ACT_STAT, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    local_port_set_now(port, LOCAL_REQUEST_TIMEOUT);
    assert_int_equal(actor_answer(reader).error, EAGAIN);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(actor_answer(writer).error, EAGAIN);
    assert_trace("setattr");
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_do(writer, ACT_CLOSE, "", 0).error, 0);
    assert_text("f", "old");
    assert_trace("");
    actor_free(reader);
    actor_free(writer);
}

static struct actor *stage_new(const char *path)
{
    struct actor *a = actor_new(0);

    assert_int_equal(
        actor_do(a, ACT_OPEN, path, O_WRONLY | O_CREAT | O_TRUNC).error, 0);
    return a;
}

/* A rename needs all that is staged in the directory that it replaces. When it
 * has got that, a part of its time is over, and another directory is there. */
static void a_stranger_in_a_hurry_does_not_hurry_a_publication(void **state)
{
    struct actor *renamer = actor_new(0);
    struct actor *first;
    struct actor *second;

    (void)state;
    assert_int_equal(mkdir("x", 0755), 0);
    assert_int_equal(mkdir("d", 0755), 0);
    assert_int_equal(mkdir("e", 0755), 0);
    free(local_port_trace(port));
    first = stage_new("d/f");
    second = stage_new("e/g");
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(renamer, ACT_RENAME, "x d", 0);
    await_stuck(1);
    local_port_set_now(port, A_SECOND_LATER);
    exchange_remotely("d", "e");
    local_port_finish_one(port);
    await_stuck(1);
    assert_trace("create create");
    assert_int_equal(local_port_asked_deadline(port),
                     A_SECOND_LATER + LOCAL_REQUEST_TIMEOUT);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(renamer).error, ENOTEMPTY);
    actor_free(renamer);
    actor_free(second);
    actor_free(first);
}

static void a_publication_that_is_tried_again_has_no_more_time(void **state)
{
    struct actor *writer = stage_new("f");

    (void)state;
    assert_int_equal(put_remotely("f", "remote", 0644), 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_FSYNC, "", 0);
    await_stuck(1);
    local_port_set_now(port, A_SECOND_LATER);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(writer).error, 0);
    assert_trace("create setattr");
    assert_int_equal(local_port_asked_deadline(port), LOCAL_REQUEST_TIMEOUT);
    actor_free(writer);
}

/* ---- Interrupts ---- */

static void a_waiting_read_can_be_interrupted(void **state)
{
    struct actor *a = actor_new(0);

    (void)state;
    put("f", "x");
    local_port_set_reads(port, LOCAL_READS_STUCK);
    actor_tell(a, ACT_STAT, "f", 0);
    await_stuck(1);
    actor_interrupt(a);
    assert_int_equal(actor_answer(a).error, EINTR);
    assert_int_equal(local_port_stuck(port), 0);
    assert_int_equal(local_port_cancelled(port), 1);
    local_port_set_reads(port, LOCAL_READS_DIRECT);
    assert_int_equal(actor_do(a, ACT_STAT, "f", 0).error, 0);
    actor_free(a);
}

static void a_waiting_command_can_be_interrupted(void **state)
{
    struct actor *a = actor_new(0);
    struct stat st;

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(a, ACT_MKDIR, "d", 0);
    await_stuck(1);
    actor_interrupt(a);
    assert_int_equal(actor_answer(a).error, EINTR);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(stat("d", &st), -1);
    assert_int_equal(errno, ENOENT);
    actor_free(a);
}

/* What waits for another's publication is interrupted where it waits; the
 * publication goes on. */
static void a_request_that_waits_for_another_can_be_interrupted(void **state)
{
    struct actor *writer = actor_new(0);
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(writer, ACT_OPEN, "f", O_WRONLY | O_TRUNC).error,
                     0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_stuck(1);
    before = requests_begun();
    actor_tell(reader, ACT_STAT, "f", 0);
    await_requests(before, 2); /* the root's attributes, and LOOKUP */
    actor_interrupt(reader);
    assert_int_equal(actor_answer(reader).error, EINTR);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_answer(writer).error, 0);
    assert_text("f", "new");
    actor_free(reader);
    actor_free(writer);
}

static void an_interrupted_first_write_may_be_tried_again(void **state)
{
    struct actor *a = actor_new(0);

    (void)state;
    put("f", "old");
    assert_int_equal(actor_do(a, ACT_OPEN, "f", O_WRONLY | O_TRUNC).error, 0);
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(a, ACT_WRITE, "new", 0);
    await_stuck(1);
    actor_interrupt(a);
    assert_int_equal(actor_answer(a).error, EINTR);
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_text("f", "old");
    assert_int_equal(actor_do(a, ACT_WRITE, "new", 0).error, 0);
    assert_text("f", "new");
    actor_free(a);
}

/* It waited for the publication that another one's stat had asked for. */
static void an_interrupted_write_keeps_the_old_value(void **state)
{
    struct actor *writer = stage("f");
    struct actor *reader = actor_new(0);
    uint64_t before;

    (void)state;
    local_port_set_commands(port, LOCAL_COMMANDS_STUCK);
    actor_tell(reader, ACT_STAT, "f", 0);
    await_stuck(1); /* its patience is over */
    before = requests_begun();
    actor_tell(writer, ACT_WRITE, "new", 0);
    await_requests(before, 1);
    actor_interrupt(writer);
    assert_int_equal(actor_answer(writer).error, EINTR);
    local_port_set_commands(port, LOCAL_COMMANDS_REFUSED);
    assert_int_equal(actor_answer(reader).error, EAGAIN);
    assert_trace("setattr");
    local_port_set_commands(port, LOCAL_COMMANDS_APPLY);
    assert_int_equal(actor_do(writer, ACT_CLOSE, "", 0).error, 0);
    assert_text("f", "old");
    assert_trace("");
    actor_free(reader);
    actor_free(writer);
}

/* ---- Closing ---- */

static void await_orphans(uint64_t count)
{
    while (local_port_orphans(port) != count)
        (void)sched_yield(); /* RELEASE comes in the background */
}

static void an_unlinked_file_goes_with_its_last_close(void **state)
{
    int one;
    int two;

    (void)state;
    put("f", "x");
    one = open("f", O_RDONLY | O_CLOEXEC);
    two = open("f", O_WRONLY | O_CLOEXEC);
    assert_int_equal(unlink("f"), 0);
    assert_int_equal(local_port_orphans(port), 1);
    assert_int_equal(close(one), 0);
    write_text(two, "y");
    assert_int_equal(local_port_orphans(port), 1);
    assert_int_equal(close(two), 0);
    await_orphans(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mount_test(a_read_is_served_at_once_where_it_may),
        mount_test(a_read_waits_where_it_must),
        mount_test(a_read_sees_what_was_applied_while_it_waited),
        mount_test(without_a_majority_a_read_says_eagain),
        mount_test(status_is_told_without_a_majority),
        mount_test(the_root_is_verified_while_there_is_a_leader),
        mount_test(a_state_in_quarantine_shows_nothing_but_its_health),
        mount_test(a_known_name_waits_for_one_deadline_only),
        mount_test(an_unknown_outcome_says_etimedout),
        mount_test(what_waited_at_a_staged_open_keeps_its_deadline),
        mount_test(what_waits_at_a_staged_open_ends_at_its_deadline),
        mount_test(an_fsync_that_ends_without_effect_keeps_the_old_value),
        mount_test(a_stranger_in_a_hurry_does_not_hurry_a_publication),
        mount_test(a_publication_that_is_tried_again_has_no_more_time),
        mount_test(a_waiting_read_can_be_interrupted),
        mount_test(a_waiting_command_can_be_interrupted),
        mount_test(a_request_that_waits_for_another_can_be_interrupted),
        mount_test(an_interrupted_first_write_may_be_tried_again),
        mount_test(an_interrupted_write_keeps_the_old_value),
        mount_test(an_unlinked_file_goes_with_its_last_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
