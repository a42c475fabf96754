/* A look: the root's attributes, one file's, its bytes from the first to the
 * last, and the root's names; the next look takes the next file.
 *
 * The kernel caches nothing, so it asks for the root, for the name and for the
 * file each time: these are the requests of a call, and each of them may wait
 * until its deadline. The calls of few requests come first: they wait for a node
 * that is not well, and are held to the most. */
#include "tests/cluster/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/process.h"
#include "tests/lib/worker.h"

#define FILE_BYTES (1u << 20)
#define FILE_WORDS (FILE_BYTES / sizeof(uint64_t))
#define READ_BYTES (64u << 10)
#define NAMES_MAX 4096
#define NAME_BYTES 32
#define LOOK_MS 20
#define ANSWER_MS_MAX 30000
#define STUCK_MS 5000 /* beyond a call's deadline */

#define STAT_REQUESTS 1   /* by a descriptor */
#define LOOKUP_REQUESTS 2 /* O_PATH: the root, the name */
#define OPEN_REQUESTS 4   /* and the file, and its open */
#define READ_REQUESTS 1
#define LIST_REQUESTS 8 /* all of opendir, readdir ..., for some names */

struct names {
    size_t count;
    char name[NAMES_MAX][NAME_BYTES]; /* sorted */
};

struct watch {
    struct report report;
    struct watch_options options;
    pid_t pid;
    _Atomic uint64_t answers;
    _Atomic uint64_t refused; /* or not known: no mount is not counted */
    _Atomic uint32_t slowest_ms;
    uint64_t answers_before; /* when it began */
    struct names before;
    unsigned file_count;
    uint64_t bytes[][FILE_WORDS];
};

/* ---- What there is ---- */

static void file_name(char name[NAME_BYTES], unsigned f)
{
    (void)snprintf(name, NAME_BYTES, "large-%u", f);
}

static size_t size_of(unsigned files)
{
    return sizeof(struct watch) + (size_t)files * FILE_BYTES;
}

struct watch *watch_new(unsigned files)
{
    struct watch *w = shared_new(size_of(files));

    w->file_count = files;
    return w;
}

void watch_free(struct watch *w)
{
    (void)munmap(w, size_of(w->file_count));
}

static void write_file(const struct watch *w, int mount, unsigned f)
{
    char name[NAME_BYTES];
    int fd;

    file_name(name, f);
    fd = openat(mount, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, w->bytes[f], FILE_BYTES), FILE_BYTES);
    assert_return_code(close(fd), errno);
}

void watch_write(struct watch *w, int mount, unsigned mib, struct px_rand *rand)
{
    for (unsigned m = 0; m < mib; m++) {
        unsigned f = m % w->file_count;

        for (size_t i = 0; i < FILE_WORDS; i++)
            w->bytes[f][i] = px_rand_next(rand);
        write_file(w, mount, f);
    }
}

/* ---- Names ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* 0 or -errno. */
static int read_names(DIR *dir, struct names *names)
{
    const struct dirent *entry;

    names->count = 0;
    for (;;) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names->count == NAMES_MAX)
            return -EOVERFLOW;
        (void)snprintf(names->name[names->count++], NAME_BYTES, "%.*s",
                       NAME_BYTES - 1, entry->d_name);
    }
    qsort(names->name, names->count, NAME_BYTES, by_name);
    return -errno;
}

static int list(int mount, struct names *names)
{
    int fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir;
    int rc;

    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = -errno;
        (void)close(fd);
        return rc;
    }
    rc = read_names(dir, names);
    (void)closedir(dir); /* it was only read */
    return rc;
}

void watch_note_names(struct watch *w, int mount)
{
    int rc = list(mount, &w->before);

    assert_return_code(rc, -rc);
    assert_true(w->before.count >= w->file_count);
}

static bool is_among(const struct names *names, const char *name)
{
    return bsearch(name, names->name, names->count, NAME_BYTES, by_name) !=
           NULL;
}

/* What has come since is a load's. */
static bool may_be_new(const char *name)
{
    unsigned writer, key;
    int end = 0;

    return strcmp(name, "lines") == 0 ||
           (sscanf(name, "counter-%u-%u%n", &writer, &key, &end) == 2 &&
            name[end] == '\0');
}

static void check_names(struct watch *w, const struct names *names)
{
    for (size_t i = 0; i < w->before.count; i++) {
        if (!is_among(names, w->before.name[i]))
            report_failure(&w->report, "%s is not listed", w->before.name[i]);
    }
    for (size_t i = 0; i < names->count; i++) {
        if (i > 0 && strcmp(names->name[i - 1], names->name[i]) == 0)
            report_failure(&w->report, "%s is listed twice", names->name[i]);
        if (!is_among(&w->before, names->name[i]) &&
            !may_be_new(names->name[i]))
            report_failure(&w->report, "%s is listed, and was never made",
                           names->name[i]);
    }
}

/* ---- Looks ---- */

static bool is_no_mount(int error)
{
    return error == ENOTCONN || error == ECONNABORTED;
}

static bool may_fail(const struct watch *w, int error)
{
    return error == EAGAIN || error == ETIMEDOUT || error == EINTR ||
           is_no_mount(error) || (error == EIO && w->options.may_break);
}

/* A call that began then has ended with @rc. */
static void take(struct watch *w, const char *call, unsigned requests,
                 uint64_t begin_ms, int rc)
{
    uint32_t ms = (uint32_t)(now_ms() - begin_ms);

    if (ms > atomic_load(&w->slowest_ms))
        atomic_store(&w->slowest_ms, ms); /* one process writes it */
    if (ms > requests * w->options.request_ms_max + w->options.slack_ms)
        report_failure(&w->report,
                       "%s took %" PRIu32 " ms: %u requests of %u each", call,
                       ms, requests, w->options.request_ms_max);
    if (rc < 0 && !may_fail(w, -rc))
        report_failure(&w->report, "%s: %s", call, strerror(-rc));
    if (rc < 0 && !is_no_mount(-rc))
        (void)atomic_fetch_add(&w->refused, 1);
}

static void look_at_root(struct watch *w, int mount)
{
    uint64_t begin = now_ms();
    struct stat st;
    int rc = fstatat(mount, "", &st, AT_EMPTY_PATH) < 0 ? -errno : 0;

    take(w, "stat of the root", STAT_REQUESTS, begin, rc);
    if (rc == 0 && !S_ISDIR(st.st_mode))
        report_failure(&w->report, "the root has mode %o", st.st_mode);
}

static void look_at_attributes(struct watch *w, int mount, unsigned f)
{
    uint64_t begin = now_ms();
    char name[NAME_BYTES];
    struct stat st;
    int fd, rc;

    file_name(name, f);
    fd = openat(mount, name, O_PATH | O_CLOEXEC);
    take(w, "a lookup", LOOKUP_REQUESTS, begin, fd < 0 ? -errno : 0);
    if (fd < 0)
        return;
    begin = now_ms();
    rc = fstat(fd, &st) < 0 ? -errno : 0;
    (void)close(fd); /* was only a way in */
    take(w, "stat of a file", STAT_REQUESTS, begin, rc);
    if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_size != FILE_BYTES))
        report_failure(&w->report, "%s has mode %o and %jd bytes", name,
                       st.st_mode, (intmax_t)st.st_size);
}

static void look_at_names(struct watch *w, int mount)
{
    static struct names names;
    uint64_t begin = now_ms();
    int rc = list(mount, &names);

    take(w, "a listing", LIST_REQUESTS, begin, rc);
    if (rc < 0)
        return;
    check_names(w, &names);
    (void)atomic_fetch_add(&w->answers, 1);
}

static ssize_t read_some(struct watch *w, int fd, uint8_t block[READ_BYTES])
{
    uint64_t begin = now_ms();
    ssize_t n = read(fd, block, READ_BYTES);

    take(w, "read", READ_REQUESTS, begin, n < 0 ? -errno : 0);
    return n;
}

static void compare(struct watch *w, int fd, unsigned f)
{
    const uint8_t *bytes = (const uint8_t *)w->bytes[f];
    uint8_t block[READ_BYTES];
    size_t at = 0;
    ssize_t n;

    while ((n = read_some(w, fd, block)) > 0) {
        if ((size_t)n > FILE_BYTES - at ||
            memcmp(block, bytes + at, (size_t)n) != 0) {
            report_failure(&w->report,
                           "large-%u is read with other bytes, from %zu on", f,
                           at);
            return;
        }
        at += (size_t)n;
    }
    if (n < 0)
        return;
    if (at < FILE_BYTES)
        report_failure(&w->report, "large-%u ends after %zu bytes", f, at);
    (void)atomic_fetch_add(&w->answers, 1);
}

static void look_at_file(struct watch *w, int mount, unsigned f)
{
    uint64_t begin = now_ms();
    char name[NAME_BYTES];
    int fd;

    file_name(name, f);
    fd = openat(mount, name, O_RDONLY | O_CLOEXEC);
    take(w, "open", OPEN_REQUESTS, begin, fd < 0 ? -errno : 0);
    if (fd < 0)
        return;
    compare(w, fd, f);
    (void)close(fd); /* it was only read */
}

/* The mount is opened anew each time: a node may end, and start again. */
static void look(void *arg, int number)
{
    struct watch *w = arg;

    (void)number; /* there is one */
    for (unsigned n = 0; !atomic_load(&w->report.stop); n++) {
        int mount = mount_open(w->options.path);

        if (mount >= 0) {
            look_at_root(w, mount);
            look_at_attributes(w, mount, n % w->file_count);
            look_at_file(w, mount, n % w->file_count);
            look_at_names(w, mount);
            (void)close(mount); /* was only a way in */
        }
        pause_ms(LOOK_MS);
    }
}

/* ---- A watch ---- */

void watch_begin(struct watch *w, const struct watch_options *options)
{
    w->options = *options;
    w->answers_before = watch_answers(w);
    atomic_store(&w->report.stop, false);
    w->pid = worker_start(look, w, 0);
}

void watch_end(struct watch *w)
{
    uint64_t deadline = now_ms() + ANSWER_MS_MAX;

    while (watch_answers(w) == w->answers_before) {
        report_check(&w->report);
        if (now_ms() > deadline)
            fail_msg("%s answers nothing for %d ms", w->options.path,
                     ANSWER_MS_MAX);
        pause_ms(LOOK_MS);
    }
    atomic_store(&w->report.stop, true);
    workers_wait(&w->pid, 1,
                 LIST_REQUESTS * w->options.request_ms_max + STUCK_MS);
    report_check(&w->report);
}

uint64_t watch_answers(const struct watch *w)
{
    return atomic_load(&w->answers);
}

void watch_print(const struct watch *w)
{
    print_message("             watched: %" PRIu64
                  " files and listings, %" PRIu64
                  " calls refused; slowest: %" PRIu32 " ms\n",
                  watch_answers(w), atomic_load(&w->refused),
                  atomic_load(&w->slowest_ms));
}
