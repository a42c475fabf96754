/* A case that can't run here says why: the summary of a run shows it. */
#ifndef TESTS_LIB_SKIP_H
#define TESTS_LIB_SKIP_H

#define skip_as(why)                                      \
    do {                                                  \
        print_message("             skipped: " why "\n"); \
        skip();                                           \
    } while (0)

#endif
