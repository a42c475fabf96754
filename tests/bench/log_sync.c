/* What the log adds to the disk: the time of store_log_write + store_log_sync
 * of one entry of 256 bytes (320 with its head), beside pwrite + fdatasync of
 * as many bytes to a file that was zeroed before, in turns in one run.
 *
 *   bench_log_sync [FOLDER [ROUNDS]]
 *
 * The folder decides which disk; default ".". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "store/log.h"

#define BODY_BYTES 256u
#define RECORD_BYTES 320u
#define ROUNDS_DEFAULT 3000u
#define ROUNDS_MAX 100000u

static double *of_log;
static double *of_file;

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* can't fail on Linux */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_log_sync: %s\n", what);
    exit(1);
}

/* A file of zeros, all of its blocks written. */
static int open_floor(const char *dir, size_t bytes)
{
    static const uint8_t zeros[1 << 16];
    int fd = open(dir, O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        die(strerror(errno));
    for (size_t at = 0; at < bytes; at += sizeof zeros) {
        if (write(fd, zeros, sizeof zeros) != (ssize_t)sizeof zeros)
            die("short write");
    }
    if (fsync(fd) < 0)
        die(strerror(errno));
    return fd;
}

static double time_file(int fd, const uint8_t *bytes, size_t round)
{
    double begin = now_us();

    if (pwrite(fd, bytes, RECORD_BYTES, (off_t)(round * RECORD_BYTES)) !=
            RECORD_BYTES ||
        fdatasync(fd) < 0)
        die(strerror(errno));
    return now_us() - begin;
}

static double time_log(struct store_log *log, const uint8_t *bytes,
                       size_t round)
{
    struct raft_entry e = {.pos = {1, round + 1},
                           .kind = RAFT_ENTRY_COMMAND,
                           .data = {NULL, bytes, BODY_BYTES}};
    double begin = now_us();

    if (store_log_write(log, NULL, &e, 1) < 0 || store_log_sync(log) < 0)
        die("the log failed");
    return now_us() - begin;
}

static void print_line(const char *name, double *times, size_t rounds)
{
    qsort(times, rounds, sizeof *times, compare);
    printf("%-20s p50 %6.1f us   p90 %6.1f us   p99 %6.1f us\n", name,
           times[rounds / 2], times[rounds * 9 / 10], times[rounds * 99 / 100]);
}

static void measure(const char *dir, size_t rounds)
{
    struct store_log_options options = {.dir = dir, .stamp = 1};
    uint8_t bytes[RECORD_BYTES];
    struct store_log *log;
    char why[512];
    int floor_fd = open_floor(dir, rounds * RECORD_BYTES);

    memset(bytes, 7, sizeof bytes);
    if (store_disk_open(dir, &options.disk) < 0)
        die("the folder can't be opened");
    if (store_log_open(&options, &log, why, sizeof why) < 0)
        die(why);
    for (size_t i = 0; i < rounds; i++) {
        of_file[i] = time_file(floor_fd, bytes, i);
        of_log[i] = time_log(log, bytes, i);
    }
    store_log_close(log);
    store_disk_close(options.disk);
    (void)close(floor_fd); /* it has no name */
}

int main(int argc, char **argv)
{
    char dir[4096];
    char segment[4200];
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : ROUNDS_DEFAULT;

    if (rounds < 100 || rounds > ROUNDS_MAX)
        die("between 100 and 100000 rounds, please");
    (void)snprintf(dir, sizeof dir, "%.4000s/log-sync-XXXXXX",
                   argc > 1 ? argv[1] : ".");
    of_log = calloc(rounds, sizeof *of_log);
    of_file = calloc(rounds, sizeof *of_file);
    if (of_log == NULL || of_file == NULL || mkdtemp(dir) == NULL)
        die(strerror(errno));
    measure(dir, rounds);
    print_line("pwrite + fdatasync", of_file, rounds);
    print_line("log write + sync", of_log, rounds);
    printf("ratio of medians     %.2f\n",
           of_log[rounds / 2] / of_file[rounds / 2]);
    (void)snprintf(segment, sizeof segment, "%s/0000000001.log", dir);
    if (unlink(segment) < 0 || rmdir(dir) < 0)
        die("could not clean up");
    free(of_log);
    free(of_file);
    return 0;
}
