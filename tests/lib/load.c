#include "tests/lib/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load_core.h"
#include "tests/lib/process.h"

#define WRITES_MS_MAX 30000
#define LOOK_MS 20
#define STUCK_MS 5000 /* beyond a call's deadline */

/* Texts: a head that names what it is, filled up with a letter that differs
 * from one value to the next, so that a mixture shows. */

static void fill(char *text, size_t size, size_t used, uint64_t number)
{
    memset(text + used, 'a' + (int)(number % 26), size - used);
    text[size - 1] = '\n';
    text[size] = '\0';
}

void load_value_text(char text[LOAD_VALUE_BYTES + 1], int writer, uint32_t key,
                     uint64_t value)
{
    int n = snprintf(text, LOAD_VALUE_BYTES, "%d %" PRIu32 " %" PRIu64 " ",
                     writer, key, value);

    fill(text, LOAD_VALUE_BYTES, (size_t)n, value);
}

void load_key_name(char name[32], int writer, uint32_t key)
{
    (void)snprintf(name, 32, "counter-%d-%" PRIu32, writer, key);
}

void load_line_text(char text[LOAD_LINE_BYTES + 1], int writer, uint32_t line)
{
    int n = snprintf(text, LOAD_LINE_BYTES, "%d %" PRIu32 " ", writer, line);

    fill(text, LOAD_LINE_BYTES, (size_t)n, line);
}

/* Mounts */

void load_hold_init(struct load_hold *h, struct load *l, int number)
{
    memset(h, 0, sizeof *h);
    h->load = l;
    h->mount = number % l->options.mount_count;
    px_rand_init(&h->rand, (uint64_t)number + 1);
}

static void drop_mount(struct load_hold *h, int m)
{
    if (!h->mounts[m].is_open)
        return;
    if (h->mounts[m].lines >= 0)
        (void)close(h->mounts[m].lines);
    (void)close(h->mounts[m].dir);
    h->mounts[m].is_open = false;
}

/* A descriptor from before a restart leads nowhere. */
static bool open_mount(struct load_hold *h, int m)
{
    uint32_t epoch = atomic_load(&h->load->epochs[m]);

    if (epoch % 2 == 1)
        return false;
    if (h->mounts[m].is_open && h->mounts[m].epoch == epoch)
        return true;
    drop_mount(h, m);
    h->mounts[m].dir = mount_open(h->load->options.mounts[m]);
    if (h->mounts[m].dir < 0)
        return false; /* stopped since we looked, or a mistake of the test */
    h->mounts[m].lines = -1;
    h->mounts[m].epoch = epoch;
    h->mounts[m].is_open = true;
    return true;
}

bool load_hold_take(struct load_hold *h, int mount)
{
    int count = h->load->options.mount_count;

    for (int i = 0; i < count; i++) {
        int m = (mount + i) % count;

        if (open_mount(h, m)) {
            h->mount = m;
            return true;
        }
    }
    return false;
}

int load_hold_dir(const struct load_hold *h)
{
    return h->mounts[h->mount].dir;
}

void load_rest(struct load *l)
{
    if (!atomic_load(&l->is_paused))
        return;
    (void)atomic_fetch_add(&l->resting, 1);
    while (atomic_load(&l->is_paused) && !atomic_load(&l->report.stop))
        pause_ms(LOOK_MS);
    (void)atomic_fetch_sub(&l->resting, 1);
}

/* Outcomes */

enum load_outcome load_outcome_of(struct load_hold *h, const char *call,
                                  int error)
{
    int m = h->mount;
    bool was_up = atomic_load(&h->load->epochs[m]) == h->mounts[m].epoch;

    if (error == EAGAIN && was_up)
        (void)atomic_fetch_add(&h->load->refused, 1);
    if (error == EAGAIN || error == EINTR)
        return LOAD_REFUSED;
    if (error == ETIMEDOUT) {
        (void)atomic_fetch_add(&h->load->timeouts, 1);
        return LOAD_UNKNOWN;
    }
    if (!was_up && (error == ENOTCONN || error == ECONNABORTED || error == EIO))
        return LOAD_UNKNOWN;
    report_failure(&h->load->report, "%s on mount %d, which was %s: %s", call,
                   m, was_up ? "up" : "stopped", strerror(error));
    return LOAD_UNKNOWN;
}

void load_timed(struct load *l, const char *call, uint64_t begin_ms)
{
    uint32_t ms = (uint32_t)(now_ms() - begin_ms);
    uint32_t slowest = atomic_load(&l->slowest_ms);

    while (ms > slowest) {
        if (atomic_compare_exchange_weak(&l->slowest_ms, &slowest, ms)) {
            (void)snprintf(l->slowest_call, sizeof l->slowest_call, "%s", call);
            break;
        }
    }
    if (ms > l->options.call_ms_max)
        report_failure(&l->report, "%s took %" PRIu32 " ms, more than %u", call,
                       ms, l->options.call_ms_max);
}

/* The load */

struct load *load_start(const struct load_options *options)
{
    struct load *l = shared_new(sizeof *l);

    assert_in_range(options->writers, 1, LOAD_WRITERS_MAX);
    assert_in_range(options->readers, 0, LOAD_READERS_MAX);
    l->options = *options;
    for (int i = 0; i < options->writers; i++)
        l->workers[l->worker_count++] = worker_start(load_write_run, l, i);
    for (int i = 0; i < options->readers; i++)
        l->workers[l->worker_count++] = worker_start(load_read_run, l, i);
    return l;
}

void load_down(struct load *l, int mount)
{
    assert_int_equal(atomic_load(&l->epochs[mount]) % 2, 0);
    (void)atomic_fetch_add(&l->epochs[mount], 1);
}

void load_up(struct load *l, int mount)
{
    assert_int_equal(atomic_load(&l->epochs[mount]) % 2, 1);
    (void)atomic_fetch_add(&l->epochs[mount], 1);
}

static void wait_resting(const struct load *l, int count)
{
    uint64_t deadline = now_ms() + WRITES_MS_MAX;

    while (atomic_load(&l->resting) != count) {
        load_check_so_far(l);
        if (now_ms() > deadline)
            fail_msg("not %d workers rest after %d ms", count, WRITES_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

void load_pause(struct load *l)
{
    atomic_store(&l->is_paused, true);
    wait_resting(l, l->worker_count);
}

/* When all have left: one that had not would be counted by the next pause. */
void load_resume(struct load *l)
{
    atomic_store(&l->is_paused, false);
    wait_resting(l, 0);
}

uint64_t load_acked(const struct load *l)
{
    return atomic_load(&l->outcomes[LOAD_ACKED]);
}

uint64_t load_refused(const struct load *l)
{
    return atomic_load(&l->refused);
}

uint64_t load_timeouts(const struct load *l)
{
    return atomic_load(&l->timeouts);
}

void load_wait_writes(const struct load *l, uint64_t count)
{
    uint64_t target = load_acked(l) + count;
    uint64_t deadline = now_ms() + WRITES_MS_MAX;

    while (load_acked(l) < target) {
        load_check_so_far(l);
        if (now_ms() > deadline)
            fail_msg("fewer than %" PRIu64 " writes in %d ms", count,
                     WRITES_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

void load_check_so_far(const struct load *l)
{
    report_check(&l->report);
}

void load_stop(struct load *l)
{
    atomic_store(&l->report.stop, true);
    workers_wait(l->workers, l->worker_count,
                 l->options.call_ms_max + STUCK_MS);
    load_check_so_far(l);
}

unsigned load_take_slowest_ms(struct load *l)
{
    return atomic_exchange(&l->slowest_ms, 0);
}

void load_print(const struct load *l)
{
    print_message("             %" PRIu64 " writes acknowledged, %" PRIu64
                  " refused, %" PRIu64 " unknown; %" PRIu64 " reads, %" PRIu64
                  " failed; slowest call: %s, %" PRIu32 " ms\n",
                  load_acked(l), l->outcomes[LOAD_REFUSED],
                  l->outcomes[LOAD_UNKNOWN], l->reads, l->reads_failed,
                  l->slowest_call, l->slowest_ms);
}

void load_free(struct load *l)
{
    (void)munmap(l, sizeof *l);
}
