#include "base/time.h"

#include <time.h>

px_ns px_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t); /* can't fail on Linux >= 2.6.39 */
    return (px_ns)t.tv_sec * PX_NS_PER_S + (px_ns)t.tv_nsec;
}
