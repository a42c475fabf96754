/* A command in this process, and what it said. */
#ifndef TESTS_UNIT_CLI_RUN_H
#define TESTS_UNIT_CLI_RUN_H

#include "cli/cli.h"

#define RUN_TEXT_BYTES 16384

struct run {
    /* Given: all zero is no input, no terminal, an empty environment. */
    const char *input;
    bool is_terminal;
    const char *variable; /* "NAME=value" */
    /* Found. */
    enum cli_status status;
    char out[RUN_TEXT_BYTES];
    char err[RUN_TEXT_BYTES];
};

/* cli_main with "phalanx" and @words, which end with NULL. Fails the test
 * unless what was said goes with the status: nothing on @err where all is
 * done and nobody was asked, one line there otherwise. */
void run(struct run *r, const char *const *words);
#define RUN(r, ...) run(r, (const char *const[]){__VA_ARGS__, NULL})

#endif
