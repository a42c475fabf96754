/* Files whose bytes are known, and a process that looks at them through the
 * mount of a node that is not well: it installs a snapshot, or is being healed.
 * Whatever it is answered has to be right, and each of the kernel's requests is
 * answered, or refused, by its deadline. A call is a few of them: see watch.c.
 *
 *   watch_new ─▶ watch_write ─▶ watch_note_names ─▶ watch_begin ... watch_end
 *                    ▲                                                  │
 *                    └──────────────────────────────────────────────────┘
 *             ─▶ watch_free */
#ifndef TESTS_CLUSTER_WATCH_H
#define TESTS_CLUSTER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct watch;

struct watch_options {
    const char *path; /* of the mount; it may come, and go, and come again */
    unsigned request_ms_max; /* a request's deadline */
    unsigned slack_ms;       /* how far a call may overrun its requests' */
    bool may_break;          /* the node may end, or find bytes damaged */
};

/* @files of 1 MiB each, large-0 and so on. */
struct watch *watch_new(unsigned files);
/* Writes @mib MiB into them, one after the other, over and over; @mount: an
 * openat(2) descriptor of the root. All of them must be written in the end. */
void watch_write(struct watch *w, int mount, unsigned mib,
                 struct px_rand *rand);
/* What lies in the root now has to be there in each listing from now on, and
 * with it no more than what a load makes (load.h). */
void watch_note_names(struct watch *w, int mount);

/* Looks, whenever there is a mount. */
void watch_begin(struct watch *w, const struct watch_options *options);
/* When the node is well: ends once something has been answered. Fails the test
 * if an answer was wrong or late. */
void watch_end(struct watch *w);
/* Files and listings that were answered whole, over all watches. */
uint64_t watch_answers(const struct watch *w);
/* Prints what was seen, in one line. */
void watch_print(const struct watch *w);
void watch_free(struct watch *w);

#endif
