/* The mount point, before it is mounted on. A server that was killed leaves a
 * mount behind that answers everything with ENOTCONN: it is detached here. A
 * mount that answers belongs to somebody. */
#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/note.h"
#include "base/text.h"

#define FUSE_MAGIC 0x65735546 /* FUSE_SUPER_MAGIC: not in the C library */
#define STALE_MAX 16          /* mounts on top of each other */

static int refuse(char *why, size_t why_size, int rc, const char *path,
                  const char *reason)
{
    struct px_text text;

    px_text_init(&text, why, why_size);
    px_text_add(&text, "mount point %s %s", path, reason);
    return rc;
}

static bool is_stale(int error)
{
    return error == ENOTCONN || error == ECONNABORTED;
}

/* As root at once; for others fusermount3 may do it. */
static int detach(const char *path)
{
    char *const argv[] = {"fusermount3", "-u",         "-z", "-q",
                          "--",          (char *)path, NULL};
    int status;
    pid_t pid;
    int rc;

    if (umount2(path, MNT_DETACH) == 0)
        return 0;
    if (errno != EPERM)
        return -errno;
    rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (rc != 0)
        return -rc;
    if (waitpid(pid, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int clear_stale(const char *path, char *why, size_t why_size)
{
    struct stat st;
    int rc;

    for (int i = 0; i < STALE_MAX; i++) {
        if (stat(path, &st) == 0 || !is_stale(errno))
            return 0;
        rc = detach(path);
        if (rc < 0)
            return refuse(why, why_size, rc, path,
                          "has a stale mount that can't be unmounted; "
                          "try fusermount3 -u -z on it");
        px_note(PX_NOTE_INFO, "fs: stale mount detached path=%s", path);
    }
    return refuse(why, why_size, -EBUSY, path, "has too many stale mounts");
}

/* The root of a FUSE mount: another device than the folder it is in. */
static int is_mounted(const char *path, const struct stat *st)
{
    struct statfs fs;
    struct stat up;
    char *parent;
    int rc;

    if (asprintf(&parent, "%s/..", path) < 0)
        return -ENOMEM;
    rc = stat(parent, &up) < 0 || statfs(path, &fs) < 0 ? -errno : 0;
    free(parent);
    if (rc < 0)
        return rc;
    return st->st_dev != up.st_dev && fs.f_type == FUSE_MAGIC;
}

static int is_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool empty = true;

    if (dir == NULL)
        return -errno;
    while (empty && (entry = readdir(dir)) != NULL)
        empty =
            strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(dir); /* it was only read */
    return empty;
}

static int check(const char *path, char *why, size_t why_size)
{
    struct stat st;
    int rc;

    if (stat(path, &st) < 0) {
        rc = -errno;
        return refuse(why, why_size, rc, path,
                      rc == -ENOENT ? "does not exist; create it first"
                                    : px_strerror(rc));
    }
    if (!S_ISDIR(st.st_mode))
        return refuse(why, why_size, -ENOTDIR, path, "is not a directory");
    rc = is_mounted(path, &st);
    if (rc > 0)
        return refuse(why, why_size, -EBUSY, path,
                      "is mounted already; is another server running?");
    if (rc == 0) {
        rc = is_empty(path);
        if (rc == 0)
            return refuse(why, why_size, -ENOTEMPTY, path,
                          "is not empty; choose an empty directory");
    }
    return rc < 0 ? refuse(why, why_size, rc, path, px_strerror(rc)) : 0;
}

int fs_mountpoint_prepare(const char *path, char **real_out, char *why,
                          size_t why_size)
{
    char *real;
    int rc;

    rc = clear_stale(path, why, why_size);
    if (rc < 0)
        return rc;
    rc = check(path, why, why_size);
    if (rc < 0)
        return rc;
    real = realpath(path, NULL);
    if (real == NULL) {
        rc = -errno;
        return refuse(why, why_size, rc, path, px_strerror(rc));
    }
    *real_out = real;
    return 0;
}
