/* node/log_writer.c, with a real log on a disk in memory that has a limit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/log_writer.h"
#include "tests/lib/memdisk.h"

#define SEGMENT_BYTES (64u * PX_KIB)
#define ENTRY_BYTES (24u * PX_KIB)       /* two in a segment */
#define LARGE_BYTES (2u * SEGMENT_BYTES) /* needs one of its own */

static struct {
    struct memdisk *disk;
    struct memdisk *home;
    struct storage storage;
    struct log_writer writer;
    struct replica_write *write; /* with room for an entry */
} b;

/* ---- What the other parts would do ---- */

static char told[8]; /* l, m or d, in order */

void fault_on_loss_noted(struct fault *f)
{
    (void)f;
    (void)strcat(told, "l");
}

void fault_on_mended(struct fault *f)
{
    (void)f;
    (void)strcat(told, "m");
}

void replica_on_durable(struct replica *r, struct replica_write *w)
{
    (void)r;
    assert_ptr_equal(w, b.write);
    (void)strcat(told, "d");
}

/* ---- The log ---- */

static void open_log(void)
{
    struct store_log_options options = {
        .disk = memdisk_disk(b.disk),
        .term_disk = memdisk_disk(b.home),
        .dir = "log",
        .stamp = 1,
        .is_repaired = true,
        .segment_bytes = SEGMENT_BYTES,
    };
    char why[256] = "";

    assert_int_equal(store_log_open(&options, &b.storage.log, why, sizeof why),
                     0);
}

static int setup(void **state)
{
    const struct memdisk_plan none = {0};

    (void)state;
    b.disk = memdisk_new();
    b.home = memdisk_new();
    memdisk_go_on(b.disk, &none);
    b.storage.options.log_disk = memdisk_disk(b.disk);
    b.storage.options.snapshot_disk = memdisk_disk(b.disk); /* the same room */
    b.storage.options.state_dir = "no such folder";
    open_log();
    log_writer_init(&b.writer, &b.storage);
    b.write = calloc(1, sizeof *b.write + sizeof(struct raft_entry));
    assert_non_null(b.write);
    px_list_init(&b.write->link);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_log_close(b.storage.log);
    memdisk_free(b.disk);
    memdisk_free(b.home);
    free(b.write);
    return 0;
}

static int write_bytes(raft_index index, uint32_t bytes)
{
    static const uint8_t data[LARGE_BYTES];

    b.write->count = 1;
    b.write->entries[0] = (struct raft_entry){
        .pos = {1, index},
        .kind = RAFT_ENTRY_COMMAND,
        .data = {.data = data, .size = bytes},
    };
    return log_writer_do(&b.writer, &b.write->link);
}

static int write_entry(raft_index index)
{
    return write_bytes(index, ENTRY_BYTES);
}

static void set_limit(uint64_t bytes)
{
    const struct memdisk_plan plan = {.bytes_max = bytes};

    memdisk_go_on(b.disk, &plan);
}

/* ---- Tests ---- */

/* Two segments are full; a third finds no room beside them. */
static void what_may_be_cut_makes_room_for_what_found_none(void **state)
{
    (void)state;
    set_limit(3 * SEGMENT_BYTES - 1);
    for (raft_index i = 1; i <= 4; i++)
        assert_int_equal(write_entry(i), 0);
    assert_int_equal(write_entry(5), -ENOSPC);
    assert_int_equal(write_entry(5), -ENOSPC);
    log_writer_allow_cut(&b.writer, 2);
    assert_int_equal(write_entry(5), 0);
    assert_int_equal(store_log_sync(b.storage.log), 0);
    assert_int_equal(log_writer_cut_head(&b.writer), 0); /* it is done */
}

/* A snapshot that has come in part can come again. */
static void what_is_arriving_makes_way_for_the_log(void **state)
{
    static uint8_t bytes[SEGMENT_BYTES];

    (void)state;
    memdisk_put(b.disk, "arriving" STORE_SNAPSHOT_UNFINISHED, bytes,
                sizeof bytes);
    set_limit(2 * SEGMENT_BYTES);
    assert_int_equal(write_entry(1), 0);
    assert_int_equal(write_entry(2), 0);
    assert_int_equal(write_entry(3), 0);
    assert_false(memdisk_has(b.disk, "arriving" STORE_SNAPSHOT_UNFINISHED));
    assert_int_equal(write_entry(4), 0);
    assert_int_equal(write_entry(5), -ENOSPC);
}

/* And a wrong state that was kept for a look is looked at no more. */
static void a_wrong_state_that_was_kept_makes_way_for_the_log(void **state)
{
    char dir[] = "/tmp/phalanx-log-writer-XXXXXX";
    char kept[sizeof dir + sizeof "/diverged-7"];

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(kept, sizeof kept, "%s/diverged-7", dir);
    assert_return_code(mkdir(kept, 0700), errno);
    b.storage.options.state_dir = dir;
    set_limit(2 * SEGMENT_BYTES);
    for (raft_index i = 1; i <= 4; i++)
        assert_int_equal(write_entry(i), 0);
    assert_return_code(access(kept, F_OK), errno);
    assert_int_equal(write_entry(5), -ENOSPC); /* it was on another disk */
    assert_int_equal(access(kept, F_OK), -1);
    assert_return_code(rmdir(dir), errno);
}

static void what_may_be_cut_does_not_delay_what_has_room(void **state)
{
    unsigned files;

    (void)state;
    for (raft_index i = 1; i <= 4; i++)
        assert_int_equal(write_entry(i), 0);
    files = memdisk_file_count(b.disk);
    log_writer_allow_cut(&b.writer, 2);
    assert_int_equal(write_entry(5), 0);
    assert_int_equal(memdisk_file_count(b.disk), files + 1);
    assert_int_equal(log_writer_cut_head(&b.writer), 1);
}

/* The reset has been done when the entry finds no room: a second one would be
 * to where the log begins already, which it asserts against. */
static void
a_reset_is_done_once_though_what_follows_it_is_done_again(void **state)
{
    (void)state;
    b.write->has_hard = true;
    b.write->hard.term = 1;
    assert_int_equal(write_entry(1), 0);
    b.write->has_hard = false;
    b.write->has_reset = true;
    b.write->reset = (struct raft_pos){1, 100};
    set_limit(2 * SEGMENT_BYTES); /* the old one, until the new one counts */
    assert_int_equal(write_bytes(101, LARGE_BYTES), -ENOSPC);
    set_limit(0);
    assert_int_equal(write_bytes(101, LARGE_BYTES), 0);
    assert_int_equal(store_log_sync(b.storage.log), 0);
}

static void a_loss_is_noted_and_forgotten_in_the_order_it_is_asked(void **state)
{
    struct px_list *loss = log_writer_loss(&b.writer, 7);

    (void)state;
    assert_int_equal(log_writer_do(&b.writer, loss), 0);
    assert_true(memdisk_has(b.disk, "faulty"));
    assert_int_equal(log_writer_do(&b.writer, log_writer_recovered(&b.writer)),
                     0);
    assert_false(memdisk_has(b.disk, "faulty"));
}

/* The fault: the note went before what it speaks of was on the disk. */
static void what_was_written_before_is_durable_when_the_note_goes(void **state)
{
    const struct memdisk_plan none = {0}, dark = {.dark_at = 1};
    struct store_log_info info;
    struct px_rand rand;

    (void)state;
    assert_int_equal(log_writer_do(&b.writer, log_writer_loss(&b.writer, 1)),
                     0);
    assert_int_equal(write_entry(1), 0);
    assert_int_equal(log_writer_do(&b.writer, log_writer_recovered(&b.writer)),
                     0);
    memdisk_go_on(b.disk, &dark); /* before the group's flush */
    store_log_close(b.storage.log);
    memdisk_go_on(b.disk, &none);
    px_rand_init(&rand, 1);
    memdisk_crash(b.disk, &rand);
    open_log();
    store_log_info(b.storage.log, &info);
    assert_null(info.fault);
    assert_int_equal(info.last, 1);
}

static void who_asked_for_a_job_is_told_that_it_is_done(void **state)
{
    struct fault fault = {0};

    (void)state;
    told[0] = '\0';
    log_writer_done(&b.writer, &fault, log_writer_recovered(&b.writer));
    log_writer_done(&b.writer, &fault, &b.write->link);
    log_writer_done(&b.writer, &fault, log_writer_loss(&b.writer, 7));
    assert_string_equal(told, "mdl");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_may_be_cut_makes_room_for_what_found_none),
        TEST(what_is_arriving_makes_way_for_the_log),
        TEST(a_wrong_state_that_was_kept_makes_way_for_the_log),
        TEST(what_may_be_cut_does_not_delay_what_has_room),
        TEST(a_reset_is_done_once_though_what_follows_it_is_done_again),
        TEST(a_loss_is_noted_and_forgotten_in_the_order_it_is_asked),
        TEST(what_was_written_before_is_durable_when_the_note_goes),
        TEST(who_asked_for_a_job_is_told_that_it_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
