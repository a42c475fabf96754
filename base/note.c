#include "base/note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"

#define NOTE_BYTES_MAX 1024

static const char *const level_words[] = {"error", "warn", "info", "debug"};

static enum px_note_level note_level = PX_NOTE_INFO;
static char note_node[PX_NODE_ID_BYTES_MAX + 1] = "-";
static _Atomic uint64_t note_term;

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

void px_note_init(enum px_note_level level, const char *node)
{
    struct px_text name;

    note_level = level;
    px_text_init(&name, note_node, sizeof note_node);
    px_text_add(&name, "%s", node);
}

void px_note_set_term(uint64_t term)
{
    atomic_store_explicit(&note_term, term, memory_order_relaxed);
}

void px_note(enum px_note_level level, const char *format, ...)
{
    char line[NOTE_BYTES_MAX];
    char body[NOTE_BYTES_MAX - 128];
    struct px_text text;
    struct timespec now;
    struct tm utc;
    va_list args;

    if (level > note_level)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* can't fail on Linux */
    (void)gmtime_r(&now.tv_sec, &utc);         /* a year fits in an int */
    va_start(args, format);
    (void)vsnprintf(body, sizeof body, format, args); /* a cut line will do */
    va_end(args);

    px_text_init(&text, line, sizeof line - 1); /* room for the newline */
    px_text_add(&text,
                "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s node=%s term=%" PRIu64
                " %s",
                utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000,
                level_words[level], note_node,
                atomic_load_explicit(&note_term, memory_order_relaxed), body);
    line[text.used++] = '\n';
    if (write(STDERR_FILENO, line, text.used) < 0)
        return; /* there is nobody left to tell */
}
