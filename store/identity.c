/* The data folder is made in an order that leaves no doubt after a crash:
 *
 *   folder ─▶ lock, taken ─▶ log/, state/, snapshot/ ─▶ (whatever time it
 *   takes to learn of the cluster) ─▶ identity ─▶ the log's first segment
 *   ─▶ has_log
 *
 * What interrupted changes have left (leftovers.h) goes once the lock is taken and
 * the folder known to be ours, before anything is written.
 *
 * So where there is an identity there is a log/, and where there is none, log/
 * and state/ are empty: anything else is a folder that has lost a part, and is
 * refused rather than adopted. An identity is there when one of its two files is
 * (identity_file.h).
 *
 * The folders and the lock are the kernel's, which no simulator stands in for;
 * the identity itself is read and written through a store_disk. */
#include "store/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mutant.h"
#include "store/identity_file.h"
#include "store/leftovers.h"
#include "store/say.h"

struct store_folder {
    int fd;
    int lock_fd;
    struct store_disk *disk; /* the same folder, for the identity */
    bool has_identity;
    char *path;
    char *log;
    char *state;
    char *snapshot;
};

static int say_errno(struct px_text *why, const char *path, int rc)
{
    return store_say(why, rc, "%s: %s", path, px_strerror(rc));
}

/* Makes @path durable in the folder that holds it. */
static int sync_parent(const char *path)
{
    char *parent = strdup(path);
    char *slash;
    int rc = 0;
    int fd;

    if (parent == NULL)
        return -ENOMEM;
    slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    fd = open(slash != NULL ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        rc = -errno;
    (void)close(fd); /* a folder */
    return rc;
}

static int make_folder(const char *path)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return sync_parent(path);
}

/* mkdir -p. */
static int make_folders(const char *path)
{
    char *part = strdup(path);
    int rc = 0;

    if (part == NULL)
        return -ENOMEM;
    for (char *p = part + 1; *p != '\0' && rc == 0; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = make_folder(part);
        *p = '/';
    }
    if (rc == 0)
        rc = make_folder(part);
    free(part);
    return rc;
}

static int take_lock(struct store_folder *f, struct px_text *why)
{
    f->lock_fd = openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->lock_fd < 0)
        return say_errno(why, f->path, -errno);
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0 || px_mutant(FOLDER_UNLOCKED))
        return 0;
    if (errno != EWOULDBLOCK)
        return say_errno(why, f->path, -errno);
    return store_say(why, -EBUSY,
                     "another process uses the data folder %s: stop it, or "
                     "give this one a folder of its own",
                     f->path);
}

/* 1 if there is anything in @name, 0 if it is empty or not there. */
static int has_content(const struct store_folder *f, const char *name)
{
    const struct dirent *d;
    int found = 0;
    DIR *dir;
    int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    dir = fdopendir(fd);
    if (dir == NULL) {
        found = -errno;
        (void)close(fd); /* only read */
        return found;
    }
    while (found == 0) {
        errno = 0;
        d = readdir(dir);
        if (d == NULL) {
            found = -errno;
            break;
        }
        found = strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    }
    (void)closedir(dir); /* only read */
    return found;
}

/* A folder without an identity: it has to be one without data. */
static int check_empty(const struct store_folder *f, struct px_text *why)
{
    static const char *const names[] = {"log", "state", "snapshot"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int rc = has_content(f, names[i]);

        if (rc < 0)
            return say_errno(why, f->path, rc);
        if (rc > 0)
            return store_say(why, -PX_ECORRUPT,
                             "the data folder %s has data in %s/ but no "
                             "identity: restore the file, or use an empty "
                             "folder and a new node id",
                             f->path, names[i]);
    }
    return 0;
}

static int check_log(const struct store_folder *f,
                     const struct store_identity *id, struct px_text *why)
{
    int rc = id->has_log ? has_content(f, "log") : 1;

    if (rc < 0)
        return say_errno(why, f->path, rc);
    if (rc > 0 && faccessat(f->fd, "log", F_OK, 0) == 0)
        return 0;
    if (faccessat(f->fd, "term", F_OK, 0) == 0)
        return 0; /* the log says that it is lost, and begins anew */
    return store_say(why, -PX_ECORRUPT,
                     "the data folder %s has an identity but no log: restore "
                     "it, or use an empty folder and a new node id",
                     f->path);
}

/* The name says more than the id, which is a hash of it and of the voters. */
static int check_cluster(const struct store_folder *f,
                         const struct store_identity *id,
                         const struct store_folder_options *o,
                         struct px_text *why)
{
    if (px_mutant(CLUSTER_UNCHECKED))
        return 0;
    if (strcmp(id->cluster_name, o->cluster_name) != 0)
        return store_say(why, -PX_ECLUSTER,
                         "the data folder %s belongs to the cluster called "
                         "%s, but CLUSTER is %s: write the name that it was, "
                         "or use an empty folder and a new node id",
                         f->path, id->cluster_name, o->cluster_name);
    if (o->cluster != 0 && id->cluster != o->cluster)
        return store_say(why, -PX_ECLUSTER,
                         "the data folder %s belongs to cluster %016" PRIx64
                         ", this node is of cluster %016" PRIx64
                         ": are PEERS or CLUSTER not what they were?",
                         f->path, id->cluster, o->cluster);
    return 0;
}

/* A folder with an identity: it has to be ours, and complete. */
static int check_ours(const struct store_folder *f,
                      const struct store_identity *id,
                      const struct store_folder_options *o, struct px_text *why)
{
    int rc;

    if (strcmp(id->node, o->node) != 0)
        return store_say(why, -PX_ECLUSTER,
                         "the data folder %s belongs to node %s, this is "
                         "node %s",
                         f->path, id->node, o->node);
    rc = check_cluster(f, id, o, why);
    if (rc < 0)
        return rc;
    if (id->is_removed)
        return store_say(why, -PX_ECLUSTER,
                         "node %s has been removed from its cluster: it can't "
                         "come back under this id; to add this machine again, "
                         "start it with an empty data folder in place of %s "
                         "and a new NODE_ID",
                         id->node, f->path);
    return check_log(f, id, why);
}

/* Those of the options, which fit. */
static struct store_identity draft(const struct store_folder_options *o)
{
    struct store_identity id = {.format = STORE_FORMAT_VERSION,
                                .cluster = o->cluster};

    (void)strcpy(id.node, o->node);
    (void)strcpy(id.cluster_name, o->cluster_name);
    return id;
}

/* Reads what is there, checks it, and fills in this start's identity. */
static int learn_identity(struct store_folder *f,
                          const struct store_folder_options *o,
                          struct store_identity *id, struct px_text *why)
{
    int rc = identity_load(f->disk, f->path, id, why);

    f->has_identity = rc != -ENOENT;
    if (!f->has_identity) {
        *id = draft(o);
        return check_empty(f, why);
    }
    if (rc == 0)
        rc = check_ours(f, id, o, why);
    if (rc == 0)
        id->incarnation++;
    return rc;
}

static int write_folder(const struct store_folder *f,
                        const struct store_identity *id, struct px_text *why)
{
    int rc = 0;

    if (f->has_identity)
        store_leftovers_remove(f->path); /* they may have all the room */
    /* A start that was cut short may have made the folder and no more. Where
     * its parent may not be read, it was there before us. */
    if (!f->has_identity) {
        rc = sync_parent(f->path);
        if (rc == -EACCES)
            rc = 0;
    }
    if (rc == 0)
        rc = make_folder(f->log);
    if (rc == 0)
        rc = make_folder(f->state);
    if (rc == 0)
        rc = make_folder(f->snapshot);
    if (rc == 0 && f->has_identity)
        rc = identity_write(f->disk, id);
    return rc < 0 ? say_errno(why, f->path, rc) : 0;
}

static int open_locked(struct store_folder *f, struct px_text *why)
{
    int rc;

    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return say_errno(why, f->path, -errno);
    rc = store_disk_open(f->path, &f->disk);
    if (rc < 0)
        return say_errno(why, f->path, rc);
    return take_lock(f, why);
}

/* @dir without the slashes at its end, so that its parent can be told. */
static char *trimmed(const char *dir)
{
    size_t size = strlen(dir);

    while (size > 1 && dir[size - 1] == '/')
        size--;
    return strndup(dir, size);
}

static struct store_folder *folder_new(const char *dir)
{
    struct store_folder *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    f->fd = f->lock_fd = -1;
    f->path = trimmed(dir);
    if (f->path == NULL)
        goto fail;
    if (asprintf(&f->log, "%s/log", f->path) < 0) {
        f->log = NULL; /* it is undefined otherwise */
        goto fail;
    }
    if (asprintf(&f->state, "%s/state", f->path) < 0) {
        f->state = NULL;
        goto fail;
    }
    if (asprintf(&f->snapshot, "%s/snapshot", f->path) < 0) {
        f->snapshot = NULL;
        goto fail;
    }
    return f;
fail:
    store_folder_close(f);
    return NULL;
}

static bool is_name(const char *name)
{
    return *name != '\0' && strlen(name) <= PX_NODE_ID_BYTES_MAX;
}

static int check_options(const struct store_folder_options *o,
                         struct px_text *why)
{
    if (*o->dir != '\0' && is_name(o->node) && is_name(o->cluster_name))
        return 0;
    return store_say(why, -EINVAL,
                     "a data folder needs a path, and a node id and a "
                     "cluster's name of 1 to %u bytes",
                     PX_NODE_ID_BYTES_MAX);
}

int store_folder_open(const struct store_folder_options *options,
                      struct store_folder **folder_out,
                      struct store_identity *identity_out, bool *is_new_out,
                      char *why, size_t why_size)
{
    struct store_folder *f = NULL;
    struct store_identity id;
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    rc = check_options(options, &text);
    if (rc < 0)
        return rc;
    f = folder_new(options->dir);
    if (f == NULL)
        return store_say(&text, -ENOMEM, "out of memory");
    rc = make_folders(f->path);
    if (rc < 0) {
        (void)say_errno(&text, f->path, rc);
        goto fail;
    }
    rc = open_locked(f, &text);
    if (rc < 0)
        goto fail;
    rc = learn_identity(f, options, &id, &text);
    if (rc < 0)
        goto fail;
    rc = write_folder(f, &id, &text);
    if (rc < 0)
        goto fail;
    *folder_out = f;
    *identity_out = id;
    *is_new_out = !f->has_identity;
    return 0;
fail:
    store_folder_close(f);
    return rc;
}

/* Before the lock, which would be made. */
static int check_found(const struct store_folder *f, struct px_text *why)
{
    static const char *const names[] = {IDENTITY_NAME, IDENTITY_COPY};
    char *path;
    int rc = -ENOENT;

    for (size_t i = 0; rc == -ENOENT && i < 2; i++) {
        if (asprintf(&path, "%s/%s", f->path, names[i]) < 0)
            return store_say(why, -ENOMEM, "out of memory");
        rc = access(path, F_OK) < 0 ? -errno : 0;
        free(path);
    }
    if (rc == -ENOENT || rc == -ENOTDIR)
        return store_say(why, -ENOENT, "%s is not a data folder of a node",
                         f->path);
    return rc < 0 ? say_errno(why, f->path, rc) : 0;
}

int store_folder_open_found(const char *dir, struct store_folder **folder_out,
                            struct store_identity *identity_out, char *why,
                            size_t why_size)
{
    struct store_folder *f = folder_new(dir);
    struct store_identity id;
    struct px_text text;
    int rc;

    px_text_init(&text, why, why_size);
    if (f == NULL)
        return store_say(&text, -ENOMEM, "out of memory");
    rc = check_found(f, &text);
    if (rc == 0)
        rc = open_locked(f, &text);
    if (rc == 0)
        rc = identity_load(f->disk, f->path, &id, &text);
    if (rc == 0)
        rc = check_log(f, &id, &text);
    if (rc < 0) {
        store_folder_close(f);
        return rc;
    }
    why[0] = '\0'; /* of a file that is bad, which the next start mends */
    f->has_identity = true;
    *folder_out = f;
    *identity_out = id;
    return 0;
}

int store_folder_begin(struct store_folder *f, struct store_identity *identity)
{
    struct store_identity id = *identity;
    int rc;

    px_assert(!f->has_identity);
    id.incarnation++;
    rc = identity_write(f->disk, &id);
    if (rc < 0) {
        (void)f->disk->remove(f->disk, IDENTITY_COPY); /* it would be one */
        return rc;
    }
    f->has_identity = true;
    *identity = id;
    return 0;
}

int store_folder_update(struct store_folder *f,
                        const struct store_identity *identity)
{
    px_assert(f->has_identity);
    return identity_write(f->disk, identity);
}

void store_folder_close(struct store_folder *f)
{
    if (f == NULL)
        return;
    if (f->lock_fd >= 0)
        (void)close(f->lock_fd); /* gives the lock back */
    store_disk_close(f->disk);
    if (f->fd >= 0)
        (void)close(f->fd); /* a folder */
    free(f->path);
    free(f->log);
    free(f->state);
    free(f->snapshot);
    free(f);
}

struct store_disk *store_folder_disk(const struct store_folder *f)
{
    return f->disk;
}

const char *store_folder_log(const struct store_folder *f)
{
    return f->log;
}

const char *store_folder_state(const struct store_folder *f)
{
    return f->state;
}

const char *store_folder_snapshot(const struct store_folder *f)
{
    return f->snapshot;
}
