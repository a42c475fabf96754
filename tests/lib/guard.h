/* A process that outlives a test to tidy up after it: however the test ends,
 * by an assertion, a signal or a time limit, its servers are killed, its mounts
 * are unmounted and its folder is removed. A test that is stuck inside a mount
 * is freed in the same way, by the end of the server. */
#ifndef TESTS_LIB_GUARD_H
#define TESTS_LIB_GUARD_H

#include <sys/types.h>

#define GUARD_SERVERS_MAX 9
#define GUARD_PATH_MAX 256

struct guard;

/* A new folder under TMPDIR, or /tmp, and the process that watches over it for
 * @seconds_max. NULL: neither. One at a time. */
struct guard *guard_start(unsigned seconds_max);
/* The folder's path. */
const char *guard_dir(const struct guard *g);

/* What is there now. Slot @i holds one server; pid 0: none. */
void guard_set_pid(struct guard *g, int i, pid_t pid);
/* @mount and @notes (a file) are inside the folder. */
void guard_set_paths(struct guard *g, int i, const char *mount,
                     const char *notes);

/* Prints the last notes of every server on standard error. */
void guard_print_notes(const struct guard *g);

/* Kills and unmounts what is left, removes the folder, and frees @g, which may
 * be NULL. Children of the caller are reaped. */
void guard_end(struct guard *g);

#endif
