/* See rebuild_folder.h. What is in the folder decides:
 *
 *   an identity, or its copy               a node's: left alone
 *   the mark                               of a run that was cut short
 *   nothing, or empty folders, and a lock  new
 *   anything else                          somebody's: left alone */
#include "cli/rebuild_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/rebuild.h"

static const char mark_text[] =
    "phalanx recover has not finished this folder: run it again\n";

/* Made by a start, or by us, before anything is kept. */
static bool is_frame(const char *name)
{
    static const char *const names[] = {".",     "..",       "lock",      "log",
                                        "state", "snapshot", "lost+found"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_there(int dir, const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1: @dir/@name holds a name that is not allowed there; 0: it does not, or is
 * not there. */
static int has_more(int dir, const char *name, bool (*is_allowed)(const char *))
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    int found = 0;

    if (d == NULL) {
        found = errno == ENOENT ? 0 : -errno;
        if (fd >= 0)
            (void)close(fd); /* only read */
        return found;
    }
    errno = 0;
    while (found == 0 && (e = readdir(d)) != NULL)
        found = !is_allowed(e->d_name);
    if (found == 0)
        found = -errno;
    (void)closedir(d); /* only read */
    return found;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The mark's own beginning is nothing yet. */
static bool is_dot_or_mark(const char *name)
{
    return is_dot(name) || strcmp(name, REBUILD_MARK ".new") == 0;
}

static int has_content(int dir)
{
    int rc = has_more(dir, ".", is_frame);

    if (rc == 0)
        rc = has_more(dir, "log", is_dot);
    if (rc == 0)
        rc = has_more(dir, "state", is_dot);
    return rc == 0 ? has_more(dir, "snapshot", is_dot_or_mark) : rc;
}

static int judge(int fd, const char *dir, char why[DATA_WHY_BYTES])
{
    int rc;

    if (is_there(fd, "identity") || is_there(fd, "identity.copy")) {
        (void)snprintf(why, DATA_WHY_BYTES,
                       "%s is a node's data folder already: write another, "
                       "which is empty or not there",
                       dir);
        return -EEXIST;
    }
    if (is_there(fd, "snapshot/" REBUILD_MARK))
        return 0;
    rc = has_content(fd);
    if (rc > 0) {
        (void)snprintf(why, DATA_WHY_BYTES,
                       "%s is not empty: write another, which is empty or not "
                       "there",
                       dir);
        return -EEXIST;
    }
    return rc < 0 ? data_say(why, dir, rc) : 0;
}

/* -ENOENT, without a sentence: it is not there. */
static int open_folder(const char *dir, char why[DATA_WHY_BYTES])
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    return errno == ENOENT ? -ENOENT : data_say(why, dir, -errno);
}

int rebuild_check(const char *dir, char why[DATA_WHY_BYTES])
{
    int fd = open_folder(dir, why);
    int rc;

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    rc = judge(fd, dir, why);
    (void)close(fd); /* only read */
    return rc;
}

/* ---- What an interrupted run has left ---- */

static bool is_kept(const FTSENT *e)
{
    return strcmp(e->fts_name, REBUILD_MARK) == 0 &&
           strcmp(e->fts_parent->fts_name, "snapshot") == 0;
}

/* All that is in log/, state/ and snapshot/ but the mark, and what a log keeps
 * beside it. */
static int remove_parts(const char *dir)
{
    static const char *const names[] = {"log",  "state",    "snapshot",
                                        "term", "term.new", "identity.new"};
    char paths[sizeof names / sizeof names[0]][PATH_MAX];
    char *list[sizeof names / sizeof names[0] + 1] = {NULL};
    FTS *tree;
    FTSENT *e;
    int rc = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (snprintf(paths[i], PATH_MAX, "%s/%s", dir, names[i]) >= PATH_MAX)
            return -ENAMETOOLONG;
        list[i] = paths[i];
    }
    tree = fts_open(list, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (tree == NULL)
        return -errno;
    while (rc == 0 && (e = fts_read(tree)) != NULL) {
        bool is_folder = e->fts_info == FTS_DP;

        if (e->fts_info == FTS_D || e->fts_info == FTS_NS || is_kept(e) ||
            (is_folder && e->fts_level == 0))
            continue;
        if ((is_folder ? rmdir(e->fts_accpath) : unlink(e->fts_accpath)) < 0)
            rc = -errno;
    }
    (void)fts_close(tree); /* only read */
    return rc;
}

static int sync_folder(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fsync(fd) < 0)
        rc = -errno;
    (void)close(fd); /* a folder */
    return rc;
}

/* The rest is gone for good before the mark is. */
static int remove_all(int fd, const char *dir)
{
    static const char *const names[] = {".", "log", "state", "snapshot"};
    int rc = remove_parts(dir);

    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++)
        rc = sync_folder(fd, names[i]);
    if (rc == 0 && unlinkat(fd, "snapshot/" REBUILD_MARK, 0) < 0)
        rc = -errno;
    return rc == 0 ? sync_folder(fd, "snapshot") : rc;
}

static int remove_left(int fd, const char *dir)
{
    if (is_there(fd, "snapshot/" REBUILD_MARK))
        return remove_all(fd, dir);
    if (unlinkat(fd, "snapshot/" REBUILD_MARK ".new", 0) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

/* Of the folder that is open; another run may be at work on it. */
static int take_lock(int fd)
{
    int lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc;

    if (lock < 0)
        return -errno;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0)
        return lock;
    rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    (void)close(lock); /* not taken */
    return rc;
}

int rebuild_tidy(const char *dir, char why[DATA_WHY_BYTES])
{
    int fd = open_folder(dir, why);
    int lock;
    int rc;

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    rc = judge(fd, dir, why); /* before a lock is made in it */
    if (rc < 0)
        goto out;
    lock = take_lock(fd);
    if (lock < 0) {
        rc = data_say(why, dir, lock);
        goto out;
    }
    rc = judge(fd, dir, why); /* another run may have ended just now */
    if (rc == 0) {
        rc = remove_left(fd, dir);
        if (rc < 0)
            (void)data_say(why, dir, rc);
    }
    (void)close(lock); /* gives it back */
out:
    (void)close(fd); /* a folder */
    return rc;
}

/* ---- The mark ---- */

int rebuild_mark(struct store_disk *snapshots)
{
    return store_disk_replace(snapshots, REBUILD_MARK, REBUILD_MARK ".new",
                              mark_text, sizeof mark_text - 1);
}

int rebuild_unmark(struct store_disk *snapshots)
{
    int rc = snapshots->remove(snapshots, REBUILD_MARK);

    return rc == 0 ? snapshots->sync_dir(snapshots) : rc;
}
