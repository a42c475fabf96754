/* store/log_repair.c, log_term.c: a log that is damaged is cut to what is
 * sound, and it is known that it was. Power is lost in test_log_repair_crash.c.
 */
#include "tests/unit/store/repair_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/log_core.h"
#include "store/log_term.h"
#include "store/segment.h"

static int setup(void **state)
{
    struct sample *s = malloc(sizeof *s);

    assert_non_null(s);
    sample_init(s);
    sample_write(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    sample_fini(*state);
    free(*state);
    return 0;
}

/* ---- Any byte ---- */

/* Does any record that counts lie at @offset or behind it? */
static bool is_needed(const struct sample *s, uint32_t sequence,
                      uint64_t offset)
{
    for (size_t i = 0; i < s->step_count; i++)
        if (s->steps[i].sequence == sequence && s->steps[i].end > offset)
            return true;
    return false;
}

/* The log is opened plainly, and whole; or, its damage being said, repaired. */
static void expect_nothing_wrong(struct sample *s, uint32_t sequence,
                                 uint64_t offset)
{
    struct model rest = sample_before(s, sequence, offset);
    int rc = fixture_try_open(&s->f);

    if (rc != (is_needed(s, sequence, offset) ? -PX_ECORRUPT : 0))
        fail_msg("segment %u, offset %llu: %s", sequence,
                 (unsigned long long)offset, rc == 0 ? "unseen" : s->f.why);
    if (rc == 0) {
        fixture_expect(&s->f, sample_all(s));
        assert_null(s->f.info.fault);
        return;
    }
    s->f.is_repaired = true;
    fixture_open(&s->f);
    if (!fixture_holds(&s->f, &rest) || s->f.info.fault == NULL)
        fail_msg("segment %u, offset %llu: last %llu, not %llu", sequence,
                 (unsigned long long)offset, (unsigned long long)s->f.info.last,
                 (unsigned long long)rest.last);
}

static void
any_flipped_byte_of_a_log_costs_what_lies_behind_at_most(void **state)
{
    struct sample *s = *state;
    struct memdisk *whole;
    unsigned count = 0;

    fixture_close(&s->f); /* in order: the last batch can be told from a tear */
    whole = memdisk_clone(s->disk);
    for (uint32_t sequence = 1; sequence <= 3; sequence++) {
        for (uint64_t at = 0; at < 8192; at++) {
            memdisk_free(s->disk);
            s->disk = memdisk_clone(whole);
            s->f.given = memdisk_disk(s->disk);
            s->f.is_repaired = false;
            sample_flip(s, sequence, at);
            expect_nothing_wrong(s, sequence, at);
            count += s->f.info.fault != NULL;
            fixture_close(&s->f);
        }
    }
    memdisk_free(whole);
    assert_true(count > 3 * 4096);
    assert_true(count < 3 * 8192); /* behind the last record nothing is lost */
}

/* ---- Term and vote ---- */

static struct raft_hard_state kept(const struct sample *s)
{
    struct raft_hard_state hard = {0};

    assert_int_equal(log_term_read(memdisk_disk(s->disk), FIXTURE_STAMP, &hard),
                     0);
    return hard;
}

static void any_flipped_byte_of_the_term_is_mended_from_the_log(void **state)
{
    struct sample *s = *state;
    uint64_t at = 0;

    fixture_close(&s->f);
    for (; memdisk_flip(s->disk, "term", at, 0x10); at++) {
        struct raft_hard_state hard;

        assert_int_equal(
            log_term_read(memdisk_disk(s->disk), FIXTURE_STAMP, &hard),
            -PX_ECORRUPT);
        fixture_open(&s->f);
        fixture_expect(&s->f, sample_all(s));
        assert_null(s->f.info.fault);
        assert_int_equal(kept(s).term, 3);
        assert_int_equal(kept(s).voted_for, 7);
        fixture_close(&s->f);
    }
    assert_int_equal(at, 48);
}

static void a_lost_term_is_written_anew_from_the_log(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);

    fixture_close(&s->f);
    assert_int_equal(d->remove(d, "term"), 0);
    fixture_open(&s->f);
    assert_int_equal(kept(s).term, 3);
}

static void the_term_is_as_new_as_the_log_or_newer(void **state)
{
    struct sample *s = *state;

    fixture_write_hard(&s->f, 4, 0);
    assert_int_equal(kept(s).term, 4); /* though nothing was flushed */
    assert_int_equal(kept(s).voted_for, 0);
    fixture_write_hard(&s->f, 4, 2);
    assert_int_equal(kept(s).voted_for, 2);
}

/* A crash between the two. */
static void a_term_that_is_ahead_of_the_log_counts(void **state)
{
    const struct raft_hard_state ahead = {4, 9};
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);

    fixture_close(&s->f);
    assert_int_equal(log_term_write(d, FIXTURE_STAMP, ahead), 0);
    fixture_open(&s->f);
    assert_int_equal(s->f.info.hard.term, 4);
    assert_int_equal(s->f.info.hard.voted_for, 9);
    sample_die(s);
    d = memdisk_disk(s->disk);
    assert_int_equal(d->remove(d, "term"), 0); /* the log says so now, too */
    fixture_open(&s->f);
    assert_int_equal(s->f.info.hard.term, 4);
    assert_int_equal(s->f.info.hard.voted_for, 9);
}

static void a_term_that_is_behind_the_log_is_written_anew(void **state)
{
    const struct raft_hard_state behind = {3, 0};
    struct sample *s = *state;

    fixture_close(&s->f);
    assert_int_equal(
        log_term_write(memdisk_disk(s->disk), FIXTURE_STAMP, behind), 0);
    fixture_open(&s->f);
    assert_int_equal(s->f.info.hard.voted_for, 7);
    assert_int_equal(kept(s).voted_for, 7);
}

static void two_votes_in_one_term_are_refused(void **state)
{
    const struct raft_hard_state other = {3, 8};
    struct sample *s = *state;

    fixture_close(&s->f);
    assert_int_equal(
        log_term_write(memdisk_disk(s->disk), FIXTURE_STAMP, other), 0);
    s->f.is_repaired = true;
    fixture_expect_damage(&s->f, "two votes in term 3");
}

static void the_term_of_another_node_is_refused(void **state)
{
    const struct raft_hard_state hard = {9, 9};
    struct sample *s = *state;

    fixture_close(&s->f);
    assert_int_equal(
        log_term_write(memdisk_disk(s->disk), FIXTURE_STAMP + 1, hard), 0);
    assert_int_equal(fixture_try_open(&s->f), -PX_ECLUSTER);
}

/* ---- Faulty ---- */

#define IN_SECOND (LOG_BLOCK_BYTES + 70u) /* in the body of entry 5 */

static void a_repaired_log_is_faulty_until_it_is_recovered(void **state)
{
    struct sample *s = *state;
    struct model rest = sample_before(s, 2, IN_SECOND);

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    fixture_expect_damage(
        &s->f, "memory/0000000002.log is damaged at offset 4096, where index 5 "
               "is due");
    sample_repair(s, &rest);
    assert_int_equal(rest.last, 4);
    assert_non_null(strstr(s->f.info.fault, "offset 4096, where index 5 is"));
    fixture_close(&s->f);
    sample_repair(s, &rest); /* and at the next start */
    assert_non_null(strstr(s->f.info.fault, "offset 4096, where index 5 is"));
    s->f.model = rest;
    fixture_write(&s->f, 5, 3, 4, 100);
    fixture_sync(&s->f);
    fixture_close(&s->f);
    s->f.is_repaired = false; /* nobody else opens it meanwhile */
    fixture_expect_damage(&s->f, "is not whole again");
    sample_repair(s, &s->f.model);
    assert_int_equal(store_log_recovered(s->f.log), 1);
    assert_int_equal(store_log_recovered(s->f.log), 0); /* no more to do */
    fixture_close(&s->f);
    s->f.is_repaired = false;
    fixture_open(&s->f);
    assert_null(s->f.info.fault);
    fixture_expect(&s->f, &s->f.model);
}

/* Nothing looks damaged, and raft knows better. */
static void what_raft_misses_makes_it_faulty_until_it_is_whole(void **state)
{
    struct sample *s = *state;

    assert_null(s->f.info.fault);
    assert_int_equal(store_log_note_loss(s->f.log, 99), 0);
    assert_null(s->f.info.fault); /* of what was found, others may be reading */
    fixture_close(&s->f);
    s->f.is_repaired = false;
    fixture_expect_damage(&s->f, "is not whole again");
    sample_repair(s, sample_all(s));
    assert_non_null(strstr(s->f.info.fault, "entry 99 was acknowledged"));
    assert_int_equal(store_log_recovered(s->f.log), 1);
    fixture_close(&s->f);
    s->f.is_repaired = false;
    fixture_open(&s->f);
    assert_null(s->f.info.fault);
}

/* The fault: the log kept saying that there was no room, which its caller waits
 * out, long after there was some. */
static void
a_note_that_may_still_be_there_is_an_error_and_no_want_of_room(void **state)
{
    const struct memdisk_plan plan = {.fail_at = 2, .error = ENOSPC};
    struct sample *s = *state;
    struct model rest = sample_before(s, 2, IN_SECOND);
    struct raft_hard_state hard = {.term = 9};

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    sample_repair(s, &rest);
    memdisk_go_on(s->disk, &plan);
    assert_int_equal(store_log_recovered(s->f.log), -EIO); /* not synced */
    assert_int_equal(store_log_write(s->f.log, &hard, NULL, 0), -EIO);
}

/* Behind the damage lies a record that cut some of what lies before. */
static void what_was_cut_may_be_back(void **state)
{
    struct sample *s = *state;
    struct model rest;
    size_t i = 0;

    while (s->steps[i].model.last < 7)
        i++;
    assert_int_equal(s->steps[i + 1].model.last, 5); /* the cut */
    fixture_close(&s->f);
    sample_flip(s, s->steps[i].sequence, s->steps[i].end + 16);
    rest = sample_before(s, s->steps[i].sequence, s->steps[i].end + 16);
    sample_repair(s, &rest);
    assert_int_equal(s->f.info.last, 7);
    assert_true(store_log_info_holds(&s->f.info, (struct raft_pos){2, 6}));
    assert_false(store_log_info_holds(&s->f.info, (struct raft_pos){3, 6}));
    assert_false(store_log_info_holds(&s->f.info, (struct raft_pos){3, 8}));
    assert_true(store_log_info_holds(&s->f.info, (struct raft_pos){0, 0}));
}

static void a_log_that_ends_before_what_was_applied_is_faulty(void **state)
{
    struct sample *s = *state;

    fixture_close(&s->f);
    s->f.applied = sample_all(s)->last + 1;
    fixture_expect_damage(&s->f, "entries are lost");
    sample_repair(s, sample_all(s));
    fixture_close(&s->f);
    sample_repair(s, sample_all(s)); /* the state was not built anew yet */
    assert_false(memdisk_has(s->disk, "0000000002.log.bad"));
}

static void a_missing_segment_is_repaired(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);
    struct model rest = sample_before(s, 2, 0);

    fixture_close(&s->f);
    assert_int_equal(d->remove(d, "0000000002.log"), 0);
    sample_repair(s, &rest);
    assert_non_null(strstr(s->f.info.fault, "0000000002.log is missing"));
    assert_true(memdisk_has(s->disk, "0000000003.log.bad"));
}

static void a_missing_last_segment_is_repaired(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);
    struct model rest = sample_before(s, 3, 0);

    fixture_close(&s->f);
    assert_int_equal(d->remove(d, "0000000003.log"), 0);
    sample_repair(s, &rest);
    s->f.model = rest;
    fixture_write(&s->f, rest.last + 1, 3, 5, 900); /* into another third */
    fixture_sync(&s->f);
    sample_die(s);
    sample_repair(s, &s->f.model);
}

static void a_lost_beginning_leaves_nothing(void **state)
{
    struct sample *s = *state;
    struct model none = {.hard = sample_all(s)->hard, .salts = 9000};

    fixture_close(&s->f);
    sample_flip(s, 1, 16);
    sample_repair(s, &none);
    s->f.model = none;
    fixture_write(&s->f, 1, 1, 3, 900);
    fixture_sync(&s->f);
    sample_die(s);
    sample_repair(s, &s->f.model);
    assert_true(memdisk_has(s->disk, "0000000001.log.bad"));
    assert_true(memdisk_has(s->disk, "0000000002.log.bad"));
    assert_true(memdisk_has(s->disk, "0000000003.log.bad"));
}

static void a_lost_beginning_leaves_the_snapshot(void **state)
{
    const struct raft_pos pos = {1, 4};
    struct sample *s = *state;
    struct model m = {.hard = sample_all(s)->hard, .salts = 9000};

    fixture_close(&s->f);
    s->f.snapshot = pos;
    sample_flip(s, 1, 16);
    model_reset(&m, pos);
    sample_repair(s, &m);
    s->f.model = m;
    fixture_write(&s->f, 5, 3, 3, 900);
    fixture_sync(&s->f);
    sample_die(s);
    sample_repair(s, &s->f.model);
}

/* A log that begins behind a snapshot, which is gone. */
static void a_lost_snapshot_leaves_nothing(void **state)
{
    struct sample *s = *state;
    struct model none = {.hard = sample_all(s)->hard};

    assert_int_equal(store_log_cut_head(s->f.log, 5), 1);
    fixture_close(&s->f);
    sample_repair(s, &none);
    assert_non_null(strstr(s->f.info.fault, "0000000001.log is missing"));
}

/* What lies before the snapshot's entry is damaged: it is not in the log then.*/
static void damage_before_the_snapshot_leaves_the_snapshot(void **state)
{
    const struct raft_pos pos = {3, 7};
    struct sample *s = *state;
    struct model m = *sample_all(s);

    assert_int_equal(m.entries[6].term, 3);
    fixture_close(&s->f);
    s->f.snapshot = pos;
    sample_flip(s, 2, IN_SECOND);
    model_reset(&m, pos);
    sample_repair(s, &m);
}

static void a_lost_log_leaves_nothing(void **state)
{
    static const char *const names[] = {"0000000001.log", "0000000002.log",
                                        "0000000003.log"};
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);
    struct model none = {.hard = sample_all(s)->hard};

    fixture_close(&s->f);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(d->remove(d, names[i]), 0);
    s->f.is_begun = true;
    fixture_expect_damage(&s->f, "0000000001.log is missing");
    sample_repair(s, &none);
}

/* ---- What is kept of it ---- */

static void expect_file(struct sample *s, const char *name, uint32_t sequence,
                        const struct memdisk *as)
{
    struct memdisk *before = memdisk_clone(as);
    struct store_disk *b = memdisk_disk(before);
    struct store_disk *d = memdisk_disk(s->disk);
    static uint8_t want[8192];
    static uint8_t got[8192];
    char good[SEGMENT_NAME_BYTES];
    ssize_t n;

    segment_name(sequence, good);
    memset(want, 0, sizeof want);
    memset(got, 0, sizeof got);
    assert_int_equal(store_disk_load(b, good, want, sizeof want), sizeof want);
    n = store_disk_load(d, name, got, sizeof got);
    assert_true(n > (ssize_t)LOG_BLOCK_BYTES);
    assert_memory_equal(want, got, sizeof want); /* zeros need not be there */
    memdisk_free(before);
}

/* The second segment is, and repaired to @rest. The disk as it was found. */
static struct memdisk *damage_second(struct sample *s, const struct model *rest)
{
    struct memdisk *found;

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    found = memdisk_clone(s->disk);
    sample_repair(s, rest);
    return found;
}

static void what_is_cut_away_is_kept_until_the_log_is_whole(void **state)
{
    struct sample *s = *state;
    struct model rest = sample_before(s, 2, IN_SECOND);
    struct memdisk *found;

    found = damage_second(s, &rest);
    expect_file(s, "0000000002.log.bad", 2, found);
    expect_file(s, "0000000003.log.bad", 3, found);
    assert_false(memdisk_has(s->disk, "0000000003.log"));
    assert_int_equal(store_log_recovered(s->f.log), 1);
    expect_file(s, "0000000002.log.bad", 2, found);
    assert_false(memdisk_has(s->disk, "0000000003.log.bad"));
    fixture_close(&s->f);
    memdisk_free(found);

    sample_flip(s, 1, LOG_BLOCK_BYTES + 70); /* the next time */
    rest = sample_before(s, 1, LOG_BLOCK_BYTES + 70);
    sample_repair(s, &rest);
    assert_true(memdisk_has(s->disk, "0000000001.log.bad"));
    /* The second one, which was sound, was put aside in place of the other. */
    assert_true(memdisk_has(s->disk, "0000000002.log.bad"));
    assert_false(memdisk_has(s->disk, "0000000003.log.bad"));
}

/* Twice before the log is whole: what came again came from a leader. */
static void what_was_kept_first_is_not_replaced(void **state)
{
    struct sample *s = *state;
    struct model rest = sample_before(s, 2, IN_SECOND);
    struct memdisk *found;

    found = damage_second(s, &rest);
    s->f.model = rest;
    fixture_write(&s->f, 5, 3, 12, 900); /* into another third */
    fixture_sync(&s->f);
    assert_true(s->f.log->sequence >= 3);
    fixture_close(&s->f);
    rest = sample_before(s, 1, LOG_BLOCK_BYTES + 70);
    sample_flip(s, 1, LOG_BLOCK_BYTES + 70);
    sample_repair(s, &rest);
    expect_file(s, "0000000002.log.bad", 2, found);
    expect_file(s, "0000000003.log.bad", 3, found);
    assert_true(memdisk_has(s->disk, "0000000001.log.bad"));
    assert_false(memdisk_has(s->disk, "0000000002.log"));
    assert_false(memdisk_has(s->disk, "0000000003.log"));
    memdisk_free(found);
}

static void a_disk_without_room_for_a_copy_is_repaired(void **state)
{
    const struct memdisk_plan full = {.bytes_max = 3 * 8192 + 1024};
    struct sample *s = *state;
    struct model rest = sample_before(s, 2, IN_SECOND);

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    memdisk_go_on(s->disk, &full);
    sample_repair(s, &rest);
    assert_false(memdisk_has(s->disk, "0000000002.log.bad"));
    assert_false(memdisk_has(s->disk, "bad.new"));
    assert_true(memdisk_has(s->disk, "0000000003.log.bad"));
    assert_non_null(strstr(s->f.info.fault, "where index 5 is due"));
    assert_non_null(strstr(s->f.info.fault, "; no copy of it is kept: "));
}

/* There would be room for a copy, but then none for the segment with which the
 * log begins anew. */
static void a_copy_leaves_the_room_that_the_log_needs(void **state)
{
    const struct memdisk_plan narrow = {.bytes_max = 4 * 8192 + 1024};
    const struct raft_pos pos = {3, 7};
    struct sample *s = *state;
    struct model m = *sample_all(s);

    fixture_close(&s->f);
    s->f.snapshot = pos;
    sample_flip(s, 2, IN_SECOND);
    memdisk_go_on(s->disk, &narrow);
    model_reset(&m, pos);
    sample_repair(s, &m);
    assert_false(memdisk_has(s->disk, "0000000002.log.bad"));
    assert_non_null(strstr(s->f.info.fault, "; no copy of it is kept: "));
    fixture_close(&s->f);
    sample_repair(s, &m); /* the note says so, too */
    assert_non_null(strstr(s->f.info.fault, "; no copy of it is kept: "));
}

static int ask_in_vain(struct store_disk *d, uint64_t *bytes_out)
{
    (void)d;
    (void)bytes_out;
    return -EIO;
}

static void a_copy_is_kept_where_no_room_is_known_to_lack(void **state)
{
    const struct memdisk_plan enough = {
        .bytes_max = 5 * 8192 + STORE_DISK_FULL_BYTES + 1024};
    const struct memdisk_plan narrow = {.bytes_max = 5 * 8192};
    struct sample *s = *state;
    struct memdisk *found;
    struct model rest = sample_before(s, 2, IN_SECOND);

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    found = memdisk_clone(s->disk);
    memdisk_go_on(s->disk, &enough);
    sample_repair(s, &rest);
    assert_true(memdisk_has(s->disk, "0000000002.log.bad"));
    assert_null(strstr(s->f.info.fault, "copy"));
    fixture_close(&s->f);

    memdisk_free(s->disk);
    s->disk = found;
    s->f.given = memdisk_disk(found);
    s->f.given->room = ask_in_vain;
    memdisk_go_on(s->disk, &narrow);
    sample_repair(s, &rest);
    assert_true(memdisk_has(s->disk, "0000000002.log.bad"));
}

/* ---- What is not repaired ---- */

static void expect_refused(struct sample *s, const char *words)
{
    struct memdisk *before = memdisk_clone(s->disk);

    s->f.is_repaired = true;
    fixture_expect_damage(&s->f, words);
    for (uint32_t i = 1; i <= 3; i++) {
        char name[SEGMENT_NAME_BYTES];

        segment_name(i, name);
        expect_file(s, name, i, before); /* nothing was changed */
    }
    assert_false(memdisk_has(s->disk, "faulty"));
    memdisk_free(before);
}

static void without_its_term_a_damaged_log_is_refused(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);
    const struct raft_hard_state old = {0, 0};

    fixture_close(&s->f);
    sample_flip(s, 2, IN_SECOND);
    assert_true(memdisk_flip(s->disk, "term", 33, 1));
    expect_refused(s, "offset 4096, where index 5 is due");
    expect_refused(s, "\"term\" is damaged, so that nobody can say");
    assert_int_equal(log_term_write(d, FIXTURE_STAMP, old), 0);
    expect_refused(s, "\"term\" is too old"); /* the log knows of a vote */
    assert_int_equal(d->remove(d, "term"), 0);
    expect_refused(s, "\"term\" is missing");
    s->f.keeps_term = false;
    expect_refused(s, "\"term\" is missing");
}

/* The last batch is a vote, and damaged: it looks torn. */
static void damage_vote(struct sample *s)
{
    uint64_t at = s->steps[s->step_count - 1].end;

    fixture_write_hard(&s->f, 5, 2);
    fixture_sync(&s->f);
    sample_die(s);
    sample_flip(s, 3, at + 20);
}

/* However often it starts: only "term" tells whether that was a vote. */
static void a_torn_tail_is_not_cut_where_the_term_is_damaged(void **state)
{
    const struct memdisk_plan unread = {.fail_at = 3, .error = EIO};
    const struct memdisk_plan none = {0};
    struct sample *s = *state;

    damage_vote(s);
    assert_true(memdisk_flip(s->disk, "term", 33, 1));
    for (int i = 0; i < 2; i++) {
        expect_refused(s, "with a write that was cut short, or damaged. And ");
        expect_refused(s, "\"term\" is damaged, so that nobody can say");
    }
    assert_true(memdisk_flip(s->disk, "term", 33, 1)); /* it is put back */
    memdisk_go_on(s->disk, &unread);
    assert_int_equal(fixture_try_open(&s->f), -EIO); /* another time */
    assert_non_null(strstr(s->f.why, "\"term\": "));
    memdisk_go_on(s->disk, &none);
    fixture_open(&s->f);
    fixture_expect(&s->f, &s->f.model); /* the vote is there */
    assert_true(s->f.info.torn_bytes > 0);
    assert_null(s->f.info.fault);
}

static void a_torn_tail_is_not_cut_where_the_term_is_missing(void **state)
{
    struct sample *s = *state;
    struct store_disk *d;

    damage_vote(s);
    d = memdisk_disk(s->disk);
    assert_int_equal(d->remove(d, "term"), 0);
    expect_refused(s, "a write that was cut short, or damaged");
    expect_refused(s, "a write that was cut short, or damaged"); /* as it was */
}

static void a_term_older_than_the_snapshot_is_too_old(void **state)
{
    struct sample *s = *state;

    fixture_close(&s->f);
    sample_flip(s, 1, 16);
    s->f.snapshot = (struct raft_pos){4, 50};
    expect_refused(s, "\"term\" is too old");
}

static void the_log_of_another_node_is_not_repaired(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);

    fixture_close(&s->f);
    assert_int_equal(d->remove(d, "term"), 0);
    s->f.stamp++;
    s->f.is_repaired = true;
    assert_int_equal(fixture_try_open(&s->f), -PX_ECLUSTER);
    assert_false(memdisk_has(s->disk, "faulty"));
}

/* That there is one is what counts. */
static void a_note_that_cannot_be_read_is_one(void **state)
{
    struct sample *s = *state;
    struct store_disk *d = memdisk_disk(s->disk);

    fixture_close(&s->f);
    assert_int_equal(
        store_disk_replace(d, "faulty", "faulty.new", "\x01\xff", 2), 0);
    sample_repair(s, sample_all(s));
    assert_string_equal(s->f.info.fault, "??");
    fixture_close(&s->f);
    assert_int_equal(store_disk_replace(d, "faulty", "faulty.new", "", 0), 0);
    sample_repair(s, sample_all(s));
    assert_string_equal(s->f.info.fault, "the log was damaged");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_flipped_byte_of_a_log_costs_what_lies_behind_at_most),
        TEST(any_flipped_byte_of_the_term_is_mended_from_the_log),
        TEST(a_lost_term_is_written_anew_from_the_log),
        TEST(the_term_is_as_new_as_the_log_or_newer),
        TEST(a_term_that_is_ahead_of_the_log_counts),
        TEST(a_term_that_is_behind_the_log_is_written_anew),
        TEST(two_votes_in_one_term_are_refused),
        TEST(the_term_of_another_node_is_refused),
        TEST(a_repaired_log_is_faulty_until_it_is_recovered),
        TEST(what_raft_misses_makes_it_faulty_until_it_is_whole),
        TEST(a_note_that_may_still_be_there_is_an_error_and_no_want_of_room),
        TEST(what_was_cut_may_be_back),
        TEST(a_log_that_ends_before_what_was_applied_is_faulty),
        TEST(a_missing_segment_is_repaired),
        TEST(a_missing_last_segment_is_repaired),
        TEST(a_lost_beginning_leaves_nothing),
        TEST(a_lost_beginning_leaves_the_snapshot),
        TEST(a_lost_snapshot_leaves_nothing),
        TEST(damage_before_the_snapshot_leaves_the_snapshot),
        TEST(a_lost_log_leaves_nothing),
        TEST(what_is_cut_away_is_kept_until_the_log_is_whole),
        TEST(what_was_kept_first_is_not_replaced),
        TEST(a_disk_without_room_for_a_copy_is_repaired),
        TEST(a_copy_leaves_the_room_that_the_log_needs),
        TEST(a_copy_is_kept_where_no_room_is_known_to_lack),
        TEST(without_its_term_a_damaged_log_is_refused),
        TEST(a_torn_tail_is_not_cut_where_the_term_is_damaged),
        TEST(a_torn_tail_is_not_cut_where_the_term_is_missing),
        TEST(a_term_older_than_the_snapshot_is_too_old),
        TEST(the_log_of_another_node_is_not_repaired),
        TEST(a_note_that_cannot_be_read_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
