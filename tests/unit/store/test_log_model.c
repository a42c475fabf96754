/* store/log.c, log_read.c, log_index.c against the fixture's model: any run of
 * writes, cuts, syncs, crashes and reopens. PX_SEED runs a single one. */
#include "tests/unit/store/log_fixture.h"

#include <stdlib.h>

#include "base/rand.h"

static void random_step(struct fixture *f, struct px_rand *r, raft_term *term)
{
    raft_index first = f->model.last + 1;
    size_t count = 1 + px_rand_below(r, 8);
    uint32_t size = (uint32_t)px_rand_below(r, 700);

    switch (px_rand_below(r, 8)) {
    case 0:
        *term += 1;
        fixture_write_hard(f, *term, px_rand_below(r, 4));
        break;
    case 1:
        fixture_sync(f);
        break;
    case 2: /* all that was written is in the files: synced or not */
        fixture_crash(f);
        fixture_open(f);
        fixture_expect(f, &f->model);
        break;
    case 3:
        fixture_close(f);
        fixture_open(f);
        fixture_expect(f, &f->model);
        break;
    case 4:
        *term += 1;
        first = 1 + px_rand_below(r, f->model.last + 1);
        fixture_write(f, first, *term, count, size);
        break;
    default:
        if (f->model.last + count <= MODEL_ENTRIES_MAX)
            fixture_write(f, first, *term, count, size);
        break;
    }
}

static void any_run_of_writes_cuts_and_reopens_equals_the_model(void **state)
{
    const char *only = getenv("PX_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only != NULL ? first : 12;

    (void)state;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct fixture *f;
        raft_term term = 1;
        struct px_rand rand;
        void *own;

        print_message("PX_SEED=%llu\n", (unsigned long long)seed);
        fixture_setup(&own);
        f = own;
        px_rand_init(&rand, seed);
        f->segment_bytes = 8192 + 4096 * px_rand_below(&rand, 4);
        fixture_open(f);
        for (int step = 0; step < 120; step++)
            random_step(f, &rand, &term);
        fixture_close(f);
        fixture_open(f);
        fixture_expect(f, &f->model);
        fixture_teardown(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_run_of_writes_cuts_and_reopens_equals_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
