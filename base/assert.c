#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void px_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "phalanx: assertion failed: %s (%s:%d)\n", condition,
                  file, line); /* nothing is left to do if this fails too */
    abort();
}
