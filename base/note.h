/* Notes: lines for an operator, `area: event key=value`, on standard error.
 *
 *   error  someone must act          info   role, member and mount changes
 *   warn   we carried on             debug  each step
 *
 * "Log" always means the replicated log; these are notes. Every line carries
 * the time, the level, the node's name and its current term. Cores return
 * errors and write none; net/, fs/, node/ and gossip's sockets may.
 *
 * Nothing waits for who reads them: what a full pipe, a terminal or a disk does
 * not take is dropped, and the next line that is taken comes after one that says
 * how many there were.
 *
 * Thread: any. One write(2) a line, so lines never mix. */
#ifndef PX_NOTE_H
#define PX_NOTE_H

#include <stdint.h>

enum px_note_level {
    PX_NOTE_NONE = -1, /* of px_note_init alone: nothing is noted */
    PX_NOTE_ERROR,
    PX_NOTE_WARN,
    PX_NOTE_INFO,
    PX_NOTE_DEBUG,
};

/* "error", "warn", "info", "debug" to a level; -EINVAL for another word. */
int px_note_level_parse(const char *word, enum px_note_level *level_out);

/* Before the threads start. @node is copied. Lines go from now on where standard
 * error goes now. */
void px_note_init(enum px_note_level level, const char *node);
/* The term that lines carry from now on. */
void px_note_set_term(uint64_t term);

void px_note(enum px_note_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
