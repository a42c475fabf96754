/* What is noted on standard error, for tests that look for it. */
#ifndef TESTS_LIB_NOTED_H
#define TESTS_LIB_NOTED_H

/* Calls @act, and gathers what is noted meanwhile, until the next call. Returns
 * what @act does. */
int noted_while(int (*act)(void *ctx), void *ctx);
/* How often that has @words in it. */
unsigned noted_count(const char *words);

#endif
