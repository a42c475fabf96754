#include "tests/lib/memdisk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define FILES_MAX 256
#define HANDLES_MAX 16
#define OPS_MAX 1024
#define SECTOR_BYTES 512u

struct bytes {
    uint8_t *data;
    size_t size;
};

struct mem_file {
    struct bytes now;
    struct bytes synced;
};

struct mem_name {
    char text[STORE_DISK_NAME_BYTES_MAX + 1];
    int file; /* -1: there is none of that name */
};

struct mem_names {
    size_t count;
    struct mem_name list[FILES_MAX];
};

/* What was done to the names since the last sync_dir, in order. */
struct mem_op {
    char from[STORE_DISK_NAME_BYTES_MAX + 1]; /* loses its file; or empty */
    char to[STORE_DISK_NAME_BYTES_MAX + 1];   /* gets the file; or empty */
    int file;
};

struct memdisk {
    struct store_disk disk; /* first: a pointer to it is one to us */
    struct memdisk_plan plan;
    unsigned calls;
    bool is_dark;
    size_t file_count;
    struct mem_file files[FILES_MAX];
    int handles[HANDLES_MAX]; /* of files; -1: free */
    struct mem_names now;
    struct mem_names synced;
    size_t op_count;
    struct mem_op ops[OPS_MAX];
};

static struct memdisk *of(struct store_disk *d)
{
    return (struct memdisk *)d;
}

/* ---- Bytes ---- */

static void resize(struct bytes *b, size_t size)
{
    b->data = realloc(b->data, size + 1);
    px_assert(b->data != NULL);
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void copy_bytes(struct bytes *to, const struct bytes *from)
{
    resize(to, from->size);
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
}

/* The old or the new, sector by sector. */
static void tear(struct mem_file *f, struct px_rand *rand)
{
    struct bytes mixed = {0};

    resize(&mixed, px_rand_below(rand, 2) == 1 ? f->now.size : f->synced.size);
    for (size_t at = 0; at < mixed.size; at += SECTOR_BYTES) {
        const struct bytes *from =
            px_rand_below(rand, 2) == 1 ? &f->now : &f->synced;
        size_t end = at + SECTOR_BYTES;

        if (end > mixed.size)
            end = mixed.size;
        if (end > from->size)
            end = from->size;
        if (at < end)
            memcpy(mixed.data + at, from->data + at, end - at);
    }
    copy_bytes(&f->now, &mixed);
    copy_bytes(&f->synced, &mixed);
    free(mixed.data);
}

/* ---- Names ---- */

static struct mem_name *find(struct mem_names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (names->list[i].file >= 0 && strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    }
    return NULL;
}

static void bind(struct mem_names *names, const char *text, int file)
{
    struct mem_name *n = find(names, text);

    for (size_t i = 0; i < names->count && n == NULL; i++) {
        if (names->list[i].file < 0)
            n = &names->list[i];
    }
    if (n == NULL) {
        px_assert(names->count < FILES_MAX);
        n = &names->list[names->count++];
    }
    px_assert(strlen(text) < sizeof n->text && strchr(text, '/') == NULL);
    memcpy(n->text, text, strlen(text) + 1);
    n->file = file;
}

static void do_op(struct mem_names *names, const struct mem_op *op)
{
    struct mem_name *from = find(names, op->from);

    if (from != NULL && from->file == op->file)
        from->file = -1;
    if (op->to[0] != '\0')
        bind(names, op->to, op->file);
}

static void change_names(struct memdisk *m, const char *from, const char *to,
                         int file)
{
    struct mem_op *op = &m->ops[m->op_count++];

    px_assert(m->op_count <= OPS_MAX);
    *op = (struct mem_op){.file = file};
    memcpy(op->from, from, strlen(from));
    memcpy(op->to, to, strlen(to));
    do_op(&m->now, op);
}

/* ---- The calls ---- */

/* 0, or why this call fails before it has done anything. */
static int enter(struct memdisk *m)
{
    unsigned n = ++m->calls;
    const struct memdisk_plan *p = &m->plan;

    if (m->is_dark)
        return -EIO;
    m->is_dark = n == p->dark_at;
    if (p->fail_at != 0 &&
        (n == p->fail_at || (n > p->fail_at && p->is_lasting)))
        return -p->error;
    return 0;
}

/* What a call says that has done its work. */
static int leave(const struct memdisk *m, int rc)
{
    return m->is_dark ? -EIO : rc;
}

static struct mem_file *file_of(struct memdisk *m, int handle)
{
    px_assert(handle >= 0 && handle < HANDLES_MAX && m->handles[handle] >= 0);
    return &m->files[m->handles[handle]];
}

/* Only the process's: a power cut leaves nothing of it. */
static int new_handle(struct memdisk *m, int file)
{
    int i = 0;

    while (i < HANDLES_MAX && m->handles[i] >= 0)
        i++;
    px_assert(i < HANDLES_MAX); /* or somebody does not close what he opens */
    m->handles[i] = file;
    return i;
}

static int mem_open(struct store_disk *d, const char *name, unsigned how)
{
    struct memdisk *m = of(d);
    struct mem_name *n;
    int rc = enter(m);

    if (rc < 0)
        return rc;
    if ((how & STORE_DISK_UNCACHED) != 0 && m->plan.refuses_uncached)
        return -EINVAL;
    n = find(&m->now, name);
    if (n == NULL && (how & STORE_DISK_CREATE) == 0)
        return leave(m, -ENOENT);
    if (n == NULL) {
        px_assert(m->file_count < FILES_MAX);
        change_names(m, "", name, (int)m->file_count++);
        n = find(&m->now, name);
    } else if ((how & STORE_DISK_CREATE) != 0) {
        resize(&m->files[n->file].now, 0);
    }
    return m->is_dark ? -EIO : new_handle(m, n->file);
}

static void mem_close(struct store_disk *d, int file)
{
    (void)file_of(of(d), file); /* it is open */
    of(d)->handles[file] = -1;
}

static ssize_t mem_read(struct store_disk *d, int file, void *data, size_t size,
                        uint64_t offset)
{
    struct memdisk *m = of(d);
    const struct bytes *b = &file_of(m, file)->now;
    int rc = enter(m);

    if (rc < 0 || offset >= b->size)
        return leave(m, rc);
    if (size > b->size - offset)
        size = b->size - (size_t)offset;
    memcpy(data, b->data + offset, size);
    return m->is_dark ? -EIO : (ssize_t)size;
}

uint64_t memdisk_bytes(const struct memdisk *m)
{
    uint64_t all = 0;

    for (size_t i = 0; i < m->now.count; i++) {
        if (m->now.list[i].file >= 0)
            all += m->files[m->now.list[i].file].now.size;
    }
    return all;
}

/* Makes a file at least @bytes long, if there is room. */
static int lengthen(struct memdisk *m, struct mem_file *f, uint64_t bytes)
{
    if (bytes <= f->now.size)
        return 0;
    if (m->plan.bytes_max != 0 &&
        memdisk_bytes(m) - f->now.size + bytes > m->plan.bytes_max)
        return -ENOSPC;
    resize(&f->now, (size_t)bytes);
    return 0;
}

static int mem_write(struct store_disk *d, int file, struct iovec *iov,
                     size_t count, uint64_t offset)
{
    struct memdisk *m = of(d);
    struct mem_file *f = file_of(m, file);
    int rc = enter(m);

    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = lengthen(m, f, offset + iov[i].iov_len);
        if (rc == 0 && iov[i].iov_len > 0)
            memcpy(f->now.data + offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    return leave(m, rc);
}

static int mem_allocate(struct store_disk *d, int file, uint64_t bytes)
{
    struct memdisk *m = of(d);
    struct mem_file *f = file_of(m, file);
    int rc = enter(m);

    return leave(m, rc < 0 ? rc : lengthen(m, f, bytes));
}

static int mem_size(struct store_disk *d, int file, uint64_t *bytes_out)
{
    struct memdisk *m = of(d);
    const struct mem_file *f = file_of(m, file);
    int rc = enter(m);

    if (rc == 0)
        *bytes_out = f->now.size;
    return leave(m, rc);
}

static int mem_sync(struct store_disk *d, int file)
{
    struct memdisk *m = of(d);
    struct mem_file *f = file_of(m, file);
    int rc = enter(m);

    if (rc == 0 && m->plan.sync_error != 0) {
        rc = -m->plan.sync_error;
        m->plan.sync_error = 0;
    }
    if (rc == 0 && !m->is_dark)
        copy_bytes(&f->synced, &f->now);
    return leave(m, rc);
}

static int mem_rename(struct store_disk *d, const char *from, const char *to)
{
    struct memdisk *m = of(d);
    const struct mem_name *n;
    int rc = enter(m);

    if (rc < 0)
        return rc;
    n = find(&m->now, from);
    if (n == NULL)
        return leave(m, -ENOENT);
    change_names(m, from, to, n->file);
    return leave(m, 0);
}

static int mem_remove(struct store_disk *d, const char *name)
{
    struct memdisk *m = of(d);
    const struct mem_name *n;
    int rc = enter(m);

    if (rc < 0)
        return rc;
    n = find(&m->now, name);
    if (n == NULL)
        return leave(m, -ENOENT);
    change_names(m, name, "", n->file);
    return leave(m, 0);
}

static int mem_list(struct store_disk *d,
                    int (*each)(void *ctx, const char *name), void *ctx)
{
    struct memdisk *m = of(d);
    int rc = enter(m);

    for (size_t i = 0; i < m->now.count && rc == 0; i++) {
        if (m->now.list[i].file >= 0)
            rc = each(ctx, m->now.list[i].text);
    }
    return leave(m, rc);
}

static int mem_sync_dir(struct store_disk *d)
{
    struct memdisk *m = of(d);
    int rc = enter(m);

    if (rc == 0 && !m->is_dark) {
        m->synced = m->now;
        m->op_count = 0;
    }
    return leave(m, rc);
}

static int mem_room(struct store_disk *d, uint64_t *bytes_out)
{
    struct memdisk *m = of(d);
    uint64_t max = m->plan.bytes_max != 0 ? m->plan.bytes_max : UINT64_MAX;
    int rc = enter(m);

    if (rc == 0)
        *bytes_out = memdisk_bytes(m) < max ? max - memdisk_bytes(m) : 0;
    return leave(m, rc);
}

/* ---- The door ---- */

struct memdisk *memdisk_new(void)
{
    struct memdisk *m = calloc(1, sizeof *m);

    px_assert(m != NULL);
    m->disk = (struct store_disk){.open = mem_open,
                                  .close = mem_close,
                                  .read = mem_read,
                                  .write = mem_write,
                                  .allocate = mem_allocate,
                                  .size = mem_size,
                                  .sync = mem_sync,
                                  .rename = mem_rename,
                                  .remove = mem_remove,
                                  .list = mem_list,
                                  .sync_dir = mem_sync_dir,
                                  .room = mem_room};
    for (int i = 0; i < HANDLES_MAX; i++)
        m->handles[i] = -1;
    return m;
}

static void check_closed(const struct memdisk *m)
{
    for (int i = 0; i < HANDLES_MAX; i++)
        px_assert(m->handles[i] < 0);
}

void memdisk_free(struct memdisk *m)
{
    if (m == NULL)
        return;
    check_closed(m);
    for (size_t i = 0; i < m->file_count; i++) {
        free(m->files[i].now.data);
        free(m->files[i].synced.data);
    }
    free(m);
}

struct memdisk *memdisk_clone(const struct memdisk *m)
{
    struct memdisk *clone = memdisk_new();

    clone->file_count = m->file_count;
    for (size_t i = 0; i < m->file_count; i++) {
        copy_bytes(&clone->files[i].now, &m->files[i].now);
        copy_bytes(&clone->files[i].synced, &m->files[i].synced);
    }
    clone->now = m->now;
    clone->synced = m->synced;
    clone->op_count = m->op_count;
    memcpy(clone->ops, m->ops, sizeof m->ops);
    return clone;
}

struct store_disk *memdisk_disk(struct memdisk *m)
{
    return &m->disk;
}

void memdisk_go_on(struct memdisk *m, const struct memdisk_plan *plan)
{
    m->plan = *plan;
    m->calls = 0;
    m->is_dark = false;
}

unsigned memdisk_calls(const struct memdisk *m)
{
    return m->calls;
}

bool memdisk_is_dark(const struct memdisk *m)
{
    return m->is_dark;
}

void memdisk_crash(struct memdisk *m, struct px_rand *rand)
{
    const struct memdisk_plan plan = {0};

    check_closed(m);
    m->now = m->synced;
    for (size_t i = 0; i < m->op_count; i++) {
        if (px_rand_below(rand, 2) == 1)
            do_op(&m->now, &m->ops[i]);
    }
    m->synced = m->now;
    m->op_count = 0;
    for (size_t i = 0; i < m->file_count; i++)
        tear(&m->files[i], rand);
    memdisk_go_on(m, &plan);
}

bool memdisk_flip(struct memdisk *m, const char *name, uint64_t offset,
                  uint8_t mask)
{
    const struct mem_name *n = find(&m->now, name);
    struct mem_file *f = n != NULL ? &m->files[n->file] : NULL;

    if (f == NULL || offset >= f->now.size)
        return false;
    f->now.data[offset] ^= mask;
    if (offset < f->synced.size)
        f->synced.data[offset] ^= mask;
    return true;
}

bool memdisk_has(struct memdisk *m, const char *name)
{
    return find(&m->now, name) != NULL;
}

void memdisk_put(struct memdisk *m, const char *name, const void *data,
                 size_t size)
{
    struct store_disk *d = memdisk_disk(m);
    struct iovec iov = {(void *)(uintptr_t)data, size};
    int file = d->open(d, name, STORE_DISK_WRITE | STORE_DISK_CREATE);

    px_assert(file >= 0);
    px_assert(d->write(d, file, &iov, 1, 0) == 0);
    px_assert(d->sync(d, file) == 0);
    d->close(d, file);
    px_assert(d->sync_dir(d) == 0);
}

unsigned memdisk_file_count(const struct memdisk *m)
{
    unsigned count = 0;

    for (size_t i = 0; i < m->now.count; i++)
        count += m->now.list[i].file >= 0;
    return count;
}
