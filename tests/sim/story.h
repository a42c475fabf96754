/* One run: a storm; perhaps a time with a core only; calm; the checks. */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

#include "tests/sim/world.h"

/* Comes back if nothing was violated: world_fail ends the process. */
void story_run(struct world *w);

#endif
