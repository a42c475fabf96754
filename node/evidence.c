#include "node/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "diverged"
#define KEPT "diverged-" /* and the index */
#define MARK_FORMAT "index=%llu own=%016llx others=%016llx heir=%llu\n"
#define MARK_SCAN "index=%llu own=%llx others=%llx heir=%llu"
#define PATH_BYTES (PATH_MAX + 64)
#define DESCRIPTORS 4 /* that a walk may hold open */

/* ---- What is kept ---- */

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *place)
{
    (void)st; /* all go */
    (void)type;
    (void)place;
    return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_below(const char *path)
{
    int rc = nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);

    if (rc != -1)
        return rc;
    return errno == ENOENT ? 0 : -errno;
}

int evidence_drop(const char *state_dir)
{
    DIR *dir = opendir(state_dir);
    const struct dirent *e;
    char path[PATH_BYTES];
    bool was_there = false;
    int rc = 0;

    if (dir == NULL)
        return -errno;
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, KEPT, strlen(KEPT)) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", state_dir,
                       e->d_name); /* cut: it is not found */
        rc = remove_below(path);
        was_there = true;
    }
    (void)closedir(dir); /* only read */
    return rc < 0 ? rc : was_there;
}

/* ---- The mark ---- */

static int write_synced(int dir, const char *name, const char *text)
{
    size_t size = strlen(text);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;
    int rc = 0;

    if (fd < 0)
        return -errno;
    n = write(fd, text, size);
    if (n < 0)
        rc = -errno;
    else if ((size_t)n != size)
        rc = -ENOSPC;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    (void)close(fd); /* what counts has been synced */
    return rc;
}

/* It need not be whole to count, so it is written in place; and it goes first:
 * what is kept may be large. */
int evidence_mark(const char *state_dir, const struct replica_divergence *d,
                  raft_index heir)
{
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char text[128];
    int rc;

    if (dir < 0)
        return -errno;
    (void)snprintf(text, sizeof text, MARK_FORMAT, (unsigned long long)d->index,
                   (unsigned long long)d->own, (unsigned long long)d->others,
                   (unsigned long long)heir); /* always fits */
    rc = write_synced(dir, MARK, text);
    if (rc == 0 && fsync(dir) < 0)
        rc = -errno;
    (void)close(dir); /* only looked at */
    if (rc == 0)
        rc = evidence_drop(state_dir);
    return rc < 0 ? rc : 0;
}

static int remove_mark(const char *mark)
{
    return unlink(mark) < 0 && errno != ENOENT ? -errno : 0;
}

int evidence_read(const char *state_dir, struct replica_divergence *d_out,
                  raft_index *heir_out)
{
    unsigned long long index, own, others, heir;
    char path[PATH_BYTES];
    FILE *file;
    int n;

    *heir_out = 0;
    *d_out = (struct replica_divergence){0};
    (void)snprintf(path, sizeof path, "%s/" MARK, state_dir); /* always fits */
    file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? 0 : -errno;
    n = fscanf(file, MARK_SCAN, &index, &own, &others, &heir);
    if (n >= 3 && index > 0) { /* an older program names no heir */
        *d_out = (struct replica_divergence){index, own, others};
        *heir_out = n == 4 ? heir : 0;
    } else {
        d_out->index = 1;
    }
    (void)fclose(file); /* only read */
    return 0;
}

int evidence_forget(const char *state_dir)
{
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[PATH_BYTES];
    int rc;

    if (dir < 0)
        return -errno;
    (void)snprintf(path, sizeof path, "%s/" MARK, state_dir); /* always fits */
    rc = remove_mark(path);
    if (rc == 0 && fsync(dir) < 0)
        rc = -errno;
    (void)close(dir); /* only looked at */
    return rc;
}

int evidence_keep(const char *state_dir, const char *folder, raft_index index)
{
    char mark[PATH_BYTES];
    char kept[PATH_BYTES];
    char beside[PATH_BYTES + sizeof MARK];

    (void)snprintf(mark, sizeof mark, "%s/" MARK, state_dir); /* always fits */
    (void)snprintf(kept, sizeof kept, "%s/" KEPT "%llu", state_dir,
                   (unsigned long long)index);               /* likewise */
    (void)snprintf(beside, sizeof beside, "%s/" MARK, kept); /* likewise */
    if (rename(folder, kept) < 0)
        return -errno;
    if (rename(mark, beside) == 0)
        return 0;
    /* There is no mark; or the state has gone at once, as its room is needed. */
    return errno == ENOENT ? remove_mark(mark) : -errno;
}
