#include "tests/lib/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/process.h"

#define WORKERS_MAX 64

static pid_t running[WORKERS_MAX]; /* 0: free */

void *shared_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

void report_failure(struct report *r, const char *format, ...)
{
    va_list args;

    if (atomic_fetch_add(&r->failures, 1) == 0) {
        va_start(args, format);
        (void)vsnprintf(r->first, sizeof r->first, format, args);
        va_end(args);
    }
    atomic_store(&r->stop, true);
}

void report_check(const struct report *r)
{
    if (atomic_load(&r->failures) > 0)
        fail_msg("%s (%d failures)", r->first, r->failures);
}

static void replace_running(pid_t old, pid_t new)
{
    int i = 0;

    while (i < WORKERS_MAX && running[i] != old)
        i++;
    assert_true(i < WORKERS_MAX);
    running[i] = new;
}

pid_t worker_start(void (*run)(void *arg, int number), void *arg, int number)
{
    pid_t pid;

    (void)fflush(NULL); /* or the child would write it again */
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            _exit(1);
        run(arg, number);
        _exit(0);
    }
    replace_running(0, pid);
    return pid;
}

void workers_kill(void)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        if (running[i] > 0)
            (void)kill(running[i], SIGKILL);
        running[i] = 0;
    }
}

void workers_wait(const pid_t *pids, int count, unsigned ms)
{
    uint64_t deadline = now_ms() + ms;
    int stuck = 0;
    int crashed = 0;

    for (int i = 0; i < count; i++) {
        uint64_t now = now_ms();
        int status = process_wait(
            pids[i], now < deadline ? (unsigned)(deadline - now) : 0);

        if (status == -ETIMEDOUT) {
            (void)kill(pids[i], SIGKILL);
            stuck++;
        } else if (status != 0) {
            crashed++;
        }
        replace_running(pids[i], 0);
    }
    if (stuck + crashed > 0)
        fail_msg("of %d workers, %d hang %u ms after they were to end, and %d "
                 "crashed",
                 count, stuck, ms, crashed);
}

unsigned env_number(const char *name, unsigned fallback)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? (unsigned)strtoul(text, NULL, 10)
                                           : fallback;
}
