#include "base/note.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

#define NOTE_BYTES_MAX 1024

static const char *const level_words[] = {"error", "warn", "info", "debug"};

static enum px_note_level note_level = PX_NOTE_INFO;
static char note_node[PX_NODE_ID_BYTES_MAX + 1] = "-";
static _Atomic uint64_t note_term;
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t note_dropped; /* with the lock */
static bool note_is_cut;      /* the last line that was; likewise */
static int note_fd = STDERR_FILENO;

int px_note_level_parse(const char *word, enum px_note_level *level_out)
{
    for (unsigned i = 0; i < sizeof level_words / sizeof level_words[0]; i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *level_out = (enum px_note_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* A pipe or a terminal is opened once more, for O_NONBLOCK is the open file's,
 * which others may share, and a terminal that is ready for a byte may not be for
 * a line. */
static int open_own(void)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDERR_FILENO, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        fd = open("/proc/self/fd/2",
                  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fd : STDERR_FILENO;
}

void px_note_init(enum px_note_level level, const char *node)
{
    struct px_text name;

    if (note_fd != STDERR_FILENO)
        (void)close(note_fd); /* nothing is kept back in it */
    note_fd = open_own();
    note_level = level;
    px_text_init(&name, note_node, sizeof note_node);
    px_text_add(&name, "%s", node);
}

void px_note_set_term(uint64_t term)
{
    atomic_store_explicit(&note_term, term, memory_order_relaxed);
}

/* With room at the end for a newline. */
static void begin_line(struct px_text *line, enum px_note_level level)
{
    struct timespec now;
    struct tm utc;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* can't fail on Linux */
    (void)gmtime_r(&now.tv_sec, &utc);         /* a year fits in an int */
    px_text_add(
        line,
        "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s node=%s term=%" PRIu64 " ",
        utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
        utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000, level_words[level],
        note_node, atomic_load_explicit(&note_term, memory_order_relaxed));
}

/* False, at once, where it would have to wait, or does not fit. With the lock
 * held: a pipe that has room for a line may have none for two. */
static bool put(enum px_note_level level, const char *body)
{
    struct pollfd out = {.fd = note_fd, .events = POLLOUT};
    char data[NOTE_BYTES_MAX];
    struct px_text line;
    ssize_t n;

    if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0)
        return false;
    px_text_init(&line, data, sizeof data - 1);
    if (note_is_cut)
        px_text_add(&line, "\n");
    begin_line(&line, level);
    px_text_add(&line, "%s", body);
    data[line.used++] = '\n';
    n = write(note_fd, data, line.used);
    if (n > 0)
        note_is_cut = (size_t)n < line.used;
    return n > 0 && !note_is_cut;
}

/* How many there were that were not taken. */
static bool put_dropped(void)
{
    char body[64];

    if (note_dropped == 0)
        return true;
    (void)snprintf(body, sizeof body, "note: not taken: dropped=%" PRIu64,
                   note_dropped);
    if (!put(PX_NOTE_WARN, body))
        return false;
    note_dropped = 0;
    return true;
}

void px_note(enum px_note_level level, const char *format, ...)
{
    char body[NOTE_BYTES_MAX - 128];
    va_list args;

    if (level > note_level)
        return;
    va_start(args, format);
    (void)vsnprintf(body, sizeof body, format, args); /* a cut line will do */
    va_end(args);
    (void)pthread_mutex_lock(&note_lock); /* a plain mutex can't fail */
    if (!put_dropped() || !put(level, body))
        note_dropped++;
    (void)pthread_mutex_unlock(&note_lock);
}
