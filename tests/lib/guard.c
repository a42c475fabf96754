#include "tests/lib/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/process.h"

#define NOTES_SHOWN_BYTES 3000
#define GRACE_MS 5000

/* In memory that the test and the guard share. */
struct guard {
    char dir[GUARD_PATH_MAX];
    struct {
        _Atomic pid_t pid;
        char mount[GUARD_PATH_MAX];
        char notes[GUARD_PATH_MAX];
    } servers[GUARD_SERVERS_MAX];
    int alive; /* the test's end of a pipe that closes with it */
    pid_t test;
    pid_t pid;
};

static void kill_servers(struct guard *g)
{
    for (int i = 0; i < GUARD_SERVERS_MAX; i++) {
        pid_t pid = atomic_load(&g->servers[i].pid);

        if (pid > 0)
            (void)kill(pid, SIGKILL); /* gone already: fine */
    }
}

/* A mount may lie on another that was left: all are taken off. */
static void unmount_all(struct guard *g)
{
    for (int i = 0; i < GUARD_SERVERS_MAX; i++) {
        if (g->servers[i].mount[0] == '\0')
            continue;
        while (umount2(g->servers[i].mount, MNT_DETACH) == 0)
            continue;
    }
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path); /* what can't be removed shows in its folder */
    return 0;
}

static void clean(struct guard *g)
{
    kill_servers(g);
    unmount_all(g);
    (void)nftw(g->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void print_tail(const char *name, const char *path)
{
    char text[NOTES_SHOWN_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    ssize_t n = 0;

    if (end > 0)
        n = pread(fd, text, NOTES_SHOWN_BYTES,
                  end > NOTES_SHOWN_BYTES ? end - NOTES_SHOWN_BYTES : 0);
    text[n > 0 ? n : 0] = '\0';
    (void)fprintf(stderr, "--- %s\n%s", name, text);
    if (fd >= 0)
        (void)close(fd);
}

void guard_print_notes(const struct guard *g)
{
    for (int i = 0; i < GUARD_SERVERS_MAX; i++) {
        if (g->servers[i].notes[0] != '\0')
            print_tail(strrchr(g->servers[i].notes, '/') + 1,
                       g->servers[i].notes);
    }
    (void)fflush(stderr);
}

/* The guard's life. The pipe closes when the last of the test and its forked
 * workers is gone. */
static _Noreturn void watch(struct guard *g, int pipe_fd, unsigned seconds_max)
{
    struct pollfd test = {.fd = pipe_fd, .events = POLLIN};

    (void)setpgid(0, 0); /* who ends the test's group spares us */
    if (poll(&test, 1, (int)seconds_max * 1000) == 0) {
        (void)fprintf(stderr, "guard: not done within %u s: killing it\n",
                      seconds_max);
        guard_print_notes(g);
        kill_servers(g); /* frees whoever is stuck in a mount */
        if (poll(&test, 1, GRACE_MS) == 0)
            (void)kill(g->test, SIGKILL);
    }
    clean(g);
    _exit(0);
}

struct guard *guard_start(unsigned seconds_max)
{
    const char *tmp = getenv("TMPDIR");
    struct guard *g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[2];

    if (g == MAP_FAILED)
        return NULL;
    (void)snprintf(g->dir, sizeof g->dir, "%s/phalanx-test-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(g->dir) == NULL || pipe2(ends, O_CLOEXEC) < 0) {
        (void)munmap(g, sizeof *g);
        return NULL;
    }
    g->test = getpid();
    (void)fflush(NULL);
    g->pid = fork();
    if (g->pid == 0) {
        (void)close(ends[1]);
        watch(g, ends[0], seconds_max);
    }
    (void)close(ends[0]);
    g->alive = ends[1];
    return g;
}

const char *guard_dir(const struct guard *g)
{
    return g->dir;
}

void guard_set_pid(struct guard *g, int i, pid_t pid)
{
    atomic_store(&g->servers[i].pid, pid);
}

void guard_set_paths(struct guard *g, int i, const char *mount,
                     const char *notes)
{
    (void)snprintf(g->servers[i].mount, GUARD_PATH_MAX, "%s", mount);
    (void)snprintf(g->servers[i].notes, GUARD_PATH_MAX, "%s", notes);
}

void guard_end(struct guard *g)
{
    if (g == NULL)
        return;
    kill_servers(g);
    for (int i = 0; i < GUARD_SERVERS_MAX; i++) {
        if (g->servers[i].pid > 0)
            (void)waitpid(g->servers[i].pid, NULL, 0);
        guard_set_pid(g, i, 0);
    }
    clean(g);
    (void)close(g->alive);
    if (g->pid > 0) { /* forked workers may still hold the pipe open */
        (void)kill(g->pid, SIGKILL);
        (void)waitpid(g->pid, NULL, 0);
    }
    (void)munmap(g, sizeof *g);
}
