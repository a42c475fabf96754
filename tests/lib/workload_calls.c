/* The system calls of each operation.
 *
 * Between call and done lies what decides it, and nothing else: a value that is
 * renamed into place has been written before, and what close(2) says is not
 * asked, because write(2) has promised already.
 *
 *   name in the mount    object
 *   f7                   file 7
 *   v7, t7-12            value 7; its twelfth, before it is renamed
 *   l7                   list 7
 *   d7/n0 ...            folder 7: what is made there carries the id of the
 *                        operation that made it as its mode */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/workload_core.h"

#define NAME_BYTES 64
#define VALUE_BYTES_MAX 32768
#define TOKEN_BYTES 21 /* twenty digits and a newline */
#define LIST_BYTES_MAX (TOKEN_BYTES * HISTORY_FILE_TOKENS_MAX)
#define ID_BITS 0777u

/* ---- Outcomes ---- */

static void begin(struct attempt *a)
{
    a->line.call = px_now();
}

static void end(struct attempt *a, enum history_outcome outcome, int rc)
{
    a->line.done = px_now();
    a->line.outcome = outcome;
    a->line.result.rc = rc;
}

/* The server has gone, or is gone. */
static bool is_gone(int error)
{
    return error == ENOTCONN || error == ECONNABORTED;
}

/* A call that changes nothing itself failed. */
static void end_look(struct attempt *a, int error)
{
    if (error == EAGAIN || error == EINTR || is_gone(error))
        end(a, HISTORY_NO_EFFECT, -error);
    else
        end(a, HISTORY_ANSWERED, -error);
}

/* The call that was to change something is over: 0 or -1, as errno says. */
static void end_change(struct attempt *a, int rc)
{
    int error = rc < 0 ? errno : 0;

    if (error == EAGAIN || error == EINTR)
        end(a, HISTORY_NO_EFFECT, -error);
    else if (error == ETIMEDOUT || is_gone(error))
        end(a, HISTORY_UNKNOWN, -error);
    else
        end(a, HISTORY_ANSWERED, -error);
}

/* As end_change, for a write of @size bytes. A short one is no answer at all. */
static void end_write(struct attempt *a, ssize_t n, size_t size)
{
    if (n >= 0 && (size_t)n != size)
        end(a, HISTORY_ANSWERED, -EMSGSIZE);
    else
        end_change(a, n < 0 ? -1 : 0);
}

/* ---- Files and values ---- */

/* A head that tells what it is, filled up with a letter that differs from one
 * value to the next, so that a mixture shows. */
static void value_text(const struct attempt *a, uint64_t value, char *text)
{
    int n = snprintf(text, a->size, "%" PRIu64 " %" PRIu64 " ",
                     a->line.op.object, value);

    memset(text + n, 'a' + (int)(value % 26), a->size - (size_t)n);
    text[a->size - 1] = '\n';
}

static void object_name(const struct attempt *a, char name[NAME_BYTES])
{
    static const char letters[] = {[PLACE_FILE] = 'f',
                                   [PLACE_VALUE] = 'v',
                                   [PLACE_LIST] = 'l',
                                   [PLACE_FOLDER] = 'd'};

    (void)snprintf(name, NAME_BYTES, "%c%" PRIu64, letters[a->kind],
                   a->line.op.object);
}

/* In place: what is there is as long as what comes. */
static int open_file(const struct attempt *a, const char *name)
{
    int fd = -1;

    if (a->in_place)
        fd = openat(a->dir, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && (!a->in_place || errno == ENOENT))
        fd = openat(a->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                    0644);
    return fd;
}

static void write_file(struct attempt *a)
{
    char text[VALUE_BYTES_MAX];
    char name[NAME_BYTES];
    int fd;

    object_name(a, name);
    value_text(a, a->line.op.value, text);
    begin(a);
    fd = open_file(a, name);
    if (fd < 0) {
        end_look(a, errno);
        return;
    }
    end_write(a, write(fd, text, a->size), a->size);
    (void)close(fd);
}

/* A file of its own, aside. It had no effect, whatever becomes of it. */
static bool write_aside(struct attempt *a, const char *name)
{
    char text[VALUE_BYTES_MAX];
    int fd =
        openat(a->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int error;
    ssize_t n;

    if (fd < 0)
        return false;
    value_text(a, a->line.op.value, text);
    n = write(fd, text, a->size);
    if (n >= 0 && (size_t)n != a->size)
        errno = EMSGSIZE;
    error = errno;
    (void)close(fd);
    errno = error;
    return n == (ssize_t)a->size;
}

static void replace_value(struct attempt *a)
{
    char aside[NAME_BYTES];
    char name[NAME_BYTES];

    object_name(a, name);
    (void)snprintf(aside, sizeof aside, "t%" PRIu64 "-%" PRIu64,
                   a->line.op.object, a->line.op.value);
    begin(a);
    if (!write_aside(a, aside)) {
        end(a, HISTORY_NO_EFFECT, -errno);
        return;
    }
    begin(a);
    end_change(a, renameat(a->dir, aside, a->dir, name));
}

static void parse_value(struct attempt *a, const char *text, size_t size)
{
    char whole[VALUE_BYTES_MAX];
    char head[NAME_BYTES] = "";
    uint64_t value = 0;

    memcpy(head, text, size < NAME_BYTES - 1 ? size : NAME_BYTES - 1);
    if (size != a->size || sscanf(head, "%*u %" SCNu64 " ", &value) != 1)
        goto fail;
    value_text(a, value, whole);
    if (memcmp(text, whole, size) != 0)
        goto fail;
    a->line.result.value = value;
    return;
fail:
    a->line.result.rc = -EILSEQ;
}

/* One read(2), which is one request: a value is never read in two. */
static void read_object(struct attempt *a,
                        void (*parse)(struct attempt *a, const char *text,
                                      size_t size))
{
    static char text[LIST_BYTES_MAX + 1]; /* a process has one client */
    char name[NAME_BYTES];
    ssize_t n;
    int fd;

    object_name(a, name);
    begin(a);
    fd = openat(a->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        end_look(a, errno);
        return;
    }
    n = read(fd, text, sizeof text);
    if (n < 0)
        end_look(a, errno);
    else
        end(a, HISTORY_ANSWERED, 0);
    (void)close(fd);
    if (n >= 0)
        parse(a, text, (size_t)n);
}

static void parse_file(struct attempt *a, const char *text, size_t size)
{
    if (size == 0) {
        a->half_seen = true;
        a->line.outcome = HISTORY_NO_EFFECT;
        return;
    }
    parse_value(a, text, size);
}

static void delete_value(struct attempt *a)
{
    char name[NAME_BYTES];

    object_name(a, name);
    begin(a);
    end_change(a, unlinkat(a->dir, name, 0));
}

/* ---- Lists ---- */

static void append(struct attempt *a)
{
    char text[TOKEN_BYTES + 1];
    char name[NAME_BYTES];
    int fd;

    object_name(a, name);
    (void)snprintf(text, sizeof text, "%020" PRIu64 "\n", a->line.op.value);
    begin(a);
    fd = openat(a->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        end_look(a, errno);
        return;
    }
    end_write(a, write(fd, text, TOKEN_BYTES), TOKEN_BYTES);
    (void)close(fd);
}

static bool parse_token(const char *text, uint64_t *token_out)
{
    uint64_t token = 0;

    for (int i = 0; i < TOKEN_BYTES - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        token = token * 10 + (uint64_t)(text[i] - '0');
    }
    *token_out = token;
    return text[TOKEN_BYTES - 1] == '\n';
}

static void parse_list(struct attempt *a, const char *text, size_t size)
{
    struct history_result *r = &a->line.result;
    size_t count = size / TOKEN_BYTES;

    for (size_t i = 0; i < count; i++) {
        if (!parse_token(text + i * TOKEN_BYTES, &a->tokens[i]))
            r->rc = -EILSEQ;
    }
    if (size % TOKEN_BYTES != 0 || count > HISTORY_FILE_TOKENS_MAX)
        r->rc = -EILSEQ;
    if (r->rc == 0) {
        r->tokens = a->tokens;
        r->token_count = count;
    }
}

/* A list that isn't there is an empty one. */
static void list(struct attempt *a)
{
    read_object(a, parse_list);
    if (a->line.outcome == HISTORY_ANSWERED && a->line.result.rc == -ENOENT)
        a->line.result.rc = 0;
}

/* ---- Folders ---- */

static void entry_name(const struct attempt *a, unsigned name,
                       char text[NAME_BYTES])
{
    (void)snprintf(text, NAME_BYTES, "d%" PRIu64 "/n%u", a->line.op.object,
                   name);
}

static void create(struct attempt *a, const char *path)
{
    int fd = openat(a->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                    (mode_t)a->line.op.value & ID_BITS);

    end_change(a, fd < 0 ? -1 : 0);
    if (fd >= 0)
        (void)close(fd);
}

static void look_up(struct attempt *a, const char *path)
{
    struct stat st;

    if (fstatat(a->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        end_look(a, errno);
        return;
    }
    end(a, HISTORY_ANSWERED, 0);
    a->line.result.value = st.st_mode & ID_BITS;
}

/* Whether the two are of one kind the kernel sees by one look at each: at no
 * instant need both have been so. */
static void rename_entry(struct attempt *a, const char *path)
{
    char to[NAME_BYTES];

    entry_name(a, a->line.op.to, to);
    end_change(a, renameat(a->dir, path, a->dir, to));
    if (a->line.result.rc == -EISDIR || a->line.result.rc == -ENOTDIR)
        a->line.outcome = HISTORY_NO_EFFECT;
}

static void run_in_folder(struct attempt *a)
{
    char path[NAME_BYTES];

    entry_name(a, a->line.op.name, path);
    begin(a);
    switch (a->line.op.verb) {
    case HISTORY_CREATE:
        create(a, path);
        break;
    case HISTORY_MKDIR:
        end_change(a,
                   mkdirat(a->dir, path, (mode_t)a->line.op.value & ID_BITS));
        break;
    case HISTORY_UNLINK:
        end_change(a, unlinkat(a->dir, path, 0));
        break;
    case HISTORY_RMDIR:
        end_change(a, unlinkat(a->dir, path, AT_REMOVEDIR));
        break;
    case HISTORY_RENAME:
        rename_entry(a, path);
        break;
    case HISTORY_LOOKUP:
        look_up(a, path);
        break;
    case HISTORY_WRITE:
    case HISTORY_READ:
    case HISTORY_DELETE:
    case HISTORY_APPEND:
    case HISTORY_LIST:
        break;
    }
}

bool attempt_prepare(struct attempt *a)
{
    char name[NAME_BYTES];

    object_name(a, name);
    return mkdirat(a->dir, name, 0755) == 0 || errno == EEXIST;
}

/* ---- All ---- */

void attempt_run(struct attempt *a)
{
    bool is_file = a->kind == PLACE_FILE;

    switch (a->line.op.verb) {
    case HISTORY_WRITE:
        (is_file ? write_file : replace_value)(a);
        break;
    case HISTORY_READ:
        read_object(a, is_file ? parse_file : parse_value);
        break;
    case HISTORY_DELETE:
        delete_value(a);
        break;
    case HISTORY_APPEND:
        append(a);
        break;
    case HISTORY_LIST:
        list(a);
        break;
    case HISTORY_CREATE:
    case HISTORY_MKDIR:
    case HISTORY_UNLINK:
    case HISTORY_RMDIR:
    case HISTORY_RENAME:
    case HISTORY_LOOKUP:
        run_in_folder(a);
        break;
    }
}
