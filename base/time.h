/* Time as a number: nanoseconds of CLOCK_BOOTTIME, which runs on while the
 * machine sleeps. Only node/ and cli/ read the clock; the cores are told. */
#ifndef PX_TIME_H
#define PX_TIME_H

#include <stdint.h>

typedef uint64_t px_ns;

#define PX_NS_NEVER UINT64_MAX
#define PX_NS_PER_US UINT64_C(1000)
#define PX_NS_PER_MS UINT64_C(1000000)
#define PX_NS_PER_S UINT64_C(1000000000)

px_ns px_now(void);

#endif
