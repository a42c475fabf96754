/* A history as a file that grows while it happens: a line for each operation
 * that is over, whoever made it. It outlives whatever goes wrong, and can be
 * checked again: tests/lib/check_history FILE.
 *
 *   client call done verb object value name to fate rc result [token...]
 *   3 1700 1760 read 12 0 0 0 answered 0 41
 *
 * Times are nanoseconds. Fate: answered, none (no effect), unknown. */
#ifndef TESTS_LIB_HISTORY_FILE_H
#define TESTS_LIB_HISTORY_FILE_H

#include <stdio.h>

#include "tests/lib/history.h"

#define HISTORY_FILE_TOKENS_MAX 4096u /* of one LIST */

enum history_outcome {
    HISTORY_ANSWERED,
    HISTORY_NO_EFFECT,
    HISTORY_UNKNOWN,
};

struct history_line {
    int client;
    px_ns call;
    px_ns done; /* or when it was given up */
    struct history_op op;
    enum history_outcome outcome;
    struct history_result result;
};

/* Appends one line by one write(2): several processes may share @fd, if it is
 * open with O_APPEND. 0 or -errno; -EMSGSIZE: too many tokens. */
int history_file_append(int fd, const struct history_line *line);

/* Adds all lines of @file to @h. 0, -errno, or -EBADMSG: line *@line_out makes
 * no sense. */
int history_file_read(FILE *file, struct history *h, unsigned *line_out);

#endif
