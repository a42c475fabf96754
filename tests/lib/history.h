/* A history of what clients asked and were told, and the question whether one
 * single copy of the data could have answered so: is it linearizable (Herlihy
 * and Wing 1990)?
 *
 *   h = history_new();
 *   id = history_call(h, client, &op, now);    before the request leaves
 *   history_return(h, id, &result, now);       it was answered
 *   history_fail(h, id);                       or: it had no effect, for sure
 *                                              or neither: nobody knows
 *   switch (history_check(h, 0, &report)) ...  report.text says why
 *   history_free(h);
 *
 * An operation that nobody knows the outcome of (a timeout, a client that died)
 * may take effect at any moment after its call, or never. It is one, though: a
 * client that asks again under the same request id goes on with the same
 * operation; one that asks anew calls anew.
 *
 * Three kinds of objects, each kind numbering its own. All begin absent or
 * empty, so start with fresh ones.
 *
 *   verb       op                result
 *   registers
 *   WRITE      value             rc 0
 *   READ                         rc 0 and value, or -ENOENT
 *   DELETE                       rc 0, or -ENOENT
 *   lists
 *   APPEND     value, a token    rc 0
 *   LIST                         rc 0 and the tokens, in order
 *   names: a directory is one object, because a rename touches two names
 *   CREATE     name, value: id   rc 0 or -EEXIST   (a file, exclusively)
 *   MKDIR      name, value: id   rc 0 or -EEXIST   (it stays empty)
 *   UNLINK     name              rc 0, -ENOENT or -EISDIR
 *   RMDIR      name              rc 0, -ENOENT or -ENOTDIR
 *   RENAME     name, to          rc 0, -ENOENT, -EISDIR or -ENOTDIR
 *   LOOKUP     name              rc 0 and value: id or HISTORY_ANY; -ENOENT
 *
 * Values, tokens and ids are the caller's, never 0, and each is used by one
 * operation of its object alone: a value that was read names its write. What
 * else may come back without an effect (EAGAIN, EINTR, ENOSPC) is
 * history_fail; what may have had one (ETIMEDOUT) is left open. A result that
 * is not in the table is a violation.
 *
 * Unknown operations on registers and lists cost little. Each one on names may
 * double the work of all that comes later in that directory: go on in another
 * object after a dozen.
 *
 * Times are of any clock that all clients share. Operations that end and begin
 * at the same time count as overlapping: a simulator gives its step number,
 * which orders everything. Calls and returns may be recorded in any order.
 *
 * Thread:  one at a time; nothing of it is shared between histories.
 * Source:  Wing and Gong, "Testing and verifying concurrent objects", 1993;
 *          Lowe, "Testing for linearizability", 2017: just-in-time search over
 *          memoised configurations; Horn and Kroening, "Faster linearizability
 *          checking via P-compositionality", 2015: an object at a time. */
#ifndef TESTS_LIB_HISTORY_H
#define TESTS_LIB_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

#define HISTORY_NAMES_MAX 16 /* of one directory: 0 .. 15 */
#define HISTORY_ANY UINT64_MAX
#define HISTORY_ID_MAX (UINT64_MAX >> 1) /* and of values and tokens */
#define HISTORY_CONFIGS_MAX UINT64_C(20000000)
#define HISTORY_TEXT_BYTES 8192

enum history_verb {
    HISTORY_WRITE,
    HISTORY_READ,
    HISTORY_DELETE,
    HISTORY_APPEND,
    HISTORY_LIST,
    HISTORY_CREATE,
    HISTORY_MKDIR,
    HISTORY_UNLINK,
    HISTORY_RMDIR,
    HISTORY_RENAME,
    HISTORY_LOOKUP,
};

struct history_op {
    enum history_verb verb;
    uint64_t object;
    uint64_t value;
    unsigned name;
    unsigned to;
};

struct history_result {
    int rc;
    uint64_t value;
    const uint64_t *tokens; /* LIST: borrowed for the call */
    size_t token_count;
};

enum history_verdict {
    HISTORY_OK,
    HISTORY_VIOLATION,
    HISTORY_GAVE_UP, /* beyond the bound: nothing is known. Not a success. */
};

struct history_report {
    size_t object_count;
    size_t op_count;       /* without those that failed */
    size_t unknown_count;  /* of them, outcome unknown */
    size_t gave_up_count;  /* objects */
    uint64_t config_count; /* configurations looked at: what the check cost */
    /* The first violation, or else the first object given up, as lines for a
     * person: what could not be answered so, what was under way, what had been
     * answered just before, what the object could have held. Empty when OK. */
    char text[HISTORY_TEXT_BYTES];
};

struct history;

/* Out of memory ends the test, here and below. */
struct history *history_new(void);
void history_free(struct history *h);

/* The id of the operation, for one of the two below, or none. @client is for
 * the report alone. */
size_t history_call(struct history *h, int client, const struct history_op *op,
                    px_ns time);
/* It was answered with @result at @time >= that of the call. */
void history_return(struct history *h, size_t id,
                    const struct history_result *result, px_ns time);
/* It had no effect and never will: as if it had not been called. */
void history_fail(struct history *h, size_t id);

/* Looks at each object, with at most @configs_max configurations for each (0:
 * HISTORY_CONFIGS_MAX), some 100 ns each. A violation anywhere outweighs having
 * given up elsewhere. The history stays as it is, and may be added to. */
enum history_verdict history_check(const struct history *h,
                                   uint64_t configs_max,
                                   struct history_report *report_out);

/* "c3 #17 [100, 160] write(5): 0", for other reports; @text is terminated. */
void history_text(const struct history *h, size_t id, char *text, size_t size);
/* "write" */
const char *history_verb_text(enum history_verb verb);

#endif
