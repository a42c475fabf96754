/* A slot:
 *
 *   parent   fork … ── all ready? ── before() ── go ── wait ── add up
 *   workers           op_begin, ready   (blocked)   op_once …, exit
 *
 * `ready` is a byte per worker through a pipe; `go` is the end of another pipe.
 * Samples go to memory that all share. */
#include "tests/bench/work.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/bench/clock.h"
#include "tests/bench/op.h"
#include "tests/bench/proc.h"
#include "tests/bench/stats.h"

#define SAMPLES_MAX (1u << 18) /* per worker and slot; then it stops early */
#define ERROR_PAUSE PX_NS_PER_MS

struct lane {
    px_ns start;
    px_ns end;
    uint64_t errors;
    int first_error;
    uint64_t switches;
    uint32_t count;
    uint32_t samples[SAMPLES_MAX]; /* nanoseconds */
};

struct gates {
    int ready[2];
    int go[2];
};

static struct lane *lanes; /* WORKERS_MAX */

static void lanes_map(void)
{
    if (lanes != NULL)
        return;
    lanes = mmap(NULL, WORKERS_MAX * sizeof *lanes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lanes == MAP_FAILED)
        proc_die("no memory for samples");
}

static uint64_t own_switches(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_nvcsw;
}

static void repeat(struct op_state *s, px_ns length, struct lane *lane)
{
    px_ns end;
    px_ns last;

    lane->switches = own_switches();
    lane->start = last = clock_now();
    end = last + length;
    while (last < end && lane->count < SAMPLES_MAX) {
        int rc = op_once(s);
        px_ns now = clock_now();

        if (rc < 0) {
            if (lane->errors++ == 0)
                lane->first_error = rc;
            clock_sleep(ERROR_PAUSE);
            now = clock_now();
        } else {
            px_ns took = now - last;

            lane->samples[lane->count++] =
                took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        }
        last = now;
    }
    lane->end = last;
    lane->switches = own_switches() - lane->switches;
}

static void __attribute__((noreturn))
run_worker(const struct op *op, unsigned worker, px_ns length,
           const struct gates *gates)
{
    static struct op_state state;
    struct lane *lane = &lanes[worker];
    char byte = 0;

    lane->count = 0;
    lane->errors = 0;
    lane->first_error = op_begin(&state, op, worker);
    close(gates->go[1]);
    if (lane->first_error < 0)
        byte = 1;
    if (write(gates->ready[1], &byte, 1) != 1)
        _exit(1);
    while (read(gates->go[0], &byte, 1) < 0 && errno == EINTR)
        ;
    if (lane->first_error == 0)
        repeat(&state, length, lane);
    _exit(0);
}

static int start_worker(const struct op *op, unsigned worker, px_ns length,
                        const struct gates *gates, pid_t *pid_out)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        signal(SIGINT, SIG_IGN); /* the parent lets the slot end */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        run_worker(op, worker, length, gates);
    }
    *pid_out = pid;
    return 0;
}

static int await_ready(const struct gates *gates, unsigned workers)
{
    unsigned n;
    int rc = 0;

    for (n = 0; n < workers; n++) {
        char failed = 0;
        ssize_t got;

        do
            got = read(gates->ready[0], &failed, 1);
        while (got < 0 && errno == EINTR);
        if (got != 1 || failed)
            rc = -EIO; /* the reason is in its lane */
    }
    return rc;
}

static void add_up(unsigned workers, struct work_result *out)
{
    uint32_t *all;
    uint64_t switches = 0;
    px_ns start = UINT64_MAX;
    px_ns end = 0;
    size_t used = 0;
    unsigned i;

    memset(out, 0, sizeof *out);
    for (i = 0; i < workers; i++) {
        out->ops += lanes[i].count;
        out->errors += lanes[i].errors;
        if (lanes[i].errors > 0 && out->first_error == 0)
            out->first_error = lanes[i].first_error;
        switches += lanes[i].switches;
        if (lanes[i].start < start)
            start = lanes[i].start;
        if (lanes[i].end > end)
            end = lanes[i].end;
    }
    if (out->ops == 0)
        return;
    all = malloc(out->ops * sizeof *all);
    if (all == NULL)
        proc_die("no memory for samples");
    for (i = 0; i < workers; i++) {
        memcpy(all + used, lanes[i].samples, lanes[i].count * sizeof *all);
        used += lanes[i].count;
    }
    stats_sort(all, used);
    out->p50_us = stats_percentile(all, used, 50) / 1e3;
    out->p99_us = stats_percentile(all, used, 99) / 1e3;
    out->ops_per_s = (double)out->ops / ((double)(end - start) / 1e9);
    out->client_switches = (double)switches / (double)out->ops;
    free(all);
}

static int first_failure(unsigned workers)
{
    unsigned i;

    for (i = 0; i < workers; i++)
        if (lanes[i].first_error < 0)
            return lanes[i].first_error;
    return -EIO;
}

int work_run(const struct op *op, unsigned workers, px_ns length,
             void (*before)(void *ctx), void *ctx, struct work_result *out)
{
    pid_t pids[WORKERS_MAX];
    struct gates gates;
    unsigned started = 0;
    unsigned i;
    int rc = 0;

    px_assert(workers > 0 && workers <= WORKERS_MAX);
    lanes_map();
    if (pipe(gates.ready) < 0 || pipe(gates.go) < 0)
        proc_die("pipe: %s", strerror(errno));
    while (started < workers && rc == 0) {
        rc = start_worker(op, started, length, &gates, &pids[started]);
        started += rc == 0;
    }
    close(gates.ready[1]);
    if (rc == 0)
        rc = await_ready(&gates, workers);
    if (rc < 0)
        for (i = 0; i < started; i++)
            kill(pids[i], SIGKILL);
    else
        before(ctx);
    close(gates.go[1]);
    for (i = 0; i < started; i++)
        while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
            ;
    close(gates.go[0]);
    close(gates.ready[0]);
    if (rc < 0)
        return started == workers ? first_failure(workers) : rc;
    add_up(workers, out);
    return 0;
}
