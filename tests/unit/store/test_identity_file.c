/* store/identity_file.c: two files, of which either does; whatever is damaged or
 * interrupted, what was last durable is read, or the update after it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "store/identity_file.h"
#include "tests/lib/memdisk.h"

#define CLUSTER UINT64_C(0x00c0ffee00c0ffee)
#define TEXT_BYTES 4096
#define CRASHES 20 /* of one kind: what was not synced is lost by chance */

static const char *const names[] = {IDENTITY_NAME, IDENTITY_COPY};

static struct memdisk *memory;
static struct store_disk *disk;

static void use(struct memdisk *m)
{
    memdisk_free(memory);
    memory = m;
    disk = memdisk_disk(m);
}

static int setup(void **state)
{
    (void)state;
    use(memdisk_new());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memdisk_free(memory);
    memory = NULL;
    return 0;
}

static struct store_identity nth(uint64_t incarnation)
{
    return (struct store_identity){.format = STORE_FORMAT_VERSION,
                                   .node = "node-1",
                                   .cluster_name = "phalanx",
                                   .cluster = CLUSTER,
                                   .incarnation = incarnation,
                                   .voter_count = 2,
                                   .voters = {"node-1", "node-2"},
                                   .is_begun = true,
                                   .promise = 4000000000,
                                   .gossip_reserve = 7 * incarnation};
}

static void write_nth(uint64_t incarnation)
{
    struct store_identity id = nth(incarnation);

    assert_int_equal(identity_write(disk, &id), 0);
}

static void reads_as(const struct store_identity *id, const char *bad)
{
    struct store_identity found;
    const char *found_bad;

    memset(&found, 0, sizeof found);
    assert_int_equal(identity_read(disk, &found, &found_bad), 0);
    assert_memory_equal(&found, id, sizeof found);
    if (bad == NULL)
        assert_null(found_bad);
    else
        assert_string_equal(found_bad, bad);
}

static void reads_as_nth(uint64_t incarnation, const char *bad)
{
    struct store_identity id = nth(incarnation);

    reads_as(&id, bad);
}

static void refused(int error)
{
    struct store_identity id;
    const char *bad = "";

    assert_int_equal(identity_read(disk, &id, &bad), error);
    assert_null(bad);
}

static size_t load(const char *name, char text[TEXT_BYTES])
{
    ssize_t n = store_disk_load(disk, name, text, TEXT_BYTES);

    assert_true(n > 0 && n < TEXT_BYTES);
    return (size_t)n;
}

/* ---- Which is read ---- */

static void what_is_written_is_in_both_files(void **state)
{
    char text[TEXT_BYTES], copy[TEXT_BYTES];
    size_t size;

    (void)state;
    write_nth(1);
    reads_as_nth(1, NULL);
    write_nth(2);
    reads_as_nth(2, NULL);
    size = load(IDENTITY_NAME, text);
    assert_int_equal(load(IDENTITY_COPY, copy), size);
    assert_memory_equal(text, copy, size);
    assert_int_equal(memdisk_file_count(memory), 2);
}

static void any_damaged_bit_of_either_file_costs_nothing(void **state)
{
    char text[TEXT_BYTES];
    size_t size;

    (void)state;
    write_nth(1);
    size = load(IDENTITY_NAME, text);
    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < size; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                memdisk_flip(memory, names[i], at, (uint8_t)(1u << bit));
                reads_as_nth(1, names[i]);
                memdisk_flip(memory, names[i], at, (uint8_t)(1u << bit));
            }
            memdisk_put(memory, names[i], text, at); /* and cut off here */
            reads_as_nth(1, names[i]);
            memdisk_put(memory, names[i], text, size);
        }
        reads_as_nth(1, NULL);
    }
}

static void the_next_update_makes_both_whole(void **state)
{
    (void)state;
    write_nth(1);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(memdisk_flip(memory, names[i], 40, 1));
        reads_as_nth(1 + i, names[i]);
        write_nth(2 + i);
        reads_as_nth(2 + i, NULL);
    }
}

static void a_copy_alone_does(void **state)
{
    (void)state;
    write_nth(1);
    assert_int_equal(disk->remove(disk, IDENTITY_NAME), 0);
    reads_as_nth(1, IDENTITY_NAME);
}

/* As a program leaves it that knows of no copy. */
static void an_identity_alone_does_and_lacks_nothing(void **state)
{
    (void)state;
    write_nth(1);
    assert_int_equal(disk->remove(disk, IDENTITY_COPY), 0);
    reads_as_nth(1, NULL);
}

static void a_file_that_can_not_be_read_is_as_good_as_damaged(void **state)
{
    (void)state;
    write_nth(1);
    for (unsigned call = 1; call <= 4; call++) { /* open, read; of each */
        memdisk_go_on(memory,
                      &(struct memdisk_plan){.fail_at = call, .error = EIO});
        reads_as_nth(1, names[(call - 1) / 2]);
    }
    memdisk_go_on(memory, &(struct memdisk_plan){
                              .fail_at = 1, .error = EIO, .is_lasting = true});
    refused(-EIO);
}

static void where_neither_is_sound_none_is_read(void **state)
{
    (void)state;
    refused(-ENOENT);
    write_nth(1);
    memdisk_flip(memory, IDENTITY_NAME, 50, 1);
    memdisk_flip(memory, IDENTITY_COPY, 60, 1);
    refused(-PX_ECORRUPT);
    assert_int_equal(disk->remove(disk, IDENTITY_NAME), 0);
    refused(-PX_ECORRUPT);
    write_nth(1);
    memdisk_flip(memory, IDENTITY_NAME, 50, 1);
    assert_int_equal(disk->remove(disk, IDENTITY_COPY), 0);
    refused(-PX_ECORRUPT);
}

/* An update of another program may have been cut short, or it writes one. */
static void another_format_in_either_is_refused(void **state)
{
    static const char newer[] = "{\"format\":3,\"anything\":\"else\"}";
    struct store_identity id;
    const char *bad;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
            write_nth(1);
            memdisk_put(memory, names[i], newer, strlen(newer));
            if (is_damaged)
                memdisk_flip(memory, names[1 - i], 50, 1);
            assert_int_equal(identity_read(disk, &id, &bad), -PX_EFORMAT);
            assert_int_equal(id.format, 3);
        }
    }
}

/* Writes @id, and puts the copy of it beside the first. */
static void mix(const struct store_identity *first,
                const struct store_identity *id)
{
    char text[TEXT_BYTES];
    size_t size;

    assert_int_equal(identity_write(disk, first), 0);
    size = load(IDENTITY_NAME, text);
    assert_int_equal(identity_write(disk, id), 0);
    memdisk_put(memory, IDENTITY_NAME, text, size);
}

static void two_of_different_folders_are_refused(void **state)
{
    struct store_identity a = nth(1), b = nth(1);

    (void)state;
    (void)strcpy(b.node, "node-2");
    mix(&a, &b);
    refused(-PX_ECLUSTER);
    b = nth(1);
    (void)strcpy(b.cluster_name, "hoplite");
    mix(&a, &b);
    refused(-PX_ECLUSTER);
    b = nth(1);
    b.cluster++;
    b.has_log = true;
    mix(&a, &b);
    refused(-PX_ECLUSTER);
    mix(&b, &a);
    refused(-PX_ECLUSTER);
}

static void who_waits_for_its_cluster_may_go_over_to_another(void **state)
{
    struct store_identity a = nth(1), b = nth(1);

    (void)state;
    b.cluster++;
    mix(&a, &b);
    reads_as(&a, NULL);
    memdisk_flip(memory, IDENTITY_NAME, 50, 1);
    reads_as(&b, IDENTITY_NAME);
}

/* ---- What is interrupted ---- */

/* In what an update may find. */
enum before { WHOLE, IDENTITY_BAD, COPY_BAD, COPY_MISSING, NOTHING, BEFORES };

static void prepare(enum before before)
{
    use(memdisk_new());
    if (before != NOTHING)
        write_nth(1);
    if (before == IDENTITY_BAD || before == COPY_BAD)
        memdisk_flip(memory, names[before == COPY_BAD], 50, 1);
    if (before == COPY_MISSING) {
        assert_int_equal(disk->remove(disk, IDENTITY_COPY), 0);
        assert_int_equal(disk->sync_dir(disk), 0);
    }
}

/* Reads the first or the second, and nothing else. */
static void reads_old_or_new(enum before before)
{
    struct store_identity found = {.format = 0};
    struct store_identity old = nth(1), new = nth(2);
    const char *bad;
    int rc = identity_read(disk, &found, &bad);

    if (rc == -ENOENT && before == NOTHING)
        return;
    assert_int_equal(rc, 0);
    if (found.incarnation == 2)
        assert_memory_equal(&found, &new, sizeof found);
    else
        assert_memory_equal(&found, &old, sizeof found);
    assert_true(before != NOTHING || found.incarnation == 2);
}

/* False: the update is through before call @at. */
static bool lose_power(enum before before, unsigned at, struct px_rand *rand)
{
    struct store_identity id = nth(2);
    bool is_dark;
    int rc;

    prepare(before);
    memdisk_go_on(memory, &(struct memdisk_plan){.dark_at = at});
    rc = identity_write(disk, &id);
    is_dark = memdisk_is_dark(memory);
    assert_true(is_dark == (rc < 0));
    memdisk_crash(memory, rand);
    if (is_dark)
        reads_old_or_new(before);
    else
        reads_as_nth(2, NULL);
    return is_dark;
}

static void power_lost_at_any_call_leaves_the_old_or_the_new(void **state)
{
    struct px_rand rand;
    unsigned at;

    (void)state;
    px_rand_init(&rand, 1);
    for (enum before before = 0; before < BEFORES; before++) {
        for (unsigned i = 0; i < CRASHES; i++) {
            for (at = 1; lose_power(before, at, &rand); at++) {
            }
            assert_true(at > 10); /* two files, five calls each */
        }
    }
}

/* A process that dies there leaves the same, and nothing unsynced is lost. */
static bool fail_once(enum before before, unsigned at, bool is_lasting)
{
    const struct memdisk_plan plan = {
        .fail_at = at, .error = ENOSPC, .is_lasting = is_lasting};
    struct store_identity id = nth(2);
    int rc;

    prepare(before);
    memdisk_go_on(memory, &plan);
    rc = identity_write(disk, &id);
    memdisk_go_on(memory, &(struct memdisk_plan){0});
    if (rc == 0) {
        reads_as_nth(2, NULL);
        return false;
    }
    assert_int_equal(rc, -ENOSPC);
    reads_old_or_new(before);
    write_nth(2); /* once there is room */
    reads_as_nth(2, NULL);
    return true;
}

static void an_error_at_any_call_leaves_the_old_or_the_new(void **state)
{
    unsigned at;

    (void)state;
    for (enum before before = 0; before < BEFORES; before++) {
        for (int is_lasting = 0; is_lasting < 2; is_lasting++) {
            for (at = 1; fail_once(before, at, is_lasting); at++) {
            }
            assert_true(at > 10);
        }
    }
}

static void room_for_one_of_them_leaves_the_new_one_in_the_copy(void **state)
{
    struct store_identity id = nth(2);

    (void)state;
    write_nth(1);
    memdisk_go_on(memory, &(struct memdisk_plan){.fail_at = 6,
                                                 .error = ENOSPC,
                                                 .is_lasting = true});
    assert_int_equal(identity_write(disk, &id), -ENOSPC);
    memdisk_go_on(memory, &(struct memdisk_plan){0});
    reads_as_nth(1, NULL);
    assert_int_equal(disk->remove(disk, IDENTITY_NAME), 0);
    reads_as_nth(2, IDENTITY_NAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_in_both_files),
        TEST(any_damaged_bit_of_either_file_costs_nothing),
        TEST(the_next_update_makes_both_whole),
        TEST(a_copy_alone_does),
        TEST(an_identity_alone_does_and_lacks_nothing),
        TEST(a_file_that_can_not_be_read_is_as_good_as_damaged),
        TEST(where_neither_is_sound_none_is_read),
        TEST(another_format_in_either_is_refused),
        TEST(two_of_different_folders_are_refused),
        TEST(who_waits_for_its_cluster_may_go_over_to_another),
        TEST(power_lost_at_any_call_leaves_the_old_or_the_new),
        TEST(an_error_at_any_call_leaves_the_old_or_the_new),
        TEST(room_for_one_of_them_leaves_the_new_one_in_the_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
