/* A reader: holds what it is shown against what was acknowledged. And the
 * check at the end, with all the time in the world. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/load_core.h"
#include "tests/lib/process.h"

#define NOWHERE_MS 10
#define READ_BYTES (2 * LOAD_VALUE_BYTES) /* more than there should be */

/* 0 and the value in @text; no file: -ENOENT. */
static int get(int dir, const char *name, char text[READ_BYTES], size_t *size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int rc;

    if (fd < 0)
        return -errno;
    n = read(fd, text, READ_BYTES);
    rc = n < 0 ? -errno : 0;
    *size = n < 0 ? 0 : (size_t)n;
    (void)close(fd);
    return rc;
}

/* The value that @text is, whole; false: it is none. */
static bool parse_value(const char *text, size_t size, int writer, uint32_t key,
                        uint64_t *value_out)
{
    char head[64] = "";
    char whole[LOAD_VALUE_BYTES + 1];
    uint64_t value;

    (void)memcpy(head, text, size < 63 ? size : 63);
    if (sscanf(head, "%*d %*u %" SCNu64 " ", &value) != 1)
        return false;
    load_value_text(whole, writer, key, value);
    *value_out = value;
    return size == LOAD_VALUE_BYTES && memcmp(text, whole, size) == 0;
}

static bool is_refused(const struct load_key *key, uint64_t value)
{
    uint32_t count = atomic_load(&key->refused_count);

    for (uint32_t i = 0; i < count; i++) {
        if (atomic_load(&key->refused[i]) == value)
            return true;
    }
    return false;
}

/* Why @value must not be what a read showed that began when @acked and @seen
 * were so; NULL: it may. */
static const char *fault_of(const struct load_key *key, uint64_t value,
                            uint64_t acked, uint64_t seen)
{
    if (value < acked)
        return "is older than acknowledged before";
    if (value < seen)
        return "is older than read before";
    if (value > atomic_load(&key->begun))
        return "was never written";
    if (value > 0 && is_refused(key, value))
        return "was refused";
    return NULL;
}

static void raise_seen(struct load_key *key, uint64_t value)
{
    uint64_t seen = atomic_load(&key->seen);

    while (value > seen &&
           !atomic_compare_exchange_weak(&key->seen, &seen, value))
        continue;
}

static void check_read(struct load_hold *h, int writer, uint32_t k)
{
    struct load *l = h->load;
    struct load_key *key = &l->writers[writer].keys[k];
    uint64_t acked = atomic_load(&key->acked);
    uint64_t seen = atomic_load(&key->seen);
    uint64_t begin = now_ms();
    char text[READ_BYTES];
    const char *fault;
    uint64_t value = 0;
    size_t size = 0;
    char name[32];
    int rc;

    load_key_name(name, writer, k);
    rc = get(load_hold_dir(h), name, text, &size);
    load_timed(l, "open, read", begin);
    if (rc < 0 && rc != -ENOENT) {
        (void)load_outcome_of(h, "open, read", -rc);
        (void)atomic_fetch_add(&l->reads_failed, 1);
        return;
    }
    if (rc == 0 && !parse_value(text, size, writer, k, &value)) {
        report_failure(&l->report,
                       "%s on mount %d is not whole: %zu bytes, \"%.20s\"",
                       name, h->mount, size, size > 20 ? text : "");
        return;
    }
    raise_seen(key, value);
    fault = fault_of(key, value, acked, seen);
    if (fault != NULL)
        report_failure(&l->report,
                       "%s on mount %d: %" PRIu64 " %s (acknowledged %" PRIu64
                       ", read %" PRIu64 ")",
                       name, h->mount, value, fault, acked, seen);
    (void)atomic_fetch_add(&l->reads, 1);
}

void load_read_run(void *arg, int number)
{
    struct load *l = arg;
    struct load_hold h;

    load_hold_init(&h, l, LOAD_WRITERS_MAX + number);
    while (!atomic_load(&l->report.stop)) {
        int mount =
            (int)px_rand_below(&h.rand, (uint64_t)l->options.mount_count);
        int writer = (int)px_rand_below(&h.rand, (uint64_t)l->options.writers);
        uint32_t key = atomic_load(&l->writers[writer].key);

        load_rest(l);
        if (px_rand_below(&h.rand, 8) == 0) /* what is settled must stay */
            key = (uint32_t)px_rand_below(&h.rand, key + 1);
        if (load_hold_take(&h, mount))
            check_read(&h, writer, key);
        else
            pause_ms(NOWHERE_MS);
    }
}

/* The end */

static void check_key(const struct load *l, int dir, int writer, uint32_t k)
{
    const struct load_key *key = &l->writers[writer].keys[k];
    char text[READ_BYTES];
    const char *fault;
    uint64_t value = 0;
    size_t size = 0;
    char name[32];
    int rc;

    load_key_name(name, writer, k);
    rc = get(dir, name, text, &size);
    if (rc < 0 && rc != -ENOENT)
        fail_msg("%s: %s", name, strerror(-rc));
    if (rc == 0 && !parse_value(text, size, writer, k, &value))
        fail_msg("%s is not whole: %zu bytes", name, size);
    fault =
        fault_of(key, value, atomic_load(&key->acked), atomic_load(&key->seen));
    if (fault != NULL)
        fail_msg("%s: %" PRIu64 " %s (acknowledged %" PRIu64 ", read %" PRIu64
                 ")",
                 name, value, fault, key->acked, key->seen);
}

/* What the lines file holds of each writer. */
struct tally {
    uint8_t *counts[LOAD_WRITERS_MAX];
    int64_t newest_acked[LOAD_WRITERS_MAX];
};

static void take_line(const struct load *l, struct tally *t, const char *text,
                      uint64_t place)
{
    char whole[LOAD_LINE_BYTES + 1];
    uint32_t line = 0;
    int w = -1;
    uint8_t outcome;

    if (sscanf(text, "%d %" SCNu32 " ", &w, &line) != 2 || w < 0 ||
        w >= l->options.writers || line >= l->writers[w].line_count)
        fail_msg("line %" PRIu64 " is nobody's", place);
    load_line_text(whole, w, line);
    if (memcmp(text, whole, LOAD_LINE_BYTES) != 0)
        fail_msg("line %" PRIu64 " is not whole", place);
    outcome = atomic_load(&l->writers[w].lines[line]);
    if (outcome == LOAD_REFUSED)
        fail_msg("line %" PRIu32 " of writer %d was refused, but is there",
                 line, w);
    if (t->counts[w][line]++ > 0)
        fail_msg("line %" PRIu32 " of writer %d is there twice", line, w);
    if (outcome != LOAD_ACKED)
        return;
    if (t->newest_acked[w] >= (int64_t)line)
        fail_msg("line %" PRIu32 " of writer %d comes after line %" PRId64,
                 line, w, t->newest_acked[w]);
    t->newest_acked[w] = line;
}

static void read_lines(const struct load *l, struct tally *t, int fd)
{
    char block[1024 * LOAD_LINE_BYTES];
    uint64_t place = 0;
    ssize_t n;

    while ((n = read(fd, block, sizeof block)) > 0) {
        if (n % LOAD_LINE_BYTES != 0)
            fail_msg("the lines end within one, after %" PRIu64, place);
        for (ssize_t at = 0; at < n; at += LOAD_LINE_BYTES)
            take_line(l, t, block + at, ++place);
    }
    if (n < 0)
        fail_msg("reading the lines: %s", strerror(errno));
}

static void check_lines(const struct load *l, int dir)
{
    int fd = openat(dir, LOAD_LINES_NAME, O_RDONLY | O_CLOEXEC);
    struct tally t;

    if (fd < 0)
        fail_msg("opening the lines: %s", strerror(errno));
    for (int w = 0; w < l->options.writers; w++) {
        t.newest_acked[w] = -1;
        t.counts[w] = calloc(l->writers[w].line_count + 1, 1);
        assert_non_null(t.counts[w]);
    }
    read_lines(l, &t, fd);
    (void)close(fd);
    for (int w = 0; w < l->options.writers; w++) {
        for (uint32_t i = 0; i < l->writers[w].line_count; i++) {
            if (l->writers[w].lines[i] == LOAD_ACKED && t.counts[w][i] == 0)
                fail_msg("line %" PRIu32 " of writer %d was acknowledged, "
                         "and is lost",
                         i, w);
        }
        free(t.counts[w]);
    }
}

void load_check(const struct load *l, int mount)
{
    for (int w = 0; w < l->options.writers; w++) {
        for (uint32_t k = 0; k <= atomic_load(&l->writers[w].key); k++)
            check_key(l, mount, w, k);
    }
    check_lines(l, mount);
}
