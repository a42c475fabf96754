#include "tests/bench/stall.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/clock.h"

#define WATCHERS_MAX 64
#define PRIORITY 1 /* any is above all of ours */

struct stall {
    pthread_t threads[WATCHERS_MAX];
    int started;
    atomic_bool is_over;
    _Atomic px_ns longest;
};

static void *watch(void *arg)
{
    struct stall *s = arg;
    const struct timespec nap = {.tv_nsec = PX_NS_PER_MS};
    px_ns last = clock_now();

    while (!atomic_load(&s->is_over)) {
        px_ns now;
        px_ns longest = atomic_load(&s->longest);

        (void)nanosleep(&nap, NULL);
        now = clock_now();
        while (now - last > longest &&
               !atomic_compare_exchange_weak(&s->longest, &longest, now - last))
            ;
        last = now;
    }
    return NULL;
}

static int start(struct stall *s, size_t cpu)
{
    const struct sched_param param = {.sched_priority = PRIORITY};
    pthread_attr_t attr;
    cpu_set_t set;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if ((rc = pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED)) ==
            0 &&
        (rc = pthread_attr_setschedpolicy(&attr, SCHED_FIFO)) == 0 &&
        (rc = pthread_attr_setschedparam(&attr, &param)) == 0 &&
        (rc = pthread_attr_setaffinity_np(&attr, sizeof set, &set)) == 0)
        rc = pthread_create(&s->threads[s->started], &attr, watch, s);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0)
        s->started++;
    return rc;
}

struct stall *stall_watch(void)
{
    struct stall *s = calloc(1, sizeof *s);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int rc;

    if (s == NULL)
        return NULL;
    for (size_t i = 0; i < (size_t)online && i < WATCHERS_MAX; i++) {
        rc = start(s, i);
        if (rc != 0) {
            stall_free(s);
            errno = rc;
            return NULL;
        }
    }
    return s;
}

px_ns stall_take(struct stall *s)
{
    return s == NULL ? 0 : atomic_exchange(&s->longest, 0);
}

void stall_free(struct stall *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->is_over, true);
    for (int i = 0; i < s->started; i++)
        (void)pthread_join(s->threads[i], NULL);
    free(s);
}
