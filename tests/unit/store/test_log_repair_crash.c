/* store/log_repair.c, log_term.c on a disk that loses its power at any call: a
 * node never forgets that it was damaged, nor a vote. */
#include "tests/unit/store/repair_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/log_core.h"

/* ---- The repair ---- */

/* A kind of damage, and what is left then. */
struct damage {
    uint32_t sequence;
    uint64_t offset;
    struct raft_pos snapshot;
};

static const struct damage damages[] = {
    {2, LOG_BLOCK_BYTES + 70, {0}}, /* an entry */
    {2, 20, {0}},                   /* a head: the log ends before */
    {3, 20, {0}},
    {1, 20, {0}},                        /* the beginning */
    {1, 20, {1, 4}},                     /* ... which a snapshot covers */
    {2, LOG_BLOCK_BYTES + 70, {3, 7}},   /* before the snapshot's entry */
    {1, LOG_BLOCK_BYTES + 3000, {1, 2}}, /* behind it */
};

static void begin(struct sample *s, const struct damage *d, struct model *rest)
{
    sample_init(s);
    sample_write(s);
    sample_die(s);
    *rest = sample_before(s, d->sequence, d->offset);
    s->f.snapshot = d->snapshot;
    if (d->snapshot.index > rest->last) {
        model_reset(rest, d->snapshot);
        rest->salts = 9000;
    }
    sample_flip(s, d->sequence, d->offset);
}

/* Repairs until the power fails at @call; false if it does not. */
static bool repair_into_the_dark(struct sample *s, unsigned call,
                                 struct px_rand *rand)
{
    const struct memdisk_plan plan = {.dark_at = call};
    const struct memdisk_plan none = {0};
    bool is_dark;

    memdisk_go_on(s->disk, &plan);
    s->f.is_repaired = true;
    (void)fixture_try_open(&s->f);
    fixture_close(&s->f);
    is_dark = memdisk_is_dark(s->disk);
    memdisk_go_on(s->disk, &none);
    if (is_dark)
        memdisk_crash(s->disk, rand);
    return is_dark;
}

/* Where power fails while the segments are put aside, those that come back may
 * be a log that begins behind the snapshot: so much the better. */
static void open_repaired(struct sample *s, struct model *rest)
{
    s->f.is_repaired = true;
    fixture_open(&s->f);
    assert_non_null(s->f.info.fault);
    if (rest->base.index > 0 && s->f.info.last > rest->last) {
        *rest = sample_before(s, 3, 0);
        if (s->f.info.last > rest->last)
            *rest = *sample_all(s);
        rest->base = s->f.snapshot;
    }
    fixture_expect(&s->f, rest);
}

static bool lose_power(const struct damage *d, unsigned call, unsigned again)
{
    struct px_rand rand;
    struct sample s;
    struct model rest;
    bool is_dark;

    px_rand_init(&rand, call * 100 + again);
    begin(&s, d, &rest);
    is_dark = repair_into_the_dark(&s, call, &rand);
    if (again > 0)
        (void)repair_into_the_dark(&s, again, &rand);
    /* To one who does not know about it, it is never a sound log. */
    s.f.is_repaired = false;
    assert_int_equal(fixture_try_open(&s.f), -PX_ECORRUPT);
    open_repaired(&s, &rest);

    s.f.model = rest;
    fixture_write(&s.f, rest.last + 1, 3, 4, 700);
    fixture_sync(&s.f);
    sample_die(&s);
    memdisk_crash(s.disk, &rand);
    sample_repair(&s, &s.f.model);
    sample_fini(&s);
    return is_dark;
}

static void power_lost_while_repairing_leaves_it_faulty(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        unsigned call = 1;

        while (lose_power(&damages[i], call, 0))
            call++;
        assert_true(call > 20);
        for (unsigned first = 1; first < call; first++)
            for (unsigned again = 1; again < call; again += 3)
                (void)lose_power(&damages[i], first, again);
    }
}

/* The term and the vote are nowhere but in "term", until the repair is done. */
static bool lose_power_and_term(const struct damage *d, unsigned call)
{
    struct px_rand rand;
    struct sample s;
    struct model rest;
    bool is_dark;

    px_rand_init(&rand, call);
    begin(&s, d, &rest);
    is_dark = repair_into_the_dark(&s, call, &rand);
    assert_true(memdisk_flip(s.disk, "term", 33, 1));
    assert_int_equal(fixture_try_open(&s.f), -PX_ECORRUPT);
    assert_non_null(strstr(s.f.why, "\"term\" is damaged"));
    sample_fini(&s);
    return is_dark;
}

static void power_and_term_lost_while_repairing_are_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        unsigned call = 1;

        while (lose_power_and_term(&damages[i], call))
            call++;
        assert_true(call > 20);
    }
}

/* ---- Its end ---- */

static bool lose_power_when_whole(unsigned call)
{
    const struct memdisk_plan plan = {.dark_at = call};
    const struct memdisk_plan none = {0};
    struct px_rand rand;
    struct sample s;
    struct model rest;
    bool is_dark;
    bool is_done;

    px_rand_init(&rand, call);
    begin(&s, &damages[0], &rest);
    sample_repair(&s, &rest);
    memdisk_go_on(s.disk, &plan);
    is_done = store_log_recovered(s.f.log) > 0;
    is_dark = memdisk_is_dark(s.disk);
    fixture_close(&s.f);
    memdisk_go_on(s.disk, &none);
    memdisk_crash(s.disk, &rand);
    fixture_open(&s.f);
    if (is_done)
        assert_null(s.f.info.fault);
    fixture_expect(&s.f, &rest); /* faulty still, or not */
    sample_fini(&s);
    return is_dark;
}

static void power_lost_at_its_end_changes_no_entry(void **state)
{
    unsigned call = 1;

    (void)state;
    while (lose_power_when_whole(call))
        call++;
    assert_true(call > 3);
}

/* ---- Votes ---- */

/* Terms and votes as they were handed to the log. */
static const struct raft_hard_state votes[] = {{1, 0}, {1, 5}, {2, 2}, {4, 0},
                                               {4, 9}, {5, 1}, {6, 0}, {6, 3}};
#define VOTES (sizeof votes / sizeof votes[0])

/* Writes them until the power fails; returns how many were durable. */
static size_t vote_until_dark(struct sample *s)
{
    size_t durable = 0;

    if (fixture_try_open(&s->f) < 0)
        return 0;
    for (size_t i = 0; i < VOTES; i++) {
        if (store_log_write(s->f.log, &votes[i], NULL, 0) < 0 ||
            store_log_sync(s->f.log) < 0)
            break;
        durable = i + 1;
    }
    return durable;
}

static bool is_one_of(struct raft_hard_state hard, size_t from, size_t to)
{
    if (from == 0 && hard.term == 0)
        return true;
    for (size_t i = from > 0 ? from - 1 : 0; i < to && i < VOTES; i++)
        if (votes[i].term == hard.term && votes[i].voted_for == hard.voted_for)
            return true;
    return false;
}

static bool lose_power_voting(unsigned call, bool is_damaged)
{
    const struct memdisk_plan plan = {.dark_at = call};
    const struct memdisk_plan none = {0};
    struct px_rand rand;
    struct sample s;
    size_t durable;
    bool is_dark;

    px_rand_init(&rand, call);
    sample_init(&s);
    memdisk_go_on(s.disk, &plan);
    durable = vote_until_dark(&s);
    is_dark = memdisk_is_dark(s.disk);
    fixture_close(&s.f);
    memdisk_go_on(s.disk, &none);
    memdisk_crash(s.disk, &rand);
    if (is_damaged && durable > 0)
        sample_flip(&s, 1, LOG_BLOCK_BYTES + 20); /* the first of them */
    s.f.is_repaired = is_damaged;
    fixture_open(&s.f);
    assert_true(is_one_of(s.f.info.hard, durable, durable + 1));
    if (!is_damaged)
        assert_null(s.f.info.fault);
    else if (durable > 1)
        assert_non_null(s.f.info.fault);
    sample_fini(&s);
    return is_dark;
}

static void no_vote_is_forgotten_whatever_is_lost(void **state)
{
    (void)state;
    for (int is_damaged = 0; is_damaged < 2; is_damaged++) {
        unsigned call = 1;

        while (lose_power_voting(call, is_damaged != 0))
            call++;
        assert_true(call > 8 * VOTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_lost_while_repairing_leaves_it_faulty),
        cmocka_unit_test(power_and_term_lost_while_repairing_are_the_end),
        cmocka_unit_test(power_lost_at_its_end_changes_no_entry),
        cmocka_unit_test(no_vote_is_forgotten_whatever_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
