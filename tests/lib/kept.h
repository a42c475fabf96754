/* A folder that stays when a test fails, for what it takes to find out why. It
 * is made in $KEPT, or /tmp. */
#ifndef TESTS_LIB_KEPT_H
#define TESTS_LIB_KEPT_H

#define KEPT_PATH_MAX 512

/* A new one, whose name begins with @name. Fails the test if it can't be made.*/
void kept_new(char path_out[KEPT_PATH_MAX], const char *name);
/* Copies a file, or a folder with all it holds, into it. What can't be copied is
 * told on standard error: the test has failed already. */
void kept_copy(const char *path, const char *from);
/* The test has passed. */
void kept_remove(const char *path);

#endif
