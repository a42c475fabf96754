#include "tests/lib/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define READ_BYTES 65536

static int add_folder(struct tree *t, int fd);

static void add_bytes(struct tree *t, const void *data, size_t size)
{
    t->digest = XXH64(data, size, t->digest);
}

static int add_file(struct tree *t, int fd)
{
    char bytes[READ_BYTES];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        add_bytes(t, bytes, (size_t)n);
        t->bytes += (uint64_t)n;
    }
    return n < 0 ? -errno : 0;
}

static int add_opened(struct tree *t, int dir_fd, const char *name, bool folder)
{
    int fd =
        openat(dir_fd, name,
               O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (folder ? O_DIRECTORY : 0));
    int rc;

    if (fd < 0)
        return -errno;
    if (folder)
        return add_folder(t, fd); /* closes it */
    rc = add_file(t, fd);
    (void)close(fd);
    return rc;
}

static int add_entry(struct tree *t, int dir_fd, const char *name)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    add_bytes(t, name, strlen(name) + 1);
    add_bytes(t, &st.st_mode, sizeof st.st_mode);
    add_bytes(t, &st.st_ino, sizeof st.st_ino);
    add_bytes(t, &st.st_nlink, sizeof st.st_nlink);
    add_bytes(t, &st.st_size, sizeof st.st_size);
    add_bytes(t, &st.st_mtim, sizeof st.st_mtim);
    t->entries++;
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
        return add_opened(t, dir_fd, name, S_ISDIR(st.st_mode));
    if (!S_ISLNK(st.st_mode))
        return 0;
    n = readlinkat(dir_fd, name, target, sizeof target);
    if (n < 0)
        return -errno;
    add_bytes(t, target, (size_t)n);
    return 0;
}

/* Sorted by name, so that the order of a listing does not count. */
static int add_folder(struct tree *t, int fd)
{
    struct dirent **entries = NULL;
    int count = scandirat(fd, ".", &entries, NULL, alphasort);
    int rc = count < 0 ? -errno : 0;

    for (int i = 0; i < count; i++) {
        if (rc == 0 && strcmp(entries[i]->d_name, ".") != 0 &&
            strcmp(entries[i]->d_name, "..") != 0)
            rc = add_entry(t, fd, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    (void)close(fd);
    return rc;
}

int tree_digest(int dir_fd, struct tree *tree_out)
{
    struct tree t = {0};
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : add_folder(&t, fd);

    if (rc == 0)
        *tree_out = t;
    return rc;
}

/* For nftw, which has no context. */
static uint64_t disk_bytes;

static int add_room(const char *path, const struct stat *st, int type,
                    struct FTW *place)
{
    (void)path; /* all count */
    (void)place;
    if (type == FTW_F)
        disk_bytes += (uint64_t)st->st_blocks * 512;
    return 0;
}

uint64_t tree_disk_bytes(const char *path)
{
    disk_bytes = 0;
    (void)nftw(path, add_room, 16, FTW_PHYS); /* what fails is gone */
    return disk_bytes;
}
