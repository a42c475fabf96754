/* The calls of struct store_disk on a sim_disk; disk_file.c has the sectors of
 * one file, this file names and faults. */
#include "tests/sim/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/count.h"
#include "tests/sim/disk_file.h"
#include "tests/sim/disk_names.h"

#define HANDLES_MAX 64
#define PAGE_BYTES 4096u
#define FLIPS_MAX 2 /* that can be taken back */

struct sim_disk {
    struct store_disk door; /* first */
    struct sim_disk_faults faults;
    struct px_rand *rand;
    uint64_t *counts;
    struct disk_file *files;   /* all: named now, durably, or open */
    struct disk_file *flushed; /* the last that was synced; NULL: it is gone */
    bool remembers;
    struct flip {
        struct disk_file *file; /* NULL: there is none, or it is gone */
        uint64_t at;
        uint8_t bit;
    } flips[FLIPS_MAX];
    unsigned flip_count; /* ever */
    struct handle {
        struct disk_file *file; /* NULL: free */
        bool is_uncached;
    } handles[HANDLES_MAX];
    struct names now;
    struct names durable;
    struct change *changes;
    size_t change_count;
    size_t change_capacity;
};

/* ---- Names ---- */

static void add_change(struct sim_disk *d, const char *from, const char *to,
                       struct disk_file *f)
{
    struct change *c;

    if (d->change_count == d->change_capacity) {
        d->change_capacity =
            d->change_capacity == 0 ? 16 : 2 * d->change_capacity;
        d->changes = realloc(d->changes, d->change_capacity * sizeof *c);
        px_assert(d->changes != NULL);
    }
    c = &d->changes[d->change_count++];
    *c = (struct change){.file = f};
    (void)strcpy(c->from, from);
    (void)strcpy(c->to, to);
    names_change(&d->now, c);
}

static bool is_used(struct sim_disk *d, const struct disk_file *f)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (d->handles[i].file == f)
            return true;
    }
    return names_hold(&d->now, f) || names_hold(&d->durable, f);
}

/* Once no change is pending any more. */
static void free_unused(struct sim_disk *d)
{
    struct disk_file **at = &d->files;

    while (*at != NULL) {
        struct disk_file *f = *at;

        if (is_used(d, f)) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        if (d->flushed == f)
            d->flushed = NULL;
        for (int i = 0; i < FLIPS_MAX; i++) {
            if (d->flips[i].file == f)
                d->flips[i].file = NULL;
        }
        disk_file_free(f);
    }
}

static void settle_names(struct sim_disk *d)
{
    names_copy(&d->durable, &d->now);
    d->change_count = 0;
    free_unused(d);
}

/* ---- Faults ---- */

/* Is this call, which changes something, where the crash is to be? */
static bool crashes_here(struct sim_disk *d)
{
    if (d->faults.crash_after == 0 || --d->faults.crash_after > 0)
        return false;
    d->faults.has_crashed = true;
    d->counts[COUNT_CRASH_POINTS]++;
    return true;
}

/* @no_room: what -ENOSPC counts as. */
static int take_error(struct sim_disk *d, int *error, enum count count,
                      enum count no_room)
{
    int rc = *error;

    *error = 0;
    if (rc < 0) {
        d->faults.has_failed = true;
        d->counts[rc == -ENOSPC ? no_room : count]++;
    }
    return rc;
}

static int full(struct sim_disk *d)
{
    d->faults.has_failed = true;
    d->counts[COUNT_DISK_FULL]++;
    return -ENOSPC;
}

static bool coin(struct sim_disk *d)
{
    return px_rand_below(d->rand, 2) == 0;
}

/* ---- The calls ---- */

static struct sim_disk *of_door(struct store_disk *door)
{
    return (struct sim_disk *)door;
}

static struct disk_file *create(struct sim_disk *d, const char *name)
{
    struct disk_file *f = disk_file_new();

    f->next = d->files;
    f->remembers = d->remembers;
    d->files = f;
    add_change(d, "", name, f);
    return f;
}

static int take_handle(struct sim_disk *d, struct disk_file *f, unsigned how)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (d->handles[i].file == NULL) {
            d->handles[i].file = f;
            d->handles[i].is_uncached = (how & STORE_DISK_UNCACHED) != 0;
            return i;
        }
    }
    px_assert(false); /* somebody does not close its files */
    return -EMFILE;
}

static int disk_open(struct store_disk *door, const char *name, unsigned how)
{
    struct sim_disk *d = of_door(door);
    struct disk_file **at = names_find(&d->now, name);
    struct disk_file *f = at != NULL ? *at : NULL;

    if (d->faults.has_crashed)
        return -EIO;
    if ((how & STORE_DISK_CREATE) == 0)
        return f != NULL ? take_handle(d, f, how) : -ENOENT;
    px_assert((how & STORE_DISK_WRITE) != 0);
    if (crashes_here(d)) {
        if (f == NULL && coin(d))
            (void)create(d, name);
        return -EIO;
    }
    if (f == NULL && d->faults.is_full)
        return full(d);
    if (f == NULL)
        f = create(d, name);
    else
        disk_file_resize(f, 0);
    return take_handle(d, f, how);
}

static struct disk_file *of_handle(struct sim_disk *d, int file)
{
    px_assert(file >= 0 && file < HANDLES_MAX);
    px_assert(d->handles[file].file != NULL);
    return d->handles[file].file;
}

static void disk_close(struct store_disk *door, int file)
{
    struct sim_disk *d = of_door(door);

    (void)of_handle(d, file); /* asserts that it is open */
    d->handles[file].file = NULL;
}

static ssize_t disk_read(struct store_disk *door, int file, void *data,
                         size_t size, uint64_t offset)
{
    struct sim_disk *d = of_door(door);
    struct disk_file *f = of_handle(d, file);
    bool is_uncached = d->handles[file].is_uncached;
    int rc;

    if (d->faults.has_crashed)
        return -EIO;
    rc = take_error(d, &d->faults.read_error, COUNT_READ_ERRORS,
                    COUNT_READ_ERRORS);
    if (rc < 0)
        return rc;
    if (is_uncached && ((uintptr_t)data | size | offset) % PAGE_BYTES != 0)
        return -EINVAL;
    return disk_file_read(f, data, size, offset, is_uncached);
}

static size_t iov_bytes(const struct iovec *iov, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

static void write_some(struct disk_file *f, const struct iovec *iov,
                       size_t count, uint64_t offset, size_t bytes)
{
    f->write_count++;
    for (size_t i = 0; i < count && bytes > 0; i++) {
        size_t size = iov[i].iov_len < bytes ? iov[i].iov_len : bytes;

        disk_file_write(f, iov[i].iov_base, size, offset);
        offset += size;
        bytes -= size;
    }
}

static int disk_write(struct store_disk *door, int file, struct iovec *iov,
                      size_t count, uint64_t offset)
{
    struct sim_disk *d = of_door(door);
    struct disk_file *f = of_handle(d, file);
    size_t bytes = iov_bytes(iov, count);
    int rc = 0;

    if (d->faults.has_crashed)
        return -EIO;
    if (crashes_here(d))
        rc = -EIO;
    else
        rc = take_error(d, &d->faults.write_error, COUNT_WRITE_ERRORS,
                        COUNT_WRITES_NO_ROOM);
    if (rc == 0 && d->faults.is_full && offset + bytes > f->size)
        rc = full(d);
    if (rc < 0 && bytes > 0)
        bytes = px_rand_below(d->rand, bytes + 1);
    write_some(f, iov, count, offset, bytes);
    return rc;
}

static int disk_allocate(struct store_disk *door, int file, uint64_t bytes)
{
    struct sim_disk *d = of_door(door);
    struct disk_file *f = of_handle(d, file);

    if (d->faults.has_crashed)
        return -EIO;
    if (crashes_here(d)) {
        if (coin(d) && bytes > f->size)
            disk_file_resize(f, bytes);
        return -EIO;
    }
    if (d->faults.is_full && bytes > f->size)
        return full(d);
    if (bytes > f->size)
        disk_file_resize(f, bytes);
    return 0;
}

static int disk_size(struct store_disk *door, int file, uint64_t *bytes_out)
{
    struct sim_disk *d = of_door(door);
    struct disk_file *f = of_handle(d, file);

    if (d->faults.has_crashed)
        return -EIO;
    *bytes_out = f->size;
    return 0;
}

static int disk_sync(struct store_disk *door, int file)
{
    struct sim_disk *d = of_door(door);
    struct disk_file *f = of_handle(d, file);
    int rc;

    if (d->faults.has_crashed)
        return -EIO;
    if (crashes_here(d)) {
        if (coin(d))
            disk_file_sync(f);
        return -EIO;
    }
    rc = take_error(d, &d->faults.sync_error, COUNT_SYNC_ERRORS,
                    COUNT_SYNCS_NO_ROOM);
    if (rc < 0)
        disk_file_sync_badly(f, d->rand);
    else
        disk_file_sync(f);
    d->flushed = rc < 0 ? NULL : f;
    return rc;
}

static int change(struct store_disk *door, const char *from, const char *to)
{
    struct sim_disk *d = of_door(door);
    struct disk_file **at = names_find(&d->now, from);

    if (d->faults.has_crashed)
        return -EIO;
    if (at == NULL)
        return -ENOENT;
    if (crashes_here(d)) {
        if (coin(d))
            add_change(d, from, to, *at);
        return -EIO;
    }
    add_change(d, from, to, *at);
    return 0;
}

static int disk_rename(struct store_disk *door, const char *from,
                       const char *to)
{
    return change(door, from, to);
}

static int disk_remove(struct store_disk *door, const char *name)
{
    return change(door, name, "");
}

/* @each may make and remove names. */
static int disk_list(struct store_disk *door,
                     int (*each)(void *ctx, const char *name), void *ctx)
{
    struct sim_disk *d = of_door(door);
    struct names names = {0};
    int rc = d->faults.has_crashed ? -EIO : 0;

    names_copy(&names, &d->now);
    for (size_t i = 0; i < names.count && rc == 0; i++)
        rc = each(ctx, names.list[i].name);
    free(names.list);
    return rc;
}

static int disk_sync_dir(struct store_disk *door)
{
    struct sim_disk *d = of_door(door);
    int rc;

    if (d->faults.has_crashed)
        return -EIO;
    if (crashes_here(d)) {
        if (coin(d))
            settle_names(d);
        return -EIO;
    }
    rc = take_error(d, &d->faults.sync_error, COUNT_SYNC_ERRORS,
                    COUNT_SYNCS_NO_ROOM);
    if (rc == 0)
        settle_names(d);
    return rc;
}

static int disk_room(struct store_disk *door, uint64_t *bytes_out)
{
    struct sim_disk *d = of_door(door);

    if (d->faults.has_crashed)
        return -EIO;
    *bytes_out = d->faults.is_full ? 0 : UINT64_C(1) << 40;
    return 0;
}

/* ---- Crashes ---- */

/* Some of the changes since the last sync_dir, in their order: the first
 * few, or any. A later one without what it rests on does nothing. */
static void lose_names(struct sim_disk *d)
{
    bool is_prefix = coin(d);
    size_t prefix = px_rand_below(d->rand, d->change_count + 1);

    for (size_t i = 0; i < d->change_count; i++) {
        if (is_prefix ? i < prefix : coin(d))
            names_change(&d->durable, &d->changes[i]);
        else
            d->counts[COUNT_NAMES_LOST]++;
    }
    names_copy(&d->now, &d->durable);
    d->change_count = 0;
}

void sim_disk_crash(struct sim_disk *d, bool is_machine)
{
    memset(d->handles, 0, sizeof d->handles);
    for (struct disk_file *f = d->files; f != NULL; f = f->next) {
        if (is_machine)
            disk_file_lose(f, d->rand, d->counts);
        else
            disk_file_evict(f, d->rand);
    }
    if (!is_machine)
        return;
    lose_names(d);
    free_unused(d);
}

bool sim_disk_flip(struct sim_disk *d)
{
    struct disk_file *f;

    if (d->durable.count == 0)
        return false;
    f = d->durable.list[px_rand_below(d->rand, d->durable.count)].file;
    if (!disk_file_flip(f, d->rand))
        return false;
    d->counts[COUNT_BIT_FLIPS]++;
    return true;
}

bool sim_disk_flip_file(struct sim_disk *d, const char *name)
{
    struct disk_file **at = names_find(&d->durable, name);
    struct flip flip;

    if (at == NULL || !disk_file_flip_any(*at, d->rand, &flip.at, &flip.bit))
        return false;
    flip.file = *at;
    d->flips[d->flip_count++ % FLIPS_MAX] = flip;
    return true;
}

bool sim_disk_restore(struct sim_disk *d)
{
    bool is_any = false;

    for (struct flip *f = d->flips; f < d->flips + FLIPS_MAX; f++) {
        if (f->file == NULL)
            continue;
        disk_file_flip_at(f->file, f->at, f->bit);
        f->file = NULL;
        is_any = true;
    }
    return is_any;
}

void sim_disk_remember(struct sim_disk *d)
{
    d->remembers = true;
}

/* Notes are flushed, too, as files of their own. */
static bool is_segment(struct sim_disk *d, const struct disk_file *f)
{
    for (size_t i = 0; i < d->durable.count; i++) {
        const char *dot = strchr(d->durable.list[i].name, '.');

        if (d->durable.list[i].file == f)
            return dot != NULL && strcmp(dot, ".log") == 0;
    }
    return false;
}

bool sim_disk_lose_flush(struct sim_disk *d)
{
    if (d->flushed == NULL || !is_segment(d, d->flushed) ||
        !disk_file_unsync(d->flushed, d->rand))
        return false;
    d->counts[COUNT_FLUSHES_LOST]++;
    return true;
}

void sim_disk_start(struct sim_disk *d)
{
    d->faults = (struct sim_disk_faults){.is_full = d->faults.is_full};
}

bool sim_disk_is_dirty(const struct sim_disk *d)
{
    for (const struct disk_file *f = d->files; f != NULL; f = f->next) {
        if (f->dirty_end > f->dirty_begin)
            return true;
    }
    return d->change_count > 0;
}

size_t sim_disk_file_count(const struct sim_disk *d)
{
    return d->now.count;
}

/* ---- Life ---- */

struct store_disk *sim_disk_door(struct sim_disk *d)
{
    return &d->door;
}

struct sim_disk_faults *sim_disk_faults(struct sim_disk *d)
{
    return &d->faults;
}

struct sim_disk *sim_disk_new(struct px_rand *rand, uint64_t *counts)
{
    struct sim_disk *d = calloc(1, sizeof *d);

    px_assert(d != NULL);
    d->rand = rand;
    d->counts = counts;
    d->door = (struct store_disk){
        .open = disk_open,
        .close = disk_close,
        .read = disk_read,
        .write = disk_write,
        .allocate = disk_allocate,
        .size = disk_size,
        .sync = disk_sync,
        .rename = disk_rename,
        .remove = disk_remove,
        .list = disk_list,
        .sync_dir = disk_sync_dir,
        .room = disk_room,
    };
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    if (d == NULL)
        return;
    memset(d->handles, 0, sizeof d->handles);
    d->now.count = d->durable.count = 0;
    free_unused(d);
    free(d->now.list);
    free(d->durable.list);
    free(d->changes);
    free(d);
}
