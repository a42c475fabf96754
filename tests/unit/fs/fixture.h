/* A mount on a local port, served by a thread of the test, and other processes
 * that use it when they are told to. */
#ifndef TESTS_UNIT_FS_FIXTURE_H
#define TESTS_UNIT_FS_FIXTURE_H

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
#include <unistd.h>

#include "tests/lib/local_port.h"

/* One at a time: the working directory is the mount's root. */
extern struct local_port *port;
extern char mount_dir[128];
extern char state_dir[128];

int mount_setup(void **state);
int mount_setup_strict(void **state);
int mount_teardown(void **state);
/* Only the directories, nothing mounted. */
int folders_setup(void **state);
int folders_teardown(void **state);

#define mount_test(name) \
    cmocka_unit_test_setup_teardown(name, mount_setup, mount_teardown)
#define strict_test(name) \
    cmocka_unit_test_setup_teardown(name, mount_setup_strict, mount_teardown)
#define folders_test(name) \
    cmocka_unit_test_setup_teardown(name, folders_setup, folders_teardown)

/* What the mount has proposed since the last look: local_port_trace. */
void assert_trace(const char *expected);
void assert_text(const char *path, const char *text);
/* A file, made by the mount, and forgotten by the trace. */
void put(const char *path, const char *text);
/* A file with @text as another node makes it; -errno. */
int put_remotely(const char *name, const char *text, uint32_t mode);
/* Another node exchanges two names in the root. */
void exchange_remotely(const char *name, const char *other);
void write_text(int fd, const char *text);
#define TO_WRITE (O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC)
int open_to_write(const char *path);
void close_fd(int fd);
/* Until the mount has begun @count requests more than @before. */
uint64_t requests_begun(void);
void await_requests(uint64_t before, uint64_t count);
/* Until @count requests wait for the port. */
void await_stuck(unsigned count);

/* ---- Other processes ---- */

struct actor; /* a child of the test: to the mount's opener, a stranger */

enum act {
    ACT_OPEN,        /* value: flags; the actor keeps the descriptor */
    ACT_CLOSE,       /* what it has open */
    ACT_WRITE,       /* text, to what it has open */
    ACT_READ,        /* open(path), read, close: into text */
    ACT_FSTAT,       /* of what it has open; value: the size */
    ACT_STAT,        /* of path; value: the size */
    ACT_LIST,        /* path; value: how many names without dots */
    ACT_CHILD_FSTAT, /* ACT_FSTAT, in a child of the actor */
    ACT_MKDIR,
    ACT_RMDIR,
    ACT_RENAME, /* path: of "old" to "new", one blank between them */
    ACT_FSYNC,  /* of what it has open */
};

struct act_result {
    int error; /* 0 or an errno */
    int64_t value;
    char text[64];
};

struct actor *actor_new(uid_t uid);
/* In @group too, unless it is 0. */
struct actor *actor_new_in(uid_t uid, gid_t group);
void actor_free(struct actor *a);
/* Tells @a what to do, and takes how it went; _do is both. */
void actor_tell(struct actor *a, enum act act, const char *path, int value);
struct act_result actor_answer(struct actor *a);
struct act_result actor_do(struct actor *a, enum act act, const char *path,
                           int value);
/* A signal that interrupts what it is doing. */
void actor_interrupt(struct actor *a);

#endif
