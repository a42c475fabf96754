/* store/log_config.c, and what recover.c makes of it: open finds the
 * configurations that the log holds, and no others. */
#include "tests/unit/store/log_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "raft/config.h"
#include "store/log_format.h"

/* Tells one configuration from another: voter 1, and learner @id. */
static struct raft_config config_of(raft_id id)
{
    return (struct raft_config){
        .count = 2, .members = {{1, RAFT_VOTER}, {id, RAFT_LEARNER}}};
}

/* An entry that holds it, and @added bytes behind it. No sync. */
static void write_config(struct fixture *f, raft_index index, raft_term term,
                         raft_id id, size_t added)
{
    struct raft_config config = config_of(id);
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    size_t size = raft_config_encode(&config, bytes);
    struct px_buf *buf = px_buf_new(size + added);
    struct raft_entry e = {.pos = {term, index}, .kind = RAFT_ENTRY_CONFIG};

    assert_non_null(buf);
    memcpy(buf->data, bytes, size);
    memset(buf->data + size, 0xff, added);
    e.data = px_slice_of(buf, 0, buf->size);
    assert_int_equal(store_log_write(f->log, NULL, &e, 1), 0);
    px_slice_unref(&e.data);
}

/* @count others from @first on. No sync. */
static void write_noops(struct fixture *f, raft_index first, raft_term term,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct raft_entry e = {.pos = {term, first + i},
                               .kind = RAFT_ENTRY_NOOP};

        assert_int_equal(store_log_write(f->log, NULL, &e, 1), 0);
    }
}

struct expected {
    raft_index index;
    raft_id id;
};

static void expect_configs(const struct fixture *f,
                           const struct expected *expected, size_t count)
{
    assert_int_equal(f->info.config_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct raft_config_at *got = &f->info.configs[i];
        struct raft_config want = config_of(expected[i].id);

        assert_int_equal(got->index, expected[i].index);
        assert_int_equal(got->config.count, want.count);
        for (size_t k = 0; k < want.count; k++) {
            assert_int_equal(got->config.members[k].id, want.members[k].id);
            assert_int_equal(got->config.members[k].role, want.members[k].role);
        }
    }
}

#define EXPECT(f, ...)                                              \
    expect_configs(f, (const struct expected[]){__VA_ARGS__},       \
                   sizeof((const struct expected[]){__VA_ARGS__}) / \
                       sizeof(struct expected))

static void crash_and_open(struct fixture *f)
{
    fixture_crash(f);
    fixture_open(f);
}

/* 1 .. 9: configurations at 3 and 6, in two terms. */
static void write_nine(struct fixture *f)
{
    fixture_open(f);
    fixture_write_hard(f, 2, 1);
    write_noops(f, 1, 1, 2);
    write_config(f, 3, 1, 30, 100);
    write_noops(f, 4, 2, 2);
    write_config(f, 6, 2, 60, 0);
    write_noops(f, 7, 2, 3);
    fixture_sync(f);
}

static void a_log_without_configurations_has_none(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    expect_configs(f, NULL, 0);
    write_noops(f, 1, 1, 3);
    fixture_sync(f);
    crash_and_open(f);
    expect_configs(f, NULL, 0);
}

static void open_finds_them_where_their_entries_are(void **state)
{
    struct fixture *f = *state;

    write_nine(f);
    expect_configs(f, NULL, 0); /* as of its open */
    crash_and_open(f);
    EXPECT(f, {3, 30}, {6, 60});
    fixture_close(f);
    fixture_open(f);
    EXPECT(f, {3, 30}, {6, 60});
}

/* A follower whose tail another leader replaced: 4.1, rolled back. */
static void one_that_was_truncated_is_not_found(void **state)
{
    struct fixture *f = *state;

    write_nine(f);
    write_noops(f, 5, 3, 2);
    fixture_sync(f);
    crash_and_open(f);
    EXPECT(f, {3, 30});
    write_config(f, 3, 4, 31, 0); /* and one in the place of another */
    fixture_sync(f);
    crash_and_open(f);
    EXPECT(f, {3, 31});
    write_noops(f, 3, 5, 1);
    fixture_sync(f);
    crash_and_open(f);
    expect_configs(f, NULL, 0);
}

static void one_in_a_torn_tail_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct file file;

    write_nine(f);
    write_config(f, 10, 2, 100, 200);
    fixture_crash(f);
    file = file_load(f, 1);
    memset(file.bytes + file_end(&file) - 100, 0, 100);
    file_store(&file);
    file_free(&file);
    fixture_open(f);
    assert_int_equal(f->info.last, 9);
    EXPECT(f, {3, 30}, {6, 60});
}

/* Three segments' worth, the first of which goes. */
static void those_before_the_logs_base_are_gone_with_it(void **state)
{
    struct fixture *f = *state;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write_hard(f, 1, 1);
    write_config(f, 1, 1, 10, 3000);
    write_config(f, 2, 1, 20, 3000);
    write_config(f, 3, 1, 30, 3000);
    write_noops(f, 4, 1, 1);
    fixture_sync(f);
    assert_int_equal(file_count(f), 3);
    assert_int_equal(store_log_cut_head(f->log, 2), 2);
    f->snapshot = (struct raft_pos){1, 4};
    crash_and_open(f);
    assert_int_equal(f->info.base.index, 2);
    EXPECT(f, {3, 30}); /* although the snapshot covers it: behind the base */
}

static void a_log_that_is_reset_at_open_has_none(void **state)
{
    struct fixture *f = *state;

    write_nine(f);
    f->snapshot = (struct raft_pos){2, 20};
    crash_and_open(f);
    assert_int_equal(f->info.base.index, 20);
    expect_configs(f, NULL, 0);
    write_config(f, 21, 2, 210, 0);
    fixture_sync(f);
    crash_and_open(f);
    EXPECT(f, {21, 210});
}

static void a_log_that_was_reset_has_those_behind_it(void **state)
{
    struct fixture *f = *state;

    write_nine(f);
    assert_int_equal(store_log_reset(f->log, (struct raft_pos){2, 40}), 0);
    write_config(f, 41, 2, 210, 0);
    fixture_sync(f);
    f->snapshot = (struct raft_pos){2, 40};
    crash_and_open(f);
    EXPECT(f, {41, 210});
}

/* Raft takes none in that does not decode, so these are not the bytes that it
 * handed out. */
static void an_entry_that_is_none_is_damage(void **state)
{
    struct fixture *f = *state;
    uint8_t byte = RAFT_MEMBERS_MAX + 1;
    struct raft_entry e = {.pos = {2, 10},
                           .kind = RAFT_ENTRY_CONFIG,
                           .data = {.data = &byte, .size = 1}};

    f->keeps_term = true;
    write_nine(f);
    assert_int_equal(store_log_write(f->log, NULL, &e, 1), 0);
    fixture_sync(f);
    write_config(f, 11, 2, 110, 0);
    fixture_sync(f);
    fixture_crash(f);
    fixture_expect_damage(f, "where index 10 is due: the entry should be a "
                             "configuration");
    f->is_repaired = true;
    fixture_open(f);
    assert_non_null(f->info.fault);
    assert_int_equal(f->info.last, 9);
    EXPECT(f, {3, 30}, {6, 60}); /* each once, though it was read twice */
}

static void however_many_there_are_all_are_found(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    for (raft_index i = 1; i <= 3000; i++)
        write_config(f, i, 1, 10 + i, 0);
    fixture_sync(f);
    crash_and_open(f);
    assert_int_equal(f->info.config_count, 3000);
    for (raft_index i = 1; i <= 3000; i++) {
        assert_int_equal(f->info.configs[i - 1].index, i);
        assert_int_equal(f->info.configs[i - 1].config.members[1].id, 10 + i);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_without_configurations_has_none),
        TEST(open_finds_them_where_their_entries_are),
        TEST(one_that_was_truncated_is_not_found),
        TEST(one_in_a_torn_tail_is_not_found),
        TEST(those_before_the_logs_base_are_gone_with_it),
        TEST(a_log_that_is_reset_at_open_has_none),
        TEST(a_log_that_was_reset_has_those_behind_it),
        TEST(an_entry_that_is_none_is_damage),
        TEST(however_many_there_are_all_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
