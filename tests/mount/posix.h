/* POSIX behaviour, tested from outside: `mount_posix [-q] DIR` runs in any
 * directory of a mount, whoever serves it; -q makes what is large smaller. Each test begins in an empty directory of its
 * own and may leave anything behind there.
 *
 * Root is needed, for other users and for chown. */
#ifndef TESTS_MOUNT_POSIX_H
#define TESTS_MOUNT_POSIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* An ordinary user, who owns nothing. */
#define STRANGER 4242

/* The call succeeds; -1 and this very errno. */
#define assert_ok(call) assert_ok_at(call, #call, __FILE__, __LINE__)
#define assert_fails(call, error) \
    assert_fails_at(call, error, #call, __FILE__, __LINE__)

int assert_ok_at(int rc, const char *call, const char *file, int line);
void assert_fails_at(int rc, int error, const char *call, const char *file,
                     int line);

/* Whole files. */
void put(const char *path, const char *text);
void assert_text(const char *path, const char *text);
int open_file(const char *path, int flags);
void close_file(int fd);
struct stat stat_of(const char *path);
bool exists(const char *path);

/* Runs @fn in a child, as @uid with no other group; its result, 0..127. */
int as_user(uid_t uid, int (*fn)(void));
/* A shell command's exit status. */
int shell(const char *command);

/* The directory that the tests were given. */
extern char posix_root[4096];
/* How large is large. */
extern int posix_many_names;
extern size_t posix_big_mib;

int posix_setup(void **state);
int posix_teardown(void **state);

#define posix_test(name) \
    cmocka_unit_test_setup_teardown(name, posix_setup, posix_teardown)

int posix_names(void);
int posix_lists(void);
int posix_files(void);
int posix_attributes(void);
int posix_programs(void);
int posix_status(void);

#endif
