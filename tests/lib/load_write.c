/* A writer: value after value into its key, and a line after each. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/load_core.h"
#include "tests/lib/process.h"

#define NOWHERE_MS 10

static enum load_outcome write_all(struct load_hold *h, const char *call,
                                   int fd, const char *text, size_t size)
{
    uint64_t begin = now_ms();
    ssize_t n = write(fd, text, size);
    int error = errno;

    load_timed(h->load, call, begin);
    if (n == (ssize_t)size)
        return LOAD_ACKED;
    if (n < 0)
        return load_outcome_of(h, call, error);
    report_failure(&h->load->report, "%s wrote %zd of %zu bytes", call, n,
                   size);
    return LOAD_UNKNOWN;
}

/* What a shell does for `echo text > name`. What close says is not asked:
 * write has promised already. */
static enum load_outcome put(struct load_hold *h, const char *name,
                             const char *text, size_t size)
{
    uint64_t begin = now_ms();
    int fd = openat(load_hold_dir(h), name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int error = errno;
    enum load_outcome outcome;

    load_timed(h->load, "open to write", begin);
    if (fd < 0)
        return load_outcome_of(h, "open to write", error);
    outcome = write_all(h, "write", fd, text, size);
    begin = now_ms();
    (void)close(fd);
    load_timed(h->load, "close", begin);
    return outcome;
}

static enum load_outcome append(struct load_hold *h, const char *text,
                                size_t size)
{
    int *fd = &h->mounts[h->mount].lines;
    uint64_t begin = now_ms();
    int error;

    if (*fd < 0) {
        *fd = openat(load_hold_dir(h), LOAD_LINES_NAME,
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        error = errno;
        load_timed(h->load, "open to append", begin);
        if (*fd < 0)
            return load_outcome_of(h, "open to append", error);
    }
    return write_all(h, "append", *fd, text, size);
}

/* What was refused must not have been seen, now or later; the readers check
 * the "later". */
static bool note_refused(struct load *l, struct load_key *key, uint64_t value)
{
    uint32_t n = atomic_load(&key->refused_count);

    if (atomic_load(&key->seen) == value)
        report_failure(&l->report,
                       "value %" PRIu64 " was refused, but it was read", value);
    if (n == LOAD_REFUSED_MAX)
        return false;
    atomic_store(&key->refused[n], value);
    atomic_store(&key->refused_count, n + 1);
    return true;
}

static void next_key(struct load *l, struct load_writer *w)
{
    if (atomic_load(&w->key) + 1 == LOAD_KEYS_MAX)
        report_failure(&l->report, "%d outcomes of one writer are unknown",
                       LOAD_KEYS_MAX);
    else
        (void)atomic_fetch_add(&w->key, 1);
}

static enum load_outcome put_next(struct load_hold *h, int number)
{
    struct load_writer *w = &h->load->writers[number];
    uint32_t k = atomic_load(&w->key);
    struct load_key *key = &w->keys[k];
    uint64_t value = atomic_load(&key->begun) + 1;
    char text[LOAD_VALUE_BYTES + 1];
    enum load_outcome outcome;
    char name[32];

    load_key_name(name, number, k);
    load_value_text(text, number, k, value);
    atomic_store(&key->begun, value);
    outcome = put(h, name, text, LOAD_VALUE_BYTES);
    if (outcome == LOAD_ACKED)
        atomic_store(&key->acked, value);
    else if (outcome == LOAD_UNKNOWN || !note_refused(h->load, key, value))
        next_key(h->load, w);
    return outcome;
}

static enum load_outcome append_next(struct load_hold *h, int number)
{
    struct load_writer *w = &h->load->writers[number];
    uint32_t line = atomic_load(&w->line_count);
    char text[LOAD_LINE_BYTES + 1];
    enum load_outcome outcome;

    if (line == LOAD_LINES_MAX) {
        report_failure(&h->load->report, "more than %u lines of one writer",
                       LOAD_LINES_MAX);
        return LOAD_REFUSED;
    }
    load_line_text(text, number, line);
    atomic_store(&w->lines[line], LOAD_BEGUN);
    atomic_store(&w->line_count, line + 1);
    outcome = append(h, text, LOAD_LINE_BYTES);
    atomic_store(&w->lines[line], (uint8_t)outcome);
    return outcome;
}

void load_write_run(void *arg, int number)
{
    struct load *l = arg;
    struct load_hold h;
    enum load_outcome outcome;
    int home = number % l->options.mount_count;

    load_hold_init(&h, l, number);
    while (!atomic_load(&l->report.stop)) {
        load_rest(l);
        if (!load_hold_take(&h, home)) {
            pause_ms(NOWHERE_MS);
            continue;
        }
        outcome = put_next(&h, number);
        (void)atomic_fetch_add(&l->outcomes[outcome], 1);
        if (outcome == LOAD_UNKNOWN)
            continue; /* perhaps on another mount now */
        outcome = append_next(&h, number);
        (void)atomic_fetch_add(&l->outcomes[outcome], 1);
    }
}
