/* The memory that a load's workers share: for load*.c alone.
 *
 *   load.c         start and stop, what both kinds of workers do
 *   load_write.c   a writer's life
 *   load_read.c    a reader's life, and the check at the end */
#ifndef TESTS_LIB_LOAD_CORE_H
#define TESTS_LIB_LOAD_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rand.h"
#include "tests/lib/load.h"
#include "tests/lib/worker.h"

#define LOAD_KEYS_MAX 1024 /* of one writer: unknown outcomes, plus one */
#define LOAD_REFUSED_MAX 64
#define LOAD_LINES_MAX (1u << 22)
#define LOAD_VALUE_BYTES 256
#define LOAD_LINE_BYTES 64
#define LOAD_LINES_NAME "lines"

enum load_outcome {
    LOAD_NONE, /* zero: not tried */
    LOAD_BEGUN,
    LOAD_ACKED,
    LOAD_REFUSED,
    LOAD_UNKNOWN,
};

/* One file: values 1, 2, ... of one writer; 0 is "no file". */
struct load_key {
    _Atomic uint64_t begun;
    _Atomic uint64_t acked;
    _Atomic uint64_t seen; /* the newest that any reader was shown */
    _Atomic uint32_t refused_count;
    _Atomic uint64_t refused[LOAD_REFUSED_MAX];
};

struct load_writer {
    _Atomic uint32_t key; /* the current one */
    struct load_key keys[LOAD_KEYS_MAX];
    _Atomic uint32_t line_count;
    _Atomic uint8_t lines[LOAD_LINES_MAX]; /* enum load_outcome */
};

struct load {
    struct load_options options;
    struct report report;
    _Atomic uint32_t epochs[LOAD_MOUNTS_MAX]; /* odd: down */
    _Atomic bool is_paused;
    _Atomic int resting; /* workers, while it is paused */
    _Atomic uint64_t outcomes[LOAD_UNKNOWN + 1];
    _Atomic uint64_t timeouts;
    _Atomic uint64_t refused; /* EAGAIN of a mount that was up */
    _Atomic uint64_t reads;
    _Atomic uint64_t reads_failed;
    _Atomic uint32_t slowest_ms;
    char slowest_call[16];
    int worker_count;
    pid_t workers[LOAD_WRITERS_MAX + LOAD_READERS_MAX];
    struct load_writer writers[LOAD_WRITERS_MAX];
};

/* One worker's hold on the mounts. */
struct load_hold {
    struct load *load;
    int mount; /* where it works now */
    struct px_rand rand;
    struct {
        uint32_t epoch; /* when it was opened */
        bool is_open;
        int dir;
        int lines; /* -1: not yet */
    } mounts[LOAD_MOUNTS_MAX];
};

void load_hold_init(struct load_hold *h, struct load *l, int number);
/* A mount that is up and open, from @mount on; false: none right now. */
bool load_hold_take(struct load_hold *h, int mount);
int load_hold_dir(const struct load_hold *h);
/* Between two calls: for as long as the load is paused. */
void load_rest(struct load *l);

/* What a failed call on the current mount means. An error that is not allowed
 * is reported. */
enum load_outcome load_outcome_of(struct load_hold *h, const char *call,
                                  int error);
/* A call that began then is over. */
void load_timed(struct load *l, const char *call, uint64_t begin_ms);

void load_write_run(void *arg, int number);
void load_read_run(void *arg, int number);

/* The bytes of value @value of a key, and the key's file name. */
void load_value_text(char text[LOAD_VALUE_BYTES + 1], int writer, uint32_t key,
                     uint64_t value);
void load_key_name(char name[32], int writer, uint32_t key);
void load_line_text(char text[LOAD_LINE_BYTES + 1], int writer, uint32_t line);

#endif
