/* Assertions that stay on in every build.
 *
 * Errors are for the world, assertions are for us: a false belief of our own
 * stops this replica, and the others carry on with the data intact. Never
 * assert what came from a disk, a peer, the kernel or a user. */
#ifndef PX_ASSERT_H
#define PX_ASSERT_H

#include <stdbool.h>

/* Ends the process with the condition, the place, and a core. */
_Noreturn void px_assert_failed(const char *condition, const char *file,
                                int line);

#define px_assert(condition) \
    ((condition) ? (void)0 : px_assert_failed(#condition, __FILE__, __LINE__))

/* "If a then b", for invariants. */
#define px_implies(a, b) (!(a) || (b))

#endif
