/* The memory that a workload's clients share: for workload*.c alone.
 *
 *   workload.c          start and stop
 *   workload_client.c   a client's life: which operation, on which mount
 *   workload_calls.c    each operation's system calls, and what their errors
 *                       mean */
#ifndef TESTS_LIB_WORKLOAD_CORE_H
#define TESTS_LIB_WORKLOAD_CORE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/rand.h"
#include "tests/lib/history_file.h"
#include "tests/lib/worker.h"
#include "tests/lib/workload.h"

enum place_kind {
    PLACE_FILE,
    PLACE_VALUE,
    PLACE_LIST,
    PLACE_FOLDER,
};

/* One of those that are worked on now. It is left for a new one when a history
 * of more of it would cost too much to check. */
struct place {
    enum place_kind kind;
    size_t size; /* FILE, VALUE: bytes of each of its values */
    uint64_t number;
    uint32_t op_count;
    uint32_t unknown_count;
};

#define PLACES 9
#define VERBS (HISTORY_LOOKUP + 1)
#define OUTCOMES (HISTORY_UNKNOWN + 1)

struct workload {
    struct workload_options options;
    struct report report;
    int history_fd;
    pid_t clients[WORKLOAD_CLIENTS_MAX];

    pthread_mutex_t lock; /* guards what a client draws */
    uint64_t values;      /* handed out */
    uint64_t places_made;
    struct place places[PLACES];

    _Atomic uint32_t epochs[WORKLOAD_MOUNTS_MAX]; /* odd: down */
    _Atomic uint64_t counts[VERBS][OUTCOMES];
    _Atomic uint64_t refused;
    _Atomic uint64_t halves_seen; /* reads of a published open */
    _Atomic uint32_t slowest_ms;
};

/* One operation of one client. */
struct attempt {
    struct history_line line;
    enum place_kind kind;
    size_t size;
    int mount;
    int dir; /* openat(2) descriptor of the mount's root */
    bool in_place;
    bool half_seen;
    uint64_t tokens[HISTORY_FILE_TOKENS_MAX];
};

/* Makes the calls; fills in line.call, done, outcome and result. */
void attempt_run(struct attempt *a);
/* Makes the folder that the operation is in; false: it could not. */
bool attempt_prepare(struct attempt *a);

void workload_client_run(void *arg, int number);

#endif
