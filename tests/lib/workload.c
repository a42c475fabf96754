#include "tests/lib/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/process.h"
#include "tests/lib/workload_core.h"

#define ANSWERS_MS_MAX 30000
#define LOOK_MS 20
/* An operation is several requests, and the kernel lets those that change one
 * folder by one mount wait for each other: each for its own deadline. */
#define STUCK_TIMEOUTS (2 * WORKLOAD_CLIENTS_MAX)

/* One large file and one large value: of several chunks. */
static const struct place places[PLACES] = {
    {.kind = PLACE_FILE, .size = 64},
    {.kind = PLACE_FILE, .size = 64},
    {.kind = PLACE_FILE, .size = 9000},
    {.kind = PLACE_VALUE, .size = 64},
    {.kind = PLACE_VALUE, .size = 9000},
    {.kind = PLACE_LIST},
    {.kind = PLACE_LIST},
    {.kind = PLACE_FOLDER},
    {.kind = PLACE_FOLDER},
};

static void init_lock(struct workload *w)
{
    pthread_mutexattr_t attr;

    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    assert_int_equal(
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
    assert_int_equal(pthread_mutex_init(&w->lock, &attr), 0);
    (void)pthread_mutexattr_destroy(&attr);
}

struct workload *workload_start(const struct workload_options *options)
{
    struct workload *w = shared_new(sizeof *w);

    assert_in_range(options->clients, 1, WORKLOAD_CLIENTS_MAX);
    w->options = *options;
    init_lock(w);
    for (int i = 0; i < options->mount_count; i++)
        w->epochs[i] = options->down >> i & 1;
    for (int i = 0; i < PLACES; i++) {
        w->places[i] = places[i];
        w->places[i].number = ++w->places_made;
    }
    w->history_fd =
        open(options->history,
             O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    assert_return_code(w->history_fd, errno);
    for (int i = 0; i < options->clients; i++)
        w->clients[i] = worker_start(workload_client_run, w, i);
    return w;
}

void workload_down(struct workload *w, int mount)
{
    assert_int_equal(atomic_load(&w->epochs[mount]) % 2, 0);
    (void)atomic_fetch_add(&w->epochs[mount], 1);
}

void workload_up(struct workload *w, int mount)
{
    assert_int_equal(atomic_load(&w->epochs[mount]) % 2, 1);
    (void)atomic_fetch_add(&w->epochs[mount], 1);
}

static uint64_t count(const struct workload *w, enum history_outcome outcome)
{
    uint64_t sum = 0;

    for (int i = 0; i < VERBS; i++)
        sum += atomic_load(&w->counts[i][outcome]);
    return sum;
}

uint64_t workload_answered(const struct workload *w)
{
    return count(w, HISTORY_ANSWERED);
}

uint64_t workload_refused(const struct workload *w)
{
    return atomic_load(&w->refused);
}

void workload_wait(const struct workload *w, uint64_t more)
{
    uint64_t target = workload_answered(w) + more;
    uint64_t deadline = now_ms() + ANSWERS_MS_MAX;

    while (workload_answered(w) < target) {
        workload_check_so_far(w);
        if (now_ms() > deadline)
            fail_msg("fewer than %" PRIu64 " answers in %d ms", more,
                     ANSWERS_MS_MAX);
        pause_ms(LOOK_MS);
    }
}

void workload_check_so_far(const struct workload *w)
{
    report_check(&w->report);
}

void workload_stop(struct workload *w)
{
    atomic_store(&w->report.stop, true);
    workers_wait(w->clients, w->options.clients,
                 STUCK_TIMEOUTS * w->options.timeout_ms);
    workload_check_so_far(w);
}

void workload_print(const struct workload *w)
{
    print_message("             %" PRIu64 " operations answered, %" PRIu64
                  " without effect, %" PRIu64 " unknown; slowest %" PRIu32
                  " ms; %" PRIu64 " objects\n             answered:",
                  workload_answered(w), count(w, HISTORY_NO_EFFECT),
                  count(w, HISTORY_UNKNOWN), w->slowest_ms, w->places_made);
    for (int i = 0; i < VERBS; i++)
        print_message(" %s %" PRIu64, history_verb_text((enum history_verb)i),
                      w->counts[i][HISTORY_ANSWERED]);
    print_message("; %" PRIu64 " reads of an open that was published\n",
                  w->halves_seen);
}

void workload_free(struct workload *w)
{
    (void)close(w->history_fd); /* each line was written by itself */
    (void)munmap(w, sizeof *w);
}
