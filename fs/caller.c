/* Kinship of processes, from /proc. FUSE names the thread that asks, so the
 * process has to be looked up: programs open in one thread and write in
 * another. Reading /proc does not block, and happens only where a request meets
 * an open file that is staged. */
#include "fs/caller.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How far up a family is traced; shells nest less. */
#define GENERATIONS_MAX 16

struct kin {
    pid_t process; /* its thread group */
    pid_t parent;
};

/* The number behind "\n@word:"; 0 if it is not there. */
static pid_t field(const char *status, const char *word)
{
    const char *at = strstr(status, word);

    return at == NULL ? 0 : (pid_t)strtol(at + strlen(word), NULL, 10);
}

static bool read_kin(pid_t pid, struct kin *kin_out)
{
    char path[64];
    char status[1024]; /* both fields are in its first lines */
    ssize_t size;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid); /* fits */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size = read(fd, status, sizeof status - 1);
    (void)close(fd); /* nothing was written */
    if (size <= 0)
        return false;
    status[size] = '\0';
    kin_out->process = field(status, "\nTgid:");
    kin_out->parent = field(status, "\nPPid:");
    return kin_out->process > 0;
}

enum fs_kinship fs_kinship(pid_t pid, pid_t opener)
{
    struct kin self;
    struct kin other;

    if (pid == opener)
        return FS_SAME;
    if (pid == 0 || opener == 0 || !read_kin(opener, &other))
        return FS_STRANGER;
    for (int i = 0; i < GENERATIONS_MAX; i++) {
        if (pid <= 0 || !read_kin(pid, &self))
            return FS_STRANGER;
        if (self.process == other.process)
            return i == 0 ? FS_SAME : FS_CHILD;
        pid = self.parent;
    }
    return FS_STRANGER;
}
