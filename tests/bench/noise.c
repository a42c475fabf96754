#include "tests/bench/noise.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#include "tests/bench/clock.h"

#define SPINNERS_MAX 64

struct spinner {
    pthread_t thread;
    size_t cpu;
    px_ns length;
    px_ns lost;
};

static void *spin(void *arg)
{
    struct spinner *s = arg;
    px_ns start;
    px_ns last;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(s->cpu, &set);
    /* If it may not be pinned it still spins; it only says less. */
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    start = last = clock_now();
    while (last - start < s->length) {
        px_ns now = clock_now();

        if (now - last > NOISE_GAP_NS)
            s->lost += now - last;
        last = now;
    }
    return NULL;
}

double noise_probe(px_ns length)
{
    struct spinner spinners[SPINNERS_MAX] = {0};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int count = online > SPINNERS_MAX ? SPINNERS_MAX : (int)online;
    double lost = 0;
    int started = 0;
    int i;

    for (i = 0; i < count; i++) {
        spinners[i].cpu = (size_t)i;
        spinners[i].length = length;
        if (pthread_create(&spinners[i].thread, NULL, spin, &spinners[i]) != 0)
            break;
        started++;
    }
    for (i = 0; i < started; i++) {
        (void)pthread_join(spinners[i].thread, NULL);
        lost += (double)spinners[i].lost / (double)length;
    }
    return started > 0 ? lost / started : 0;
}
