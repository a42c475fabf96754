/* store/log.c, log_head.c, segment.c, recover.c on a disk that loses its power
 * at any call: whatever was synced is there at the next open, or covered by a
 * snapshot, and nothing else but what was written. */
#include "tests/lib/memdisk.h"
#include "tests/unit/store/log_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define STATES_MAX 256
#define TRIES_MAX 3 /* of a batch that finds no room */

/* The states that the log may have after a loss of power: the last one that
 * was flushed, and one more for each record written since. */
struct possible {
    size_t count;
    struct model list[STATES_MAX];
};

static struct possible possible;
static unsigned written_again; /* batches that had found no room */

static void possible_add(const struct model *m)
{
    assert_true(possible.count < STATES_MAX);
    possible.list[possible.count++] = *m;
}

static int write_random(struct fixture *f, struct px_rand *r, raft_term *term)
{
    struct model *m = &f->model;
    struct raft_entry entries[6];
    size_t count = px_rand_below(r, 6);
    bool has_hard = px_rand_below(r, 4) == 0;
    int rc = -ENOSPC;

    if (has_hard) {
        m->hard = (struct raft_hard_state){++*term, px_rand_below(r, 5)};
        possible_add(m);
    }
    if (count > 0 && m->last > f->snapshot.index && px_rand_below(r, 4) == 0) {
        raft_index uncovered = m->last - f->snapshot.index;

        ++*term;
        model_cut(m, m->last - px_rand_below(r, uncovered));
        possible_add(m);
    }
    for (size_t i = 0; i < count; i++) {
        model_add(m, *term, (uint32_t)px_rand_below(r, 900));
        entries[i] = model_entry_of(m, m->last);
        possible_add(m);
    }
    for (int tries = 0; tries < TRIES_MAX && rc == -ENOSPC; tries++) {
        rc =
            store_log_write(f->log, has_hard ? &m->hard : NULL, entries, count);
        written_again += tries > 0 && rc == 0;
    }
    for (size_t i = 0; i < count; i++)
        px_slice_unref(&entries[i].data);
    return rc;
}

static int sync(struct fixture *f)
{
    int rc = store_log_sync(f->log);

    if (rc == 0) {
        possible.count = 0;
        possible_add(&f->model);
    }
    return rc;
}

/* A snapshot of ours, somewhere in what was synced. */
static int cut_head(struct fixture *f, struct px_rand *r)
{
    const struct model *m = &f->model;
    raft_index at = m->last - px_rand_below(r, m->last - f->snapshot.index);
    int rc;

    f->snapshot = (struct raft_pos){model_term(m, at), at};
    rc = store_log_cut_head(f->log, at);
    return rc < 0 ? rc : 0;
}

/* Another's snapshot: behind the log, or inside and of another term. From the
 * moment that it is durable, open makes the log fit to it. */
static int install(struct fixture *f, struct px_rand *r, raft_term *term)
{
    struct model *m = &f->model;
    struct raft_pos pos = {*term + 1, m->last + 1 + px_rand_below(r, 3)};
    int rc;

    if (m->last > f->snapshot.index && px_rand_below(r, 2) == 0)
        pos.index = m->last - px_rand_below(r, m->last - f->snapshot.index);
    m->hard = (struct raft_hard_state){++*term, 0};
    possible_add(m);
    rc = store_log_write(f->log, &m->hard, NULL, 0);
    if (rc == 0)
        rc = sync(f);
    if (rc < 0)
        return rc;
    f->snapshot = pos;
    model_reset(m, pos);
    possible.count = 0;
    possible_add(m);
    return store_log_reset(f->log, pos);
}

static int snapshot_random(struct fixture *f, struct px_rand *r,
                           raft_term *term)
{
    switch (px_rand_below(r, 4)) {
    case 0:
    case 1:
        return f->model.last > f->snapshot.index ? cut_head(f, r) : 0;
    case 2:
        return install(f, r, term);
    default:
        return 0;
    }
}

/* Writes until the power fails, or for a while. */
static void write_until_dark(struct fixture *f, struct px_rand *rand)
{
    raft_term term = 1;
    int rc = fixture_try_open(f);

    possible.count = 0;
    possible_add(&f->model);
    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = write_random(f, rand, &term);
        if (rc == 0 && px_rand_below(rand, 2) == 0) {
            rc = sync(f);
            if (rc == 0)
                rc = snapshot_random(f, rand, &term);
        }
    }
    fixture_close(f);
}

static void expect_possible(struct fixture *f, const char *when, uint64_t seed,
                            unsigned call)
{
    for (size_t i = 0; i < possible.count; i++) {
        if (fixture_holds(f, &possible.list[i]))
            return;
    }
    fail_msg("%s: PX_SEED=%llu call %u: last %llu is none of %zu states", when,
             (unsigned long long)seed, call, (unsigned long long)f->info.last,
             possible.count);
}

/* The model becomes what the log holds. */
static void adopt(struct fixture *f)
{
    for (size_t i = 0; i < possible.count; i++) {
        if (fixture_holds(f, &possible.list[i]))
            f->model = possible.list[i];
    }
    f->model.salts = 9000;
}

/* ---- The machine goes down ---- */

/* Power fails again at each call of the recovery; then it is left alone. */
static void recover_in_the_dark(struct fixture *f, struct memdisk *disk,
                                struct px_rand *rand, uint64_t seed,
                                unsigned call)
{
    for (unsigned at = 1;; at++) {
        const struct memdisk_plan plan = {.dark_at = at};
        const struct memdisk_plan none = {0};

        memdisk_go_on(disk, &plan);
        if (fixture_try_open(f) == 0 && !memdisk_is_dark(disk)) {
            memdisk_go_on(disk, &none);
            expect_possible(f, "recovered", seed, call);
            return;
        }
        if (!memdisk_is_dark(disk))
            fail_msg("PX_SEED=%llu call %u: %s", (unsigned long long)seed, call,
                     f->why);
        fixture_close(f);
        memdisk_crash(disk, rand);
    }
}

static struct memdisk *begin(struct fixture *f)
{
    struct memdisk *disk = memdisk_new();

    *f = (struct fixture){.dir = "memory",
                          .segment_bytes = 8192,
                          .stamp = FIXTURE_STAMP,
                          .given = memdisk_disk(disk)};
    return disk;
}

/* One loss of power at @call, and perhaps no room at @full, once; false when
 * the run ends before. */
static bool lose_power(uint64_t seed, unsigned call, unsigned full)
{
    struct memdisk_plan plan = {
        .dark_at = call, .fail_at = full, .error = ENOSPC};
    struct fixture f;
    struct memdisk *disk = begin(&f);
    struct px_rand rand;
    bool is_dark;

    px_rand_init(&rand, seed);
    memdisk_go_on(disk, &plan);
    write_until_dark(&f, &rand);
    is_dark = memdisk_is_dark(disk);

    px_rand_init(&rand, seed * 1000 + call);
    memdisk_crash(disk, &rand);
    recover_in_the_dark(&f, disk, &rand, seed, call);

    /* And life goes on. */
    adopt(&f);
    fixture_write(&f, f.model.last + 1, 1000, 2, 50);
    fixture_sync(&f);
    fixture_close(&f);
    fixture_open(&f);
    fixture_expect(&f, &f.model);
    fixture_close(&f);
    memdisk_free(disk);
    return is_dark;
}

static void power_lost_at_any_call_loses_nothing_that_was_durable(void **state)
{
    const char *only = getenv("PX_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only != NULL ? first : 16;

    (void)state;
    for (uint64_t seed = first; seed <= last; seed++) {
        unsigned call = 1;

        while (lose_power(seed, call, 0))
            call++;
        print_message("PX_SEED=%llu: %u calls\n", (unsigned long long)seed,
                      call);
        assert_true(call > 30);
    }
}

/* What found no room is written again; a part of it may be there twice. */
static void power_lost_after_the_disk_was_full_loses_nothing(void **state)
{
    (void)state;
    written_again = 0;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        struct px_rand rand;

        px_rand_init(&rand, seed);
        for (unsigned call = 2; call < 120; call++)
            (void)lose_power(seed, call,
                             1 + (unsigned)px_rand_below(&rand, call));
    }
    assert_true(written_again > 100);
}

/* ---- The process dies, then the machine goes down ---- */

/* Whatever is lost with the power, the log is @m. */
static void expect_kept(const struct fixture *f, const struct memdisk *disk,
                        const struct model *m, struct px_rand *rand,
                        const char *when, unsigned call)
{
    for (int i = 0; i < 4; i++) {
        struct memdisk *image = memdisk_clone(disk);
        struct fixture after = *f;

        after.log = NULL;
        after.given = memdisk_disk(image);
        memdisk_crash(image, rand);
        fixture_open(&after);
        if (!fixture_holds(&after, m))
            fail_msg("%s, call %u: last %llu is now %llu", when, call,
                     (unsigned long long)m->last,
                     (unsigned long long)after.info.last);
        fixture_close(&after);
        memdisk_free(image);
    }
}

/* The process dies at @call, its files stay as they are, and the next one opens
 * them; then the power fails. What open has found, raft counts as durable, and
 * so does it what is flushed from then on. False when the run ends before. */
static bool die_then_lose_power(uint64_t seed, unsigned call)
{
    struct memdisk_plan dying = {.dark_at = call};
    struct memdisk_plan plan = {0};
    struct fixture f;
    struct memdisk *disk = begin(&f);
    struct px_rand rand;
    bool is_dead;

    px_rand_init(&rand, seed);
    memdisk_go_on(disk, &dying);
    write_until_dark(&f, &rand);
    is_dead = memdisk_is_dark(disk);
    plan.refuses_uncached = call % 2 == 0;
    memdisk_go_on(disk, &plan);
    fixture_open(&f);
    expect_possible(&f, "reopened", seed, call);
    adopt(&f);
    expect_kept(&f, disk, &f.model, &rand, "found at open", call);

    fixture_write(&f, f.model.last + 1, 1000, 1, 50);
    fixture_sync(&f);
    expect_kept(&f, disk, &f.model, &rand, "flushed after open", call);
    fixture_close(&f);
    memdisk_free(disk);
    return is_dead;
}

static void what_open_has_found_survives_a_loss_of_power(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        unsigned call = 1;

        while (die_then_lose_power(seed, call))
            call++;
        assert_true(call > 30);
    }
}

/* ---- A disk that fails, and goes on ---- */

/* An error ends the process, not the machine: the next one finds all that was
 * synced. */
static void any_failing_call_loses_nothing_that_was_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        bool is_failed = true;

        for (unsigned call = 1; is_failed; call++) {
            struct memdisk_plan plan = {.fail_at = call, .error = ENOSPC};
            struct memdisk_plan none = {0};
            struct fixture f;
            struct memdisk *disk = begin(&f);
            struct px_rand rand;

            px_rand_init(&rand, seed);
            memdisk_go_on(disk, &plan);
            write_until_dark(&f, &rand);
            is_failed = memdisk_calls(disk) >= call;
            memdisk_go_on(disk, &none);
            fixture_open(&f);
            expect_possible(&f, "reopened", seed, call);
            fixture_close(&f);
            memdisk_free(disk);
        }
    }
}

static void a_full_disk_keeps_what_was_durable(void **state)
{
    struct memdisk_plan plan = {.bytes_max = 3 * 8192};
    struct memdisk_plan none = {0};
    struct fixture f;
    struct memdisk *disk = begin(&f);
    raft_index synced = 0;

    (void)state;
    memdisk_go_on(disk, &plan);
    fixture_open(&f);
    while (fixture_try_write(&f, synced + 1, 1, 1, 700) == 0) {
        fixture_sync(&f);
        synced = f.model.last;
    }
    fixture_sync(&f); /* it is in good health */
    fixture_close(&f);
    assert_int_equal(synced, 15); /* three segments of five */
    f.model.last = synced;
    fixture_open(&f);
    fixture_expect(&f, &f.model);
    assert_int_equal(fixture_try_write(&f, synced + 1, 1, 1, 700), -ENOSPC);
    memdisk_go_on(disk, &none);
    fixture_write(&f, synced + 1, 2, 1, 700);
    fixture_sync(&f);
    fixture_close(&f);
    fixture_open(&f);
    fixture_expect(&f, &f.model);
    fixture_close(&f);
    memdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_lost_at_any_call_loses_nothing_that_was_durable),
        cmocka_unit_test(power_lost_after_the_disk_was_full_loses_nothing),
        cmocka_unit_test(what_open_has_found_survives_a_loss_of_power),
        cmocka_unit_test(any_failing_call_loses_nothing_that_was_durable),
        cmocka_unit_test(a_full_disk_keeps_what_was_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
