/* store/recover.c: torn, lost, misplaced and damaged are told apart. Files are
 * spoiled as a disk might, and opened. The process always dies before it could
 * close its log, unless a test says otherwise. */
#include "tests/unit/store/log_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "store/log_format.h"

/* Two batches in one segment: a hard state and three entries each. `bounds`
 * are the ends of the second batch's records, its beginning first. */
struct two_batches {
    struct model first;
    struct model states[5]; /* after none, one ... all of its records */
    size_t bounds[5];
    struct file file;
};

static const uint32_t batch_sizes[3] = {100, 13, 0};

static void write_batch(struct fixture *f, raft_term term, raft_id vote)
{
    fixture_write_hard(f, term, vote);
    for (int i = 0; i < 3; i++)
        fixture_write(f, f->model.last + 1, term, 1, batch_sizes[i]);
    fixture_sync(f);
}

static void write_two_batches(struct fixture *f, struct two_batches *two)
{
    size_t at;

    fixture_open(f);
    write_batch(f, 1, 5);
    two->first = f->model;
    write_batch(f, 2, 6);
    fixture_crash(f);

    two->file = file_load(f, 1);
    at = LOG_BLOCK_BYTES + 64 + (64 + 104) + (64 + 16) + 64;
    two->bounds[0] = at;
    two->bounds[1] = at += 64;
    two->bounds[2] = at += 64 + 104;
    two->bounds[3] = at += 64 + 16;
    two->bounds[4] = at += 64;
    two->states[0] = two->first;
    two->states[1] = two->first;
    two->states[1].hard = f->model.hard;
    for (int i = 2; i < 5; i++) {
        two->states[i] = f->model;
        two->states[i].last = two->first.last + (raft_index)i - 1;
    }
    assert_true(file_end(&two->file) <= at && file_end(&two->file) > at - 8);
}

/* How many records of the second batch are whole in @image. */
static int whole_records(const struct two_batches *two, const uint8_t *image,
                         size_t size)
{
    int n = 0;

    while (n < 4 && two->bounds[n + 1] <= size &&
           memcmp(image + two->bounds[n], two->file.bytes + two->bounds[n],
                  two->bounds[n + 1] - two->bounds[n]) == 0)
        n++;
    return n;
}

/* But for the record that seals what was found. */
static void expect_zeros_behind(struct fixture *f, size_t end)
{
    struct file now = file_load(f, 1);

    assert_true(file_end(&now) <= end + LOG_HEAD_BYTES);
    assert_int_equal(now.size, f->segment_bytes);
    file_free(&now);
}

/* Opens what is left of the second batch, and appends to it. */
static void expect_cut(struct fixture *f, const struct two_batches *two,
                       const struct file *image)
{
    int whole = whole_records(two, image->bytes, image->size);

    f->model = two->states[whole];
    f->model.salts = 1000;
    file_store(image);
    fixture_open(f);
    fixture_expect(f, &f->model);
    expect_zeros_behind(f, two->bounds[whole]);
    if (file_end(image) > two->bounds[whole])
        assert_int_equal(f->info.torn_bytes,
                         file_end(image) - two->bounds[whole]);
    else
        assert_int_equal(f->info.torn_bytes, 0);
}

enum tear { TEAR_ZEROS, TEAR_GARBAGE };

static struct file torn_image(const struct two_batches *two, enum tear tear,
                              size_t at)
{
    struct file image = two->file;
    struct px_rand rand;

    px_rand_init(&rand, at);
    image.bytes = malloc(image.size);
    assert_non_null(image.bytes);
    memcpy(image.bytes, two->file.bytes, image.size);
    switch (tear) {
    case TEAR_ZEROS:
        memset(image.bytes + at, 0, image.size - at);
        break;
    case TEAR_GARBAGE:
        for (size_t i = at; i < two->bounds[4] + 100; i++)
            image.bytes[i] = (uint8_t)(px_rand_next(&rand) >> 56);
        break;
    }
    return image;
}

static void tear_everywhere(struct fixture *f, enum tear tear)
{
    struct two_batches two;

    f->segment_bytes = 8192;
    write_two_batches(f, &two);
    for (size_t at = two.bounds[0]; at <= two.bounds[4]; at++) {
        struct file image = torn_image(&two, tear, at);

        expect_cut(f, &two, &image);
        fixture_close(f);
        file_free(&image);
    }
    file_free(&two.file);
}

static void a_last_batch_with_zeros_from_any_byte_is_cut(void **state)
{
    tear_everywhere(*state, TEAR_ZEROS);
}

static void a_last_batch_with_garbage_from_any_byte_is_cut(void **state)
{
    tear_everywhere(*state, TEAR_GARBAGE);
}

static void the_log_goes_on_behind_a_cut(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    write_two_batches(f, &two);
    for (int whole = 0; whole < 4; whole++) {
        struct file image =
            torn_image(&two, TEAR_GARBAGE, two.bounds[whole] + 20);

        expect_cut(f, &two, &image);
        fixture_write(f, f->model.last + 1, 9, 2, 40);
        fixture_sync(f);
        fixture_crash(f);
        fixture_open(f);
        fixture_expect(f, &f->model);
        assert_int_equal(f->info.torn_bytes, 0);
        fixture_close(f);
        file_free(&image);
        memcpy(two.file.path, f->dir, sizeof f->dir);
        (void)strncat(two.file.path, "/0000000001.log",
                      sizeof two.file.path - strlen(two.file.path) - 1);
    }
    file_free(&two.file);
}

/* A disk may write the sectors of a batch in any order before the flush. */
static void any_sectors_of_the_last_batch_may_be_missing(void **state)
{
    struct fixture *f = *state;
    struct model before;
    struct file whole;
    struct file image;
    size_t begin;
    unsigned sectors;

    f->segment_bytes = 16384;
    fixture_open(f);
    fixture_write(f, 1, 1, 2, 100);
    fixture_sync(f);
    before = f->model;
    begin = LOG_BLOCK_BYTES + 2 * (64 + 104);
    fixture_write(f, 3, 1, 10, 304); /* 3,680 bytes from 336 on: 8 sectors */
    fixture_sync(f);
    fixture_crash(f);
    whole = file_load(f, 1);
    image = whole;
    image.bytes = malloc(whole.size);
    assert_non_null(image.bytes);
    sectors = (unsigned)((begin % 512 + 3680 + 511) / 512);
    assert_int_equal(sectors, 8);

    for (unsigned present = 0; present < 1u << sectors; present++) {
        raft_index expected = before.last;

        memcpy(image.bytes, whole.bytes, whole.size);
        for (unsigned s = 0; s < sectors; s++) {
            size_t from = begin - begin % 512 + s * 512;
            size_t skip = s == 0 ? begin % 512 : 0; /* durable long ago */

            if ((present & 1u << s) == 0)
                memset(image.bytes + from + skip, 0, 512 - skip);
        }
        while (expected < 12 &&
               memcmp(image.bytes + begin + (expected - 2) * 368,
                      whole.bytes + begin + (expected - 2) * 368, 368) == 0)
            expected++;
        file_store(&image);
        fixture_open(f);
        assert_int_equal(f->info.last, expected);
        f->model.last = expected;
        fixture_expect(f, &f->model);
        fixture_close(f);
    }
    file_free(&image);
    file_free(&whole);
}

/* ---- Damage ---- */

static void expect_file(struct fixture *f, const struct file *image)
{
    struct file now = file_load(f, 1);

    assert_int_equal(now.size, image->size);
    assert_memory_equal(now.bytes, image->bytes, image->size);
    file_free(&now);
}

/* It is refused, and nothing is changed; or repaired, where what is whole is
 * kept. */
static void expect_shortened(struct fixture *f, const struct two_batches *two,
                             const struct file *image)
{
    int whole = whole_records(two, image->bytes, image->size);
    size_t again = whole == 0 ? LOG_HEAD_BYTES : 0; /* the hard state */

    file_store(image);
    f->is_repaired = false;
    fixture_expect_damage(f, "the file is shorter than its head says");
    expect_file(f, image);
    f->is_repaired = true;
    fixture_open(f);
    f->model = two->states[whole];
    f->model.hard = two->states[4].hard; /* "term" has it */
    fixture_expect(f, &f->model);
    assert_non_null(f->info.fault);
    expect_zeros_behind(f, two->bounds[whole] + again);
    assert_int_equal(store_log_recovered(f->log), 1);
    fixture_close(f);
}

/* A segment is all there, durably, before it has its name. */
static void a_shortened_last_segment_is_damage_wherever_it_ends(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    f->segment_bytes = 8192;
    f->keeps_term = true;
    write_two_batches(f, &two);
    for (size_t at = two.bounds[0]; at < two.file.size;
         at += at < two.bounds[4] ? 1 : 97) {
        struct file image = two.file;

        image.size = at;
        expect_shortened(f, &two, &image);
    }
    file_free(&two.file);
}

/* It was never the log's: no record behind the head's end is one. */
static void what_lies_behind_the_end_of_a_segment_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;
    size_t size;

    f->segment_bytes = 8192;
    write_two_batches(f, &two);
    size = two.file.size;
    two.file.bytes = realloc(two.file.bytes, size + LOG_BLOCK_BYTES);
    assert_non_null(two.file.bytes);
    memcpy(two.file.bytes + size, two.file.bytes, LOG_BLOCK_BYTES);
    two.file.size += LOG_BLOCK_BYTES;
    file_store(&two.file);
    fixture_open(f);
    f->model = two.states[4];
    fixture_expect(f, &f->model);
    assert_null(f->info.fault);
    assert_int_equal(f->info.torn_bytes, 0);
    fixture_close(f);
    file_free(&two.file);
}

/* The next one's head says that no record is missing. */
static void an_earlier_segment_may_lack_the_zeros_behind_its_end(void **state)
{
    struct fixture *f = *state;
    struct model all;
    struct file file;

    f->segment_bytes = 8192;
    f->keeps_term = true;
    fixture_open(f);
    fixture_write_hard(f, 1, 5);
    fixture_write(f, 1, 1, 5, 900); /* four in one segment, one in the next */
    fixture_sync(f);
    fixture_crash(f);
    all = f->model;
    file = file_load(f, 1);
    file.size = LOG_BLOCK_BYTES + 64 + 4 * (64 + 904) + 64; /* the end record */
    file_store(&file);
    file_free(&file);
    fixture_open(f);
    fixture_expect(f, &all);
    fixture_close(f);

    file_remove(f, 2); /* now it is the last */
    fixture_expect_damage(f, "0000000002.log is missing");
    f->is_repaired = true;
    fixture_open(f);
    model_cut(&all, 5);
    fixture_expect(f, &all);
    expect_zeros_behind(f, LOG_BLOCK_BYTES + 64 + 4 * (64 + 904));
}

static void any_flipped_bit_before_the_last_batch_is_reported(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    f->segment_bytes = 8192;
    write_two_batches(f, &two);
    for (size_t at = 0; at < two.bounds[0]; at++) {
        struct file after;

        two.file.bytes[at] ^= (uint8_t)(1u << at % 8);
        file_store(&two.file);
        fixture_expect_damage(f, "/0000000001.log");
        after = file_load(f, 1); /* a refusal changes nothing */
        assert_memory_equal(after.bytes, two.file.bytes, two.file.size);
        file_free(&after);
        two.file.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    file_free(&two.file);
}

static void damage_is_reported_with_offset_and_index(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    write_two_batches(f, &two);
    /* The body of the second entry, behind a hard state and an entry. */
    two.file.bytes[4096 + 64 + 168 + 64 + 5] ^= 4;
    file_store(&two.file);
    fixture_expect_damage(
        f, "/0000000001.log is damaged at offset 4328, "
           "where index 2 is due: the checksum of the record's body");
    file_free(&two.file);
}

static void a_lost_earlier_batch_is_reported(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    write_two_batches(f, &two);
    memset(two.file.bytes + LOG_BLOCK_BYTES, 0,
           two.bounds[0] - LOG_BLOCK_BYTES);
    file_store(&two.file);
    fixture_expect_damage(f,
                          "offset 4096, where index 1 is due: there are zeros");
    file_free(&two.file);
}

static void any_flipped_bit_in_an_earlier_segment_is_reported(void **state)
{
    struct fixture *f = *state;
    struct file file;
    size_t end;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 5, 900); /* one batch over two segments */
    fixture_sync(f);
    fixture_crash(f);
    file = file_load(f, 1);
    end = LOG_BLOCK_BYTES + 4 * (64 + 904);
    assert_true(file_end(&file) > end); /* the end record */
    for (size_t at = LOG_BLOCK_BYTES; at < end; at += 3) {
        file.bytes[at] ^= (uint8_t)(1u << at % 8);
        file_store(&file);
        fixture_expect_damage(f, "/0000000001.log");
        file.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    file_free(&file);
}

struct told {
    size_t count;
    uint64_t done[8], all[8];
};

static void on_told(void *ctx, uint64_t done, uint64_t all)
{
    struct told *t = ctx;

    assert_true(t->count < sizeof t->done / sizeof t->done[0]);
    t->done[t->count] = done;
    t->all[t->count++] = all;
}

static void each_record_tells_how_many_segments_are_done(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write(f, 1, 1, 5, 900); /* four in one segment, one in the next */
    fixture_sync(f);
    fixture_crash(f);
    f->progress = (struct store_progress){on_told, &told};
    fixture_open(f);
    assert_int_equal(told.count, 5);
    for (size_t i = 0; i < told.count; i++) {
        assert_int_equal(told.done[i], i < 4 ? 0 : 1);
        assert_int_equal(told.all[i], 2);
    }
}

static void damage_to_the_last_batch_is_reported_after_a_close(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;
    struct file file;

    f->segment_bytes = 8192;
    write_two_batches(f, &two);
    file_free(&two.file);
    fixture_open(f);
    fixture_write(f, f->model.last + 1, 2, 2, 100);
    fixture_close(f); /* unsynced, and in order: it syncs */

    file = file_load(f, 1);
    for (size_t at = two.bounds[4]; at < two.bounds[4] + 2 * 168; at++) {
        file.bytes[at] ^= 1;
        file_store(&file);
        fixture_expect_damage(f, "/0000000001.log");
        file.bytes[at] ^= 1;
    }
    file_store(&file);
    file_free(&file);
    fixture_open(f);
    fixture_expect(f, &f->model);
}

static void damage_to_the_last_batch_is_reported_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;
    struct file file;

    write_two_batches(f, &two);
    file_free(&two.file);
    fixture_open(f);
    fixture_crash(f); /* at once */

    file = file_load(f, 1);
    for (size_t at = two.bounds[0]; at < two.bounds[4]; at++) {
        file.bytes[at] ^= 1;
        file_store(&file);
        fixture_expect_damage(f, "/0000000001.log");
        file.bytes[at] ^= 1;
    }
    file_free(&file);
}

static void a_record_in_another_place_is_reported(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;

    write_two_batches(f, &two);
    /* The first batch's hard state over its last entry, both 64 bytes. */
    memcpy(two.file.bytes + two.bounds[0] - 64,
           two.file.bytes + LOG_BLOCK_BYTES, 64);
    file_store(&two.file);
    fixture_expect_damage(f, "the record was written for another place");
    file_free(&two.file);
}

/* Two entries of one history and two of another, in the same places: each
 * record is sound, but the second of the one never followed the first of the
 * other. */
static void a_record_of_another_history_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct file one;
    struct file other;

    fixture_open(f);
    fixture_write(f, 1, 1, 2, 100);
    fixture_sync(f);
    fixture_crash(f);
    one = file_load(f, 1);
    fixture_new_dir(f);
    f->model = (struct model){.salts = 50};
    fixture_open(f);
    fixture_write(f, 1, 1, 2, 100);
    fixture_sync(f);
    fixture_crash(f);
    other = file_load(f, 1);
    memcpy(other.bytes + LOG_BLOCK_BYTES + 168,
           one.bytes + LOG_BLOCK_BYTES + 168, 168);
    file_store(&other);
    fixture_open(f);
    model_cut(&f->model, 2);
    fixture_expect(f, &f->model);
    assert_int_equal(f->info.torn_bytes, 64 + 100);
    file_free(&one);
    file_free(&other);
}

/* The same record, at the same place of another node's log: sound there. */
static void a_record_of_another_node_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct file other;
    struct file ours;

    fixture_open(f);
    fixture_write(f, 1, 1, 1, 100);
    fixture_sync(f);
    fixture_crash(f);
    other = file_load(f, 1);
    fixture_new_dir(f);
    f->model = (struct model){0};
    f->stamp++;
    fixture_open(f);
    fixture_crash(f);
    ours = file_load(f, 1);
    memcpy(ours.bytes + LOG_BLOCK_BYTES, other.bytes + LOG_BLOCK_BYTES, 168);
    file_store(&ours);
    fixture_open(f);
    fixture_expect(f, &f->model); /* nothing */
    file_free(&other);
    file_free(&ours);
}

static void a_sound_record_with_nonsense_in_it_is_reported(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;
    struct log_record r;
    uint8_t *at;

    write_two_batches(f, &two);
    at = two.file.bytes + two.bounds[3]; /* the last: it could pass as torn */
    assert_int_equal(
        log_record_decode(at, f->stamp, 1, (uint32_t)two.bounds[3], &r),
        LOG_SOUND);
    r.index += 5;
    log_record_encode(&r, f->stamp, at);
    file_store(&two.file);
    file_free(&two.file);
    fixture_expect_damage(f, "does not follow the one before");
}

/* ---- Anything at all ---- */

static void mutate(struct file *file, struct px_rand *r)
{
    size_t reach = file_end(file) + 64;
    size_t size = 1 + px_rand_below(r, 600);
    size_t at;

    at = px_rand_below(r, reach < file->size ? reach : file->size);
    if (at + size > file->size)
        size = file->size - at;
    switch (px_rand_below(r, 5)) {
    case 0:
        file->bytes[at] ^= (uint8_t)(1u << px_rand_below(r, 8));
        break;
    case 1:
        memset(file->bytes + at, 0, size);
        break;
    case 2:
        for (size_t i = 0; i < size; i++)
            file->bytes[at + i] = (uint8_t)px_rand_next(r);
        break;
    case 3:
        memmove(file->bytes + px_rand_below(r, at + 1), file->bytes + at, size);
        break;
    default:
        file->size = at;
        break;
    }
}

/* Whatever the bytes are, open ends in an error or in a log of what was
 * written, without its tail at most where the last segment was spoiled to its
 * end; it never crashes. */
static void no_mutation_loses_a_segment_or_makes_entries_up(void **state)
{
    struct fixture *f = *state;
    const char *only = getenv("PX_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only != NULL ? first : 1500;

    f->segment_bytes = 8192;
    fixture_open(f);
    fixture_write_hard(f, 1, 1);
    fixture_write(f, 1, 1, 11, 700); /* five to a segment */
    fixture_sync(f);
    fixture_write(f, 12, 2, 2, 200);
    fixture_sync(f);
    fixture_crash(f);
    assert_int_equal(file_count(f), 3);
    for (uint64_t seed = first; seed <= last; seed++) {
        struct px_rand rand;
        uint32_t sequence;
        struct file good;
        struct file bad;

        px_rand_init(&rand, seed);
        sequence = 1 + (uint32_t)px_rand_below(&rand, 3);
        good = file_load(f, sequence);
        bad = good;
        bad.bytes = malloc(good.size);
        assert_non_null(bad.bytes);
        memcpy(bad.bytes, good.bytes, good.size);
        for (uint64_t i = px_rand_below(&rand, 3) + 1; i > 0 && bad.size > 0;
             i--)
            mutate(&bad, &rand);
        file_store(&bad);
        f->model.last = 13;
        if (fixture_try_open(f) == 0) {
            f->model.last = f->info.last;
            if (f->info.last < (sequence == 3 ? 10 : 13) ||
                !fixture_holds(f, &f->model))
                fail_msg("PX_SEED=%llu: last %llu", (unsigned long long)seed,
                         (unsigned long long)f->info.last);
            fixture_close(f);
        } else {
            assert_non_null(strstr(f->why, ".log"));
        }
        file_store(&good);
        file_free(&good);
        file_free(&bad);
    }
}

/* ---- What the state has applied ---- */

/* A torn end that would be cut is damage where an entry in it was applied. */
static void a_torn_end_that_was_applied_is_reported_and_kept(void **state)
{
    struct fixture *f = *state;
    struct two_batches two;
    struct file torn;

    write_two_batches(f, &two);
    torn = torn_image(&two, TEAR_ZEROS, two.bounds[3] - 8); /* of entry two */
    file_store(&torn);
    f->applied = two.first.last + 2;
    fixture_expect_damage(f, "entries are lost");
    expect_file(f, &torn);
    f->applied = two.first.last + 1; /* what is whole is enough */
    expect_cut(f, &two, &torn);
    file_free(&torn);
    file_free(&two.file);
}

static void an_empty_log_is_refused_where_entries_were_applied(void **state)
{
    struct fixture *f = *state;

    fixture_new_dir(f);
    f->applied = 1;
    fixture_expect_damage(f, "entries are lost");
    assert_int_equal(file_count(f), 0);
    f->applied = 0;
    fixture_open(f);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_last_batch_with_zeros_from_any_byte_is_cut),
        TEST(a_last_batch_with_garbage_from_any_byte_is_cut),
        TEST(the_log_goes_on_behind_a_cut),
        TEST(any_sectors_of_the_last_batch_may_be_missing),
        TEST(a_shortened_last_segment_is_damage_wherever_it_ends),
        TEST(what_lies_behind_the_end_of_a_segment_is_nothing),
        TEST(an_earlier_segment_may_lack_the_zeros_behind_its_end),
        TEST(any_flipped_bit_before_the_last_batch_is_reported),
        TEST(damage_is_reported_with_offset_and_index),
        TEST(a_lost_earlier_batch_is_reported),
        TEST(any_flipped_bit_in_an_earlier_segment_is_reported),
        TEST(damage_to_the_last_batch_is_reported_after_a_close),
        TEST(damage_to_the_last_batch_is_reported_after_a_restart),
        TEST(a_record_in_another_place_is_reported),
        TEST(a_record_of_another_history_is_not_taken),
        TEST(each_record_tells_how_many_segments_are_done),
        TEST(a_record_of_another_node_is_not_taken),
        TEST(a_sound_record_with_nonsense_in_it_is_reported),
        TEST(no_mutation_loses_a_segment_or_makes_entries_up),
        TEST(a_torn_end_that_was_applied_is_reported_and_kept),
        TEST(an_empty_log_is_refused_where_entries_were_applied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
