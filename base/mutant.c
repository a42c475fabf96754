/* Which mutant is on. Only a build with -Dmutants=true has this file. */
#include "base/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum px_mutant px_mutant_on = PX_MUTANT_NONE;

static const struct {
    const char *name;
    enum px_mutant mutant;
} mutants[] = {
#define PX_MUTANT_ROW(name, text) {#name, PX_MUTANT_##name},
    PX_MUTANT_LIST(PX_MUTANT_ROW)
#undef PX_MUTANT_ROW
};

__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("PX_MUTANT");

    if (name == NULL)
        return;
    for (size_t i = 0; i < sizeof mutants / sizeof mutants[0]; i++) {
        if (strcmp(mutants[i].name, name) == 0) {
            px_mutant_on = mutants[i].mutant;
            return;
        }
    }
    (void)fprintf(stderr, "PX_MUTANT=%s: no such mutant\n", name);
    exit(2);
}
