#include "tests/unit/store/memory_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static struct memory_disk *of(struct store_disk *d)
{
    return (struct memory_disk *)(void *)d; /* its first member */
}

static bool fails(struct memory_disk *m)
{
    return ++m->calls == m->fail_at;
}

static void tell(struct memory_disk *m, char letter)
{
    size_t size = strlen(m->story);

    if (letter == 'W' && size > 0 && m->story[size - 1] == 'W')
        return;
    if (size + 1 < sizeof m->story)
        m->story[size] = letter;
}

static struct memory_file *at(struct memory_disk *m, int file)
{
    px_assert(file >= 0 && file < MEMORY_DISK_FILES_MAX);
    px_assert(m->files[file].name[0] != '\0');
    return &m->files[file];
}

static void drop(struct memory_file *f)
{
    free(f->data);
    *f = (struct memory_file){.size = 0};
}

struct memory_file *memory_disk_find(struct memory_disk *m, const char *name)
{
    for (size_t i = 0; i < MEMORY_DISK_FILES_MAX; i++)
        if (strcmp(m->files[i].name, name) == 0)
            return &m->files[i];
    return NULL;
}

struct memory_file *memory_disk_put(struct memory_disk *m, const char *name,
                                    const void *data, size_t size)
{
    struct memory_file *f = memory_disk_find(m, name);

    if (f == NULL)
        f = memory_disk_find(m, "");
    px_assert(f != NULL && strlen(name) < sizeof f->name);
    drop(f);
    memcpy(f->name, name, strlen(name) + 1);
    f->data = malloc(size + 1);
    px_assert(f->data != NULL);
    if (size > 0)
        memcpy(f->data, data, size);
    f->size = size;
    return f;
}

/* ---- The disk ---- */

static int disk_open(struct store_disk *d, const char *name, unsigned how)
{
    struct memory_disk *m = of(d);
    struct memory_file *f = memory_disk_find(m, name);

    if (fails(m))
        return m->fail_rc;
    if ((how & STORE_DISK_CREATE) != 0) {
        tell(m, 'O');
        f = memory_disk_put(m, name, NULL, 0);
    }
    if (f == NULL)
        return -ENOENT;
    m->open_count++;
    return (int)(f - m->files);
}

static void disk_close(struct store_disk *d, int file)
{
    struct memory_disk *m = of(d);

    px_assert(file >= 0 && m->open_count > 0);
    m->open_count--;
}

static ssize_t disk_read(struct store_disk *d, int file, void *data,
                         size_t size, uint64_t offset)
{
    struct memory_disk *m = of(d);
    const struct memory_file *f = at(m, file);

    if (fails(m))
        return m->fail_rc;
    if (offset >= f->size)
        return 0;
    if (size > f->size - offset)
        size = f->size - (size_t)offset;
    memcpy(data, f->data + offset, size);
    return (ssize_t)size;
}

static int disk_write(struct store_disk *d, int file, struct iovec *iov,
                      size_t count, uint64_t offset)
{
    struct memory_disk *m = of(d);
    struct memory_file *f = at(m, file);

    if (fails(m))
        return m->fail_rc;
    tell(m, 'W');
    px_assert(offset == f->size); /* in order, nothing twice */
    for (size_t i = 0; i < count; i++) {
        f->data = realloc(f->data, f->size + iov[i].iov_len);
        px_assert(f->data != NULL);
        memcpy(f->data + f->size, iov[i].iov_base, iov[i].iov_len);
        f->size += iov[i].iov_len;
    }
    return 0;
}

static int disk_size(struct store_disk *d, int file, uint64_t *bytes_out)
{
    struct memory_disk *m = of(d);

    if (fails(m))
        return m->fail_rc;
    *bytes_out = at(m, file)->size;
    return 0;
}

static int disk_sync(struct store_disk *d, int file)
{
    struct memory_disk *m = of(d);

    (void)at(m, file); /* asserts that it is one */
    if (fails(m))
        return m->fail_rc;
    tell(m, 'S');
    return 0;
}

static int disk_rename(struct store_disk *d, const char *from, const char *to)
{
    struct memory_disk *m = of(d);
    struct memory_file *f = memory_disk_find(m, from);
    struct memory_file *old = memory_disk_find(m, to);

    if (fails(m))
        return m->fail_rc;
    tell(m, 'N');
    if (f == NULL)
        return -ENOENT;
    if (old != NULL)
        drop(old);
    px_assert(strlen(to) < sizeof f->name);
    memcpy(f->name, to, strlen(to) + 1);
    return 0;
}

static int disk_remove(struct store_disk *d, const char *name)
{
    struct memory_disk *m = of(d);
    struct memory_file *f = memory_disk_find(m, name);

    if (fails(m))
        return m->fail_rc;
    tell(m, 'M');
    if (f == NULL)
        return -ENOENT;
    drop(f);
    return 0;
}

static int disk_list(struct store_disk *d,
                     int (*each)(void *ctx, const char *name), void *ctx)
{
    struct memory_disk *m = of(d);
    int rc = 0;

    if (fails(m))
        return m->fail_rc;
    for (size_t i = 0; i < MEMORY_DISK_FILES_MAX && rc == 0; i++)
        if (m->files[i].name[0] != '\0')
            rc = each(ctx, m->files[i].name);
    return rc;
}

static int disk_sync_dir(struct store_disk *d)
{
    struct memory_disk *m = of(d);

    if (fails(m))
        return m->fail_rc;
    tell(m, 'D');
    return 0;
}

void memory_disk_init(struct memory_disk *m)
{
    *m = (struct memory_disk){
        .disk = {.open = disk_open,
                 .close = disk_close,
                 .read = disk_read,
                 .write = disk_write,
                 .size = disk_size,
                 .sync = disk_sync,
                 .rename = disk_rename,
                 .remove = disk_remove,
                 .list = disk_list,
                 .sync_dir = disk_sync_dir},
    };
}

void memory_disk_fini(struct memory_disk *m)
{
    px_assert(m->open_count == 0);
    for (size_t i = 0; i < MEMORY_DISK_FILES_MAX; i++)
        drop(&m->files[i]);
}
