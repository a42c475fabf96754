/* The benchmark's clock. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <time.h>

#include "base/time.h"

static inline px_ns clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (px_ns)t.tv_sec * PX_NS_PER_S + (px_ns)t.tv_nsec;
}

static inline void clock_sleep(px_ns ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / PX_NS_PER_S),
                         .tv_nsec = (long)(ns % PX_NS_PER_S)};

    nanosleep(&t, NULL); /* cut short by a signal: whoever waits looks again */
}

#endif
